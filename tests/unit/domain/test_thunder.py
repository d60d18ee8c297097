"""The `thunder` model: its bins, its tables, its state, and that it learns."""

from __future__ import annotations

import functools
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from thundercast.domain.arrays import Arrays, BadState, pack, unpack
from thundercast.domain.models.base import Task
from thundercast.domain.models.design import CELLS, count_cells, design, features, pairs
from thundercast.domain.models.thunder import BINS, MISSING, Thunder
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.schema import IMPUTABLE, VALUE_INDEX, WEATHER
from thundercast.domain.scores.climatology import Climatology
from unit.domain.rawrows import clean_stream

TASKS: tuple[Task, ...] = get_args(Task)
every_task = pytest.mark.parametrize("task", TASKS)
WIDTH = BINS + 1


@functools.cache
def stream(dates: int = 24, n: int = 120) -> tuple[CleanRows, ...]:
    return tuple(clean_stream(dates, n, missing=0.15))


def state(model: Thunder) -> Arrays:
    return unpack(model.to_bytes())[0]


def one_date(model: Thunder, rows: CleanRows, *, close: bool = True) -> npt.NDArray[np.float64]:
    """Predicts, learns the rows' own labels, closes."""
    said = model.predict(rows)
    model.learn(rows, rows.label)
    if close:
        model.close_date(rows.date)
    return said


def taught(task: Task = "nowcast", dates: int = 6) -> Thunder:
    model = Thunder(task)
    for rows in stream()[:dates]:
        one_date(model, rows)
    return model


def bins_of(a: Arrays, x: npt.NDArray[np.float32], task: Task) -> npt.NDArray[np.int64]:
    """The bin of each feature of each row, by the state's table."""
    out = np.full(x.shape, MISSING)
    for j, f in enumerate(features(task)):
        for i, v in enumerate(x[:, j].tolist()):
            if v == v:
                out[i, j] = a["lut"][j, min(max(int((v - f.low) * (CELLS / (f.high - f.low))), 0), CELLS - 1)]
    return out


def inputs(a: Arrays, rows: CleanRows, task: Task) -> npt.NDArray[np.float32]:
    return design(rows, task, a["cells"] if task == "nowcast" else count_cells(rows.values, rows.label))


# --- the formula


@every_task
def test_a_prediction_is_the_formula_of_the_state(task: Task) -> None:
    model = taught(task, 9)
    a, rows = state(model), stream()[9]
    x = inputs(a, rows, task)
    bins = bins_of(a, x, task)
    names = [f.name for f in features(task)]
    slots = {key: slot for slot, key in enumerate(a["keys"].tolist())}
    wanted = []
    for i in range(len(rows)):
        logit = float(a["bias"][0])
        for j in range(len(names)):
            if bins[i, j] != MISSING:
                z = np.float32(min(max((np.float64(x[i, j]) - a["mean"][j]) * a["inverse"][j], -6), 6))
                logit += a["linear"][j] * float(z)
            logit += a["bins"][j, bins[i, j], 0]
        for q, (first, second) in enumerate(pairs(task)):
            logit += a["pairs"][q, bins[i, names.index(first)] * WIDTH + bins[i, names.index(second)], 0]
        if (slot := slots.get(int(rows.key[i]))) is not None:
            wet = int(rows.weather[i, WEATHER.index("rain_drizzle")])
            logit += a["stations"][slot, 0, 0] + a["stations"][slot, 1 + wet, 0]
        wanted.append(1 / (1 + np.exp(-logit)))
    np.testing.assert_allclose(model.predict(rows), wanted, rtol=1e-9)


@every_task
def test_learning_touches_the_weights_of_the_rows_bins_and_pairs_of_bins_and_no_other(task: Task) -> None:
    # Were two pairs of bins to share a weight, one of them would change without having been met.
    model = taught(task, 8)
    rows = stream()[8]
    x = inputs(state(model), rows, task)
    before = state(model)
    one_date(model, rows, close=False)
    after = state(model)
    bins = bins_of(before, x, task)
    met = np.zeros(before["bins"].shape[:2], bool)
    met[np.arange(bins.shape[1])[None, :], bins] = True
    names = [f.name for f in features(task)]
    met_pairs = np.zeros(before["pairs"].shape[:2], bool)
    for q, (a, b) in enumerate(pairs(task)):
        met_pairs[q, bins[:, names.index(a)] * WIDTH + bins[:, names.index(b)]] = True
    np.testing.assert_array_equal(after["bins"][..., 1] > before["bins"][..., 1], met)
    np.testing.assert_array_equal(after["pairs"][..., 1] > before["pairs"][..., 1], met_pairs)
    np.testing.assert_array_equal((after["bins"] != before["bins"]).any(axis=2), met)
    assert met_pairs.any(axis=1).all()
    assert not met_pairs.all()


def test_every_pair_of_bins_has_a_weight_of_its_own() -> None:
    for task in TASKS:
        assert state(Thunder(task))["pairs"].shape == (len(pairs(task)), WIDTH * WIDTH, 2)
    index = {a * WIDTH + b for a in range(WIDTH) for b in range(WIDTH)}
    assert index == set(range(WIDTH * WIDTH))


def test_what_was_not_observed_has_a_bin_of_its_own() -> None:
    model = Thunder()
    at = [f.name for f in features("nowcast")].index("gust")
    for whole in stream()[:8]:
        rows = whole.take(np.arange(len(whole)))
        rows.values[:, VALUE_INDEX["gust"]] = np.nan
        one_date(model, rows)
    a = state(model)
    assert not a["bins"][at, :BINS, 0].any()
    assert a["bins"][at, MISSING, 0] != 0
    assert a["linear"][at] == 0
    assert a["known"][at] == 0


@every_task
def test_an_imputed_value_is_as_good_as_none(task: Task) -> None:
    model = taught(task)
    rows = stream()[6]
    other = rows.take(np.arange(len(rows)))
    assert rows.imputed.any()
    for j, name in enumerate(IMPUTABLE):
        other.values[rows.imputed[:, j], VALUE_INDEX[name]] = 7.0
    np.testing.assert_array_equal(model.predict(other), model.predict(rows))


def test_an_unknown_station_is_predicted_by_its_weather() -> None:
    model = taught()
    rows = stream()[6].take(np.array([0, 0, 1]))
    rows.key = np.array([5, 6, stream()[6].key[1]])
    p = model.predict(rows)
    assert p[0] == p[1]
    assert ((p > 0) & (p < 1)).all()
    assert 5 not in state(model)["keys"]


def test_before_anything_is_learnt_all_is_even() -> None:
    assert (Thunder().predict(stream()[0]) == 0.5).all()


def test_a_station_is_told_apart_by_whether_it_rains() -> None:
    model = taught(dates=12)
    rows = stream()[12]
    weights = state(model)["stations"][..., 0]
    assert (weights[:, 1] != weights[:, 2]).any()
    assert rows.weather[:, WEATHER.index("rain_drizzle")].any()


# --- bins


@every_task
def test_bins_are_quantiles_of_what_came_so_far(task: Task) -> None:
    model = taught(task, 13)
    # The bins were made when the rows had last doubled.
    for dates in range(13, 0, -1):
        model = taught(task, dates)
        a = state(model)
        if a["rebin_at"][0] == 2 * a["rows"][0]:
            break
    assert dates > 4
    for j, f in enumerate(features(task)):
        counts, lut = a["counts"][j], a["lut"][j].astype(int)
        assert (np.diff(lut) >= 0).all()
        assert lut.max() < BINS
        if not counts.sum():
            continue
        share = np.bincount(lut, counts, minlength=BINS) / counts.sum()
        # A bin takes the rows of a 24th, but for what lies together in one cell.
        assert (share <= 1 / BINS + counts.max() / counts.sum() + 1e-9).all(), f.name


@every_task
def test_new_bins_start_from_the_mean_of_their_rows_weights(task: Task) -> None:
    model, rebinned = Thunder(task), 0
    names = [f.name for f in features(task)]
    for rows in stream()[:13]:
        one_date(model, rows, close=False)
        before = state(model)
        model.close_date(rows.date)
        after = state(model)
        if np.array_equal(before["lut"], after["lut"]):
            np.testing.assert_array_equal(after["bins"], before["bins"])
            np.testing.assert_array_equal(after["pairs"], before["pairs"])
            continue
        rebinned += 1
        mixes = []
        for j in range(len(names)):
            old, new, counts = before["lut"][j].astype(int), after["lut"][j].astype(int), before["counts"][j] + 1e-9
            mix = np.bincount(new * WIDTH + old, counts, WIDTH * WIDTH).reshape(WIDTH, WIDTH)
            mix[MISSING, MISSING] = 1
            met = mix.sum(axis=1) > 0
            mix[~met, 0] = 1  # no value falls there
            mix /= mix.sum(axis=1, keepdims=True)
            for b in np.flatnonzero(met[:BINS]).tolist():
                within = before["bins"][j, mix[b] > 0, 0]
                assert within.min() - 1e-12 <= after["bins"][j, b, 0] <= within.max() + 1e-12
            np.testing.assert_allclose(after["bins"][j], mix @ before["bins"][j], rtol=1e-9, atol=1e-12)
            mixes.append(mix)
        for q, (a, b) in enumerate(pairs(task)):
            for part in (0, 1):
                table = before["pairs"][q, :, part].reshape(WIDTH, WIDTH)
                wanted = mixes[names.index(a)] @ table @ mixes[names.index(b)].T
                np.testing.assert_allclose(after["pairs"][q, :, part].reshape(WIDTH, WIDTH), wanted, rtol=1e-9, atol=1e-12)
    assert rebinned >= 4


def test_a_change_of_bins_changes_predictions_little() -> None:
    model, changes = Thunder(), []
    for rows in stream():
        one_date(model, rows, close=False)
        # The scales and the neighbours change with every date; only the bins are looked at here.
        before, meta = unpack(model.to_bytes())
        logit = np.log(model.predict(rows) / (1 - model.predict(rows)))
        model.close_date(rows.date)
        after = state(model)
        if not np.array_equal(before["lut"], after["lut"]) and rows.date > stream()[2].date:
            only_bins = Thunder()
            only_bins.from_bytes(pack(before | {name: after[name] for name in ("lut", "bins", "pairs")}, meta))
            p = only_bins.predict(rows)
            changes.append((np.abs(np.log(p / (1 - p)) - logit).mean(), logit.std()))
    assert len(changes) >= 3
    assert all(change < 0.35 * spread for change, spread in changes)


@every_task
def test_later_rows_change_no_earlier_prediction_and_no_earlier_bin(task: Task) -> None:
    changed = [*stream()[:6], *(rows.take(np.arange(0, len(rows), 2)) for rows in stream()[6:10])]
    first, second = Thunder(task), Thunder(task)
    for i, (rows, others) in enumerate(zip(stream()[:10], changed, strict=True)):
        p, q = one_date(first, rows), one_date(second, others)
        if i < 6:
            np.testing.assert_array_equal(p, q)
            assert first.to_bytes() == second.to_bytes()
    assert first.to_bytes() != second.to_bytes()


# --- calls and state


def test_a_nowcast_does_not_depend_on_how_a_date_is_split_into_calls() -> None:
    model = taught()
    rows = stream()[6]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(rows))
    for parts in ([order], np.array_split(order, 7), [order[:1], order[:0], order[1:]]):
        said = np.concatenate([model.predict(rows.take(part)) for part in parts])
        np.testing.assert_array_equal(said, model.predict(rows)[order])


@every_task
def test_learning_does_not_depend_on_what_was_predicted_before(task: Task) -> None:
    asked, silent = Thunder(task), Thunder(task)
    for rows in stream()[:7]:
        asked.predict(stream()[8])
        for part in np.array_split(np.arange(len(rows)), 3):
            asked.predict(rows.take(part))
        for model in (asked, silent):
            model.learn(rows, rows.label)
            model.close_date(rows.date)
    assert asked.to_bytes() == silent.to_bytes()


@every_task
def test_rows_without_a_label_leave_no_trace(task: Task) -> None:
    model = taught(task)
    rows = stream()[6]
    before = model.to_bytes()
    unknown = rows.take(np.arange(len(rows)))
    unknown.label[:] = UNKNOWN
    unknown.key += 1
    model.learn(unknown, unknown.label)
    assert model.to_bytes() == before
    some, few = taught(task), taught(task)
    known = np.arange(len(rows)) % 3 > 0
    labels = np.where(known, rows.label, UNKNOWN).astype(np.int8)
    mixed = rows.take(np.arange(len(rows)))
    if task == "nowcast":
        mixed.label = labels
    some.learn(mixed, labels)
    few.predict(rows)  # the day ahead's neighbours are of the whole date
    few_rows = rows.take(np.flatnonzero(known))
    if task == "nowcast":
        few.learn(few_rows, labels[known])
        assert some.to_bytes() == few.to_bytes()
    assert set(state(some)["keys"].tolist()) == set(state(taught(task))["keys"].tolist()) | set(few_rows.key.tolist())


@every_task
def test_a_restored_model_is_the_same_model(task: Task) -> None:
    steady, restored = Thunder(task), Thunder(task)
    for rows in stream()[:14]:
        data = restored.to_bytes()
        restored = Thunder(task)
        restored.from_bytes(data)
        assert restored.to_bytes() == data
        np.testing.assert_array_equal(one_date(restored, rows), one_date(steady, rows))
    assert restored.to_bytes() == steady.to_bytes()


def test_an_infinite_value_is_no_value_and_spoils_nothing() -> None:
    model = taught()
    rows = stream()[6].take(np.arange(20))
    rows.values[3, VALUE_INDEX["temp"]], rows.values[4, VALUE_INDEX["slp_ma7"]] = np.inf, -np.inf
    one_date(model, rows)
    assert all(np.isfinite(a).all() for a in state(model).values())
    assert np.isfinite(model.predict(rows)).all()


def test_a_date_without_rows_forgets_yesterdays_neighbours() -> None:
    model = taught()
    assert state(model)["cells"].any()
    one_date(model, CleanRows.empty(stream()[6].date))
    assert not state(model)["cells"].any()


@pytest.mark.parametrize(
    "damage",
    [
        {"lut": 24}, {"bins": np.nan}, {"pairs": np.inf}, {"bias": np.nan}, {"mean": np.nan}, {"stations": np.nan},
    ],
    ids=str,
)  # fmt: skip
def test_a_state_that_would_lead_astray_is_refused(damage: dict[str, Any]) -> None:
    model = taught()
    a, meta = unpack(model.to_bytes())
    for name, value in damage.items():
        a[name].flat[0] = value
    before = model.to_bytes()
    with pytest.raises(BadState, match=f"damaged in {next(iter(damage))}"):
        model.from_bytes(pack(a, meta))
    assert model.to_bytes() == before


@pytest.mark.parametrize(
    "change", [{"task": "dayahead"}, {"rate": 0.2}, {"version": 2}, {"model": "logistic"}, {"features": ["temp"]}], ids=str
)
def test_the_state_of_another_configuration_is_refused(change: dict[str, Any]) -> None:
    a, meta = unpack(taught().to_bytes())
    with pytest.raises(BadState, match="the state is of"):
        Thunder().from_bytes(pack(a, meta | change))


def test_extra_arrays_and_other_types_are_refused() -> None:
    a, meta = unpack(taught().to_bytes())
    for broken in (a | {"more": np.zeros(1)}, a | {"bins": a["bins"].astype(np.float32)}, a | {"keys": a["keys"].astype(np.float64)}):
        with pytest.raises(BadState, match="damaged in"):
            Thunder().from_bytes(pack(broken, meta))


# --- it learns


def test_the_model_finds_the_signal_that_is_there() -> None:
    model, climatology = Thunder(), Climatology()
    said: dict[str, list[npt.NDArray[np.float64]]] = {"thunder": [], "climatology": []}
    labels = []
    for i, rows in enumerate(clean_stream(70, 150, seed=4)):
        found = {}
        for each in (model, climatology):
            found[each.name] = each.predict(rows)
            each.learn(rows, rows.label)
            each.close_date(rows.date)
        if i >= 35:
            labels.append(rows.label)
            for name, p in found.items():
                said[name].append(p)
    y = np.concatenate(labels)
    auc = {name: roc_auc_score(y, np.concatenate(p)) for name, p in said.items()}
    brier = {name: np.mean((np.concatenate(p) - y) ** 2) for name, p in said.items()}
    assert auc["thunder"] > 0.85 > auc["climatology"]
    assert brier["thunder"] < 0.85 * brier["climatology"]
    assert abs(np.concatenate(said["thunder"]).mean() - y.mean()) < 0.02
