"""The row of `runs`: which run is trained, with which models, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from thundercast.adapters import rows
from thundercast.domain.runs import Run, RunState
from thundercast.domain.tables import RUNS
from thundercast.stage.outbox import Row

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def run_accounts(
    find_run: Callable[[str], Run | None], *, models: Sequence[str], tasks: Sequence[str]
) -> Callable[[str, RunState], list[Row]]:
    """Makes what the stage loop calls to say what has become of a run.

    The row goes through the loop's outbox, so it is written once the checkpoint holds what it says, whenever the process ends.

    Args:
        find_run: a run's manifest by its id; of a run without one nothing can be said.
    """

    def account(run_id: str, state: RunState) -> list[Row]:
        run = find_run(run_id)
        if run is None:
            _log.warning("run without a manifest", run_id=run_id)
            return []
        row = rows.run_row(run, state=state, models=models, tasks=tasks)
        return [(RUNS.name, row | {"start_date": run.start.isoformat(), "end_date": run.end.isoformat()})]

    return account
