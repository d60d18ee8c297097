"""What is counted while it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Level:
    """A number that changes in steps, with its mean over time since ``since`` and its course.

    >>> level = Level()
    >>> level.set(2, now=1.0); level.set(0, now=3.0)
    >>> level.mean(4.0)
    1.0
    """

    value: float = 0.0
    since: float = 0.0
    most: float = 0.0
    course: list[tuple[float, float]] = field(default_factory=list)
    _area: float = 0.0
    _changed: float = 0.0

    def set(self, value: float, now: float) -> None:
        self._area += self.value * max(0.0, now - max(self._changed, self.since))
        self.value, self._changed = value, now
        if now >= self.since:
            self.most = max(self.most, value)
        self.course.append((now, value))

    def add(self, by: float, now: float) -> None:
        self.set(self.value + by, now)

    def mean(self, now: float) -> float:
        whole = now - self.since
        return (self._area + self.value * max(0.0, now - max(self._changed, self.since))) / whole if whole > 0 else math.nan


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed; NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(slots=True)
class Journey:
    """A batch's times: published, begun and ended in the trainer."""

    seq: int
    published: float
    begun: float
    ended: float
