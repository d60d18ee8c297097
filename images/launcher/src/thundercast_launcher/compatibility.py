"""Whether a running job can be updated: its state is found by the names of its steps, and must be readable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from thundercast.adapters.refusals import Failed
from thundercast_dataflow import lane
from thundercast_launcher.specification import STATE, STEPS, Specification

_OURS = "Clean"
"""The composite whose parts are named in this project; those of the others are Beam's, which knows them by itself."""
_DRAIN = "or drain the job, which keeps its state in the checkpoints: `thundercast-launch drain`"


def check(labels: Mapping[str, str], steps: Iterable[str], wanted: Specification, mapping: Mapping[str, str]) -> None:
    """Passes if the running job's state goes on in the wanted one. Dataflow checks the rest itself before it replaces the job.

    Args:
        labels, steps: of the running job; the steps as Dataflow lists them, none if it lists none.
        mapping: steps that are called otherwise now.

    Raises:
        Failed: a step would lose its state, its state is of a newer version, or the mapping names what is not there.
    """
    version = labels.get(STATE, "")
    if version.isdigit() and int(version) > lane.VERSION:
        raise Failed(
            f"the running job's state has version {version}, and this program reads {lane.VERSION}: use the program that it was launched "
            "by, or a newer one"
        )
    unknown = sorted(new for new in mapping.values() if new not in wanted.steps)
    if unknown:
        raise Failed(f"transform_name_mapping: there is no step {unknown[0]}; there are {', '.join(sorted(ours(wanted.steps)))}")
    if labels.get(STEPS) == wanted.labels[STEPS] and not mapping:
        return
    running = set(steps)
    unknown = sorted(old for old in mapping if not any(step == old or step.startswith(f"{old}/") for step in running))
    if unknown and running:
        raise Failed(f"transform_name_mapping: the running job has no step {unknown[0]}; it has {', '.join(sorted(ours(running)))}")
    gone = {step for step in running if not ours([renamed(step, mapping)]) <= wanted.steps}
    # What the mapping has renamed, and not to what is there, is named whole.
    mapped = {step for step in gone if renamed(step, mapping) != step}
    lost = sorted(mapped | ours(gone - mapped))
    if lost:
        raise Failed(
            f"the running job has steps that the new one does not have, and whose state would be lost: {', '.join(lost)}. Say what they "
            f"are called now, --transform-name-mapping OLD=NEW, {_DRAIN}"
        )


def ours(steps: Iterable[str]) -> set[str]:
    """The names that are this project's: of transforms at the top, and all in its own composite."""
    return {step if step.startswith(f"{_OURS}/") else step.partition("/")[0] for step in steps}


def renamed(step: str, mapping: Mapping[str, str]) -> str:
    """What a step is called now, by its own entry in the mapping or by that of what it is part of.

    >>> renamed("Clean/InOrder/ParDo(CleanInOrder)", {"Clean": "Tidy"})
    'Tidy/InOrder/ParDo(CleanInOrder)'
    """
    parts = step.split("/")
    for length in range(len(parts), 0, -1):
        new = mapping.get("/".join(parts[:length]))
        if new is not None:
            return "/".join([new, *parts[length:]])
    return step
