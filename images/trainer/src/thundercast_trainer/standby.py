"""Serving without leading: the newest checkpoint, read again whenever there is a newer one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from thundercast.stage import recovery
from thundercast.stage.protocols import BadCheckpoint, CheckpointStore, Unavailable
from thundercast_trainer.serving import ServedStep, Snapshot

COMPONENT: Final = "trainer"
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Standby:
    """Looks for a newer checkpoint from a thread of its own.

    Args:
        open_checkpoints: a store of its own: reading must not move what a leader has read.
        make_step: a new step, for a checkpoint to be restored into.
        every: seconds between two looks at HEAD.
        component: whose checkpoints they are.
    """

    def __init__(
        self,
        open_checkpoints: Callable[[], CheckpointStore],
        make_step: Callable[[], ServedStep],
        *,
        every: float = 10.0,
        component: str = COMPONENT,
    ) -> None:
        self._open = open_checkpoints
        self._make_step = make_step
        self._every = every
        self._component = component
        self._store: CheckpointStore | None = None
        self._number = 0
        self._step: ServedStep | None = None
        self._stopping = threading.Event()
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why the newest checkpoint could not be read at the last look; empty if it could, or there is none."""
        return self._trouble

    @property
    def loaded(self) -> bool:
        """Whether predictions can be served."""
        return self._step is not None

    def snapshot(self) -> Snapshot | None:
        """What the checkpoint read last holds; None if there is none. From any thread."""
        step = self._step
        return step.snapshot() if step is not None else None

    def look(self) -> bool:
        """Reads the newest checkpoint if HEAD names another one than at the last look; whether it did.

        What was served before goes on being served when the store does not answer or the checkpoint cannot be used.
        """
        try:
            if self._store is None:
                self._store = self._open()
            summary = self._store.summary()
            number = int(summary["number"]) if summary is not None else 0
            if number == self._number:
                self._say("")
                return False
            checkpoint = self._store.load()
            if checkpoint is None:
                return False
            step = self._make_step()
            recovery.restore(self._component, step, checkpoint, 0.0)
            step.snapshot()
        except (Unavailable, BadCheckpoint) as error:
            self._say(str(error))
            return False
        self._step, self._number = step, checkpoint.number
        self._say("")
        _log.info("standby follows", checkpoint=checkpoint.number)
        return True

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            _log.warning("standby cannot read the checkpoint", error=trouble)
        self._trouble = trouble

    @contextmanager
    def running(self) -> Iterator[Standby]:
        """Looks on and on until the block ends."""

        def work() -> None:
            self.look()
            while not self._stopping.wait(self._every):
                self.look()

        self._stopping.clear()
        thread = threading.Thread(target=work, name="standby", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            thread.join()
