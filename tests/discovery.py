"""APIs as Google publishes them: the discovery documents that google-api-python-client carries, as JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
import jsonschema

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
DATAFLOW, CLOUD_RUN = "dataflow.v1b3", "run.v1"
SYSTEM = {"$alt": "json;enum-encoding=int"}
"""What Google's clients say to every API of the kind, beside the API's own parameters."""
_FORMATS = {
    "google-datetime": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$",
    "google-fieldmask": r"^[a-zA-Z][a-zA-Z.,]*$",
    "int64": r"^-?\d+$",
    "byte": r"^[A-Za-z0-9+/_=-]*$",
}


class Violation(AssertionError):
    """A request or an answer is not what the document says."""


@dataclass(frozen=True)
class Method:
    """A method of the API.

    Attributes:
        id: as ``dataflow.projects.locations.jobs.create``.
        query: its parameters outside of the path, as JSON Schema.
        request, answer: names of schemas; empty if it has none.
    """

    id: str
    verb: str
    path: re.Pattern[str]
    query: dict[str, Any]
    request: str
    answer: str


@cache
def document(api: str = DATAFLOW) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCUMENTS / f"{api}.json").read_text())
    return found


@cache
def methods() -> tuple[Method, ...]:
    return tuple(_methods(document()))


def method_of(verb: str, path: str) -> tuple[Method, dict[str, str]]:
    """The method that answers, and the parameters in its path."""
    for method in methods():
        if method.verb == verb and (found := method.path.fullmatch(path)):
            return method, found.groupdict()
    raise Violation(f"there is no method {verb} {path}")


def check(schema: str, value: object, *, api: str = DATAFLOW) -> None:
    """Passes if the value is of the schema, and has nothing that the schema does not name."""
    for error in sorted(_validator(schema, api).iter_errors(value), key=lambda error: list(map(str, error.path))):
        raise Violation(f"{schema}.{'.'.join(map(str, error.path))}: {error.message[:500]}")


def check_query(method: Method, query: Mapping[str, str]) -> None:
    for name, value in query.items():
        if SYSTEM.get(name) == value:
            continue
        if name not in method.query:
            raise Violation(f"{method.id}: there is no parameter {name}")
        schema = method.query[name]
        try:
            jsonschema.validate(int(value) if schema.get("type") == "integer" else value, schema)
        except (ValueError, jsonschema.ValidationError) as error:
            raise Violation(f"{method.id}, parameter {name}: {error}") from error


@cache
def _validator(schema: str, api: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{schema}", "$defs": _definitions(api)})


@cache
def _definitions(api: str) -> dict[str, Any]:
    return {name: converted(schema) for name, schema in document(api)["schemas"].items()}


def converted(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of the discovery format as JSON Schema.

    >>> converted({"type": "object", "properties": {"id": {"type": "string", "format": "int64"}}})["additionalProperties"]
    False
    """
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kind = schema.get("type")
    if kind == "any":
        return {}
    new: dict[str, Any] = {"type": kind} if kind else {}
    for name in ("enum", "minimum", "maximum"):
        if name in schema:
            new[name] = schema[name] if name == "enum" else float(schema[name])
    if "pattern" in schema or schema.get("format") in _FORMATS:
        new["pattern"] = schema.get("pattern", _FORMATS.get(schema.get("format", ""), ""))
    if kind == "array":
        new["items"] = converted(schema["items"])
    if kind == "object":
        new["properties"] = {name: converted(item) for name, item in schema.get("properties", {}).items()}
        more = schema.get("additionalProperties")
        new["additionalProperties"] = converted(more) if more is not None else False
    return new


def _methods(node: Mapping[str, Any]) -> list[Method]:
    found = []
    for method in node.get("methods", {}).values():
        path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/:]+)", re.escape("/" + method["flatPath"]))
        query = {name: converted(item) for name, item in method.get("parameters", {}).items() if item["location"] == "query"}
        found.append(
            Method(
                method["id"],
                method["httpMethod"],
                re.compile(path),
                query,
                method.get("request", {}).get("$ref", ""),
                method["response"]["$ref"],
            )
        )
    for child in node.get("resources", {}).values():
        found += _methods(child)
    return found
