"""The values are a typed API: one source, strict schemas, a description for each key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import annotated_types
import pytest
import yaml
from pydantic import Field

from chart_values.base import settings_of
from chart_values.writing import CHARTS, files
from charts.rendering import CHARTS as FOLDER
from charts.rendering import HELMS, Refused, built, profile, render, run
from thundercast.adapters.settings import Settings

NAMES = sorted(CHARTS)


def test_the_files_are_what_the_types_say() -> None:
    stale = [str(path.relative_to(FOLDER.parent)) for path, text in files().items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run `make values`"


def test_a_bound_is_written_as_it_was_typed_whatever_was_annotated_before() -> None:
    """`typing` answers with an equal annotation that it has kept, so that 0.0 could come out as 0 after another's `Gt(0)`."""

    class Paced(Settings):
        pace: float = Field(1.0, gt=0.0, description="the pace")

    kept = Annotated[float, annotated_types.Gt(0)]
    schema = settings_of(Paced, without=set()).model_json_schema()
    assert json.dumps(schema["properties"]["pace"]["exclusiveMinimum"]) == "0.0"
    assert Annotated[float, annotated_types.Gt(0.0)] is kept


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of the schema's own mappings with its schema."""
    for name, part in {"": schema, **schema["definitions"]}.items():
        for key, value in part.get("properties", {}).items():
            yield f"{name}.{key}", value


@pytest.mark.parametrize("chart", NAMES)
def test_each_key_has_a_description_and_a_default(chart: str) -> None:
    schema = json.loads((FOLDER / chart / "values.schema.json").read_text())
    assert [key for key, value in properties(schema) if not value.get("description")] == []
    assert {key for key, value in properties(schema) if "default" not in value} <= {"Emulator.image"}


@pytest.mark.parametrize("chart", NAMES)
def test_a_schema_is_strict_and_refers_to_nothing_outside_itself(chart: str) -> None:
    text = (FOLDER / chart / "values.schema.json").read_text()
    schema = json.loads(text)
    typed = [part for part in [schema, *schema["definitions"].values()] if "properties" in part]
    assert typed
    assert all(part["additionalProperties"] is False for part in typed)
    refs = [line.split('"')[3] for line in text.splitlines() if '"$ref"' in line]
    assert refs
    assert all(ref.startswith("#/definitions/") for ref in refs)
    assert "global" in schema["properties"]
    assert chart == "thundercast" or "enabled" in schema["properties"]


@pytest.mark.parametrize("chart", NAMES)
def test_the_defaults_are_the_types_defaults(chart: str) -> None:
    given = yaml.safe_load((FOLDER / chart / "values.yaml").read_text())
    made = json.loads(CHARTS[chart]().model_dump_json(by_alias=True, exclude={"common"}))

    def differing(here: Any, there: Any, path: str) -> Iterator[str]:
        if isinstance(here, dict) and isinstance(there, dict):
            for key in here:
                yield from differing(here[key], there.get(key, "missing"), f"{path}.{key}")
        elif here != there:
            yield f"{path}: {here!r} is not {there!r}"

    assert list(differing(given, made, chart)) == []


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("chart", sorted(set(NAMES) - {"thundercast"}))
def test_a_chart_of_one_part_lints_by_itself(chart: str, helm: str) -> None:
    packed = built(helm).parent / chart
    run(helm, "dependency", "build", packed)
    run(helm, "lint", "--strict", packed)


@pytest.mark.parametrize("helm", HELMS)
def test_packaged_charts_render_as_the_tree_does(helm: str, tmp_path: Any) -> None:
    run(helm, "package", built(helm), "--destination", tmp_path)
    (archive,) = tmp_path.glob("thundercast-*.tgz")
    files, more = profile("minimal")
    # What signs the cookies is drawn by lot.
    packed, tree = (
        [thing for thing in render(files, more, helm=helm, chart=chart) if thing["kind"] != "Secret"] for chart in (archive, built(helm))
    )
    assert packed == tree


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"trainer": {"replica": 2}}, "replica"),
        ({"glob": {}}, "glob"),
        ({"dashboard": {"exposure": "public"}}, "exposure"),
        ({"trainer": {"settings": {"window": 0}}}, "window"),
        ({"global": {"checkpoints": {"place": "s3://bucket"}}}, "place"),
        ({"trainer": {"resources": {"requests": {"cpu": "lots"}}}}, "cpu"),
    ],
)
def test_a_value_that_is_none_is_refused_by_name(values: dict[str, Any], key: str, helm: str) -> None:
    files, _ = profile("minimal")
    with pytest.raises(Refused, match=key):
        render(files, values, helm=helm)
