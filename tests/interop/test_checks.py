"""Health checks of real applications, killed, stopped and back."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.peers.client import ask
from tests.peers.php import PhpFpm
from tests.peers.process import LIMIT, Address, Server, freePort, waitFor
from tests.peers.proxy import Proxy
from tests.peers.python import Uwsgi
from twisted_fcgi.backend.checks import HealthChecks
from twisted_fcgi.backend.endpoints import memberEndpoint
from twisted_fcgi.balance import Balancer, MemberState
from twisted_fcgi.config import loads

pytestmark = pytest.mark.processes


class CheckedFpm(PhpFpm):
    """php-fpm whose pool can be asked for its health; ``app.php`` says which one it is."""

    pool = "ping.path = /ping\npm.status_path = /status"

    def __init__(self, directory: Path, address: Address) -> None:
        super().__init__(directory, address)
        self.application = directory / "app.php"
        self.application.write_text(f"<?php usleep(2000); echo '{directory.name}';")
        (directory / "health.php").write_text(
            "<?php echo file_exists(__DIR__ . '/sick') ? 'ill' : 'well';"
        )


def signalled(server: Server, number: int) -> None:
    """Send a signal to a server and to what it started."""
    os.killpg(server.pid, number)


class Watch:
    """
    The checks of one member.

    :ivar state: what its balancer knows of it.
    """

    def __init__(self, address: Address, parameters: str) -> None:
        path, port = address
        url = f"fcgi://127.0.0.1:{port}" if path is None else f"unix:{path}|fcgi://app"
        text = f"<Proxy balancer://b>\nBalancerMember {url} hcinterval=150ms {parameters}\n</Proxy>"
        balancer = Balancer(loads(text).main.balancers[0])
        self.state: MemberState = balancer.members[0]
        self.checks = HealthChecks(
            lambda: [balancer], reactor, lambda member: memberEndpoint(member, reactor)
        )
        self.checks.start()

    async def becomes(self, status: str, *complaints: str) -> None:
        """
        Wait until the member has a status and was checked in it.

        :param complaints: one of them has been said of it then: not only that it was too slow.
        """
        health = self.state.health
        checked = health.checkedAt
        await self.until(
            lambda: (
                self.state.status == status
                and health.checkedAt != checked
                and any(words in health.complaint for words in complaints or ("",))
            )
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() < begun + LIMIT, (self.state, self.state.health)
            await deferLater(reactor, 0.02)


@pytest.fixture
def watch() -> Iterator[Callable[[Address, str], Watch]]:
    """Checks a member: ``watch(address, parameters)``."""
    with ExitStack() as stack:

        def begin(address: Address, parameters: str) -> Watch:
            live = Watch(address, parameters)
            stack.callback(live.checks.stop)
            return live

        yield begin


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server: ``started(kind, name, unix)``."""
    with ExitStack() as stack:

        def start(kind: type[Server], name: str, unix: bool = False) -> Server:
            directory = tmp_path / name
            directory.mkdir()
            server = kind(
                directory, Address(directory / "s") if unix else Address(None, freePort())
            )
            stack.callback(server.stop)
            server.start()
            return server

        yield start


@pytest.mark.servers("php-fpm")
@pytest.mark.parametrize("unix", [False, True])
@pytest.mark.parametrize(
    "parameters",
    ["hcmethod=TCP", "hcmethod=FCGI", "hcmethod=GET hcuri=/ping", "hcmethod=HEAD hcuri=/ping"],
)
@pytest_twisted.ensureDeferred
async def test_killed(
    started: Callable[..., Server],
    watch: Callable[[Address, str], Watch],
    parameters: str,
    unix: bool,
) -> None:
    """php-fpm that is killed is out, and in again when it is back."""
    server = started(CheckedFpm, "a", unix)
    live = watch(server.address, parameters)
    await live.becomes("")
    signalled(server, signal.SIGKILL)
    await live.becomes("C", "no connection", "closed")
    server.stop()
    server.start()
    await live.becomes("")


@pytest.mark.servers("php-fpm")
@pytest.mark.parametrize("parameters", ["hcmethod=FCGI", "hcmethod=GET hcuri=/ping"])
@pytest_twisted.ensureDeferred
async def test_stopped(
    started: Callable[..., Server], watch: Callable[[Address, str], Watch], parameters: str
) -> None:
    """php-fpm that takes connections and is silent is out until it answers."""
    server = started(CheckedFpm, "a")
    live = watch(server.address, parameters)
    await live.becomes("")
    signalled(server, signal.SIGSTOP)
    try:
        await live.becomes("C", "did not answer within")
    finally:
        signalled(server, signal.SIGCONT)
    await live.becomes("")


@pytest.mark.servers("php-fpm")
@pytest_twisted.ensureDeferred
async def test_figures(
    started: Callable[..., Server], watch: Callable[[Address, str], Watch]
) -> None:
    """php-fpm's status page passes, and says how many children it has."""
    live = watch(started(CheckedFpm, "a").address, "hcmethod=GET hcuri=/status?json")
    await live.becomes("")

    def asExpected() -> bool:
        figures = live.state.health.figures
        assert figures is not None
        return (figures.pool, figures.active + figures.idle, figures.slow) == ("www", 4, 0)

    await live.until(asExpected)  # it counts its children once in a second


@pytest.mark.servers("php-fpm")
@pytest_twisted.ensureDeferred
async def test_noScript(
    started: Callable[..., Server], watch: Callable[[Address, str], Watch]
) -> None:
    """A path that php-fpm has nothing for fails with its 404."""
    live = watch(started(CheckedFpm, "a").address, "hcmethod=GET hcuri=/nothing.php")
    await live.becomes("C", "answered with 404")


@pytest.mark.servers("uwsgi", "uwsgi-python")
@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ("hcmethod=TCP", ""),
        ("hcmethod=GET hcuri=/health?do=count", ""),
        ("hcmethod=HEAD11 hcuri=/health?do=count", ""),
        ("hcmethod=GET hcuri=/nothing", "C"),
        ("hcmethod=FCGI", "C"),  # it does not know the question
    ],
)
@pytest_twisted.ensureDeferred
async def test_uwsgi(
    started: Callable[..., Server],
    watch: Callable[[Address, str], Watch],
    parameters: str,
    status: str,
) -> None:
    """An application that is not php-fpm is asked in the same way."""
    live = watch(started(Uwsgi, "a").address, parameters)
    await live.becomes(status)


@pytest.mark.servers("php-fpm")
def test_takenOutAndBack(started: Callable[..., Server], proxyOf: Callable[..., Proxy]) -> None:
    """A member that is taken out and brought back by checks costs no request."""
    servers = {name: started(CheckedFpm, name) for name in ("a", "b")}
    members = "\n".join(
        f"BalancerMember fcgi://{server.address}{server.directory} hctemplate=up enablereuse=on"
        for server in servers.values()
    )
    proxy = proxyOf(f"""\
ProxyHCExpr well {{%{{REQUEST_STATUS}} == 200 && %{{hc:body}} == 'well'}}
ProxyHCTemplate up hcmethod=GET hcuri=/health.php hcexpr=well hcinterval=500ms hcfails=2 hcpasses=2
<Proxy balancer://b>
{members}
</Proxy>
ProxyPass / balancer://b/""")

    def said(name: str) -> list[str]:
        """What became of a member, time after time."""
        words = f"health check (DISABLING|ENABLING) {servers[name].address}"
        return re.findall(words, proxy.log())

    def becomes(word: str, name: str) -> None:
        """Wait until a member was taken out or brought back."""
        waitFor(lambda: said(name)[-1:] == [word], proxy.log)

    def served(number: int) -> set[str]:
        answers = [ask(proxy.address, "/app.php") for _ in range(number)]
        assert {answer.status for answer in answers} == {200}
        return {answer.body.decode() for answer in answers}

    def both() -> None:
        """Wait until either member has answered."""
        seen: set[str] = set()
        waitFor(lambda: seen.update(served(1)) or len(seen) == 2, proxy.log)

    with ThreadPoolExecutor(2) as pool:
        running = True

        def steadily() -> int:
            count = 0
            while running:
                assert ask(proxy.address, "/app.php").status == 200
                count += 1
            return count

        clients = [pool.submit(steadily) for _ in range(2)]
        try:
            both()
            sick = servers["a"].directory / "sick"
            sick.touch()
            becomes("DISABLING", "a")
            assert served(8) == {"b"}
            sick.unlink()
            becomes("ENABLING", "a")
            both()
            signalled(servers["b"], signal.SIGSTOP)
            becomes("DISABLING", "b")
            assert served(8) == {"a"}
            signalled(servers["b"], signal.SIGCONT)
            becomes("ENABLING", "b")
            both()
            signalled(servers["b"], signal.SIGKILL)
            assert served(8) == {"a"}
            servers["b"].stop()
            servers["b"].start()
            both()
        finally:
            running = False
        assert all(client.result(LIMIT) > 10 for client in clients)
    assert said("a")[:2] == said("b")[:2] == ["DISABLING", "ENABLING"]
