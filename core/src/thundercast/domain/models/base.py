"""The protocol of an online model."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from thundercast.domain.rows import CleanRows

Task = Literal["nowcast", "dayahead"]
Probabilities = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


class Model(Protocol):
    """Predicts the rows of a date with what it learnt of earlier dates, then learns them, then closes the date.

    The order of calls for a date is: any number of ``predict`` (each with some of the date's rows), one ``learn``
    with all of them sorted by station, one ``close_date``. ``predict`` changes nothing that can be seen: the same
    rows get the same probabilities until the next ``learn``, however they are split into calls.
    """

    name: str
    task: Task

    def predict(self, rows: CleanRows) -> Probabilities:
        """float64[n], P(thunder) of each row's label, strictly between 0 and 1.

        For ``nowcast`` the label is the row's own, which must not be looked at. For ``dayahead`` it is the next
        date's; ``rows.label`` is then today's and may be used, and ``rows`` is the whole date.
        """
        ...

    def learn(self, rows: CleanRows, labels: Labels) -> None:
        """Learns row by row, in order. ``labels`` int8[n]; rows with `rows.UNKNOWN` are passed over."""
        ...

    def close_date(self, date: int) -> None:
        """Decides what is decided per date: bins, neighbourhood aggregates, drift. ``date`` is that of the rows learnt."""
        ...

    def to_bytes(self) -> bytes:
        """Canonical state: equal models give equal bytes (`arrays.pack`)."""
        ...

    def from_bytes(self, state: bytes) -> None:
        """Replaces the state.

        Raises:
            arrays.BadState: the bytes are of another model, version or configuration.
        """
        ...
