"""`thundercast-clean-dataflow`: the cleaner as a Beam pipeline. Exit codes: 0 done, 1 failed, 2 usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import apache_beam as beam
import structlog
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from pydantic import ValidationError

import thundercast
from thundercast.adapters import logs
from thundercast.adapters.settings import CloudSettings, explain
from thundercast.adapters.sources import SourceError
from thundercast.stage.protocols import Unavailable
from thundercast_dataflow import batch, streaming
from thundercast_dataflow.checks import check
from thundercast_dataflow.inputs import open_input
from thundercast_dataflow.options import (
    BadOption,
    BatchOptions,
    BatchSettings,
    StreamingOptions,
    StreamingSettings,
    is_local,
    unknown_options,
)

PROG: Final = "thundercast-clean-dataflow"
_ABOUT: Final = """The cleaner as a Beam pipeline.

Without --runner it runs on this machine with Beam's DirectRunner, which is NOT DURABLE: it acknowledges messages as it pulls them
and keeps state in memory, so what it holds when it ends is lost. Use --runner DataflowRunner, or `thundercast-cleaner`."""
_MORE: Final = "Every option of Beam and of its runners is taken too, as --project, --region, --temp_location, --max_num_workers."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    # argparse ends the process with 2 if an option cannot be read, and says which.
    known, rest = parser.parse_known_args(words)
    logs.configure()
    try:
        words.remove(known.mode)
        options = PipelineOptions([*_settings_flags(known.mode), *words], streaming=known.mode == "streaming")
        _refuse_unknown(rest)
        run: Callable[[PipelineOptions], int] = known.run
        return run(options)
    except ValidationError as error:
        return _complain(explain(error), 2)
    except BadOption as error:
        return _complain(str(error), 2)
    except (SourceError, Unavailable) as error:
        return _complain(str(error), 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROG, description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_MORE)
    parser.add_argument("--version", action="version", version=f"{PROG} {thundercast.__version__}")
    modes = parser.add_subparsers(dest="mode", required=True)
    for mode, options, run, about in (
        ("streaming", StreamingOptions, _stream, "from the raw subscription to the clean topic, until it is ended"),
        ("batch", BatchOptions, _batch, "from a source to parquet files"),
    ):
        sub = modes.add_parser(
            mode, help=about, description=f"{_ABOUT}\n\nThis mode cleans {about}.", epilog=_MORE, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        options._add_argparse_args(sub)
        sub.set_defaults(run=run)
    return parser


def _settings_flags(mode: str) -> list[str]:
    """The settings that all parts share, where environment or file sets them: flags come after and win."""
    if mode != "streaming":
        return []
    chosen, flags = CloudSettings(), ("raw_subscription", "clean_topic", "dead_letter_topic", "checkpoints")
    return [f"--{name}={getattr(chosen, name)}" for name in flags if name in chosen.model_fields_set]


def _refuse_unknown(rest: list[str]) -> None:
    unknown = unknown_options(rest, ())  # the mode has taken its own options, and not the other's
    if unknown:
        raise BadOption(f"{unknown[0]}: there is no such option; `{PROG} streaming --help` and `{PROG} batch --help` list ours")


def _stream(options: PipelineOptions) -> int:
    settings = StreamingSettings.of(options)
    log = structlog.get_logger()
    if is_local(options):
        check(settings)  # or the runner tells of what is missing by a traceback of many pages
        log.warning("not durable", runner="DirectRunner", why="it acknowledges at once and keeps state in memory")
    # The bundle-based runner is the one of the local runners that has state, processing time and Pub/Sub together.
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner() if is_local(options) else None, options=options)
    streaming.build(pipeline, settings)
    log.info("streaming", subscription=settings.raw_subscription, topic=settings.clean_topic, checkpoints=settings.checkpoints)
    return _finish(pipeline.run(), options)


def _batch(options: PipelineOptions) -> int:
    settings = BatchSettings.of(options)
    if is_local(options):
        FileSystems.set_options(options)
        # Once, before the elements do it: what is wrong is said here, and what is sorted is there.
        open_input(settings.input, cache=settings.cache, project=settings.project).open()
    # Named, because Beam's default would first look for a runner that it has to download.
    pipeline = beam.Pipeline(runner=FnApiRunner() if is_local(options) else None, options=options)
    batch.build(pipeline, settings)
    return _finish(pipeline.run(), options)


def _finish(result: Any, options: PipelineOptions) -> int:
    """Waits for a local pipeline; one that was submitted goes on by itself."""
    log = structlog.get_logger()
    if not is_local(options):
        cloud = options.view_as(GoogleCloudOptions)
        if cloud.template_location:  # Dataflow itself makes a job of it
            log.info("written", template=cloud.template_location)
        else:
            log.info("submitted", job_id=result.job_id(), region=cloud.region)
        return 0
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        log.warning("ended", lost="what was pulled and not published")
        return 1
    counters = {item.key.metric.name: item.committed for item in result.metrics().query()["counters"]}
    log.info("done", **{name: number for name, number in sorted(counters.items()) if number})
    return 0


def _complain(text: str, code: int) -> int:
    print(f"{PROG}: {text}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
