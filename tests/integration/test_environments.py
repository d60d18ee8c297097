"""Each program runs with just what its lock names: nothing of another's comes along, nothing is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "cleaner": (["core", "images/cleaner"], ["thundercast_cleaner"], ["streamlit", "apache_beam", "river", "duckdb"]),
    "dashboard": (
        ["core", "images/dashboard"],
        ["thundercast_dashboard.app", "thundercast_dashboard"],
        ["apache_beam", "river", "kubernetes", "duckdb"],
    ),
    "dataflow": (["core", "dataflow"], ["thundercast_dataflow"], ["streamlit", "river", "kubernetes"]),
    "launcher": (["core", "dataflow", "images/launcher"], ["thundercast_launcher"], ["streamlit", "river", "kubernetes"]),
    "simulator": (["core", "images/simulator"], ["thundercast_simulator"], ["streamlit", "apache_beam", "river", "kubernetes"]),
    "standalone": (["core", "images/dashboard", "images/standalone"], ["thundercast_standalone"], ["apache_beam", "kubernetes", "pytest"]),
    "trainer": (["core", "images/trainer"], ["thundercast_trainer"], ["streamlit", "apache_beam", "duckdb"]),
}
# Imports every module of a package, so that nothing hides behind a lazy import's first use.
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), name + "."):
        if not module.name.endswith((".__main__", ".app")):
            importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Site directories by program, filled by its lock alone; they share the installer's cache with the developer's environment."""
    folder = tmp_path_factory.mktemp("environments")
    uv = Path(sys.executable).with_name("uv")
    made = {}
    for name, (distributions, _, _) in PROGRAMS.items():
        site = made[name] = folder / name
        install = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(site)]
        subprocess.run([*install, "--require-hashes", "-r", str(ROOT / "requirements" / f"{name}.txt")], check=True, timeout=280)
        subprocess.run([*install, "--no-deps", "--no-build-isolation", *(str(ROOT / d) for d in distributions)], check=True, timeout=120)
    return made


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_what_it_imports_and_nothing_of_the_others(environment: dict[str, Path], name: str) -> None:
    _, packages, absent = PROGRAMS[name]
    site = environment[name]
    for module in absent:
        assert not (site / module).exists(), f"{name} has no use for {module}"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"PYTHONPATH": str(site)}
    # -S: without the site directory of the environment that the tests run in.
    command = [sys.executable, "-S", "-c", IMPORT_ALL, *(p for p in packages if not p.endswith(".app"))]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    if name != "dashboard":
        program = [sys.executable, "-S", "-m", packages[0] if name != "standalone" else "thundercast_standalone.cli", "--help"]
        done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "usage" in done.stdout.lower()
