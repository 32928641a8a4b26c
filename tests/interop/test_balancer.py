"""A balancer before real pools of php-fpm, which are restarted, killed, and come back."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.peers.client import ask
from tests.peers.php import PhpFpm
from tests.peers.process import Address, Server, freePort, waitFor
from tests.peers.proxy import Proxy

pytestmark = [pytest.mark.processes, pytest.mark.servers("php-fpm")]

#: Says who answers.  All of it leaves in one write, so that it is whole or nothing.
WHO = "<?php ob_start(); ob_implicit_flush(false); echo $_SERVER['BALANCER_WORKER_ROUTE'] ?? '';\n"

RESTARTS = 20


class Pool(PhpFpm):
    """A pool that says who it is."""

    def __init__(self, directory: Path, address: Address) -> None:
        super().__init__(directory, address)
        self.application = directory / "who.php"
        self.application.write_text(WHO)

    def kill(self) -> None:
        """End all of its processes at once."""
        os.killpg(self.pid, signal.SIGKILL)
        self.stop()


class Heart(Server):
    """Apache httpd that does nothing but say how busy it is."""

    name = "apache2"

    def __init__(self, directory: Path, address: Address) -> None:
        super().__init__(directory, address)
        self.port = freePort()

    def command(self) -> Sequence[str | Path]:
        modules = Path("/usr/lib/apache2/modules")
        names = ("mpm_event", "authz_core", "heartbeat")
        lines = [f"LoadModule {name}_module {modules}/mod_{name}.so" for name in names]
        if os.geteuid() == 0:
            lines += ["User nobody", "Group #65534"]
        file = self.directory / "httpd.conf"
        lines += [
            f"ServerRoot {self.directory}",
            f"DefaultRuntimeDir {self.directory}",
            f"PidFile {self.directory}/pid",
            f"Listen {self.address}",
            "ServerName www.example.test",
            f"ErrorLog {self.directory}/output",
            f"HeartbeatAddress 127.0.0.1:{self.port}",
        ]
        file.write_text("\n".join(lines) + "\n")
        program = shutil.which("apache2", path="/usr/sbin:/usr/bin")
        assert program is not None
        return [program, "-DFOREGROUND", "-f", file]


def balanced(pools: Sequence[Server], parameters: str = "", member: str = "") -> str:
    """A configuration with a balancer of these pools, a, b and so on, at /."""
    lines = [
        f'BalancerMember "fcgi://{pool.address}" route={"ab"[n]} {member}'
        for n, pool in enumerate(pools)
    ]
    # All pools see the script of the first one.
    directory = pools[0].application.parent
    return (
        "\n".join(('<Proxy "balancer://app">', *lines, f"ProxySet {parameters or 'growth=5'}"))
        + f'\n</Proxy>\nProxyPass "/" "balancer://app{directory}/"\n'
    )


def who(proxy: Proxy) -> str:
    """Which pool answers; else the status, or what went wrong."""
    try:
        answer = ask(proxy.address, "/who.php")
    except (OSError, HTTPException) as error:
        return repr(error)
    return answer.body.decode() if answer.status == 200 else str(answer.status)


class Load:
    """
    Clients that ask all the time.

    :param one: asks once; what it returns is counted.
    """

    def __init__(self, one: Callable[[], str], clients: int = 4) -> None:
        self._one = one
        self._enough = Event()
        self._counts: list[Counter[str]] = [Counter() for _ in range(clients)]
        self._threads = [Thread(target=self._client, args=(c,)) for c in self._counts]

    def _client(self, counts: Counter[str]) -> None:
        while not self._enough.wait(0.002):
            counts[self._one()] += 1

    def counts(self) -> Counter[str]:
        """How often what was returned."""
        return sum((counter.copy() for counter in self._counts), Counter())

    def goOn(self, times: int) -> None:
        """Wait until each client has asked so often again, from beginning to end."""
        # The one that is under way began before.
        then = [counter.total() + 1 + times for counter in self._counts]
        waitFor(
            lambda: all(counter.total() >= n for counter, n in zip(self._counts, then)),
            self.counts,
        )

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()


def load(proxy: Proxy) -> Load:
    """Clients that ask who it is."""
    return Load(lambda: who(proxy))


def waitForRoute(proxy: Proxy, route: str) -> None:
    """Ask until a pool answers."""
    waitFor(lambda: who(proxy) == route, lambda: f"{route} is not asked")


@pytest.mark.parametrize("reuse", ["on", "off"])
@pytest.mark.parametrize("members", [2, 1])
def test_restarts(
    peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy], members: int, reuse: str
) -> None:
    """
    That php-fpm is restarted, again and again, costs no GET.

    Nor where it is the only member, if requests may wait for it: then those are asked again
    that a process took with it that had already accepted them.
    """
    pools = [peerOf(Pool, unix=False) for _ in range(members)]
    parameters = "timeout=10" if members == 1 else ""
    proxy = proxyOf(balanced(pools, parameters, f"enablereuse={reuse}"))
    waitForRoute(proxy, "a")  # one that never worked is not waited for
    with load(proxy) as clients:
        for restart in range(RESTARTS):
            pool = pools[restart % members]
            pool.stop()
            pool.start()
            clients.goOn(10)
    counts = clients.counts()
    assert set(counts) == set("ab"[:members]), counts


@pytest.mark.parametrize("reuse", ["on", "off"])
def test_restartsAlone(
    peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy], reuse: str
) -> None:
    """Nor does it without a balancer."""
    pool = peerOf(Pool, unix=False)
    where = f"fcgi://{pool.address}{pool.application.parent}/"
    proxy = proxyOf(f'ProxyPass "/" "{where}" enablereuse={reuse}\n')
    waitForRoute(proxy, "")
    with load(proxy) as clients:
        for _ in range(RESTARTS):
            pool.stop()
            pool.start()
            clients.goOn(10)
    assert set(clients.counts()) == {""}, clients.counts()


@pytest.mark.parametrize("unix", [True, False])
def test_restartUnseen(
    peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy], tmp_path: Path, unix: bool
) -> None:
    """Nor if the proxy does not run while php-fpm is restarted."""
    pool = peerOf(Pool, unix=unix)
    pool.application.write_text(
        "<?php touch($_GET['begun']); while (!file_exists($_GET['gate'])) {"
        " usleep(1000); clearstatcache(); } echo 'through';"
    )
    where = f"unix:{pool.address}|fcgi://php" if unix else f"fcgi://{pool.address}"
    proxy = proxyOf(f'ProxyPass "/" "{where}{pool.application.parent}/"\n')
    do = {"begun": tmp_path / "begun", "gate": tmp_path / "gate"}
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(ask, proxy.address, "/who.php", do)
        waitFor((tmp_path / "begun").exists)
        os.kill(proxy.pid, signal.SIGSTOP)
        try:
            pool.stop()
            pool.start()
        finally:
            os.kill(proxy.pid, signal.SIGCONT)
            (tmp_path / "gate").touch()
        assert asked.result().body == b"through"


def test_killed(peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy]) -> None:
    """Members that are killed cost no GET, and are asked again soon after they are back."""
    pools = [peerOf(Pool, unix=False) for _ in range(2)]
    proxy = proxyOf(balanced(pools, member="enablereuse=on"))
    with load(proxy) as clients:
        for pool, route in zip(pools, "ab"):
            waitForRoute(proxy, route)
            pool.kill()
            clients.goOn(1)
            before = clients.counts()[route]
            clients.goOn(20)
            assert clients.counts()[route] == before
            pool.start()
            waitForRoute(proxy, route)
    assert set(clients.counts()) == {"a", "b"}, clients.counts()


def test_postsOnce(peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy]) -> None:
    """While members are killed no POST is done twice, and each that was answered was done."""
    pools = [peerOf(Pool, unix=False) for _ in range(2)]
    done = pools[0].directory / "done"
    script = pools[0].application.with_name("post.php")
    script.write_text(
        f"<?php file_put_contents('{done}', $_GET['id'] . \"\\n\", FILE_APPEND | LOCK_EX);\n"
        "usleep(2000);"
    )
    proxy = proxyOf(balanced(pools, member="enablereuse=on"))
    answered: list[str] = []
    numbers = count()

    def post() -> str:
        name = str(next(numbers))
        status = ask(proxy.address, "/post.php", {"id": name}, body=b"x").status
        if status == 200:
            answered.append(name)
        return str(status)

    def wait(more: int) -> None:
        then = len(answered) + more
        waitFor(lambda: len(answered) >= then)

    with Load(post) as clients:
        for restart in range(RESTARTS):
            pool = pools[restart % 2]
            wait(10)
            pool.kill()
            pool.start()
    assert set(clients.counts()) <= {"200", "503"}, clients.counts()
    names = done.read_text().split()
    assert len(names) == len(set(names)), Counter(names).most_common(3)
    assert set(answered) <= set(names)


def test_waiting(peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy]) -> None:
    """With timeout, requests wait for a member when all are down."""
    pool = peerOf(Pool, unix=False)
    proxy = proxyOf(balanced([pool], "timeout=120", "patience=0"))
    waitForRoute(proxy, "a")
    pool.kill()
    with load(proxy) as clients:
        waitFor(lambda: "is left alone" in proxy.log())
        time.sleep(0.5)
        assert not clients.counts()
        pool.start()
        waitForRoute(proxy, "a")
    assert set(clients.counts()) == {"a"}, clients.counts()


@pytest.mark.servers("apache2")
def test_heartbeat(peerOf: Callable[..., Server], proxyOf: Callable[..., Proxy]) -> None:
    """Requests go to the address whose mod_heartbeat says that it is there."""
    pools = [peerOf(Pool, unix=False) for _ in range(2)]
    heart = peerOf(Heart, unix=False)
    assert isinstance(heart, Heart)
    heart.stop()  # for now
    configuration = balanced(pools, "lbmethod=heartbeat")
    proxy = proxyOf(
        f"HeartbeatListen 127.0.0.1:{heart.port}\n"
        # The same machine by a name, of which nobody hears.
        + configuration.replace(f"127.0.0.1:{pools[0].address.port}",
                                f"localhost:{pools[0].address.port}")
    )  # fmt: skip
    assert {who(proxy) for _ in range(20)} == {"a", "b"}
    heart.start()
    waitFor(lambda: {who(proxy) for _ in range(20)} == {"b"}, lambda: "it is not heard")
