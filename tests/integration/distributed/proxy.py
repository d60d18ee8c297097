"""A TCP proxy before a service, that makes it go silent or loses its answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

CHUNK = 65_536


class Proxy:
    """Passes bytes on in both directions.

    Attributes:
        port: where it listens.
        lost: how many answers it has swallowed.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.lost = 0
        self._open = {"up": threading.Event(), "down": threading.Event()}
        self._sent = 0
        self._limit: int | None = None
        self._loses: Callable[[bytes], bool] = lambda _: False
        self._ended = False
        self._sockets: list[socket.socket] = []
        self.go_on()
        threading.Thread(target=self._accept, daemon=True).start()

    # --- faults -----------------------------------------------------------------------------------------------

    def silence(self, *directions: str) -> None:
        """Holds everything back, like a service whose process is stopped; ``up`` or ``down`` only, if named."""
        for direction in directions or ("up", "down"):
            self._open[direction].clear()

    def go_on(self) -> None:
        """Lets everything through, also what was held back."""
        self._limit = None
        for direction in self._open.values():
            direction.set()

    def silence_after(self, size: int) -> None:
        """Goes silent once so many more bytes have been sent to the service."""
        self._sent, self._limit = 0, size

    def lose_answer_to(self, request: Callable[[bytes], bool]) -> None:
        """Cuts the connection when the service answers to bytes for which ``request`` is true."""
        self._loses = request

    @property
    def silent(self) -> bool:
        return not self._open["up"].is_set()

    # --- passing on -------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._sockets += [client, server]
            doomed = threading.Event()
            threading.Thread(target=self._up, args=(client, server, doomed), daemon=True).start()
            threading.Thread(target=self._down, args=(server, client, doomed), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        for data in self._bytes(client, "up"):
            if self._loses(data):
                doomed.set()
            try:
                server.sendall(data)
            except OSError:
                break
            self._sent += len(data)
            if self._limit is not None and self._sent >= self._limit:
                self.silence()
        _shut(client, server)

    def _down(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        for data in self._bytes(server, "down"):
            if doomed.is_set():
                self.lost += 1
                break
            try:
                client.sendall(data)
            except OSError:
                break
        _shut(client, server)

    def _bytes(self, source: socket.socket, direction: str) -> Iterator[bytes]:
        while not self._ended:
            try:
                data = source.recv(CHUNK)
            except OSError:
                return
            if not data:
                return
            self._open[direction].wait()
            yield data

    def close(self) -> None:
        self._ended = True
        self.go_on()
        self._listening.close()
        _shut(*self._sockets)


def _shut(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):  # the other side was quicker
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextmanager
def before(port: int) -> Iterator[Proxy]:
    """A proxy before the service at a port of the loopback interface."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
