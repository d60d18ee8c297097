"""The command line: typed, with help, told as Beam's own; what is missing or wrong is named, with exit code 2."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from thundercast.adapters.settings import CloudSettings, PartSettings
from thundercast_dataflow.transforms import Pace
from thundercast_launcher.__main__ import flags, main
from thundercast_launcher.settings import LauncherSettings
from thundercast_launcher.specification import more_options

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "images" / "launcher" / "README.md"
CHART = ROOT / "charts" / "dataflow" / "templates" / "_job.tpl"
NEEDED = [
    "--project=demo-project",
    "--checkpoints=gs://my-bucket/x",
    "--sdk-container-image=a/b:1",
    "--service-account-email=w@p.iam.gserviceaccount.com",
]


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a settings file; and should a request be made, nobody answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THUNDERCAST_DATAFLOW_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("THUNDERCAST_REQUEST_SECONDS", "0.2")


def test_defaults_are_those_of_the_pipeline_and_of_all_parts() -> None:
    settings, pace = LauncherSettings(), Pace()
    assert (settings.gap_timeout, settings.idle_timeout, settings.snapshot_dates) == (
        pace.gap_timeout,
        pace.idle_timeout,
        pace.snapshot_dates,
    )
    assert settings.gap_timeout == PartSettings.model_fields["gap_timeout"].default
    assert settings.raw_subscription == CloudSettings.model_fields["raw_subscription"].default


def test_defaults_are_those_of_the_system_that_is_replaced() -> None:
    settings = LauncherSettings()
    assert (settings.region, settings.machine_type, settings.max_num_workers, settings.disk_size_gb) == (
        "us-central1",
        "n1-standard-2",
        4,
        30,
    )
    assert settings.use_public_ips is False


def test_files_lie_in_the_bucket_of_the_checkpoints_unless_said_otherwise() -> None:
    assert LauncherSettings(checkpoints="gs://my-bucket/x").place == "gs://my-bucket/dataflow"
    assert LauncherSettings(checkpoints="gs://my-bucket/x", temp_location="gs://other/y/").place == "gs://other/y"
    assert LauncherSettings(checkpoints="folder").place == ""


def test_every_setting_has_help() -> None:
    assert all(field.description and len(field.description) > 15 for field in LauncherSettings.model_fields.values())


def test_flags_are_taken_as_beam_writes_them() -> None:
    words = ["--mode=direct", "--job_name=cleaner", "--no_use_public_ips", "--disk_size_gb", "40"]
    assert flags(words) == ["--mode=direct", "--job-name=cleaner", "--no-use-public-ips", "--disk-size-gb", "40"]


def test_what_is_not_ours_is_an_option_of_beam() -> None:
    words = ["launch", "--experiments=a", "--number_of_worker_harness_threads=3", "--enable_streaming_engine", "--region=europe-west1"]
    assert flags(words) == [
        "launch", "--region=europe-west1", '--beam-options=["--experiments=a", "--number_of_worker_harness_threads=3", "--enable_streaming_engine"]'
    ]  # fmt: skip


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "Example: thundercast-launch launch --project my-project" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["begin"], "action"),
        (["--mode=other"], "mode"),
        (["--job-name=Cleaner"], "job_name"),
        (["--region=us"], "region"),
        (["--temp-location=/tmp"], "temp_location"),
        (["--service-account-email=me"], "service_account_email"),
        (["--max-num-workers=0"], "max_num_workers"),
        (["--gap-timeout=-1"], "gap_timeout"),
        (["--mode=flex-template", "--template=launcher.json"], "template"),
        (["--mode=flex-template"], "template"),
        (["--checkpoints=folder"], "checkpoints"),
        (["--sdk-container-image="], "sdk_container_image"),
        (["--service-account-email="], "service_account_email"),
        (["--idle-timeout=100"], "--idle_timeout"),
        (["--raw-subscription=a/b"], "--raw_subscription"),
        (["--raw-subscripton=abc"], "--raw-subscripton"),
        (["--runner=DirectRunner"], "--runner=DirectRunner"),
        (["--staging_location=gs://a/b"], "--staging_location"),
        (["--update"], "--update"),
        (["--save_main_session"], "--save_main_session"),
    ],
)
def test_what_is_wrong_is_named_before_anybody_is_asked(words: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*NEEDED, *words]) == 2
    assert named in capsys.readouterr().err


def test_an_option_without_a_value_is_nothing_for_a_template(capsys: pytest.CaptureFixture[str]) -> None:
    from thundercast.adapters.refusals import Usage
    from thundercast_launcher import flex
    from thundercast_launcher.specification import Specification

    settings = LauncherSettings(
        checkpoints="gs://my-bucket/x",
        sdk_container_image="a",
        service_account_email="a@b",
        template="gs://t/x.json",
        beam_options=["--enable_hot_key_logging"],
    )
    with pytest.raises(Usage, match="enable_hot_key_logging has no value"):
        flex.request(settings, Specification.of(settings), update=False)


def test_a_dataflow_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*NEEDED, "status"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "http://127.0.0.1:9 (variable THUNDERCAST_DATAFLOW_ENDPOINT)" in err


def test_the_readme_names_flags_that_there_are() -> None:
    blocks = README.read_text().split("```")[1::2]
    launching = "\n".join(block for block in blocks if "thundercast-launch" in block)
    named = {flag.removeprefix("--").replace("-", "_").removeprefix("no_") for flag in re.findall(r"--[a-z][a-z_-]+", launching)}
    assert len(named) > 15
    assert named <= set(LauncherSettings.model_fields)


def test_the_chart_gives_flags_that_there_are() -> None:
    given = [word for word in re.findall(r"^ *- (--[a-z_-]+=?)", CHART.read_text(), re.MULTILINE) if word != "--runner="]
    assert len(given) > 15
    # What is not a setting goes to Beam; that may be said, because it is so anyway.
    beam = [word for word in flags(given) if word.startswith("--beam-options=")]
    assert beam in ([], ['--beam-options=["--enable_streaming_engine"]'])
    assert more_options(LauncherSettings(beam_options=["--enable_streaming_engine"])) == []
