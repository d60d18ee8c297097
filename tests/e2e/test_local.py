"""`make local` as a person meets it: the distributed system starts, says where it is, learns what it was given, and stops."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

import emulators
from thundercast.adapters.sources import open_source

ROOT = Path(__file__).resolve().parents[2]
START, END = dt.date(2022, 5, 1), dt.date(2022, 5, 3)
PARTS = {"simulator", "cleaner", "trainer", "dashboard"}
STOPS_WITHIN = 600.0  # s; a busy machine takes ten times as long as an idle one

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module", autouse=True)
def _stand_ins() -> None:
    """Skips with the reason where a stand-in cannot be had."""
    try:
        for found in (emulators.pubsub_jar, emulators.bqemulator, emulators.fake_gcs_server):
            found()
    except emulators.Missing as missing:
        pytest.skip(str(missing))


@contextmanager
def local(folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The program with three dates of the sample, in an environment as a terminal has it; it is told to stop when the block ends."""
    command = [sys.executable, str(ROOT / "scripts" / "local.py"), "--folder", str(folder), "--start", str(START), "--end", str(END), *more]
    env = {name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")} | {"PYTHONUNBUFFERED": "1"}

    def as_in_a_terminal() -> None:
        # Whoever runs the tests in the background of a script has them ignore SIGINT, and a child inherits that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=env, preexec_fn=as_in_a_terminal
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=STOPS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def get(address: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(address, timeout=30)


def test_every_row_is_learnt_and_every_part_stops_in_order(tmp_path: Path) -> None:
    rows = sum(day.rows.num_rows for day in open_source("sample", cache=tmp_path / "cache").dates(START, END))
    logs = tmp_path / "logs"
    logs.mkdir()
    with local(logs, "--speed", "max") as process:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if "is complete" in line or line.startswith("local:"):
                break
        text = "".join(said)
        found = re.search(r"is complete: ([\d,]+) rows were learnt", text)
        assert found, text
        assert int(found[1].replace(",", "")) == rows
        where = dict(re.findall(r"^  (\w+) +(http://\S+)", text, re.MULTILINE))
        assert set(where) == PARTS, text
        assert f"{where['dashboard']}  <- open this one" in text
        assert get(f"{where['dashboard']}/_stcore/health").ok
        assert get(where["trainer"]).ok, "the trainer leads, and says so"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=STOPS_WITHIN)
        assert process.returncode == 0, rest
        assert rest.endswith("stopped\n")
        for address in where.values():
            with pytest.raises(requests.ConnectionError):
                get(address)
    for part in PARTS - {"dashboard"}:
        log = (logs / f"{part}.log").read_text()
        assert log, part
        assert "Traceback" not in log, log
