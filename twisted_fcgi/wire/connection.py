"""
Records out of bytes: what both ends of a connection read in the same way.

:meth:`Connection.receive` goes once over what came, with one look-up in the
table of transitions for each record.  Stream content is given out as it comes,
so that a record of 64 KiB is never waited for; what is held between two calls
is at most the beginning of a header, or of a record that means something only
when it is whole, and those are bounded by ``maxRecord``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from twisted_fcgi.errors import LocalProtocolError, RemoteProtocolError
from twisted_fcgi.wire.events import (
    PARTS,
    DataEnded,
    Event,
    Ignored,
    Params,
    StderrEnded,
    StdinEnded,
    StdoutEnded,
    UnknownRecord,
    Violation,
    together,
)
from twisted_fcgi.wire.records import HEADER_LENGTH, MAX_REQUEST_ID, VERSION, RecordType
from twisted_fcgi.wire.transitions import (
    CLOSED,
    ENDED,
    ENDINGS,
    MANAGEMENT,
    OTHER,
    Input,
    Output,
    Table,
)

__all__ = ["Connection", "Halves", "typeName"]

_unpackHeader = struct.Struct(">BBHHBx").unpack_from

UNKNOWN_TYPE = int(RecordType.UNKNOWN_TYPE)

#: What httpd answers its client for what it notices itself: a wrong version or request id.
_HTTPD_STATUS = 503

_ENDS = frozenset((StdoutEnded, StderrEnded, StdinEnded, DataEnded))


def typeName(record: int) -> str:
    """A record's type, for people; with or without the mark of a stream's end."""
    number = record & ~ENDED
    name = RecordType(number).name if 1 <= number <= UNKNOWN_TYPE else f"a record of type {number}"
    return f"the end of {name}" if record & ENDED else name


def _stateWithout(requestId: int) -> int:
    """The state of what is no request."""
    return CLOSED if requestId else MANAGEMENT


class Halves:
    """
    How far a request is.

    :ivar writing: the state of the half that is written.
    :ivar reading: that of the half that is read.
    """

    __slots__ = ("reading", "writing")

    def __init__(self, writing: Input | Output, reading: Input | Output) -> None:
        self.writing = writing
        self.reading = reading


class Connection:
    """
    One end of a connection, as far as it is the same for both.

    A request has two halves, one that is written and one that is read; their
    states are kept by request id, and shown in that order by ``repr``.

    :ivar over: whether the peer broke the protocol or the transport is gone;
        nothing is read or sent any more.
    """

    #: What may be received, and what may be sent.
    _reads: ClassVar[Table]
    _writes: ClassVar[Table]

    #: What to do with records that mean something only when they are whole, by event.
    _whole: ClassVar[Mapping[type, Callable[[Any, int, bytes, list[Event]], None]]]

    def __init__(self, maxStreams: int, maxRecord: int) -> None:
        if not 1 <= maxStreams <= MAX_REQUEST_ID:
            raise LocalProtocolError(f"{maxStreams} streams on one connection are not possible")
        self.over = False
        self._maxStreams = maxStreams
        self._maxRecord = maxRecord
        # Those that are over may stay, closed.
        self._requests: dict[int, Halves] = {}
        # The beginning of a record that is of no use yet.
        self._rest = b""
        # Or: a record that comes in pieces.  Its size, what of its content and padding is
        # still to come, for whom, and the event that content makes; None to skip it.
        self._size = 0
        self._content = 0
        self._padding = 0
        self._requestId = 0
        self._event: Any = None

    def __repr__(self) -> str:
        parts = [type(self).__name__]
        parts += [
            f"{requestId}:{request.writing.name}/{request.reading.name}"
            for requestId, request in self._requests.items()
            if request.reading
        ]
        if self.pending:
            parts.append(f"pending={self.pending}")
        if self.over:
            parts.append("over")
        return f"<{' '.join(parts)}>"

    @property
    def streams(self) -> tuple[int, ...]:
        """The ids of the requests that are open."""
        return tuple([it for it, request in self._requests.items() if request.reading])

    @property
    def pending(self) -> int:
        """How many bytes came of a record that is not whole yet; 0 between two records."""
        return len(self._rest) + self._size - self._content - self._padding

    def lost(self) -> tuple[int, ...]:
        """
        The transport is gone.

        :returns: the ids of the requests that will never be ended.
        """
        self.over = True
        return self.streams

    def receive(self, data: bytes) -> list[Event]:
        """
        Read what came.

        Never raises for what a peer sent: a :class:`~twisted_fcgi.wire.Violation`
        is the last event then, and nothing is read after it.

        :param data: any part of what the peer sends.
        """
        return self._receive(data)

    def receiveLarge(self, data: bytes) -> list[Event]:
        """
        Read what came when it is much, as :meth:`receive`.

        Adjacent parts of a stream are given out as one, and are copied only once.
        """
        return together(self._receive(memoryview(data)))

    def _receive(self, data: bytes | memoryview) -> list[Event]:
        events: list[Event] = []
        if not self.over:
            try:
                self._read(data, events)
            except RemoteProtocolError as error:
                self.over = True
                events.append(Violation(error))
        return events

    def _read(self, data: bytes | memoryview, events: list[Event]) -> None:
        at = 0
        if self._rest:
            data = self._rest + data
            self._rest = b""
        elif self._size:
            at = self._readOn(data, events)
        size = len(data)
        requests = self._requests
        table = self._reads
        while size - at >= HEADER_LENGTH:
            version, kind, requestId, length, padding = _unpackHeader(data, at)
            if version != VERSION:
                raise RemoteProtocolError(f"a record of version {version}, not 1", _HTTPD_STATUS)
            record = kind if kind <= UNKNOWN_TYPE else OTHER
            if not length and record in ENDINGS:
                record |= ENDED
            request: Halves | None = requests.get(requestId)
            state = _stateWithout(requestId) if request is None else request.reading
            row = table.get((state, record))
            if row is None:
                raise self._unlisted(state, kind, record, requestId)
            event, after = row
            start = at + HEADER_LENGTH
            stop = start + length
            if event in PARTS:
                if stop <= size:
                    events.append(event(requestId, data[start:stop]))
                elif start < size:
                    events.append(event(requestId, data[start:]))
            elif event in _ENDS:
                requests[requestId].reading = after
                events.append(event(requestId))
            elif event is Params and length:
                self._gather(requestId, bytes(data[start:stop]), events)
            elif event is Ignored:
                events.append(Ignored(requestId, kind))
            elif event is UnknownRecord:
                events.append(UnknownRecord(kind))
            elif event is not None:
                if length > self._maxRecord:
                    raise RemoteProtocolError(
                        f"{typeName(kind)} of {length} bytes, more than {self._maxRecord}"
                    )
                if stop > size:
                    break
                if after != CLOSED and request is not None:
                    request.reading = after
                self._whole[event](self, requestId, bytes(data[start:stop]), events)
            at = stop + padding
            if at > size:
                self._size = at - start + HEADER_LENGTH
                self._content = max(0, stop - size)
                self._padding = at - max(stop, size)
                self._requestId = requestId
                self._event = event
                return
        self._rest = bytes(data[at:])

    def _readOn(self, data: bytes | memoryview, events: list[Event]) -> int:
        """Read on in a record that comes in pieces; returns where the next one begins."""
        size = len(data)
        at = min(size, self._content)
        self._content -= at
        if at and self._event is Params:
            self._gather(self._requestId, bytes(data[:at]), events)
        elif at and self._event in PARTS:
            events.append(self._event(self._requestId, data[:at]))
        skipped = min(size - at, self._padding)
        self._padding -= skipped
        if not self._content and not self._padding:
            self._size = 0
        return at + skipped

    def _gather(self, requestId: int, data: bytes, events: list[Event]) -> None:
        """A part of PARAMS came; only an application is ever sent one."""
        raise NotImplementedError

    def _unlisted(self, state: Any, kind: int, record: int, requestId: int) -> RemoteProtocolError:
        """The error for a record that the table does not list."""
        name = typeName(kind | record & ENDED)
        if kind not in {listed & ~ENDED for _, listed in self._reads}:
            return RemoteProtocolError(f"{name}, which only our side sends")
        if state == MANAGEMENT:
            return RemoteProtocolError(f"{name} with request id 0", _HTTPD_STATUS)
        if state == CLOSED:
            return RemoteProtocolError(
                f"{name} for request {requestId}, which is not open", _HTTPD_STATUS
            )
        return RemoteProtocolError(f"{name} for request {requestId} in state {state.name}")

    def _send(self, record: int, requestId: int) -> None:
        """
        Check that a record may be sent, and move the state on.

        :param record: as the tables have it.
        :raises LocalProtocolError: if it may not be sent.
        """
        request: Halves | None = self._requests.get(requestId)
        state = _stateWithout(requestId) if request is None else request.writing
        event, after = self._writes.get((state, record), (None, None))
        if event is None or self.over:
            raise LocalProtocolError(f"{typeName(record)} of {requestId} can't be sent: {self!r}")
        if request is not None:
            request.writing = after
