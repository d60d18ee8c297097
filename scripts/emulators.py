#!/usr/bin/env python3
"""Stand-ins for Google's services on this machine, with their real wire protocols.

    Pub/Sub          Google's own emulator (a jar of the Google Cloud CLI; needs Java)
    BigQuery         bqemulator, in an environment of its own
    Cloud Storage    fake-gcs-server (built with Go)

`python scripts/emulators.py install` puts the last two into `.emulators/`; what cannot be had is named, with the way to get it.
The tests and `scripts/local.py` start them from here, on free ports of the loopback interface.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PLACE: Final = ROOT / ".emulators"
FAKE_GCS: Final = "github.com/fsouza/fake-gcs-server@v1.56.1"
_SDKS: Final = ("/usr/lib/google-cloud-sdk", "/opt/google-cloud-sdk", "/usr/local/google-cloud-sdk", "/opt/homebrew/share/google-cloud-sdk")
_JAR: Final = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
_STARTS_WITHIN: Final = 90.0  # s
_ENDS_WITHIN: Final = 15.0  # s


class Missing(Exception):
    """An emulator is not on this machine; the message says how to get it."""


class Failed(Exception):
    """An emulator did not start; the message has the end of its log."""


@dataclass
class Running:
    """An emulator that answers.

    Attributes:
        env: variables that make Google's clients talk to it.
    """

    name: str
    process: subprocess.Popen[bytes]
    env: Mapping[str, str]
    log: Path
    ports: Mapping[str, int] = field(default_factory=dict)

    def stop(self) -> None:
        """Ends the process and waits for it."""
        self.process.terminate()
        try:
            self.process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# --- what is here -----------------------------------------------------------------------------------------


def pubsub_jar() -> Path:
    """Raises `Missing` where there is none."""
    if shutil.which("java") is None:
        raise Missing("the Pub/Sub emulator needs Java: install a JRE, 17 or later")
    sdks = [*_SDKS, str(Path.home() / "google-cloud-sdk")]
    if (gcloud := shutil.which("gcloud")) is not None:
        sdks.insert(0, str(Path(gcloud).resolve().parents[1]))
    for sdk in sdks:
        if found := sorted(Path(sdk).glob(_JAR)):
            return found[-1]
    raise Missing(
        "Google's Pub/Sub emulator is not here: `gcloud components install beta pubsub-emulator`, "
        "or `apt install google-cloud-cli-pubsub-emulator` from Google's repository"
    )


def bqemulator() -> Path:
    """Raises `Missing` where it is not installed."""
    found = PLACE / "bigquery" / "bin" / "bqemulator"
    if not found.is_file():
        raise Missing("the BigQuery emulator is not installed: `make emulators`")
    return found


def fake_gcs_server() -> Path:
    """Raises `Missing` where it is not installed."""
    found = PLACE / "bin" / "fake-gcs-server"
    if found.is_file():
        return found
    if (elsewhere := shutil.which("fake-gcs-server")) is not None:
        return Path(elsewhere)
    raise Missing("fake-gcs-server is not here: `make emulators`, with Go 1.24 or later installed")


# --- installing -------------------------------------------------------------------------------------------


def install() -> list[str]:
    """Installs what is not there yet; returns what could not be had, and why."""
    PLACE.mkdir(exist_ok=True)
    problems = []
    try:
        pubsub_jar()
    except Missing as missing:
        problems.append(str(missing))
    _install_bqemulator()
    try:
        fake_gcs_server()
    except Missing:
        if shutil.which("go") is None:
            problems.append("fake-gcs-server is built with Go, which is not here")
        else:
            env = os.environ | {"GOBIN": str(PLACE / "bin"), "CGO_ENABLED": "0"}
            subprocess.run(["go", "install", "-ldflags", "-s -w", FAKE_GCS], env=env, check=True)
    return problems


def _install_bqemulator() -> None:
    lock, venv = ROOT / "requirements" / "emulators.txt", PLACE / "bigquery"
    ready = venv / ".ready"
    if ready.is_file() and ready.read_text() == lock.read_text():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    uv = Path(sys.executable).with_name("uv")
    python = str(venv / "bin" / "python")
    subprocess.run([str(uv), "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(lock)], check=True)
    # Else it fetches its extensions from the network when it starts.
    for extension in ("spatial", "icu"):
        subprocess.run([python, "-c", f"import duckdb_extensions as d; d.import_extension({extension!r})"], check=True)
    ready.write_text(lock.read_text())


# --- starting ---------------------------------------------------------------------------------------------


def start_pubsub(log: Path, *, port: int | None = None, heap: str = "1g") -> Running:
    """Google's Pub/Sub emulator. It keeps every message that it ever had, acked or not, in ``heap``."""
    port = port or free_port()
    command = ["java", f"-Xmx{heap}", "-jar", str(pubsub_jar()), "--host=127.0.0.1", f"--port={port}"]
    return _start(
        "the Pub/Sub emulator", command, log, {"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"}, {"grpc": port}, f"http://127.0.0.1:{port}"
    )


def start_bigquery(log: Path, *, port: int | None = None, project: str = "demo-project") -> Running:
    """The BigQuery emulator; its tables are in memory."""
    rest, grpc = port or free_port(), free_port()
    command = [str(bqemulator().with_name("python")), str(ROOT / "scripts" / "bqemulator_threads.py"), "start"]
    command += ["--rest-port", str(rest), "--grpc-port", str(grpc), "--project", project]
    env = {"BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{rest}", "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{grpc}"}
    return _start("the BigQuery emulator", command, log, env, {"rest": rest, "grpc": grpc}, f"http://127.0.0.1:{rest}/")


def start_storage(log: Path, *, port: int | None = None, folder: Path | None = None) -> Running:
    """fake-gcs-server; in memory unless a folder is given."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(fake_gcs_server()), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", address]
    command += ["-backend", "memory"] if folder is None else ["-backend", "filesystem", "-filesystem-root", str(folder)]
    return _start("fake-gcs-server", command, log, {"STORAGE_EMULATOR_HOST": address}, {"http": port}, f"{address}/storage/v1/b")


def _start(name: str, command: list[str], log: Path, env: dict[str, str], ports: dict[str, int], probe: str) -> Running:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        # A group of its own: Ctrl-C in the terminal is for the program that started it, which ends it in its own time.
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
    running = Running(name, process, env, log, ports)
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        if _answers(probe) and all(_listens(port) for port in ports.values()):
            return running
        time.sleep(0.1)
    running.stop()
    raise Failed(f"{name} did not start; the end of {log}:\n{log.read_text(errors='replace')[-2000:]}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def all_of_them(logs: Path, *, heap: str = "1g") -> Iterator[tuple[dict[str, str], list[Running]]]:
    """Runs the three; yields the variables for Google's clients, and the processes."""
    running: list[Running] = []
    try:
        running.append(start_pubsub(logs / "pubsub.log", heap=heap))
        running.append(start_bigquery(logs / "bigquery.log"))
        running.append(start_storage(logs / "storage.log"))
        yield {name: value for one in running for name, value in one.env.items()}, running
    finally:
        for one in running:
            one.stop()


def main() -> int:
    """`install` is the only word."""
    if sys.argv[1:] != ["install"]:
        print(__doc__)
        return 2
    for problem in install():
        print(f"not to be had here: {problem}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
