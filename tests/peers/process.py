"""A server as a process of its own: started in a private directory, ready when it accepts."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["LIMIT", "Address", "Server", "freePort", "waitFor"]

#: Seconds after which something is broken, however slow the machine is.
LIMIT = 60.0

#: For a server to end when told to, before it is killed.
STOP_LIMIT = 3.0

#: Where Linux says which ports it gives to those who ask for none.
_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def waitFor(condition: Callable[[], object], what: Callable[[], object] = str) -> None:
    """
    Wait until something is so.

    :param what: the message when it never is.
    """
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what() or "it never came to pass"
        time.sleep(0.01)


def _ports() -> Iterator[int]:
    """
    Ports, each once, in any order.

    None of those that the system gives to whoever connects: somebody else may be given such a
    port before its server is started, and a connect to it may come from it, and meet itself.
    """
    given = range(32768, 61000)
    if _GIVEN.exists():
        first, last = map(int, _GIVEN.read_text().split())
        given = range(first, last + 1)
    ports = [port for port in range(10000, 65536) if port not in given] or list(given)
    random.Random(os.urandom(8)).shuffle(ports)
    yield from ports


_untaken = _ports()


def freePort() -> int:
    """A port of 127.0.0.1, for TCP and UDP, that nobody has; never the same one twice."""
    for port in _untaken:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            try:
                stream.bind(("127.0.0.1", port))
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("there is no port left")


class Address(NamedTuple):
    """
    Where a server listens: a UNIX socket, or a port of 127.0.0.1.

    :ivar path: the socket's, or ``None``.
    """

    path: Path | None
    port: int = 0

    def __str__(self) -> str:
        return str(self.path) if self.path is not None else f"127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """A connection to it."""
        if self.path is None:
            return socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(LIMIT)
        connection.connect(str(self.path))
        return connection


class Server:
    """
    A server process; a subclass says in :meth:`command` how it is started.

    :cvar name: what it is called in logs.
    :cvar sendsStderr: whether it sends stderr to the client of FastCGI.
    :cvar configuration: what a proxy before it has to be told.
    :ivar directory: its own; nothing of it is anywhere else.
    :ivar address: where it listens.
    :ivar application: the file of the program that it runs for requests, for SCRIPT_FILENAME.
    """

    name = ""
    sendsStderr = True
    configuration = "ProxyFCGIBackendType GENERIC"

    def __init__(self, directory: Path, address: Address) -> None:
        self.directory = directory
        self.address = address
        self.application = directory / "peer"
        self._output = directory / "output"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str | Path]:
        """Write what it has to read; return the words that start it in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Its environment."""
        return dict(os.environ)

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """
        Start it and wait until it accepts.

        :raises RuntimeError: when it does not; with its log.
        """
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and self.running():
            if self.ready():
                return
            time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"{self.name} does not start:\n{self.log()}")

    def ready(self) -> bool:
        """Whether it accepts."""
        try:
            self.address.connect().close()
        except OSError:
            return False
        return True

    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the process and what it started: the session that :meth:`start` made."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def log(self) -> str:
        """All that it wrote."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""
