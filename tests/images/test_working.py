"""Parts that work in their containers: at once, and until they are told to end."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import emulators
from images.containers import Container, Image
from integration.distributed import scene
from integration.distributed.scene import Names
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.places import open_checkpoints
from thundercast.adapters.settings import CloudSettings

Get = Callable[[str], Image]
Start = Callable[..., AbstractContextManager["Working"]]
PLACE = "/var/lib/thundercast/checkpoints"
# No checkpoint but at the start of the run and at the end of the process.
SELDOM = {"THUNDERCAST_CHECKPOINT_MIN": "3600", "THUNDERCAST_CHECKPOINT_SECONDS": "3600", "THUNDERCAST_GAP_TIMEOUT": "7200"}
BATCHES = scene.DATES * scene.SHARDS - 1  # the last of the run does not come: it would make the run complete, and that a checkpoint


@dataclass
class Working:
    """A container with all that it needs, and where it keeps its checkpoints."""

    container: Container
    url: str
    checkpoints: Path

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        lines = self.container.answer(f"{self.url}/metrics").decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def reaches(self, metric: str, value: float) -> None:
        """Waits until a metric has a value."""
        until = time.monotonic() + 90
        while (found := self.metric(metric)) < value:
            assert time.monotonic() < until, f"{metric} is {found}; the log:\n{self.container.said()[-3000:]}"
            time.sleep(0.1)

    def predictions(self, station: str) -> dict[str, object]:
        """What the trainer says about a station."""
        body = json.dumps({"rows": [{"station": station}]}).encode()
        request = urllib.request.Request(f"{self.url}/v1/predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            (row,) = json.load(answer)["rows"]
        found: dict[str, object] = row["predictions"]
        return found


def durable(part: Working, name: str) -> int:
    """The watermark of the newest checkpoint; 0 if there is none."""
    summary = open_checkpoints(str(part.checkpoints), name).summary()
    return int(summary.get("watermark", 0)) if summary else 0


@pytest.fixture
def working(image: Get, tmp_path: Path, pubsub_emulator: emulators.Running, bigquery_emulator: emulators.Running) -> Start:
    """Starts a part beside topics of its own, where the batches of three dates wait, but the last."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    names = Names(f"image-{tmp_path.name}", str(folder), re.sub(r"\W", "_", tmp_path.name))
    run = scene.a_run(1)
    names.make(run)
    ensure_tables(CloudSettings(project=scene.PROJECT, dataset=names.dataset, checkpoints=names.place))
    scene.publish(f"raw-{names.key}", scene.raw_messages(run)[:BATCHES])
    scene.publish(f"clean-{names.key}", scene.clean_messages(run)[:BATCHES])
    for path in (tmp_path, *tmp_path.parents):
        if path.is_relative_to("/tmp/pytest-of-root"):
            path.chmod(0o755)  # the user of the image comes through here
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    starts = 0

    @contextmanager
    def start(name: str, **more: str) -> Iterator[Working]:
        nonlocal starts
        starts += 1
        port = emulators.free_port()
        env = {**pubsub_emulator.env, **bigquery_emulator.env, **names.env, "THUNDERCAST_CHECKPOINTS": PLACE, "THUNDERCAST_PORT": str(port)}
        env |= {"NUMBA_DEBUG_CACHE": "1", **more}
        with image(name).running(tmp_path / f"{name}-{starts}.log", env=env, bind={folder: PLACE}) as container:
            yield Working(container, f"http://127.0.0.1:{port}", folder)

    return start


@pytest.mark.parametrize("name", ["cleaner", "trainer"])
def test_a_part_works_at_once_and_leaves_a_checkpoint_on_sigterm(name: str, working: Start) -> None:
    with working(name, **SELDOM) as part:
        part.reaches("thundercast_watermark_seq", BATCHES)
        if name == "trainer":
            assert part.predictions(str(scene.sample_dates()[0].rows.column("station")[0]))
        assert durable(part, name) < BATCHES
        assert part.container.terminate() == 0, part.container.said()[-3000:]
        said = part.container.said()
        assert said.count("data loaded from '/tmp/kernels/") > 5
        assert "data saved to" not in said
        assert durable(part, name) == BATCHES
    with working(name, **SELDOM) as part:
        part.reaches("thundercast_watermark_seq", BATCHES)  # of the checkpoint: there is no message that is not acked
        assert part.container.terminate() == 0


def test_the_simulator_publishes_at_once_and_ends_on_sigterm(working: Start) -> None:
    more = {"THUNDERCAST_START": str(scene.START), "THUNDERCAST_SOURCE": "sample", "THUNDERCAST_SPEED": "1"}
    with working("simulator", **more) as part:
        part.reaches("thundercast_batches_total", 2 * scene.SHARDS)
        assert part.container.terminate() == 0, part.container.said()[-3000:]
        said = part.container.said()
        assert said.count("data loaded from '/tmp/kernels/") > 0
        assert "data saved to" not in said


def test_kernels_that_are_not_those_of_the_image_are_compiled(working: Start) -> None:
    """So what the log says of kernels in the other tests means something."""
    with working("cleaner", THUNDERCAST_KERNELS="/nothing") as part:
        part.reaches("thundercast_watermark_seq", BATCHES)
        assert "data saved to '/tmp/kernels/" in part.container.said()
