"""The serving API over HTTP: what it answers, to whom it says no, and that its document is true."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
import requests
from prometheus_client import CollectorRegistry

from integration.trainer.conftest import Served, serve
from thundercast.adapters import service
from thundercast.adapters.folder import FolderObjects
from thundercast.adapters.metrics import Metrics
from thundercast.adapters.sources import open_source
from thundercast.domain import runs
from thundercast.domain.schema import RAW_SCHEMA
from thundercast.stage.status import LoopStatus
from thundercast_trainer import openapi
from thundercast_trainer.api import api_routes
from thundercast_trainer.auth import Anyone
from thundercast_trainer.kept import Kept
from thundercast_trainer.push import PushSubscription, push_route
from unit.trainer.scene import Trainer, answered, of_task, question, questions, said, stream

DOCUMENT = openapi.document()


def validated(response: requests.Response, path: str, method: str = "get") -> Any:
    """The response's JSON, after a look into the document whether it may be so."""
    described = DOCUMENT["paths"][path][method]["responses"]
    assert str(response.status_code) in described, response.text
    content = described[str(response.status_code)]["content"]
    kind = response.headers["Content-Type"].split(";")[0]
    assert kind in content
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **content[kind]["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(response.json())
    return response.json()


def predicted(served: Served, body: Any) -> Any:
    return validated(served.ask(body), "/v1/predict", "post")


# --- [must] the probability that the stream gave


def test_over_http_the_full_raw_row_gets_the_probability_of_the_stream() -> None:
    trainer = Trainer(stream(6))
    with serve(trainer) as served:
        trainer.go_on(5)
        rows = questions(trainer.next_date)
        before = predicted(served, {"rows": rows})["rows"]
        stream_said = said(trainer.go_on())
        assert answered(before, "nowcast") == of_task(stream_said, "nowcast")
        after = predicted(served, {"rows": rows})["rows"]
        assert answered(after, "nowcast") | answered(after, "dayahead") == stream_said
        assert len(stream_said) > 200


def test_real_station_days_get_the_probability_of_the_stream(tmp_path: Any) -> None:
    """Of the sample that comes with the package: sixty dates, and each row of the last twenty of them asked before and after."""
    source = open_source("sample", cache=tmp_path)
    start = source.open().start
    days = [(runs.ordinal(day.date), day.rows) for day in source.dates(start, start + dt.timedelta(days=59))]
    assert [date for date, _ in days] == list(range(runs.ordinal(start), runs.ordinal(start) + 60))
    trainer = Trainer(days, start=start)
    trainer.go_on(40)
    compared = 0
    with serve(trainer) as served:
        while trainer.done < 60:
            rows = questions(trainer.next_date)
            before = predicted(served, {"rows": rows})["rows"]
            stream_said = said(trainer.go_on())
            assert answered(before, "nowcast") == of_task(stream_said, "nowcast")
            after = predicted(served, {"rows": rows})["rows"]
            assert answered(after, "nowcast") | answered(after, "dayahead") == stream_said
            compared += len(rows)
    assert compared > 2000


# --- the answers


def test_without_a_date_learnt_everything_that_needs_one_says_so(fresh: Served) -> None:
    station = "/v1/stations/{id}"
    for path in ("/v1/model", "/v1/scores"):
        problem = validated(fresh.get(path), path)
        assert problem["status"] == 503
        assert "GET /v1/status" in problem["way_out"]
    assert validated(fresh.get("/v1/stations/72509014739"), station)["status"] == 503
    assert predicted(fresh, {"rows": []})["status"] == 503
    assert validated(fresh.get("/v1/status"), "/v1/status")["state"] == "starting"


def test_a_station_tells_its_last_row_and_what_the_stream_said_of_it() -> None:
    trainer = Trainer(stream(4))
    effects = trainer.go_on(4)
    by_station = said(effects[-4:])
    observed = {row["station"]: row for e in effects for t, part in e.rows if t.name == "observations" for row in part.to_pylist()}
    with serve(trainer) as served:
        for station, row in observed.items():
            found = validated(served.get(f"/v1/stations/{station}"), "/v1/stations/{id}")
            last = {k: v for k, v in row.items() if k not in ("run_id", "written_at")} | {"date": row["date"].isoformat()}
            assert found["last_row"] == last
            age = trainer.stream[3][0] - runs.ordinal(row["date"])
            assert found["history_age_days"] == age
            if age == 0:
                assert {(p["task"], p["model"]): (p["probability"], p["threshold"]) for p in found["predictions"]} == {
                    key[1:]: value for key, value in by_station.items() if key[0] == station
                }
            (again,) = predicted(served, {"clean_rows": [last]})["rows"]
            assert again["predictions"] == found["predictions"]


@pytest.mark.parametrize("station", ["00000000000", "short", "%F0%9F%A6%86", "7250901473%39%20"])
def test_a_station_that_the_stream_has_not_had_is_not_found(served: Served, station: str) -> None:
    assert validated(served.get(f"/v1/stations/{station}"), "/v1/stations/{id}")["status"] == 404


def test_the_models_and_their_champions(served: Served) -> None:
    found = validated(served.get("/v1/model"), "/v1/model")
    assert found["learnt_to"] == runs.day(served.trainer.stream[4][0]).isoformat()
    assert found["rows_learnt"] == sum(rows.num_rows for _, rows in served.trainer.stream[:5])
    assert found["tasks"] == ["nowcast", "dayahead"]
    assert [m["model"] for m in found["models"] if m["champion"]] == ["thunder", "thunder"]
    assert found["run_id"] == served.trainer.messages[0][0].run_id
    assert found["synthetic"] is False


def test_the_scores_are_the_newest_rows_and_the_undefined_ones_are_null(served: Served) -> None:
    found = validated(served.get("/v1/scores"), "/v1/scores")["scores"]
    keys = [(s["task"], s["model_name"], s["scope"], s["gate"]) for s in found]
    assert len(set(keys)) == len(keys) == 2 * 3 * 3 * 2
    assert {s["date"] for s in found} == {runs.day(served.trainer.stream[4][0]).isoformat()}
    (thunder,) = [s for s in found if (s["task"], s["model_name"], s["scope"], s["gate"]) == ("nowcast", "thunder", "run", "all")]
    assert thunder["roc_auc"] is not None
    assert sum(rows for rows, _, _ in thunder["reliability"]) == thunder["rows"]


def test_a_score_of_one_class_only_is_null() -> None:
    at = RAW_SCHEMA.get_field_index("thunder")
    calm = [(date, rows.set_column(at, RAW_SCHEMA.field(at), pa.array(np.zeros(rows.num_rows, np.int8)))) for date, rows in stream(2)]
    trainer = Trainer(calm)
    trainer.go_on(2)
    with serve(trainer) as served:
        found = validated(served.get("/v1/scores"), "/v1/scores")["scores"]
        assert {s["roc_auc"] for s in found} == {None}


def test_the_status_is_the_loops(served: Served) -> None:
    served.loop = replace(
        served.loop, state="waiting", detail="for x", leader=True, run_id="r", watermark=7, date=dt.date(2024, 2, 29), batches={"ok": 7},
        away={"the store": "is away"}, checkpoint_at=1.5,
    )  # fmt: skip
    found = validated(served.get("/v1/status"), "/v1/status")
    assert found["watermark"] == 7
    assert found["date"] == "2024-02-29"
    assert found["away"] == {"the store": "is away"}
    served.loop = LoopStatus(component="trainer")


def test_requests_for_predictions_are_counted_once_they_are_answered(fresh: Served) -> None:
    def count() -> float:
        text = fresh.get("/metrics").text
        (found,) = re.findall(r"^thundercast_prediction_requests_total (\S+)$", text, re.MULTILINE)
        return float(found)

    predicted(fresh, {"rows": []})
    assert count() == 0.0
    fresh.trainer.go_on()
    predicted(fresh, {"rows": []})
    predicted(fresh, {"rows": questions(fresh.trainer.next_date)})
    predicted(fresh, {"rows": 5})
    assert count() == 2.0


# --- what is refused


GOOD: dict[str, Any] = {"station": "72509014739", "date": "2022-07-20", "observations": {"temp": 70.3}}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "body"), (b"{", "body"), (b"[]", "body"), (b"{}", "body"), (b"null", "body"), (b"\xff", "body"), (b"[" * 100_000, "body"),
        (b'{"rows": [], "clean_rows": []}', "body"), (b'{"raws": []}', "body"), (b'{"rows": 5}', "rows"),
        (b'{"rows": [{"station": "72509014739", "observations": {"temp": NaN}}]}', "body"),
        ({"rows": [5]}, "rows[0]"), ({"rows": [GOOD, {}]}, "rows[1]"), ({"rows": [GOOD | {"station": 5}]}, "rows[0].station"),
        ({"rows": [GOOD | {"station": "\ud800"}]}, "rows[0].station"), ({"rows": [GOOD | {"date": None}]}, "rows[0].date"),
        ({"rows": [GOOD | {"date": "20220720"}]}, "rows[0].date"), ({"rows": [GOOD | {"date": "2022-02-30"}]}, "rows[0].date"),
        ({"rows": [GOOD | {"colour": 1}]}, "rows[0]"), ({"rows": [GOOD | {"observations": 7}]}, "rows[0].observations"),
        ({"rows": [GOOD | {"observations": {"colour": 1}}]}, "rows[0].observations"),
        ({"rows": [GOOD | {"observations": {"temp": "70.3"}}]}, "rows[0].observations.temp"),
        ({"rows": [GOOD | {"observations": {"temp": True}}]}, "rows[0].observations.temp"),
        ({"rows": [GOOD | {"observations": {"temp": 10**400}}]}, "rows[0].observations.temp"),
        ({"rows": [GOOD | {"observations": {"hail": 0.5}}]}, "rows[0].observations.hail"),
        ({"rows": [GOOD | {"observations": {"hail": 1000}}]}, "rows[0].observations.hail"),
        ({"clean_rows": [GOOD]}, "clean_rows[0]"), ({"clean_rows": [{}]}, "clean_rows[0]"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_of_the_schema_is_refused_and_the_place_is_named(served: Served, body: Any, where: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = requests.post(f"{served.url}/v1/predict", data=data, timeout=60)
    problem = validated(response, "/v1/predict", "post")
    assert response.status_code == 400
    assert problem["where"] == where
    assert problem["what"]
    assert problem["way_out"]


@pytest.mark.parametrize(
    "change",
    [{"temp": 1e9}, {"lat": 91.0}, {"thunder_1d": 2.0}, {"fog": None}, {"fog": 1}, {"thunder": 1}, {"date": 5}, {"slp_ma3": "x"}, {"x": 1}],
)
def test_a_clean_row_must_be_one(served: Served, change: dict[str, Any]) -> None:
    station = served.trainer.stream[4][1].column("station")[0].as_py()
    row = validated(served.get(f"/v1/stations/{station}"), "/v1/stations/{id}")["last_row"]
    assert "error" not in predicted(served, {"clean_rows": [row]})["rows"][0]
    response = served.ask({"clean_rows": [row | change]})
    assert response.status_code == 400
    assert next(iter(change)) in validated(response, "/v1/predict", "post")["what" if "x" in change else "where"]


def test_more_rows_than_a_request_may_have_are_refused_whole(served: Served) -> None:
    row = {"station": "00000000000"}
    assert len(predicted(served, {"rows": [row] * 10_000})["rows"]) == 10_000
    problem = predicted(served, {"rows": [row] * 10_001})
    assert problem["status"] == 413
    assert "10,000" in problem["what"]


def test_a_body_beyond_the_limit_is_refused(served: Served) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(17):
            yield b" " * 1024**2

    for data in (b" " * (16 * 1024**2 + 1), chunks()):
        response = requests.post(f"{served.url}/v1/predict", data=data, timeout=60)
        assert validated(response, "/v1/predict", "post")["status"] == 413


def test_a_row_that_cannot_be_answered_does_not_spoil_the_request(served: Served) -> None:
    good = question(served.trainer.next_date.to_pylist()[0])
    found = predicted(served, {"rows": [{"station": "?"}, good, {"station": "00000000000", "date": "2022-01-01"}]})["rows"]
    assert ["error" in row for row in found] == [True, False, True]


# --- the document


def test_every_route_is_in_the_document_and_nothing_else(served: Served, tmp_path: Path) -> None:
    text = served.get("/openapi.json")
    assert text.json() == DOCUMENT
    exposed = CollectorRegistry()
    routes = [
        *service.routes(dict, exposed),
        *api_routes(lambda: None, lambda: LoopStatus(component="trainer"), Metrics(exposed, version="")),
        push_route(PushSubscription(Kept(FolderObjects(tmp_path))), Anyone(), leads=lambda: True),
    ]
    assert {(r.path, r.method.lower()) for r in routes} == {(path, method) for path, ways in DOCUMENT["paths"].items() for method in ways}


def test_the_examples_of_the_document_are_of_its_schema() -> None:
    content = DOCUMENT["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        jsonschema.Draft202012Validator(content["schema"] | {"components": DOCUMENT["components"]}).validate(example["value"])


def test_health_and_readiness_are_as_the_document_says(served: Served) -> None:
    assert validated(served.get("/healthz"), "/healthz") == {"status": "ok"}
    assert validated(served.get("/readyz"), "/readyz") == {"ready": True, "reasons": {}}
    served.reasons["the store"] = "is away"
    assert validated(served.get("/readyz"), "/readyz") == {"ready": False, "reasons": {"the store": "is away"}}
    served.reasons.clear()
