"""`POST /predict-and-train`: the same loop, fed by HTTP; a 2xx only for what is durable, and soon, whatever its turn."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from prometheus_client import CollectorRegistry

from thundercast.adapters.filelock import FileLock
from thundercast.adapters.folder import FolderCheckpoints, FolderObjects
from thundercast.adapters.memory import MemoryTopic
from thundercast.adapters.service import serving
from thundercast.domain.arrays import pack
from thundercast.domain.batch import Message
from thundercast.domain.tables import Table
from thundercast.stage.letters import from_message
from thundercast.stage.loop import StageLoop
from thundercast.stage.protocols import Subscription, Unavailable
from thundercast.stage.settings import LoopSettings
from thundercast.stage.unconfirmed import Outlets
from thundercast_trainer.auth import Anyone, OidcVerifier, Verifier
from thundercast_trainer.kept import Kept
from thundercast_trainer.problems import BODY_LIMIT
from thundercast_trainer.push import PATH, PushSubscription, push_route
from thundercast_trainer.serving import ServedStep
from unit.trainer.scene import clean_messages, run_of, served, stream
from unit.trainer.tokens import AUDIENCE, EMAIL, bearer, certificates

DATES = 4
RUN = run_of(DATES)
MESSAGES = [message for _, message in clean_messages(stream(DATES, 40), RUN)]
WITHIN = 60.0


@dataclass
class Store:
    """Rows by key; can be away."""

    rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)

    def write(self, table: Table, rows: pa.Table) -> None:
        kept = self.rows.setdefault(table.name, {})
        for row in rows.to_pylist():
            row.pop("written_at", None)
            kept[tuple(row[k] for k in table.key)] = row


@dataclass
class Letters:
    """A topic of dead letters."""

    messages: list[Message] = field(default_factory=list)

    def publish(self, messages: Sequence[Message]) -> None:
        self.messages += messages


@dataclass
class Trainer:
    """A loop in this process, and all that came of it."""

    step: ServedStep
    store: Store
    letters: Letters
    loop: StageLoop
    checkpoints: FolderCheckpoints

    def equal(self) -> tuple[bytes, dict[str, Any]]:
        """What must be equal, however it was fed."""
        return pack(*self.step.train.state()), self.store.rows


@contextmanager
def training(folder: Path, subscription: Subscription) -> Iterator[Trainer]:
    """Runs a loop over the subscription until the block ends."""
    step, store, letters, checkpoints = served(), Store(), Letters(), FolderCheckpoints(folder / "checkpoints")
    loop = StageLoop(
        "trainer", step, subscription=subscription, checkpoints=checkpoints, lock=FileLock(folder / "lock"),
        outlets=Outlets(dead_letters=letters, store=store), find_run=lambda _: RUN,
        settings=LoopSettings(window=64, poll=0.02, checkpoint_min=0.0, checkpoint_every=0.2, unacked=64),
    )  # fmt: skip
    failures: list[BaseException] = []

    def work() -> None:
        try:
            loop.run()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield Trainer(step, store, letters, loop, checkpoints)
    finally:
        loop.stop()
        thread.join()
        subscription.close()
    assert failures == []


@dataclass
class Door:
    """The endpoint, and a caller with a token."""

    subscription: PushSubscription
    url: str = ""
    leads: Callable[[], bool] = lambda: True

    def post(self, message: Message, *, token: str | None = "", **settings: Any) -> requests.Response:
        envelope = {
            "message": {"data": base64.b64encode(message.data).decode(), "attributes": dict(message.attributes), "messageId": "1"},
            "subscription": "projects/demo-project/subscriptions/push",
        }  # fmt: skip
        return self.post_body(envelope, token=token, **settings)

    def post_body(self, envelope: Any, *, token: str | None = "") -> requests.Response:
        headers = {} if token is None else {"Authorization": token or bearer()}
        if isinstance(envelope, bytes):
            return requests.post(self.url, data=envelope, headers=headers, timeout=WITHIN)
        return requests.post(self.url, json=envelope, headers=headers, timeout=WITHIN)


def pushed_to(folder: Path, *, capacity: int = 4096) -> PushSubscription:
    """A subscription that keeps what it is given in the folder."""
    return PushSubscription(Kept(FolderObjects(folder / "pushed")), capacity=capacity)


@contextmanager
def door_of(subscription: PushSubscription, *, verifier: Verifier | None = None) -> Iterator[Door]:
    door = Door(subscription)
    checks = verifier or OidcVerifier(AUDIENCE, [EMAIL], certificates=certificates)
    route = push_route(subscription, checks, leads=lambda: door.leads())
    with serving(host="127.0.0.1", port=0, readiness=dict, exposed=CollectorRegistry(), more=[route], limit=BODY_LIMIT) as port:
        door.url = f"http://127.0.0.1:{port}{PATH}"
        try:
            yield door
        finally:
            subscription.close()


def posted(door: Door, messages: Sequence[Message], *, at_once: int = 24) -> list[int]:
    """Posts like Pub/Sub: several at once, and again until there is a 2xx."""

    def deliver(message: Message) -> list[int]:
        statuses = []
        for _ in range(1000):
            statuses.append(door.post(message).status_code)
            if statuses[-1] < 300:
                return statuses
            time.sleep(0.05)
        raise AssertionError(f"never taken: {statuses}")

    with ThreadPoolExecutor(at_once) as pool:
        return [status for statuses in pool.map(deliver, messages) for status in statuses]


# --- equality


def test_messages_posted_in_any_order_and_twice_give_what_the_loop_fed_directly_gives(tmp_path: Path) -> None:
    topic = MemoryTopic(capacity=1000)
    with training(tmp_path / "direct", topic) as direct:
        topic.publish(MESSAGES)
        wait_for(lambda: direct.loop.status.completed and not direct.loop.status.outbox)
    shuffled = [*MESSAGES, *MESSAGES[::3]]
    random.Random(7).shuffle(shuffled)
    subscription = pushed_to(tmp_path, capacity=8)
    with training(tmp_path / "push", subscription) as pushed, door_of(subscription) as door:
        wait_for(pushed.loop.recovered.is_set)
        statuses = posted(door, shuffled)
        wait_for(lambda: pushed.loop.status.completed and not pushed.loop.status.outbox)
    assert set(statuses) <= {204, 429, 503}
    assert statuses.count(204) == len(shuffled)
    assert pushed.equal() == direct.equal()
    assert {name: len(rows) > 50 for name, rows in direct.store.rows.items()} == dict.fromkeys(
        ("predictions", "observations", "model_metrics"), True
    )
    assert pushed.letters.messages == direct.letters.messages == []


def wait_for(condition: Callable[[], bool], within: float = WITHIN) -> None:
    tick = threading.Event()
    for _ in range(int(within / 0.02)):
        if condition():
            return
        tick.wait(0.02)
    raise AssertionError("it did not come to that")


# --- durable or not


def test_what_was_answered_with_a_2xx_is_learnt_by_the_process_that_comes_next(tmp_path: Path) -> None:
    topic = MemoryTopic(capacity=1000)
    with training(tmp_path / "direct", topic) as direct:
        topic.publish(MESSAGES)
        wait_for(lambda: direct.loop.status.completed and not direct.loop.status.outbox)
    shuffled = random.Random(8).sample(MESSAGES, len(MESSAGES))
    # No loop ever pulls from it.
    with door_of(pushed_to(tmp_path)) as door:
        assert {door.post(message).status_code for message in shuffled} == {204}
    with training(tmp_path / "push", pushed_to(tmp_path)) as pushed:
        wait_for(lambda: pushed.loop.status.completed and not pushed.loop.status.outbox)
        wait_for(lambda: not Kept(FolderObjects(tmp_path / "pushed")).turns())
    assert pushed.equal() == direct.equal()


def test_what_is_in_a_checkpoint_is_not_kept_any_more_and_known_as_a_duplicate(tmp_path: Path) -> None:
    subscription, kept = pushed_to(tmp_path), Kept(FolderObjects(tmp_path / "pushed"))
    with training(tmp_path, subscription) as trainer, door_of(subscription) as door:
        for seq, message in enumerate(MESSAGES[:6]):
            assert door.post(message).status_code == 204
            wait_for(lambda: not kept.turns())
            again = FolderCheckpoints(tmp_path / "checkpoints").summary()
            assert again is not None
            assert again["watermark"] > seq
        assert door.post(MESSAGES[2]).status_code == 204
        wait_for(lambda: trainer.loop.status.duplicates == 1)
        wait_for(lambda: not kept.turns())


class Away(FolderObjects):
    """A place that takes nothing."""

    def replace(self, name: str, data: bytes) -> None:
        raise Unavailable("the bucket is away")


def test_what_cannot_be_made_durable_is_never_acked(tmp_path: Path) -> None:
    subscription = PushSubscription(Kept(Away(tmp_path / "pushed")))
    with training(tmp_path, subscription) as trainer, door_of(subscription) as door:
        wait_for(trainer.loop.recovered.is_set)
        response = door.post(MESSAGES[0])
        assert response.status_code == 503
        assert response.json()["what"] == "the bucket is away"
        assert trainer.loop.status.watermark == trainer.loop.status.unacked == 0


class Broken(FolderCheckpoints):
    """A checkpoint store that takes nothing."""

    def commit(self, *args: Any, **settings: Any) -> Any:
        raise Unavailable("the bucket is away")


def test_what_no_checkpoint_holds_is_kept(tmp_path: Path) -> None:
    subscription = pushed_to(tmp_path)
    with training(tmp_path, subscription) as trainer:
        trainer.loop._checkpoints = Broken(tmp_path / "broken")
        with door_of(subscription) as door:
            assert door.post(MESSAGES[0]).status_code == 204
            wait_for(lambda: trainer.loop.status.unacked == 1)
    assert list(Kept(FolderObjects(tmp_path / "pushed")).turns().values()) == [(RUN.run_id, 0)]


def test_a_message_ahead_of_its_turn_is_answered_at_once_and_waits(tmp_path: Path) -> None:
    subscription = pushed_to(tmp_path)
    with training(tmp_path, subscription) as trainer, door_of(subscription) as door:
        for message in reversed(MESSAGES[1:9]):
            assert door.post(message).status_code == 204
        wait_for(lambda: trainer.loop.status.window == 8)
        assert trainer.loop.status.watermark == 0
        assert door.post(MESSAGES[0]).status_code == 204
        wait_for(lambda: trainer.loop.status.watermark == 9)


# --- what cannot be used


def test_an_authenticated_message_that_cannot_be_decoded_is_a_dead_letter_and_then_taken(tmp_path: Path) -> None:
    subscription = pushed_to(tmp_path)
    damaged = replace(MESSAGES[1], data=MESSAGES[1].data[:50])
    lost = Message(b"rows of nowhere", {"run_id": "?"})
    with training(tmp_path, subscription) as trainer, door_of(subscription) as door:
        wait_for(trainer.loop.recovered.is_set)
        assert door.post(MESSAGES[0]).status_code == 204
        for bad in (damaged, lost, b"no envelope", b""):
            before = len(trainer.letters.messages)
            response = door.post_body(bad) if isinstance(bad, bytes) else door.post(bad)
            assert response.status_code == 204
            wait_for(lambda count=before + 1: len(trainer.letters.messages) == count)
        # Its number has passed on.
        assert door.post(MESSAGES[2]).status_code == 204
        wait_for(lambda: trainer.loop.status.watermark == 3)
        letters = [row for m in trainer.letters.messages for row in from_message(m).to_pylist()]
    assert [letter["reason"] for letter in letters] == ["undecodable", "unaddressed", "unaddressed", "unaddressed"]
    assert [letter["payload"] for letter in letters] == [damaged.data, lost.data, b"no envelope", None]


# --- who may not


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (None, 401), ("Bearer nonsense", 401), (bearer(exp=1_000_000_000), 401), (bearer(aud="https://other.example"), 401),
        (bearer(signed_by="another-key"), 401), (bearer(email="other@example.com"), 403), (bearer(email_verified=False), 403),
    ],
)  # fmt: skip
def test_of_a_caller_without_a_good_token_nothing_is_kept(token: str | None, status: int, tmp_path: Path) -> None:
    subscription = pushed_to(tmp_path)
    with door_of(subscription) as door:
        response = door.post(MESSAGES[0], token=token)
        assert response.status_code == status
        assert response.headers["Content-Type"].startswith("application/problem+json")
        assert ("WWW-Authenticate" in response.headers) == (status == 401)
        assert token is None or token.removeprefix("Bearer ") not in response.text
        assert subscription.pull(10, 0.0) == []


def test_without_certificates_nobody_is_refused_for_good(tmp_path: Path) -> None:
    def away() -> dict[str, str]:
        raise Unavailable("the certificates cannot be fetched")

    subscription = pushed_to(tmp_path)
    with door_of(subscription, verifier=OidcVerifier(AUDIENCE, [EMAIL], certificates=away)) as door:
        response = door.post(MESSAGES[0])
        assert response.status_code == 503
        assert "certificates" in response.json()["what"]
        assert subscription.pull(10, 0.0) == []


def test_the_open_door_is_an_explicit_choice(tmp_path: Path) -> None:
    subscription = pushed_to(tmp_path)
    with training(tmp_path, subscription) as trainer, door_of(subscription, verifier=Anyone()) as door:
        wait_for(trainer.loop.recovered.is_set)
        assert door.post(MESSAGES[0], token=None).status_code == 204


# --- later, please


def test_a_process_that_does_not_lead_takes_nothing(tmp_path: Path) -> None:
    subscription = pushed_to(tmp_path)
    with door_of(subscription) as door:
        door.leads = lambda: False
        response = door.post(MESSAGES[0])
        assert response.status_code == 503
        assert "lead" in response.json()["what"]
        assert "Retry-After" in response.headers
        assert subscription.pull(10, 0.0) == []


def test_a_full_door_says_so_but_takes_what_has_to_come_first(tmp_path: Path) -> None:
    subscription = pushed_to(tmp_path, capacity=1)
    with door_of(subscription) as door:
        assert door.post(MESSAGES[1]).status_code == 204
        full = door.post(MESSAGES[2])
        assert full.status_code == 429
        assert "Retry-After" in full.headers
        assert door.post(MESSAGES[0]).status_code == 204
        assert len(subscription.pull(10, 0.0)) == 2
        assert door.post(MESSAGES[2]).status_code == 204


def test_after_the_end_of_the_subscription_nothing_is_taken(tmp_path: Path) -> None:
    subscription = pushed_to(tmp_path)
    with door_of(subscription) as door:
        subscription.close()
        assert door.post(MESSAGES[3]).status_code == 503
    assert Kept(FolderObjects(tmp_path / "pushed")).turns() == {}


def test_a_body_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    with door_of(pushed_to(tmp_path)) as door:
        assert door.post_body(b" " * (BODY_LIMIT + 1)).status_code == 413
