"""Which run a source is replayed as: the one under way, or a new one, with its manifest in the place of checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from thundercast.domain.runs import Run

CURRENT: Final = "current"


class Manifests(Protocol):
    """What keeps manifests: part of `thundercast.stage.protocols.CheckpointStore`."""

    def read_manifest(self, name: str) -> dict[str, Any] | None: ...

    def write_manifest(self, name: str, manifest: Mapping[str, Any]) -> None: ...


class Refused(Exception):
    """The run cannot start as asked; the message says why and what to do. Exit code 2."""


def choose_run(manifests: Manifests, wanted: Run, *, new_run: bool, place: str, way_out: str) -> Run:
    """The run to go on with, or the wanted one, whose manifest is written then.

    Args:
        new_run: start anew although a run is under way.
        place: where the manifests are, for messages.
        way_out: what to do beside ``--new-run`` when another run is under way.

    Raises:
        Refused: a run of another fingerprint is under way, or the new one would not be newer than the last.
        Unavailable: the manifests cannot be read or written now.
    """
    manifest = manifests.read_manifest(CURRENT)
    if manifest is not None and not new_run:
        try:
            under_way = Run.from_json(manifest)
        except ValueError as error:
            raise Refused(f"{error} (--new-run)") from error
        if under_way.fingerprint != wanted.fingerprint:
            raise Refused(
                f"a run of other data or settings is under way in {place}: {_words(under_way)}; asked for: {_words(wanted)}. "
                f"Set them back, {way_out}, or start anew with --new-run."
            )
        return under_way
    if manifest is not None and str(manifest["run_id"]) >= wanted.run_id:
        raise Refused(f"the run {manifest['run_id']} in {place} is not older than a new one would be: is the clock right?")
    manifests.write_manifest(wanted.run_id, wanted.to_json())
    manifests.write_manifest(CURRENT, wanted.to_json())
    return wanted


def run_from(manifests: Manifests) -> Callable[[str], Run | None]:
    """Finds runs by their ids; None for a run without a manifest."""

    def find(run_id: str) -> Run | None:
        manifest = manifests.read_manifest(run_id)
        return Run.from_json(manifest) if manifest is not None else None

    return find


def _words(run: Run) -> str:
    return f"{run.source}, {run.start} to {run.end}, {run.shards} shards"
