"""One thing: how it is looked at, made and removed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gcp_setup.chosen import LABEL
from gcp_setup.running import Command, Said

State = Literal["absent", "ours", "foreign", "coming", "differs", "stuck"]
"""``foreign``: it is there and `scripts/gcp` did not make it. ``coming``: somebody is making it. ``stuck``: making it was broken off."""

_ABSENT: Final = re.compile(r"NOT_FOUND|[Nn]ot found|\b404\b|does not exist|Unknown service account")
_DENIED: Final = re.compile(r"PERMISSION_DENIED|\b403\b|[Pp]ermission .*denied|does not have .*(permission|access)|or it may not exist")
_DISABLED: Final = re.compile(r"SERVICE_DISABLED|has not been used in project|API .*(is not enabled|disabled)|not enabled on project")


class Failed(Exception):
    """A step did not come through; says which, why, and the way out."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at a thing found."""

    state: State
    detail: str = ""


ABSENT: Final = Found("absent")
OURS: Final = Found("ours")
Read = Callable[[Any], Found]
"""What the answer, parsed from JSON, says of the thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing that is made, or one role that is granted.

    Attributes:
        look: changes nothing; ends with 0 if the thing is there, or if its place is.
        make: one after the other; doing them again changes nothing. Empty: made by an earlier thing's.
        always: made even if it is there: it looks for itself, and may find something newer to do.
        unmake: removes it; none: it stays, and ``stays`` says why.
        comes: who makes it, later than `up`, which passes over it then.
        stuck: what clears the way where making it was broken off.
        within: key of the thing that it is in, and goes with; where that is absent, so is this.
        of: key of the account that a role is granted to; the grant is ours if the account is.
        about: what it is, in words.
        cost: what it costs.
        slow: its making takes minutes, and its output is shown.
        holds: what is lost with it.
    """

    kind: str
    name: str
    look: Command
    read: Read
    make: tuple[Command, ...] = ()
    always: bool = False
    unmake: Command | None = None
    comes: str = ""
    stuck: Mapping[str, Command] | None = None
    within: str = ""
    of: str = ""
    about: str = ""
    cost: str = ""
    slow: bool = False
    holds: str = ""
    stays: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name}"


def looked(thing: Thing, said: Said) -> Found:
    """What became of a look.

    Raises:
        Failed: it cannot be told whether the thing is there.
    """
    if said.code == 0:
        try:
            return thing.read(json.loads(said.out) if said.out.strip() else None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failed(f"{thing.key}: the answer to the look at it is not understood ({type(error).__name__}: {error})") from error
    words = f"{said.err}\n{said.out}"
    if _DISABLED.search(words):
        return Found("absent", "its API is not enabled")
    if _DENIED.search(words):
        raise Failed(
            f"{thing.key} may not be looked at ({short(said)}). Way out: `gcloud auth login` as an owner of the project; if the name is "
            "taken by somebody else's, choose another in a values file"
        )
    if _ABSENT.search(words):
        return ABSENT
    raise Failed(f"{thing.key} could not be looked at ({short(said)}). Way out: run it again; what is done stays done")


_NEW: Final = re.compile(r"does not exist|NOT_FOUND|concurrent policy changes|ABORTED|UNAVAILABLE|\b503\b|\b429\b")
_NEW_ACCOUNT: Final = re.compile(r"[Ss]ervice ?[Aa]ccount\b.*(does not exist|NOT_FOUND|not found)")


def passes(said: Said, *, slow: bool = False) -> bool:
    """Whether a failure is one that time mends: what was just made or enabled is not known everywhere at once.

    Args:
        slow: what failed takes minutes, and may have failed for a reason of its own in the same words.
    """
    words = f"{said.err}\n{said.out}"
    return bool(_DISABLED.search(words) or (_NEW_ACCOUNT if slow else _NEW).search(words))


def short(said: Said) -> str:
    """The last words of a program, on one line."""
    line = " ".join(said.words.split())
    return line if len(line) <= 400 else f"…{line[-400:]}"


# --- reading answers --------------------------------------------------------------------------------------


def labelled(release: str) -> Read:
    """Ours if it bears the label of the release."""

    def read(answer: Any) -> Found:
        found = (answer.get("labels") or {}).get(LABEL)
        return OURS if found == release else Found("foreign", f"its label {LABEL} is {found}" if found else "it was there already")

    return read


def described(release: str) -> Read:
    """Of what takes no labels: ours if its description is that of the release."""
    return lambda answer: OURS if answer.get("description") == f"{LABEL}={release}" else Found("foreign", "it was there already")


def bound(role: str, member: str) -> Read:
    """Whether a policy has a binding without a condition."""

    def read(answer: Any) -> Found:
        for binding in (answer or {}).get("bindings", ()):
            if binding["role"] == role and member in binding["members"] and not binding.get("condition"):
                return OURS
        return ABSENT

    return read


_OF_DATASETS: Final = {"roles/bigquery.dataViewer": "READER", "roles/bigquery.dataEditor": "WRITER", "roles/bigquery.dataOwner": "OWNER"}
"""As a dataset's access list calls them; cloud.google.com/bigquery/docs/access-control-basic-roles."""


def may_use(role: str, email: str) -> Read:
    """Whether a dataset's access list has an account with a role."""

    def read(answer: Any) -> Found:
        names = {role, _OF_DATASETS.get(role, role)}
        return OURS if any(a.get("userByEmail") == email and a.get("role") in names for a in answer.get("access", ())) else ABSENT

    return read
