"""A balancer before real pools of php-fpm, which are restarted, killed, and come back."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.peers.client import ask
from tests.peers.php import PhpFpm
from tests.peers.process import Address, Server, freePort
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


@contextmanager
def load(proxy: Proxy, clients: int = 4) -> Iterator[Counter[str]]:
    """Clients that ask all the time; who answered is counted."""
    counts: Counter[str] = Counter()
    enough = Event()

    def client() -> None:
        while not enough.wait(0.002):
            counts[who(proxy)] += 1

    threads = [Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def waitFor(proxy: Proxy, route: str) -> None:
    """Ask until a pool answers."""
    deadline = time.monotonic() + 10
    while who(proxy) != route:
        assert time.monotonic() < deadline, f"{route} is not asked"
        time.sleep(0.01)


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
    waitFor(proxy, "a")  # one that never worked is not waited for
    with load(proxy) as counts:
        for restart in range(RESTARTS):
            pool = pools[restart % members]
            pool.stop()
            pool.start()
            time.sleep(0.1)
    assert set(counts) == set("ab"[:members]), counts
    assert counts.total() > 10 * RESTARTS


@pytest.mark.parametrize("reuse", ["on", "off"])
def test_restartsAlone(
    peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy], reuse: str
) -> None:
    """Nor does it without a balancer."""
    pool = peerOf(Pool, unix=False)
    where = f"fcgi://{pool.address}{pool.application.parent}/"
    proxy = proxyOf(f'ProxyPass "/" "{where}" enablereuse={reuse}\n')
    waitFor(proxy, "")
    with load(proxy) as counts:
        for _ in range(RESTARTS):
            pool.stop()
            pool.start()
            time.sleep(0.1)
    assert set(counts) == {""}, counts


def test_killed(peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy]) -> None:
    """Members that are killed cost no GET, and are asked again soon after they are back."""
    pools = [peerOf(Pool, unix=False) for _ in range(2)]
    proxy = proxyOf(balanced(pools, member="enablereuse=on"))
    with load(proxy) as counts:
        for pool, route in zip(pools, "ab"):
            waitFor(proxy, route)
            pool.kill()
            time.sleep(0.3)
            before = counts[route]
            time.sleep(0.5)
            assert counts[route] == before
            pool.start()
            waitFor(proxy, route)
    assert set(counts) == {"a", "b"}, counts


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
    asked = 0
    enough = Event()

    def client(number: int) -> None:
        nonlocal asked
        while not enough.is_set():
            asked += 1
            name = f"{number}-{asked}"
            if ask(proxy.address, "/post.php", {"id": name}, body=b"x").status == 200:
                answered.append(name)

    threads = [Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for restart in range(RESTARTS):
            pool = pools[restart % 2]
            time.sleep(0.1)
            pool.kill()
            pool.start()
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    names = done.read_text().split()
    assert len(names) == len(set(names)), Counter(names).most_common(3)
    assert set(answered) <= set(names)
    assert len(answered) > RESTARTS


def test_waiting(peerOf: Callable[..., Pool], proxyOf: Callable[..., Proxy]) -> None:
    """With timeout, requests wait for a member when all are down."""
    pool = peerOf(Pool, unix=False)
    proxy = proxyOf(balanced([pool], "timeout=20", "patience=0"))
    waitFor(proxy, "a")
    pool.kill()
    with load(proxy) as counts:
        time.sleep(0.5)
        assert counts.total() == 0
        pool.start()
        waitFor(proxy, "a")
    assert set(counts) == {"a"}, counts


@pytest.mark.servers("apache2")
def test_heartbeat(peerOf: Callable[..., Server], proxyOf: Callable[..., Proxy]) -> None:
    """Requests go to the address whose mod_heartbeat says that it is there."""
    pools = [peerOf(Pool, unix=False) for _ in range(2)]
    heart = peerOf(Heart, unix=False)
    assert isinstance(heart, Heart)
    configuration = balanced(pools, "lbmethod=heartbeat")
    proxy = proxyOf(
        f"HeartbeatListen 127.0.0.1:{heart.port}\n"
        # The same machine by a name, of which nobody hears.
        + configuration.replace(f"127.0.0.1:{pools[0].address.port}",
                                f"localhost:{pools[0].address.port}")
    )  # fmt: skip
    assert {who(proxy) for _ in range(20)} == {"a", "b"}
    deadline = time.monotonic() + 15
    while {who(proxy) for _ in range(20)} != {"b"}:
        assert time.monotonic() < deadline, "it is not heard"
        time.sleep(0.1)
