"""Tests for :mod:`twisted_fcgi.web.resource` on real sockets: what a site's clients are then."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.tcp import Server
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from tests.web.channels import ScriptedGateway, Served, get
from tests.web.test_sockets import certificate, exchange
from twisted_fcgi.backend.accepting import EagerServer
from twisted_fcgi.backend.tlsserver import TLSServer
from twisted_fcgi.web.resource import FastCGIResource

CLOSE = get(b"/", b"Connection: close")


@asynccontextmanager
async def serving(
    script: Callable[[Served], object],
    description: str = "tcp:0:interface=127.0.0.1",
    kind: type[FastCGIResource] = FastCGIResource,
) -> AsyncIterator[Any]:
    """A port of a stock site whose requests are served by a script."""
    resource = kind(reactor, gateway=ScriptedGateway(script))  # type: ignore[arg-type]
    port = await serverFromString(reactor, description).listen(Site(resource))
    try:
        yield port
    finally:
        await port.stopListening()


def connect(port: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port.getHost().port))


@pytest_twisted.ensureDeferred
async def test_eager() -> None:
    """After its first request a port's connections send at once; all are answered alike."""
    addresses = []

    def script(served: Served) -> None:
        addresses.append((served.request.client, served.request.server))
        served.answer(b"x" * 1_000_000)

    async with serving(script) as port:
        assert port.transport is Server
        for _ in range(2):
            client = connect(port)
            host, number = client.getsockname()
            answer = await deferToThread(exchange, client, get(), CLOSE)
            assert answer.count(b"HTTP/1.1 200 Words\r\n") == 2
            assert answer.count(b"x" * 1_000_000) == 2
            assert issubclass(port.transport, EagerServer)
            seen, server = addresses[-1]
            assert addresses[-2] == addresses[-1]
            assert (seen.host, seen.port) == (host.encode(), number)
            assert (server.host, server.port) == (b"127.0.0.1", port.getHost().port)


@pytest_twisted.ensureDeferred
async def test_otherFields() -> None:
    """A request has its own fields, not those of the one before on its connection."""
    seen = []

    def script(served: Served) -> None:
        seen.append(served.request.headers.get(b"x-a"))
        served.answer()

    fields = (b"X-A: 1",), (b"X-A: 1",), (b"X-A: 2",), (), (b"X-A: 2", b"Connection: close")
    async with serving(script) as port:
        for _ in range(2):
            await deferToThread(exchange, connect(port), *(get(b"/", *own) for own in fields))
    assert seen == 2 * [b"1", b"1", b"2", None, b"2"]


@pytest_twisted.ensureDeferred
async def test_setHost() -> None:
    """What a site says of one request's host does not hold for the others of its connection."""
    seen = []

    def script(served: Served) -> None:
        assert served.request.server.host == b"127.0.0.1"
        seen.append((served.request.server.port, served.request.secure))
        served.answer()

    class Posing(FastCGIResource):
        def render(self, request: Any) -> int:
            if request.uri == b"/other":
                request.setHost(b"other.test", 443, ssl=True)
            return super().render(request)

    requests = (get(), get(b"/other"), get(b"/other"), get(), CLOSE)
    async with serving(script, kind=Posing) as port:
        for _ in range(2):
            await deferToThread(exchange, connect(port), *requests)
        own = port.getHost().port
    assert seen == 2 * [(own, False), (443, True), (443, True), (own, False), (own, False)]


@pytest_twisted.ensureDeferred
async def test_tls(tmp_path: Path) -> None:
    """So they do under TLS, each response whole before the connection's end."""
    certificate(tmp_path / "both.pem")
    both = str(tmp_path / "both.pem")
    context = ssl.create_default_context(cafile=both)

    def script(served: Served) -> None:
        assert served.request.secure
        served.answer(b"x" * 1_000_000)

    def ask(port: Any) -> bytes:
        client = context.wrap_socket(connect(port), server_hostname="localhost")
        return exchange(client, get(), CLOSE)

    description = f"ssl:0:interface=127.0.0.1:privateKey={both}:certKey={both}"
    async with serving(script, description) as port:
        for _ in range(2):
            answer = await deferToThread(ask, port)
            assert answer.count(b"HTTP/1.1 200 Words\r\n") == 2
            assert answer.count(b"x" * 1_000_000) == 2
            assert port.factory.protocol is TLSServer


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("connection", [0, 1])
async def test_slowClient(connection: int) -> None:
    """A client that does not read pauses the application, on any connection."""
    paused: Deferred[None] = Deferred()

    def script(served: Served) -> None:
        if served.request.target == b"/slow":
            served.pauseProducing = lambda: paused.callback(None)  # type: ignore[method-assign]
            reactor.callLater(0, served.answer, b"x" * 12_000_000)  # type: ignore[attr-defined]
        else:
            served.answer()

    async with serving(script) as port:
        for _ in range(connection):
            await deferToThread(exchange, connect(port), CLOSE)
        client = connect(port)
        client.sendall(get(b"/slow"))
        await paused.addTimeout(10, reactor)  # type: ignore[arg-type]
        client.close()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("connection", [0, 1])
async def test_clientGone(connection: int) -> None:
    """That a client left is told, on any connection."""
    gone: Deferred[None] = Deferred()
    begun: Deferred[None] = Deferred()

    def script(served: Served) -> None:
        if served.request.target == b"/wait":
            served.clientGone = lambda: gone.callback(None)  # type: ignore[method-assign]
            begun.callback(None)
        else:
            served.answer()

    async with serving(script) as port:
        for _ in range(connection):
            await deferToThread(exchange, connect(port), CLOSE)
        client = connect(port)
        client.sendall(get(b"/wait"))
        await begun
        client.close()
        await gone.addTimeout(10, reactor)  # type: ignore[arg-type]
