"""Many slow requests at a time, through the proxy, on few connections to an application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, serverFromString
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tests.peers.client import ask as askPeer
from tests.peers.fixtures import Kind, configured, rows
from tests.peers.process import Server
from tests.peers.proxy import Proxy
from twisted_fcgi.backend.application import ApplicationRequest, FastCGIApplicationFactory

pytestmark = pytest.mark.processes

HEAD = b"Content-Type: text/plain\r\n\r\n"

#: Requests at a time.
CLIENTS = 400


class Client(Protocol):
    """Sends a request, and gathers what comes until the end."""

    def __init__(self, target: str, reads: bool = True) -> None:
        self.target = target
        self.received = b""
        self.size = 0
        self.done: Deferred[Client] = Deferred()
        self.reads = reads

    def connectionMade(self) -> None:
        assert self.transport is not None
        request = f"GET {self.target} HTTP/1.0\r\nHost: www.example.test\r\n\r\n"
        self.transport.write(request.encode())
        if not self.reads:
            self.transport.pauseProducing()  # type: ignore[attr-defined]

    def dataReceived(self, data: bytes) -> None:
        self.received = (self.received + data)[-1000:]
        self.size += len(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.done.callback(self)


class Application:
    """
    Listens in this process.

    :ivar together: how many requests have to be there before one of them is answered.
    :ivar most: connections that there were at a time.
    """

    def __init__(self, path: Path, maxStreams: int) -> None:
        self.together = 1
        self.most = 0
        self._waiting: list[ApplicationRequest] = []
        self.factory = FastCGIApplicationFactory(self.serve, maxStreams=maxStreams)
        listening: Any = serverFromString(reactor, f"unix:{path}").listen(self.factory)
        self.port = listening.result  # it is there at once

    def serve(self, request: ApplicationRequest) -> None:
        """The target comes back, when there are enough; at once, a lot for ``/flood``."""
        self.most = max(self.most, self.factory.connections)
        self._waiting.append(request)
        if request.params[b"REQUEST_URI"] == b"/flood":
            request.write(HEAD)
            for _ in range(160):
                request.write(b"x" * 65536)
        if len(self._waiting) >= self.together:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                self.answer(each)

    def answer(self, request: ApplicationRequest) -> None:
        target = request.params[b"REQUEST_URI"]
        if target != b"/flood":
            request.write(HEAD + b"<%s>" % target)
        request.finish()


@pytest.fixture
def site(
    tmp_path: Path, proxyOf: Callable[..., Proxy]
) -> Iterator[Callable[[int, str], tuple[Application, Proxy]]]:
    """Starts an application that takes so many requests on a connection, and the proxy."""
    applications: list[Application] = []

    def start(maxStreams: int, parameters: str) -> tuple[Application, Proxy]:
        application = Application(tmp_path / "socket", maxStreams)
        applications.append(application)
        url = f"unix:{tmp_path}/socket|fcgi://own/"
        return application, proxyOf(f'ProxyPass "/" "{url}" enablereuse=on {parameters}')

    yield start
    for application in applications:
        pytest_twisted.blockon(application.port.stopListening())


def ask(proxy: Proxy, target: str, reads: bool = True) -> Client:
    """Begin a request."""
    client = Client(target, reads)
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", proxy.address.port)
    connecting: Any = connectProtocol(endpoint, client)
    connecting.addErrback(client.done.errback)
    return client


@pytest.mark.parametrize("limit", [1000, 20])
@pytest_twisted.ensureDeferred
async def test_slowRequests(
    site: Callable[[int, str], tuple[Application, Proxy]], limit: int
) -> None:
    """All are answered, each with its own, on as few connections as their number allows."""
    application, proxy = site(limit, "multiplex=auto maxstreams=100")
    await ask(proxy, "/first").done
    before = proxy.memory("VmRSS")
    application.together = CLIENTS
    clients = [ask(proxy, f"/{n}") for n in range(CLIENTS)]
    await gatherResults([client.done for client in clients])
    for n, client in enumerate(clients):
        assert client.received.endswith(b"<%s>" % f"/{n}".encode()), client.received
    # As many as are needed, and the one on which the application is asked.
    needed = CLIENTS // min(limit, 100)
    assert needed <= application.most <= needed + (1 if limit > 100 else needed)
    assert proxy.memory("VmRSS") - before < 20_000 * CLIENTS


@pytest_twisted.ensureDeferred
async def test_slowClient(site: Callable[[int, str], tuple[Application, Proxy]]) -> None:
    """A client that does not read holds up nobody, and gets its response when it does."""
    application, proxy = site(100, "multiplex=on max=1")
    await ask(proxy, "/first").done
    application.together = 11
    slow = ask(proxy, "/flood", reads=False)
    await gatherResults([ask(proxy, f"/{n}").done for n in range(10)])
    assert slow.size == 0
    assert proxy.memory("VmRSS") < 100_000_000
    slow.transport.resumeProducing()  # type: ignore[union-attr]
    await slow.done
    assert slow.size > 160 * 65536
    assert application.most == 2


@pytest_twisted.ensureDeferred
async def test_tooSlow(site: Callable[[int, str], tuple[Application, Proxy]]) -> None:
    """Beyond ``maxspool`` it is cut off; the others are not."""
    application, proxy = site(100, "multiplex=on max=1 maxspool=100000")
    await ask(proxy, "/first").done
    application.together = 2
    other = ask(proxy, "/other")
    slow = ask(proxy, "/flood", reads=False)
    assert (await other.done).received.endswith(b"</other>")
    slow.transport.resumeProducing()  # type: ignore[union-attr]
    await slow.done
    assert slow.size < 160 * 65536
    assert "maxspool" in proxy.log()


@pytest.mark.parametrize("word", ["auto", "on"])
@pytest.mark.parametrize("kind", rows(lambda kind: kind.reuse))
def test_cannot(
    kind: Kind,
    word: str,
    peerOf: Callable[..., Server],
    proxyOf: Callable[..., Proxy],
) -> None:
    """Who can't multiplex says so, in whatever way, and is used as before."""
    peer = peerOf(kind.peer, kind.unix)
    proxy = proxyOf(configured(kind, peer).replace("max=4", f"max=4 multiplex={word}"))
    target = f"/{peer.application.name}"
    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(askPeer, proxy.address, target, {"do": "env"}) for _ in range(40)]
        assert [one.result().status for one in asked] == [200] * 40
