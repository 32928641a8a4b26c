"""The client's end."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.feeding import JUNK, begin, end, fed, joined, record
from twisted_fcgi.errors import LocalProtocolError, RemoteProtocolError
from twisted_fcgi.wire import (
    ClientConnection,
    EndRequest,
    Ignored,
    ProtocolStatus,
    Response,
    Role,
    Stderr,
    StderrEnded,
    Stdout,
    StdoutEnded,
    UnknownType,
    Values,
    Violation,
    encodePairs,
)

__all__ = ["BeginTests", "LimitsTests", "ReceiveTests", "ResponseTests",
           "ReusableTests", "SendTests", "ViolationTests"]  # fmt: skip

ABORT, PARAMS, STDIN, STDOUT, STDERR, DATA = 2, 4, 5, 6, 7, 8
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11

HEAD = b"Content-Type: text/plain\r\n\r\n"
ANSWER = record(STDOUT, 1, HEAD + b"hello", padding=7) + record(STDOUT, 1) + end(1)


def opened(streams: int = 1, **options: int) -> ClientConnection:
    """A connection with so many requests, sent whole."""
    connection = ClientConnection(maxStreams=options.pop("maxStreams", streams), **options)
    for _ in range(streams):
        connection.begin([], keepConnection=True, stdin=b"")
    return connection


def answered() -> ClientConnection:
    """A connection that had one request and its response."""
    connection = opened()
    connection.receive(ANSWER)
    return connection


class BeginTests(SynchronousTestCase):
    """:meth:`ClientConnection.begin`."""

    def test_withoutBody(self) -> None:
        """A request without body is BEGIN, PARAMS, its end and the end of STDIN."""
        requestId, data = ClientConnection().begin([(b"A", b"bcdef")], stdin=b"")
        self.assertEqual(1, requestId)
        self.assertEqual(
            begin(1, flags=0)
            + b"\x01\x04\x00\x01\x00\x08\x00\x00\x01\x05Abcdef"
            + record(PARAMS, 1)
            + record(STDIN, 1),
            data,
        )

    def test_bodyToFollow(self) -> None:
        """Without ``stdin`` STDIN is left open."""
        _, data = ClientConnection().begin([], keepConnection=True)
        self.assertEqual(begin(1) + record(PARAMS, 1), data)

    def test_wholeBody(self) -> None:
        """A body that is there is sent along, ended."""
        _, data = ClientConnection().begin([], stdin=b"x" * 70000)
        self.assertEqual(
            begin(1, flags=0)
            + record(PARAMS, 1)
            + record(STDIN, 1, b"x" * 65528)
            + record(STDIN, 1, b"x" * 4472)
            + record(STDIN, 1),
            data,
        )

    def test_encoded(self) -> None:
        """Params that are encoded already are taken as they are."""
        pairs = [(b"A", b"b"), (b"C", b"d" * 300)]
        self.assertEqual(
            ClientConnection().begin(pairs), ClientConnection().begin(encodePairs(pairs))
        )

    def test_sizes(self) -> None:
        """Params of every size around the limits of a record are whole, and padded."""
        for size in (1, 7, 8, 9, 65527, 65528, 65529):
            encoded = b"x" * size
            _, data = ClientConnection().begin(encoded, stdin=b"")
            expected = begin(1, flags=0)
            for piece in (encoded[:65528], encoded[65528:]):
                if piece:
                    padded = record(PARAMS, 1, piece, padding=-len(piece) % 8)
                    expected += padded.replace(b"\xaa", b"\0")
            self.assertEqual(expected + record(PARAMS, 1) + record(STDIN, 1), data)

    def test_longParams(self) -> None:
        """Params of any size are split over records, also inside of a pair."""
        pairs = [(b"N", b"v" * 100000), (b"M", b"w" * 65528)]
        encoded = encodePairs(pairs)
        _, data = ClientConnection().begin(pairs, stdin=b"")
        expected = begin(1, flags=0)
        expected += record(PARAMS, 1, encoded[:65528]) + record(PARAMS, 1, encoded[65528:131056])
        expected += record(PARAMS, 1, encoded[131056:], padding=-len(encoded) % 8).replace(
            b"\xaa", b"\0"
        )
        self.assertEqual(expected + record(PARAMS, 1) + record(STDIN, 1), data)

    def test_authorizer(self) -> None:
        """An authorizer is sent no STDIN, not even its end (6.3, as httpd does it)."""
        _, data = ClientConnection().begin([], role=Role.AUTHORIZER, stdin=b"")
        self.assertEqual(begin(1, Role.AUTHORIZER, 0) + record(PARAMS, 1), data)
        self.assertRaises(
            LocalProtocolError, ClientConnection().begin, [], role=Role.AUTHORIZER, stdin=b"x"
        )

    def test_filter(self) -> None:
        """A filter is sent STDIN, then DATA."""
        connection = ClientConnection()
        _, data = connection.begin([], role=Role.FILTER, stdin=b"")
        self.assertEqual(begin(1, Role.FILTER, 0) + record(PARAMS, 1) + record(STDIN, 1), data)
        self.assertEqual(record(DATA, 1, b"12345678"), b"".join(connection.data(1, b"12345678")))
        self.assertEqual(record(DATA, 1), connection.endData(1))

    def test_unknownRole(self) -> None:
        """A role that is none is the caller's mistake."""
        self.assertRaises(LocalProtocolError, ClientConnection().begin, [], role=4)

    def test_lowestFreeId(self) -> None:
        """A request gets the lowest id that is free."""
        connection = ClientConnection(maxStreams=4)

        def next() -> int:
            return connection.begin([], keepConnection=True, stdin=b"")[0]

        self.assertEqual([1, 2, 3], [next(), next(), next()])
        connection.receive(record(STDOUT, 3) + end(3) + record(STDOUT, 1) + end(1))
        self.assertEqual([1, 3, 4], [next(), next(), next()])
        self.assertEqual([1, 2, 3, 4], sorted(connection.streams))

    def test_resting(self) -> None:
        """Not at once that of a response without the end of STDOUT: more of it may come."""
        connection = ClientConnection()

        def next() -> int:
            return connection.begin([], keepConnection=True, stdin=b"")[0]

        answers = []
        for ended in (True, False, False, True, True, False, True):
            requestId = next()
            answers.append(requestId)
            ends = (record(STDOUT, requestId) if ended else b"") + end(requestId)
            connection.receive(record(STDOUT, requestId, b"a") + ends)
            self.assertTrue(connection.isReusable())
        self.assertEqual([1, 1, 2, 1, 1, 1, 2], answers)
        next()
        (violation,) = connection.receive(record(STDOUT, 1, b"late"))
        self.assertIsInstance(violation, Violation)

    def test_refusedDoesNotRest(self) -> None:
        """That of a request that was refused is free at once: nothing was begun."""
        connection = opened()
        connection.receive(end(1, 0, ProtocolStatus.OVERLOADED))
        self.assertEqual(1, connection.begin([], stdin=b"")[0])

    def test_lastId(self) -> None:
        """When no other id is left, the one that rests is used."""
        connection = opened(65535)
        connection.receive(end(9))
        self.assertEqual(9, connection.begin([], stdin=b"")[0])

    def test_tooMany(self) -> None:
        """One request more than ``maxStreams`` is the caller's mistake."""
        self.assertRaises(LocalProtocolError, opened(2).begin, [])

    def test_possibleStreams(self) -> None:
        """There are 65535 request ids, and no connection is for less than one."""
        ClientConnection(maxStreams=65535)
        for count in (0, 65536):
            self.assertRaises(LocalProtocolError, ClientConnection, maxStreams=count)


class SendTests(SynchronousTestCase):
    """What else a client sends."""

    def test_stdin(self) -> None:
        """A body goes out as it comes, and is ended."""
        connection = ClientConnection()
        connection.begin([])
        self.assertEqual(record(STDIN, 1, b"12345678"), b"".join(connection.stdin(1, b"12345678")))
        self.assertEqual([], connection.stdin(1, b""))
        self.assertEqual(record(STDIN, 1), connection.endStdin(1))

    def test_abort(self) -> None:
        """ABORT_REQUEST has no content."""
        self.assertEqual(record(ABORT, 1), opened().abort(1))

    def test_getValues(self) -> None:
        """GET_VALUES asks for names, with empty values and request id 0."""
        self.assertEqual(
            b"\x01\x09\x00\x00\x00\x03\x05\x00\x01\x00A" + bytes(5),
            ClientConnection().getValues([b"A"]),
        )
        self.assertRaises(LocalProtocolError, ClientConnection().getValues, [b"n" * 65536])

    def test_unknownRequest(self) -> None:
        """Nothing is sent for a request that is not open."""
        for call in (
            lambda connection: connection.stdin(2, b""),
            lambda connection: connection.endStdin(0),
            lambda connection: connection.abort(2),
        ):
            self.assertRaises(LocalProtocolError, call, opened())


class ResponseTests(SynchronousTestCase):
    """
    :meth:`ClientConnection.response`.

    That it says what ``receive`` says of the same bytes is tested with each answer of
    :class:`ReceiveTests`.
    """

    def test_whole(self) -> None:
        """A response that came whole is one object, and its request is over."""
        connection = opened()
        response = connection.response(ANSWER)
        self.assertEqual(Response(1, HEAD + b"hello", EndRequest(1, 0, 0), len(ANSWER)), response)
        self.assertEqual((), connection.streams)
        self.assertTrue(connection.isReusable())

    def test_severalAnswers(self) -> None:
        """One is read where the one before it ended; what comes behind is left."""
        connection = opened(2)
        data = ANSWER + record(STDOUT, 2, HEAD) + end(2) + JUNK
        stop = len(data) - len(JUNK)
        self.assertEqual(
            Response(2, HEAD, EndRequest(2, 0, 0), stop), connection.response(data, len(ANSWER))
        )
        self.assertIsNone(connection.response(data, stop))
        self.assertEqual((1,), connection.streams)
        self.assertFalse(connection.over)

    def test_otherwise(self) -> None:
        """Whatever is unusual is left to ``receive``, which sees it as it came."""
        out = record(STDOUT, 1, HEAD)
        for data in (
            b"",
            out[:8],
            out,
            out + end(1)[:-1],
            out + end(2),
            out + end(1, 1),
            out + end(1, 0, 2),
            record(STDOUT, 1) + end(1),
            record(STDERR, 1, b"oops") + end(1),
            record(STDOUT, 1, HEAD, version=2) + end(1),
            record(STDOUT, 2, HEAD) + end(2),
            record(STDOUT, 70, HEAD) + end(70),
            record(STDOUT, 0, HEAD) + end(0),
        ):
            for at in (0, 9):
                connection = opened()
                self.assertIsNone(connection.response(bytes(at) + data, at), data)
                self.assertEqual((1,), connection.streams)

    def test_inTheMiddle(self) -> None:
        """While a record is not whole, nothing that looks like a response is one."""
        for begun in (b"\x01", record(STDOUT, 1, ANSWER)[:8]):
            connection = opened()
            connection.receive(begun)
            self.assertIsNone(connection.response(ANSWER))

    def test_afterAbort(self) -> None:
        """An aborted request's response is none, nor one on a connection that is over."""
        aborted, lost = opened(), opened()
        aborted.abort(1)
        lost.lost()
        for connection in (aborted, lost):
            self.assertIsNone(connection.response(ANSWER))


class ReceiveTests(SynchronousTestCase):
    """:meth:`ClientConnection.receive`, whole, byte by byte and with junk behind."""

    def test_usualAnswer(self) -> None:
        """Output, its end and the end of the request are three events."""
        self.assertEqual(
            [Stdout(1, HEAD + b"hello"), StdoutEnded(1), EndRequest(1, 0, 0)], fed(opened, ANSWER)
        )

    def test_severalAnswers(self) -> None:
        """Answers of several requests may come in one read, in any order, the last one in part."""
        answers = [
            record(STDOUT, 3, HEAD + b"3", padding=3) + record(STDOUT, 3) + end(3),
            record(STDOUT, 70, HEAD + b"70") + end(70),
            record(STDOUT, 1, HEAD + b"1", padding=1) + end(1),
            record(STDOUT, 2, HEAD),
        ]
        self.assertEqual(
            [
                Stdout(3, HEAD + b"3"),
                StdoutEnded(3),
                EndRequest(3, 0, 0),
                Stdout(70, HEAD + b"70"),
                EndRequest(70, 0, 0),
                Stdout(1, HEAD + b"1"),
                EndRequest(1, 0, 0),
                Stdout(2, HEAD),
            ],
            fed(partial(opened, 70), b"".join(answers)),
        )

    def test_phpAnswer(self) -> None:
        """php-fpm does not end its streams, only the request."""
        self.assertEqual(
            [Stderr(1, b"PHP message: oops"), Stdout(1, HEAD), EndRequest(1, 0, 0)],
            fed(
                opened,
                record(STDERR, 1, b"PHP message: oops", padding=7)
                + record(STDOUT, 1, HEAD, padding=4)
                + end(1),
            ),
        )

    def test_contentLikeAnEnd(self) -> None:
        """Content that reads like the end of a response is content."""
        for content in (end(1), record(STDOUT, 1) + end(1)):
            for padding in (0, 7):
                part = record(STDOUT, 1, HEAD + content, padding=padding)
                self.assertEqual([Stdout(1, HEAD + content)], fed(opened, part))
                self.assertEqual(
                    [Stdout(1, HEAD + content), EndRequest(1, 0, 0)], fed(opened, part + end(1))
                )
        self.assertEqual([Stdout(1, content[:8])], fed(opened, record(STDOUT, 1, content)[:16]))

    def test_unusualEnds(self) -> None:
        """A status, reserved bytes that are set and an end without content are seen as such."""
        out = record(STDOUT, 1, HEAD)
        for status in ((1, 0), (0, 2), (256, 0)):
            self.assertEqual(
                [Stdout(1, HEAD), EndRequest(1, *status)], fed(opened, out + end(1, *status))
            )
        self.assertEqual(
            [Stdout(1, HEAD), EndRequest(1, 0, 0)],
            fed(opened, out + record(3, 1, bytes(5) + b"\xaa" * 3)),
        )
        self.assertEqual(
            [StdoutEnded(1), EndRequest(1, 0, 0)], fed(opened, record(STDOUT, 1) + end(1))
        )

    def test_libfcgiAnswer(self) -> None:
        """libfcgi ends both streams, standard error first."""
        self.assertEqual(
            [
                Stdout(1, HEAD),
                Stderr(1, b"oops\n"),
                StderrEnded(1),
                Stdout(1, b"more"),
                StdoutEnded(1),
                EndRequest(1, 0, 0),
            ],
            fed(
                opened,
                record(STDOUT, 1, HEAD)
                + record(STDERR, 1, b"oops\n", padding=3)
                + record(STDERR, 1)
                + record(STDOUT, 1, b"more")
                + record(STDOUT, 1)
                + end(1),
            ),
        )

    def test_statuses(self) -> None:
        """END_REQUEST carries a status of 32 bits and the protocol's, known or not."""
        for status in (*ProtocolStatus, 99):
            self.assertEqual(
                [EndRequest(1, 0xFFFFFFFE, status)], fed(opened, end(1, 0xFFFFFFFE, status))
            )

    def test_padding(self) -> None:
        """Any record may be padded with up to 255 bytes, whatever is in them."""
        self.assertEqual(
            [Stdout(1, b"x"), StdoutEnded(1), EndRequest(1, 7, 0)],
            fed(
                opened,
                record(STDOUT, 1, b"x", padding=255)
                + record(STDOUT, 1, padding=255)
                + record(3, 1, b"\0\0\0\7" + bytes(4), padding=255),
            ),
        )

    def test_longEndRequest(self) -> None:
        """END_REQUEST may be longer than FastCGI 1.0 has it."""
        self.assertEqual([EndRequest(1, 0, 0)], fed(opened, record(3, 1, bytes(16))))

    def test_reservedByte(self) -> None:
        """A header's last byte means nothing."""
        self.assertEqual([Stdout(1, b"ok")], fed(opened, b"\x01\x06\x00\x01\x00\x02\x00\xffok"))

    def test_streams(self) -> None:
        """Responses of several requests come mixed, each under its id."""
        self.assertEqual(
            [
                Stdout(2, b"a"),
                Stdout(1, b"b"),
                EndRequest(2, 0, 0),
                Stderr(1, b"c"),
                EndRequest(1, 0, 0),
            ],
            fed(
                lambda: opened(2),
                record(STDOUT, 2, b"a")
                + record(STDOUT, 1, b"b")
                + end(2)
                + record(STDERR, 1, b"c")
                + end(1),
            ),
        )

    def test_endSaidTwice(self) -> None:
        """The end of a stream that is over is skipped (case end-of-stdout-twice)."""
        self.assertEqual(
            [StdoutEnded(1), EndRequest(1, 0, 0)],
            fed(opened, record(STDOUT, 1) + record(STDOUT, 1) + end(1)),
        )

    def test_unknownRecord(self) -> None:
        """A record of an unknown type is skipped whatever its size (case unknown-record-big)."""
        for kind in (0, 12, 42, 255):
            self.assertEqual(
                [Ignored(1, kind), Stdout(1, b"x")],
                fed(opened, record(kind, 1, b"w" * 20000, padding=3) + record(STDOUT, 1, b"x")),
            )

    def test_managementRecords(self) -> None:
        """Records with id 0 are about the connection, with or without a request on it."""
        for make in (opened, ClientConnection):
            self.assertEqual(
                [Values({b"FCGI_MPXS_CONNS": b"1", b"X": b""}), UnknownType(99), Ignored(0, 77)],
                fed(
                    make,
                    record(GET_VALUES_RESULT, 0, b"\x0f\x01FCGI_MPXS_CONNS1\x01\x00X", padding=4)
                    + record(UNKNOWN_TYPE, 0, b"\x63" + bytes(7))
                    + record(77, 0, b"what"),
                ),
            )

    def test_managementWithRequestId(self) -> None:
        """A management record with a request's id is skipped (case get-values-result)."""
        self.assertEqual(
            [Ignored(1, GET_VALUES_RESULT)], fed(opened, record(GET_VALUES_RESULT, 1, b"\1\1ab"))
        )

    def test_streaming(self) -> None:
        """Content is given out as it comes; nothing waits for the rest of its record."""
        connection = opened()
        header = record(STDOUT, 1, b"x" * 65535, padding=1)[:8]
        self.assertEqual([], connection.receive(header))
        self.assertEqual([Stdout(1, b"abc")], connection.receive(b"abc"))
        rest = b"y" * 65532
        (event,) = connection.receive(rest)
        self.assertEqual(Stdout(1, rest), event)
        self.assertIs(rest, event.data, "not copied")
        self.assertEqual(8 + 65535, connection.pending)
        self.assertEqual([], connection.receive(b"\0"))
        self.assertEqual(0, connection.pending)

    def test_afterAbort(self) -> None:
        """After an abort only the end of the request is seen, also of a record in progress."""

        def make() -> ClientConnection:
            connection = opened(2)
            connection.receive(record(STDOUT, 1, b"0123456789")[:12])
            connection.abort(1)
            return connection

        self.assertEqual(
            [Stdout(2, b"b"), EndRequest(1, 0, 0)],
            fed(
                make,
                b"456789"
                + record(STDOUT, 1, b"a")
                + record(STDERR, 1, b"a")
                + record(STDOUT, 1)
                + record(STDERR, 1)
                + record(STDOUT, 1, b"a")
                + record(STDOUT, 2, b"b")
                + end(1),
            ),
        )

    def test_nothing(self) -> None:
        """No bytes are no event."""
        connection = opened()
        connection.receive(ANSWER[:20])
        self.assertEqual([], connection.receive(b""))

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 60), max_size=6), st.binary(max_size=64))
    def test_cutAnywhere(self, cuts: list[int], junk: bytes) -> None:
        """The events are the same however the bytes are cut, and whatever comes behind."""
        data = ANSWER + junk
        whole = joined(opened().receive(data))
        connection = opened()
        events = []
        for cut in sorted(cuts):
            events += connection.receive(data[:cut])
            data = data[cut:]
        events += connection.receive(data)
        self.assertEqual(whole, joined(events))
        self.assertEqual(
            [Stdout(1, HEAD + b"hello"), StdoutEnded(1), EndRequest(1, 0, 0)], whole[:3]
        )

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 90), max_size=6), st.binary(max_size=64))
    def test_large(self, cuts: list[int], junk: bytes) -> None:
        """What is read as much is the same, in bytes, with adjacent parts as one."""
        data = record(STDOUT, 1, HEAD, padding=5) + record(STDERR, 1, b"oh") + ANSWER + junk
        one, other = opened(), opened()
        for start, stop in pairwise([0, *sorted(cuts), len(data)]):
            part = data[start:stop]
            events = other.receiveLarge(part)
            self.assertEqual(joined(one.receive(part)), joined(events))
            self.assertEqual(len(joined(events)), len(events))
            for event in events:
                self.assertIs(bytes, type(getattr(event, "data", b"")))
            self.assertEqual(repr(one), repr(other))


class ViolationTests(SynchronousTestCase):
    """What an application may not do."""

    def violation(self, data: bytes, *before: object) -> str:
        """What is said of ``data``, which comes after these events."""
        *events, last = fed(opened, data)
        self.assertEqual(list(before), events)
        self.assertIsInstance(last, Violation)
        return last.error

    def test_version(self) -> None:
        """Another version is one, such as a server that does not speak FastCGI."""
        self.violation(record(STDOUT, 1, b"x", version=2))
        self.violation(record(STDOUT, 1, b"x", version=0))
        self.assertIn("version 72", self.violation(b"HTTP/1.1 200 OK\r\n\r\nbody"))
        self.violation(ANSWER[:48] + JUNK, Stdout(1, HEAD + b"hello"))

    def test_requestId(self) -> None:
        """So is a request id that is not open, not open any more, or 0."""
        for kind in (STDOUT, STDERR):
            for content in (b"x", b""):
                self.assertIn("request 9", self.violation(record(kind, 9, content)))
                self.assertIn("id 0", self.violation(record(kind, 0, content)))
        self.assertIn("request 7", self.violation(end(7)))
        self.assertIn("id 0", self.violation(end(0)))
        self.violation(record(99, 2))
        self.violation(
            ANSWER + record(STDOUT, 1, b"late"),
            Stdout(1, HEAD + b"hello"),
            StdoutEnded(1),
            EndRequest(1, 0, 0),
        )

    def test_idle(self) -> None:
        """So is anything about a request while none is open."""
        for data in (record(STDOUT, 1, b"late"), end(1), record(99, 1)):
            (event,) = answered().receive(data)
            self.assertIsInstance(event, Violation)

    def test_ours(self) -> None:
        """So is a record that only a client sends: perhaps it is our own, echoed."""
        for kind in (1, ABORT, PARAMS, STDIN, DATA, GET_VALUES):
            for requestId in (0, 1, 9):
                self.assertIn("only our side", self.violation(record(kind, requestId, b"x")))

    def test_afterEnd(self) -> None:
        """So is content after the end of its stream: the response would have two lengths."""
        self.violation(
            record(STDOUT, 1, b"a") + record(STDOUT, 1) + record(STDOUT, 1, b"b"),
            Stdout(1, b"a"),
            StdoutEnded(1),
        )
        self.violation(record(STDERR, 1) + record(STDERR, 1, b"b"), StderrEnded(1))

    def test_shortEndRequest(self) -> None:
        """So is END_REQUEST of less than 8 bytes: it does not say how the request ended."""
        for size in range(8):
            self.assertIn("END_REQUEST", self.violation(record(3, 1, bytes(size))))

    def test_brokenManagementRecords(self) -> None:
        """So are values that end inside of a pair, and UNKNOWN_TYPE without a type."""
        self.violation(record(GET_VALUES_RESULT, 0, b"\x05\x01MAX"))
        self.violation(record(UNKNOWN_TYPE, 0))

    def test_lastEvent(self) -> None:
        """A violation ends the connection: nothing is read after it, nothing may be sent."""
        connection = opened()
        *_, last = connection.receive(JUNK + ANSWER)
        self.assertIsInstance(last, Violation)
        self.assertEqual([], connection.receive(ANSWER))
        self.assertTrue(connection.over)
        self.assertFalse(connection.isReusable())
        self.assertEqual((1,), connection.streams)
        self.assertRaises(LocalProtocolError, connection.abort, 1)

    def test_status(self) -> None:
        """
        The error is the application's.

        A client gets 503 where httpd notices it too (version and request id), else 502.
        """
        statuses = []
        for data in (JUNK, end(7), record(STDIN, 1)):
            (event,) = opened().receive(data)
            self.assertIsInstance(event.error, RemoteProtocolError)
            statuses.append(event.error.status)
        self.assertEqual([503, 503, 502], statuses)


class LimitsTests(SynchronousTestCase):
    """What an application can make us hold."""

    def test_wholeRecords(self) -> None:
        """A record that is only read as a whole is at most ``maxRecord`` long."""
        for kind, requestId in ((GET_VALUES_RESULT, 0), (UNKNOWN_TYPE, 0), (3, 1)):
            connection = opened(maxRecord=100)
            self.assertEqual([], connection.receive(record(kind, requestId, bytes(100))[:-1]))
            connection = opened(maxRecord=100)
            (event,) = connection.receive(record(kind, requestId, bytes(101))[:8])
            self.assertIn("more than 100", str(event.error))

    def test_held(self) -> None:
        """Between two calls at most one header and ``maxRecord`` bytes are held."""
        values = record(GET_VALUES_RESULT, 0, encodePairs([(b"A", b"v" * 4000)]))
        stream = record(STDOUT, 1, b"x" * 65535, padding=255)
        connection = opened()
        for i in range(len(values)):
            connection.receive(values[i : i + 1])
            self.assertLessEqual(len(connection._rest), 8 + 4096)
        for i in range(len(stream)):
            connection.receive(stream[i : i + 1])
            self.assertLessEqual(len(connection._rest), 8)


class ReusableTests(SynchronousTestCase):
    """:meth:`ClientConnection.isReusable` and what belongs to it."""

    def test_answered(self) -> None:
        """A connection whose requests are over is reusable."""
        self.assertTrue(ClientConnection().isReusable())
        self.assertFalse(opened().isReusable())
        self.assertTrue(answered().isReusable())
        self.assertEqual((), answered().streams)

    def test_refused(self) -> None:
        """Also when the application refused the request (case overloaded-keeps)."""
        connection = opened()
        connection.receive(end(1, 0, ProtocolStatus.OVERLOADED))
        self.assertTrue(connection.isReusable())

    def test_unknownRecord(self) -> None:
        """Also when there was an unknown record (case unknown-record-keeps)."""
        connection = opened()
        connection.receive(record(42, 1, b"?") + ANSWER)
        self.assertTrue(connection.isReusable())

    def test_otherStream(self) -> None:
        """Not while another request is open."""
        connection = opened(2)
        connection.receive(end(1))
        self.assertFalse(connection.isReusable())
        connection.receive(end(2))
        self.assertTrue(connection.isReusable())

    def test_pending(self) -> None:
        """Not while a part of a record is there, be it the padding of the last one."""
        data = ANSWER + record(77, 0, b"abc", padding=5)
        for size in range(len(ANSWER) + 1, len(data)):
            connection = opened()
            connection.receive(data[:size])
            self.assertEqual(size - len(ANSWER), connection.pending)
            self.assertFalse(connection.isReusable())
            connection.receive(data[size:])
            self.assertTrue(connection.isReusable())

    def test_stdinUnfinished(self) -> None:
        """Not when the response was complete before the request was."""
        connection = ClientConnection()
        connection.begin([], keepConnection=True)
        connection.receive(ANSWER)
        self.assertFalse(connection.isReusable())
        self.assertEqual((), connection.streams)
        self.assertRaises(LocalProtocolError, connection.begin, [])
        connection.maxStreams = 2
        self.assertFalse(connection.isReusable())
        connection = ClientConnection(maxStreams=2)
        connection.begin([], keepConnection=True)
        connection.receive(ANSWER)
        self.assertTrue(connection.isReusable(), "an application that multiplexes skips the rest")
        connection = ClientConnection()
        connection.begin([], keepConnection=True)
        connection.endStdin(1)
        connection.receive(ANSWER)
        self.assertTrue(connection.isReusable())

    def test_dataUnfinished(self) -> None:
        """Nor when a filter's DATA was not ended."""
        connection = ClientConnection()
        connection.begin([], role=Role.FILTER, keepConnection=True, stdin=b"")
        connection.receive(ANSWER)
        self.assertFalse(connection.isReusable())

    def test_notKept(self) -> None:
        """Not without KEEP_CONN: the application is about to close."""
        connection = ClientConnection()
        connection.begin([], stdin=b"")
        connection.receive(ANSWER)
        self.assertFalse(connection.isReusable())

    def test_aborted(self) -> None:
        """
        Not after an abort, unless the application multiplexes.

        php-fpm closes when it finds ABORT_REQUEST where BEGIN_REQUEST should be.
        """
        connection = opened()
        connection.abort(1)
        connection.receive(end(1))
        self.assertFalse(connection.isReusable())
        connection = ClientConnection(maxStreams=2)
        connection.begin([], keepConnection=True)
        connection.abort(1)
        connection.receive(end(1))
        self.assertTrue(connection.isReusable())

    def test_lost(self) -> None:
        """Not when the transport is gone."""
        connection = opened(2)
        self.assertEqual((1, 2), connection.lost())
        self.assertFalse(connection.isReusable())
        self.assertEqual([], connection.receive(ANSWER))
