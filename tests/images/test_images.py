"""The images are what they promise: small in rights, whole, and ready at once."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import emulators
from images.containers import Image

NAMES = ("cleaner", "dashboard", "dataflow", "launcher", "simulator", "standalone", "trainer", "bigquery-emulator")
HELP = {
    "cleaner": ["thundercast-cleaner"],
    "dashboard": ["python", "-m", "thundercast_dashboard"],
    "dataflow": ["thundercast-clean-dataflow"],
    "launcher": ["thundercast-launch"],
    "simulator": ["thundercast-simulator"],
    "standalone": ["thundercast"],
    "trainer": ["thundercast-trainer"],
    "bigquery-emulator": ["python", "/app/bqemulator_threads.py"],
}
WITH_KERNELS = ("cleaner", "dashboard", "dataflow", "launcher", "simulator", "standalone", "trainer")
PARTS = {
    "cleaner": "clean",
    "dashboard": "publish",
    "dataflow": "clean",
    "launcher": "clean",
    "simulator": "publish",
    "standalone": "train",
    "trainer": "train",
}
ROOT = Path(__file__).resolve().parents[2]

Get = Callable[[str], Image]


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is(image: Get, name: str) -> None:
    labels = image(name).config["Labels"]
    for label in ("title", "description", "version", "revision", "licenses"):
        assert labels[f"org.opencontainers.image.{label}"]
    assert labels["org.opencontainers.image.title"] == f"thundercast-{name}"


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_a_user_without_rights(image: Get, name: str) -> None:
    user, _, group = image(name).config["User"].partition(":")
    assert int(user) > 10_000
    assert int(group) > 10_000
    done = image(name).run(entrypoint=["id", "-u"])
    assert done.stdout.split() == [user], done.stderr
    given = []
    for place in ("app", "etc", "opt", "usr"):
        for folder, _, files in os.walk(image(name).root / place):
            for path in (Path(folder), *(Path(folder, file) for file in files)):
                found = path.lstat()
                if found.st_uid == int(user) or (found.st_mode & 0o6002 and not path.is_symlink()):
                    given.append(f"{path.relative_to(image(name).root)} {found.st_mode:o}")
    assert not given, "theirs, written by everybody, or run as somebody else"


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_no_installer_and_no_compiler(image: Get, name: str) -> None:
    root = image(name).root
    found = [str(path.relative_to(root)) for bin_ in ("usr/bin", "usr/local/bin", "opt/python/bin") for path in (root / bin_).glob("*")]
    names = {Path(path).name for path in found}
    assert not names & {"pip", "pip3", "uv", "gcc", "cc", "g++", "clang", "make", "go"}
    done = image(name).run(entrypoint=["python", "-c", "import pip"])
    assert "No module named 'pip'" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_program_starts_on_a_read_only_root(image: Get, name: str) -> None:
    done = image(name).run(entrypoint=[*HELP[name], "--help"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert "usage" in done.stdout.lower()
    done = image(name).run(entrypoint=["sh", "-c", "touch /app/x || touch /x || touch /var/x"], user="0:0")
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_nothing_is_compiled_that_the_image_could_bring_along(image: Get, name: str) -> None:
    done = image(name).run(entrypoint=["python", "-m", "thundercast.adapters.warming", PARTS[name]], env={"NUMBA_DEBUG_CACHE": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert "data loaded" in done.stdout
    assert "saved to" not in done.stdout


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_bytecode_is_that_of_the_source(image: Get, name: str) -> None:
    """Bytecode is used without looking at its source, so it must have been made from it."""
    check = (
        "import importlib.util, pathlib, sys\n"
        "for source in pathlib.Path('/app').rglob('*.py'):\n"
        "    code = pathlib.Path(importlib.util.cache_from_source(source)).read_bytes()\n"
        "    assert int.from_bytes(code[4:8], 'little') == 1, source\n"
        "    assert code[8:16] == importlib.util.source_hash(source.read_bytes()), source\n"
    )
    done = image(name).run(entrypoint=["python", "-c", check])
    assert done.returncode == 0, done.stderr


def test_the_whole_system_runs_in_one_container_and_ends_on_sigterm(image: Get, tmp_path: Path) -> None:
    port, metrics = emulators.free_port(), emulators.free_port()
    words = ["run", "--port", str(port), "--metrics-port", str(metrics), "--speed", "max", "--end", "2022-03-31"]
    with image("standalone").running(tmp_path / "log", words) as container:
        assert container.answer(f"http://127.0.0.1:{port}/_stcore/health") == b"ok"
        assert b"<title>" in container.answer(f"http://127.0.0.1:{port}/")
        assert b"thundercast_rows_total" in container.answer(f"http://127.0.0.1:{metrics}/metrics")
        assert container.terminate() == 0, container.said()[-3000:]


def test_the_dashboard_serves_a_store_that_is_not_there_yet(image: Get, tmp_path: Path) -> None:
    port = emulators.free_port()
    env = {"THUNDERCAST_PORT": str(port), "THUNDERCAST_STORE": "/var/lib/thundercast/store.sqlite"}
    with image("dashboard").running(tmp_path / "log", env=env) as container:
        assert container.answer(f"http://127.0.0.1:{port}/_stcore/health") == b"ok"
        container.terminate()
        assert "Traceback" not in container.said()


@pytest.mark.parametrize("name", ["cleaner", "simulator", "trainer"])
def test_a_part_serves_its_health_and_ends_on_sigterm(
    image: Get, name: str, tmp_path: Path, pubsub_emulator: emulators.Running, bigquery_emulator: emulators.Running
) -> None:
    """Nothing is there that it needs but the services: it waits, and says for what."""
    port = emulators.free_port()
    env = {**pubsub_emulator.env, **bigquery_emulator.env, "THUNDERCAST_PORT": str(port), "THUNDERCAST_RAW_TOPIC": "not-there"}
    env |= {
        "THUNDERCAST_RAW_SUBSCRIPTION": "not-there",
        "THUNDERCAST_CLEAN_SUBSCRIPTION": "not-there",
        "GOOGLE_CLOUD_PROJECT": "demo-project",
    }
    with image(name).running(tmp_path / "log", env=env) as container:
        url = f"http://127.0.0.1:{port}"
        assert json.loads(container.answer(f"{url}/healthz")) == {"status": "ok"}
        assert b"thundercast_" in container.answer(f"{url}/metrics")
        health = image(name).run(entrypoint=image(name).config["Healthcheck"]["Test"][1:], env=env)
        assert health.returncode == 0, health.stderr
        assert container.terminate() == 0, container.said()[-3000:]
        assert '"stopping"' in container.said()


def test_the_health_command_fails_where_nothing_answers(image: Get) -> None:
    port = emulators.free_port()
    command = image("trainer").config["Healthcheck"]["Test"][1:]
    done = image("trainer").run(entrypoint=command, env={"THUNDERCAST_PORT": str(port)})
    assert done.returncode == 1
    assert f"http://127.0.0.1:{port}/healthz does not answer" in done.stderr


def test_the_bigquery_emulator_answers_offline(image: Get, tmp_path: Path) -> None:
    rest, grpc = emulators.free_port(), emulators.free_port()
    words = ["start", "--rest-port", str(rest), "--grpc-port", str(grpc), "--project", "demo-project"]
    with image("bigquery-emulator").running(tmp_path / "log", words) as container:
        container.answer(f"http://127.0.0.1:{rest}/healthz")
        listed = json.loads(container.answer(f"http://127.0.0.1:{rest}/bigquery/v2/projects/demo-project/datasets"))
        assert listed["kind"] == "bigquery#datasetList"


def test_the_worker_of_the_pipeline_has_beams_boot(image: Get) -> None:
    done = image("dataflow").run([])
    assert done.returncode != 0
    assert "No id provided" in done.stderr
    asked = image("dataflow").run(entrypoint=["python", "-c", "import apache_beam; print(apache_beam.__version__)"])
    module = next(line for line in (ROOT / "dataflow" / "Dockerfile").read_text().splitlines() if line.startswith("ARG BEAM="))
    assert module == f"ARG BEAM={asked.stdout.strip()}"


def test_the_worker_has_what_the_pipeline_and_who_submits_it_import(image: Get) -> None:
    """Some of what Beam depends on is taken out, because only pipelines of other kinds import it."""
    check = (
        "import importlib, pkgutil, thundercast_dataflow\n"
        "ours = [m.name for m in pkgutil.walk_packages(thundercast_dataflow.__path__, 'thundercast_dataflow.') if '__main__' not in m.name]\n"
        "assert len(ours) > 3\n"
        "beam = ['io.gcp.pubsub', 'io.gcp.gcsfilesystem', 'io.gcp.bigquery', 'runners.direct.direct_runner', 'runners.portability.portable_runner',\n"
        "        'runners.dataflow.dataflow_runner', 'runners.dataflow.internal.apiclient', 'runners.worker.sdk_worker_main']\n"
        "for name in [*ours, *(f'apache_beam.{name}' for name in beam)]:\n"
        "    importlib.import_module(name)\n"
    )
    done = image("dataflow").run(entrypoint=["python", "-W", "error::ImportWarning", "-c", check])
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_launcher_has_all_that_a_request_takes(image: Get) -> None:
    """It translates the pipeline as far as the request, in an image from which much of Beam's surroundings is taken out."""
    check = (
        "import importlib, pkgutil, thundercast_launcher\n"
        "for m in pkgutil.walk_packages(thundercast_launcher.__path__, 'thundercast_launcher.'):\n"
        "    importlib.import_module(m.name)\n"
        "from thundercast_launcher.settings import LauncherSettings\n"
        "from thundercast_launcher.specification import Specification\n"
        "from thundercast_launcher.translating import translate\n"
        "settings = LauncherSettings(checkpoints='gs://my-bucket/x', sdk_container_image='a/b:1', service_account_email='a@b')\n"
        "print(translate(settings, Specification.of(settings), request_id='an-id').request.job.name)\n"
    )
    done = image("launcher").run(entrypoint=["python", "-c", check])
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["thundercast-cleaner"]


def test_the_launcher_has_the_packages_of_the_worker(image: Get) -> None:
    have = [
        "python",
        "-c",
        "import importlib.metadata as m; print(sorted((d.name, d.version) for d in m.distributions() if d.name != 'thundercast-launcher'))",
    ]
    launcher, worker = (image(name).run(entrypoint=have) for name in ("launcher", "dataflow"))
    assert launcher.returncode == 0, launcher.stderr[-3000:]
    assert "apache-beam" in launcher.stdout
    assert launcher.stdout == worker.stdout


# What the tests need and no image has; versions as locked for developers.
TOOLS = (
    "pytest pytest-timeout hypothesis iniconfig pluggy sortedcontainers pygments packaging scikit-learn joblib threadpoolctl scores xarray "
    "narwhals cloudpickle"
).split()


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the tests need, for the images' Python."""
    folder = tmp_path_factory.mktemp("tools")
    lock = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    wanted = [line.split()[0] for line in lock if line.split("==")[0] in TOOLS]
    install = [str(ROOT / ".venv" / "bin" / "uv"), "pip", "install", "--quiet", "--python-version", "3.13", "--no-deps"]
    subprocess.run([*install, "--only-binary", ":all:", "--target", str(folder), *wanted], check=True, timeout=300)
    folder.chmod(0o755)  # the user of the image reads it
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["domain", "models", "scores", "stage", "steps"])
def test_the_unit_tests_pass_with_what_the_image_has(image: Get, tools: Path, suite: str) -> None:
    """On the image's Python, with its versions and its compiled kernels."""
    done = image("standalone").run(
        entrypoint=["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"/opt/project/tests/unit/{suite}"],
        env={"PYTHONPATH": "/app:/opt/tools", "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis"},
        bind={ROOT: "/opt/project", tools: "/opt/tools"},
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
