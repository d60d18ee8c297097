"""The simulator publishes every batch of its run, whatever happens to it, and no faster than the trainer can follow."""

from __future__ import annotations

import datetime as dt
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
from google.cloud import pubsub_v1

import emulators
from integration.distributed import lives, proxy, scene
from integration.distributed.lives import Life, Lives, Scenarios
from integration.distributed.scene import Names
from integration.distributed.test_faults import LIFE
from thundercast.adapters.feeding import messages_of
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.places import open_manifests
from thundercast.adapters.settings import CloudSettings
from thundercast.adapters.sources import open_source
from thundercast.domain import tables
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.runs import Run

DATASET = "simulator_scenarios"
DATE = scene.SHARDS
"""Batches of a date."""

scenario = Scenarios()


@dataclass
class Own:
    """A scenario's own topics and place."""

    lives: Lives
    names: Names

    def simulator(self, *more: Mapping[str, str], days: int = scene.DATES, **how: Any) -> Life:
        end = scene.START + dt.timedelta(days=days - 1)
        env = {
            "THUNDERCAST_SOURCE": "sample", "THUNDERCAST_START": scene.START.isoformat(), "THUNDERCAST_END": end.isoformat(),
            "THUNDERCAST_SPEED": "max", "THUNDERCAST_PROGRESS_SECONDS": "0.01",
            "THUNDERCAST_CACHE": str(self.lives.folder / "cache"),
        }  # fmt: skip
        return self.lives.start("simulator", self.names.env, env, *more, **how)

    def part(self, part: str, **how: Any) -> Life:
        return self.lives.start(part, self.names.env, LIFE, **how)

    @property
    def run(self) -> Run:
        """The run under way."""
        manifest = open_manifests(self.names.place).read_manifest("current")
        assert manifest is not None
        return Run.from_json(manifest)

    @property
    def progress(self) -> int:
        """The seq that the simulator would go on with."""
        manifests = open_manifests(self.names.place)
        current = manifests.read_manifest("current")
        found = manifests.read_manifest(f"simulator-{current['run_id']}") if current else None
        return int(found["next_seq"]) if found else 0

    def published(self) -> list[Message]:
        """What the topic has got since this was asked last."""
        return scene.waiting(f"raw-{self.names.key}-s")

    def states(self) -> list[tuple[str, str]]:
        """States and details that the simulator has told the store, in order; none before there is a run."""
        if open_manifests(self.names.place).read_manifest("current") is None:
            return []
        rows = scene.stored(DATASET, tables.STATUS, self.run.run_id).sort_by("written_at").to_pylist()
        return [(row["state"], row["detail"]) for row in rows if row["component"] == "simulator"]


@dataclass
class Stage:
    """What scenarios share."""

    lives: Lives
    pubsub: emulators.Running

    def own(self, key: str, *, place: str = "", make: bool = True) -> Own:
        names = Names(key, place or str(self.lives.folder / key), DATASET)
        if make:
            names.make()
        return Own(self.lives, names)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pubsub_emulator: emulators.Running,
    bigquery_emulator: emulators.Running, storage_emulator: emulators.Running,
) -> Iterator[dict[str, Future[None]]]:  # fmt: skip
    ensure_tables(CloudSettings(project=scene.PROJECT, dataset=DATASET))
    scene.bucket()
    with (
        lives.forking(tmp_path_factory.mktemp("simulator")) as forked,
        scenario.running(request, Stage(forked, pubsub_emulator)) as running,
    ):
        yield running


def batches_of(run: Run) -> dict[int, bytes]:
    """Every batch that a run must publish, by seq."""
    source = open_source("sample", cache=scene.Path("/nonexistent"))
    source.open()
    messages = [message for day in source.dates(run.start, run.end) for message in messages_of(day, run)[0]]
    return {Attributes.from_text(message.attributes).seq: message.data for message in messages}


def seqs(messages: list[Message]) -> Counter[int]:
    return Counter(Attributes.from_text(message.attributes).seq for message in messages)


# --- killed and stopped -----------------------------------------------------------------------------------


@scenario
def killed_in_the_middle_of_publishing_several_times(stage: Stage) -> None:
    own = stage.own("sim-killed")
    published: list[Message] = []
    with proxy.before(stage.pubsub.ports["grpc"]) as between:
        by_proxy = {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{between.port}"}
        # A date in its batches, then its confirmation, each at another place of the stream.
        for after in (20_000, 60_000, 95_000):
            between.silence_after(after)
            simulator = own.simulator(by_proxy, {"THUNDERCAST_MAX_LEAD_DATES": "30"})
            simulator.until(lambda: between.silent, "the topic had gone silent")
            simulator.kill()
            between.go_on()
            published += own.published()
    between_deaths = own.progress
    assert between_deaths < 3 * DATE, "it was never killed in the middle"
    simulator = own.simulator()
    assert simulator.ended() == 0
    published += own.published()
    expected = batches_of(own.run)
    assert {Attributes.from_text(message.attributes).seq: message.data for message in published} == expected
    assert all(message.data == expected[Attributes.from_text(message.attributes).seq] for message in published)
    assert own.progress == 3 * DATE


@scenario
def killed_again_and_again_beside_cleaner_and_trainer(stage: Stage) -> None:
    own = stage.own("sim-chain")
    cleaner, trainer = own.part("cleaner"), own.part("trainer")
    with proxy.before(stage.pubsub.ports["grpc"]) as between:
        for direction in ("down", "up"):
            between.silence(direction)
            simulator = own.simulator({"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{between.port}"})
            # What it has sent, or what it was to be told, passes when it is dead.
            simulator.until(lambda life=simulator: life.ask("/healthz")[0] == 200, "it was there")
            time.sleep(2.0)
            simulator.kill()
            between.go_on()
    simulator = own.simulator()
    assert simulator.ended() == 0
    trainer.completes()
    for part in (cleaner, trainer):
        part.stop()
    expected = scene.expected(faulty=False)
    assert expected.same_rows(scene.found_rows(DATASET, own.run.run_id)) == []
    assert scene.checkpointed_models(own.names.place) == expected.models


@scenario
def on_sigterm_what_was_published_is_confirmed_and_its_progress_is_exact(stage: Stage) -> None:
    own = stage.own("sim-sigterm")
    # So slowly that a life never comes to the end, however long it takes to ask it.
    days, published = 28, list[Message]()
    for dates in (2, 4):
        # So rarely is progress written meanwhile that only the end can have written it.
        simulator = own.simulator({"THUNDERCAST_SPEED": "1", "THUNDERCAST_PROGRESS_SECONDS": "3600"}, days=days)
        simulator.until(lambda life=simulator, n=dates: life.metric("thundercast_watermark_seq") >= n * DATE, f"{dates} dates were out")
        simulator.stop()
        published += own.published()
        assert own.progress == len(published) < days * DATE
        assert own.states()[-1][0] == "stopped"
    simulator = own.simulator(days=days)
    assert simulator.ended() == 0
    published += own.published()
    assert seqs(published) == Counter(range(days * DATE)), "nothing is lost, and here nothing was published twice"
    assert own.states()[-1][0] == "completed"


# --- start order and settings -----------------------------------------------------------------------------


@scenario
def started_before_bootstrap_it_waits_and_says_for_what(stage: Stage) -> None:
    bucket = "thundercast-not-yet"
    own = stage.own("sim-early", place=f"gs://{bucket}/early", make=False)
    simulator = own.simulator()

    def waits_for(what: str) -> Callable[[], bool]:
        return lambda: what in (said := simulator.reasons()) and "`thundercast bootstrap` makes it" in said

    simulator.until(waits_for(f"bucket gs://{bucket} does not exist"), "it said that there is no bucket")
    assert simulator.ask("/readyz")[0] == 503
    scene.ensure_bucket(CloudSettings(project=scene.PROJECT, checkpoints=own.names.place))
    topic, subscription = (f"projects/{scene.PROJECT}/{kind}" for kind in ("topics/raw-sim-early", "subscriptions/raw-sim-early-s"))
    simulator.until(waits_for(f"topic {topic} does not exist"), "it said that there is no topic")
    publisher = pubsub_v1.PublisherClient()
    publisher.create_topic(name=topic)
    simulator.until(waits_for(f"subscription {subscription} does not exist"), "it said that there is no subscription")
    assert own.progress == 0
    publisher.delete_topic(topic=topic)
    publisher.stop()
    publisher.transport.close()
    own.names.make()
    assert simulator.ended() == 0
    assert seqs(own.published()) == Counter(range(3 * DATE)), "what is published before there is a subscription is lost"


@scenario
def other_settings_while_a_run_is_under_way_are_refused_and_a_new_run_can_be_had(stage: Stage) -> None:
    own = stage.own("sim-settings")
    simulator = own.simulator({"THUNDERCAST_SPEED": "0.1"})
    simulator.until(lambda: own.progress >= DATE, "a date was out")
    simulator.stop()
    first = own.run
    others: list[dict[str, str]] = [
        {"THUNDERCAST_SHARDS": "8"},
        {"THUNDERCAST_SOURCE": "synthetic:40,start=2022-05-01"},
        {"THUNDERCAST_END": "2022-05-09"},
    ]
    for other in others:
        simulator = own.simulator(other)
        assert simulator.ended() == 2
        (line,) = simulator.complaint().splitlines()
        assert line.startswith("thundercast-simulator: ")
        assert "--new-run" in line
        assert own.names.place in line
        assert own.run == first
    before = own.published()
    simulator = own.simulator({"THUNDERCAST_SHARDS": "8"}, flags=["--new-run"])
    assert simulator.ended() == 0
    assert own.run.shards == 8
    assert own.run.run_id > first.run_id
    later = [message for message in own.published() if message not in before]
    assert {message.attributes["run_id"] for message in later} == {own.run.run_id}
    assert seqs(later) == Counter(range(3 * 8))


# --- back-pressure ----------------------------------------------------------------------------------------


def _pauses(stage: Stage, key: str, *, by_url: bool) -> None:
    own = stage.own(key)
    port = emulators.free_port()
    lead = {"THUNDERCAST_MAX_LEAD_DATES": "1"} | ({"THUNDERCAST_TRAINER_URL": f"http://127.0.0.1:{port}"} if by_url else {})
    simulator = own.simulator(lead)
    if by_url:
        # Nobody knows how far the trainer is.
        simulator.until(lambda: own.progress, "the first date was out")
        simulator.until(lambda: any("trainer_url" in detail for _, detail in own.states()), "it said that it waits for the trainer")
        assert own.progress == DATE
    trainer = own.part("trainer", port=port)
    simulator.until(lambda: own.states()[-1:] == [("paused", "2 dates ahead of the trainer; max_lead_dates is 1")], "it paused")
    time.sleep(2.0)
    assert own.progress == 2 * DATE
    assert simulator.ready(), "a pause is no fault"
    cleaner = own.part("cleaner")
    assert simulator.ended() == 0
    trainer.completes()
    for part in (cleaner, trainer):
        part.stop()
    assert own.states()[-1] == ("completed", "")
    expected = scene.expected(faulty=False)
    assert expected.same_rows(scene.found_rows(DATASET, own.run.run_id)) == []
    assert scene.checkpointed_models(own.names.place) == expected.models


@scenario
def it_pauses_when_the_trainers_checkpoint_is_too_far_behind(stage: Stage) -> None:
    _pauses(stage, "sim-lead-head", by_url=False)


@scenario
def it_pauses_when_the_trainers_status_is_too_far_behind_or_cannot_be_had(stage: Stage) -> None:
    _pauses(stage, "sim-lead-url", by_url=True)


@scenario
def a_signal_ends_a_pause(stage: Stage) -> None:
    own = stage.own("sim-lead-signal")
    simulator = own.simulator({"THUNDERCAST_MAX_LEAD_DATES": "1"})
    simulator.until(lambda: own.progress and [state for state, _ in own.states()][-1:] == ["paused"], "it paused")
    simulator.signal(signal.SIGTERM)
    assert simulator.ended() == 0
    assert own.progress == 2 * DATE


@pytest.mark.parametrize("scenario", scenario.names)
def test_the_simulator(outcomes: dict[str, Future[None]], scenario: str) -> None:
    outcomes[scenario].result()
