"""What a person or a program gets from the command line, and what it says when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import settings

THUNDERCAST = Path(sys.executable).with_name("thundercast")
ROOT = Path(__file__).resolve().parents[3]
SCORES = {
    "roc_auc", "pr_auc", "brier", "brier_skill", "log_loss", "pod", "far", "csi", "hss", "peirce", "bias", "best_hss", "best_csi", "threshold",
    "n", "positives",
}  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def thundercast(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([THUNDERCAST, *map(str, arguments)], capture_output=True, text=True, timeout=400, check=False, cwd=cwd)


@pytest.mark.parametrize("command", ["run", "backtest", "sources", "inspect", "doctor", "report"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = thundercast(command, "--help")
    assert done.returncode == 0
    assert f"Example: thundercast {command}" in " ".join(done.stdout.split())


def test_a_backtest_in_json_has_every_score_of_every_model(cache: Path) -> None:
    done = thundercast("backtest", "sample", "--end", "2022-06-30", "--score-from", "2022-04-01", "--model", "thunder", "--model", "logistic",
                       "--json", "--cache", cache)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] > 30_000
    assert found["rows_per_second"] == pytest.approx(found["rows"] / found["seconds"], rel=0.01)
    assert set(found["models"]) == {"thunder", "logistic", "climatology"}
    for scores in found["models"].values():
        assert set(scores) >= SCORES
    assert found["models"]["thunder"]["brier_skill"] > 0.1 > found["models"]["climatology"]["brier_skill"] == 0.0
    assert found["models"]["thunder"]["n"] < found["rows"], "rows before --score-from are learnt, not scored"
    assert found["synthetic"] is False


def test_synthetic_data_is_called_synthetic(cache: Path) -> None:
    source = "synthetic:30,end=2022-02-15"
    table_form = thundercast("backtest", source, "--cache", cache)
    assert "SYNTHETIC DATA" in table_form.stdout
    assert json.loads(thundercast("backtest", source, "--json", "--cache", cache).stdout)["synthetic"] is True


def test_the_sources_are_listed_with_what_each_needs() -> None:
    entries = json.loads(thundercast("sources", "--json").stdout)
    assert {entry["form"].split(":")[0].split("[")[0] for entry in entries} >= {"sample", "file", "ncei", "synthetic", "bigquery"}
    assert all(entry["needs"] for entry in entries)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["backtest", "sampel"], 1, "sample"),
        (["backtest", "file:/nowhere/at/all.parquet"], 1, "/nowhere/at/all.parquet"),
        (["backtest", "sample", "--model", "thunderr"], 2, "thunder"),
        (["backtest", "sample", "--model", "climatology"], 2, "anyway"),
        (["backtest", "sample", "--start", "2022-13-01"], 2, "--start"),
        (["backtest", "sample", "--start", "2031-01-01"], 2, "2024-06-19"),
        (["backtest", "sample", "--task", "hindcast"], 2, "nowcast"),
        (["run", "--speed", "quick"], 2, "THUNDERCAST_SPEED"),
        (["run", "--shards", "0"], 2, "--shards"),
        (["run", "--model", "river.naive_bayes.GaussianNB"], 2, "backtest"),
        (["inspect", "/nowhere"], 1, "/nowhere"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_a_wrong_call_is_one_message_that_names_the_thing(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = thundercast(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def _run(state: Path, cache: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return thundercast("run", "--state", state, "--cache", cache, "--end", "2022-01-10", "--speed", "max", "--no-dashboard", "--metrics-port", 0,
                       "--model", "thunder", "--until-complete", *more)  # fmt: skip


def test_a_run_of_other_settings_does_not_go_on_with_what_is_there(tmp_path: Path, cache: Path) -> None:
    assert _run(tmp_path, cache).returncode == 0
    other = _run(tmp_path, cache, "--shards", 3)
    assert other.returncode == 2
    assert "--new-run" in other.stderr
    again = _run(tmp_path, cache)
    assert again.returncode == 0, "a finished run is found finished"
    models = _run(tmp_path, cache, "--model", "logistic")
    assert models.returncode == 1
    assert "models" in models.stderr
    assert _run(tmp_path, cache, "--shards", 3, "--new-run").returncode == 0
    found = json.loads(thundercast("inspect", tmp_path, "--json", "--cache", cache).stdout)
    assert found["checkpoint"]["meta"]["loop"]["counts"]["batches"]["ok"] == 10 * 16 + 10 * 3
    assert sum(1 for value in found["store"].values() if isinstance(value, dict) and value["state"] == "completed") == 2


def test_the_doctor_finds_nothing_wrong_here(tmp_path: Path) -> None:
    done = thundercast("doctor", "--state", tmp_path / "state", "--json")
    results = json.loads(done.stdout)
    assert done.returncode == 0, results
    assert {r["name"] for r in results} >= {"python", "sample", "state folder", "dashboard port"}


def test_the_settings_page_says_what_the_settings_are() -> None:
    assert settings.PAGE.read_text() == settings.page(), "write it anew: python scripts/settings.py"
