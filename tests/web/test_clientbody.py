"""Tests for :mod:`twisted_fcgi.web.clientbody`: framed bodies, and who takes them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_fcgi.errors import BadRequest
from twisted_fcgi.interfaces import IBody, IBodyConsumer
from twisted_fcgi.web.clientbody import (
    BODY_BUFFER,
    CHUNK_OVERHEAD,
    DRAIN_LIMIT,
    ChunkedDecoder,
    ClientBody,
    LengthDecoder,
)

JUNK = b"\0\r\n\r\nGET "


def decode(decoder: Any, parts: list[bytes]) -> tuple[bytes, bytes | None]:
    """What a decoder makes of parts: the body, and what came behind it."""
    body, rest = b"", None
    for part in parts:
        if rest is None:
            piece, rest = decoder.decode(part)
            body += piece
        else:
            rest += part
    return body, rest


def ways(data: bytes) -> list[list[bytes]]:
    """Whole and byte by byte."""
    return [[data], [data[i : i + 1] for i in range(len(data))]]


class LengthDecoderTests(SynchronousTestCase):
    """Tests for :class:`LengthDecoder`."""

    def test_end(self) -> None:
        """A body ends with its last byte; what follows is given back."""
        for junk in (b"", JUNK):
            for parts in ways(b"abc" + junk):
                self.assertEqual(decode(LengthDecoder(3), parts), (b"abc", junk))

    def test_notYet(self) -> None:
        """Before the end there is no rest, and what remains is known."""
        decoder = LengthDecoder(3)
        self.assertEqual(decoder.decode(b"ab"), (b"ab", None))
        self.assertEqual(decoder.remaining, 1)

    def test_notCopied(self) -> None:
        """Data that is all of the body is passed on itself."""
        data = b"abc"
        self.assertIs(LengthDecoder(3).decode(data)[0], data)
        self.assertIs(LengthDecoder(4).decode(data)[0], data)


class ChunkedDecoderTests(SynchronousTestCase):
    """Tests for :class:`ChunkedDecoder`."""

    def test_bodies(self) -> None:
        """Chunks are joined; extensions and trailers are dropped; the end is found."""
        for data, body in (
            (b"0\r\n\r\n", b""),
            (b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", b"abcdefg"),
            (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
            (b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
            (b"3 \r\nabc\r\n0\r\n\r\n", b"abc"),
            (b'3;a=b;c="d"\r\nabc\r\n0;z\r\n\r\n', b"abc"),
            (b"3\r\nabc\r\n0\r\nX-T: v\r\nX-U: w\r\n\r\n", b"abc"),
            (b"8\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n" * 4),
            (b"5\r\n0\r\n\r\n\r\n3\r\n\r\n0\r\n0\r\n\r\n", b"0\r\n\r\n\r\n0"),
        ):
            for junk in (b"", JUNK, b"\r\n\r\n", b"0\r\n\r\n"):
                for parts in ways(data + junk):
                    self.assertEqual(decode(ChunkedDecoder(), parts), (body, junk), (data, junk))

    def test_refused(self) -> None:
        """Framing that could be read in two ways is a 400."""
        for data in (
            b"zz\r\n",
            b"-1\r\n",
            b"+3\r\n",
            b"0x3\r\n",
            b"3_0\r\n",
            b" 3\r\n",
            b"\r\n3\r\nabc",
            b"3\nabc",
            b"3\r\nabcXX",
            b"3\r\nabc\n",
            b"3\r\nabc\r\n\r\n",
            b"3;a\rb\r\n",
            b"3;\0\r\n",
            b'3;a="\r\n',
            b"0\n\r\n",
            b"0\r\n\n",
            b"0\r\n\rG",
            b"0\r\nX: v\n",
            b"0\r\nX : v\r\n",
            b"0\r\nbad\r\n",
            b"0\r\n folded: x\r\n",
            b"0\r\nX: v\r\n folded\r\n",
            b"0\r\nContent-Length: 3\r\n",
            b"0\r\nTransfer-Encoding: chunked\r\n",
        ):
            for parts in ways(data + b"\r\n" + b"x" * 50):
                with self.assertRaises(BadRequest, msg=data) as caught:
                    decode(ChunkedDecoder(), parts)
                self.assertEqual(caught.exception.status, 400)

    def test_hugeSize(self) -> None:
        """A chunk whose size can't be counted is a 413, as httpd has it."""
        for parts in ways(b"fffffffffffffffff\r\n"):
            with self.assertRaises(BadRequest) as caught:
                decode(ChunkedDecoder(), parts)
            self.assertEqual(caught.exception.status, 413)

    def test_overhead(self) -> None:
        """Extensions and trailers without end are a 400; many small chunks are not."""
        for data in (
            b"3;" + b"a" * (CHUNK_OVERHEAD + 99) + b"\r\nabc\r\n",
            b"0\r\n" + b"A: b\r\n" * (CHUNK_OVERHEAD // 6 + 9),
            b"3\r\nabc\r\n0\r\nA: " + b"b" * (CHUNK_OVERHEAD + 99) + b"\r\n",
        ):
            for size in (1, 100, len(data)):
                parts = [data[i : i + size] for i in range(0, len(data), size)]
                with self.assertRaises(BadRequest) as caught:
                    decode(ChunkedDecoder(), parts)
                self.assertEqual(caught.exception.status, 400)
        small = b"1\r\na\r\n" * CHUNK_OVERHEAD + b"0\r\n\r\n"
        for size in (7, len(small)):
            parts = [small[i : i + size] for i in range(0, len(small), size)]
            self.assertEqual(decode(ChunkedDecoder(), parts), (b"a" * CHUNK_OVERHEAD, b""))

    @given(
        st.lists(st.binary(min_size=1, max_size=20), max_size=6),
        st.sampled_from([b"", b"A: b\r\n"]),
        st.sets(st.integers(0, 150), max_size=9),
    )
    def test_anySplit(self, chunks: list[bytes], trailer: bytes, cuts: set[int]) -> None:
        """Any split of any chunks gives the body and what stands behind it."""
        data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        data += b"0\r\n" + trailer + b"\r\n" + JUNK
        places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
        parts = [data[start:end] for start, end in pairwise(places)]
        self.assertEqual(decode(ChunkedDecoder(), parts), (b"".join(chunks), JUNK))

    @given(st.lists(st.sampled_from((b"0", b"3", b"abc", b"\r\n", b"\r", b"\n", b";a", b"X: y"))))
    def test_nearlyRight(self, pieces: list[bytes]) -> None:
        """What a body means does not depend on how it is cut."""
        results: set[object] = set()
        for parts in ways(b"".join(pieces)):
            try:
                results.add(decode(ChunkedDecoder(), parts))
            except BadRequest as error:
                results.add(error.status)
        self.assertEqual(len(results), 1)


class Channel:
    """Records what a body tells its channel."""

    def __init__(self) -> None:
        self.asked = 0
        self.changed = 0

    def bodyAsked(self) -> None:
        self.asked += 1

    def bodyChanged(self, body: ClientBody) -> None:
        self.changed += 1


@implementer(IBodyConsumer)
class Taker:
    """Records what it is given; does something at each part."""

    def __init__(self, atWrite: Any = lambda: None) -> None:
        self.calls: list[Any] = []
        self._atWrite = atWrite

    def write(self, data: bytes) -> None:
        self.calls.append(data)
        self._atWrite()

    def finish(self) -> None:
        self.calls.append("finish")

    def fail(self, error: Exception) -> None:
        self.calls.append(error)


class ClientBodyTests(SynchronousTestCase):
    """Tests for :class:`ClientBody`."""

    def setUp(self) -> None:
        self.channel: Any = Channel()

    def body(self, length: int | None = 6) -> ClientBody:
        return ClientBody(self.channel, length)

    def test_interfaces(self) -> None:
        """It is a body."""
        body = self.body()
        verifyObject(IBody, body)
        verifyObject(IBodyConsumer, Taker())
        self.assertEqual(body.length, 6)

    def test_once(self) -> None:
        """It is given from its first byte on once, also when nothing of it came yet."""
        for spend in (lambda body: body.deliver(Taker()), ClientBody.discard):
            body = self.body()
            self.assertTrue(body.replayable)
            spend(body)
            self.assertFalse(body.replayable)

    def test_pausedBefore(self) -> None:
        """A pause asked for by nobody that takes it is over when someone does."""
        body, taker = self.body(), Taker()
        body.receive(b"abc")
        body.pause()
        body.deliver(taker)
        self.assertEqual(taker.calls, [b"abc"])

    def test_pushed(self) -> None:
        """Once it is asked for, each part is pushed in the turn in which it comes."""
        body, taker = self.body(), Taker()
        body.deliver(taker)
        self.assertIsNone(body.receive(b"abc"))
        self.assertEqual(taker.calls, [b"abc"])
        self.assertEqual(body.receive(b"defGET"), b"GET")
        self.assertEqual(taker.calls, [b"abc", b"def", "finish"])
        self.assertTrue(body.complete)

    def test_chunked(self) -> None:
        """A chunked body has no length and is pushed without its framing."""
        body, taker = self.body(None), Taker()
        self.assertIsNone(body.length)
        body.deliver(taker)
        self.assertIsNone(body.receive(b"3\r\nab"))
        self.assertIsNone(body.receive(b"c\r\n1\r\n"))
        self.assertEqual(body.receive(b"d\r\n0\r\n\r\nGET"), b"GET")
        self.assertEqual(taker.calls, [b"ab", b"c", b"d", "finish"])

    def test_held(self) -> None:
        """What came before it is asked for is pushed then, in one part, with the end."""
        body, taker = self.body(), Taker()
        body.receive(b"abc")
        body.receive(b"def")
        body.deliver(taker)
        self.assertEqual(taker.calls, [b"abcdef", "finish"])

    def test_paused(self) -> None:
        """While it is paused nothing is pushed, the end neither."""
        body, taker = self.body(), Taker()
        body.deliver(taker)
        body.pause()
        body.receive(b"abcdef")
        self.assertEqual(taker.calls, [])
        body.resume()
        self.assertEqual(taker.calls, [b"abcdef", "finish"])

    def test_pausedInside(self) -> None:
        """Whoever takes a part may pause at once; the end waits for it."""
        body = self.body()
        taker = Taker(body.pause)
        body.deliver(taker)
        body.receive(b"abcdef")
        self.assertEqual(taker.calls, [b"abcdef"])
        body.resume()
        self.assertEqual(taker.calls, [b"abcdef", "finish"])

    def test_resumedInside(self) -> None:
        """It may also pause and resume at once; the end comes once."""
        body = self.body()
        taker = Taker(lambda: (body.pause(), body.resume()))
        body.receive(b"abc")
        body.deliver(taker)
        body.receive(b"def")
        self.assertEqual(taker.calls, [b"abc", b"def", "finish"])

    def test_discardedInside(self) -> None:
        """It may also want no more; then nothing comes."""
        body = self.body()
        taker = Taker(body.discard)
        body.deliver(taker)
        body.receive(b"abc")
        body.receive(b"def")
        self.assertEqual(taker.calls, [b"abc"])
        self.assertTrue(body.complete)

    def test_asked(self) -> None:
        """The channel hears that someone waits for a body of which nothing came."""
        self.body().deliver(Taker())
        self.assertEqual(self.channel.asked, 1)
        for data in (b"a", b"abcdef"):
            body = self.body()
            body.receive(data)
            body.deliver(Taker())
        self.assertEqual(self.channel.asked, 1)

    def test_failed(self) -> None:
        """A failure is told once, instead of what was still held."""
        error = BadRequest("gone")
        body, taker = self.body(), Taker()
        body.deliver(taker)
        body.receive(b"a")
        body.pause()
        body.receive(b"b")
        body.fail(error)
        self.assertEqual(taker.calls, [b"a"])
        body.resume()
        body.resume()
        self.assertEqual(taker.calls, [b"a", error])

    def test_failedBefore(self) -> None:
        """A body that failed before it was asked for says so then."""
        error = BadRequest("gone")
        body, taker = self.body(), Taker()
        body.receive(b"abc")
        body.fail(error)
        body.deliver(taker)
        self.assertEqual(taker.calls, [error])

    def test_failedAfterDiscard(self) -> None:
        """Nobody hears of a failure of what nobody wants."""
        body, taker = self.body(), Taker()
        body.deliver(taker)
        body.discard()
        body.fail(BadRequest("gone"))
        self.assertEqual(taker.calls, [])

    def test_bounded(self) -> None:
        """Undelivered or paused, it wants no more once its buffer is full."""
        body = self.body(BODY_BUFFER * 3)
        self.assertTrue(body.wanted)
        body.receive(b"x" * BODY_BUFFER)
        self.assertFalse(body.wanted)
        body.deliver(Taker())
        self.assertTrue(body.wanted)
        body.pause()
        body.receive(b"x" * BODY_BUFFER)
        self.assertFalse(body.wanted)
        body.resume()
        self.assertTrue(body.wanted)

    def test_awaited(self) -> None:
        """The client is waited for by whoever takes or drops its bytes, and not else."""
        body = self.body()
        self.assertFalse(body.awaited)
        body.deliver(Taker())
        self.assertTrue(body.awaited)
        body.pause()
        self.assertFalse(body.awaited)
        body.discard()
        self.assertTrue(body.awaited)

    def test_drained(self) -> None:
        """A discarded body is wanted to its end when that is near."""
        body = self.body(DRAIN_LIMIT)
        body.discard()
        self.assertTrue(body.wanted)
        self.assertFalse(body.surplus)

    def test_surplus(self) -> None:
        """A discarded body whose end is far is not wanted at all."""
        body = self.body(DRAIN_LIMIT + 1)
        self.assertFalse(body.surplus)
        body.discard()
        self.assertFalse(body.wanted)
        self.assertTrue(body.surplus)

    def test_surplusChunked(self) -> None:
        """A discarded chunked body is wanted until it turns out to be large."""
        body = self.body(None)
        body.discard()
        data = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        body.receive(data * 2)
        self.assertTrue(body.wanted)
        body.receive(data)
        self.assertFalse(body.wanted)
        self.assertTrue(body.surplus)

    def test_surplusAfterHeld(self) -> None:
        """What was held when it was discarded counts as dropped."""
        body = self.body(None)
        body.receive(b"%x\r\n%b" % (DRAIN_LIMIT + 2, b"x" * (DRAIN_LIMIT + 1)))
        self.assertFalse(body.surplus)
        body.discard()
        self.assertTrue(body.surplus)

    def test_changed(self) -> None:
        """The channel hears of everything that may change whether more is wanted."""
        body = self.body(None)
        for step in (
            lambda: body.receive(b"3\r\nabc"),
            lambda: body.deliver(Taker()),
            body.resume,
            body.discard,
        ):
            before = self.channel.changed
            step()
            self.assertGreater(self.channel.changed, before)
