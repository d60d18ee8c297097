"""`thunder`: an additive logistic model, learnt online in one pass.

The logit of a row is

    bias + s[station] + s'[station, wet] + sum_j ( w_j z_j + f_j[bin(x_j)] ) + sum_q g_q[bin(x_a), bin(x_b)]

with a scaled linear term and one weight per quantile bin for each feature, a bin of its own for what was not
observed, an intercept per station, another per station and kind of day (rain or drizzle reported, or not: stations
differ most in whether they report thunder when it rains), and a full table (no hashing) for each of some pairs of
features. Every weight has its own AdaGrad step (Duchi, Hazan, Singer 2011, JMLR 12, 2121-2159), learnt row by row.

What is decided per date is decided when it closes: scales, the neighbourhood's thunder, and the bins. Bins are
quantiles of what the stream has brought so far, made anew each time the rows seen have doubled; the weights are
carried over cell by cell: a new bin starts from the mean, over its rows, of the weights they had before. Until the first date has
closed there are no scales, and one bin for all that was observed.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain import arrays
from thundercast.domain.models import design as d
from thundercast.domain.models.base import Labels, Probabilities, Task
from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import WEATHER
from thundercast.domain.stations import StationIndex

VERSION: Final = 1
BINS: Final = 24
MISSING: Final = BINS
_WIDTH: Final = BINS + 1
_CLIP: Final = 6.0
_COUNT_EVERY: Final = 4  # rows; the distribution needs no more
_RAIN: Final = WEATHER.index("rain_drizzle")
# Tomorrow is the noisier lesson: smaller steps.
_RATE: Final[dict[Task, float]] = {"nowcast": 0.1, "dayahead": 0.05}
_LAST_REBIN: Final = 2_000_000  # rows; by then each bin's edges stand

_compiled = nb.njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _bins(x, mean, inverse, low, per_unit, lut, bins, z) -> None:  # type: ignore[no-untyped-def]
    """Bin (uint8) and clipped scaled value (float32) of each feature of each row."""
    n, k = x.shape
    for i in range(n):
        for j in range(k):
            v = np.float64(x[i, j])
            if not np.isfinite(v):
                bins[i, j] = MISSING
                z[i, j] = 0.0
            else:
                cell = min(max((v - low[j]) * per_unit[j], 0.0), d.CELLS - 1.0)
                bins[i, j] = lut[j, int(cell)]
                z[i, j] = min(max((v - mean[j]) * inverse[j], -_CLIP), _CLIP)


@_compiled
def _logit(i, bins, z, pairs, bias, w, wb, wp):  # type: ignore[no-untyped-def]
    k, p = z.shape[1], pairs.shape[0]
    a, b = bias, 0.0
    for j in range(k):
        a += w[j] * z[i, j]
        b += wb[j, bins[i, j], 0]
    for q in range(p):
        b += wp[q, bins[i, pairs[q, 0]] * _WIDTH + bins[i, pairs[q, 1]], 0]
    return a + b


@_compiled
def _predict(bins, z, slots, wet, pairs, bias, w, wb, wp, ws, out) -> None:  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        s = _logit(i, bins, z, pairs, bias, w, wb, wp)
        if slots[i] >= 0:
            s += ws[slots[i], 0, 0] + ws[slots[i], 1 + wet[i], 0]
        s = min(max(s, -30.0), 30.0)
        out[i] = 1.0 / (1.0 + np.exp(-s))


@_compiled
def _learn(bins, z, slots, wet, label, pairs, rate, b, w, gw, wb, wp, ws) -> None:  # type: ignore[no-untyped-def]
    n, k = z.shape
    p = pairs.shape[0]
    g = np.empty(k + p)
    at = np.empty(p, np.int64)
    for i in range(n):
        if label[i] < 0:
            continue
        for q in range(p):
            at[q] = bins[i, pairs[q, 0]] * _WIDTH + bins[i, pairs[q, 1]]
        slot, kind = slots[i], 1 + wet[i]
        a0, a1 = b[0] + ws[slot, 0, 0] + ws[slot, kind, 0], 0.0
        for j in range(k):
            a0 += w[j] * z[i, j]
            a1 += wb[j, bins[i, j], 0]
        for q in range(p):
            a1 += wp[q, at[q], 0]
        s = min(max(a0 + a1, -30.0), 30.0)
        e = 1.0 / (1.0 + np.exp(-s)) - label[i]
        e2 = e * e
        step = rate * e
        # Gathered, stepped, scattered: the middle loop is the dear one (a root and a division each) and runs in vectors.
        for j in range(k):
            g[j] = wb[j, bins[i, j], 1] + e2
        for q in range(p):
            g[k + q] = wp[q, at[q], 1] + e2
        for j in range(k):
            zj = np.float64(z[i, j])
            gw[j] += e2 * zj * zj
            w[j] -= step * zj / np.sqrt(gw[j])
        for j in range(k):
            wb[j, bins[i, j], 1] = g[j]
        for q in range(p):
            wp[q, at[q], 1] = g[k + q]
        for j in range(k + p):
            g[j] = step / np.sqrt(g[j])
        for j in range(k):
            wb[j, bins[i, j], 0] -= g[j]
        for q in range(p):
            wp[q, at[q], 0] -= g[k + q]
        ws[slot, 0, 1] += e2
        ws[slot, 0, 0] -= step / np.sqrt(ws[slot, 0, 1])
        ws[slot, kind, 1] += e2
        ws[slot, kind, 0] -= step / np.sqrt(ws[slot, kind, 1])
        b[1] += e2
        b[0] -= step / np.sqrt(b[1])


@_compiled
def _measure(x, label, low, per_unit, total, square, known, counts, rows) -> None:  # type: ignore[no-untyped-def]
    """Adds the rows that have a label to the sums of each feature and every fourth one to the counts by cell."""
    n, k = x.shape
    for i in range(n):
        if label[i] < 0:
            continue
        count = rows[0] % _COUNT_EVERY == 0
        rows[0] += 1
        for j in range(k):
            v = np.float64(x[i, j])
            if np.isfinite(v):
                total[j] += v
                square[j] += v * v
                known[j] += 1
                if count:
                    counts[j, int(min(max((v - low[j]) * per_unit[j], 0.0), d.CELLS - 1.0))] += 1


@_compiled
def _mixed(share, table):  # type: ignore[no-untyped-def]
    """float64[k, new, w]: each new bin's share of float64[k, old, w].

    A kernel and not a matrix product: BLAS picks its code by the processor, and the last bits of the sums with it.
    """
    out = np.zeros((len(share), share.shape[1], table.shape[2]))
    for j in range(len(share)):
        for new in range(share.shape[1]):
            for old in range(share.shape[2]):
                s = share[j, new, old]
                if s > 0.0:
                    for w in range(table.shape[2]):
                        out[j, new, w] += s * table[j, old, w]
    return out


class Thunder:
    """The additive model, for one task. See the module for the formula.

    Args:
        task: nowcast or dayahead.
        rate: AdaGrad's step; by default what served the task best.
    """

    def __init__(self, task: Task = "nowcast", *, rate: float | None = None) -> None:
        self.name = "thunder"
        self.task: Task = task
        self.rate = _RATE[task] if rate is None else rate
        self._features = d.features(task)
        names = [f.name for f in self._features]
        self._pairs = np.array([[names.index(a), names.index(b)] for a, b in d.pairs(task)])
        k, p = len(names), len(self._pairs)
        self._low = np.array([f.low for f in self._features], np.float64)
        self._per_unit = d.CELLS / (np.array([f.high for f in self._features], np.float64) - self._low)
        self._stations = StationIndex()
        self._a: dict[str, npt.NDArray[Any]] = {
            "bias": np.array([0.0, 1.0]),
            "linear": np.zeros(k),
            "linear_squares": np.ones(k),
            "bins": _fresh((k, _WIDTH)),
            "pairs": _fresh((p, _WIDTH * _WIDTH)),
            "stations": _fresh((0, 3)),
            "lut": np.zeros((k, d.CELLS), np.uint8),
            "counts": np.zeros((k, d.CELLS), np.int64),
            "total": np.zeros(k),
            "square": np.zeros(k),
            "known": np.zeros(k, np.int64),
            "mean": np.zeros(k),
            "inverse": np.zeros(k),
            "cells": np.zeros((d.ROWS_OF_CELLS, d.COLUMNS_OF_CELLS, 2), np.int32),
            "next_cells": np.zeros((d.ROWS_OF_CELLS, d.COLUMNS_OF_CELLS, 2), np.int32),
            "rows": np.zeros(1, np.int64),
            "rebin_at": np.ones(1, np.int64),
        }
        self._seen: tuple[CleanRows, npt.NDArray[np.float32], npt.NDArray[np.uint8], npt.NDArray[np.float32]] | None = None

    def _inputs(self, rows: CleanRows) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        # A whole date that was predicted in one call is learnt from the same matrices; they depend on the rows and on what
        # was decided at the last close, so making them again gives the same.
        if self._seen is not None and self._seen[0] is rows:
            return self._seen[1:]
        a = self._a
        cells = d.count_cells(rows.values, rows.label) if self.task == "dayahead" else a["cells"]
        x = d.design(rows, self.task, cells)
        bins, z = np.empty(x.shape, np.uint8), np.empty(x.shape, np.float32)
        _bins(x, a["mean"], a["inverse"], self._low, self._per_unit, a["lut"], bins, z)
        self._seen = (rows, x, bins, z)
        return x, bins, z

    def predict(self, rows: CleanRows) -> Probabilities:
        _, bins, z = self._inputs(rows)
        a = self._a
        out = np.empty(len(rows))
        slots = self._stations.find(rows.key)
        _predict(bins, z, slots, rows.weather[:, _RAIN], self._pairs, a["bias"][0], a["linear"], a["bins"], a["pairs"], a["stations"], out)
        return out

    def learn(self, rows: CleanRows, labels: Labels) -> None:
        x, bins, z = self._inputs(rows)
        a = self._a
        known = labels >= 0
        slots = np.full(len(rows), -1, np.int32)
        slots[known] = self._stations.add(rows.key[known])
        if len(self._stations) > len(a["stations"]):
            stations = _fresh((max(2 * len(a["stations"]), len(self._stations)), 3))
            stations[: len(a["stations"])] = a["stations"]
            a["stations"] = stations
        _learn(
            bins, z, slots, rows.weather[:, _RAIN], labels, self._pairs, self.rate, a["bias"], a["linear"], a["linear_squares"],
            a["bins"], a["pairs"], a["stations"],
        )  # fmt: skip
        _measure(x, labels, self._low, self._per_unit, a["total"], a["square"], a["known"], a["counts"], a["rows"])
        if self.task == "nowcast":
            a["next_cells"] += d.count_cells(rows.values, rows.label)

    def close_date(self, date: int) -> None:  # noqa: ARG002
        a = self._a
        self._seen = None
        known = np.maximum(a["known"], 1)
        a["mean"] = a["total"] / known
        variance = a["square"] / known - a["mean"] ** 2
        a["inverse"] = np.where((a["known"] > 1) & (variance > 1e-12), 1.0 / np.sqrt(np.maximum(variance, 1e-12)), 0.0)
        a["cells"], a["next_cells"] = a["next_cells"], np.zeros_like(a["next_cells"])
        if a["rows"][0] >= a["rebin_at"][0] and a["rows"][0] <= _LAST_REBIN:
            self._rebin()
            a["rebin_at"][0] = 2 * a["rows"][0]

    def _rebin(self) -> None:
        """Lays the bins anew at the quantiles of the counts so far and carries the weights over."""
        a = self._a
        counts = a["counts"]
        below = np.cumsum(counts, axis=1) - counts
        lut = np.minimum(below * BINS // np.maximum(counts.sum(axis=1, keepdims=True), 1), BINS - 1).astype(np.uint8)
        # share[j, new, old]: which part of a new bin was in which old bin; cells without rows weigh next to nothing.
        share = np.zeros((len(lut), _WIDTH, _WIDTH))
        column = np.repeat(np.arange(len(lut)), d.CELLS)
        np.add.at(share, (column, lut.ravel(), a["lut"].ravel()), (counts + 1e-9).ravel())
        share[:, MISSING, MISSING] = 1.0
        total = share.sum(axis=2, keepdims=True)
        share = np.where(total > 0, share / np.where(total > 0, total, 1.0), 0.0)
        share[:, :, 0] += np.where(total[:, :, 0] > 0, 0.0, 1.0)
        a["bins"] = _mixed(share, a["bins"])
        # The rows of each pair's table, then its columns.
        table = a["pairs"].reshape(-1, _WIDTH, _WIDTH, 2)
        for feature in self._pairs.T:
            mixed = _mixed(share[feature], table.reshape(len(table), _WIDTH, -1)).reshape(table.shape)
            table = np.ascontiguousarray(mixed.transpose(0, 2, 1, 3))
        a["pairs"] = table.reshape(a["pairs"].shape)
        a["lut"] = lut

    def to_bytes(self) -> bytes:
        kept = self._a | {"stations": self._a["stations"][: len(self._stations)], "keys": self._stations.keys}
        return arrays.pack(kept, self._meta())

    def _meta(self) -> dict[str, Any]:
        return {"model": self.name, "version": VERSION, "task": self.task, "rate": self.rate, "features": [f.name for f in self._features]}

    def from_bytes(self, state: bytes) -> None:
        kept, meta = arrays.unpack(state)
        if meta != self._meta():
            raise arrays.BadState(f"the state is of {meta}, not of {self._meta()}")
        keys = kept.pop("keys", np.empty(0))
        wanted = {name: (a.dtype, a.shape) for name, a in self._a.items()} | {"stations": (np.dtype(np.float64), (len(keys), 3, 2))}
        wrong = sorted(kept.keys() ^ wanted.keys()) or [
            name for name, a in kept.items() if (a.dtype, a.shape) != wanted[name] or not np.isfinite(a).all()
        ]
        if keys.dtype != np.int64 or keys.ndim != 1:
            wrong.append("keys")
        # The kernels trust the table: a bin that does not exist would lie outside of the weights.
        if not wrong and kept["lut"].max() >= BINS:
            wrong.append("lut")
        if wrong:
            raise arrays.BadState(f"the state of {self.name!r} is damaged in {', '.join(wrong)}")
        self._stations = StationIndex(keys)
        self._a = kept
        self._seen = None


def _fresh(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Weight 0 and sum of squared gradients 1, side by side."""
    table = np.zeros((*shape, 2))
    table[..., 1] = 1.0
    return table
