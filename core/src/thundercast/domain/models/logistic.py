"""`logistic`: an online scaler and logistic regression, row by row, compiled.

The algorithm is that of River 0.26's ``StandardScaler() | LogisticRegression()``, operation by operation in the same
order, so that the two agree to the last digits. Learning (x, y):

    for each observed j:  n_j += 1;  d = x_j - mean_j;  mean_j += d / n_j;  var_j += (d (x_j - mean_j) - var_j) / n_j
                          z_j = (x_j - mean_j) / sqrt(var_j), or 0 while var_j = 0
    g = the gradient of the log loss at  sum_j w_j z_j + intercept
    intercept -= lr_0 g;  w_j -= lr (z_j g)

The scaler is Welford's (1962, Technometrics 4, 419-420), in the form that keeps the variance rather than the sum of
squares. What is not observed is left out, which is the same as observing the mean so far: it adds nothing to the logit
and its scaler and weight stay as they are. River clips a gradient at 1e12; that of the log loss is never beyond 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain import arrays
from thundercast.domain.models import inputs
from thundercast.domain.models.base import Labels, Probabilities, Task
from thundercast.domain.rows import CleanRows

VERSION: Final = 1

# A zero in a division cannot happen (counts are at least 1, variances are tested), so no check is compiled in.
_compiled = nb.njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def gradient(logit: float, label: int) -> float:
    """d log-loss / d logit, with River's linear and exponential ends beyond 18 (`river.optim.losses.Log`)."""
    sign = 1.0 if label == 1 else -1.0
    z = logit * sign
    if z > 18.0:
        return np.exp(-z) * -sign  # type: ignore[no-any-return]
    if z < -18.0:
        return -sign
    return -sign / (np.exp(z) + 1.0)  # type: ignore[no-any-return]


@_compiled
def probability(x, i, means, deviations, weights, intercept):  # type: ignore[no-untyped-def]
    """P(thunder) of row i of x; the logit is cut at 30, where River's sigmoid jumps to 0 or 1."""
    total = 0.0
    for j in range(x.shape[1]):
        v = x[i, j]
        if not np.isnan(v) and deviations[j] != 0.0:
            total += weights[j] * ((v - means[j]) / deviations[j])
    logit = min(max(total + intercept[0], -30.0), 30.0)
    return 1.0 / (1.0 + np.exp(-logit))


@_compiled
def learn_row(x, i, label, lr, intercept_lr, counts, means, variances, deviations, weights, intercept, z) -> None:  # type: ignore[no-untyped-def]
    """One step of the scaler, then one of the regression. ``deviations`` stays the root of ``variances``; ``z`` is scratch."""
    k = x.shape[1]
    total = 0.0
    for j in range(k):
        v = x[i, j]
        z[j] = 0.0
        if not np.isnan(v):
            counts[j] += 1
            before = v - means[j]
            means[j] += before / counts[j]
            after = v - means[j]
            variances[j] += (before * after - variances[j]) / counts[j]
            deviations[j] = np.sqrt(variances[j])
            if deviations[j] != 0.0:
                z[j] = after / deviations[j]
            total += weights[j] * z[j]
    g = gradient(total + intercept[0], label)
    intercept[0] -= intercept_lr * g
    for j in range(k):
        weights[j] -= lr * (z[j] * g)


@_compiled
def _predict(x, means, deviations, weights, intercept, out) -> None:  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        out[i] = probability(x, i, means, deviations, weights, intercept)


@_compiled
def _learn(x, labels, lr, intercept_lr, counts, means, variances, deviations, weights, intercept):  # type: ignore[no-untyped-def]
    z = np.empty(x.shape[1])
    learnt = 0
    for i in range(len(x)):
        if labels[i] >= 0:
            learn_row(x, i, labels[i], lr, intercept_lr, counts, means, variances, deviations, weights, intercept, z)
            learnt += 1
    return learnt


class Logistic:
    """The compiled scaler and logistic regression, for one task.

    Args:
        task: nowcast or dayahead.
        features: names from `inputs.EVERYTHING` (and `inputs.TODAY` for dayahead); the seed's five (and today's label) if not given.
        lr: learning rate of the weights.
        intercept_lr: learning rate of the intercept.

    Raises:
        ValueError: a feature or a rate cannot be used; the message says which.
    """

    def __init__(
        self, task: Task = "nowcast", *, features: Sequence[str] | None = None, lr: float = 0.01, intercept_lr: float = 0.01
    ) -> None:
        for name, rate in (("lr", lr), ("intercept_lr", intercept_lr)):
            if not 0.0 <= rate < np.inf:
                raise ValueError(f"{name} must be a number from 0 on, not {rate!r}")
        self.name = "logistic"
        self.task: Task = task
        self.features = inputs.for_task(inputs.FIVE, task) if features is None else tuple(features)
        self.lr = float(lr)
        self.intercept_lr = float(intercept_lr)
        self._codes = inputs.codes_of(self.features, task)
        self._take(fresh(len(self.features)))

    def _take(self, state: arrays.Arrays) -> None:
        self._state = state
        self._deviations = np.sqrt(state["variances"])

    def predict(self, rows: CleanRows) -> Probabilities:
        s = self._state
        out = np.empty(len(rows))
        _predict(inputs.matrix(rows, self._codes), s["means"], self._deviations, s["weights"], s["intercept"], out)
        return out

    def learn(self, rows: CleanRows, labels: Labels) -> None:
        s = self._state
        s["steps"][0] += _learn(
            inputs.matrix(rows, self._codes), labels, self.lr, self.intercept_lr,
            s["counts"], s["means"], s["variances"], self._deviations, s["weights"], s["intercept"],
        )  # fmt: skip

    def close_date(self, date: int) -> None:
        """Nothing is decided per date: every row is a step."""

    def _meta(self) -> dict[str, Any]:
        return {
            "model": self.name, "version": VERSION, "task": self.task, "features": list(self.features),
            "lr": self.lr, "intercept_lr": self.intercept_lr,
        }  # fmt: skip

    def to_bytes(self) -> bytes:
        return arrays.pack(self._state, self._meta())

    def from_bytes(self, state: bytes) -> None:
        self._take(read(state, self._meta(), len(self.features)))


def fresh(k: int) -> arrays.Arrays:
    """The state of a scaler and a logistic regression over k features which have learnt nothing.

    ``counts`` int64[k], ``means``, ``variances``, ``weights`` float64[k], ``intercept`` float64[1]; ``steps`` int64[1] is the rows learnt.
    """
    reals: dict[str, npt.NDArray[Any]] = {name: np.zeros(k) for name in ("means", "variances", "weights")}
    return reals | {"intercept": np.zeros(1), "counts": np.zeros(k, np.int64), "steps": np.zeros(1, np.int64)}


def read(state: bytes, meta: dict[str, Any], k: int) -> arrays.Arrays:
    """The arrays of `fresh` from packed bytes.

    Raises:
        arrays.BadState: the bytes are not such a state, or one of other metadata.
    """
    kept, found = arrays.unpack(state)
    if found != meta:
        raise arrays.BadState(f"the state is of {found}, not of {meta}: set the model back as it was, or start a new run")
    blank = fresh(k)
    wrong = sorted(kept.keys() ^ blank.keys()) or [
        name
        for name, array in blank.items()
        if kept[name].dtype != array.dtype or kept[name].shape != array.shape or not np.isfinite(kept[name]).all()
    ]
    if wrong or min(kept["variances"].min(), kept["counts"].min(), kept["steps"].min()) < 0:
        raise arrays.BadState(f"the state of {meta['model']!r} is damaged in {', '.join(wrong) or 'its counts or variances'}")
    return kept
