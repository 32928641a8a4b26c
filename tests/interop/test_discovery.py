"""Members that a real DNS server names, while its records change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from json import loads
from pathlib import Path

import pytest

from tests.peers.client import ask
from tests.peers.dns import Nsd
from tests.peers.process import Address, freePort, waitFor
from tests.peers.proxy import Proxy
from tests.peers.python import Own

pytestmark = [pytest.mark.processes, pytest.mark.servers("nsd")]

SERVICE = '"srv+fcgi://_php._tcp.example.org"'


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Own, ...]]:
    """Three applications."""
    with ExitStack() as stack:
        made = []
        for number in range(3):
            directory = tmp_path_factory.mktemp(f"own{number}")
            made.append(Own(directory, Address(None, freePort())))
            stack.callback(made[-1].stop)
            made[-1].start()
        yield tuple(made)


@pytest.fixture
def dns(tmp_path: Path) -> Iterator[Callable[..., Nsd]]:
    """Starts a DNS server with some records."""
    with ExitStack() as stack:

        def start(*records: str) -> Nsd:
            server = Nsd(tmp_path, Address(None, freePort()), *records)
            stack.callback(server.stop)
            server.start()
            return server

        yield start


def srv(peer: Own, priority: int = 0, weight: int = 1) -> str:
    """The record of a service's member."""
    return f"_php._tcp SRV {priority} {weight} {peer.address.port} node"


NODE = "node A 127.0.0.1"


def balanced(server: Nsd, *members: str) -> str:
    """A balancer with the service, and others."""
    lines = "\n".join(f"BalancerMember {member}" for member in (members or (SERVICE,)))
    return f"""\
FcgiResolver {server.address}
ProxyFCGIBackendType GENERIC
<Proxy "balancer://app">
{lines}
</Proxy>
ProxyPass "/" "balancer://app/"
"""


def worker(proxy: Proxy) -> str | int:
    """The name of the member that answers a request, or the status when none does."""
    answer = ask(proxy.address, "/peer", {"do": "env"})
    if answer.status != 200:
        return answer.status
    environment = dict(loads(line) for line in answer.body.splitlines())
    return str(environment.get("BALANCER_WORKER_NAME", "alone"))


def name(peer: Own) -> str:
    """A member's, as applications are told."""
    return f"fcgi://{peer.address}"


def until(proxy: Proxy, wanted: set[str | int], allowed: set[str | int] = frozenset()) -> None:  # type: ignore[assignment]
    """
    Ask until only those answer who are wanted.

    :param allowed: those who may answer meanwhile; nobody else.
    """

    def areThere() -> bool:
        seen = {worker(proxy) for _ in range(8)}
        assert seen <= wanted | allowed, proxy.log()
        return seen == wanted

    waitFor(areThere, lambda: f"{wanted} do not come:\n{proxy.log()}")


def says(proxy: Proxy, text: str) -> None:
    """Wait until a proxy's log has a text."""
    waitFor(lambda: text in proxy.log(), proxy.log)


def test_changes(
    peers: tuple[Own, ...], dns: Callable[..., Nsd], proxyOf: Callable[..., Proxy]
) -> None:
    """Members come and go as the service's records do, and no request fails."""
    one, two, three = peers
    server = dns(NODE, srv(one), srv(two))
    proxy = proxyOf(balanced(server))
    until(proxy, {name(one), name(two)}, {503})
    server.tell(NODE, srv(two), srv(three))
    until(proxy, {name(two), name(three)}, {name(one)})
    server.tell(NODE, srv(three))
    until(proxy, {name(three)}, {name(two)})


def test_draining(
    peers: tuple[Own, ...],
    dns: Callable[..., Nsd],
    proxyOf: Callable[..., Proxy],
    tmp_path: Path,
) -> None:
    """A request of a member that goes is answered all the same."""
    one, two, _ = peers
    server = dns(NODE, srv(one))
    proxy = proxyOf(balanced(server))
    until(proxy, {name(one)}, {503})
    do = {"do": "meet", "count": 2, "place": tmp_path, "name": 0}
    with ThreadPoolExecutor(1) as client:
        waiting = client.submit(ask, proxy.address, "/peer", do)
        try:
            waitFor((tmp_path / "0").exists)
            server.tell(NODE, srv(two))
            until(proxy, {name(two)}, {name(one)})
            assert not waiting.done()
        finally:
            (tmp_path / "1").touch()
        assert waiting.result().status == 200


def test_weights(
    peers: tuple[Own, ...], dns: Callable[..., Nsd], proxyOf: Callable[..., Proxy]
) -> None:
    """Weights are factors, and priorities are sets, of which the first that works is asked."""
    one, two, three = peers
    server = dns(NODE, srv(one, 0, 30), srv(two, 0, 10), srv(three, 5, 1000))
    proxy = proxyOf(balanced(server))
    until(proxy, {name(one), name(two)}, {503})
    counted = Counter(worker(proxy) for _ in range(40))
    assert counted == {name(one): 30, name(two): 10}
    dead = f"_php._tcp SRV 0 1 {freePort()} node"
    server.tell(NODE, dead, srv(three, 5, 1000))
    until(proxy, {name(three)}, {name(one), name(two)})


def test_outage(
    peers: tuple[Own, ...], dns: Callable[..., Nsd], proxyOf: Callable[..., Proxy]
) -> None:
    """While the DNS server is down, the last answer holds; when it is back, the next one does."""
    one, two, _ = peers
    server = dns(NODE, srv(one))
    proxy = proxyOf(balanced(server))
    until(proxy, {name(one)}, {503})
    server.stop()
    says(proxy, "no answer to the question for _php._tcp.example.org; 1 members stay")
    assert worker(proxy) == name(one)
    server.start()
    server.tell(NODE, srv(two))
    until(proxy, {name(two)}, {name(one)})


def test_unknownAtStart(
    peers: tuple[Own, ...], dns: Callable[..., Nsd], proxyOf: Callable[..., Proxy]
) -> None:
    """A service that is not there yet is a warning, and 503 until it is."""
    server = dns(NODE)
    proxy = proxyOf(
        f"FcgiResolver {server.address}\nProxyFCGIBackendType GENERIC\n"
        'ProxyPass "/" "srv+fcgi://_php._tcp.example.org/" timeout=5\n'
        'ProxyPass "/lone/" "fcgi://nobody.example.org:9000/"'
    )
    says(proxy, "_php._tcp.example.org: there is nobody behind it")
    says(proxy, "nobody.example.org is no host's name, for now")
    assert worker(proxy) == 503
    server.tell(NODE, srv(peers[0]))
    until(proxy, {name(peers[0])}, {503})


def test_failedConnect(
    peers: tuple[Own, ...], dns: Callable[..., Nsd], proxyOf: Callable[..., Proxy]
) -> None:
    """A connect that fails is reason enough to look for a new address, whatever the TTL says."""
    port = peers[0].address.port
    server = dns("app 3600 A 127.0.0.2")
    proxy = proxyOf(
        f"FcgiResolver {server.address}\nProxyFCGIBackendType GENERIC\n"
        f'ProxyPass "/" "fcgi://app.example.org:{port}/" addressttl=3600 patience=0'
    )
    assert worker(proxy) == 503
    server.tell("app 3600 A 127.0.0.1")
    until(proxy, {"alone"}, {503})


def test_severalAddresses(
    peers: tuple[Own, ...], dns: Callable[..., Nsd], proxyOf: Callable[..., Proxy]
) -> None:
    """Each of a host's addresses is a member of a balancer; alone, they are tried in turn."""
    port = peers[0].address.port
    server = dns("app A 127.0.0.1", "app A 127.0.0.3", "app AAAA ::1")
    resolver = f"FcgiResolver {server.address}\nProxyFCGIBackendType GENERIC\n"
    lone = proxyOf(f'{resolver}ProxyPass "/" "fcgi://app.example.org:{port}/"')
    assert {worker(lone) for _ in range(4)} == {"alone"}
    proxy = proxyOf(balanced(server, f'"fcgi://app.example.org:{port}"'))
    alone = f"fcgi://app.example.org:{port}"
    until(proxy, {f"fcgi://127.0.0.1:{port}"}, {alone})
    assert f"members now: 127.0.0.1:{port}, 127.0.0.3:{port}" in proxy.log()
    assert f"127.0.0.3:{port} is left alone" in proxy.log()
    server.tell("app A 127.0.0.1")
    until(proxy, {alone}, {f"fcgi://127.0.0.1:{port}"})
