"""Going through the list: what would be done, doing it, checking it, and taking it down again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gcp_setup.running import Command, Runner, Said, shown
from gcp_setup.things import ABSENT, OURS, Failed, Found, State, Thing, looked, passes, short

TRIES: Final = 18
PAUSE: Final = 10.0
"""Seconds between two of them: Google says that a new account or role may take two minutes to be known."""
WAITS: Final = 120
"""Looks at what somebody else is making, a pause apart."""


@dataclass(kw_only=True)
class Going:
    """One way through the list.

    Attributes:
        things: in the order in which they are made.
        say: takes a line for the user.
    """

    run: Runner
    things: Sequence[Thing]
    say: Callable[[str], None] = print
    sleep: Callable[[float], None] = time.sleep
    _answers: dict[Command, Said] = field(default_factory=dict)
    _found: dict[str, Found] = field(default_factory=dict)

    # --- looking ------------------------------------------------------------------------------------------

    def look(self, thing: Thing, *, anew: bool = False) -> Found:
        """What is there of a thing. What it is in comes first; equal questions are asked once.

        Raises:
            Failed: it cannot be told.
        """
        if anew:
            self._forget(thing)
        if thing.key not in self._found:
            self._found[thing.key] = self._look(thing)
        return self._found[thing.key]

    def _look(self, thing: Thing) -> Found:
        outer = self._place(thing)
        if outer is not None and self.look(outer).state in ("absent", "coming"):
            return ABSENT
        if thing.look not in self._answers:
            said = self.run(thing.look)
            if thing.kind == "context":  # kubectl prints its name, or ends with 1
                said = Said(0) if said.code == 0 else Said(1, err="not found")
            self._answers[thing.look] = said
        return looked(thing, self._answers[thing.look])

    def _place(self, thing: Thing) -> Thing | None:
        return next((other for other in self.things if other.key == thing.within), None)

    # --- plan ---------------------------------------------------------------------------------------------

    def would(self, *, offline: bool = False) -> list[tuple[Thing, Found, tuple[Command, ...]]]:
        """Each thing, what there is of it, and what would be done; a command that several need stands with the first.

        Args:
            offline: ask nobody, as if the project were empty.
        """
        listed, done = [], set[Command]()
        for thing in self.things:
            found = ABSENT if offline else self.look(thing)
            commands = (
                thing.make if thing.always or found.state == "absent" or (thing.kind == "release" and found.state == "differs") else ()
            )
            listed.append((thing, found, tuple(command for command in commands if command not in done)))
            done |= set(commands)
        return listed

    # --- up -----------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Makes what is missing. It can be broken off and run again at any place.

        Raises:
            Failed: a thing could not be made; all before it is done.
        """
        for thing in self.things:
            self._bring(thing)

    def _bring(self, thing: Thing) -> None:
        found = self._settled(thing)
        if found.state == "differs" and thing.kind != "release":
            raise Failed(f"{thing.key}: {found.detail}")
        if found.state == "foreign" and thing.kind == "release":
            raise Failed(f"{thing.key}: {found.detail}")
        if found.state in ("ours", "foreign") and not thing.always:
            self.say(line("there", thing, found.detail))
            return
        if thing.comes:
            self.say(line("later", thing, thing.comes))
            return
        if not thing.make:
            raise Failed(f"{thing.key} is not there, though what makes it ended well. Way out: run `scripts/gcp up` again")
        self.say(line("making", thing, found.detail))
        for command in thing.make:
            self._carry_out(thing, command)
        if thing.kind == "role":  # the answer said so, and what else is bound there is as it was
            self._found[thing.key] = OURS
            self.say(line("made", thing, ""))
            return
        self._forget(thing)
        after = self._settled(thing)
        if after.state in ("absent", "differs"):
            raise Failed(f"{thing.key} was made, but a look at it says: {after.detail or after.state}. Way out: run `scripts/gcp up` again")
        self.say(line("made" if found.state == "absent" else "done", thing, ""))

    def _settled(self, thing: Thing) -> Found:
        """What is there once nobody is making it any more.

        Raises:
            Failed: somebody is making it for too long.
        """
        for _ in range(WAITS):
            found = self.look(thing)
            if found.state == "stuck":
                command = (thing.stuck or {})[found.detail]
                self.say(line("clearing", thing, f"it is {found.detail}: {shown(command)}"))
                self._carry_out(thing, command)
            elif found.state == "coming":
                self.say(line("waiting", thing, found.detail))
                self.sleep(PAUSE)
            else:
                return found
            self._forget(thing)
        raise Failed(f"{thing.key}: {found.detail} for too long. Way out: look at it in the console, and run `scripts/gcp up` again")

    def _carry_out(self, thing: Thing, command: Command) -> None:
        for left in reversed(range(TRIES)):
            said = self.run(command, aloud=thing.slow)
            if said.code == 0:
                return
            if left and passes(said, slow=thing.slow):
                self.say(line("waiting", thing, f"Google does not know everywhere yet of what was just made ({short(said)})"))
                self.sleep(PAUSE)
                continue
            raise Failed(f"{thing.key}: `{shown(command)}` ended with {said.code}: {short(said)}. Way out: mend that, run it again")

    def _forget(self, thing: Thing) -> None:
        """It is asked for anew; after what makes several things at once, everything is."""
        if thing.always or thing.kind == "APIs":
            self._answers.clear()
            self._found.clear()
        self._answers.pop(thing.look, None)
        self._found.pop(thing.key, None)

    # --- verify -------------------------------------------------------------------------------------------

    def verify(self) -> list[str]:
        """Looks at each thing and says what mends what is not right.

        Returns:
            Keys of what is not right.
        """
        wrong = []
        for thing in self.things:
            try:
                found = self.look(thing)
            except Failed as error:
                self.say(line("unknown", thing, str(error)))
                wrong.append(thing.key)
                continue
            if found.state in ("ours", "foreign") and not (found.state == "foreign" and thing.kind == "release"):
                self.say(line("right", thing, found.detail))
                continue
            mend = thing.comes or {"coming": "wait, then look again", "stuck": "`scripts/gcp up` clears and makes it"}.get(
                found.state, "`scripts/gcp up` makes it"
            )
            self.say(line("wrong", thing, f"{found.detail or found.state}: {mend}"))
            wrong.append(thing.key)
        return wrong

    # --- down ---------------------------------------------------------------------------------------------

    def going(self, *, keep_data: bool = False) -> tuple[list[Thing], list[str]]:
        """What `down` would remove, in its order, and what stays, with the reason.

        Args:
            keep_data: leave bucket and dataset.
        """
        remove, stay = [], []
        for thing in reversed(self.things):
            found = self.look(thing)
            if found.state == "absent":
                continue
            reason = self._stays(thing, found, keep_data=keep_data)
            if reason:
                stay.append(f"{thing.key}: {reason}")
            elif thing.unmake is not None and not self._goes_along(thing, keep_data=keep_data):
                remove.append(thing)
        return remove, stay

    def _stays(self, thing: Thing, found: Found, *, keep_data: bool) -> str:
        if thing.kind in ("bucket", "dataset") and keep_data and found.state == "ours":
            return "its data is kept (--keep-data)"
        if found.state == "foreign":
            return f"scripts/gcp did not make it ({found.detail})"
        outer = self._place(thing)
        if thing.comes and outer is not None and self.look(outer).state == "foreign":
            return "scripts/gcp did not install its release"
        if thing.of and thing.of not in {other.key for other in self.things}:
            return "its account is another project's"
        if thing.of and self.look(self._account(thing)).state == "foreign":
            return "scripts/gcp did not make its account"
        if thing.stays and not self._goes_along(thing, keep_data=keep_data):
            return thing.stays
        return ""

    def _account(self, thing: Thing) -> Thing:
        return next(other for other in self.things if other.key == thing.of)

    def _goes_along(self, thing: Thing, *, keep_data: bool) -> bool:
        """Whether it goes with what it is in. A release goes first: its load balancer would outlive the cluster. A job goes before it."""
        outer = self._place(thing)
        if outer is None or thing.kind in ("release", "job"):
            return False
        return self.look(outer).state == "ours" and not (keep_data and outer.kind in ("bucket", "dataset"))

    def down(self, remove: Sequence[Thing]) -> None:
        """Removes these.

        Raises:
            Failed: one could not be removed; all before it are.
        """
        for thing in remove:
            command = thing.unmake
            if command is None:
                continue
            self.say(line("removing", thing, ""))
            self._carry_away(thing, command)
            self.say(line("removed", thing, ""))

    def reach_cluster(self) -> None:
        """Has Helm and kubectl of this machine know the cluster, if it is there: it may have been made from another.

        Raises:
            Failed: its credentials could not be had.
        """
        for context in (thing for thing in self.things if thing.kind == "context"):
            cluster = self._place(context)
            if cluster is not None and self.look(cluster).state in ("ours", "foreign"):
                for command in context.make:
                    self._carry_out(context, command)
                self._forget(context)

    def _carry_away(self, thing: Thing, command: Command) -> None:
        said = self.run(command, aloud=thing.slow)
        if said.code and self.look(thing, anew=True).state != "absent":
            raise Failed(
                f"{thing.key}: `{shown(command)}` ended with {said.code}: {short(said)}. Way out: mend that, run `scripts/gcp down` again"
            )


_WIDTH: Final = 9


def line(word: str, thing: Thing, detail: str) -> str:
    """A line for the user."""
    return f"{word:<{_WIDTH}} {thing.key}" + (f": {detail}" if detail else "")


def told(found: Found, state: State | None = None) -> str:
    """What was found, in a word or two."""
    word = {"absent": "not there", "ours": "there", "foreign": "there, not ours", "coming": "being made", "stuck": "broken off"}
    said = word.get(state or found.state, found.state)
    return said + (f" ({found.detail})" if found.detail else "")


def number_of(said: Said, project: str) -> str:
    """The project's number, from `gcloud projects describe`.

    Raises:
        Failed: the project is not there, or this identity does not see it.
    """
    if said.code == 0 and re.fullmatch(r"[0-9]+", said.out.strip()):
        return said.out.strip()
    raise Failed(
        f"project {project} is not there, or you do not see it ({short(said) or 'no answer'}). Way out: `gcloud auth login`, and "
        f"`gcloud projects create {project}` if it does not exist yet"
    )
