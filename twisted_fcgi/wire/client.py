"""
The client's end of a connection: a web server's, which is what we are.

Nothing here knows a socket: methods return the bytes to be written, and
:meth:`ClientConnection.receive` takes what was read and returns events.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush, heappushpop
from typing import ClassVar

from twisted_fcgi.errors import LocalProtocolError, RemoteProtocolError
from twisted_fcgi.wire.connection import Connection, Halves
from twisted_fcgi.wire.events import (
    EndRequest,
    Event,
    UnknownType,
    Values,
)
from twisted_fcgi.wire.pairs import Pair, decodePairs, encodePairs
from twisted_fcgi.wire.records import (
    HEADER_LENGTH,
    KEEP_CONN,
    MANAGEMENT_ID,
    MAX_CONTENT,
    MAX_REQUEST_ID,
    PADDING,
    PIECE,
    VERSION,
    Bytes,
    ProtocolStatus,
    RecordType,
    Role,
    encodeHeader,
    encodeRecord,
    encodeStream,
)
from twisted_fcgi.wire.transitions import ENDED, OWED, TO_APPLICATION, TO_CLIENT, Input, Output

__all__ = ["ClientConnection", "Response"]

_packOpening = struct.Struct(">BBHHBxHB5x").pack
_unpackEnd = struct.Struct(">IB").unpack_from

# For speed: as plain numbers, and without a look-up in an enumeration.
BEGIN_REQUEST = int(RecordType.BEGIN_REQUEST)
PARAMS = int(RecordType.PARAMS)
STDIN = int(RecordType.STDIN)
AUTHORIZER = int(Role.AUTHORIZER)
COMPLETE = int(ProtocolStatus.REQUEST_COMPLETE)
OPEN, READ = Output.OPEN, Output.CLOSED
NOTHING, ABORTED, WRITTEN = Input.NOTHING, Input.ABORTED, Input.CLOSED

#: What an application in a role is owed once PARAMS is over, and then STDIN.
_AFTER_PARAMS = {int(role): TO_APPLICATION[owed, PARAMS | ENDED][1] for role, owed in OWED.items()}
_AFTER_STDIN = {
    role: TO_APPLICATION[owed, STDIN | ENDED][1] for role, owed in _AFTER_PARAMS.items()
}

#: The states of a response whose end was said.
_WHOLE = (Output.STDOUT_ENDED, Output.BOTH_ENDED)

# The second half of a record's header: by the first byte of the length, and by the second,
# which says what the padding is.
_HIGH = tuple(bytes((high,)) for high in range(256))
_LOW = tuple(bytes((low, -low & 7, 0)) for low in range(256))


class _Records:
    """
    What is the same whenever a request has the same id.

    :ivar openings: BEGIN_REQUEST and the first half of the header of PARAMS, by role and flags.
    :ivar paramsEnd: the end of PARAMS.
    :ivar ends: those of PARAMS and STDIN.
    :ivar output: the first half of the header of STDOUT.
    :ivar over: what END_REQUEST says as a rule.
    :ivar end: END_REQUEST that says so.
    :ivar outputEnd: the end of STDOUT, and then that.
    """

    def __init__(self, requestId: int) -> None:
        self.openings: list[bytes] = [
            _packOpening(VERSION, BEGIN_REQUEST, requestId, 8, 0, role, flags)
            + encodeHeader(PARAMS, requestId)[:4]
            for role in (0, *Role)
            for flags in (0, KEEP_CONN)
        ]
        self.paramsEnd: bytes = encodeHeader(PARAMS, requestId)
        self.ends: bytes = self.paramsEnd + encodeHeader(STDIN, requestId)
        self.over = EndRequest(requestId, 0, 0)
        self.output: bytes = encodeHeader(RecordType.STDOUT, requestId)[:4]
        self.end: bytes = encodeRecord(RecordType.END_REQUEST, requestId, bytes(8))
        self.outputEnd: bytes = self.output + bytes(4) + self.end


#: Those ids that are in use most of the time: the highest, and of each its records.
_USUAL = 64
_RECORDS = [_Records(requestId) for requestId in range(_USUAL + 1)]


@dataclass(slots=True)
class Response:
    """
    A response that came whole.

    :ivar data: all of its output.
    :ivar end: how it ended.
    :ivar stop: where that was in the bytes that came.
    """

    requestId: int
    data: bytes
    end: EndRequest
    stop: int


class ClientConnection(Connection):
    """
    Sends requests, receives responses.

    A request has the lowest id that is free, as servers with a table of requests want
    it.  One exception: when END_REQUEST came without the end of STDOUT before it, it
    may have come too early.  That id rests until another one has ended so; what still
    comes for it ends the connection, and does not pass for the next one's response.

    :param maxStreams: requests at a time; more than 1 only when the application
        said FCGI_MPXS_CONNS=1.
    :param maxRecord: the most content of a record that is read as a whole:
        GET_VALUES_RESULT, END_REQUEST, UNKNOWN_TYPE.
    """

    _reads = TO_CLIENT
    _writes = TO_APPLICATION

    def __init__(self, *, maxStreams: int = 1, maxRecord: int = 4096) -> None:
        super().__init__(maxStreams, maxRecord)
        self._open = 0
        # The ids that are free: one, which is all on most connections, and a heap of the others.
        self._freeId = 0
        self._freeIds: list[int] = []
        self._restingId = 0
        self._spent = False

    @property
    def maxStreams(self) -> int:
        """Requests at a time; may be changed."""
        return self._maxStreams

    @maxStreams.setter
    def maxStreams(self, most: int) -> None:
        self._maxStreams = most

    def isReusable(self) -> bool:
        """
        Whether a next request is safe on this connection.

        No stream is open, nothing is pending, each request was sent whole and
        asked the application to keep the connection.  After an abort it is not,
        unless the application multiplexes: one that does not, such as php-fpm or
        one on libfcgi, finds ABORT_REQUEST where it looks for BEGIN_REQUEST or
        STDIN, and closes.
        """
        return not (self._spent or self.over or self._open or self._rest or self._size)

    def begin(
        self,
        params: Iterable[Pair] | bytes,
        *,
        role: int = Role.RESPONDER,
        keepConnection: bool = False,
        stdin: bytes | None = None,
    ) -> tuple[int, bytes]:
        """
        Begin a request, with all of its parameters.

        :param params: pairs, or what :func:`encodePairs` made of them.
        :param keepConnection: ask the application not to close the connection.
        :param stdin: the whole body, sent along with its end; ``None`` when it
            follows through :meth:`stdin` and :meth:`endStdin`.  An authorizer
            is sent none at all; ``b""`` is fine for it.
        :returns: the request's id and what to write.
        :raises LocalProtocolError: if no request may be begun.
        """
        if self.over or self._spent or self._open >= self._maxStreams:
            raise LocalProtocolError("no request may be begun on this connection")
        if role == AUTHORIZER:
            if stdin:
                raise LocalProtocolError("an authorizer is not sent the body")
            stdin = None
        states: dict[int, Input] = _AFTER_PARAMS if stdin is None else _AFTER_STDIN
        owed = states.get(role)
        if owed is None:
            raise LocalProtocolError(f"there is no role {role}")
        encoded: bytes = params if isinstance(params, bytes) else encodePairs(params)
        requestId: int = self._newId()
        request: Halves | None = self._requests.get(requestId)
        if request is None:
            self._requests[requestId] = Halves(owed, OPEN)
        else:
            request.writing = owed
            request.reading = OPEN
        self._open += 1
        self._spent = not keepConnection
        records: _Records = _RECORDS[requestId] if requestId <= _USUAL else _Records(requestId)
        which: int = 2 * role + keepConnection
        opening = records.openings[which]
        ends = records.paramsEnd if stdin is None else records.ends
        size: int = len(encoded)
        if 0 < size <= PIECE:
            pieces = [
                opening, _HIGH[size >> 8], _LOW[size & 0xFF], encoded, PADDING[-size & 7], ends
            ]  # fmt: skip
        else:
            pieces = [opening[:-4], *encodeStream(PARAMS, requestId, encoded), ends]
        if stdin:
            pieces[-1:] = [
                records.paramsEnd,
                *encodeStream(STDIN, requestId, stdin),
                encodeHeader(STDIN, requestId),
            ]
        return requestId, b"".join(pieces)

    def _newId(self) -> int:
        """The lowest that is free."""
        free = self._freeIds
        requestId, self._freeId = self._freeId, 0
        if requestId:
            return heappushpop(free, requestId) if free else requestId
        if free:
            return heappop(free)
        requestId = self._open + (2 if self._restingId else 1)
        if requestId > MAX_REQUEST_ID:
            requestId, self._restingId = self._restingId, 0
        return requestId

    def stdin(self, requestId: int, data: Bytes) -> list[bytes | Bytes]:
        """
        A part of the request's body.

        :returns: pieces to be written one after the other; ``data`` is among them
            as it is unless it needs more than one record; a view is never copied.
        """
        self._send(STDIN, requestId)
        return encodeStream(STDIN, requestId, data)

    def endStdin(self, requestId: int) -> bytes:
        """The body is complete."""
        self._send(STDIN | ENDED, requestId)
        return encodeHeader(STDIN, requestId)

    def data(self, requestId: int, data: bytes) -> list[bytes]:
        """A part of the file that a filter works on, once its STDIN was ended."""
        self._send(RecordType.DATA, requestId)
        return encodeStream(RecordType.DATA, requestId, data)

    def endData(self, requestId: int) -> bytes:
        """The file is complete."""
        self._send(RecordType.DATA | ENDED, requestId)
        return encodeHeader(RecordType.DATA, requestId)

    def abort(self, requestId: int) -> bytes:
        """
        The response is not wanted any more.

        What still comes of it is dropped; only its :class:`EndRequest` will be
        seen.  Events that :meth:`receive` has already returned are the caller's
        to drop.
        """
        self._send(RecordType.ABORT_REQUEST, requestId)
        self._requests[requestId].reading = Output.ABORTED
        if self._requestId == requestId:
            self._event = None
        if self._maxStreams == 1:
            self._spent = True
        return encodeHeader(RecordType.ABORT_REQUEST, requestId)

    def getValues(self, names: Iterable[bytes]) -> bytes:
        """Ask what the application can do: FCGI_MAX_CONNS, FCGI_MAX_REQS, FCGI_MPXS_CONNS."""
        self._send(RecordType.GET_VALUES, MANAGEMENT_ID)
        content = encodePairs((name, b"") for name in names)
        if len(content) > MAX_CONTENT:
            raise LocalProtocolError(f"{len(content)} bytes of names do not fit into GET_VALUES")
        return encodeRecord(RecordType.GET_VALUES, MANAGEMENT_ID, content)

    def response(self, data: bytes, at: int = 0) -> Response | None:
        """
        Read a response that came whole and in the usual way: in one record, without an
        error.  Most small ones do.

        :param data: what came; see :meth:`receive`.
        :param at: from where on it is to be read.
        :returns: ``None`` when something else stands there, which :meth:`receive` reads.
        """
        place: int = at
        if len(data) - place <= HEADER_LENGTH or self._size or self._rest or self.over:
            return None
        requestId: int = data[place + 2] << 8 | data[place + 3]
        length: int = data[place + 4] << 8 | data[place + 5]
        start: int = place + HEADER_LENGTH
        stop: int = start + length
        end: int = stop + data[place + 6]
        if not length or requestId > _USUAL:
            return None
        records: _Records = _RECORDS[requestId]
        request: Halves | None = self._requests.get(requestId)
        if (
            request is None
            or request.reading is not OPEN
            or not data.startswith(records.output, place)
        ):
            return None
        isWhole: bool = data.startswith(records.outputEnd, end)
        if not isWhole and not data.startswith(records.end, end):
            return None
        self._close(requestId, request, isWhole)
        end += len(records.outputEnd if isWhole else records.end)
        return Response(requestId, data[start:stop], records.over, end)

    def _endRequest(self, requestId: int, content: bytes, events: list[Event]) -> None:
        if len(content) < 8:
            raise RemoteProtocolError(f"END_REQUEST of {len(content)} bytes, not 8")
        end = EndRequest(requestId, *_unpackEnd(content))
        request = self._requests[requestId]
        whole = request.reading in _WHOLE or end.protocolStatus != COMPLETE
        self._close(requestId, request, whole)
        events.append(end)

    def _close(self, requestId: int, request: Halves, isWhole: bool) -> None:
        """A request is over; ``isWhole`` says whether nothing more can come of it."""
        sent = request.writing
        if sent is not NOTHING and sent is not ABORTED and self._maxStreams == 1:
            self._spent = True
        request.writing = WRITTEN
        request.reading = READ
        self._open -= 1
        if not isWhole:
            requestId, self._restingId = self._restingId, requestId
        if self._freeId:
            if requestId:
                heappush(self._freeIds, requestId)
        else:
            self._freeId = requestId

    def _valuesResult(self, requestId: int, content: bytes, events: list[Event]) -> None:
        events.append(Values(dict(decodePairs(content))))

    def _unknownType(self, requestId: int, content: bytes, events: list[Event]) -> None:
        if not content:
            raise RemoteProtocolError("UNKNOWN_TYPE without a type")
        events.append(UnknownType(content[0]))

    _whole: ClassVar = {EndRequest: _endRequest, Values: _valuesResult, UnknownType: _unknownType}
