"""A trainer's API over HTTP, with a stream behind it that the test drives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry

from thundercast.adapters.folder import FolderObjects
from thundercast.adapters.metrics import Metrics
from thundercast.adapters.service import serving
from thundercast.stage.status import LoopStatus
from thundercast_trainer.api import api_routes
from thundercast_trainer.auth import Anyone, Verifier
from thundercast_trainer.kept import Kept
from thundercast_trainer.problems import BODY_LIMIT
from thundercast_trainer.push import PushSubscription, push_route
from unit.trainer.scene import Trainer, stream


@dataclass
class Served:
    """A trainer and where it is served."""

    trainer: Trainer
    door: PushSubscription
    url: str = ""
    reasons: dict[str, str] = field(default_factory=dict)
    loop: LoopStatus = field(default_factory=lambda: LoopStatus(component="trainer"))

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=60)

    def ask(self, body: Any) -> requests.Response:
        return requests.post(f"{self.url}/v1/predict", json=body, timeout=60)


@contextmanager
def serve(trainer: Trainer, verifier: Verifier | None = None) -> Iterator[Served]:
    """Serves until the block ends."""
    exposed = CollectorRegistry()
    collected = Metrics(exposed, version="test")
    folder = TemporaryDirectory()
    served = Served(trainer, PushSubscription(Kept(FolderObjects(Path(folder.name)))))
    routes = [
        *api_routes(trainer.step.snapshot, lambda: served.loop, collected),
        push_route(served.door, verifier or Anyone(), leads=lambda: served.loop.leader),
    ]
    with serving(host="127.0.0.1", port=0, readiness=lambda: served.reasons, exposed=exposed, more=routes, limit=BODY_LIMIT) as port:
        served.url = f"http://127.0.0.1:{port}"
        try:
            yield served
        finally:
            served.door.close()
            folder.cleanup()


@pytest.fixture
def fresh() -> Iterator[Served]:
    """Before the first date."""
    with serve(Trainer(stream(6))) as found:
        yield found


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """After five dates of six. Tests leave it as it is."""
    trainer = Trainer(stream(6))
    trainer.go_on(5)
    with serve(trainer) as found:
        yield found
