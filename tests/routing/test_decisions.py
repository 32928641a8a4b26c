"""Tests for :mod:`twisted_fcgi.routing.decisions`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Address, Request, Route, RouteKind
from twisted_fcgi.routing.decisions import MAX_ROUTE, MAX_ROUTES, Decisions
from twisted_fcgi.settings import DirectorySettings, VirtualHost

HOST = VirtualHost()
ROUTE = Route(RouteKind.FASTCGI, HOST, DirectorySettings())
SERVER = Address(b"127.0.0.1", 80)


def request(
    headers: Headers, target: bytes = b"/", server: Address = SERVER, secure: bool = False
) -> Request:
    """A request with these fields."""
    return Request(b"GET", target, headers, server=server, secure=secure)


def fields(host: bytes = b"h") -> Headers:
    """Those of a client of their own."""
    return Headers([(b"Host", host)])


class DecisionsTests(SynchronousTestCase):
    """Tests for :class:`Decisions`."""

    def setUp(self) -> None:
        self.decisions = Decisions()

    def remember(self, request: Request) -> bool:
        """Remember what was decided for a request."""
        return self.decisions.remember(self.decisions.askedBy(request), request.target, ROUTE, None)

    def isKnown(self, request: Request) -> bool:
        """Whether a decision is there for it."""
        routes = self.decisions.askedBy(request).routes
        return routes is not None and request.target in routes

    def test_alike(self) -> None:
        """Who asks for the same by the same name gets it, whatever came before."""
        others = fields()
        self.assertFalse(self.isKnown(request(others)))
        self.assertTrue(self.remember(request(fields())))
        self.assertTrue(self.isKnown(request(fields())))
        self.assertFalse(self.isKnown(request(fields(), b"/other")))
        self.remember(request(others, b"/other"))
        for headers in (others, fields()):
            self.assertTrue(self.isKnown(request(headers)))
            self.assertTrue(self.isKnown(request(headers, b"/other")))
        self.assertEqual(2, len(self.decisions))

    def test_others(self) -> None:
        """Another name, another end of ours or TLS make a difference, also with shared fields."""
        headers = fields()
        self.remember(request(headers))
        self.assertFalse(self.isKnown(request(fields(b"other"))))
        self.assertFalse(self.isKnown(request(headers, server=Address(b"127.0.0.2", 80))))
        self.assertFalse(self.isKnown(request(headers, secure=True)))
        self.assertTrue(self.isKnown(request(headers, server=Address(b"127.0.0.1", 80))))

    def test_ofOneRouter(self) -> None:
        """What one router remembers with a connection's fields, another one does not find."""
        headers = fields()
        self.remember(request(headers))
        self.decisions = Decisions()
        self.assertFalse(self.isKnown(request(headers)))

    def test_changed(self) -> None:
        """Fields that are changed ask for something else."""
        headers = fields()
        self.remember(request(headers))
        headers.set(b"Host", b"other")
        self.assertFalse(self.isKnown(request(headers)))

    def test_neverRemembered(self) -> None:
        """Nothing is remembered without a name, with Max-Forwards, or of what is long."""
        for headers in (
            Headers(),
            fields(b""),
            Headers([(b"Host", b"h"), (b"Max-Forwards", b"1")]),
            fields(b"h" * (MAX_ROUTE + 1)),
        ):
            self.assertFalse(self.remember(request(headers)))
        self.assertFalse(self.remember(request(fields(), b"/" * MAX_ROUTE)))
        self.assertTrue(self.remember(request(fields(), b"/" * (MAX_ROUTE - 1))))
        self.assertEqual(1, len(self.decisions))

    def test_bounded(self) -> None:
        """There are only so many, of whomever, and none is kept with fields beyond that."""
        clients = [fields(b"%d" % number) for number in range(3)]
        for number in range(MAX_ROUTES):
            self.remember(request(clients[number % 3], b"/%d" % number))
        self.assertEqual(MAX_ROUTES, len(self.decisions))
        tables = [client.asked.routes for client in clients]
        self.remember(request(fields()))
        self.remember(request(fields()))
        self.assertEqual([b"/"], list(self.decisions))
        self.assertEqual([{}, {}, {}], tables)
        self.remember(request(clients[0]))
        self.assertTrue(self.isKnown(request(fields(b"0"))))

    def test_requests(self) -> None:
        """A request that was made by hand is like one of a client."""
        self.remember(makeRequest("/"))
        self.assertTrue(self.isKnown(makeRequest("/")))
