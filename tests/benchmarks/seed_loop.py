"""The loops that everything else is compared with: River's, as a stream learner writes it, and the compiled regression's.

All of them get the same rows: the five features ready in memory (mappings for River, a matrix for the kernel), nothing
read, decoded or cleaned. Each predicts a row before it learns it.
"""

from __future__ import annotations

import sysconfig
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt
from river import compose, linear_model, metrics, preprocessing

from thundercast.domain.models import inputs, logistic
from thundercast.domain.rows import UNKNOWN, CleanRows

Row = tuple[dict[str, float], bool]
_LR: Final = 0.01  # of both, River's default


class Timing(NamedTuple):
    """How long a loop took over some rows."""

    rows: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def optimised_interpreter() -> bool:
    """Whether this Python was built with profile-guided optimisation, which makes River's loops up to twice as fast.

    Builds that ask for it say ``--enable-optimizations`` to configure. Debian and Ubuntu run the profiled build from
    their own rules, and blank the profile's flag in what they install; a plain build leaves the flag's default there.
    """
    flags = sysconfig.get_config_vars()
    if flags.get("Py_DEBUG"):
        return False
    profiled_by_distribution = bool(flags.get("PGO_PROF_GEN_FLAG")) and not flags.get("PGO_PROF_USE_FLAG")
    return "--enable-optimizations" in str(flags.get("CONFIG_ARGS")) or profiled_by_distribution


def matrix_of(dates: Sequence[CleanRows], limit: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """The first rows of a stream of dates with a label, at most ``limit``: the five features float64[n, 5] and labels int8[n]."""
    codes = inputs.codes_of(inputs.FIVE, "nowcast")
    x = np.concatenate([inputs.matrix(rows, codes) for rows in dates])
    label = np.concatenate([rows.label for rows in dates])
    known = np.flatnonzero(label != UNKNOWN)[:limit]
    return np.ascontiguousarray(x[known]), label[known]


def river_rows(x: npt.NDArray[np.float64], label: npt.NDArray[np.int8]) -> list[Row]:
    """The rows of `matrix_of` as River takes them."""
    return list(zip(inputs.mappings(inputs.FIVE, x), (label == 1).tolist(), strict=True))


def _pipeline() -> compose.Pipeline:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def seed_loop(rows: Sequence[Row]) -> Timing:
    """The replaced system's inner loop: two predictions a row, two metrics, one step."""
    model, auc, accuracy = _pipeline(), metrics.ROCAUC(), metrics.Accuracy()
    start = time.perf_counter()
    for x, y in rows:
        auc.update(y, model.predict_proba_one(x))
        accuracy.update(y, model.predict_one(x))
        model.learn_one(x, y)
    return Timing(len(rows), time.perf_counter() - start)


def river_predict_learn(rows: Sequence[Row]) -> Timing:
    """River's scaler and logistic regression: one prediction and one step a row."""
    model = _pipeline()
    start = time.perf_counter()
    for x, y in rows:
        model.predict_proba_one(x)
        model.learn_one(x, y)
    return Timing(len(rows), time.perf_counter() - start)


# Not cached on disk: numba would not see a change of the two functions that it calls from another module.
@nb.njit(nogil=True, error_model="numpy")
def _predict_learn(x, label, lr, counts, means, variances, deviations, weights, intercept, out) -> None:  # type: ignore[no-untyped-def]
    z = np.empty(x.shape[1])
    for i in range(len(x)):
        out[i] = logistic.probability(x, i, means, deviations, weights, intercept)
        logistic.learn_row(x, i, label[i], lr, lr, counts, means, variances, deviations, weights, intercept, z)


def predict_learn(x: npt.NDArray[np.float64], label: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """float64[n]: P(thunder) of each row from the rows before it, by the compiled regression; a label of 1 is thunder."""
    s, out = logistic.fresh(x.shape[1]), np.empty(len(x))
    deviations = np.zeros(x.shape[1])
    _predict_learn(x, label, _LR, s["counts"], s["means"], s["variances"], deviations, s["weights"], s["intercept"], out)
    return out


def logistic_kernel(x: npt.NDArray[np.float64], label: npt.NDArray[np.int8]) -> Timing:
    """`predict_learn` over the rows, once compiled."""
    predict_learn(x[:1], label[:1])
    start = time.perf_counter()
    predict_learn(x, label)
    return Timing(len(x), time.perf_counter() - start)
