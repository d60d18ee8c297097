"""Options: typed, with help, equal to the settings that all parts share; what is wrong is named."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from thundercast.adapters.settings import CloudSettings, PartSettings
from thundercast_dataflow.__main__ import main
from thundercast_dataflow.options import BadOption, BatchOptions, BatchSettings, StreamingOptions, StreamingSettings


def options(*flags: str) -> PipelineOptions:
    return PipelineOptions(["--project=demo-project", *flags])


def test_defaults_are_those_of_all_parts() -> None:
    found = StreamingSettings.of(options())
    shared = {name: CloudSettings.model_fields[name].default for name in CloudSettings.model_fields}
    assert found.raw_subscription == f"projects/demo-project/subscriptions/{shared['raw_subscription']}"
    assert found.clean_topic == f"projects/demo-project/topics/{shared['clean_topic']}"
    assert found.dead_letter_topic == f"projects/demo-project/topics/{shared['dead_letter_topic']}"
    assert found.checkpoints == shared["checkpoints"]
    assert found.pace.gap_timeout == PartSettings.model_fields["gap_timeout"].default
    assert found.pace.snapshot_dates == 30


@pytest.mark.parametrize("cls", [StreamingOptions, BatchOptions])
def test_every_option_has_help(cls: type[PipelineOptions]) -> None:
    parser = argparse.ArgumentParser()
    cls._add_argparse_args(parser)
    assert all(action.help and len(action.help) > 15 for action in parser._actions if "--help" not in action.option_strings)


def test_full_names_are_taken_as_they_are() -> None:
    assert (
        StreamingSettings.of(options("--clean_topic=projects/other-project/topics/abc")).clean_topic == "projects/other-project/topics/abc"
    )


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--raw_subscription=x"], "--raw_subscription"),
        (["--raw_subscription=projects/demo-project/topics/abc"], "--raw_subscription"),
        (["--clean_topic=projects/demo-project/subscriptions/abc"], "--clean_topic"),
        (["--dead_letter_topic=a b c"], "--dead_letter_topic"),
        (["--project=X"], "--project"),
        (["--checkpoints="], "--checkpoints"),
        (["--runner=DataflowRunner"], "--checkpoints"),
        (["--gap_timeout=90000"], "--idle_timeout"),
    ],
)
def test_what_is_wrong_is_named(flags: list[str], named: str) -> None:
    with pytest.raises(BadOption, match=f"^{named}: "):
        StreamingSettings.of(options(*flags))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "--input"),
        (["--input=sample"], "--output"),
        (["--input=sample", "--output=x", "--start=2022-02-01", "--end=2022-01-01"], "--end"),
        (["--input=sample", "--output=x", "--runner=DataflowRunner"], "--output"),
    ],
)
def test_what_is_wrong_with_a_batch_is_named(flags: list[str], named: str) -> None:
    with pytest.raises(BadOption, match=f"^{named}: "):
        BatchSettings.of(options(*flags))


def test_the_command_line_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["streaming", "--raw_subscripton=abc"], ["streaming", "--input=sample"], ["batch", "--gap_timeout=3"]):
        assert main(words) == 2
        assert f"{words[1]}: there is no such option" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["streaming", "--gap_timeout=soon"], ["streaming", "--snapshot_dates=0"], ["batch", "--end=may"], []])
def test_the_command_line_names_what_cannot_be_read(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert (words[1].partition("=")[0] if words else "mode") in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["streaming", "batch"])
def test_help_says_that_the_local_runner_is_not_durable(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([mode, "--help"])
    assert ended.value.code == 0
    assert "NOT DURABLE" in capsys.readouterr().out


def test_environment_and_file_set_the_shared_settings_and_flags_win(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from thundercast_dataflow.__main__ import _settings_flags

    monkeypatch.chdir(tmp_path)
    (tmp_path / "thundercast.toml").write_text('clean_topic = "from-file"\n')
    monkeypatch.setenv("THUNDERCAST_RAW_SUBSCRIPTION", "from-environment")
    found = StreamingSettings.of(options(*_settings_flags("streaming"), "--dead_letter_topic=from-flag"))
    assert found.raw_subscription.endswith("/from-environment")
    assert found.clean_topic.endswith("/from-file")
    assert found.dead_letter_topic.endswith("/from-flag")


def test_a_source_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", f"--input={tmp_path}/none*.parquet", f"--output={tmp_path}"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
