"""The two ends of one connection, talking."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from twisted_fcgi.wire import (
    Abort,
    ApplicationConnection,
    Begin,
    ClientConnection,
    Data,
    DataEnded,
    EndRequest,
    Params,
    Refused,
    Role,
    Stderr,
    StderrEnded,
    Stdin,
    StdinEnded,
    Stdout,
    StdoutEnded,
    UnknownRecord,
    UnknownType,
    Values,
    ValuesRequested,
    Violation,
)

__all__ = ["AgreementTests"]

STREAMS = 3

body = st.binary(min_size=1, max_size=40) | st.just(b"x" * 70000)
pairs = st.lists(st.tuples(st.binary(max_size=140), st.binary(max_size=140)), max_size=4)
which = st.integers(0, STREAMS)


class Agreement(RuleBasedStateMachine):
    """
    Calls either end in any order, and moves bytes between them in any portions.

    Each end's caller knows only what its own end told it.  ``sent`` and ``got``
    are, by direction, request number and stream, what went in and what came out;
    a request's number is new each time, since ids are used again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.client = ClientConnection(maxStreams=STREAMS + 1)
        self.application = ApplicationConnection(maxStreams=STREAMS)
        self.toApplication = b""
        self.toClient = b""
        self.number = 0
        # By request id, its number and what its side may still send.
        self.asking: dict[int, tuple[int, list[str]]] = {}
        self.answering: dict[int, tuple[int, list[str]]] = {}
        # Numbers in the order in which BEGIN_REQUEST was sent, by id.
        self.begun: dict[int, list[int]] = {}
        self.sent: dict[tuple[int, str], bytes] = {}
        self.got: dict[tuple[int, str], bytes] = {}
        self.params: dict[int, Any] = {}
        self.aborted: set[int] = set()
        self.over: set[int] = set()
        self.values = 0

    def pick(self, table: dict[int, Any], which: int) -> int | None:
        """One of the open requests."""
        ids = sorted(table)
        return ids[which % len(ids)] if ids else None

    # -- the client ------------------------------------------------------------------

    @precondition(lambda self: len(self.asking) < STREAMS + 1 and not self.client._spent)
    @rule(pairs=pairs, role=st.sampled_from(Role), stdin=st.none() | st.just(b"") | body)
    def begin(self, pairs: Any, role: Role, stdin: bytes | None) -> None:
        if role == Role.AUTHORIZER:
            stdin = None
        self.number += 1
        requestId, data = self.client.begin(pairs, role=role, keepConnection=True, stdin=stdin)
        assert requestId not in self.asking
        taken = {*self.asking, self.client._restingId}
        assert taken.issuperset(range(1, requestId)), "not the lowest"
        streams = {Role.RESPONDER: ["stdin"], Role.AUTHORIZER: [], Role.FILTER: ["stdin", "data"]}
        left = streams[role]
        if stdin is not None:
            left.remove("stdin")
            self.sent[self.number, "stdin"] = stdin + b"."
        self.asking[requestId] = self.number, left
        self.begun.setdefault(requestId, []).append(self.number)
        self.params[self.number] = pairs
        self.toApplication += data

    @rule(which=which, data=body, ended=st.booleans())
    def send(self, which: int, data: bytes, ended: bool) -> None:
        requestId = self.pick(self.asking, which)
        if requestId is None or not self.asking[requestId][1]:
            return
        number, left = self.asking[requestId]
        name = left[0]
        pieces = getattr(self.client, name)(requestId, data)
        assert all(len(piece) <= 65528 for piece in pieces)
        self.toApplication += b"".join(pieces)
        self.sent[number, name] = self.sent.get((number, name), b"") + data
        if ended:
            left.pop(0)
            end = self.client.endStdin if name == "stdin" else self.client.endData
            self.toApplication += end(requestId)
            self.sent[number, name] += b"."

    @rule(which=which)
    def abort(self, which: int) -> None:
        requestId = self.pick(self.asking, which)
        if requestId is None or self.asking[requestId][0] in self.aborted:
            return
        number, left = self.asking[requestId]
        self.aborted.add(number)
        left.clear()
        self.toApplication += self.client.abort(requestId)

    @rule()
    def ask(self) -> None:
        self.toApplication += self.client.getValues([b"FCGI_MPXS_CONNS"])
        self.values += 1

    @rule()
    def sendUnknown(self) -> None:
        self.toApplication += b"\1\x63\0\0\0\3\5\0what was"

    @rule(size=st.integers(0, 100) | st.just(10**6))
    def clientReads(self, size: int) -> None:
        data, self.toClient = self.toClient[:size], self.toClient[size:]
        for event in self.client.receive(data):
            self.clientSaw(event)

    def clientSaw(self, event: Any) -> None:
        assert not isinstance(event, Violation), event
        if isinstance(event, Values):
            assert event.values == {b"FCGI_MPXS_CONNS": b"1"}
            self.values -= 1
            return
        if isinstance(event, UnknownType):
            assert event.type == 0x63
            return
        number, _ = self.asking[event.requestId]
        if isinstance(event, EndRequest):
            del self.asking[event.requestId]
            self.begun[event.requestId].remove(number)
            assert number in self.over
            if number not in self.aborted:
                self.compare(number, ("stdout", "stderr"), whole=True)
            return
        assert number not in self.aborted
        self.note(number, event)

    # -- the application --------------------------------------------------------------

    @rule(size=st.integers(0, 100) | st.just(10**6))
    def applicationReads(self, size: int) -> None:
        data, self.toApplication = self.toApplication[:size], self.toApplication[size:]
        for event in self.application.receive(data):
            self.applicationSaw(event)

    def applicationSaw(self, event: Any) -> None:
        assert not isinstance(event, Violation), event
        if isinstance(event, ValuesRequested):
            self.toClient += self.application.values(dict.fromkeys(event.names, b"1"))
        elif isinstance(event, UnknownRecord):
            self.toClient += self.application.unknownType(event.type)
        elif isinstance(event, Refused):
            assert len(self.answering) == STREAMS
            self.toClient += event.reply
            self.over.add(self.begun[event.requestId][-1])
        elif isinstance(event, Begin):
            assert event.requestId not in self.answering
            self.answering[event.requestId] = self.begun[event.requestId][-1], ["stdout", "stderr"]
        else:
            number, _ = self.answering[event.requestId]
            if isinstance(event, Params):
                assert event.pairs == self.params[number]
            elif isinstance(event, Abort):
                assert number in self.aborted
            else:
                self.note(number, event)

    @rule(which=which, data=body, stream=st.sampled_from(["stdout", "stderr"]), ended=st.booleans())
    def answer(self, which: int, data: bytes, stream: str, ended: bool) -> None:
        requestId = self.pick(self.answering, which)
        if requestId is None or stream not in self.answering[requestId][1]:
            return
        number, left = self.answering[requestId]
        self.toClient += b"".join(getattr(self.application, stream)(requestId, data))
        self.sent[number, stream] = self.sent.get((number, stream), b"") + data
        if ended:
            left.remove(stream)
            end = self.application.endStdout if stream == "stdout" else self.application.endStderr
            self.toClient += end(requestId)
            self.sent[number, stream] += b"."

    @rule(which=which)
    def end(self, which: int) -> None:
        requestId = self.pick(self.answering, which)
        if requestId is None:
            return
        number, left = self.answering.pop(requestId)
        self.toClient += self.application.end(requestId)
        for stream in left:
            if stream == "stdout" or (number, stream) in self.sent:
                self.sent[number, stream] = self.sent.get((number, stream), b"") + b"."
        self.over.add(number)

    # -- both ---------------------------------------------------------------------------

    def note(self, number: int, event: Any) -> None:
        """Add what came out, an end as a dot."""
        name = {
            Stdin: "stdin",
            StdinEnded: "stdin",
            Data: "data",
            DataEnded: "data",
            Stdout: "stdout",
            StdoutEnded: "stdout",
            Stderr: "stderr",
            StderrEnded: "stderr",
        }[type(event)]
        data = getattr(event, "data", b".")
        assert data
        self.got[number, name] = self.got.get((number, name), b"") + data
        self.compare(number, (name,))

    def compare(self, number: int, names: tuple[str, ...], whole: bool = False) -> None:
        """What came out is the beginning of what went in, or all of it."""
        for name in names:
            sent = self.sent.get((number, name), b"")
            got = self.got.get((number, name), b"")
            assert sent == got if whole else sent.startswith(got), (number, name)

    @invariant()
    def idsAgree(self) -> None:
        """Both ends know of the requests that their callers know of."""
        assert sorted(self.client.streams) == sorted(self.asking)
        assert sorted(self.application.streams) == sorted(self.answering)

    def teardown(self) -> None:
        """At last all comes to an end, and both ends are as new."""
        self.clientReads(10**9)
        self.applicationReads(10**9)
        for requestId in list(self.answering):
            self.end(sorted(self.answering).index(requestId))
        self.clientReads(10**9)
        assert not self.values
        assert self.client.streams == self.application.streams == ()
        assert self.client.pending == self.application.pending == 0
        assert self.client.isReusable() is not self.client._spent


AgreementTests = Agreement.TestCase
AgreementTests.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
