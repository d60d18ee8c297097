"""What the job is: the options of its pipeline, and a hash that tells whether a running job is the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

import thundercast
from thundercast.adapters.places import Bucket, parse
from thundercast.adapters.refusals import Usage
from thundercast_dataflow import lane
from thundercast_dataflow.options import StreamingOptions, unknown_options
from thundercast_launcher import graph
from thundercast_launcher.settings import LauncherSettings

SPECIFICATION: Final = "thundercast-specification"
STEPS: Final = "thundercast-steps"
STATE: Final = "thundercast-state"
EXPERIMENT: Final = "disable_logging_submission_environment"
"""Beam would run pip to list what is installed here; the image has no pip, and the workers have the same."""
_OURS: Final = frozenset({"runner", "streaming", "update", "transform_name_mapping", "dry_run", "dataflow_endpoint", "template_location"})
"""Options of Beam that nobody else may set, beside those that are written out below."""
_MANY: Final = frozenset({"labels", "experiments"})
_HEX: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """A job that settings make.

    Attributes:
        words: its options, as Beam's own command line has them.
        labels: what it is labelled with.
        steps: full names of its pipeline's transforms.
    """

    words: tuple[str, ...]
    labels: dict[str, str]
    steps: frozenset[str]

    @classmethod
    def of(cls, settings: LauncherSettings) -> Specification:
        """Raises `Usage`: the settings make no job; the message names what is missing or wrong."""
        _check(settings)
        own, more = _own_words(settings), more_options(settings)
        steps = graph.steps(graph.built([*own, *more]))
        labels = {"app": "thundercast", "component": "cleaner", STATE: str(lane.VERSION), STEPS: _digest(sorted(steps))}
        labels |= {key: value for word in more if _name(word) == "labels" for key, _, value in [word.partition("=")[2].partition("=")]}
        options = [word for word in (*own, *more) if _name(word) != "labels"]
        # The number of workers can be changed while the job runs.
        lasting = [word for word in options if _name(word) != "max_num_workers"]
        labels[SPECIFICATION] = _digest({"words": sorted(lasting), "labels": labels, "version": thundercast.__version__})
        return cls(words=(*options, *(f"--labels={key}={labels[key]}" for key in sorted(labels))), labels=labels, steps=frozenset(steps))

    @property
    def digest(self) -> str:
        """Its hash, as a label of the job has it. How the job is submitted is not in it: either way makes the same."""
        return self.labels[SPECIFICATION]


def pipeline_options(settings: LauncherSettings) -> dict[str, str]:
    """The pipeline's own options."""
    return {
        "raw_subscription": settings.raw_subscription,
        "clean_topic": settings.clean_topic,
        "dead_letter_topic": settings.dead_letter_topic,
        "checkpoints": settings.checkpoints,
        "gap_timeout": f"{settings.gap_timeout:g}",
        "idle_timeout": f"{settings.idle_timeout:g}",
        "snapshot_dates": str(settings.snapshot_dates),
    }


def more_options(settings: LauncherSettings) -> list[str]:
    """The options of `beam_options` that are not said already.

    Raises:
        Usage: one is not known, or is the launcher's own business.
    """
    own = _own_words(settings)
    taken = ({_name(word) for word in own} | _OURS) - _MANY
    more = [word for word in settings.beam_options if word not in own]
    for word in more:
        if not word.startswith("--"):
            raise Usage(f"beam_options: {word!r} is not an option; each is written --name=value")
        if _name(word) in taken:
            raise Usage(
                f"beam_options: {word} cannot be set there, for the launcher sets it; `thundercast-launch --help` lists what it can be told"
            )
    if unknown := unknown_options(more, (StreamingOptions,)):
        raise Usage(f"{unknown[0]}: there is no such option, neither of thundercast-launch (--help lists them) nor of Beam")
    return more


def _check(settings: LauncherSettings) -> None:
    if not isinstance(parse(settings.checkpoints), Bucket):
        raise Usage(
            f"checkpoints: {settings.checkpoints} is a folder, which workers do not share; give gs://BUCKET/PREFIX (flag --checkpoints, "
            "variable THUNDERCAST_CHECKPOINTS)"
        )
    for name, what in (("sdk_container_image", "the image of the workers"), ("service_account_email", "the workers' service account")):
        if not getattr(settings, name):
            raise Usage(f"{name}: {what} must be given (flag --{name.replace('_', '-')}, variable THUNDERCAST_{name.upper()})")
    if settings.mode == "flex-template" and not settings.template:
        raise Usage("template: the Flex Template's file must be given (flag --template gs://BUCKET/OBJECT, variable THUNDERCAST_TEMPLATE)")


def _own_words(settings: LauncherSettings) -> list[str]:
    chosen = {
        "runner": "DataflowRunner",
        "project": settings.project,
        "region": settings.region,
        "job_name": settings.job_name,
        "staging_location": f"{settings.place}/staging",
        "temp_location": f"{settings.place}/temp",
        "service_account_email": settings.service_account_email,
        "sdk_container_image": settings.sdk_container_image,
        # What the image has is used: nothing is installed when a worker starts.
        "sdk_location": "container",
        "machine_type": settings.machine_type,
        "disk_size_gb": str(settings.disk_size_gb),
        "max_num_workers": str(settings.max_num_workers),
        "autoscaling_algorithm": settings.autoscaling_algorithm,
        "experiments": EXPERIMENT,
        **({"subnetwork": settings.subnetwork} if settings.subnetwork else {}),
        **pipeline_options(settings),
    }
    return [
        *(f"--{name}={value}" for name, value in chosen.items()),
        "--enable_streaming_engine",
        "--use_public_ips" if settings.use_public_ips else "--no_use_public_ips",
        # The launcher's own session is nothing to the workers, which do not even have its modules.
        "--no_save_main_session",
    ]


def _name(word: str) -> str:
    return word.removeprefix("--").partition("=")[0].removeprefix("no_")


def _digest(said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:_HEX]
