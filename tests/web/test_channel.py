"""Tests for :mod:`twisted_fcgi.web.channel`: a client, and a scripted gateway."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ISSLTransport
from zope.interface import directlyProvides, providedBy
from zope.interface.verify import verifyObject

from tests.web.channels import (
    ChannelTestCase,
    ClientTransport,
    Served,
    chunked,
    get,
    post,
    takeAll,
)
from twisted_fcgi.errors import AbortedByClient
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IExchange, IGateway
from twisted_fcgi.message import Address, Request, ResponseHead
from twisted_fcgi.web.channel import READ_AHEAD, SERVED_A_TURN
from twisted_fcgi.web.clientbody import BODY_BUFFER, DRAIN_LIMIT


class RequestTests(ChannelTestCase):
    """Requests come to the gateway, responses to the client."""

    def test_interfaces(self) -> None:
        """A channel hears of half-closed connections and of slow clients."""
        self.connect()
        verifyObject(IHalfCloseableProtocol, self.channel)
        verifyObject(IPushProducer, self.channel)
        verifyObject(IGateway, self.gateway)
        verifyObject(IExchange, Served(Request(b"GET", b"/", Headers()), None, None))

    def test_oneRequest(self) -> None:
        """A request is served in the turn in which it comes; its answer is one write."""
        self.connect(lambda served: served.answer(b"hello"))
        answer = self.send(get(b"/a?b"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 Words\r\nDate: "))
        self.assertIn(b" GMT\r\nServer: twisted_fcgi\r\n", answer)
        self.assertTrue(answer.endswith(b"\r\nContent-Length: 5\r\n\r\nhello"))
        self.assertEqual(self.transport.writes, 1)
        self.assertEqual(self.targets, [b"/a?b"])
        self.assertIsNone(self.served[0].body)
        self.assertEqual(self.served[0].request.receivedAt, 1000)
        self.assertEqual(self.transport.ended, "")

    def test_later(self) -> None:
        """An answer may come at any time, in parts."""
        self.connect()
        self.assertEqual(self.send(get()), b"")
        response = self.served[0].response
        response.writeHead(ResponseHead(200, b"OK", Headers()))
        response.flush()
        self.assertTrue(self.transport.taken().endswith(b"chunked\r\n\r\n"))
        response.write(b"a")
        self.assertEqual(self.transport.taken(), b"1\r\na\r\n")
        response.finish()
        self.assertEqual(self.transport.taken(), b"0\r\n\r\n")

    def test_addresses(self) -> None:
        """A request knows both ends of its connection."""
        transport = ClientTransport(
            IPv4Address("TCP", "192.0.2.1", 80), IPv4Address("TCP", "192.0.2.2", 1234)
        )
        self.connect(transport=transport)
        self.send(get())
        request = self.served[0].request
        self.assertEqual(request.client, Address(b"192.0.2.2", 1234))
        self.assertEqual(request.server, Address(b"192.0.2.1", 80))
        self.assertFalse(request.secure)

    def test_noDelay(self) -> None:
        """No part of a response waits for the acknowledgement of the one before."""
        self.connect()
        self.assertTrue(self.transport.noDelay)

    def test_secure(self) -> None:
        """A request over TLS is secure."""
        transport = ClientTransport()
        directlyProvides(transport, ISSLTransport, providedBy(transport))
        self.connect(transport=transport)
        self.send(get())
        self.assertTrue(self.served[0].request.secure)

    def test_bodies(self) -> None:
        """A body of either framing comes whole, and the next request after it."""
        for body in (b"x", b"0123456789" * 100, b"\r\n\r\n", b"0\r\n\r\n", bytes(range(256))):
            for request in (post(body), chunked(body), chunked(body[:1], body[1:] or b"\0")):
                stream = request + get(b"/next") + b"GET /junk"
                for parts in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
                    self.connect(takeAll)
                    answer = self.send(*parts)
                    first = self.served[0]
                    self.assertIn(first.received, (body, body + b"\0"))
                    self.assertEqual(self.targets, [b"/", b"/next"])
                    self.assertEqual(answer.count(b"HTTP/1.1 200"), 2)
                    self.assertEqual(
                        first.request.contentLength, len(body) if request == post(body) else None
                    )
                    self.assertEqual(first.body.length, first.request.contentLength)
                    self.lose()

    def test_noBody(self) -> None:
        """Without a body, or with one of no bytes, the gateway gets none."""
        self.connect(takeAll)
        self.send(post(b""), get(method=b"POST"), get(b"/", b"Content-Length: 0"))
        self.assertEqual([served.body for served in self.served], [None] * 3)

    def test_answerBeforeBody(self) -> None:
        """A response may begin and end while the body still comes; the connection goes on."""
        self.connect()
        self.send(post(b"0123456789")[:-5])
        served = self.served[0]
        served.take()
        self.assertEqual(served.received, b"01234")
        served.answer()
        self.assertNotIn(b"close", self.transport.taken())
        self.send(b"56789" + get(b"/next"))
        self.assertEqual(self.targets, [b"/", b"/next"])

    def test_bareHead(self) -> None:
        """An HTTP/1.0 client is served, and its connection closed."""
        self.connect(lambda served: served.answer())
        answer = self.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertIn(b"Connection: close\r\n", answer)
        self.assertEqual(self.transport.ended, "lingering")

    def test_accessLog(self) -> None:
        """The access log hears of each response that ended, with what was sent."""
        self.connect()
        self.send(get(b"/1") + get(b"/2"))
        self.assertEqual(self.ended, [])
        self.served[0].answer(b"hello")
        self.served[1].response.writeHead(ResponseHead(200, b"OK", Headers()))
        self.served[1].response.write(b"ab")
        self.lose()
        self.assertEqual(
            [(r.request.target, r.head.status, r.sent) for r in self.ended],
            [(b"/1", 200, 5), (b"/2", 200, 2)],
        )
        self.connect(lambda served: served.response.abort())
        self.send(get(b"/3"))
        self.assertEqual([(r.request.target, r.head) for r in self.ended], [(b"/3", None)])
        self.connect()
        self.send(b"GARBAGE\r\n")
        self.assertEqual([(r.request, r.head.status) for r in self.ended], [(None, 400)])

    def test_states(self) -> None:
        """A connection says in one line what it is doing."""
        self.connect()
        self.assertEqual(repr(self.channel), "<HTTPChannel idle, 0 requests>")
        self.send(b"GET")
        self.assertEqual(repr(self.channel), "<HTTPChannel reading, 0 requests>")
        self.send(get()[3:])
        self.assertEqual(
            repr(self.channel), "<HTTPChannel serving <Request 'GET / HTTP/1.1'>, 1 requests>"
        )
        self.served[0].response.abort()
        self.assertEqual(repr(self.channel), "<HTTPChannel closing, 1 requests>")


class PipelineTests(ChannelTestCase):
    """Requests that are sent ahead."""

    def test_oneAtATime(self) -> None:
        """The gateway gets a request when the response before it is finished."""
        self.connect()
        self.send(get(b"/1") + get(b"/2"), get(b"/3"))
        for number in (1, 2, 3):
            self.assertEqual(len(self.served), number)
            self.served[-1].answer(b"<%d>" % number)
        answer = self.transport.taken()
        self.assertEqual(self.targets, [b"/1", b"/2", b"/3"])
        self.assertTrue(answer.find(b"<1>") < answer.find(b"<2>") < answer.find(b"<3>"))

    def test_many(self) -> None:
        """Any number that is answered at once is answered, some in each turn."""
        self.connect(lambda served: served.answer(), keepAliveRequests=0)
        requests = [get(b"/%d" % number) for number in range(3 * SERVED_A_TURN)]
        self.send(b"".join(requests))
        for turns in (1, 2, 3, 3):
            self.assertEqual(len(self.served), turns * SERVED_A_TURN)
            self.turn()
        self.assertEqual(self.targets, [b"/%d" % number for number in range(len(requests))])
        self.send(get() * SERVED_A_TURN)
        self.assertEqual(len(self.served), 4 * SERVED_A_TURN)

    def test_manyLater(self) -> None:
        """What comes before it is its turn again waits, as behind a request that is served."""
        self.connect(lambda served: served.answer(), keepAliveRequests=0, pipelined=4)
        self.send(get() * (SERVED_A_TURN + 1))
        self.send(get(), get()[:5])
        self.assertEqual(self.transport.producerState, "producing")
        self.send(get()[5:] + get())
        self.assertEqual(self.transport.producerState, "paused")
        self.assertEqual(len(self.served), SERVED_A_TURN)
        self.channel.pauseProducing()
        self.turn()
        self.channel.resumeProducing()
        self.assertEqual(len(self.served), SERVED_A_TURN + 4)
        self.assertEqual(self.transport.producerState, "producing")

    def test_manyAndLeft(self) -> None:
        """Of a client that is gone meanwhile nothing more is served."""
        for leave in ("_cut", "_close"):
            self.connect(lambda served: served.answer(), keepAliveRequests=0)
            self.send(get() * (SERVED_A_TURN + 1))
            getattr(self.channel, leave)()
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)  # the sweep
            self.turn()
            self.assertEqual(len(self.served), SERVED_A_TURN)
        self.connect(lambda served: served.answer(), keepAliveRequests=0)
        self.send(get() * (SERVED_A_TURN + 1))
        self.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failing(self) -> None:
        """Who is not served for a mistake of ours is cut off, whoever made it his turn."""

        def fail(served: Served) -> None:
            if served.request.target == b"/bad":
                raise ZeroDivisionError
            if served.request.target == b"/now":
                served.answer()

        for before, then in (
            (0, lambda: None),
            (SERVED_A_TURN, self.turn),
            (1, lambda: self.served[-1].answer()),
        ):
            self.connect(fail, keepAliveRequests=0)
            self.send(get(b"/later" if before == 1 else b"/now") * before + get(b"/bad") + get())
            then()
            self.assertEqual((self.transport.ended, len(self.served)), ("cut", before + 1))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_readAhead(self) -> None:
        """Only so many bytes are read ahead; then the client waits."""
        self.connect(pipelined=10000)
        self.send(get(b"/1"))
        request = get(b"/" + b"x" * 1000)
        while self.transport.producerState == "producing":
            self.send(request)
        self.assertLess(len(self.channel._reader), READ_AHEAD + len(request))
        count = len(self.channel._reader) // len(request)
        for _ in range(count):
            self.served[-1].answer()
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(len(self.served), count + 1)

    def test_pipelined(self) -> None:
        """Only so many requests are read ahead."""
        self.connect(pipelined=3)
        self.send(get(), get() * 2)
        self.assertEqual(self.transport.producerState, "producing")
        self.send(get())
        self.assertEqual(self.transport.producerState, "paused")
        self.served[-1].answer()
        self.assertEqual(self.transport.producerState, "producing")

    def test_afterClose(self) -> None:
        """What follows a request with ``Connection: close`` is not looked at."""
        self.connect(lambda served: served.answer())
        self.send(get(b"/1", b"Connection: close") + get(b"/2"), get(b"/3"))
        self.assertEqual(self.targets, [b"/1"])

    def test_afterAbort(self) -> None:
        """What follows a request whose response is aborted is not looked at."""
        for begun in (True, False):

            def script(served: Served, begun: bool = begun) -> None:
                if begun:
                    served.response.writeHead(ResponseHead(200, b"OK", Headers(), 3))
                    served.response.write(b"ab")
                served.response.abort()

            self.connect(script)
            self.send(get(b"/1") + get(b"/2"), get(b"/3"))
            self.assertEqual(self.targets, [b"/1"])
            self.assertEqual(self.transport.ended, "lingering" if begun else "cut")

    def test_slowClient(self) -> None:
        """No next request is begun while the client does not take its responses."""
        self.connect(lambda served: served.answer())
        self.channel.pauseProducing()
        self.send(get())
        self.assertEqual(self.served, [])
        self.channel.resumeProducing()
        self.assertEqual(len(self.served), 1)

    def test_mixed(self) -> None:
        """Every kind of request may stand behind every kind, whole or cut anywhere."""
        kinds = (get(), get(method=b"HEAD"), post(b"abc"), chunked(b"ab", b"c"), chunked())
        for first in kinds:
            for second in kinds:
                stream = first + second + b"\r\n" + get(b"/last")
                for parts in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
                    self.connect(takeAll)
                    self.send(*parts)
                    self.assertEqual(self.targets, [b"/", b"/", b"/last"])

    STREAM = b"".join(
        (
            get(b"/1"),
            post(b"abc\r\n\r\n", target=b"/2"),
            b"\r\n" + chunked(b"GET /no HTTP/1.1\r\n\r\n", b"x", target=b"/3"),
            get(b"/4", b"Connection: upgrade", b"Upgrade: h2c", method=b"HEAD"),
            chunked(target=b"/5"),
            post(b"0\r\n\r\n", b"Connection: Upgrade", b"Upgrade: x", target=b"/6"),
            get(b"/7", b"Connection: close"),
            get(b"/8"),
        )
    )

    def outcome(self, cuts: Iterable[int]) -> list[object]:
        self.connect(takeAll)
        places = [0, *sorted(cuts), len(self.STREAM)]
        self.send(*(self.STREAM[start:end] for start, end in pairwise(places)))
        return [(s.request.line, s.request.headers.pairs, s.received) for s in self.served]

    @given(st.sets(st.integers(0, len(STREAM)), max_size=15))
    def test_anySplit(self, cuts: set[int]) -> None:
        """Any split of a pipelined stream gives the same requests and bodies."""
        whole = self.outcome(())
        self.assertEqual(len(whole), 7)
        self.assertEqual(self.outcome(cuts), whole)


class DrainTests(ChannelTestCase):
    """Whether a connection goes on behind a body that nobody took."""

    def test_drained(self) -> None:
        """The small body of a refused request is read, and the connection goes on."""
        for request in (post(b"x" * 1000), chunked(b"x" * 1000)):
            for cut in (len(request), len(request) - 500):

                def script(served: Served) -> None:
                    if served.body is not None:
                        served.body.discard()
                    served.answer(status=404)

                self.connect(script)
                self.assertNotIn(b"close", self.send(request[:cut], request[cut:]))
                self.send(get(b"/next"))
                self.assertEqual(self.targets, [b"/", b"/next"])

    def test_drainedAfter(self) -> None:
        """It is the same for a body that nobody has looked at."""
        self.connect(lambda served: served.answer(status=404))
        self.send(post(b"x" * 1000) + get(b"/next"))
        self.assertEqual(self.targets, [b"/", b"/next"])
        self.connect()
        self.send(post(b"x" * 1000)[:-10])
        self.served[0].answer(status=404)
        self.send(b"x" * 10 + get(b"/next"))
        self.assertEqual(self.targets, [b"/", b"/next"])

    def test_surplus(self) -> None:
        """A large one is not; the client is told, and what it sends is dropped."""
        length = b"Content-Length: %d" % (DRAIN_LIMIT + 1)

        def script(served: Served) -> None:
            served.body.discard()
            served.answer(status=404)

        self.connect(script)
        answer = self.send(get(b"/", length, method=b"POST"))
        self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertEqual(self.transport.ended, "lingering")
        self.send(b"x" * (DRAIN_LIMIT + 1), get(b"/next"))
        self.assertEqual(self.targets, [b"/"])

    def test_surplusTooLate(self) -> None:
        """A chunked one that turns out to be large ends the connection."""
        self.connect()
        self.send(get(b"/", b"Transfer-Encoding: chunked", method=b"POST"))
        self.served[0].body.discard()
        self.served[0].answer(status=404)
        self.assertEqual(self.transport.ended, "")
        self.send(b"%x\r\n" % (2 * DRAIN_LIMIT), b"x" * DRAIN_LIMIT)
        self.assertEqual(self.transport.ended, "")
        self.send(b"x")
        self.assertEqual(self.transport.ended, "lingering")

    def test_surplusAtTheEnd(self) -> None:
        """So does one that was taken only in part before its response was finished."""
        self.connect()
        self.send(get(b"/", b"Content-Length: %d" % (DRAIN_LIMIT * 2), method=b"POST"))
        self.served[0].take()
        self.served[0].answer()
        self.assertNotIn(b"close", self.transport.taken())
        self.assertEqual(self.transport.ended, "lingering")

    def test_largeBodyTaken(self) -> None:
        """A large body that is being taken does not end the connection of its response."""
        self.connect()
        self.send(get(b"/", b"Content-Length: %d" % (DRAIN_LIMIT * 2), method=b"POST"))
        self.served[0].take()
        response = self.served[0].response
        response.writeHead(ResponseHead(200, b"OK", Headers(), 2))
        response.write(b"ok")
        self.assertNotIn(b"close", self.transport.taken())
        self.send(b"x" * DRAIN_LIMIT, b"x" * DRAIN_LIMIT)
        response.finish()
        self.send(get(b"/next"))
        self.assertEqual(self.targets, [b"/", b"/next"])


class ExpectTests(ChannelTestCase):
    """100-continue (RFC 9110, 10.1.1)."""

    CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
    HEAD = get(b"/", b"Content-Length: 3", b"Expect: 100-continue", method=b"POST")

    def test_asked(self) -> None:
        """The client is told to go on when someone takes its body, and only then."""
        self.connect()
        self.assertEqual(self.send(self.HEAD), b"")
        self.served[0].take()
        self.assertEqual(self.transport.taken(), self.CONTINUE)
        self.send(b"abc")
        self.assertEqual(self.served[0].received, b"abc")
        self.served[0].answer()
        self.assertNotIn(b"close", self.transport.taken())

    def test_chunked(self) -> None:
        """It is the same for a chunked body, and in any case of letters."""
        self.connect(Served.take)
        head = get(b"/", b"Transfer-Encoding: chunked", b"expect: 100-Continue")
        self.assertEqual(self.send(head), self.CONTINUE)

    def test_refused(self) -> None:
        """A refused client is not told to go on; what it sends next nobody could tell."""

        def script(served: Served) -> None:
            served.body.discard()
            served.answer(status=404)

        self.connect(script)
        answer = self.send(self.HEAD)
        self.assertTrue(answer.startswith(b"HTTP/1.1 404"))
        self.assertIn(b"Connection: close", answer)
        self.assertEqual(self.transport.ended, "lingering")

    def test_there(self) -> None:
        """A client that did not wait is not told to go on; as in httpd, it is the last."""
        for body in (b"a", b"abc"):
            self.connect(Served.take)
            self.assertEqual(self.send(self.HEAD + body, b"abc"[len(body) :]), b"")
            self.served[0].answer()
            self.assertIn(b"Connection: close", self.transport.taken())

    def test_withoutBody(self) -> None:
        """A client that has nothing to send is not told to send it."""
        self.connect(lambda served: served.answer())
        answer = self.send(get(b"/", b"Expect: 100-continue"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"))

    def test_old(self) -> None:
        """HTTP/1.0 knows no 100."""
        self.connect(Served.take)
        self.assertEqual(self.send(self.HEAD.replace(b"HTTP/1.1", b"HTTP/1.0")), b"")

    def test_tooLate(self) -> None:
        """It is not said inside a response."""
        self.connect()
        self.send(self.HEAD)
        self.served[0].response.writeHead(ResponseHead(200, b"OK", Headers()))
        self.served[0].response.flush()
        self.assertIn(b"Connection: close", self.transport.taken())
        self.served[0].take()
        self.assertEqual(self.transport.taken(), b"")

    def test_unknown(self) -> None:
        """Any other expectation is a 417, without the gateway; the connection goes on."""
        self.connect(takeAll)
        answer = self.send(post(b"abc", b"Expect: something") + get(b"/next"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 417 Expectation Failed\r\n"))
        self.assertEqual(self.targets, [b"/next"])
        answer = self.send(get(b"/", b"Expect: something"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 417 Expectation Failed\r\n"))


class RefusalTests(ChannelTestCase):
    """Bytes that are no request."""

    def test_page(self) -> None:
        """They get a page, and their connection ends; the gateway hears nothing."""
        for data, status in (
            (b"GARBAGE\r\n", b"400 Bad Request"),
            (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
            (b"GET /" + b"x" * 9000, b"414 Request-URI Too Long"),
            (get(b"/", b"A : b"), b"400 Bad Request"),
            (post(b"x", b"Transfer-Encoding: chunked"), b"400 Bad Request"),
        ):
            self.connect(lambda served: served.answer())
            answer = self.send(data)
            self.assertTrue(answer.startswith(b"HTTP/1.1 " + status + b"\r\n"), answer)
            self.assertIn(b"\r\nContent-Type: text/html; charset=iso-8859-1\r\n", answer)
            self.assertIn(b"\r\nConnection: close\r\n", answer)
            self.assertEqual(self.served, [])
            self.assertEqual(self.transport.ended, "lingering")
            self.assertEqual(self.send(get()), b"")

    def test_inTheirTurn(self) -> None:
        """A request before them is answered first."""
        self.connect()
        self.assertEqual(self.send(get() + b"junk\r\n\r\n" + get()), b"")
        self.served[0].answer()
        answer = self.transport.taken()
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"))
        self.assertIn(b"okHTTP/1.1 400", answer)
        self.assertEqual(len(self.served), 1)

    def test_badChunk(self) -> None:
        """A body whose framing is bad fails at its consumer, and ends the connection."""
        self.connect()
        self.send(chunked(b"abc")[:-5])
        self.served[0].take()
        self.assertEqual(self.served[0].received, b"abc")
        self.send(b"zz\r\n" + get(b"/next"))
        (error,) = self.served[0].calls
        self.assertEqual(error.status, 400)
        self.served[0].answer(status=404)
        self.assertIn(b"Connection: close", self.transport.taken())
        self.assertEqual(self.targets, [b"/"])

    def test_badChunkUnread(self) -> None:
        """It is the same when it came before someone asked for the body."""
        self.connect()
        self.send(get(b"/", b"Transfer-Encoding: chunked") + b"zz\r\n")
        self.served[0].take()
        (error,) = self.served[0].calls
        self.assertEqual(error.status, 400)

    def test_badChunkDrained(self) -> None:
        """While a body is dropped, bad framing just ends the connection."""
        self.connect()
        self.send(get(b"/", b"Transfer-Encoding: chunked"))
        self.served[0].body.discard()
        self.served[0].answer(status=404)
        self.transport.taken()
        self.assertEqual(self.send(b"zz\r\n"), b"")
        self.assertEqual(self.transport.ended, "lingering")


class LeavingTests(ChannelTestCase):
    """Clients that leave, or close their side."""

    def test_idleHoldsNoHead(self) -> None:
        """A connection on which nothing goes on holds nothing of its last request."""
        self.connect(lambda served: served.answer())
        self.send(get(b"/", b"Cookie: a=b"))
        self.wait(1.0)
        self.assertNotIn(b"cookie", self.channel._reader._headers)
        self.assertTrue(self.send(get(b"/", b"Cookie: a=b")))
        self.assertEqual(self.served[1].request.headers.get(b"cookie"), b"a=b")

    def test_idle(self) -> None:
        """A client that ends an idle connection is let go."""
        self.connect()
        self.channel.readConnectionLost()
        self.assertEqual(self.transport.ended, "closed")

    def test_halfClosed(self) -> None:
        """A client that closes its side after its requests gets all answers, then the end."""
        self.connect()
        self.send(get(b"/1") + get(b"/2"))
        self.channel.readConnectionLost()
        self.served[0].answer()
        self.assertEqual(self.transport.ended, "")
        self.served[1].answer()
        self.assertEqual(self.transport.taken().count(b"HTTP/1.1 200"), 2)
        self.assertEqual(self.transport.ended, "closed")

    def test_halfClosedMeanwhile(self) -> None:
        """So does one whose requests wait for another turn, or until it takes its answers."""
        self.connect(lambda served: served.answer(), keepAliveRequests=0)
        self.send(get() * (SERVED_A_TURN + 1))
        self.channel.readConnectionLost()
        self.assertEqual(self.transport.ended, "")
        self.turn()
        self.assertEqual(len(self.served), SERVED_A_TURN + 1)
        self.assertEqual(self.transport.ended, "closed")
        self.connect(lambda served: served.answer())
        self.channel.pauseProducing()
        self.send(get())
        self.channel.readConnectionLost()
        self.channel.resumeProducing()
        self.assertEqual(len(self.served), 1)
        self.assertEqual(self.transport.ended, "closed")

    def test_halfClosedBackPressure(self) -> None:
        """Nobody is paused who does not send any more."""
        self.connect(pipelined=1)
        self.send(get(b"/1") + get(b"/2"))
        self.assertEqual(self.transport.producerState, "paused")
        self.channel.readConnectionLost()
        self.served[0].answer()
        self.assertEqual(self.transport.producerState, "paused")

    def test_halfClosedInLine(self) -> None:
        """Less than a request line is not worth an answer."""
        for data in (b"GET /r", b"\r\n", b""):
            self.connect()
            self.send(data)
            self.channel.readConnectionLost()
            self.assertEqual(self.transport.taken(), b"")
            self.assertEqual(self.transport.ended, "closed")

    def test_halfClosedInHead(self) -> None:
        """Less than a head is a 400, also behind another request."""
        self.connect(lambda served: served.answer())
        self.send(b"GET / HTTP/1.1\r\nHost: www")
        self.channel.readConnectionLost()
        self.assertTrue(self.transport.taken().startswith(b"HTTP/1.1 400"))
        self.assertEqual(self.transport.ended, "closed")
        self.connect()
        self.send(get() + b"GET / HTTP/1.1\r\nHost: www")
        self.channel.readConnectionLost()
        self.served[0].answer()
        self.assertIn(b"okHTTP/1.1 400", self.transport.taken())

    def test_halfClosedInBody(self) -> None:
        """Less than a body is a failure of 400 for whoever takes it."""
        for request in (post(b"0123456789"), chunked(b"abc", b"def")):
            self.connect(Served.take)
            self.send(request[:-8])
            self.channel.readConnectionLost()
            (error,) = self.served[0].calls
            self.assertEqual(error.status, 400)
            self.served[0].answer(status=400)
            self.assertTrue(self.transport.taken().startswith(b"HTTP/1.1 400"))
            self.assertEqual(self.transport.ended, "closed")

    def test_halfClosedWhileDraining(self) -> None:
        """Less than a body that nobody wants is nothing."""
        self.connect(lambda served: served.answer(status=404))
        self.send(post(b"abcdef")[:-3])
        self.channel.readConnectionLost()
        self.assertEqual(self.transport.ended, "closed")

    def test_gone(self) -> None:
        """When a client is gone its exchange hears it, and nothing is written any more."""
        self.connect()
        self.send(get() + get())
        self.lose()
        self.assertEqual(self.served[0].calls, ["gone"])
        self.served[0].answer()
        self.assertEqual(self.transport.taken(), b"")
        self.assertEqual(len(self.served), 1)

    def test_goneInBody(self) -> None:
        """Whoever takes its body hears it first."""
        self.connect(Served.take)
        self.send(post(b"abcdef")[:-3])
        self.lose()
        error, gone = self.served[0].calls
        self.assertIsInstance(error, AbortedByClient)
        self.assertEqual(gone, "gone")

    def test_goneBeforeAsked(self) -> None:
        """A body may be asked for after its client is gone; nothing comes."""
        self.connect()
        self.send(ExpectTests.HEAD)
        self.lose()
        self.served[0].take()
        self.assertEqual(self.transport.taken(), b"")
        self.assertIsInstance(self.served[0].calls[-1], AbortedByClient)

    def test_goneAfterEnd(self) -> None:
        """An exchange that is over hears nothing."""
        self.connect(lambda served: served.answer())
        self.send(get())
        self.lose()
        self.assertEqual(self.served[0].calls, [])
        self.connect(lambda served: served.response.abort())
        self.send(get())
        self.lose()
        self.assertEqual(self.served[0].calls, [])


class BackPressureTests(ChannelTestCase):
    """A slow side stops the other."""

    def test_bodyNotAsked(self) -> None:
        """A client that sends a body nobody asked for yet is stopped."""
        self.connect()
        self.send(get(b"/", b"Content-Length: 1000000"), b"x" * (BODY_BUFFER - 1))
        self.assertEqual(self.transport.producerState, "producing")
        self.send(b"x")
        self.assertEqual(self.transport.producerState, "paused")
        self.served[0].take()
        self.assertEqual(len(self.served[0].received), BODY_BUFFER)
        self.assertEqual(self.transport.producerState, "producing")

    def test_bodyPaused(self) -> None:
        """So is one whose body is paused; nothing is lost."""
        self.connect(Served.take)
        self.send(get(b"/", b"Content-Length: %d" % (BODY_BUFFER + 3)), b"abc")
        self.served[0].body.pause()
        self.send(b"x" * BODY_BUFFER)
        self.assertEqual(self.served[0].received, b"abc")
        self.assertEqual(self.transport.producerState, "producing")
        self.served[0].body.resume()
        self.assertEqual(self.served[0].received, b"abc" + b"x" * BODY_BUFFER)
        self.assertEqual(self.served[0].calls, ["finish"])

    def test_takesMuch(self) -> None:
        """It asks for much at once of a body that somebody takes, and of nothing else."""
        self.connect()
        self.assertFalse(self.channel.takesMuch)
        self.send(get(b"/", b"Content-Length: 1000000"))
        self.assertFalse(self.channel.takesMuch)
        self.served[0].take()
        self.assertTrue(self.channel.takesMuch)
        self.served[0].body.pause()
        self.assertFalse(self.channel.takesMuch)

    def test_pausedInBody(self) -> None:
        """A client that is stopped in the middle of a body goes on later."""
        self.connect(Served.take)
        self.send(get(b"/", b"Content-Length: 1000000"))
        self.served[0].body.pause()
        self.send(b"x" * BODY_BUFFER)
        self.assertEqual(self.transport.producerState, "paused")
        self.served[0].body.resume()
        self.assertEqual(self.transport.producerState, "producing")

    def test_completeWhilePaused(self) -> None:
        """A body that fills the buffer with its end does not stop the client for good."""
        self.connect(Served.take)
        self.send(get(b"/", b"Content-Length: %d" % BODY_BUFFER))
        self.served[0].body.pause()
        self.send(b"x" * BODY_BUFFER)
        self.served[0].answer()
        self.assertEqual(self.transport.producerState, "producing")

    def test_unwantedBody(self) -> None:
        """A large body that nobody wants is not read before its answer is given."""
        self.connect()
        self.send(get(b"/", b"Content-Length: 1000000"))
        self.served[0].body.discard()
        self.assertEqual(self.transport.producerState, "paused")
        self.served[0].answer(status=404)
        self.assertEqual(self.transport.ended, "lingering")
        self.assertEqual(self.transport.producerState, "producing")

    def test_slowClient(self) -> None:
        """An exchange hears when its client does not take more, and when it does."""
        self.connect()
        self.assertIs(self.transport.producer, self.channel)
        self.assertTrue(self.transport.streaming)
        self.send(get())
        self.channel.pauseProducing()
        self.channel.resumeProducing()
        self.assertEqual(self.served[0].calls, ["pause", "resume"])

    def test_slowClientAtOnce(self) -> None:
        """It hears it also when that was so before it was known."""
        self.connect(lambda served: self.channel.pauseProducing())
        self.send(get())
        self.assertEqual(self.served[0].calls, ["pause"])
