"""
The client's end of a connection: a web server's, which is what we are.

Nothing here knows a socket: methods return the bytes to be written, and
:meth:`ClientConnection.receive` takes what was read and returns events.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import ClassVar

from twisted_fcgi.errors import LocalProtocolError, RemoteProtocolError
from twisted_fcgi.wire.connection import Connection
from twisted_fcgi.wire.events import (
    EndRequest,
    Event,
    Stdout,
    StdoutEnded,
    UnknownType,
    Values,
)
from twisted_fcgi.wire.pairs import Pair, decodePairs, encodePairs
from twisted_fcgi.wire.records import (
    HEADER_LENGTH,
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

__all__ = ["ClientConnection"]

_packBegin = struct.Struct(">BBHHBxHB5x").pack
_packOpening = struct.Struct(">BBHHBxHB5xBBHHBx").pack
_packEnds = struct.Struct(">BBH4xBBH4x").pack
_unpackEnd = struct.Struct(">IB").unpack_from
_unpackSizes = struct.Struct(">4xHB").unpack_from

# For speed: as plain numbers, and without a look-up in an enumeration.
BEGIN_REQUEST = int(RecordType.BEGIN_REQUEST)
PARAMS = int(RecordType.PARAMS)
STDIN = int(RecordType.STDIN)
AUTHORIZER = int(Role.AUTHORIZER)
OPEN = Output.OPEN
COMPLETE = int(ProtocolStatus.REQUEST_COMPLETE)

#: The states of a request that was sent whole, or will not be.
_DONE = (Input.NOTHING, Input.ABORTED)

#: What an application in a role is owed once PARAMS is over, and then STDIN.
_AFTER_PARAMS = {role: TO_APPLICATION[owed, PARAMS | ENDED][1] for role, owed in OWED.items()}
_AFTER_STDIN = {
    role: TO_APPLICATION[owed, STDIN | ENDED][1] for role, owed in _AFTER_PARAMS.items()
}

#: The states of a response whose end was said.
_WHOLE = (Output.STDOUT_ENDED, Output.BOTH_ENDED)


def _endsOf(requestId: int) -> dict[bytes, tuple[bool, tuple[Event, ...]]]:
    """How the usual response ends, with the end of STDOUT and without, and what that means."""
    end = encodeRecord(RecordType.END_REQUEST, requestId, bytes(8))
    over = EndRequest(requestId, 0, 0)
    return {
        encodeHeader(RecordType.STDOUT, requestId) + end: (True, (StdoutEnded(requestId), over)),
        end: (False, (over,)),
    }


#: How the usual response begins, for those request ids that are in use most of the time,
#: and how it ends.
_USUAL = {
    encodeHeader(RecordType.STDOUT, requestId)[:4]: (requestId, _endsOf(requestId))
    for requestId in range(1, 65)
}
_STDOUT = bytes((RecordType.STDOUT,))
_LONG_END, _SHORT_END = 2 * HEADER_LENGTH + 8, HEADER_LENGTH + 8


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

    @property
    def reusable(self) -> bool:
        """
        Whether a next request is safe on this connection.

        No stream is open, nothing is pending, each request was sent whole and
        asked the application to keep the connection.  After an abort it is not,
        unless the application multiplexes: one that does not, such as php-fpm or
        one on libfcgi, finds ABORT_REQUEST where it looks for BEGIN_REQUEST or
        STDIN, and closes.
        """
        return not (self._spent or self.over or self._reading or self._rest or self._size)

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
        if self.over or self._spent or len(self._reading) >= self._maxStreams:
            raise LocalProtocolError("no request may be begun on this connection")
        if role not in _AFTER_PARAMS:
            raise LocalProtocolError(f"there is no role {role}")
        if role == AUTHORIZER:
            if stdin:
                raise LocalProtocolError("an authorizer is not sent the body")
            stdin = None
        if not isinstance(params, bytes):
            params = encodePairs(params)
        requestId = heappop(self._freeIds) if self._freeIds else self._newId()
        self._spent = not keepConnection
        self._reading[requestId] = OPEN
        # In the usual case one call packs what stands before the parameters, and one what follows.
        size = len(params)
        if 0 < size <= PIECE:
            padding = -size & 7
            opening = _packOpening(
                VERSION, BEGIN_REQUEST, requestId, 8, 0, role, keepConnection,
                VERSION, PARAMS, requestId, size, padding,
            )  # fmt: skip
            pieces = [opening, params, PADDING[padding]]
        else:
            begin = _packBegin(VERSION, BEGIN_REQUEST, requestId, 8, 0, role, keepConnection)
            pieces = [begin, *encodeStream(PARAMS, requestId, params)]
        if stdin is None:
            self._writing[requestId] = _AFTER_PARAMS[role]
            pieces.append(encodeHeader(PARAMS, requestId))
        else:
            self._writing[requestId] = _AFTER_STDIN[role]
            if stdin:
                pieces.append(encodeHeader(PARAMS, requestId))
                pieces += encodeStream(STDIN, requestId, stdin)
                pieces.append(encodeHeader(STDIN, requestId))
            else:
                pieces.append(_packEnds(VERSION, PARAMS, requestId, VERSION, STDIN, requestId))
        return requestId, b"".join(pieces)

    def _newId(self) -> int:
        """When no id is free: the first that was not used yet."""
        requestId = len(self._reading) + (2 if self._restingId else 1)
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
        self._reading[requestId] = Output.ABORTED
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

    def receive(self, data: bytes) -> list[Event]:
        """See :meth:`Connection.receive`."""
        # Most reads are small responses, as a whole: each is taken in one step.
        events: list[Event] = []
        size = 0 if self._size or self._rest or self.over else len(data)
        at = 0
        while size - at > HEADER_LENGTH:
            usual = _USUAL.get(data[at : at + 4])
            if usual is None:
                break
            requestId, endings = usual
            length, padding = _unpackSizes(data, at)
            stop = at + HEADER_LENGTH + length
            end = stop + padding
            if not length or end >= size or self._reading.get(requestId) is not OPEN:
                break
            after = end + (_LONG_END if data[end + 1 : end + 2] == _STDOUT else _SHORT_END)
            ending = endings.get(data[end:after])
            if ending is None:
                break
            whole, ends = ending
            self._ended(requestId, whole)
            events.append(Stdout(requestId, data[at + HEADER_LENGTH : stop]))
            events += ends
            at = after
        if at != len(data) or not events:
            events += self._receive(data[at:])
        return events

    def _endRequest(self, requestId: int, content: bytes, events: list[Event]) -> None:
        if len(content) < 8:
            raise RemoteProtocolError(f"END_REQUEST of {len(content)} bytes, not 8")
        end = EndRequest(requestId, *_unpackEnd(content))
        whole = self._reading[requestId] in _WHOLE or end.protocolStatus != COMPLETE
        self._ended(requestId, whole)
        events.append(end)

    def _ended(self, requestId: int, whole: bool) -> None:
        """A request is over; ``whole`` says whether nothing more can come of it."""
        del self._reading[requestId]
        if self._writing.pop(requestId) not in _DONE and self._maxStreams == 1:
            self._spent = True
        if not whole:
            requestId, self._restingId = self._restingId, requestId
        if requestId:
            heappush(self._freeIds, requestId)

    def _valuesResult(self, requestId: int, content: bytes, events: list[Event]) -> None:
        events.append(Values(dict(decodePairs(content))))

    def _unknownType(self, requestId: int, content: bytes, events: list[Event]) -> None:
        if not content:
            raise RemoteProtocolError("UNKNOWN_TYPE without a type")
        events.append(UnknownType(content[0]))

    _whole: ClassVar = {EndRequest: _endRequest, Values: _valuesResult, UnknownType: _unknownType}
