"""What the dashboard shows is chosen by a name, and only what is chosen is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from thundercast.adapters.google.bigquery_reader import BigQueryReader
from thundercast.adapters.reading import StoreMissing
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast_dashboard import __main__ as program
from thundercast_dashboard import serve, store


def test_a_path_is_a_file_even_if_the_file_is_called_bigquery(tmp_path: Path) -> None:
    for name in (str(tmp_path / "store.db"), str(tmp_path / "bigquery"), "./bigquery"):
        chosen = store.named(name)
        reader = chosen.open()
        assert (chosen.kind, chosen.where, chosen.maker, type(reader)) == ("sqlite", name, "thundercast run", SqliteReader)
        with pytest.raises(StoreMissing, match="bigquery|store.db"):
            reader.runs()
        reader.close()


def test_bigquery_is_the_dataset_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUNDERCAST_PROJECT", "weather-prod")
    monkeypatch.setenv("THUNDERCAST_DATASET", "replay")
    chosen = store.named("bigquery")
    reader = chosen.open()
    assert (chosen.kind, chosen.where, chosen.maker) == ("bigquery", "BigQuery, weather-prod.replay", "thundercast bootstrap")
    assert isinstance(reader, BigQueryReader)
    reader.close()


@pytest.mark.parametrize(("name", "loaded"), [("store.db", False), ("bigquery", True)])
def test_googles_clients_are_loaded_for_bigquery_alone(name: str, loaded: bool) -> None:
    code = (
        f"import sys; from thundercast_dashboard import store; store.named({name!r}).open(); print('google.cloud.bigquery' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == str(loaded)


class Replaced(Exception):
    """Stands for the process having become another program."""


def _start(monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    def replace(_: str, arguments: list[str]) -> None:
        raise Replaced(arguments)

    monkeypatch.setattr("os.execv", replace)
    monkeypatch.setattr(sys, "argv", ["thundercast_dashboard", *flags])
    return program.main()


def test_flags_and_variables_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("THUNDERCAST_PROJECT", "THUNDERCAST_DATASET"):
        monkeypatch.setenv(name, "from-the-environment")
    monkeypatch.setenv("THUNDERCAST_STORE", "bigquery")
    monkeypatch.setenv("THUNDERCAST_PORT", "9001")
    with pytest.raises(Replaced) as replaced:
        _start(monkeypatch, "--dataset", "replay", "--host", "0.0.0.0")
    assert replaced.value.args == (serve.command("bigquery", 9001, "0.0.0.0"),)
    assert store.named("bigquery").where == "BigQuery, from-the-environment.replay"


def test_without_googles_clients_bigquery_is_a_usage_error_that_names_the_extra() -> None:
    # A process of its own: modules that are loaded anew here would stand beside those that other tests know.
    code = "import sys; sys.modules['google.cloud.bigquery_storage_v1'] = None; from thundercast_dashboard import __main__ as program; "
    flags = ["--store", "bigquery", "--project", "x", "--dataset", "x"]
    done = subprocess.run([sys.executable, "-c", code + "sys.exit(program.main())", *flags], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'thundercast-dashboard[cloud]'" in done.stderr


def test_no_store_is_a_usage_error_that_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("THUNDERCAST_STORE", raising=False)
    assert _start(monkeypatch) == 2
    assert "THUNDERCAST_STORE" in capsys.readouterr().err
