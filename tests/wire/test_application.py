"""The application's end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.wire.feeding import begin, end, fed, joined, record
from twisted_fcgi.errors import LocalProtocolError
from twisted_fcgi.wire import (
    Abort,
    ApplicationConnection,
    Begin,
    Data,
    DataEnded,
    Ignored,
    Params,
    ProtocolStatus,
    Refused,
    Role,
    Stdin,
    StdinEnded,
    UnknownRecord,
    ValuesRequested,
    Violation,
    encodePairs,
)

__all__ = ["FinishedTests", "LimitsTests", "ReceiveTests", "SendTests", "ViolationTests"]

ABORT, PARAMS, STDIN, STDOUT, STDERR, DATA = 2, 4, 5, 6, 7, 8
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11

PAIRS = [(b"SCRIPT_NAME", b"/x"), (b"LONG", b"v" * 300), (b"EMPTY", b"")]
ENCODED = encodePairs(PAIRS)
PARAMS_RECORDS = record(PARAMS, 1, ENCODED, padding=3) + record(PARAMS, 1)
POST = begin(1) + PARAMS_RECORDS + record(STDIN, 1, b"body") + record(STDIN, 1)


def application(**options: int) -> ApplicationConnection:
    """An application that multiplexes, unless told otherwise."""
    return ApplicationConnection(**{"maxStreams": 4, **options})


def asked(data: bytes = POST, **options: int) -> ApplicationConnection:
    """An application that was sent something."""
    connection = application(**options)
    connection.receive(data)
    return connection


class ReceiveTests(SynchronousTestCase):
    """:meth:`ApplicationConnection.receive`, whole, byte by byte and with junk behind."""

    def test_responder(self) -> None:
        """A responder is sent its parameters, then the body."""
        self.assertEqual(
            [
                Begin(1, Role.RESPONDER, True),
                Params(1, PAIRS),
                Stdin(1, b"body"),
                StdinEnded(1),
            ],
            fed(application, POST),
        )

    def test_authorizer(self) -> None:
        """An authorizer is sent parameters only; a client that ends STDIN is borne with."""
        for rest in (b"", record(STDIN, 1)):
            self.assertEqual(
                [Begin(1, Role.AUTHORIZER, False), Params(1, PAIRS)],
                fed(application, begin(1, 2, 0) + PARAMS_RECORDS + rest),
            )

    def test_filter(self) -> None:
        """A filter is sent the body, then the file."""
        self.assertEqual(
            [
                Begin(1, Role.FILTER, True),
                Params(1, PAIRS),
                Stdin(1, b"body"),
                StdinEnded(1),
                Data(1, b"file"),
                DataEnded(1),
            ],
            fed(
                application,
                begin(1, 3)
                + PARAMS_RECORDS
                + record(STDIN, 1, b"body")
                + record(STDIN, 1)
                + record(DATA, 1, b"file")
                + record(DATA, 1),
            ),
        )

    @settings(deadline=None)
    @given(st.integers(1, len(ENCODED) - 1))
    def test_paramsCutAnywhere(self, cut: int) -> None:
        """A pair may go over the end of a record."""
        data = begin(1) + record(PARAMS, 1, ENCODED[:cut]) + record(PARAMS, 1, ENCODED[cut:])
        self.assertEqual(
            [Begin(1, 1, True), Params(1, PAIRS)], fed(application, data + record(PARAMS, 1))
        )

    def test_noParams(self) -> None:
        """A request may have no parameters."""
        self.assertEqual(
            [Begin(1, 1, True), Params(1, [])], fed(application, begin(1) + record(PARAMS, 1))
        )

    def test_streams(self) -> None:
        """Requests come mixed, each under its id."""
        self.assertEqual(
            [
                Begin(2, 1, True),
                Begin(1, 1, True),
                Params(1, PAIRS),
                Params(2, []),
                Stdin(2, b"b"),
                StdinEnded(1),
            ],
            fed(
                application,
                begin(2)
                + begin(1)
                + PARAMS_RECORDS
                + record(PARAMS, 2)
                + record(STDIN, 2, b"b")
                + record(STDIN, 1),
            ),
        )

    def test_abort(self) -> None:
        """After an abort, told once, the rest of the request is skipped."""
        for before, count in (
            (begin(1), 1),
            (begin(1) + record(PARAMS, 1, ENCODED[:200]), 1),
            (begin(1) + PARAMS_RECORDS, 2),
            (POST, 4),
        ):
            events = fed(
                application,
                before
                + record(ABORT, 1)
                + record(PARAMS, 1, b"\xff")
                + record(PARAMS, 1)
                + record(STDIN, 1, b"x")
                + record(STDIN, 1)
                + record(ABORT, 1),
            )
            self.assertEqual([Abort(1)], events[count:])

    def test_ended(self) -> None:
        """What is on its way for a request that is over is skipped; its id may begin anew."""

        def make() -> ApplicationConnection:
            connection = asked(begin(1) + PARAMS_RECORDS + record(STDIN, 1, b"0123456789")[:12])
            connection.end(1)
            return connection

        self.assertEqual(
            [Begin(1, 1, True)],
            fed(
                make,
                b"456789"
                + record(STDIN, 1, b"more")
                + record(STDIN, 1)
                + record(ABORT, 1)
                + begin(1),
            ),
        )

    def test_management(self) -> None:
        """Values are asked for, and unknown records come, with request id 0."""
        self.assertEqual(
            [ValuesRequested([b"FCGI_MAX_CONNS", b"X"]), UnknownRecord(77), ValuesRequested([])],
            fed(
                application,
                record(GET_VALUES, 0, b"\x0e\x00FCGI_MAX_CONNS\x01\x00X")
                + record(77, 0, b"w" * 9000)
                + record(GET_VALUES, 0),
            ),
        )

    def test_unknownRecord(self) -> None:
        """An unknown record of an open request is skipped."""
        self.assertEqual([Ignored(1, 42)], fed(asked, record(42, 1, b"what")))


class SendTests(SynchronousTestCase):
    """What an application sends."""

    def test_response(self) -> None:
        """The end of a request ends the streams that were used, or have to be, first."""
        connection = asked()
        self.assertEqual(
            record(STDOUT, 1, b"12345678"), b"".join(connection.stdout(1, b"12345678"))
        )
        self.assertEqual(record(STDOUT, 1) + end(1, 3), connection.end(1, 3))
        self.assertEqual((), connection.streams)

    def test_complaint(self) -> None:
        """Standard error is ended only if there was any."""
        connection = asked()
        self.assertEqual(
            record(STDERR, 1, b"12345678"), b"".join(connection.stderr(1, b"12345678"))
        )
        self.assertEqual(
            record(STDERR, 1) + record(STDOUT, 1) + end(1, 0xFFFFFFFF), connection.end(1, -1)
        )

    def test_endedBefore(self) -> None:
        """No stream is ended twice."""
        connection = asked()
        connection.stderr(1, b"x")
        self.assertEqual(record(STDOUT, 1), connection.endStdout(1))
        self.assertEqual(record(STDERR, 1), connection.endStderr(1))
        self.assertEqual(end(1), connection.end(1))

    def test_values(self) -> None:
        """Values are answered with request id 0."""
        self.assertEqual(
            record(GET_VALUES_RESULT, 0, b"\x01\x05Avalue"),
            application().values({b"A": b"value"}),
        )
        self.assertRaises(LocalProtocolError, application().values, {b"A": b"v" * 65536})

    def test_unknownType(self) -> None:
        """An unknown type is answered with that type."""
        self.assertEqual(record(UNKNOWN_TYPE, 0, b"\x4d" + bytes(7)), application().unknownType(77))


class ViolationTests(SynchronousTestCase):
    """What a client may not do."""

    def violation(self, data: bytes) -> str:
        """What is said of ``data`` at last."""
        last = fed(application, data)[-1]
        self.assertIsInstance(last, Violation)
        return last.error

    def test_begin(self) -> None:
        """Beginning what is begun, or request 0, or in less than 8 bytes, is one."""
        self.assertIn("BEGIN_REQUEST", self.violation(begin(1) + begin(1)))
        self.assertIn("id 0", self.violation(begin(0)))
        self.assertIn("7 bytes", self.violation(record(1, 1, bytes(7))))

    def test_order(self) -> None:
        """So is a stream before its time, or after its end."""
        self.violation(begin(1) + record(STDIN, 1, b"x"))
        self.violation(POST + record(PARAMS, 1))
        self.violation(POST + record(STDIN, 1, b"x"))
        self.violation(POST + record(DATA, 1, b"x"))
        self.violation(begin(1, 3) + PARAMS_RECORDS + record(DATA, 1))
        self.violation(begin(1, 2) + PARAMS_RECORDS + record(STDIN, 1, b"x"))

    def test_brokenParams(self) -> None:
        """So are parameters that end inside of a pair."""
        self.violation(begin(1) + record(PARAMS, 1, ENCODED[:-1]) + record(PARAMS, 1))

    def test_theirs(self) -> None:
        """So is a record that only an application sends."""
        for kind in (3, STDOUT, STDERR, GET_VALUES_RESULT, UNKNOWN_TYPE):
            for requestId in (0, 1):
                self.assertIn("only our side", self.violation(begin(1) + record(kind, requestId)))


class LimitsTests(SynchronousTestCase):
    """What a client can make an application hold."""

    def refused(self, requestId: int, why: ProtocolStatus) -> Refused:
        """The refusal of a request."""
        return Refused(requestId, why, end(requestId, 0, why))

    def test_cannotMultiplex(self) -> None:
        """A second request on a connection for one at a time is refused; the first goes on."""
        self.assertEqual(
            [
                Begin(1, 1, True),
                self.refused(2, ProtocolStatus.CANT_MPX_CONN),
                Params(1, []),
                StdinEnded(1),
            ],
            fed(
                ApplicationConnection,
                begin(1)
                + begin(2)
                + record(PARAMS, 2, b"x")
                + record(PARAMS, 1)
                + record(PARAMS, 2)
                + record(STDIN, 2)
                + record(STDIN, 1),
            ),
        )

    def test_tooManyStreams(self) -> None:
        """One request more than ``maxStreams`` is refused as overload."""
        self.assertEqual(
            self.refused(9, ProtocolStatus.OVERLOADED),
            fed(lambda: application(maxStreams=2), begin(1) + begin(2) + begin(9))[-1],
        )

    def test_unknownRole(self) -> None:
        """A role that is none is refused, and the id may begin again."""
        self.assertEqual(
            [self.refused(1, ProtocolStatus.UNKNOWN_ROLE), Begin(1, 1, True), Params(1, PAIRS)],
            fed(application, begin(1, 4) + record(PARAMS, 1) + begin(1) + PARAMS_RECORDS),
        )

    def test_paramsTooLong(self) -> None:
        """Parameters of more than ``maxParams`` bytes are refused as overload, once."""
        events = fed(
            lambda: application(maxParams=len(ENCODED) - 1),
            begin(1) + PARAMS_RECORDS + record(STDIN, 1, b"x") + record(STDIN, 1),
        )
        self.assertEqual([Begin(1, 1, True), self.refused(1, ProtocolStatus.OVERLOADED)], events)
        self.assertIn(Params(1, PAIRS), fed(lambda: application(maxParams=len(ENCODED)), POST))

    def test_tooManyParams(self) -> None:
        """So are more than ``maxPairs`` of them."""
        events = fed(lambda: application(maxPairs=2), POST)
        self.assertEqual([Begin(1, 1, True), self.refused(1, ProtocolStatus.OVERLOADED)], events)
        self.assertIn(Params(1, PAIRS), fed(lambda: application(maxPairs=3), POST))

    def test_wholeRecords(self) -> None:
        """A record that is only read as a whole is at most ``maxRecord`` long."""
        for data in (
            record(GET_VALUES, 0, bytes(101)),
            record(1, 1, b"\0\1" + bytes(99)),
            begin(1) + record(ABORT, 1, bytes(101)),
        ):
            last = fed(lambda: application(maxRecord=100), data)[-1]
            self.assertIn("more than 100", last.error)

    def test_released(self) -> None:
        """Nothing is kept of a request that is over, however it ended."""
        connection = asked(
            POST + begin(2) + record(PARAMS, 2, b"\x10\x10x") + begin(3) + record(ABORT, 3)
        )
        connection.stderr(1, b"x")
        for requestId in (1, 2, 3):
            connection.end(requestId)
        fresh = application()
        for end_ in (fresh, connection):
            del end_._requestId, end_._unread
        self.assertEqual(vars(fresh), vars(connection))


class FinishedTests(SynchronousTestCase):
    """:attr:`ApplicationConnection.finished`."""

    def test_kept(self) -> None:
        """With KEEP_CONN a connection is for further requests."""
        connection = asked()
        connection.end(1)
        self.assertFalse(connection.finished)

    def test_notKept(self) -> None:
        """Without, it is finished once no request is open."""
        self.assertFalse(application().finished)
        whole = record(PARAMS, 1) + record(STDIN, 1)
        for data in (whole, begin(2, 2) + record(PARAMS, 2) + whole, record(ABORT, 1)):
            connection = asked(begin(1, flags=0) + data)
            for requestId in connection.streams:
                self.assertFalse(connection.finished)
                connection.end(requestId)
            self.assertTrue(connection.finished)

    def test_unread(self) -> None:
        """A client that may still be writing a request is left to close."""
        for data in (record(PARAMS, 1), record(PARAMS, 1) + record(STDIN, 1, b"x")):
            connection = asked(begin(1, flags=0) + data)
            connection.end(1)
            self.assertFalse(connection.finished)
        self.assertFalse(asked(begin(1, 4, flags=0)).finished)

    def test_events(self) -> None:
        """Events of one read are in the order of the bytes."""
        self.assertEqual(
            ["Begin", "Params", "Stdin", "StdinEnded"],
            [type(event).__name__ for event in joined(application().receive(POST))],
        )
