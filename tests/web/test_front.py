"""Tests for :mod:`twisted_fcgi.web.front`: what connections have in common."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.web.channels import ChannelTestCase, ClientTransport, get


class FrontTests(ChannelTestCase):
    """Tests for :class:`Front`."""

    def test_shared(self) -> None:
        """What all clients ask for is the same bytes, of which each has its own fields."""
        self.connect(lambda served: served.answer())
        for name in (b"A: 1", b"B: 2"):
            channel = self.factory.buildProtocol(None)
            channel.makeConnection(ClientTransport())
            for _ in range(2):
                channel.dataReceived(get(b"/same", name))
            channel.connectionLost(Failure(ConnectionDone()))
        requests = [served.request for served in self.served]
        self.assertEqual(len({id(request.target) for request in requests}), 1)
        self.assertEqual(
            [b"a" in request.headers for request in requests], [True, True, False, False]
        )
