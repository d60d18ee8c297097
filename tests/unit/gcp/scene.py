"""What the tests of the set-up share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gcp_setup import listing
from gcp_setup.chosen import Choice, choose
from gcp_setup.doing import Going
from gcp_setup.things import Thing
from unit.gcp.cloud import NUMBER, Cloud

DATAFLOW = {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True}}


def a_choice(folder: Path | None = None, values: dict[str, Any] | None = None, **flags: Any) -> Choice:
    """A choice with some values of the user's own."""
    files = []
    if values is not None:
        assert folder is not None
        files = [folder / "own.yaml"]
        files[0].write_text(yaml.safe_dump(values))
    given: dict[str, Any] = {"project": "my-project", "region": "europe-west1", "release": "tc", "namespace": "weather", "tag": "v1"}
    return choose(files=files, **(given | flags))


_LISTS: dict[int, tuple[Choice, list[Thing]]] = {}
"""Of the choices, which stay here so that no other gets their number."""


def listed(choice: Choice) -> list[Thing]:
    """The list; made once for each choice."""
    if id(choice) not in _LISTS:
        _LISTS[id(choice)] = (choice, listing.things(choice, NUMBER))
    return _LISTS[id(choice)][1]


def going(cloud: Cloud, lines: list[str] | None = None) -> Going:
    """One way through the list, from a machine that knows nothing yet; it never sleeps."""
    said: list[str] = [] if lines is None else lines
    return Going(run=cloud, things=listed(cloud.choice), say=said.append, sleep=lambda _: None)
