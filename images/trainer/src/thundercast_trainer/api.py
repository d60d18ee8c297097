"""The serving API: predictions, stations, models, scores and status over HTTP.

Every handler reads one snapshot, which nothing changes any more, and never waits for what is being learnt.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import numpy as np
import pyarrow as pa
from aiohttp import web

from thundercast.adapters.metrics import Metrics
from thundercast.domain import runs
from thundercast.domain.stations import keys_of
from thundercast.stage.status import LoopStatus
from thundercast_trainer import asked, openapi, predicting
from thundercast_trainer.problems import BODY_LIMIT, Problem, answered, body_of
from thundercast_trainer.serving import Snapshot

_RETRY: Final = {"Retry-After": "5"}


def api_routes(snapshot: Callable[[], Snapshot | None], status: Callable[[], LoopStatus], metrics: Metrics) -> list[web.RouteDef]:
    """The routes for `thundercast.adapters.service.serving`, see ``/openapi.json``.

    Args:
        snapshot: what is served now; None while there is nothing yet. It must not block.
        status: where the loop of this process stands.
        metrics: counts the requests for predictions.
    """

    def current() -> Snapshot:
        found = snapshot()
        if found is None:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "no date has been learnt yet: there is nothing to predict from", where="the trainer",
                way_out="ask again when GET /v1/status tells a date", headers=_RETRY,
            )  # fmt: skip
        return found

    async def predict(request: web.Request) -> web.Response:
        name, rows = asked.read(await body_of(request, BODY_LIMIT))
        # Other requests have their turn between the steps of a large one.
        await asyncio.sleep(0)
        now = current()
        question = asked.asked(name, rows, now.stations)
        await asyncio.sleep(0)
        answer = _json(_about(now) | {"rows": predicting.predicted(now, question)})
        metrics.prediction_request()
        return answer

    async def station(request: web.Request) -> web.Response:
        now, name = current(), request.match_info["id"]
        slot = int(now.stations.find(keys_of(pa.array([name.encode("ascii", "replace").decode()], pa.string())))[0])
        if slot < 0:
            raise Problem(
                HTTPStatus.NOT_FOUND, f"the stream has had no row of station {name[:40]!r}", where="id",
                way_out="give the eleven characters of a station that the stream has had: USAF and WBAN number",
            )  # fmt: skip
        return _json(_about(now) | predicting.station(now, slot))

    async def model(_: web.Request) -> web.Response:
        now = current()
        models = [{"task": m.task, "model": m.name, "champion": m.champion, "threshold": m.threshold} for m in now.models]
        tasks = list(dict.fromkeys(m.task for m in now.models))
        return _json(_about(now) | {"source": now.source, "rows_learnt": now.rows, "tasks": tasks, "models": models})

    async def scores(_: web.Request) -> web.Response:
        now = current()
        return _json(_about(now) | {"scores": [_score(row) for row in now.scores]})

    async def loop_status(_: web.Request) -> web.Response:
        return _json(_status(status()))

    async def document(_: web.Request) -> web.Response:
        return web.Response(body=openapi.TEXT, content_type="application/json")

    return [
        web.post("/v1/predict", answered(predict)),
        web.get("/v1/stations/{id}", answered(station)),
        web.get("/v1/model", answered(model)),
        web.get("/v1/scores", answered(scores)),
        web.get("/v1/status", answered(loop_status)),
        web.get("/openapi.json", document),
    ]


def _about(now: Snapshot) -> dict[str, Any]:
    """What every answer says of the state it was made from."""
    return {"run_id": now.run_id, "synthetic": now.synthetic, "learnt_to": runs.day(now.date).isoformat()}


def _score(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `model_metrics`; its reliability as a list. What is undefined is null."""
    reliability = row.get("reliability")
    return {k: v for k, v in row.items() if k != "batch_id"} | {"reliability": json.loads(reliability) if reliability else None}


def _status(status: LoopStatus) -> dict[str, Any]:
    date = status.date.isoformat() if status.date is not None else None
    # Not `asdict`: it would copy the mappings deeply, and some may be read-only views.
    found = {f.name: getattr(status, f.name) for f in dataclasses.fields(status)}
    return {k: dict(v) if isinstance(v, Mapping) else v for k, v in found.items()} | {"date": date}


def _json(content: Mapping[str, Any]) -> web.Response:
    # NaN is not JSON; a value that is not defined is null before it comes here.
    return web.Response(body=json.dumps(content, allow_nan=False, default=_plain).encode(), content_type="application/json")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")
