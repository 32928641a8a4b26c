"""The tables of transitions, each cell of them, at both ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.feeding import begin, end, fed, record
from twisted_fcgi.errors import LocalProtocolError
from twisted_fcgi.wire import (
    ApplicationConnection,
    ClientConnection,
    EndRequest,
    RecordType,
    Role,
    Violation,
)
from twisted_fcgi.wire.transitions import (
    CLOSED,
    ENDED,
    ENDINGS,
    MANAGEMENT,
    OTHER,
    OWED,
    TO_APPLICATION,
    TO_CLIENT,
    Input,
    Output,
)

__all__ = ["ApplicationReadsTests", "ClientReadsTests", "SendingTests", "TablesTests"]

PARAMS, STDIN, STDOUT, STDERR, DATA = 4, 5, 6, 7, 8

#: All that can be written into a record's type, by how the tables call it.
RECORDS = [*RecordType, *ENDINGS.values(), OTHER]

#: Content that is right for a record, wherever it may come.
CONTENT = {
    RecordType.BEGIN_REQUEST: b"\x00\x01\x01" + bytes(5),
    RecordType.END_REQUEST: bytes(8),
    RecordType.UNKNOWN_TYPE: b"\x63" + bytes(7),
    RecordType.PARAMS: b"\x01\x01ab",
    RecordType.GET_VALUES: b"\x01\x00a",
    RecordType.GET_VALUES_RESULT: b"\x01\x01ab",
    RecordType.ABORT_REQUEST: b"",
}


def wire(kind: int, requestId: int) -> bytes:
    """The record that the tables call ``kind``."""
    if kind & ENDED:
        return record(kind & ~ENDED, requestId)
    return record(kind or 99, requestId, CONTENT.get(kind, b"content"))


def applicationIn(state: int) -> ApplicationConnection:
    """An application's end whose request 1 is on its way and in that state."""
    connection = ApplicationConnection()
    params = record(PARAMS, 1, b"\x01\x01ab")
    role = Role.RESPONDER
    rest = b""
    if state in (Input.PARAMS_STDIN_DATA, Input.STDIN_DATA, Input.DATA):
        role = Role.FILTER
    if state == Input.PARAMS:
        role = Role.AUTHORIZER
    if state in (Input.STDIN, Input.STDIN_DATA, Input.DATA, Input.NOTHING, Input.ABORTED):
        rest = params + record(PARAMS, 1)
    if state in (Input.DATA, Input.NOTHING):
        rest += record(STDIN, 1, b"body") + record(STDIN, 1)
    if state == Input.ABORTED:
        rest += record(RecordType.ABORT_REQUEST, 1)
    if state not in (CLOSED, MANAGEMENT):
        connection.receive(begin(1, role) + rest)
    return connection


def clientIn(state: int) -> ClientConnection:
    """A client's end whose request 1 was sent, and whose response is in that state."""
    connection = ClientConnection(maxStreams=2)
    if state in (CLOSED, MANAGEMENT):
        return connection
    connection.begin([], keepConnection=True, stdin=b"")
    if state in (Output.STDOUT_ENDED, Output.BOTH_ENDED):
        connection.receive(record(STDOUT, 1))
    if state in (Output.STDERR_ENDED, Output.BOTH_ENDED):
        connection.receive(record(STDERR, 1))
    if state == Output.ABORTED:
        connection.abort(1)
    return connection


class TablesTests(SynchronousTestCase):
    """The tables by themselves."""

    def test_rowsNameKnownThings(self) -> None:
        """Each row is about a state and a record that exist, and leads to such a state."""
        for table, states in ((TO_APPLICATION, Input), (TO_CLIENT, Output)):
            for (state, kind), (_, after) in table.items():
                self.assertIn(state, list(states))
                self.assertIn(after, list(states))
                self.assertIn(kind, RECORDS)

    def test_statesAreReached(self) -> None:
        """No state of a request is there that nothing leads to."""
        reached = {after for _, after in TO_APPLICATION.values()} | set(OWED.values())
        self.assertEqual(set(Input), reached)
        reached = {after for _, after in TO_CLIENT.values()} | {Output.OPEN, Output.ABORTED}
        self.assertEqual(set(Output), reached)

    def test_directionsAreApart(self) -> None:
        """No record of FastCGI 1.0 may go both ways."""
        toApplication = {kind for _, kind in TO_APPLICATION} - {OTHER}
        toClient = {kind for _, kind in TO_CLIENT} - {OTHER}
        self.assertEqual(set(), toApplication & toClient)
        self.assertEqual(set(RECORDS) - {OTHER}, toApplication | toClient)

    def test_openRequestsCanEnd(self) -> None:
        """Whatever state a response is in, END_REQUEST is right; so is a first ABORT_REQUEST."""
        for output in set(Output) - {CLOSED, MANAGEMENT}:
            self.assertEqual((EndRequest, Output.CLOSED), TO_CLIENT[output, RecordType.END_REQUEST])
        for inward in set(Input) - {MANAGEMENT}:
            self.assertIn((inward, RecordType.ABORT_REQUEST), TO_APPLICATION)


class ReadsMixin:
    """Every state against every record."""

    def everyCell(self, table: Any, states: Any, make: Callable[[int], Any]) -> None:
        """Feed each record in each state, and compare with the table."""
        for state in states:
            requestId = 0 if state == MANAGEMENT else 1
            for kind in RECORDS:
                where = f"{state!r} {kind:#x}"
                after = []

                def connection(state: int = state, after: list[Any] = after) -> Any:
                    after.append(make(state))
                    return after[-1]

                events = fed(connection, wire(kind, requestId))
                row = table.get((state, kind))
                if row is None:
                    self.assertEqual([Violation], [type(event) for event in events], where)
                    self.assertTrue(after[0].over, where)
                    continue
                self.assertFalse(after[0].over, where)
                event, target = row
                # PARAMS makes an event only at its end.
                expected = [] if event is None or kind == RecordType.PARAMS else [event]
                self.assertEqual(expected, [type(event) for event in events], where)
                if kind == RecordType.BEGIN_REQUEST:
                    target = OWED[Role.RESPONDER]
                self.assertEqual(target if requestId else CLOSED, stateOf(after[0]), where)


def stateOf(connection: Any) -> int:
    """The state in which request 1 is read, as the connection's ``repr`` tells it."""
    states = Output if isinstance(connection, ClientConnection) else Input
    for word in repr(connection).strip("<>").split():
        if word.startswith("1:"):
            return states[word.partition("/")[2]]
    return CLOSED


class ApplicationReadsTests(ReadsMixin, SynchronousTestCase):
    """What an application reads."""

    def test_states(self) -> None:
        """The test's way into each state leads there."""
        for state in set(Input) - {MANAGEMENT}:
            self.assertEqual(state, stateOf(applicationIn(state)))

    def test_everyCell(self) -> None:
        """What the table lists is taken as it says; all else is a violation."""
        self.everyCell(TO_APPLICATION, Input, applicationIn)


class ClientReadsTests(ReadsMixin, SynchronousTestCase):
    """What a client reads."""

    def test_states(self) -> None:
        """The test's way into each state leads there."""
        for state in set(Output) - {MANAGEMENT}:
            self.assertEqual(state, stateOf(clientIn(state)))

    def test_everyCell(self) -> None:
        """What the table lists is taken as it says; all else is a violation."""
        self.everyCell(TO_CLIENT, Output, clientIn)


class SendingTests(SynchronousTestCase):
    """What either end sends is checked against the same tables."""

    def everyCall(
        self,
        table: Any,
        states: Any,
        make: Callable[[Any], Any],
        calls: dict[int, Callable[[Any], Any]],
    ) -> None:
        """Call each sending method in each state, and compare with the table."""
        for state in states:
            for kind, call in calls.items():
                event, _ = table.get((state, kind), (None, None))
                connection = make(state)
                if event is None:
                    self.assertRaises(LocalProtocolError, call, connection)
                else:
                    self.assertTrue(call(connection), f"{state!r} {kind:#x}")

    def test_client(self) -> None:
        """A client may send what is listed with an event, and nothing else."""

        def make(state: int) -> ClientConnection:
            connection = ClientConnection()
            if state == CLOSED:
                return connection
            if state == Input.ABORTED:
                connection.begin([], stdin=b"")
                connection.abort(1)
                return connection
            role = Role.FILTER if state in (Input.STDIN_DATA, Input.DATA) else Role.RESPONDER
            connection.begin([], role=role)
            if state in (Input.DATA, Input.NOTHING):
                connection.endStdin(1)
            return connection

        states = (
            Input.CLOSED,
            Input.STDIN,
            Input.STDIN_DATA,
            Input.DATA,
            Input.NOTHING,
            Input.ABORTED,
        )
        self.everyCall(
            TO_APPLICATION,
            states,
            make,
            {
                STDIN: lambda connection: connection.stdin(1, b"x"),
                STDIN | ENDED: lambda connection: connection.endStdin(1),
                DATA: lambda connection: connection.data(1, b"x"),
                DATA | ENDED: lambda connection: connection.endData(1),
                RecordType.ABORT_REQUEST: lambda connection: connection.abort(1),
            },
        )

    def test_application(self) -> None:
        """An application may send what is listed with an event, and nothing else."""

        def make(state: int) -> ApplicationConnection:
            connection = applicationIn(Input.CLOSED if state == CLOSED else Input.NOTHING)
            if state in (Output.STDOUT_ENDED, Output.BOTH_ENDED):
                connection.endStdout(1)
            if state in (Output.STDERR_ENDED, Output.BOTH_ENDED):
                connection.endStderr(1)
            return connection

        self.everyCall(
            TO_CLIENT,
            set(Output) - {Output.MANAGEMENT, Output.ABORTED},
            make,
            {
                STDOUT: lambda connection: connection.stdout(1, b"x"),
                STDOUT | ENDED: lambda connection: connection.endStdout(1),
                STDERR: lambda connection: connection.stderr(1, b"x"),
                STDERR | ENDED: lambda connection: connection.endStderr(1),
                RecordType.END_REQUEST: lambda connection: connection.end(1),
            },
        )

    def test_over(self) -> None:
        """After a violation, or once the transport is gone, nothing may be sent."""
        client = clientIn(Output.OPEN)
        client.receive(end(1) + end(1))
        self.assertRaises(LocalProtocolError, client.getValues, [b"a"])
        self.assertRaises(LocalProtocolError, client.begin, [])
        application = applicationIn(Input.NOTHING)
        self.assertEqual((1,), application.lost())
        self.assertRaises(LocalProtocolError, application.end, 1)
