"""
The peers as pytest fixtures.

``site`` is a peer with the proxy before it, once for each row of :data:`SITES`;
``peerOf`` and ``proxyOf`` start what a test describes itself.  When a test
fails, the logs of its servers are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.peers.c import CgiFcgi, Fcgiwrap, LibFcgi
from tests.peers.php import PhpCgi, PhpFpm
from tests.peers.process import Address, Server, freePort
from tests.peers.proxy import Proxy
from tests.peers.python import Flup, Own, Uwsgi

__all__ = ["SITES", "Kind", "Site", "peerOf", "proxyOf", "rows", "site", "unixOrTcp"]


@dataclass(frozen=True)
class Kind:
    """
    One row of the matrix.

    :ivar peer: the application's server.
    :ivar unix: whether it listens on a UNIX socket.
    :ivar reuse: whether the proxy keeps connections to it.
    :ivar needs: what has to be installed, by the names in tests/conftest.py.
    """

    peer: type[Server]
    unix: bool
    reuse: bool
    needs: tuple[str, ...]

    def __str__(self) -> str:
        where = "unix" if self.unix else "tcp"
        return f"{self.peer.name}-{where}{'-reuse' if self.reuse else ''}"


SITES = (
    Kind(PhpFpm, unix=False, reuse=True, needs=("php-fpm",)),
    Kind(PhpFpm, unix=True, reuse=False, needs=("php-fpm",)),
    Kind(PhpCgi, unix=False, reuse=False, needs=("php-cgi",)),
    Kind(PhpCgi, unix=True, reuse=True, needs=("php-cgi",)),
    Kind(Uwsgi, unix=False, reuse=False, needs=("uwsgi", "uwsgi-python")),
    Kind(Uwsgi, unix=True, reuse=True, needs=("uwsgi", "uwsgi-python")),
    Kind(Flup, unix=False, reuse=True, needs=()),
    Kind(Flup, unix=True, reuse=False, needs=()),
    Kind(Own, unix=False, reuse=False, needs=()),
    Kind(Own, unix=True, reuse=True, needs=()),
    Kind(LibFcgi, unix=False, reuse=False, needs=("cc", "libfcgi")),
    Kind(LibFcgi, unix=True, reuse=True, needs=("cc", "libfcgi")),
    Kind(CgiFcgi, unix=False, reuse=True, needs=("cc", "libfcgi", "cgi-fcgi")),
    Kind(CgiFcgi, unix=True, reuse=False, needs=("cc", "libfcgi", "cgi-fcgi")),
    Kind(Fcgiwrap, unix=False, reuse=True, needs=("cc", "libfcgi", "fcgiwrap")),
    Kind(Fcgiwrap, unix=True, reuse=False, needs=("cc", "libfcgi", "fcgiwrap")),
)


@dataclass(frozen=True)
class Site:
    """
    A peer and the proxy before it.

    :ivar kind: what they are.
    :ivar target: the path of the peer's application.
    """

    kind: Kind
    peer: Server
    proxy: Proxy
    target: str


def unixOrTcp(directory: Path, unix: bool) -> Address:
    """An address that is free."""
    return Address(directory / "socket") if unix else Address(None, freePort())


@pytest.fixture(scope="module")
def peerOf(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[type[Server], bool], Server]]:
    """Starts a peer: ``peerOf(PhpFpm, unix=True)``; it ends with the module."""
    with ExitStack() as stack:

        def start(kind: type[Server], unix: bool) -> Server:
            directory = tmp_path_factory.mktemp(kind.name)
            peer = kind(directory, unixOrTcp(directory, unix))
            stack.callback(peer.stop)
            peer.start()
            return peer

        yield start


@pytest.fixture(scope="module")
def proxyOf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Proxy]]:
    """Starts the proxy, as :class:`Proxy` is told; it ends with the module."""
    with ExitStack() as stack:

        def start(configuration: str = "", options: Sequence[str | Path] = ()) -> Proxy:
            proxy = Proxy(tmp_path_factory.mktemp("proxy"), configuration, options)
            stack.callback(proxy.stop)
            proxy.start()
            return proxy

        yield start


def configured(kind: Kind, peer: Server) -> str:
    """The configuration of a proxy before a peer: all paths are the application's."""
    where = f"fcgi://{peer.address}"
    if peer.address.path is not None:
        where = f"unix:{peer.address}|fcgi://{peer.name}"
    reuse = "enablereuse=on max=4" if kind.reuse else "enablereuse=off"
    return f"""\
{peer.configuration}
ProxyPass "/" "{where}{peer.application.parent}/" {reuse}
"""


def rows(wanted: Callable[[Kind], bool] = lambda kind: True) -> list[Any]:
    """Those rows of :data:`SITES`, as parameters for ``site``."""
    return [pytest.param(k, id=str(k), marks=marks(k)) for k in SITES if wanted(k)]


def marks(kind: Kind) -> list[pytest.MarkDecorator]:
    """What a row's tests need."""
    needs = [pytest.mark.servers(*kind.needs)] if kind.needs else []
    return [pytest.mark.processes, *needs]


@pytest.fixture(scope="session", params=rows())
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A peer with the proxy before it; all tests of a row share both."""
    kind: Kind = request.param
    directory = tmp_path_factory.mktemp(str(kind))
    peer = kind.peer(directory, unixOrTcp(directory, kind.unix))
    with ExitStack() as stack:
        stack.callback(peer.stop)
        peer.start()
        proxy = Proxy(tmp_path_factory.mktemp("proxy"), configured(kind, peer))
        stack.callback(proxy.stop)
        proxy.start()
        yield Site(kind, peer, proxy, f"/{peer.application.name}")


def logsOf(value: object) -> Iterator[Server]:
    """The servers that a fixture's value is or has."""
    if isinstance(value, Site):
        yield value.peer
        yield value.proxy
    elif isinstance(value, Server):
        yield value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The logs of a failed test's servers."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            for server in logsOf(value):
                report.sections.append((f"{server.name}'s log", server.log()[-8000:]))
    return report
