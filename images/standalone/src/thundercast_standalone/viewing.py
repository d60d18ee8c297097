"""The dashboard's server as a process of its own beside the run."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from thundercast.adapters.settings import RunSettings
from thundercast_dashboard import serve

_PATIENCE = 30  # seconds
_ANY = "0.0.0.0"  # noqa: S104


class NotServed(Exception):
    """The dashboard cannot be served; the message says why and what to do."""


class Dashboard:
    """Streamlit, reading the store."""

    def __init__(self, store: Path, settings: RunSettings) -> None:
        self._store = store
        self._host = settings.host
        self._port = settings.port or _free_port(settings.host)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serves until the block ends; gives the address once it answers.

        Raises:
            NotServed: the port is taken, or the server ended at once.
        """
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, self._port))
            except OSError as error:
                raise NotServed(
                    f"the dashboard cannot be served on {self._host}:{self._port} ({error.strerror}): "
                    "name another --port (0 takes a free one), or go without it: --no-dashboard"
                ) from error
        # In a session of its own: Ctrl-C in the terminal stops the run, and the run stops the dashboard.
        python, _, _, *arguments = serve.command(self._store.absolute(), self._port, self._host)
        process = subprocess.Popen(  # noqa: S603
            [python, "-m", "thundercast_standalone.viewer", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self._wait(process)
            yield f"http://{'localhost' if self._host in ('127.0.0.1', _ANY) else self._host}:{self._port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        session = requests.Session()
        session.trust_env = False  # never by way of a proxy
        session.mount("http://", HTTPAdapter(max_retries=Retry(total=_PATIENCE * 4, backoff_factor=0.25, backoff_max=0.25)))
        host = "127.0.0.1" if self._host == _ANY else self._host
        try:
            session.get(f"http://{host}:{self._port}/_stcore/health", timeout=_PATIENCE).raise_for_status()
        except requests.RequestException as error:
            ended = f"its process ended with {process.poll()}" if process.poll() is not None else str(error)
            raise NotServed(f"the dashboard did not answer on {host}:{self._port}: {ended}") from error


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
