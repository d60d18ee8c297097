"""Commits over a place whose answers get lost, and whose requests arrive late or never: nothing that was acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from thundercast.adapters.checkpointing import Checkpoints
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast.stage.protocols import Fenced, Unavailable

Fate = Literal["done", "refused", "answer lost", "late"]
FATES: tuple[Fate, ...] = ("done", "refused", "answer lost", "late")


class Memory:
    """A place in memory, shared by several writers."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.versions = 0
        self.under_way: list[Callable[[], object]] = []

    def put(self, name: str, data: bytes) -> str:
        self.versions += 1
        self.objects[name] = (data, str(self.versions))
        return str(self.versions)

    def swap(self, name: str, data: bytes, expected: str) -> str:
        if self.objects.get(name, (b"", ABSENT))[1] != expected:
            raise Changed(name)
        return self.put(name, data)


class Unsteady:
    """One writer's way to the place. ``fates`` says what becomes of its next writes; after them all goes well."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.fates: list[Fate] = []

    def _write(self, effect: Callable[[], Any]) -> Any:
        fate = self.fates.pop(0) if self.fates else "done"
        if fate == "done":
            return effect()
        if fate == "answer lost":
            # Also the answer that it was refused.
            with suppress(Changed):
                effect()
        if fate == "late":
            self.memory.under_way.append(effect)
        raise Unavailable(fate)

    def path(self, name: str) -> str:
        return f"memory/{name}"

    def read(self, name: str) -> tuple[bytes, str] | None:
        return self.memory.objects.get(name)

    def write_new(self, name: str, data: bytes) -> None:
        self._write(lambda: self.memory.put(name, data))

    def replace(self, name: str, data: bytes) -> None:
        self._write(lambda: self.memory.put(name, data))

    def swap(self, name: str, data: bytes, expected: str) -> str:
        return self._write(lambda: self.memory.swap(name, data, expected))

    def names(self) -> list[str]:
        return list(self.memory.objects)

    def delete(self, name: str) -> None:
        self._write(lambda: self.memory.objects.pop(name, None))


class Writer:
    """A stage as far as its checkpoints go: its state is the list of events that it knows of."""

    def __init__(self, memory: Memory) -> None:
        self.place = Unsteady(memory)
        self.start()

    def start(self) -> None:
        self.place.fates = []
        self.store = Checkpoints(self.place)
        loaded = self.store.load()
        self.events: list[int] = list(loaded.meta["events"]) if loaded is not None else []


class Committing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.writers = [Writer(self.memory) for _ in range(3)]
        self.events = 0
        self.acknowledged: set[int] = set()

    @rule(who=st.integers(0, 2), news=st.booleans(), fates=st.lists(st.sampled_from(FATES), max_size=3))
    def commit(self, who: int, news: bool, fates: list[Fate]) -> None:
        writer = self.writers[who]
        if news:
            self.events += 1
            writer.events.append(self.events)
        writer.place.fates = list(fates)
        try:
            done = writer.store.commit({}, {"events": writer.events}, {"events": len(writer.events)})
        except Unavailable:
            return
        except Fenced:
            writer.start()
            return
        self.acknowledged |= set(writer.events)
        assert (writer.store.summary() or {}) == {"number": done.number, "events": len(writer.events)}

    @rule(who=st.integers(0, 2))
    def restart(self, who: int) -> None:
        self.writers[who].start()

    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        if self.memory.under_way:
            effect = self.memory.under_way.pop(data.draw(st.integers(0, len(self.memory.under_way) - 1)))
            with suppress(Changed):
                effect()

    @invariant()
    def what_head_names_can_be_loaded_and_holds_all_that_was_acknowledged(self) -> None:
        reader = Checkpoints(Unsteady(self.memory))
        loaded = reader.load()
        held: list[int] = list(loaded.meta["events"]) if loaded is not None else []
        assert self.acknowledged <= set(held)
        assert held == sorted(held), "no event of a refused writer is mixed in"
        while reader.load_older() is not None:
            pass


TestCommitting = Committing.TestCase
TestCommitting.settings = settings(max_examples=300, stateful_step_count=30)


def store_with(*fates: Fate) -> tuple[Checkpoints, Memory, Unsteady]:
    memory = Memory()
    place = Unsteady(memory)
    store = Checkpoints(place)
    store.commit({}, {"n": 1}, {})
    place.fates = list(fates)
    return store, memory, place


def bodies(memory: Memory) -> list[str]:
    return sorted(name for name in memory.objects if name != "HEAD")


@pytest.mark.parametrize("same", [True, False])
def test_a_head_that_came_through_without_an_answer_is_taken_for_ours(same: bool) -> None:
    store, memory, _ = store_with("done", "answer lost")
    with pytest.raises(Unavailable):
        store.commit({}, {"n": 2}, {})
    assert store.commit({}, {"n": 2 if same else 3}, {}).number == (2 if same else 3)
    assert len(bodies(memory)) == (2 if same else 3)


def test_a_head_that_arrives_after_the_next_one_was_sent_is_not_mistaken_for_that_one() -> None:
    store, memory, place = store_with("done", "late")
    with pytest.raises(Unavailable):
        store.commit({}, {"n": 2}, {})
    plain = place.swap

    def overtaken(name: str, data: bytes, expected: str) -> str:
        memory.under_way.pop()()
        return plain(name, data, expected)

    place.swap = overtaken  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="names checkpoint 2 of this process, which came through late"):
        store.commit({}, {"n": 3}, {})
    place.swap = plain  # type: ignore[method-assign]
    assert store.commit({}, {"n": 3}, {}).number == 3
    loaded = Checkpoints(place).load()
    assert loaded is not None
    assert loaded.meta == {"n": 3}


def test_an_unchanged_state_is_not_written_again_while_head_cannot_be() -> None:
    store, memory, place = store_with()
    for _ in range(5):
        place.fates = ["refused"] if len(bodies(memory)) > 1 else ["done", "refused"]
        with pytest.raises(Unavailable):
            store.commit({}, {"n": 2}, {})
        assert len(bodies(memory)) == 2
    assert store.commit({}, {"n": 2}, {}).number == 2


def test_a_body_that_never_became_a_checkpoint_is_removed_when_the_state_is_another() -> None:
    store, memory, place = store_with()
    for n in range(2, 7):
        place.fates = ["answer lost"] if n == 2 else ["done", "answer lost"]
        with pytest.raises(Unavailable):
            store.commit({}, {"n": n}, {})
        assert len(bodies(memory)) == 2
    assert store.commit({}, {"n": 7}, {}).number == 2
    assert len(bodies(memory)) == 2


def test_a_fenced_writer_leaves_the_body_that_its_successor_built_upon() -> None:
    store, memory, _ = store_with("done", "answer lost")
    with pytest.raises(Unavailable):
        store.commit({}, {"n": 2}, {})
    successor = Checkpoints(Unsteady(memory))
    successor.load()
    successor.commit({}, {"n": 3}, {})
    with pytest.raises(Fenced):
        store.commit({}, {"n": 2}, {})
    reader = Checkpoints(Unsteady(memory))
    loaded = [reader.load(), reader.load_older(), reader.load_older()]
    assert [checkpoint.meta["n"] if checkpoint else None for checkpoint in loaded] == [3, 2, 1]


def test_a_body_that_a_successor_is_about_to_name_is_not_cleaned_away() -> None:
    store, memory, place = store_with()
    successor_place = Unsteady(memory)
    successor = Checkpoints(successor_place)
    plain = place.names

    def overtaken() -> list[str]:
        successor.load()
        successor_place.fates = ["done", "late"]
        with pytest.raises(Unavailable):
            successor.commit({}, {"n": 3}, {})
        return plain()

    place.names = overtaken  # type: ignore[method-assign]
    store.commit({}, {"n": 2}, {})
    memory.under_way.pop()()
    loaded = Checkpoints(Unsteady(memory)).load()
    assert loaded is not None
    assert loaded.meta == {"n": 3}
