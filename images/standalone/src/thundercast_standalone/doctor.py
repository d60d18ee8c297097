"""`thundercast doctor`: whether this machine has what a run needs, and what to do about what it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from thundercast.adapters.settings import RunSettings
from thundercast.adapters.sources import open_source
from thundercast.adapters.sources.base import SourceError
from thundercast.adapters.sqlite_reader import SqliteReader

_FREE_GB = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``note`` is worth knowing, ``wrong`` stops a run."""

    name: str
    state: Literal["well", "note", "wrong"]
    detail: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def checks(state: Path, cache: Path) -> list[Check]:
    """Everything that is looked at, in the order in which a run would meet it."""
    settings = RunSettings()
    return [
        _python(),
        _packages(),
        _cpu(),
        _sample(cache),
        _folder("state folder", state),
        _folder("cache folder", cache),
        _store(state / "store.sqlite"),
        _port("dashboard port", settings.host, settings.port, "--port"),
        _port("metrics port", settings.host, settings.metrics_port, "--metrics-port"),
    ]


def _python() -> Check:
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "") or "-O2" in (
        sysconfig.get_config_var("CFLAGS") or ""
    )
    detail = f"{platform.python_version()} at {sys.executable}"
    if not optimised:
        return Check("python", "note", f"{detail}, built without optimisation: River's models run at about half speed")
    return Check("python", "well", detail)


def _packages() -> Check:
    names = ("thundercast-core", "numba", "numpy", "pyarrow", "river", "streamlit")
    try:
        return Check("packages", "well", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names))
    except importlib.metadata.PackageNotFoundError as error:
        return Check("packages", "wrong", f"{error.name} is not installed: run `make setup`")


def _cpu() -> Check:
    level = os.environ.get("NUMBA_CPU_NAME", "")
    said = f"kernels are compiled for {level or 'this processor'}"
    return Check("processor", "well", f"{os.cpu_count()} cores, {platform.machine()}; {said}")


def _sample(cache: Path) -> Check:
    try:
        info = open_source("sample", cache=cache).open()
    except SourceError as error:
        return Check("sample", "wrong", str(error))
    return Check("sample", "well", f"{info.rows:,} station-days, {info.start} to {info.end}")


def _folder(name: str, folder: Path) -> Check:
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        return Check(name, "wrong", f"{folder} cannot be written: {nearest} is not a folder that this user may write to")
    free = shutil.disk_usage(nearest).free / 1e9
    if free < _FREE_GB:
        return Check(name, "wrong", f"{folder}: only {free:.2f} GB are free, {_FREE_GB:g} GB are needed")
    return Check(name, "well", f"{folder}, {free:,.0f} GB free")


def _store(path: Path) -> Check:
    if not path.exists():
        return Check("store", "note", f"none yet at {path}; `thundercast run` makes it")
    try:
        reader = SqliteReader(path)
        runs = reader.runs()
        reader.close()
    except Exception as error:  # whatever is wrong with it is what the user wants to read
        return Check("store", "wrong", str(error))
    return Check("store", "well", f"{path}, {runs.num_rows} run{'s' * (runs.num_rows != 1)}")


def _port(name: str, host: str, port: int, flag: str) -> Check:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Check(
                name,
                "note",
                f"{host}:{port} cannot be used ({error.strerror}): is a run under way? {flag} names another, 0 takes a free one",
            )
    return Check(name, "well", f"{host}:{port} is free")
