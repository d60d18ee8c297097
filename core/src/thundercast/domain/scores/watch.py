"""What is watched from date to date: which model leads, and whether a model's probabilities still fit what happens.

Both are decided when a date closes, from the sums of its rows, and become rows of the table `model_events`.

*Champion.* The one to go by changes only by a paired test over blocks of days. Once `BLOCKS` blocks of `BLOCK` dates are
there, and again at the end of each block, each other model's Brier score is taken from the champion's, block by block; with the
mean d and the standard deviation s of these differences, t = d / (s / √`BLOCKS`). The greatest t above `T` changes the
champion, and the blocks begin anew. Blocks, because one day's weather is much like the next's; so rare a level, because it is
asked about 36 times a year.

*Drift.* With Y thunders on a date and E the sum of a model's probabilities, x = ln((Y + ½) / (E + ½)) is above 0 where more
happens than was said. Two cumulative sums (Page 1954) of z, which is x standardised by the dates since the start or the last
drift, grow while z stays above `SLACK`, or below minus that; the first above `LIMIT` is a drift. A model that learns on ends
most of them by itself, within days; a drift says that it did not keep up.

Sources:
    Page, E. S. (1954): Continuous inspection schemes. Biometrika 41, 100–115.
    Diebold, F. X. and Mariano, R. S. (1995): Comparing predictive accuracy. J. Bus. Econ. Stat. 13, 253–263, on pairing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from thundercast.domain import runs
from thundercast.domain.arrays import Arrays, BadState
from thundercast.domain.models.base import Task
from thundercast.domain.scores import tally
from thundercast.domain.scores.champion import BASELINE, first_champion

VERSION: Final = 1
BLOCK: Final = 10
"""Dates with rows in a block."""
BLOCKS: Final = 12
T: Final = 4.025
"""Student's t with 11 degrees of freedom is above it once in a thousand times."""
WARM: Final = 60
"""Dates that mean and standard deviation are first taken from."""
SLACK: Final = 0.5
LIMIT: Final = 12.0
CLIP: Final = 4.0
"""A date counts as at most so many standard deviations: one wild day is no drift."""

Event = dict[str, Any]
"""A row of `model_events` without ``run_id`` and ``written_at``."""
Direction = Literal["more", "less"]

_N, _MEAN, _M2, _UP, _DOWN, _SINCE_UP, _SINCE_DOWN, _TOTAL = range(8)


class Watch:
    """Watches the models of one task.

    Args:
        names: of the models, the baseline among them.

    >>> rng = np.random.default_rng(1)
    >>> watch, events = Watch("nowcast", ["worse", "better", "climatology"]), []
    >>> watch.champion
    'better'
    >>> watch.appoint("worse")
    >>> for day in range(20_000, 20_130):
    ...     sums = np.zeros((3, tally.WIDTH))
    ...     sums[:, tally.ROWS], sums[:, tally.POSITIVES] = 1000, 50
    ...     sums[:, tally.BRIER] = rng.normal([40, 38, 47], 1)
    ...     sums[:, tally.RELIABILITY + 1] = rng.normal(50, 5, 3)
    ...     events += watch.close(day, sums)
    >>> [(event["date"], event["event"], event["model_name"]) for event in events]
    [('2025-01-31', 'champion', 'better')]
    """

    def __init__(self, task: Task, names: Sequence[str]) -> None:
        self.task: Final = task
        self.names: Final = tuple(names)
        self._champion = self.names.index(first_champion(names))
        self._rows: list[float] = []
        self._briers: list[npt.NDArray[np.float64]] = []
        self._drift = np.zeros((len(self.names), 8))

    @property
    def champion(self) -> str:
        """The model to go by."""
        return self.names[self._champion]

    def appoint(self, name: str) -> None:
        """Makes a model the champion without a test."""
        self._champion = self.names.index(name)

    def follow(self, name: str, date: int) -> list[Event]:
        """Begins with the champion of the run before; tells of it where another would have led."""
        if name == self.champion:
            return []
        before = self.champion
        self.appoint(name)
        return [self._event(date, name, "champion", instead_of=before, led_before=True)]

    def drifts(self) -> dict[str, int]:
        """How often each model has drifted, the baseline left out."""
        return {name: int(self._drift[m, _TOTAL]) for m, name in enumerate(self.names) if name != BASELINE}

    def close(self, date: int, sums: npt.NDArray[np.float64]) -> list[Event]:
        """Takes in a date.

        Args:
            date: of the labels, days since 1970-01-01.
            sums: float64[models, WIDTH], the sums of the date's rows (`tally`).

        Returns:
            What it decided; nothing for a date without rows.
        """
        if not sums[0, tally.ROWS]:
            return []
        events = [event for m, name in enumerate(self.names) if name != BASELINE and (event := self._drifted(date, m, sums[m]))]
        return events + self._tested(date, sums)

    def _event(self, date: int, name: str, event: str, **detail: Any) -> Event:
        return {
            "date": runs.day(date).isoformat(), "task": self.task, "model_name": name, "event": event,
            "detail": json.dumps(detail, sort_keys=True),
        }  # fmt: skip

    # --- drift ------------------------------------------------------------------------------------------------

    def _drifted(self, date: int, m: int, sums: npt.NDArray[np.float64]) -> Event | None:
        state = self._drift[m]
        said = float(sums[tally.RELIABILITY + 1 :: 3].sum())
        x = math.log((float(sums[tally.POSITIVES]) + 0.5) / (said + 0.5))
        n, mean, m2 = state[_N], state[_MEAN], state[_M2]
        if n >= WARM and m2 > 0.0:
            z = min(max((x - mean) / math.sqrt(m2 / (n - 1)), -CLIP), CLIP)
            for cumulative, since, toward in ((_UP, _SINCE_UP, z), (_DOWN, _SINCE_DOWN, -z)):
                if not state[cumulative]:
                    state[since] = date
                state[cumulative] = max(0.0, state[cumulative] + toward - SLACK)
            up, down = state[_UP] > LIMIT, state[_DOWN] > LIMIT
            if up or down:
                direction: Direction = "more" if up else "less"
                began = runs.day(int(state[_SINCE_UP if up else _SINCE_DOWN])).isoformat()
                total = state[_TOTAL] + 1.0
                state[:] = 0.0
                state[_TOTAL] = total
                return self._event(date, self.names[m], "drift", happens=direction, since=began)
        n += 1.0
        apart = x - mean
        state[_N], state[_MEAN] = n, mean + apart / n
        state[_M2] = m2 + apart * (x - state[_MEAN])
        return None

    # --- champion ---------------------------------------------------------------------------------------------

    def _tested(self, date: int, sums: npt.NDArray[np.float64]) -> list[Event]:
        self._rows.append(float(sums[0, tally.ROWS]))
        self._briers.append(sums[:, tally.BRIER].copy())
        if len(self._rows) < BLOCK * BLOCKS:
            return []
        rows = np.array(self._rows).reshape(BLOCKS, BLOCK).sum(axis=1)
        briers = np.array(self._briers).reshape(BLOCKS, BLOCK, -1).sum(axis=1) / rows[:, None]
        above = briers[:, self._champion, None] - briers
        mean, apart = above.mean(axis=0), above.std(axis=0, ddof=1)
        found = []
        for m, name in enumerate(self.names):
            if name == BASELINE or m == self._champion or mean[m] <= 0.0:
                continue
            t = float(mean[m] / (apart[m] / math.sqrt(BLOCKS))) if apart[m] else math.inf
            if t > T:
                found.append((t, m))
        if not found:
            del self._rows[:BLOCK], self._briers[:BLOCK]
            return []
        t, best = max(found, key=lambda item: (item[0], -item[1]))
        before, self._champion = self.champion, best
        self._rows, self._briers = [], []
        return [
            self._event(
                date, self.champion, "champion", instead_of=before, brier_better_by=float(mean[best]), t=t if math.isfinite(t) else None
            )
        ]

    # --- state ------------------------------------------------------------------------------------------------

    def arrays(self) -> Arrays:
        """The state."""
        return {
            "version": np.array(VERSION, np.int64),
            "champion": np.array(self._champion, np.int64),
            "rows": np.array(self._rows, np.float64),
            "briers": np.array(self._briers, np.float64).reshape(-1, len(self.names)),
            "drift": self._drift.copy(),
        }

    def restore(self, arrays: Arrays) -> None:
        """Replaces the state.

        Raises:
            BadState: it is of another version, or of other models.
        """
        version = arrays.get("version")
        if version is None or int(version) != VERSION or arrays["drift"].shape != self._drift.shape:
            raise BadState(f"what is watched has version {version}, this program reads {VERSION}: start a new run")
        self._champion = int(arrays["champion"])
        self._rows, self._briers = arrays["rows"].tolist(), list(arrays["briers"].copy())
        self._drift = arrays["drift"].copy()
