"""What is made of the values' types: schema, values.yaml and the reference."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, TypeAdapter

from chart_values.base import Pod
from chart_values.parts import PARTS
from chart_values.umbrella import Thundercast

ROOT: Final = Path(__file__).resolve().parents[2]
CHARTS: Final[dict[str, type[BaseModel]]] = {"thundercast": Thundercast, **PARTS}
_HIDDEN: Final = ("common",)
_WIDTH: Final = 120
_HEAD: Final = "# Written by scripts/chart_values; change the types there and run `make values`."


def files() -> dict[Path, str]:
    """Every file that is written, with its text."""
    made = {ROOT / "docs" / "values.md": reference()}
    for name, values in CHARTS.items():
        made[ROOT / "charts" / name / "values.schema.json"] = schema_text(values)
        made[ROOT / "charts" / name / "values.yaml"] = defaults_text(name, values)
    return made


# --- the schema -------------------------------------------------------------------------------------------


def schema(values: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of a chart's values."""
    made = {"$schema": "http://json-schema.org/draft-07/schema#", **values.model_json_schema(by_alias=True)}
    for kind in _kinds(values):
        part = made if kind is values else made["$defs"][kind.__name__]
        for name, field in kind.model_fields.items():
            if field.default_factory is not None:  # of which pydantic does not tell
                default = TypeAdapter(Any).dump_json(field.get_default(call_default_factory=True), by_alias=True)
                part["properties"][field.alias or name]["default"] = json.loads(default)
    text = json.dumps(_plain(made)).replace("#/$defs/", "#/definitions/")
    plain: dict[str, Any] = json.loads(text)
    plain["definitions"] = plain.pop("$defs")
    return plain


def _kinds(values: type[BaseModel]) -> set[type[BaseModel]]:
    """The types that a chart's values are made of."""
    found = {values}
    for field in values.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= _kinds(field.annotation)
    return found


def schema_text(values: type[BaseModel]) -> str:
    """The same as a file."""
    return json.dumps(schema(values), indent=1, sort_keys=False) + "\n"


def _plain(part: Any) -> Any:
    """Without titles, which only repeat the names, and with references that draft 7 does not ignore what is beside."""
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: _plain(value) for key, value in part.items() if not (key == "title" and isinstance(value, str))}
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made


# --- values.yaml ------------------------------------------------------------------------------------------


def defaults_text(name: str, values: type[BaseModel]) -> str:
    """values.yaml of a chart."""
    lines = [_HEAD, ""]
    for key, (about, value) in _fields(values()).items():
        if name == "thundercast" and key in PARTS:
            enabled = bool(value["enabled"][1])
            lines += _comment(f"{about}; the other keys are in charts/{key}/values.yaml", 0)
            lines += [f"{key}:", f"  enabled: {str(enabled).lower()}", ""]
        else:
            lines += [*_entry(key, about, value, 0), ""]
    return "\n".join(lines)


def _fields(values: BaseModel) -> dict[str, tuple[str, Any]]:
    """Description and value by key; of a mapping of values, the same of its own."""
    found: dict[str, tuple[str, Any]] = {}
    # What is a part's own before what can be said of every pod.
    fields = sorted(type(values).model_fields.items(), key=lambda item: (item[0] in Pod.model_fields, item[0] == "global_"))
    for name, field in fields:
        key = field.alias or name
        if key in _HIDDEN:
            continue
        value = getattr(values, name)
        shown = _fields(value) if isinstance(value, BaseModel) else json.loads(values.model_dump_json(include={name}, by_alias=True))[key]
        found[key] = (field.description or "", shown)
    return found


def _is_tree(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(item, tuple) for item in value.values())


def _entry(key: str, about: str, value: Any, depth: int) -> list[str]:
    lines = _comment(about, depth)
    if _is_tree(value):
        lines.append(f"{'  ' * depth}{key}:")
        for below, (text, item) in value.items():
            lines += _entry(below, text, item, depth + 1)
        return lines
    return [*lines, *textwrap.indent(_yaml({key: value}), "  " * depth).splitlines()]


def _comment(text: str, depth: int) -> list[str]:
    indent = "  " * depth + "# "
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent) if text else []


def _yaml(value: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(value), sort_keys=False, default_flow_style=False, width=_WIDTH)).rstrip()


# --- the reference ----------------------------------------------------------------------------------------


def reference() -> str:
    """docs/values.md."""
    parts = [
        "# Values of the charts\n",
        "Keys below `simulator`, `cleaner`, `trainer`, `dashboard` and `dataflow` are those of the charts of these names. Each key is checked: "
        "one that is not here is an error.\n\nWritten by `scripts/chart_values`; do not edit it by hand.\n",
    ]
    shared = CHARTS["trainer"]()
    for title, about, rows in _sections(shared):
        parts.append(f"## {title}\n\n{about}\n\n| key | default | what |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _sections(shared: BaseModel) -> Iterator[tuple[str, str, list[str]]]:
    tree = _fields(shared)["global"][1]
    yield "`global`", "What all parts share.", list(_rows("global", tree))
    for name, values in PARTS.items():
        tree = {key: item for key, item in _fields(values()).items() if key != "global"}
        yield f"`{name}`", f"{_describe(name)}.", list(_rows(name, tree))
    own = {key: item for key, item in _fields(Thundercast()).items() if key not in PARTS and key != "global"}
    for key, (about, value) in own.items():
        rows = list(_rows(key, value)) if _is_tree(value) else [_row(key, about, value)]
        yield f"`{key}`", f"{about[:1].upper()}{about[1:]}.", rows


def _describe(name: str) -> str:
    about = str(Thundercast.model_fields[name].description)
    return about[:1].upper() + about[1:]


def _rows(prefix: str, tree: Mapping[str, tuple[str, Any]]) -> Iterator[str]:
    for key, (about, value) in tree.items():
        where = f"{prefix}.{key}"
        if _is_tree(value):
            yield from _rows(where, value)
        else:
            yield _row(where, about, value)


def _row(key: str, about: str, value: Any) -> str:
    return f"| `{key}` | `{json.dumps(value)}` | {about.replace('|', chr(92) + '|')} |"
