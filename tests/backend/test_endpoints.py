"""Tests for :mod:`twisted_fcgi.backend.endpoints`."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.interfaces import IReactorPluggableNameResolver, IStreamClientEndpoint
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from twisted_fcgi.backend.connecting import DirectEndpoint
from twisted_fcgi.backend.endpoints import isNamed, memberEndpoint
from twisted_fcgi.backend.names import NamedEndpoint
from twisted_fcgi.settings import MemberSettings

__all__ = ["IsNamedTests", "MemberEndpointTests"]


class MemberEndpointTests(SynchronousTestCase):
    """Tests for :func:`memberEndpoint`."""

    ADDRESSES = (
        (None, "127.0.0.1", TCP4ClientEndpoint),
        (None, "::1", TCP6ClientEndpoint),
        (None, "[::1]", TCP6ClientEndpoint),
        (None, "app.example", HostnameEndpoint),
        ("/run/app.sock", "localhost", UNIXClientEndpoint),
    )

    def endpoint(self, reactor: Any, socket: str | None, host: str) -> Any:
        return memberEndpoint(MemberSettings("fcgi://x", host, 9000, socket), reactor)

    def test_anyReactor(self) -> None:
        """With a reactor of any kind, Twisted's own endpoints are used."""
        reactor = MemoryReactorClock()
        alsoProvides(reactor, IReactorPluggableNameResolver)
        reactor.nameResolver = None  # type: ignore[attr-defined]
        for socket, host, kind in self.ADDRESSES:
            self.assertIsInstance(self.endpoint(reactor, socket, host), kind)

    def test_polling(self) -> None:
        """With one that polls descriptors, ours are."""
        reactor = PosixReactorBase.__new__(PosixReactorBase)
        for socket, host, kind in self.ADDRESSES:
            wanted = NamedEndpoint if kind is HostnameEndpoint else DirectEndpoint
            endpoint = self.endpoint(reactor, socket, host)
            self.assertIsInstance(endpoint, wanted)
            verifyObject(IStreamClientEndpoint, endpoint)
            self.assertIn((socket or host).strip("[]"), repr(endpoint))


class IsNamedTests(SynchronousTestCase):
    """Tests for :func:`isNamed`."""

    def test_kinds(self) -> None:
        """Who has an address or a UNIX socket has no name to be looked up."""
        kinds = [(None, "::1"), (None, "[fe80::1%eth0]"), (None, "127.0.0.1"), ("/run/app", "app")]
        for socket, host in kinds:
            self.assertFalse(isNamed(MemberSettings("fcgi://x", host, 9000, socket)), host)
        self.assertTrue(isNamed(MemberSettings("fcgi://app", "app")))
