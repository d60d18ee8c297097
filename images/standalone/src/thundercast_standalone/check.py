"""What `helm test` and `skaffold verify` run beside a trainer: scores go on, and predictions are served. Publishes nothing.

    python -m thundercast_standalone.check TRAINER SECONDS [PAGE ...]

TRAINER is the address of its API, http://HOST:PORT; each PAGE must answer `ok`. Exit codes: 0 done, 1 failed, 2 usage.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, Final

_ANSWERS_WITHIN: Final = 10.0  # s
_PAUSE: Final = 1.0  # s


class Failed(Exception):
    """It is not as it should be; the message says what."""


class Trainer:
    """A trainer's API."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    def ask(self, path: str, body: Any = None) -> Any:
        """What it answers.

        Raises:
            Failed: it does not answer, or refuses; with what it says.
        """
        return json.loads(fetch(f"{self.address}{path}", body))

    def newest(self) -> tuple[str, str]:
        """The current run, and the date of its newest score (empty if it has none)."""
        found = self.ask("/v1/scores")
        return found["run_id"], max((score["date"] for score in found["scores"]), default="")


def fetch(address: str, body: Any = None) -> bytes:
    """The body of an answer; a given body is sent as JSON.

    Raises:
        Failed: nobody answers, or with an error.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers={"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_ANSWERS_WITHIN) as answer:  # noqa: S310
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise Failed(f"{address}: {error.code} {error.read(500).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise Failed(f"{address}: {error}") from error


def goes_on(trainer: Trainer, seconds: float) -> tuple[str, str]:
    """Waits until the current run has a newer score than at first, or is over; the run, and the date of its newest score.

    Raises:
        Failed: it has none when the seconds have passed.
    """
    until, first, problem = time.monotonic() + seconds, None, "nothing was asked"
    while time.monotonic() < until:
        try:
            seen, status = trainer.newest(), trainer.ask("/v1/status")
        except Failed as failed:
            problem = str(failed)
        else:
            first = first or (seen if seen[1] else None)
            # A newer row of the run, or the run is over and there will be none.
            if first is not None and (seen > first or status["completed"]):
                return seen
            problem = f"run {seen[0]} has had no newer score than that of {seen[1] or 'no date'}"
        time.sleep(_PAUSE)
    raise Failed(f"no new score within {seconds:g} s: {problem}")


def check(trainer: Trainer, seconds: float, pages: Sequence[str]) -> None:
    """Says what it finds, line by line.

    Raises:
        Failed: something is not as it should be.
    """
    run, date = goes_on(trainer, seconds)
    print(f"run {run}: scores up to {date}")  # noqa: T201
    print(f"models: {json.dumps(trainer.ask('/v1/model')['models'])[:300]}")  # noqa: T201
    # A station that nobody knows is answered, too, by row: no data is needed to see that predictions are served.
    answer = trainer.ask("/v1/predict", {"rows": [{"station": "99999999999"}]})
    if not answer["run_id"] or len(answer["rows"]) != 1:
        raise Failed(f"{trainer.address}/v1/predict: one row was asked for, the answer is {answer}")
    print("predictions are served")  # noqa: T201
    for page in pages:
        said = fetch(page).strip()
        if said != b"ok":
            raise Failed(f"{page}: it says {said[:200]!r}, not ok")
        print(f"{page} answers")  # noqa: T201


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        address, seconds, *pages = words
        patience = float(seconds)
    except ValueError:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    try:
        check(Trainer(address), patience, pages)
    except Failed as failed:
        print(f"check: {failed}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
