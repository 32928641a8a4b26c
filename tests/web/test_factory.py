"""Tests for :mod:`twisted_fcgi.web.factory`: what all connections share, their deadlines first."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from tests.web.channels import (
    ChannelTestCase,
    ClientTransport,
    ScriptedGateway,
    Served,
    get,
    post,
)
from twisted_fcgi.settings import Limits
from twisted_fcgi.web.factory import SWEEP, HTTPFactory


class DeadlineTests(ChannelTestCase):
    """Clients that take their time."""

    def test_nothing(self) -> None:
        """A client that sends nothing at all has the time of a head."""
        self.connect(headTimeout=10.0)
        self.wait(9)
        self.assertEqual(self.transport.ended, "")
        self.assertEqual(self.wait(2), b"")
        self.assertEqual(self.transport.ended, "lingering")

    def test_idle(self) -> None:
        """Between two requests there is KeepAliveTimeout."""
        self.connect(lambda served: served.answer(), keepAliveTimeout=5.0)
        self.wait(3)
        self.send(get())
        self.wait(4)
        self.assertEqual(self.transport.ended, "")
        self.assertEqual(self.wait(2), b"")
        self.assertEqual(self.transport.ended, "lingering")

    def test_head(self) -> None:
        """A head has its time as a whole, however often a byte comes; then it is a 408."""
        self.connect(headTimeout=10.0)
        answer = b""
        for byte in get(b"/" + b"x" * 100):
            answer += self.send(bytes([byte])) + self.wait(0.5)
            if answer:
                break
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n"))
        self.assertLess(self.clock.seconds(), 1012)
        self.assertEqual(self.transport.ended, "lingering")

    def test_blankLines(self) -> None:
        """Empty lines do not keep an idle connection."""
        self.connect(lambda served: served.answer(), keepAliveTimeout=5.0)
        self.send(get())
        for _ in range(20):
            self.send(b"\r\n")
            self.wait(4)
        self.assertNotEqual(self.transport.ended, "")

    def test_body(self) -> None:
        """A body that is waited for fails with 408 when nothing of it comes."""
        self.connect(Served.take)
        self.send(post(b"abcdef")[:-4])
        self.wait(29)
        self.send(b"c")
        self.wait(29)
        self.assertEqual(self.served[0].calls, [])
        self.wait(3)
        (error,) = self.served[0].calls
        self.assertEqual(error.status, 408)
        self.served[0].answer(status=408)
        self.assertIn(b"Connection: close", self.transport.taken())

    def test_bodyNotAwaited(self) -> None:
        """Nobody is late with a body that is not taken."""
        self.connect()
        self.send(post(b"abcdef")[:-4])
        self.wait(60)
        self.served[0].take()
        self.wait(29)
        self.served[0].body.pause()
        self.wait(60)
        self.assertEqual(self.served[0].calls, [])
        self.assertEqual(self.transport.ended, "")

    def test_drained(self) -> None:
        """A client that does not send the rest of an unwanted body is let go."""
        self.connect(lambda served: served.answer(status=404))
        self.send(post(b"abcdef")[:-4])
        self.wait(29)
        self.send(b"c")
        self.wait(29)
        self.assertEqual(self.transport.ended, "")
        self.wait(2)
        self.assertEqual(self.transport.ended, "lingering")

    def test_application(self) -> None:
        """A client that waits for its answer is never late."""
        self.connect()
        self.send(get())
        self.wait(300)
        self.assertEqual(self.transport.ended, "")

    def test_response(self) -> None:
        """A client that takes nothing of its response is cut off."""
        self.connect()
        self.send(get())
        self.transport.dataBuffer = b"x" * 1000
        self.channel.pauseProducing()
        for offset in (0, 1, 2):
            self.transport.offset = offset
            self.wait(29)
        self.assertEqual(self.transport.ended, "")
        self.wait(2)
        self.assertEqual(self.transport.ended, "cut")
        self.lose()
        self.assertEqual(self.served[0].calls, ["pause", "gone"])

    def test_responseUnseen(self) -> None:
        """So is one behind a transport that does not show what it holds."""
        self.connect()
        self.send(get())
        self.wait(300)
        self.channel.pauseProducing()
        self.wait(29)
        self.assertEqual(self.transport.ended, "")
        self.wait(2)
        self.assertEqual(self.transport.ended, "cut")

    def test_finishedResponse(self) -> None:
        """A connection is not idle while the client still takes its response."""
        self.connect(lambda served: served.answer(), keepAliveTimeout=5.0)
        self.send(get())
        self.transport.dataBuffer = b"x" * 1000
        self.wait(20)
        self.assertEqual(self.transport.ended, "")
        self.transport.dataBuffer = b""
        self.wait(7)
        self.assertEqual(self.transport.ended, "lingering")


class FactoryTests(ChannelTestCase):
    """What all connections share."""

    def test_oneDelayedCall(self) -> None:
        """All connections share one delayed call, and none is there without them."""
        clock = Clock()
        factory = HTTPFactory(ScriptedGateway(lambda served: None), Limits(), clock)
        channels = [factory.buildProtocol(None) for _ in range(3)]
        self.assertEqual(clock.getDelayedCalls(), [])
        for channel in channels:
            channel.makeConnection(ClientTransport())
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        clock.advance(SWEEP)
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        self.assertEqual(factory.channels, set(channels))
        for channel in channels:
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual(factory.channels, set())

    def test_drain(self) -> None:
        """When the service stops, idle connections end at once, others after a response."""
        self.connect()
        self.successResultOf(HTTPFactory(self.gateway, Limits(), self.clock).drain())
        busy, busyTransport = self.channel, self.transport
        self.send(get())
        self.transport = ClientTransport()
        self.channel = self.factory.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        drained = self.factory.drain()
        self.assertEqual(self.transport.ended, "lingering")
        self.assertEqual(busyTransport.ended, "")
        self.lose()
        self.assertNoResult(drained)
        self.served[0].answer()
        self.assertIn(b"Connection: close", busyTransport.taken())
        busy.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(drained)

    def test_negotiation(self) -> None:
        """TLS clients are offered what we speak."""
        factory = HTTPFactory(ScriptedGateway(lambda served: None), Limits(), Clock())
        verifyObject(IProtocolNegotiationFactory, factory)
        self.assertEqual(factory.acceptableProtocols(), [b"http/1.1", b"http/1.0"])
