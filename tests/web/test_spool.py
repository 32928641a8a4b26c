"""Tests for :mod:`twisted_fcgi.web.spool`."""

from __future__ import annotations

from io import BytesIO
from typing import IO

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.web.doubles import ScriptedBody
from twisted_fcgi.errors import AbortedByClient, BadRequest, RequestError
from twisted_fcgi.interfaces import IBody, IBodyConsumer
from twisted_fcgi.web import spool as module
from twisted_fcgi.web.spool import PIECE, FileBody, spool


@implementer(IBodyConsumer)
class Consumer:
    """
    Keeps what it gets.

    :param pausing: a body that each part pauses.
    """

    def __init__(self, pausing: IBody | None = None) -> None:
        self.parts: list[bytes] = []
        self.outcome: object = None
        self.pausing = pausing

    def write(self, data: bytes) -> None:
        self.parts.append(data)
        if self.pausing is not None:
            self.pausing.pause()

    def finish(self) -> None:
        self.outcome = "finished"

    def fail(self, error: RequestError) -> None:
        self.outcome = error


class BrokenFile(BytesIO):
    """A file on a disk that fails."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")

    def write(self, data: object) -> int:
        raise OSError(28, "No space left on device")


class FileBodyTests(SynchronousTestCase):
    """Tests for :class:`FileBody`."""

    DATA = bytes(range(256)) * 600

    def test_interface(self) -> None:
        """It is a replayable body of known length."""
        body = FileBody(BytesIO(b"abc"), 3)
        verifyObject(IBody, body)
        self.assertEqual((body.length, body.replayable), (3, True))

    def test_deliver(self) -> None:
        """The whole body is delivered in large pieces, then its end."""
        consumer = Consumer()
        FileBody(BytesIO(self.DATA), len(self.DATA)).deliver(consumer)
        self.assertEqual(b"".join(consumer.parts), self.DATA)
        self.assertEqual(
            [len(p) for p in consumer.parts], [PIECE, PIECE, len(self.DATA) - 2 * PIECE]
        )
        self.assertEqual(consumer.outcome, "finished")

    def test_pause(self) -> None:
        """A paused body delivers nothing, neither data nor end, until it is resumed."""
        body = FileBody(BytesIO(self.DATA), len(self.DATA))
        consumer = Consumer(body)
        body.deliver(consumer)
        for count in (1, 2, 3):
            self.assertEqual(len(consumer.parts), count)
            self.assertIsNone(consumer.outcome)
            body.resume()
        self.assertEqual(b"".join(consumer.parts), self.DATA)
        self.assertEqual(consumer.outcome, "finished")

    def test_resumeWithinWrite(self) -> None:
        """A consumer may pause and resume while it is written to."""

        class Nervous(Consumer):
            def write(self, data: bytes) -> None:
                super().write(data)
                body.resume()

        body = FileBody(BytesIO(self.DATA), len(self.DATA))
        consumer = Nervous(body)
        body.deliver(consumer)
        self.assertEqual(b"".join(consumer.parts), self.DATA)

    def test_deliverAgain(self) -> None:
        """A second consumer gets all from the beginning, even if the first was paused."""
        body = FileBody(BytesIO(self.DATA), len(self.DATA))
        first, second = Consumer(body), Consumer()
        body.deliver(first)
        body.deliver(second)
        self.assertEqual(b"".join(second.parts), self.DATA)
        self.assertEqual((len(first.parts), first.outcome), (1, None))

    def test_deliverAgainWithinWrite(self) -> None:
        """A consumer that fails while it is written to may be replaced there and then."""

        class Failing(Consumer):
            def write(self, data: bytes) -> None:
                super().write(data)
                body.deliver(second)

        body = FileBody(BytesIO(self.DATA), len(self.DATA))
        first, second = Failing(), Consumer()
        body.deliver(first)
        self.assertEqual((len(first.parts), first.outcome), (1, None))
        self.assertEqual(b"".join(second.parts), self.DATA)
        self.assertEqual(second.outcome, "finished")

    def test_discard(self) -> None:
        """A discarded body closes its file and delivers nothing more; twice is no harm."""
        file = BytesIO(self.DATA)
        body = FileBody(file, len(self.DATA))
        consumer = Consumer(body)
        body.deliver(consumer)
        body.discard()
        body.discard()
        body.resume()
        self.assertTrue(file.closed)
        self.assertEqual((len(consumer.parts), consumer.outcome), (1, None))

    def test_unreadable(self) -> None:
        """A file that can't be read fails the delivery as our fault."""
        consumer = Consumer()
        FileBody(BrokenFile(b"abc"), 3).deliver(consumer)
        assert isinstance(consumer.outcome, RequestError)
        self.assertEqual(consumer.outcome.status, 500)


class SpoolTests(SynchronousTestCase):
    """Tests for :func:`spool`."""

    def spool(self, memoryLimit: int = 10, totalLimit: int = 100) -> None:
        """Begin; what comes out is kept in ``self.results``."""
        self.body = ScriptedBody(None)
        self.results: list[IBody | RequestError] = []
        spool(self.body, memoryLimit, totalLimit, self.results.append)

    def assertDelivers(self, data: bytes) -> None:
        """The one result is a body of this data."""
        (result,) = self.results
        assert not isinstance(result, RequestError)
        consumer = Consumer()
        result.deliver(consumer)
        self.assertEqual((b"".join(consumer.parts), result.length), (data, len(data)))
        result.discard()

    def test_whole(self) -> None:
        """A body is handed on when it is whole, with its length known."""
        self.spool()
        self.body.consumer.write(b"abc")
        self.body.consumer.write(b"def")
        self.assertEqual(self.results, [])
        self.body.consumer.finish()
        self.assertDelivers(b"abcdef")

    def test_empty(self) -> None:
        """A body may turn out to be empty."""
        self.spool()
        self.body.consumer.finish()
        self.assertDelivers(b"")

    def test_large(self) -> None:
        """Beyond the limit of memory a body goes to a file, and is the same."""
        files: list[IO[bytes]] = []

        def keep(max_size: int) -> IO[bytes]:
            files.append(original(max_size=max_size))
            return files[0]

        original = module.SpooledTemporaryFile
        self.patch(module, "SpooledTemporaryFile", keep)
        for limit, inFile in ((6, False), (5, True), (0, True)):
            files.clear()
            self.spool(memoryLimit=limit)
            self.body.consumer.write(b"abc")
            self.body.consumer.write(b"def")
            self.body.consumer.finish()
            self.assertEqual(files[0]._rolled, inFile)  # type: ignore[attr-defined]
            self.assertDelivers(b"abcdef")

    def test_limit(self) -> None:
        """A body of the total limit passes; one byte more is a 413 that names the limit."""
        self.spool(totalLimit=6)
        self.body.consumer.write(b"abcdef")
        self.body.consumer.finish()
        self.assertDelivers(b"abcdef")
        self.spool(totalLimit=5)
        self.body.consumer.write(b"abcdef")
        (error,) = self.results
        assert isinstance(error, BadRequest)
        self.assertEqual(error.status, 413)
        self.assertIn("5 bytes (LimitRequestBody)", error.reason)

    def test_noLimit(self) -> None:
        """A total limit of 0 is none, as for httpd's LimitRequestBody."""
        self.spool(totalLimit=0)
        self.body.consumer.write(b"a" * 1000)
        self.body.consumer.finish()
        self.assertDelivers(b"a" * 1000)

    def test_refusedBodyIsDiscarded(self) -> None:
        """The rest of a refused body is discarded, and what comes of it ignored."""
        self.spool(totalLimit=5)
        self.body.consumer.write(b"abcdef")
        self.body.consumer.write(b"abcdef")
        self.body.consumer.finish()
        self.assertEqual(self.body.calls, ["deliver", "discard"])
        self.assertEqual(len(self.results), 1)

    def test_failure(self) -> None:
        """A body that breaks off is told as it is, once."""
        self.spool()
        self.body.consumer.write(b"abc")
        error = AbortedByClient("gone")
        self.body.consumer.fail(error)
        self.body.consumer.fail(BadRequest("again"))
        self.assertEqual(self.results, [error])

    def test_fullDisk(self) -> None:
        """A disk that is full is our fault, and said."""
        self.patch(module, "SpooledTemporaryFile", lambda max_size: BrokenFile())
        self.spool()
        self.body.consumer.write(b"abc")
        (error,) = self.results
        assert isinstance(error, RequestError)
        self.assertEqual(error.status, 500)
        self.assertIn("No space left on device", error.reason)
