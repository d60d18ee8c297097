"""At no moment do two processes hold a lease, whatever stops, lags, jumps or gets lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from thundercast.adapters.filelock import FileLock
from thundercast.adapters.google.storage_lock import StorageLock
from thundercast.adapters.kubernetes.lease import KubernetesLease
from thundercast.adapters.locks import BadLock, Elector, Holding, Timing, open_lock
from thundercast.adapters.places import BadPlace
from thundercast.adapters.settings import PartSettings
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast.stage.protocols import Unavailable
from thundercast.stage.settings import Clock

TIMING = Timing(duration=10.0, renew=6.0, retry=2.0)


class Memory:
    """A record that all share."""

    def __init__(self) -> None:
        self.kept: tuple[Holding, str] | None = None
        self.versions = 0

    def read(self) -> tuple[Holding, str] | None:
        return self.kept

    def write(self, holding: Holding, expected: str) -> str:
        if (self.kept[1] if self.kept else ABSENT) != expected:
            raise Changed
        self.versions += 1
        self.kept = (holding, str(self.versions))
        return self.kept[1]

    @property
    def holder(self) -> str:
        return self.kept[0].holder if self.kept else ""


class Away:
    """A way to a record that may be shut, before or after what is asked is done."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.shut: Literal["", "before", "after"] = ""

    def read(self) -> tuple[Holding, str] | None:
        self._shut("before", "after")
        return self.memory.read()

    def write(self, holding: Holding, expected: str) -> str:
        self._shut("before")
        done = self.memory.write(holding, expected)
        self._shut("after")
        return done

    def _shut(self, *when: str) -> None:
        if self.shut in when:
            raise Unavailable("the road is closed")


class Time:
    """What all processes live in. Each has clocks of its own, that began at another time or are set wrong."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self, origin: float = 0.0, skew: float = 0.0) -> Clock:
        return Clock(lambda: self.now + origin, lambda: 1.7e9 + self.now + skew, self._wait)

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        self.now += seconds
        return event.is_set()


@pytest.fixture
def world() -> tuple[Time, Memory]:
    return Time(), Memory()


def elector(memory: Any, name: str, clock: Clock, timing: Timing = TIMING) -> Elector:
    return Elector(memory, f"{name}_uuid", kind="pod", timing=timing, clock=clock)


# --- one after the other ----------------------------------------------------------------------------------


def test_one_holds_it_and_the_other_knows_who(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one, two = elector(memory, "trainer-0", time.clock()), elector(memory, "trainer-1", time.clock(origin=500.0))
    assert not one.held()
    assert one.holder() == ""
    assert one.attempt()
    assert one.held()
    assert not two.attempt()
    assert not two.held()
    assert two.holder() == "pod trainer-0"


def test_a_lease_that_is_released_is_taken_at_once(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one, two = elector(memory, "a", time.clock()), elector(memory, "b", time.clock())
    assert one.attempt()
    assert not two.attempt()
    one.release()
    assert not one.held()
    assert two.attempt()
    one.release()
    assert two.held()
    assert memory.holder == "b_uuid"


def test_who_has_never_held_it_releases_nothing(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one, two = elector(memory, "a", time.clock()), elector(memory, "b", time.clock())
    assert one.attempt()
    two.attempt()
    two.release()
    assert memory.holder == "a_uuid"


def test_a_holder_that_does_not_renew_gives_up_before_another_takes_over(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one, two = elector(memory, "a", time.clock()), elector(memory, "b", time.clock())
    assert one.attempt()
    assert not two.attempt()
    time.now = 5.9
    assert one.held()
    time.now = 6.0
    assert not one.held()
    time.now = 10.0
    assert not two.attempt()
    time.now = 10.1
    assert two.attempt()
    assert not one.attempt(), "it is not renewed when it is too late"
    assert not one.attempt(), "nor taken back"
    assert two.held()


def test_a_process_that_slept_past_its_lease_knows_it_before_it_does_anything(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one, two = elector(memory, "a", time.clock()), elector(memory, "b", time.clock())
    assert one.attempt()
    assert not two.attempt()
    # SIGSTOP: the clock goes on, and nothing in the process has run when it is asked.
    time.now = 3600.0
    assert not one.held()
    assert two.attempt()


@pytest.mark.parametrize("skew", [-1e6, 0.0, 1e6])
def test_what_the_time_of_day_is_elsewhere_does_not_matter(world: tuple[Time, Memory], skew: float) -> None:
    time, memory = world
    one, two = elector(memory, "a", time.clock(skew=skew)), elector(memory, "b", time.clock(origin=-77.0))
    assert one.attempt()
    for _ in range(20):
        time.now += 2.0
        assert one.attempt()
        assert not two.attempt()
    time.now += 8.0
    assert not two.attempt(), "by its own clock b saw it renewed eight seconds ago"
    time.now += 2.1
    assert two.attempt()


def test_a_newcomer_waits_a_whole_duration_whatever_the_record_says_of_its_age(world: tuple[Time, Memory]) -> None:
    time, memory = world
    assert elector(memory, "a", time.clock(skew=-1e9)).attempt()
    time.now = 1000.0
    two = elector(memory, "b", time.clock())
    assert not two.attempt()
    time.now = 1010.1
    assert two.attempt()


def test_a_holder_that_asked_for_a_longer_lease_gets_it(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one = elector(memory, "a", time.clock(), Timing(duration=40.0, renew=30.0, retry=5.0))
    two = elector(memory, "b", time.clock())
    assert one.attempt()
    assert not two.attempt()
    time.now = 39.0
    assert not two.attempt()
    time.now = 40.1
    assert two.attempt()


def test_changes_of_holder_are_counted_and_renewals_are_not(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one, two = elector(memory, "a", time.clock()), elector(memory, "b", time.clock())
    seen = []
    for leader in (one, one, two, one):
        if not leader.held():
            one.release()
            two.release()
        assert leader.attempt()
        assert memory.kept is not None
        seen.append((memory.kept[0].holder, memory.kept[0].transitions, memory.kept[0].acquired))
        time.now += 1.0
    assert seen == [("a_uuid", 0, 1.7e9), ("a_uuid", 0, 1.7e9), ("b_uuid", 1, 1.7e9 + 2), ("a_uuid", 2, 1.7e9 + 3)]


def test_a_record_that_somebody_removed_is_lost(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one = elector(memory, "a", time.clock())
    assert one.attempt()
    memory.kept = None
    assert not one.attempt()
    assert not one.held()
    assert one.attempt()


# --- when answers do not come ---------------------------------------------------------------------------------


def test_renewals_whose_answers_are_lost_are_found_again(world: tuple[Time, Memory]) -> None:
    time, memory = world
    road = Away(memory)
    one, two = elector(road, "a", time.clock()), elector(memory, "b", time.clock())
    assert one.attempt()
    time.now = 2.0
    road.shut = "after"
    assert not one.attempt()
    assert one.held()
    road.shut = ""
    time.now = 4.0
    assert one.attempt()
    time.now = 9.9
    assert one.held()
    assert not two.attempt()


def test_a_lease_that_was_got_without_an_answer_is_ours_at_the_next_try_and_can_be_released(world: tuple[Time, Memory]) -> None:
    time, memory = world
    road = Away(memory)
    for release in (False, True):
        one = elector(road, f"a{release}", time.clock())
        road.shut = ""
        plain = road.read
        road.read = memory.read  # type: ignore[method-assign]
        road.shut = "after"
        assert not one.attempt()
        road.shut, road.read = "", plain  # type: ignore[method-assign]
        assert memory.holder == f"a{release}_uuid"
        assert not one.held()
        if not release:
            assert one.attempt()
            assert one.held()
        one.release()
        assert memory.holder == ""


def test_a_record_that_cannot_be_asked_is_told_to_who_waits_and_lost_to_who_holds(world: tuple[Time, Memory]) -> None:
    time, memory = world
    road = Away(memory)
    one = elector(road, "a", time.clock())
    road.shut = "before"
    for _ in range(5):
        with pytest.raises(Unavailable, match="the road is closed"):
            one.acquire(0.5)
    road.shut = ""
    time.now += 2.0
    assert one.attempt()
    road.shut = "before"
    time.now += 6.0
    assert not one.held()
    one.release()
    assert memory.holder == "a_uuid", "it could not be told, so it runs out"


def test_however_often_it_is_asked_for_the_record_is_read_at_the_pace_of_the_lease(world: tuple[Time, Memory]) -> None:
    time, memory = world
    assert elector(memory, "a", time.clock()).attempt()
    reads: list[float] = []
    plain = memory.read

    def read() -> tuple[Holding, str] | None:
        reads.append(time.now)
        return plain()

    memory.read = read  # type: ignore[method-assign]
    two = elector(memory, "b", time.clock())
    while time.now < 8.0:
        assert not two.acquire(0.25)
    assert reads == [0.0, 2.0, 4.0, 6.0, 8.0][: len(reads)]
    assert len(reads) >= 4


def test_a_renewal_counts_from_when_it_was_asked_for_not_from_its_answer(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one, two = elector(memory, "a", time.clock()), elector(memory, "b", time.clock())
    plain = memory.write

    def answers_late(holding: Holding, expected: str) -> str:
        done = plain(holding, expected)
        assert not two.attempt()
        time.now += 5.0
        return done

    memory.write = answers_late  # type: ignore[method-assign]
    assert one.attempt()
    time.now += 0.9
    assert one.held()
    time.now += 0.1
    assert not one.held()


def test_a_record_is_as_old_as_its_answer_not_as_the_question(world: tuple[Time, Memory]) -> None:
    time, memory = world
    one, two = elector(memory, "a", time.clock()), elector(memory, "b", time.clock())
    plain = memory.read

    def asked_long_ago() -> tuple[Holding, str] | None:
        memory.read = plain  # type: ignore[method-assign]
        time.now += 5.0
        assert one.attempt()
        return plain()

    memory.read = asked_long_ago  # type: ignore[method-assign]
    assert not two.attempt()
    time.now = 10.5
    assert one.held()
    assert not two.attempt()


# --- every order of events ------------------------------------------------------------------------------------


class Stepped:
    """A process whose requests go on only when they are let, so that it can be stopped anywhere, for any time."""

    def __init__(self, memory: Memory, name: str, clock: Clock) -> None:
        self._memory = memory
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._command: Callable[[], object] | None = None
        self.shut = False
        self.elector = elector(self, name, clock)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self.ended = False

    # What the process does, in its own thread.

    def _work(self) -> None:
        while True:
            self._go.acquire()
            if self._command is None:
                return
            self._command()
            self._command = None
            self._stands.release()

    def _pause(self) -> None:
        self._stands.release()
        self._go.acquire()

    def read(self) -> tuple[Holding, str] | None:
        self._pause()
        found = self._memory.read()
        self._pause()
        self._lose()
        return found

    def write(self, holding: Holding, expected: str) -> str:
        self._pause()
        try:
            done = self._memory.write(holding, expected)
        finally:
            self._pause()
        self._lose()
        return done

    def _lose(self) -> None:
        if self.shut:
            raise Unavailable("no answer")

    # What lets it.

    def step(self, command: Callable[[], object]) -> None:
        """Goes on to the next pause; begins the command if nothing is under way."""
        if self._command is None:
            self._command = command
        self._go.release()
        self._stands.acquire()

    def end(self) -> None:
        for _ in range(100):
            if self._command is None:
                break
            self.step(lambda: None)
        self._go.release()
        self._thread.join(30.0)
        assert not self._thread.is_alive()


ACTIONS = st.one_of(
    st.tuples(st.just("attempt"), st.integers(0, 2)),
    st.tuples(st.just("attempt"), st.integers(0, 2)),
    st.tuples(st.just("release"), st.integers(0, 2)),
    st.tuples(st.just("road"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.9, 2.0, 4.0, 5.9, 6.0, 9.9, 10.1, 30.0])),
)


@settings(max_examples=400)
@given(actions=st.lists(ACTIONS, max_size=60))
# A read, then B reads and takes over, then A goes on with what it read.
@example(
    actions=[("attempt", 0)] * 5
    + [("attempt", 1)] * 3
    + [("wait", 10.1)]
    + [("attempt", 1)] * 2
    + [("attempt", 2)] * 5
    + [("attempt", 1)] * 4
)
def test_at_no_moment_do_two_hold_it(actions: list[tuple[str, float]]) -> None:
    time, memory = Time(), Memory()
    processes = [
        Stepped(memory, name, time.clock(origin, skew)) for name, origin, skew in (("a", 0.0, 0.0), ("b", 1e4, -1e5), ("c", -1e4, 1e7))
    ]
    try:
        for what, value in actions:
            if what == "wait":
                time.now += value
            else:
                process = processes[int(value)]
                if what == "road":
                    process.shut = not process.shut
                else:
                    process.step(process.elector.attempt if what == "attempt" else process.elector.release)
            assert sum(process.elector.held() for process in processes) <= 1
    finally:
        for process in processes:
            process.end()


# --- with its thread --------------------------------------------------------------------------------------------


class Ticking:
    """A clock that goes on when the test says so, and then waits until the renewing threads wait again."""

    def __init__(self) -> None:
        self.now = 0.0
        self.threads = 1
        self._changed = threading.Condition()
        self._untils: list[float] = []

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self.now, self._wait)

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        until = self.now + seconds
        with self._changed:
            self._untils.append(until)
            self._changed.notify_all()
            while self.now < until and not event.is_set():
                self._changed.wait(0.01)
        return event.is_set()

    def settle(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._untils) == self.threads, 60.0)

    def advance(self, seconds: float) -> None:
        self.settle()
        with self._changed:
            self.now += seconds
            self._untils = [until for until in self._untils if until > self.now]
            self._changed.notify_all()


def test_a_holder_renews_it_by_itself_until_it_releases_it() -> None:
    ticking, memory = Ticking(), Memory()
    one, two = elector(memory, "a", ticking.clock), elector(memory, "b", ticking.clock)
    assert one.acquire(0)
    for _ in range(30):
        ticking.advance(1.0)
        ticking.settle()
        assert one.held()
        assert not two.attempt()
    assert memory.versions == 1 + 15
    assert one.acquire(0), "asking again keeps it"
    one.release()
    assert memory.holder == ""
    assert two.attempt()


def test_a_holder_that_is_cut_off_gives_up_and_does_not_begin_again_by_itself() -> None:
    ticking, memory = Ticking(), Memory()
    road = Away(memory)
    one, two = elector(road, "a", ticking.clock), elector(memory, "b", ticking.clock)
    assert one.acquire(0)
    road.shut = "before"
    assert not two.attempt()
    for second in range(5):
        ticking.advance(1.0)
        assert one.held(), second
    ticking.advance(1.0)
    assert not one.held()
    road.shut, ticking.now = "", 11.0
    assert two.attempt()
    two.release()
    ticking.now = 60.0
    assert not one.held(), "whoever lost it stays without it until it asks"
    assert memory.holder == ""
    assert one.acquire(0)
    assert one.held()
    ticking.settle()
    one.release()


def test_whoever_waits_gets_it_when_it_is_released() -> None:
    memory, quick = Memory(), Timing(duration=60.0, renew=50.0, retry=0.05)
    one, two = (Elector(memory, f"{name}_1", kind="pod", timing=quick) for name in "ab")
    assert one.acquire(0)
    timer = threading.Timer(0.2, one.release)
    timer.start()
    assert two.acquire(55.0)
    assert not one.held()
    timer.join()
    two.release()


# --- what is what -----------------------------------------------------------------------------------------------


def test_a_lock_is_opened_by_its_name() -> None:
    assert isinstance(open_lock("file:/var/lib/thundercast/lock"), FileLock)
    assert isinstance(open_lock("file:some/lock"), FileLock)
    assert isinstance(open_lock("kubernetes:weather/thundercast-trainer"), KubernetesLease)
    assert isinstance(open_lock("gs://a-bucket/prefix/trainer.lock"), StorageLock)


@pytest.mark.parametrize(
    "text", ["", "file:", "lock", "kubernetes:", "kubernetes:name", "kubernetes:a/b/c", "gs://bucket", "gs://bucket/", "redis://x/y"]
)
def test_what_names_no_lock_is_refused(text: str) -> None:
    with pytest.raises((BadLock, BadPlace), match="file:PATH|is not a place"):
        open_lock(text)


def test_a_setting_that_names_no_lock_is_refused_as_a_setting() -> None:
    with pytest.raises(ValidationError, match="names no lock: file:PATH, kubernetes:NAMESPACE/LEASE or gs://BUCKET/OBJECT"):
        PartSettings(lock="redis://somewhere")
    assert PartSettings(lock="kubernetes:weather/trainer").lock_of("trainer") == "kubernetes:weather/trainer"
    assert isinstance(open_lock(PartSettings(checkpoints="gs://a-bucket/prefix").lock_of("trainer")), StorageLock)


@pytest.mark.parametrize("wrong", [{"retry": 7.0}, {"renew": 10.0}, {"retry": 0.0}])
def test_times_that_cannot_hold_a_lease_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be less than"):
        replace(TIMING, **wrong)
