"""The pipeline's options: Beam's own, and these. Defaults are those that all parts share (`CloudSettings`)."""

from __future__ import annotations

import argparse
import datetime as dt
import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions

from thundercast.adapters.places import BadPlace, parse
from thundercast.adapters.settings import CloudSettings
from thundercast_dataflow.transforms import Pace

_LOCAL: Final = (*StandardOptions.LOCAL_RUNNERS, "")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_PROJECT: Final = re.compile(r"[a-z][-a-z0-9:.]{4,61}[a-z0-9]")


class BadOption(ValueError):
    """An option cannot be used; the message names it and says what it should be."""


def shared(name: str) -> Any:
    """The default of a setting that all parts share."""
    return CloudSettings.model_fields[name].default


def about(name: str) -> str:
    """What a setting that all parts share is."""
    return f"{CloudSettings.model_fields[name].description} (default: {shared(name)})"


def _number(kind: Callable[[str], float], least: float, what: str) -> Callable[[str], Any]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {what}") from error
        if not math.isfinite(value) or value < least:
            raise argparse.ArgumentTypeError(f"must be {least:g} or more, not {text}")
        return value

    return read


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2022-01-31") from error


_SECONDS: Final = _number(float, 0.001, "a number of seconds")
_WHOLE: Final = _number(int, 1, "a whole number")


class StreamingOptions(PipelineOptions):
    """Where the stream comes from and goes to."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        pace = Pace()
        add = parser.add_argument
        add("--raw_subscription", default=shared("raw_subscription"), metavar="NAME", help=about("raw_subscription"))
        add("--clean_topic", default=shared("clean_topic"), metavar="NAME", help=about("clean_topic"))
        add("--dead_letter_topic", default=shared("dead_letter_topic"), metavar="NAME", help=about("dead_letter_topic"))
        add("--checkpoints", default=shared("checkpoints"), metavar="PLACE", help=about("checkpoints"))
        add(
            "--gap_timeout", type=_SECONDS, default=pace.gap_timeout, metavar="SECONDS",
            help=f"patience with a missing batch while later ones wait (default: {pace.gap_timeout:g}); the trainer's must be twice this",
        )  # fmt: skip
        add(
            "--idle_timeout", type=_SECONDS, default=pace.idle_timeout, metavar="SECONDS",
            help=f"a shard to which nothing comes for so long leaves the job's state for the checkpoints (default: {pace.idle_timeout:g})",
        )  # fmt: skip
        add(
            "--snapshot_dates", type=_WHOLE, default=pace.snapshot_dates, metavar="N",
            help=f"write each shard's state to the checkpoints every so many dates (default: {pace.snapshot_dates})",
        )  # fmt: skip


class BatchOptions(PipelineOptions):
    """What is cleaned in one go."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        add = parser.add_argument
        add(
            "--input", metavar="SOURCE",
            help="a file, folder or pattern (parquet, CSV, .op; local or gs://), or any source that `thundercast sources` lists, "
            "as bigquery:2022-2024",
        )  # fmt: skip
        add("--output", metavar="FOLDER", help="folder, local or gs://, for clean-*.parquet and dead-letters-*.parquet")
        add("--start", type=_date, metavar="DATE", help="first date (default: the source's)")
        add("--end", type=_date, metavar="DATE", help="last date (default: the source's)")
        add(
            "--shards", type=_WHOLE, default=1, metavar="N",
            help="elements that the stations are dealt to, one for each core that works; each reads the whole source, and is billed for it "
            "if that is BigQuery (default: 1)",
        )  # fmt: skip
        add(
            "--cache", default=".thundercast/cache", metavar="FOLDER",
            help="a worker's own folder for what is fetched and sorted (default: .thundercast/cache)",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingSettings:
    """`StreamingOptions`, checked, with full resource names.

    Attributes:
        id_label: attribute by which the runner leaves out duplicates; only Dataflow can.
    """

    raw_subscription: str
    clean_topic: str
    dead_letter_topic: str
    checkpoints: str
    pace: Pace
    id_label: str | None

    @classmethod
    def of(cls, options: PipelineOptions) -> StreamingSettings:
        """Raises `BadOption`."""
        o, project = options.view_as(StreamingOptions), project_of(options)
        if o.idle_timeout <= o.gap_timeout:
            raise BadOption(f"--idle_timeout: {o.idle_timeout:g} s must be more than --gap_timeout, {o.gap_timeout:g} s")
        _check_place("checkpoints", o.checkpoints, options)
        return cls(
            raw_subscription=full_name("raw_subscription", "subscriptions", o.raw_subscription, project),
            clean_topic=full_name("clean_topic", "topics", o.clean_topic, project),
            dead_letter_topic=full_name("dead_letter_topic", "topics", o.dead_letter_topic, project),
            checkpoints=o.checkpoints,
            pace=Pace(gap_timeout=o.gap_timeout, idle_timeout=o.idle_timeout, snapshot_dates=o.snapshot_dates),
            id_label="message_id" if runner_of(options) == "DataflowRunner" else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """`BatchOptions`, checked."""

    input: str
    output: str
    project: str
    start: dt.date | None
    end: dt.date | None
    shards: int
    cache: Path

    @classmethod
    def of(cls, options: PipelineOptions) -> BatchSettings:
        """Raises `BadOption`."""
        o = options.view_as(BatchOptions)
        for name in ("input", "output"):
            if not getattr(o, name):
                raise BadOption(f"--{name}: must be given")
        if o.start and o.end and o.end < o.start:
            raise BadOption(f"--end: {o.end} is before --start, {o.start}")
        _check_place("output", o.output, options)
        return cls(
            input=o.input, output=o.output, project=project_of(options), start=o.start, end=o.end, shards=o.shards, cache=Path(o.cache)
        )


def unknown_options(words: Sequence[str], ours: Collection[type[PipelineOptions]]) -> list[str]:
    """Those of the words that are options of nobody: Beam leaves them out with a warning, and a misspelt one must not be overlooked.

    Args:
        ours: which of `StreamingOptions` and `BatchOptions` count.
    """
    every = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for known in PipelineOptions.__subclasses__():
        if known in ours or known not in (StreamingOptions, BatchOptions):
            known._add_argparse_args(every)
    return every.parse_known_args(list(words))[1]


def _check_place(option: str, place: str, options: PipelineOptions) -> None:
    try:
        found = parse(place)
    except BadPlace as error:
        raise BadOption(f"--{option}: {error}") from error
    if isinstance(found, Path) and not is_local(options):
        raise BadOption(f"--{option}: {place} is a folder, which workers do not share; give gs://BUCKET/PREFIX")


def runner_of(options: PipelineOptions) -> str:
    """The runner's name; empty if none is asked for."""
    runner: str = options.view_as(StandardOptions).runner or ""
    return runner.rpartition(".")[2]


def is_local(options: PipelineOptions) -> bool:
    """Whether the pipeline runs on this machine."""
    return runner_of(options) in _LOCAL


def project_of(options: PipelineOptions) -> str:
    """Raises `BadOption`."""
    project: str = options.view_as(GoogleCloudOptions).project or CloudSettings().project
    if not _PROJECT.fullmatch(project):
        raise BadOption(f"--project: {project!r} is not the id of a project")
    return project


def full_name(option: str, kind: str, name: str, project: str) -> str:
    """``projects/PROJECT/KIND/NAME`` of a name that may be short or full. Raises `BadOption`."""
    parts = name.split("/")
    if len(parts) == 1 and _NAME.fullmatch(name):
        return f"projects/{project}/{kind}/{name}"
    if len(parts) == 4 and parts[0] == "projects" and parts[2] == kind and _PROJECT.fullmatch(parts[1]) and _NAME.fullmatch(parts[3]):
        return name
    raise BadOption(f"--{option}: {name!r} is neither a name of three letters or more nor projects/PROJECT/{kind}/NAME")
