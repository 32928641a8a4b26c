"""
``fcgi probe``: one FastCGI request, seen from close up.

No reactor: one socket, waited for in both directions at once, so that an
application which answers before it has read its input is no problem.  What the
records mean is :class:`~twisted_fcgi.wire.ClientConnection`'s to say.
"""

from __future__ import annotations

import argparse
import enum
import re
import select
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from socket import AF_UNIX, create_connection
from socket import socket as Socket
from typing import BinaryIO, TextIO
from urllib.parse import urlsplit

from twisted_fcgi import __version__
from twisted_fcgi.backend.stderr import printable
from twisted_fcgi.cgi.response import ResponseParser
from twisted_fcgi.errors import BrokenResponse
from twisted_fcgi.scripts.trace import RecordTrace, StderrLines, statusName
from twisted_fcgi.wire import (
    ClientConnection,
    EndRequest,
    ProtocolStatus,
    Stderr,
    Stdout,
    UnknownType,
    Values,
    Violation,
)

__all__ = ["Address", "Exit", "ProbeFailed", "makeParams", "probe"]

#: What GET_VALUES asks for: all names of the specification (section 4.1).
VALUES = (b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS")

#: Bytes that are read at a time.
_READ = 65536


class Exit(enum.IntEnum):
    """The command's exit statuses; their meanings are printed by ``--help``."""

    OK = 0
    ERROR_RESPONSE = 1
    USAGE = 2
    NO_CONNECTION = 3
    TIMED_OUT = 4
    BROKEN = 5


class ProbeFailed(Exception):
    """
    There is no response.

    :ivar exit: the exit status.
    """

    def __init__(self, exit: Exit, reason: str) -> None:
        super().__init__(reason)
        self.exit = exit


@dataclass(frozen=True)
class Address:
    """
    Where an application listens.

    :ivar socket: the UNIX socket's path, or ``None`` for TCP.
    :ivar path: what a ``fcgi://`` URL names: where the application's scripts are.
    """

    host: str = ""
    port: int = 0
    socket: str | None = None
    path: str = ""

    @classmethod
    def fromText(cls, text: str) -> Address:
        """
        Read ``host:port``, ``/path``, ``unix:/path``, ``fcgi://...`` or ``unix:/path|fcgi://...``.

        :raises ValueError: it is none of these.
        """
        first, bar, url = text.partition("|")
        if not bar and first.startswith("fcgi:"):
            first, url = "", first
        path = ""
        if url:
            parts = urlsplit(url)
            if parts.scheme != "fcgi" or not parts.netloc:
                raise ValueError(f"{url!r} is no fcgi://host/path")
            path = parts.path
            if not first:
                # 8000 is httpd's default for the scheme.
                return cls(parts.hostname or "", parts.port or 8000, None, path)
        first = first.removeprefix("unix:")
        if first.startswith("/"):
            return cls("", 0, first, path)
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^:/\[\]]+)):(\d{1,5})", first)
        if match is None or not 0 < int(match[3]) < 65536:
            raise ValueError(f"{text!r} is no host:port, unix:/path, /path or fcgi://host/path")
        return cls(match[1] or match[2], int(match[3]))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.socket is None else self.socket

    def connect(self, timeout: float) -> Socket:
        """
        A connection.

        :raises OSError: there is none to be had.
        """
        if self.socket is None:
            return create_connection((self.host, self.port), timeout)
        connection = Socket(AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(self.socket)
        except OSError:
            connection.close()
            raise
        return connection


def makeParams(
    script: str,
    *,
    path: str = "",
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    extra: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """
    The variables of a plain request for a script.

    :param script: the script's path as the application sees it, perhaps with a
        query string; below ``path``, if there is one.
    :param extra: variables that are added or take the place of others.
    """
    name, mark, query = script.partition("?")
    name = "/" + name.lstrip("/")
    params = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": f"twisted_fcgi/{__version__}",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_ADDR": "127.0.0.1",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "REQUEST_METHOD": method,
        "REQUEST_URI": name + mark + query,
        "QUERY_STRING": query,
        "SCRIPT_NAME": name,
        "SCRIPT_FILENAME": path.rstrip("/") + name,
        # PHP's cgi.force_redirect wants to know that no client called it by itself.
        "REDIRECT_STATUS": "200",
        "HTTP_HOST": "localhost",
    }
    if body or method in ("POST", "PUT", "PATCH"):
        params["CONTENT_LENGTH"] = str(len(body))
        params["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
    for field, value in headers:
        variable = field.upper().replace("-", "_")
        if variable not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            variable = "HTTP_" + variable
        params[variable] = value
    params.update(extra)
    return params


class Exchange:
    """
    Everything that goes over one connection, both ways, within a time.

    :param timeout: seconds for each wait.
    """

    def __init__(self, connection: Socket, timeout: float, trace: TextIO | None) -> None:
        self._connection = connection
        self._timeout = timeout
        self.started = time.monotonic()
        self.wire = ClientConnection()
        self._traces = (
            (RecordTrace(trace, ">", self.started), RecordTrace(trace, "<", self.started))
            if trace
            else None
        )

    def events(self, data: bytes) -> Iterator[object]:
        """
        Send ``data`` and go through what comes, for as long as the caller wants.

        :raises ProbeFailed: nothing came in time, or the connection ended.
        """
        self._connection.setblocking(False)
        if self._traces:
            self._traces[0].feed(data)
        unsent = memoryview(data)
        while True:
            readable, writable, _ = select.select(
                [self._connection], [self._connection] if unsent else [], [], self._timeout
            )
            if not readable and not writable:
                raise ProbeFailed(Exit.TIMED_OUT, f"nothing for {self._timeout:g} s")
            try:
                if writable:
                    unsent = unsent[self._connection.send(unsent) :]
                received = self._connection.recv(_READ) if readable else None
            except BlockingIOError:
                continue
            except OSError as error:
                raise ProbeFailed(Exit.BROKEN, f"the connection broke: {error.strerror}") from None
            if received == b"":
                raise ProbeFailed(
                    Exit.BROKEN, "the application closed the connection before END_REQUEST"
                )
            if received:
                if self._traces:
                    self._traces[1].feed(received)
                yield from self.wire.receive(received)


def checked(event: object) -> object:
    """
    The event itself, unless it is the end of everything.

    :raises ProbeFailed: the application broke the protocol.
    """
    if isinstance(event, Violation):
        raise ProbeFailed(Exit.BROKEN, f"the application broke the protocol: {event.error}")
    return event


class Probe:
    """One run of the command."""

    def __init__(self, options: argparse.Namespace, out: BinaryIO, err: TextIO) -> None:
        self._options = options
        self._out = out
        self._err = err

    def run(self) -> Exit:
        """
        :raises ProbeFailed: there is no response.
        """
        options = self._options
        try:
            connection = options.address.connect(options.timeout)
        except TimeoutError:
            reason = f"no connection within {options.timeout:g} s"
            raise ProbeFailed(Exit.TIMED_OUT, reason) from None
        except OSError as error:
            raise ProbeFailed(Exit.NO_CONNECTION, error.strerror or str(error)) from None
        with connection:
            exchange = Exchange(connection, options.timeout, self._err if options.verbose else None)
            return self._values(exchange) if options.values else self._request(exchange)

    def _values(self, exchange: Exchange) -> Exit:
        for event in map(checked, exchange.events(exchange.wire.getValues(VALUES))):
            if isinstance(event, Values):
                for name in VALUES:
                    value = event.values.get(name)
                    shown = "not said" if value is None else printable(value)
                    self._out.write(f"{name.decode()} {shown}\n".encode())
                return Exit.OK
            if isinstance(event, UnknownType):
                raise ProbeFailed(Exit.BROKEN, "the application does not know GET_VALUES")
        raise AssertionError("events() ends by raising")

    def _request(self, exchange: Exchange) -> Exit:
        options = self._options
        params = makeParams(
            options.script,
            path=options.address.path,
            method=options.method or ("POST" if options.data is not None else "GET"),
            headers=options.header,
            body=options.data or b"",
            extra=options.param,
        )
        if options.verbose:
            for name, value in params.items():
                print(f"{'':15}{name}={value}", file=self._err)
        pairs = [(name.encode(), value.encode("utf-8", "surrogateescape"))
                 for name, value in params.items()]  # fmt: skip
        _, data = exchange.wire.begin(pairs, role=options.role, stdin=options.data or b"")
        response = ResponseParser()
        lines = StderrLines(self._err)
        firstByte: float | None = None
        try:
            for event in map(checked, exchange.events(data)):
                if isinstance(event, Stdout):
                    firstByte = firstByte or time.monotonic()
                    self._show(response, event.data)
                elif isinstance(event, Stderr):
                    lines.feed(event.data)
                elif isinstance(event, EndRequest):
                    if event.protocolStatus != ProtocolStatus.REQUEST_COMPLETE:
                        word = statusName(event.protocolStatus)
                        raise ProbeFailed(Exit.BROKEN, f"the application refused: {word}")
                    response.finish()
                    lines.finish()
                    return self._summary(response, event, exchange.started, firstByte)
        except BrokenResponse as error:
            raise ProbeFailed(Exit.BROKEN, f"no CGI response: {error}") from None
        finally:
            lines.finish()
            self._out.flush()
        raise AssertionError("events() ends by raising")

    def _show(self, response: ResponseParser, data: bytes) -> None:
        """Print the response as it comes: the head, once it is complete, and the body."""
        head = response.head
        if head is not None:
            self._out.write(data)
            return
        body = response.receive(data)
        head = response.head
        if head is not None:
            self._out.write(b"%d %b\n" % (head.status, head.reason))
            for name, value in head.headers:
                self._out.write(b"%b: %b\n" % (name, value))
            self._out.write(b"\n" + (body or b""))

    def _summary(
        self, response: ResponseParser, end: EndRequest, started: float, first: float | None
    ) -> Exit:
        assert response.head is not None
        self._out.flush()
        took = (time.monotonic() - started) * 1000
        waited = ((first or started) - started) * 1000
        print(
            f"\nstatus {response.head.status}, appStatus {end.appStatus}, "
            f"first byte after {waited:.1f} ms, end after {took:.1f} ms",
            file=self._err,
        )
        return Exit.ERROR_RESPONSE if response.head.status >= 400 else Exit.OK


def probe(options: argparse.Namespace) -> int:
    """
    The command.

    :returns: the exit status.
    """
    try:
        return Probe(options, sys.stdout.buffer, sys.stderr).run()
    except ProbeFailed as error:
        print(f"fcgi probe: {options.address}: {error}", file=sys.stderr)
        return error.exit
