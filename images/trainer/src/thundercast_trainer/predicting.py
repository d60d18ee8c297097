"""The answer to a request for predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from thundercast.domain import runs
from thundercast_trainer import asked as asking
from thundercast_trainer.asked import Asked
from thundercast_trainer.history import PROBABILITY, THRESHOLD
from thundercast_trainer.serving import ServedModel, Snapshot


def predicted(snapshot: Snapshot, asked: Asked) -> list[dict[str, Any]]:
    """What the models say of each row, in the order of the request.

    A row that the stream has had as its station's last gets what the stream said of it, since the models have learnt it by now. All others
    are asked of the models as they stand. The rows of a date are, for the day-ahead task, each other's neighbourhood.
    """
    answers: list[dict[str, Any]] = [
        {"station": row.station, "date": runs.day(row.date).isoformat() if row.date is not None else None} for row in asked.rows
    ]
    for i, row in enumerate(asked.rows):
        if row.error is not None:
            answers[i]["error"] = row.error.to_json(f"{asked.name}[{i}]")
    for rows, places in asked.groups:
        slots = snapshot.stations.find(rows.key)
        told = snapshot.stations.told(rows, slots)
        said = np.empty((len(snapshot.models), len(rows), 2))
        if not told.all():
            for m, served in enumerate(snapshot.models):
                said[m, :, PROBABILITY], said[m, :, THRESHOLD] = served.model.predict(rows), served.threshold
        if told.any():
            kept = snapshot.stations.said[slots[told]]
            for m, served in enumerate(snapshot.models):
                said[m, told] = kept[:, served.place]
        valid_on = {"nowcast": runs.day(rows.date).isoformat(), "dayahead": runs.day(rows.date + 1).isoformat()}
        by_row = said.transpose(1, 0, 2).tolist()
        for i, found, from_stream, imputed, missing in zip(
            places, by_row, told.tolist(), asking.imputed(rows), asking.missing(rows), strict=True
        ):
            row = asked.rows[i]
            answers[i] |= {
                "from": "stream" if from_stream else "models",
                "history_age_days": row.age,
                "imputed": imputed,
                "missing": missing,
                "assumed": list(row.assumed),
                "predictions": [_said(m, p, at, valid_on[m.task]) for m, (p, at) in zip(snapshot.models, found, strict=True)],
            }
    return answers


def station(snapshot: Snapshot, slot: int) -> dict[str, Any]:
    """What is known of a station."""
    rows = snapshot.stations.last_rows(np.array([slot], np.int32))
    (row,) = rows.to_arrow().to_pylist()
    valid_on = {"nowcast": runs.day(rows.date).isoformat(), "dayahead": runs.day(rows.date + 1).isoformat()}
    said = snapshot.stations.said[slot].tolist()
    return {
        "station": row["station"],
        "history_age_days": snapshot.date - rows.date,
        "last_row": row | {"date": row["date"].isoformat()},
        "predictions": [_said(m, said[m.place][PROBABILITY], said[m.place][THRESHOLD], valid_on[m.task]) for m in snapshot.models],
    }


def _said(served: ServedModel, probability: float, threshold: float, valid_on: str) -> dict[str, Any]:
    return {
        "task": served.task, "model": served.name, "champion": served.champion, "valid_on": valid_on, "probability": probability,
        "threshold": threshold, "warning": probability >= threshold,
    }  # fmt: skip
