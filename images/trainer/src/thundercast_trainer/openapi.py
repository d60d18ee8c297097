"""The API's document: ``openapi.json`` beside this module, with what the core defines filled in (rows and their units, the version)."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Final

import thundercast
from thundercast_trainer import fields


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    text = resources.files("thundercast_trainer").joinpath("openapi.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    found["info"]["version"] = thundercast.__version__
    schemas = found["components"]["schemas"]
    for name, about, row in (
        ("Observations", "Of `gsod.raw/1`, in its units and with its sentinels.", fields.OBSERVATIONS),
        ("CleanRow", "`gsod.clean/1`.", fields.CLEAN),
    ):
        schemas[name] = {"description": about} | fields.to_openapi(row)
    return found


TEXT: Final = json.dumps(document(), ensure_ascii=False).encode()
