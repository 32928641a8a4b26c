"""PHP-FPM on another machine, as it were: behind stunnel, and behind HAProxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.peers.client import ask
from tests.peers.dns import Nsd
from tests.peers.php import PhpFpm
from tests.peers.process import Address, Server, freePort, waitFor
from tests.peers.proxy import Proxy
from tests.peers.python import Own
from tests.peers.tls import Authority, HAProxy, Stunnel, TLSFront

pytestmark = [pytest.mark.servers("php-fpm", "stunnel4", "haproxy"), pytest.mark.processes]

FRONTS = (Stunnel, HAProxy)


class World(NamedTuple):
    """
    A php-fpm, who signs certificates, and what starts fronts of it.

    :ivar front: ``front(Stunnel, certificate, clients)``.
    """

    fpm: Server
    ours: Authority
    theirs: Authority
    front: Callable[..., TLSFront]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All tests have one php-fpm."""
    certificates = tmp_path_factory.mktemp("certificates")
    with ExitStack() as stack:

        def started(server: Server) -> Server:
            stack.callback(server.stop)
            server.start()
            return server

        fpm = started(PhpFpm(tmp_path_factory.mktemp("php-fpm"), Address(None, freePort())))

        def front(
            kind: type[TLSFront],
            certificate: Path,
            clients: Path | None = None,
            peer: Server = fpm,
        ) -> TLSFront:
            address = Address(None, freePort())
            directory = tmp_path_factory.mktemp(kind.name)
            made = kind(directory, address, peer.address, certificate, clients)
            started(made)
            return made

        authorities = (Authority(certificates), Authority(certificates, "Somebody else"))
        yield World(fpm, *authorities, front)


def configuration(
    world: World, port: int, directives: str = "", host: str = "localhost", parameters: str = ""
) -> str:
    """Of a proxy that knows our authority."""
    return f"""\
ProxyFCGIBackendType FPM
SSLProxyCACertificateFile "{world.ours.file}"
{directives}
ProxyPass "/" "fcgis://{host}:{port}{world.fpm.application.parent}/" {parameters}
"""


def status(proxy: Proxy) -> int:
    """Of a small request."""
    return ask(proxy.address, "/peer.php", {"do": "env"}).status


def refusal(proxy: Proxy) -> str:
    """The log of a request that gets a 502, and none of what failed."""
    answer = ask(proxy.address, "/peer.php", {"do": "env"})
    assert answer.status == 502, proxy.log()
    assert b"ertificate" not in answer.body
    return proxy.log()


@pytest.mark.parametrize("kind", FRONTS)
def test_requests(world: World, proxyOf: Callable[..., Proxy], kind: type[TLSFront]) -> None:
    """Requests and long bodies pass over TLS, with a certificate of ours, on kept connections."""
    front = world.front(kind, world.ours.issue("localhost"), world.ours.file)
    own = world.ours.issue("gateway.example", file="gateway.pem")
    directives = f'SSLProxyMachineCertificateFile "{own}"'
    reuse = "enablereuse=on max=2"
    proxy = proxyOf(configuration(world, front.address.port, directives, parameters=reuse))
    for _ in range(20):
        answer = ask(proxy.address, "/peer.php", {"do": "count"}, body=b"x" * 3_000_000)
        assert (answer.status, answer.body.split()[0]) == (200, b"3000000")
        assert (
            ask(proxy.address, "/peer.php", {"do": "stream", "bytes": 5000000}).length == 5_000_000
        )
    environment = ask(proxy.address, "/peer.php", {"do": "env"}).body
    assert b'["SCRIPT_FILENAME","%b"]' % bytes(world.fpm.application) in environment
    assert front.log().lower().count("accepted connection" if kind is Stunnel else "php-fpm/") <= 2


@pytest.mark.parametrize("kind", FRONTS)
def test_address(world: World, proxyOf: Callable[..., Proxy], kind: type[TLSFront]) -> None:
    """A member that is named by its address has to have that in its certificate."""
    front = world.front(kind, world.ours.issue("127.0.0.1"))
    proxy = proxyOf(configuration(world, front.address.port, host="127.0.0.1"))
    assert status(proxy) == 200
    log = refusal(proxyOf(configuration(world, front.address.port)))
    assert "expected to be localhost: its certificate is for 127.0.0.1" in log


@pytest.mark.parametrize("kind", FRONTS)
def test_wrongName(world: World, proxyOf: Callable[..., Proxy], kind: type[TLSFront]) -> None:
    """A certificate for somebody else is refused, with both names, unless nobody looks at it."""
    front = world.front(kind, world.ours.issue("other.example", "www.other.example"))
    log = refusal(proxyOf(configuration(world, front.address.port)))
    assert "its certificate is for other.example, www.other.example" in log
    assert "expected to be localhost" in log
    lax = proxyOf(configuration(world, front.address.port, "SSLProxyCheckPeerName off"))
    assert status(lax) == 200
    assert "UNSAFE" in lax.log()


@pytest.mark.parametrize("kind", FRONTS)
def test_expired(world: World, proxyOf: Callable[..., Proxy], kind: type[TLSFront]) -> None:
    """A certificate that has expired is refused, with the reason."""
    front = world.front(kind, world.ours.issue("localhost", expired=True))
    log = refusal(proxyOf(configuration(world, front.address.port)))
    assert "expected to be localhost: its certificate has expired" in log


@pytest.mark.parametrize("kind", FRONTS)
def test_unknownAuthority(
    world: World, proxyOf: Callable[..., Proxy], kind: type[TLSFront]
) -> None:
    """A certificate that nobody signed whom we trust is refused, unless nothing is verified."""
    front = world.front(kind, world.theirs.issue("localhost", file="theirs.pem"))
    port = front.address.port
    assert "not trusted (unknown CA)" in refusal(proxyOf(configuration(world, port)))
    for verify in ("none", "optional_no_ca"):
        lax = proxyOf(configuration(world, port, f"SSLProxyVerify {verify}"))
        assert status(lax) == 200
        assert "UNSAFE" in lax.log()


@pytest.mark.parametrize("version", ("TLSv1.2", "TLSv1.3"))
@pytest.mark.parametrize("kind", FRONTS)
def test_clientCertificate(
    world: World, proxyOf: Callable[..., Proxy], kind: type[TLSFront], version: str
) -> None:
    """A member that wants a certificate and gets none, or another's, is a 502 that says so."""
    front = world.front(kind, world.ours.issue("localhost"), world.ours.file)
    port = front.address.port
    chosen = f"SSLProxyProtocol {version}\n"
    log = refusal(proxyOf(configuration(world, port, chosen)))
    assert "it wants a certificate of ours" in log
    foreign = world.theirs.issue("gateway.example", file="foreign.pem")
    chosen += f'SSLProxyMachineCertificateFile "{foreign}"'
    assert "it refused us" in refusal(proxyOf(configuration(world, port, chosen)))


def test_noTLS(world: World, proxyOf: Callable[..., Proxy]) -> None:
    """A php-fpm that speaks no TLS is a 502 that says so."""
    port = world.fpm.address.port
    assert "does it speak TLS?" in refusal(proxyOf(configuration(world, port)))


def test_balancer(world: World, proxyOf: Callable[..., Proxy]) -> None:
    """Of a balancer's members one that is not who it should be is passed over."""
    right = world.front(Stunnel, world.ours.issue("localhost"))
    wrong = world.front(Stunnel, world.ours.issue("other.example"))
    proxy = proxyOf(f"""\
ProxyFCGIBackendType FPM
<Proxy "balancer://app">
    SSLProxyCACertificateFile "{world.ours.file}"
    BalancerMember "fcgis://localhost:{wrong.address.port}"
    BalancerMember "fcgis://localhost:{right.address.port}"
</Proxy>
ProxyPass "/" "balancer://app{world.fpm.application.parent}/"
""")
    for _ in range(4):
        assert status(proxy) == 200


def test_multiplexed(
    world: World,
    peerOf: Callable[..., Server],
    proxyOf: Callable[..., Proxy],
    tmp_path: Path,
) -> None:
    """Requests share a connection over TLS as they do without: each waits for all others."""
    own = peerOf(Own, unix=False)
    front = world.front(Stunnel, world.ours.issue("localhost"), peer=own)
    proxy = proxyOf(f"""\
ProxyFCGIBackendType GENERIC
SSLProxyCACertificateFile "{world.ours.file}"
ProxyPass "/" "fcgis://localhost:{front.address.port}/" enablereuse=on multiplex=on max=1
""")
    assert ask(proxy.address, "/peer", {"do": "env"}).status == 200

    def meet(number: int) -> int:
        do = {"do": "meet", "count": 8, "place": tmp_path, "name": number}
        return ask(proxy.address, "/peer", do).status

    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(meet, range(8))) == [200] * 8
    # One to see that it starts, one to ask what it can, one for all requests.
    assert front.log().lower().count("accepted connection") <= 3


def test_checks(world: World, proxyOf: Callable[..., Proxy]) -> None:
    """Health checks ask over TLS, and find out about a certificate before any request does."""
    right = world.front(Stunnel, world.ours.issue("localhost"))
    wrong = world.front(Stunnel, world.ours.issue("other.example"))
    proxy = proxyOf(f"""\
<Proxy "balancer://app">
    SSLProxyCACertificateFile "{world.ours.file}"
    BalancerMember "fcgis://localhost:{wrong.address.port}" hcmethod=TCP hcinterval=200ms
    BalancerMember "fcgis://localhost:{right.address.port}{world.fpm.application.parent}" \\
        hcmethod=GET hcuri=/peer.php?do=env hcinterval=200ms status=+C
</Proxy>
ProxyPass "/" "balancer://app/"
""")
    waitFor(lambda: f"DISABLING localhost:{wrong.address.port}: " in proxy.log(), proxy.log)
    waitFor(lambda: f"ENABLING localhost:{right.address.port}" in proxy.log(), proxy.log)


@pytest.mark.servers("nsd")
def test_service(world: World, proxyOf: Callable[..., Proxy], tmp_path: Path) -> None:
    """Members that DNS names are held to the service's domain, and not to what DNS calls them."""
    right = world.front(Stunnel, world.ours.issue("example.org"))
    forged = world.front(Stunnel, world.ours.issue("node.example.org"))
    records = [f"_php._tcp SRV 0 1 {front.address.port} node" for front in (right, forged)]
    dns = Nsd(tmp_path, Address(None, freePort()), "node A 127.0.0.1", *records)
    dns.start()
    try:
        proxy = proxyOf(f"""\
ProxyFCGIBackendType FPM
FcgiResolver {dns.address}
SSLProxyCACertificateFile "{world.ours.file}"
ProxyPass "/" "srv+fcgis://_php._tcp.example.org{world.fpm.application.parent}/"
""")
        refused = f":{forged.address.port}, expected to be example.org"

        def isRefused() -> bool:
            assert status(proxy) in (200, 503)
            return refused in proxy.log()

        waitFor(isRefused, proxy.log)
        assert "its certificate is for node.example.org" in proxy.log()
        assert status(proxy) == 200
    finally:
        dns.stop()


def test_renewed(world: World, proxyOf: Callable[..., Proxy]) -> None:
    """A certificate of ours that is replaced is the new one's from the next connection on."""
    front = world.front(HAProxy, world.ours.issue("localhost"), world.ours.file)
    own = world.theirs.issue("gateway.example", file="renewed.pem")
    directives = f'SSLProxyMachineCertificateFile "{own}"'
    proxy = proxyOf(configuration(world, front.address.port, directives))
    assert status(proxy) == 502
    own.write_bytes(world.ours.issue("gateway.example", file="new.pem").read_bytes())
    assert status(proxy) == 200
