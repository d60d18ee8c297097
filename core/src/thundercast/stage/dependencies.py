"""Effects on what may not answer."""

from __future__ import annotations

from collections.abc import Callable

from thundercast.stage.protocols import Unavailable


class Dependencies:
    """Has effects outside and keeps note of who did not answer.

    Nothing is tried again here: the loop comes by in its next turn, and is turned away until the pause is over.

    Args:
        monotonic: seconds.
        retry_after: pause before a dependency that did not answer is asked again.
        require_leadership: raises if this process may not have effects any more.
    """

    def __init__(self, monotonic: Callable[[], float], retry_after: float, require_leadership: Callable[[], None]) -> None:
        self._monotonic = monotonic
        self._retry_after = retry_after
        self._require_leadership = require_leadership
        self._away: dict[str, tuple[float, str]] = {}
        self.last_error = ""

    def attempt(self, dependency: str, effect: Callable[[], None]) -> bool:
        """Whether the effect was had; False if the dependency does not answer, or did not a moment ago."""
        now = self._monotonic()
        if dependency in self._away and now < self._away[dependency][0]:
            return False
        self._require_leadership()
        try:
            effect()
        except Unavailable as error:
            self._away[dependency] = (now + self._retry_after, str(error))
            self.last_error = f"{dependency}: {error}"
            return False
        self._away.pop(dependency, None)
        return True

    def forgive(self) -> None:
        """Asks everybody again at once."""
        self._away.clear()

    @property
    def away(self) -> dict[str, str]:
        """Who does not answer, and why."""
        return {dependency: error for dependency, (_, error) in self._away.items()}

    @property
    def in_words(self) -> str:
        """The same for people; empty if all answer."""
        return "; ".join(f"{dependency} ({error})" for dependency, error in self.away.items())
