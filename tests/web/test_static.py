"""Tests for :mod:`twisted_fcgi.web.static`, with real files."""

from __future__ import annotations

import os
import tempfile

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.web.doubles import RecordingResponse
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IExchange
from twisted_fcgi.message import Request, Route, RouteKind
from twisted_fcgi.settings import DirectorySettings, VirtualHost
from twisted_fcgi.web.errorpage import ANSWERED, Refusal, writeErrorPage
from twisted_fcgi.web.static import PIECE, Answer, answerFor, serveFile

SIZE = 12
MODIFIED = 1_600_000_000
DATE = b"Sun, 13 Sep 2020 12:26:40 GMT"
# What httpd 2.4 was seen to send for a file of this size and date.
ETAG = b'"c-5af3107a40000"'
VALIDATORS = [(b"Last-Modified", DATE), (b"ETag", ETAG), (b"Accept-Ranges", b"bytes")]


class AnswerForTests(SynchronousTestCase):
    """Tests for :func:`answerFor`, which decides what is sent."""

    def answer(
        self,
        *fields: tuple[bytes, bytes],
        method: bytes = b"GET",
        size: int = SIZE,
        now: float = MODIFIED + 1000,
    ) -> Answer:
        """The answer to a request with these fields."""
        request = Request(method, b"/file.txt", Headers(fields))
        return answerFor(request, size, MODIFIED * 1_000_000_000, now)

    def assertPart(
        self, asked: bytes, start: int, length: int, *fields: tuple[bytes, bytes]
    ) -> None:
        """This range of the file is sent as a 206."""
        answer = self.answer((b"Range", asked), *fields)
        self.assertEqual((answer.status, answer.offset, answer.length), (206, start, length))
        span = b"bytes %d-%d/%d" % (start, start + length - 1, SIZE)
        self.assertEqual(answer.headers.get(b"content-range"), span)

    def assertWhole(self, *fields: tuple[bytes, bytes], method: bytes = b"GET") -> None:
        """The whole file is sent as a 200."""
        answer = self.answer(*fields, method=method)
        self.assertEqual((answer.status, answer.offset, answer.length), (200, 0, SIZE))
        self.assertNotIn(b"content-range", answer.headers)

    def test_whole(self) -> None:
        """A file is sent with the fields that httpd's default handler sends."""
        self.assertEqual(self.answer(), Answer(200, Headers(VALIDATORS), 0, SIZE))

    def test_notModified(self) -> None:
        """Conditions are held against the file's tag and date; a 304 has the validators."""
        for field in ((b"If-None-Match", ETAG), (b"If-Modified-Since", DATE)):
            for method in (b"GET", b"HEAD"):
                answer = self.answer(field, method=method)
                self.assertEqual(answer, Answer(304, Headers(VALIDATORS), 0, 0))

    def test_preconditionFailed(self) -> None:
        """A condition that does not hold is a 412."""
        self.assertEqual(self.answer((b"If-Match", b'"other"')).status, 412)

    def test_conditionsOfPost(self) -> None:
        """What a POST must not meet is a 412, never a 304 (RFC 9110, 13.1)."""
        for tag, status in ((ETAG, 412), (b"*", 412), (b"W/" + ETAG, 200), (b'"other"', 200)):
            self.assertEqual(self.answer((b"If-None-Match", tag), method=b"POST").status, status)
        self.assertEqual(self.answer((b"If-Modified-Since", DATE), method=b"POST").status, 200)

    def test_conditionsBeforeRange(self) -> None:
        """Conditions come before the range (RFC 9110, 13.2.2)."""
        self.assertEqual(
            self.answer((b"If-None-Match", ETAG), (b"Range", b"bytes=0-1")).status, 304
        )

    def test_range(self) -> None:
        """One range is cut from the file (RFC 9110, 14.1.2)."""
        self.assertPart(b"bytes=0-1", 0, 2)
        self.assertPart(b"bytes=5-", 5, 7)
        self.assertPart(b"bytes=-2", 10, 2)
        self.assertPart(b"bytes=11-11", 11, 1)

    def test_rangeBeyondEnd(self) -> None:
        """A range is cut at the file's end; a suffix longer than the file is the file."""
        self.assertPart(b"bytes=5-99", 5, 7)
        self.assertPart(b"bytes=-99", 0, 12)

    def test_rangeOfAll(self) -> None:
        """A range that spans all is a 206: players ask in this way whether they may seek."""
        self.assertPart(b"bytes=0-", 0, 12)

    def test_unsatisfiable(self) -> None:
        """A range outside of the file is a 416 that says how long the file is."""
        for asked in (b"bytes=12-", b"bytes=99-100", b"bytes=-0"):
            answer = self.answer((b"Range", asked))
            self.assertEqual(answer.status, 416)
            self.assertEqual(answer.headers.pairs, [(b"Content-Range", b"bytes */12")])

    def test_noValidRange(self) -> None:
        """What is not one valid range is ignored (RFC 9110, 14.2), several ranges too."""
        for asked in (
            *(b"", b"x", b"bytes", b"bytes=", b"bytes=-", b"bytes=a-b", b"bytes=5-4"),
            *(b"lines=0-1", b"bytes=0-0,2-3", b"bytes=1_0-", b"bytes=--1"),
        ):
            self.assertWhole((b"Range", asked))

    def test_rangeOfHead(self) -> None:
        """A range means something to GET only (RFC 9110, 14.2)."""
        self.assertWhole((b"Range", b"bytes=0-1"), method=b"HEAD")

    def test_rangeOfEmptyFile(self) -> None:
        """An empty file has no ranges."""
        self.assertEqual(self.answer((b"Range", b"bytes=0-"), size=0).status, 200)

    def test_ifRange(self) -> None:
        """A range is cut only from the state of the file that If-Range names."""
        for condition in (ETAG, DATE):
            self.assertPart(b"bytes=0-1", 0, 2, (b"If-Range", condition))
        for condition in (b'"other"', b"W/" + ETAG, b"Sun, 13 Sep 2020 12:26:39 GMT", b"x"):
            self.assertWhole((b"Range", b"bytes=0-1"), (b"If-Range", condition))

    def test_weak(self) -> None:
        """A file that changed within this second has a weak tag (RFC 9110, 8.8.1; httpd)."""
        answer = self.answer((b"Range", b"bytes=0-1"), (b"If-Range", DATE), now=MODIFIED + 0.5)
        self.assertEqual(answer.headers.get(b"etag"), b"W/" + ETAG)
        self.assertEqual(answer.status, 200)

    def test_future(self) -> None:
        """A file is never newer than now (httpd: ap_rationalize_mtime)."""
        answer = self.answer(now=MODIFIED - 3600)
        self.assertEqual(answer.headers.get(b"last-modified"), b"Sun, 13 Sep 2020 11:26:40 GMT")


class ServeFileTests(SynchronousTestCase):
    """Tests for :func:`serveFile`, on a tree of files."""

    DATA = bytes(range(256)) * 1000

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = os.fsencode(folder.name)
        self.write(b"file.txt", b"static file\n")
        self.write(b"big.bin", self.DATA)
        self.clock = Clock()
        self.clock.advance(MODIFIED + 1000)

    def write(self, name: bytes, data: bytes) -> None:
        """A file of the date that the tests know."""
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        os.utime(path, (MODIFIED, MODIFIED))

    def serve(
        self,
        name: bytes,
        *fields: tuple[bytes, bytes],
        method: bytes = b"GET",
        response: RecordingResponse | None = None,
    ) -> RecordingResponse:
        """Begin to serve; sets ``self.exchange``."""
        response = RecordingResponse() if response is None else response
        route = Route(
            RouteKind.STATIC,
            VirtualHost(),
            DirectorySettings(),
            uri=b"/" + name,
            filename=self.root + b"/" + name,
        )
        request = Request(method, b"/" + name, Headers(fields))

        def refuse(refusal: Refusal) -> IExchange:
            writeErrorPage(response, refusal)
            return ANSWERED

        self.exchange = serveFile(request, route, response, self.clock, refuse)
        return response

    def assertStatus(self, name: bytes, status: int) -> None:
        """It is answered with this error and a page."""
        response = self.serve(name)
        self.assertEqual(response.status, status)
        self.assertIn(b"<h1>%d " % status, response.body)
        self.assertEqual(response.calls[-1], "finish")

    def openFiles(self) -> list[str]:
        """The files of the tree that are open now."""
        here = "/proc/self/fd"
        targets = [
            os.readlink(f"{here}/{n}") for n in os.listdir(here) if os.path.exists(f"{here}/{n}")
        ]
        return [target for target in targets if target.startswith(os.fsdecode(self.root))]

    def test_small(self) -> None:
        """A small file is served at once, in one write."""
        response = self.serve(b"file.txt")
        verifyObject(IExchange, self.exchange)
        assert response.head is not None
        self.assertEqual((response.status, response.head.reason), (200, b"OK"))
        self.assertEqual(
            response.head.headers.pairs, [*VALIDATORS, (b"Content-Type", b"text/plain")]
        )
        self.assertEqual((response.head.contentLength, response.body), (12, b"static file\n"))
        self.assertEqual(response.calls, ["head", "write", "finish"])
        self.assertEqual(self.openFiles(), [])

    def test_head(self) -> None:
        """HEAD gets the head with the length, and no body."""
        response = self.serve(b"file.txt", method=b"HEAD")
        assert response.head is not None
        self.assertEqual((response.status, response.head.contentLength), (200, 12))
        self.assertEqual(response.calls, ["head", "finish"])
        self.assertEqual(self.openFiles(), [])

    def test_notModified(self) -> None:
        """A 304 has neither body nor length."""
        response = self.serve(b"file.txt", (b"If-None-Match", ETAG))
        assert response.head is not None
        self.assertEqual((response.status, response.head.contentLength), (304, None))
        self.assertEqual(response.calls, ["head", "finish"])

    def test_range(self) -> None:
        """A range of a large file is all that is read and sent."""
        response = self.serve(b"big.bin", (b"Range", b"bytes=100-199"))
        assert response.head is not None
        self.assertEqual((response.status, response.head.contentLength), (206, 100))
        self.assertEqual(response.body, self.DATA[100:200])

    def test_unsatisfiableRange(self) -> None:
        """A 416 has a page, and says how long the file is."""
        response = self.serve(b"file.txt", (b"Range", b"bytes=100-"))
        assert response.head is not None
        self.assertEqual(response.status, 416)
        self.assertEqual(response.head.headers.get(b"content-range"), b"bytes */12")
        self.assertEqual(self.openFiles(), [])

    def test_empty(self) -> None:
        """An empty file is an empty response."""
        self.write(b"empty.txt", b"")
        response = self.serve(b"empty.txt")
        assert response.head is not None
        self.assertEqual((response.status, response.head.contentLength), (200, 0))
        self.assertEqual(response.calls, ["head", "finish"])

    def test_pieces(self) -> None:
        """Of a large file one piece is written at once, the others in later turns."""
        response = self.serve(b"big.bin")
        self.assertEqual(response.body, self.DATA[:PIECE])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual(response.body, self.DATA)
        self.assertEqual(response.calls, ["head", "write", "write", "write", "write", "finish"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.openFiles(), [])

    def test_pause(self) -> None:
        """While the client does not take more, nothing is read."""
        response = self.serve(b"big.bin")
        self.exchange.pauseProducing()
        self.clock.advance(0)
        self.assertEqual(len(response.body), PIECE)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.exchange.resumeProducing()
        self.exchange.resumeProducing()
        self.clock.pump([0] * 5)
        self.assertEqual(response.body, self.DATA)
        self.assertEqual(response.calls[-1], "finish")

    def test_pauseWithinWrite(self) -> None:
        """A front may pause the file while it is written to."""

        class Full(RecordingResponse):
            def write(response, data: bytes) -> None:
                super().write(data)
                if response.body != data:  # the first comes before there is an exchange
                    self.exchange.pauseProducing()

        response = self.serve(b"big.bin", response=Full())
        self.clock.pump([0] * 5)
        self.assertEqual(len(response.body), 2 * PIECE)

    def test_clientGone(self) -> None:
        """When the client left the file is closed and nothing is written any more."""
        response = self.serve(b"big.bin")
        self.exchange.clientGone()
        self.clock.advance(0)
        self.assertEqual(response.calls, ["head", "write"])
        self.assertEqual(self.openFiles(), [])
        self.exchange.resumeProducing()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_clientGoneWithinWrite(self) -> None:
        """A front may notice while it is written to that the client left."""

        class Leaving(RecordingResponse):
            def write(response, data: bytes) -> None:
                super().write(data)
                if response.body != data:
                    self.exchange.clientGone()

        response = self.serve(b"big.bin", response=Leaving())
        self.clock.pump([0] * 5)
        self.assertEqual(response.calls, ["head", "write", "write"])
        self.assertEqual(self.openFiles(), [])

    def test_cutShort(self) -> None:
        """A response whose file became shorter is aborted, not taken for whole."""
        response = self.serve(b"big.bin")
        os.truncate(self.root + b"/big.bin", PIECE + 10)
        self.clock.pump([0] * 5)
        self.assertEqual(response.body, self.DATA[: PIECE + 10])
        self.assertEqual(response.calls[-1], "abort")
        self.assertEqual(self.openFiles(), [])

    def test_grown(self) -> None:
        """Of a file that grew no more is sent than was promised."""
        response = self.serve(b"big.bin")
        with open(self.root + b"/big.bin", "ab") as file:
            file.write(b"more")
        self.clock.pump([0] * 5)
        self.assertEqual(response.body, self.DATA)
        self.assertEqual(response.calls[-1], "finish")

    def test_missing(self) -> None:
        """What is not there is a 404, also below a file, as in httpd."""
        for name in (b"none.txt", b"none/file.txt", b"file.txt/", b"file.txt/x.php"):
            self.assertStatus(name, 404)

    def test_directory(self) -> None:
        """A directory is never listed."""
        self.write(b"sub/file.txt", b"")
        self.assertStatus(b"sub", 404)
        self.assertStatus(b"sub/", 404)

    def test_fifo(self) -> None:
        """What is no regular file is not served, and does not block."""
        os.mkfifo(self.root + b"/pipe")
        self.assertStatus(b"pipe", 404)

    def test_nul(self) -> None:
        """A NUL in a name is a 404, not a name cut short."""
        self.assertStatus(b"file.txt\0.html", 404)

    def test_longName(self) -> None:
        """A name too long for the system is a 403, as in httpd."""
        self.assertStatus(b"x" * 300, 403)

    def test_loop(self) -> None:
        """A link to itself is a 403, as in httpd."""
        os.symlink("loop.txt", self.root + b"/loop.txt")
        self.assertStatus(b"loop.txt", 403)

    def test_post(self) -> None:
        """POST gets the file, as from httpd: forms that lead to a page keep working."""
        response = self.serve(b"file.txt", method=b"POST")
        self.assertEqual((response.status, response.body), (200, b"static file\n"))

    def test_preconditionFailed(self) -> None:
        """A 412 is about the file and has no body, as from httpd."""
        response = self.serve(b"file.txt", (b"If-Match", b'"other"'))
        assert response.head is not None
        self.assertEqual((response.status, response.head.contentLength), (412, 0))
        self.assertEqual(response.head.headers.pairs[:3], VALIDATORS)
        self.assertEqual(response.calls, ["head", "finish"])
        self.assertEqual(self.openFiles(), [])
