"""`river-logistic`: River's own scaler and logistic regression on the seed's five features. Reference and oracle.

The reference is the pipeline ``StandardScaler() | LogisticRegression()`` with River's defaults, asked with
``predict_proba_one`` and taught with ``learn_one``. In River 0.26 a pipeline's ``predict_proba_one`` transforms and
teaches nothing (``compose.learn_during_predict`` would change that); ``learn_one`` teaches the scaler the row first, then
transforms the row with the scaler so taught, and teaches the regression that. What a row does not have is not in its
mapping: River passes over it in the scaler, in the logit and in the step, as if it were the scaler's mean so far.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from river import compose, linear_model, preprocessing, utils

from thundercast.domain import arrays
from thundercast.domain.models import inputs, logistic
from thundercast.domain.models.base import Labels, Probabilities, Task
from thundercast.domain.rows import CleanRows

VERSION: Final = 1


class RiverLogistic:
    """River's pipeline, for one task; for ``dayahead`` today's label is a sixth feature.

    Its bytes are named arrays by feature, never a pickle: they do not depend on the order in which River met the
    features, nor on the zeros that River's default mappings grow when they are asked.
    """

    def __init__(self, task: Task = "nowcast") -> None:
        self.name = "river-logistic"
        self.task: Task = task
        self.features = inputs.for_task(inputs.FIVE, task)
        self._codes = inputs.codes_of(self.features, task)
        self._build()

    def _build(self) -> None:
        self._scaler = preprocessing.StandardScaler()
        self._regression = linear_model.LogisticRegression()
        self._pipeline = compose.Pipeline(self._scaler, self._regression)

    def predict(self, rows: CleanRows) -> Probabilities:
        ask = self._pipeline.predict_proba_one
        p = [ask(x)[True] for x in inputs.mappings(self.features, inputs.matrix(rows, self._codes))]
        return inputs.inside(np.array(p, np.float64))

    def learn(self, rows: CleanRows, labels: Labels) -> None:
        teach = self._pipeline.learn_one
        for x, y in zip(inputs.mappings(self.features, inputs.matrix(rows, self._codes)), labels.tolist(), strict=True):
            if y >= 0:
                teach(x, y == 1)

    def close_date(self, date: int) -> None:
        """Nothing is decided per date: every row is a step."""

    def _meta(self) -> dict[str, Any]:
        return {"model": self.name, "version": VERSION, "task": self.task, "features": list(self.features)}

    def to_bytes(self) -> bytes:
        weights = self._regression.weights
        by_feature = {"counts": self._scaler.counts, "means": self._scaler.means, "variances": self._scaler.vars, "weights": weights}
        state = logistic.fresh(len(self.features))
        for name, values in by_feature.items():
            state[name][:] = [values.get(feature, 0) for feature in self.features]
        state["intercept"][0] = self._regression.intercept
        state["steps"][0] = self._regression.optimizer.n_iterations
        return arrays.pack(state, self._meta())

    def from_bytes(self, state: bytes) -> None:
        kept = logistic.read(state, self._meta(), len(self.features))
        counts, means, variances, weights = (
            dict(zip(self.features, kept[name].tolist(), strict=True)) for name in ("counts", "means", "variances", "weights")
        )
        self._build()
        self._scaler.counts.update(counts)
        self._scaler.means.update(means)
        self._scaler.vars.update(variances)
        # River has no public way to set the weights of a regression.
        self._regression._weights = utils.VectorDict(weights)
        self._regression.intercept = float(kept["intercept"][0])
        self._regression.optimizer.n_iterations = int(kept["steps"][0])
