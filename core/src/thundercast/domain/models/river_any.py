"""Any River classifier by import path, say ``river.tree.HoeffdingAdaptiveTreeClassifier(grace_period=100)``.

The classifier gets all the numbers of a clean row by name, without those that are null. A class of one's own that
extends ``river.base.Classifier`` serves as well, so a pipeline or an ensemble comes in as a class that holds it.

River has no canonical state but its pickle, and reading a pickle runs what is in it. So a state is written and read
only where ``models.allow_pickle`` is set, and only signed (HMAC-SHA256) with a key of our own. A backtest keeps no state.
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import importlib
import inspect
import pickle
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
import river
from river import base

from thundercast.domain import arrays
from thundercast.domain.models import inputs
from thundercast.domain.models.base import Labels, Probabilities, Task
from thundercast.domain.rows import CleanRows

VERSION: Final = 1
SEED: Final = 1
"""The ``seed`` of classifiers that take one and were not given any: a run must come out the same twice."""
KEY_BYTES: Final = 16
"""The shortest key that signs a state."""
_PROTOCOL: Final = 5


class PickleForbidden(Exception):
    """The state of a River classifier was to be written or read where that is not allowed."""


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Import path and parameters of ``package.module.Class(parameter=literal, …)``; nothing in it is run.

    >>> parse("river.linear_model.LogisticRegression(l2=0.1)")
    ('river.linear_model.LogisticRegression', {'l2': 0.1})

    Raises:
        ValueError: the text is anything else.
    """
    form = "expected package.module.Class or package.module.Class(parameter=value, …)"
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"cannot read the model {text!r}: {error}; {form}") from error
    parameters: dict[str, Any] = {}
    if isinstance(node, ast.Call):
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise ValueError(f"cannot read the model {text!r}: each parameter must be named; {form}")
        for keyword in node.keywords:
            if keyword.arg in parameters:
                raise ValueError(f"cannot read the model {text!r}: {keyword.arg!r} is given twice")
            try:
                parameters[str(keyword.arg)] = ast.literal_eval(keyword.value)
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"cannot read the model {text!r}: {keyword.arg!r} is not a plain value (number, text, list, True, None, …)"
                ) from error
        node = node.func
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or not path:
        raise ValueError(f"cannot read the model {text!r}: {form}")
    return ".".join([node.id, *path]), parameters


def _class_at(path: str) -> Any:
    """The River classifier's class at an import path.

    Raises:
        ValueError: there is none, or it is not a classifier of one label that gives probabilities.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"cannot import {module_name!r} for the model {path!r}: {error}") from error
    if not hasattr(module, name):
        near = get_close_matches(name, dir(module), n=3)
        raise ValueError(f"{module_name!r} has no {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))
    named = getattr(module, name)
    # Asked before anything is called: an import path must not become a way to call any function.
    if not (isinstance(named, type) and issubclass(named, base.Classifier)):
        raise ValueError(f"{path!r} is not a River classifier (a class that extends river.base.Classifier)")
    kind: Any = named
    if inspect.isabstract(kind):
        missing = ", ".join(sorted(kind.__abstractmethods__))
        raise ValueError(f"{path!r} is abstract (it leaves {missing} open); name one of the classes that extend it")
    if kind.predict_proba_one is base.Classifier.predict_proba_one:
        raise ValueError(f"{path!r} gives labels but no probabilities, which the scores need")
    return kind


def _instance(path: str, parameters: dict[str, Any]) -> Any:
    kind = _class_at(path)
    accepted = inspect.signature(kind).parameters
    if "seed" in accepted:
        parameters = {"seed": SEED} | parameters
    needed = [p.name for p in accepted.values() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [name for name in needed if name not in parameters]
    if missing:
        raise ValueError(
            f"{path!r} needs the parameter {missing[0]!r}; where that is another model, "
            "write a class that extends river.base.Classifier and holds both, and name its import path"
        )
    try:
        classifier = kind(**parameters)
    except Exception as error:  # whatever another's constructor says is about the parameters or the installation
        raise ValueError(f"{path!r} cannot be made with {parameters}: {error}; it takes {', '.join(accepted)}") from error
    for tag, what in ((base.tags.TEXT_INPUT, "text"), (base.tags.POSITIVE_INPUT, "numbers that are never negative")):
        if tag in classifier._tags:
            raise ValueError(f"{path!r} takes {what}; station-days are numbers of both signs")
    return classifier


class RiverClassifier:
    """A River classifier as a model. ``predict`` changes nothing as far as the classifier's ``predict_proba_one`` keeps to that.

    Args:
        spec: import path, with parameters in brackets if it needs any (`parse`). It is the model's name, too.
        task: nowcast or dayahead.
        allow_pickle: whether the state may be written and read.
        hmac_key: signs it; at least `KEY_BYTES` bytes.

    Raises:
        ValueError: the classifier cannot be made, or the key is missing or short; the message says which and why.
    """

    def __init__(self, spec: str, task: Task = "nowcast", *, allow_pickle: bool = False, hmac_key: bytes | None = None) -> None:
        if allow_pickle and (hmac_key is None or len(hmac_key) < KEY_BYTES):
            raise ValueError(f"models.allow_pickle needs a key of at least {KEY_BYTES} bytes to sign the state with")
        self.name = spec.strip()
        self.task: Task = task
        self.features = inputs.for_task(inputs.EVERYTHING, task)
        self._codes = inputs.codes_of(self.features, task)
        self._key = hmac_key if allow_pickle else None
        self._classifier = _instance(*parse(spec))

    def predict(self, rows: CleanRows) -> Probabilities:
        ask = self._classifier.predict_proba_one
        p = np.empty(len(rows))
        for i, x in enumerate(inputs.mappings(self.features, inputs.matrix(rows, self._codes))):
            answer = ask(x)
            # No answer is no opinion, which is what River's trees say before they have seen anything.
            p[i] = answer.get(True, 0.0) if answer else 0.5
        if np.isnan(p).any():
            raise ArithmeticError(f"the model {self.name!r} gave no number as the probability of a row; it cannot be used on these data")
        return inputs.inside(p)

    def learn(self, rows: CleanRows, labels: Labels) -> None:
        teach = self._classifier.learn_one
        for x, y in zip(inputs.mappings(self.features, inputs.matrix(rows, self._codes)), labels.tolist(), strict=True):
            if y >= 0:
                teach(x, y == 1)

    def close_date(self, date: int) -> None:
        """Nothing is decided per date; a River classifier watches for drift by itself, row by row."""

    def _meta(self) -> dict[str, Any]:
        return {"model": self.name, "version": VERSION, "task": self.task, "river": river.__version__}

    def _signing_key(self, verb: str) -> bytes:
        if self._key is None:
            raise PickleForbidden(
                f"the state of {self.name!r} can only be {verb} as a pickle: set models.allow_pickle and its key, "
                "or use this model in backtests only"
            )
        return self._key

    def _signature(self, key: bytes, pickled: Any, meta: dict[str, Any]) -> bytes:
        return hmac.new(key, arrays.pack({"pickle": pickled}, meta), hashlib.sha256).digest()

    def to_bytes(self) -> bytes:
        """The signed pickle. Unlike the other models' bytes it is not canonical: equal classifiers may differ in it.

        Raises:
            PickleForbidden: ``models.allow_pickle`` is not set.
        """
        key = self._signing_key("written")
        pickled = np.frombuffer(pickle.dumps(self._classifier, protocol=_PROTOCOL), np.uint8)
        signature = np.frombuffer(self._signature(key, pickled, self._meta()), np.uint8)
        return arrays.pack({"pickle": pickled, "signature": signature}, self._meta())

    def from_bytes(self, state: bytes) -> None:
        """Replaces the state, once the signature has been found to be ours.

        Raises:
            arrays.BadState: not a state of this model and of this version of River, or not signed with this key.
            PickleForbidden: ``models.allow_pickle`` is not set.
        """
        key = self._signing_key("read")
        kept, meta = arrays.unpack(state)
        if meta != self._meta():
            raise arrays.BadState(f"the state is of {meta}, not of {self._meta()}: set the model back as it was, or start a new run")
        if kept.keys() != {"pickle", "signature"} or not hmac.compare_digest(
            kept["signature"].tobytes(), self._signature(key, kept["pickle"], meta)
        ):
            raise arrays.BadState(f"the state of {self.name!r} was not signed with this key: it is not ours, or it was changed")
        self._classifier = pickle.loads(kept["pickle"].tobytes())  # noqa: S301 - signed by us
