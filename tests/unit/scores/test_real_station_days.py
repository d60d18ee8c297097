"""A summer of real station-days: climatology, and the run's scores against scikit-learn over all its rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from thundercast.domain.rows import CleanRows
from thundercast.domain.runs import ordinal
from thundercast.domain.scores.climatology import Climatology
from thundercast.domain.scores.scorer import Scorer
from thundercast.domain.stations import keys_of

FIRST, LAST, SCORED = dt.date(2022, 6, 1), dt.date(2022, 8, 31), dt.date(2022, 7, 1)


@pytest.mark.real_data
def test_a_run_of_real_station_days_scores_as_scikit_learn_does_and_climatology_has_learnt_where_thunder_is_reported(
    real_data: Path,
) -> None:
    period = [("date", ">=", FIRST), ("date", "<=", LAST)]
    table = pq.read_table(real_data / "gsod_real.parquet", columns=["station", "date", "thunder"], filters=period)
    keys = keys_of(table["station"].combine_chunks())
    day = table["date"].cast(pa.date32()).cast(pa.int32()).to_numpy()
    label = pc.equal(table["thunder"], "1").to_numpy().astype(np.int8)
    rng = np.random.default_rng(0)
    model, scorer = Climatology("nowcast"), Scorer("nowcast", ["sharper"], score_from=ordinal(SCORED))
    said: dict[str, list] = {"sharper": [], "climatology": []}
    labels = []
    for number, date in enumerate(range(ordinal(FIRST), ordinal(LAST) + 1)):
        at = np.flatnonzero(day == date)
        at = at[np.argsort(keys[at])]
        rows = CleanRows.empty(date)
        rows.key = keys[at]
        p = model.predict(rows)
        sharper = 1 / (1 + np.exp(-np.log(p / (1 - p)) - rng.normal(0, 0.5, len(p)) - label[at]))
        probabilities = {"sharper": sharper, "climatology": p}
        scorer.score(
            date=date, labels=label[at], reports=np.ones(len(p), np.bool_), probabilities=probabilities, batch_id=number, timestamp=""
        )
        model.learn(rows, label[at])
        model.close_date(date)
        if date >= ordinal(SCORED):
            labels.append(label[at])
            for name, values in probabilities.items():
                said[name].append(values)
    y = np.concatenate(labels)
    for name, found in scorer.summary().items():
        p = np.concatenate(said[name])
        assert found["n"] == len(y) > 300_000
        assert found["roc_auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-4), name
        # Hundreds of stations share a climatological rate in the first summer; scikit-learn would take them as one threshold.
        untied = p * (1 + 1e-9 * rng.random(len(p)))
        assert found["pr_auc"] == pytest.approx(average_precision_score(y, untied), abs=1e-4), name
        assert found["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-12), name
        assert found["log_loss"] == pytest.approx(log_loss(y, p), abs=1e-12), name
    # A constant would have 0.5: which station it is tells most of what climatology knows.
    assert scorer.summary()["climatology"]["roc_auc"] > 0.8
