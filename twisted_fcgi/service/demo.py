"""
``--demo``: a FastCGI application inside the process of twistd.

It is reached as any other is, over a UNIX socket in a private directory and by a
configuration that ``--print-config`` shows.  Its page works without scripts too,
takes nothing from anywhere else, and escapes whatever it shows.

Limits: a form of at most :data:`MAX_FORM` bytes; uploads are counted and dropped.
"""

from __future__ import annotations

import html
import json
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from twisted.application.service import Service
from twisted.copyright import version as twistedVersion
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.logger import Logger

from twisted_fcgi import __version__
from twisted_fcgi.backend.application import ApplicationRequest, FastCGIApplicationFactory
from twisted_fcgi.config.shorthand import listenLine, quoted

__all__ = ["DemoApplication", "DemoService", "demoText", "makeSocketPath"]

log = Logger()

#: Most bytes of a form.
MAX_FORM = 65536

#: Events of the slow stream, and seconds between them.
TICKS = 20
INTERVAL = 0.25


def makeSocketPath() -> str:
    """A path for the application's socket, in a directory that is not there yet."""
    return os.path.join(tempfile.gettempdir(), f"fcgi-demo-{secrets.token_hex(8)}", "socket")


def demoText(path: str, listen: Iterable[str]) -> str:
    """
    The demo's configuration.

    :param path: the application's socket.
    :param listen: see :func:`~twisted_fcgi.config.shorthand.listenLine`.
    :raises ValueError: when an argument can't be understood.
    """
    lines = [listenLine(endpoint) for endpoint in listen]
    target = quoted(f"unix:{path}|fcgi://localhost/")
    lines += [
        "ServerName localhost",
        "# The application inside of this process; PHP-FPM would be reached the same way.",
        f'ProxyPass "/" {target} enablereuse=on flushpackets=on',
    ]
    return "\n".join(lines) + "\n"


class DemoApplication:
    """
    The application: called with each request.

    :param reactor: for the slow stream's time, and for how long an upload took.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._page = files(__package__).joinpath("demo.html").read_text(encoding="utf-8")

    def __call__(self, request: ApplicationRequest) -> None:
        way = self._WAYS.get(request.params.get(b"SCRIPT_NAME", b""))
        if way is None:
            respond(request, "There is no such page.\n", status="404 Not Found")
        else:
            way(self, request)

    def _index(self, request: ApplicationRequest) -> None:
        lead = (
            "This page was made by a FastCGI application. It runs inside the process of "
            "twistd, which talks to it over a UNIX socket, as it would to PHP-FPM."
        )
        self._show(request, "It works.", lead)

    def _echo(self, request: ApplicationRequest) -> None:
        body = bytearray()

        def received(data: bytes) -> None:
            nonlocal body
            body += data
            if len(body) > MAX_FORM:
                request.stdin.stopProducing()
                respond(request, "That is too much of a form.\n", status="413 Content Too Large")

        def finished() -> None:
            method = text(request.params.get(b"REQUEST_METHOD", b""))
            source = bytes(body) if method == "POST" else request.params.get(b"QUERY_STRING", b"")
            try:
                fields = parse_qsl(text(source), keep_blank_values=True)
            except ValueError:
                fields = []  # more fields than parse_qsl cares to count
            lines = [f"{method} with {len(source)} bytes", *(f"{n} = {v}" for n, v in fields)]
            self._answer(request, "\n".join(lines) + "\n")

        request.stdin.deliver(received, finished)

    def _events(self, request: ApplicationRequest) -> None:
        request.write(head("text/event-stream; charset=utf-8"))
        number = 0
        call: IDelayedCall | None = None

        def tick() -> None:
            nonlocal number, call
            number += 1
            request.write(b"data: %d\n\n" % number)
            if number < TICKS:
                call = self._reactor.callLater(INTERVAL, tick)
            else:
                call = None
                request.finish()

        def aborted() -> None:
            if call is not None:
                call.cancel()
                log.info("the stream was aborted after {number} events", number=number)

        request.notifyAborted(aborted)
        tick()

    def _upload(self, request: ApplicationRequest) -> None:
        started = self._reactor.seconds()
        count = 0

        def received(data: bytes) -> None:
            nonlocal count
            count += len(data)

        def finished() -> None:
            seconds = round(self._reactor.seconds() - started, 3)
            if wants(request, b"application/json"):
                counted = json.dumps({"bytes": count, "seconds": seconds})
                respond(request, counted, "application/json")
            else:
                rate = count / max(seconds, 0.001) / 1e6
                self._answer(request, f"{count} bytes in {seconds} s: {rate:.1f} MB a second\n")

        request.stdin.deliver(received, finished)

    def _error(self, request: ApplicationRequest) -> None:
        request.writeError(b"demo: this line came by FCGI_STDERR, since /error was asked for\n")
        respond(
            request,
            "The application failed, as it was asked to; the log says so.\n",
            status="500 Internal Server Error",
        )

    _WAYS: ClassVar[dict[bytes, Callable[[DemoApplication, ApplicationRequest], None]]] = {
        b"/": _index,
        b"/echo": _echo,
        b"/events": _events,
        b"/upload": _upload,
        b"/error": _error,
    }

    def _answer(self, request: ApplicationRequest, content: str) -> None:
        """To a script of the page, the text alone; to a browser without scripts, a page."""
        if wants(request, b"text/plain"):
            respond(request, content)
        else:
            self._show(request, "The application read this.", "", content)

    def _show(self, request: ApplicationRequest, title: str, lead: str, content: str = "") -> None:
        """The page, with all variables of the request."""
        nonce = secrets.token_urlsafe(16)
        rows = (
            f'<tr><th scope="row">{html.escape(text(name))}</th>'
            f"<td>{html.escape(text(value))}</td></tr>"
            for name, value in sorted(request.params.items())
        )
        shown = {
            "nonce": nonce,
            "title": title,
            "lead": lead,
            "echo": f'<pre class="read">{html.escape(content)}</pre>' if content else "",
            "variables": "\n".join(rows),
            "footer": f"twisted_fcgi {__version__}, Twisted {twistedVersion}, "
            f"{platform.python_implementation()} {platform.python_version()}, "
            f"process {os.getpid()}",
        }
        # One pass: what a client sent can't be taken for a place to fill.
        page = re.sub(r"\{(\w+)\}", lambda place: shown[place[1]], self._page)
        policy = (
            f"Content-Security-Policy: default-src 'none'; style-src 'nonce-{nonce}'; "
            f"script-src 'nonce-{nonce}'; connect-src 'self'; form-action 'self'; "
            "img-src data:; base-uri 'none'; frame-ancestors 'none'\r\n"
        )
        respond(request, page, "text/html", fields=policy)


def text(data: bytes) -> str:
    """Bytes of a client, whatever they are."""
    return data.decode("utf-8", "backslashreplace")


def wants(request: ApplicationRequest, kind: bytes) -> bool:
    """Whether a script asks, which says what it takes."""
    return request.params.get(b"HTTP_ACCEPT") == kind


def head(kind: str, status: str = "200 OK", fields: str = "") -> bytes:
    """
    The head of a response.

    :param fields: further ones, each with its line end.
    """
    return (
        f"Status: {status}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n"
        f"X-Content-Type-Options: nosniff\r\n{fields}\r\n"
    ).encode("ascii")


def respond(
    request: ApplicationRequest,
    content: str,
    kind: str = "text/plain",
    status: str = "200 OK",
    fields: str = "",
) -> None:
    """A whole response."""
    body = content.encode("utf-8")
    fields += f"Content-Length: {len(body)}\r\n"
    request.write(head(f"{kind}; charset=utf-8", status, fields) + body)
    request.finish()


class DemoService(Service):
    """
    Lets the application listen at its socket, in a directory of its own.

    :param path: the socket, whose directory is made, and removed in the end.
    """

    def __init__(self, path: str, reactor: Any) -> None:
        self._path = path
        self._reactor = reactor
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """Listen; with the rights that the process keeps, since it connects with these."""
        super().startService()
        os.mkdir(os.path.dirname(self._path), 0o700)
        factory = FastCGIApplicationFactory(DemoApplication(self._reactor))
        self._port = self._reactor.listenUNIX(self._path, factory)

    async def _end(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            stopping = port.stopListening()
            if stopping is not None:
                await stopping
            shutil.rmtree(os.path.dirname(self._path))

    def stopService(self) -> Deferred[None]:
        """Listen no more, and leave nothing behind."""
        super().stopService()
        return Deferred.fromCoroutine(self._end())
