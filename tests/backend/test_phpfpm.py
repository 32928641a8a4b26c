"""A member before a real php-fpm."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher

from tests.backend.doubles import MemoryBody, Receiver
from tests.peers.php import PhpFpm
from tests.peers.process import LIMIT, Address, freePort
from twisted_fcgi.backend.member import Member
from twisted_fcgi.backend.sharing import Capacity
from twisted_fcgi.errors import ConnectionDied
from twisted_fcgi.settings import MemberSettings, Multiplex

pytestmark = [pytest.mark.servers("php-fpm"), pytest.mark.processes]

SCRIPT = """<?php
switch ($_GET['do']) {
    case 'pid': echo getmypid(); break;
    case 'complain': error_log($_GET['what']); echo 'said'; break;
    case 'length': echo strlen(file_get_contents('php://input')); break;
    case 'bytes': $part = str_repeat('x', 65536);
        for ($n = 0; $n < $_GET['parts']; $n++) echo $part; break;
    case 'work': usleep(1000 * $_GET['ms']); echo getmypid(); break;
    case 'leave': posix_kill(getmypid(), 9);
}
"""


class ServingMember(Member):
    """
    A member that tells whom it serves.

    :ivar served: the streams that got a connection, in that order.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.served: list[Any] = []

    def _give(self, connection: Any, stream: Any) -> None:
        self.served.append(stream)
        super()._give(connection, stream)


class Fpm:
    """
    A php-fpm and a member before it.

    :ivar server: the php-fpm.
    :ivar member: the member.
    :ivar stream: the one that was opened last.
    """

    def __init__(self, server: PhpFpm, **settings: Any) -> None:
        self.server = server
        path, port = server.address
        self.member = ServingMember(
            MemberSettings(
                url="fcgi://php",
                host="127.0.0.1",
                port=port,
                socket=None if path is None else str(path),
                **settings,
            ),
            reactor,
        )

    def ask(self, query: str, method: str = "GET", body: Any = None) -> Deferred[Receiver]:
        """Send a request; fires when it is over, however."""
        params = {
            "REQUEST_METHOD": method,
            "REQUEST_URI": f"/app.php?{query}",
            "SCRIPT_NAME": "/app.php",
            "SCRIPT_FILENAME": str(self.server.application),
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(body.length) if body is not None else "",
            "CONTENT_TYPE": "application/octet-stream" if body is not None else "",
        }
        done: Deferred[Receiver] = Deferred()
        receiver = Receiver(lambda: done.callback(receiver))
        pairs = [(name.encode(), value.encode()) for name, value in params.items()]
        self.stream = self.member.open(pairs, body, receiver)
        return done

    async def answer(self, query: str, method: str = "GET", body: Any = None) -> str:
        """The body of the response, which has to be one."""
        receiver = await self.ask(query, method, body)
        assert receiver.error is None, receiver.error
        return bodyOf(receiver)

    async def answerAfterRestart(self, query: str) -> str:
        """The same of a request that may be sent again, as the gateway does, if php-fpm ends."""
        receiver = await self.ask(query)
        while isinstance(receiver.error, ConnectionDied):
            leaves: Deferred[bool] = Deferred()
            self.member.askWhetherItLeaves(leaves.callback)
            assert await leaves, receiver.error
            receiver = await self.ask(query)
        assert receiver.error is None, receiver.error
        return bodyOf(receiver)


def bodyOf(receiver: Receiver) -> str:
    return receiver.data.partition(b"\r\n\r\n")[2].decode()


def sleep(seconds: float) -> Awaitable[None]:
    return deferLater(reactor, seconds)


async def becomes(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = reactor.seconds() + LIMIT  # type: ignore[attr-defined]
    while not condition():
        assert reactor.seconds() < deadline, "it never came to pass"  # type: ignore[attr-defined]
        await sleep(0.01)


class Clients:
    """
    Four that ask all the time.

    :param one: asks once.
    """

    def __init__(self, one: Callable[[], Awaitable[str]]) -> None:
        self._one = one
        self._counts = [0] * 4
        self._over = False
        self._ended = [Deferred.fromCoroutine(self._ask(n)) for n in range(4)]

    async def _ask(self, number: int) -> None:
        while not self._over:
            self._counts[number] += (await self._one()).isdigit()

    async def goOn(self) -> None:
        """Wait until each was answered again, what it asked since."""
        then = [count + 2 for count in self._counts]
        await becomes(
            lambda: (
                any(ended.called for ended in self._ended)
                or all(count >= n for count, n in zip(self._counts, then))
            )
        )

    async def end(self) -> None:
        """Wait until each was answered for the last time; none has failed."""
        self._over = True
        await gatherResults(self._ended)


@pytest.fixture
def fpm(tmp_path: Path) -> Iterator[Callable[..., Fpm]]:
    """Starts php-fpm: ``fpm(pool="...", unix=True, reuse=True, ...)``; both end with the test."""
    with ExitStack() as stack:

        def start(pool: str = "", unix: bool = True, **settings: Any) -> Fpm:
            address = Address(tmp_path / "php.sock") if unix else Address(None, freePort())
            server = PhpFpm(tmp_path, address)
            server.pool = pool  # type: ignore[misc]
            server.application = tmp_path / "app.php"
            server.application.write_text(SCRIPT)
            stack.callback(server.stop)
            server.start()
            live = Fpm(server, **settings)
            stack.callback(lambda: pytest_twisted.blockon(live.member.stop()))
            return live

        yield start


@pytest.mark.parametrize("unix", [True, False])
@pytest.mark.parametrize("reuse", [True, False])
@pytest_twisted.ensureDeferred
async def test_requests(fpm: Callable[..., Fpm], unix: bool, reuse: bool) -> None:
    """Requests are answered on either kind of socket, with and without reuse, bodies included."""
    live = fpm(unix=unix, reuse=reuse)
    pids = [await live.answer("do=pid") for _ in range(4)]
    assert len(set(pids)) == 1 if reuse else all(map(str.isdigit, pids))
    assert live.member.describe()["connects"] == (1 if reuse else 4)
    assert await live.answer("do=length", "POST", MemoryBody(b"abc")) == "3"
    assert await live.answer("do=length", "POST", MemoryBody(*[b"y" * 65536] * 160)) == "10485760"
    assert len(await live.answer("do=bytes&parts=160")) == 10485760


@pytest_twisted.ensureDeferred
async def test_stderr(fpm: Callable[..., Fpm]) -> None:
    """What PHP complains about is logged as a line that harms no terminal."""
    events: list[Any] = []
    globalLogPublisher.addObserver(events.append)
    try:
        assert await fpm().answer("do=complain&what=oh%1B%5B31m%0Ano") == "said"
    finally:
        globalLogPublisher.removeObserver(events.append)
    lines = [event["line"] for event in events if "line" in event]
    assert lines == ["PHP message: oh\\x1b[31m", "no"]


@pytest_twisted.ensureDeferred
async def test_maxRequests(fpm: Callable[..., Fpm]) -> None:
    """Children that end after pm.max_requests cost no request, with connections kept to them."""
    live = fpm("pm.max_requests = 5", reuse=True, max=4)

    async def client() -> int:
        return sum([(await live.answer("do=pid")).isdigit() for _ in range(100)])

    answered = await gatherResults([Deferred.fromCoroutine(client()) for _ in range(8)])
    assert sum(answered) == 800
    assert live.member.describe()["connects"] >= 160


@pytest_twisted.ensureDeferred
async def test_restarted(fpm: Callable[..., Fpm]) -> None:
    """A connection that was kept over a restart costs no request."""
    live = fpm(reuse=True)
    before = await live.answer("do=pid")
    live.server.stop()
    live.server.start()
    assert await live.answer("do=pid") != before
    assert await live.answer("do=length", "POST", MemoryBody(b"abc")) == "3"


@pytest.mark.parametrize(("clients", "children"), [(60, 2), (200, 4)])
@pytest_twisted.ensureDeferred
async def test_queue(fpm: Callable[..., Fpm], clients: int, children: int) -> None:
    """Many more requests than children are all answered, first come, first served."""
    live = fpm(f"pm.max_children = {children}", reuse=True, max=children)
    asked, streams = [], []
    for _ in range(clients):
        asked.append(live.ask("do=work&ms=2"))
        streams.append(live.stream)
    assert all(receiver.end for receiver in await gatherResults(asked))
    assert live.member.served == streams
    figures = live.member.describe()
    assert (figures["connects"], figures["refused"], figures["failures"]) == (children, 0, 0)


@pytest.mark.parametrize("unix", [True, False])
@pytest_twisted.ensureDeferred
async def test_pinned(fpm: Callable[..., Fpm], unix: bool) -> None:
    """Without ``max``, connections that are kept do not keep the children from the others."""
    live = fpm("pm.max_children = 2", reuse=True, unix=unix, timeout=LIMIT)

    async def client() -> int:
        return sum([(await live.answer("do=work&ms=1")).isdigit() for _ in range(10)])

    answered = await gatherResults([Deferred.fromCoroutine(client()) for _ in range(50)])
    assert sum(answered) == 500
    # Nor when nobody comes any more who could take an idle one.
    asked = [live.ask("do=work&ms=1") for _ in range(10)]
    assert all(receiver.end for receiver in await gatherResults(asked))


@pytest.mark.parametrize("reuse", [True, False])
@pytest_twisted.ensureDeferred
async def test_pinnedByAnother(fpm: Callable[..., Fpm], reuse: bool) -> None:
    """Nor from the requests of another member with the same address."""
    live = fpm("pm.max_children = 2", reuse=True)
    for _ in range(100):  # while an answer is slow in coming, idle ones are given up
        await gatherResults([live.ask("do=work&ms=20") for _ in range(2)])
        if live.member.describe()["idle"] == 2:
            break
    assert live.member.describe()["idle"] == 2
    other = Fpm(live.server, reuse=reuse, timeout=LIMIT)
    assert (await other.answer("do=pid")).isdigit()
    assert live.member.describe()["idle"] < 2
    await other.member.stop()


@pytest_twisted.ensureDeferred
async def test_reloaded(fpm: Callable[..., Fpm]) -> None:
    """SIGUSR2, which by default kills what runs, costs none of those that may be sent again."""
    live = fpm(reuse=True, max=4)

    def begun() -> int:
        return live.server.log().count("ready to handle connections")

    await becomes(begun)
    clients = Clients(lambda: live.answerAfterRestart("do=work&ms=5"))
    for _ in range(3):
        await clients.goOn()
        times = begun()
        os.kill(live.server.pid, signal.SIGUSR2)
        await becomes(lambda: begun() > times)  # noqa: B023
    await clients.goOn()
    await clients.end()
    assert live.member.describe()["retries"] > 0


@pytest.mark.parametrize("unix", [True, False])
@pytest_twisted.ensureDeferred
async def test_restartedUnderLoad(fpm: Callable[..., Fpm], unix: bool) -> None:
    """Nor does a restart: until the application is back, requests wait."""
    live = fpm(reuse=True, max=4, unix=unix)
    clients = Clients(lambda: live.answerAfterRestart("do=work&ms=5"))
    for _ in range(3):
        await clients.goOn()
        await deferToThread(live.server.stop)
        await sleep(0.05)  # we look, too
        await deferToThread(live.server.start)
    await clients.goOn()
    await clients.end()


@pytest_twisted.ensureDeferred
async def test_multiplexAuto(fpm: Callable[..., Fpm]) -> None:
    """PHP says that it can't multiplex, and is used as before."""
    live = fpm(reuse=True, multiplex=Multiplex.AUTO)
    for _ in range(3):
        asked = [live.ask("do=work&ms=5") for _ in range(8)]
        assert all(receiver.end for receiver in await gatherResults(asked))
    assert live.member._sharing.capacity == Capacity(1, None)  # type: ignore[union-attr]


@pytest_twisted.ensureDeferred
async def test_backlog(fpm: Callable[..., Fpm]) -> None:
    """A backlog that is full (EAGAIN) is waited for, and fails no request."""
    live = fpm("pm.max_children = 1\nlisten.backlog = 1")
    asked = [live.ask("do=work&ms=5") for _ in range(40)]
    await sleep(0)
    assert live.member.describe()["connecting"] > 10
    assert all(receiver.end for receiver in await gatherResults(asked))


@pytest_twisted.ensureDeferred
async def test_killed(fpm: Callable[..., Fpm]) -> None:
    """A child that is killed fails its own request, and nobody else's."""
    live = fpm(reuse=True)
    other = live.ask("do=work&ms=100")
    killed = await live.ask("do=leave")
    assert killed.error is not None
    assert (killed.error.status, killed.error.retryable) == (503, False)
    assert (await other).end is not None


@pytest_twisted.ensureDeferred
async def test_aborted(fpm: Callable[..., Fpm]) -> None:
    """PHP does not read ABORT_REQUEST while a script runs: it is left after abortGrace."""
    live = fpm("pm.max_children = 2", reuse=True, abortGrace=0.1)
    done = live.ask(f"do=work&ms={1000 * LIMIT:.0f}")
    await becomes(lambda: live.member.describe()["busy"])
    live.stream.abort()
    assert live.member.describe()["busy"] == 1
    await becomes(lambda: not live.member.describe()["busy"])
    assert (await live.answer("do=pid")).isdigit()
    assert not done.called
