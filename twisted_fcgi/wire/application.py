"""
The application's end of a connection: a FastCGI server's.

The counterpart of :mod:`twisted_fcgi.wire.client`, in the same manner.  A
client is bounded in the requests that it has open at a time, and each request
in its parameters: what is over a bound is refused with the protocol's own words
(:class:`~twisted_fcgi.wire.Refused`) and costs nobody else anything.  Bodies
are given out as they come and never held.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import ClassVar

from twisted_fcgi.errors import LocalProtocolError, RemoteProtocolError
from twisted_fcgi.wire.connection import Connection, Halves
from twisted_fcgi.wire.events import (
    Abort,
    Begin,
    Event,
    Params,
    Refused,
    ValuesRequested,
)
from twisted_fcgi.wire.pairs import PairsDecoder, PairsTooLarge, decodePairs, encodePairs
from twisted_fcgi.wire.records import (
    KEEP_CONN,
    MANAGEMENT_ID,
    MAX_CONTENT,
    ProtocolStatus,
    RecordType,
    encodeHeader,
    encodeRecord,
    encodeStream,
)
from twisted_fcgi.wire.transitions import ENDED, OWED, TO_APPLICATION, TO_CLIENT, Input, Output

__all__ = ["ApplicationConnection"]

_unpackBegin = struct.Struct(">HB").unpack_from
_packEnd = struct.Struct(">IB3x").pack


class ApplicationConnection(Connection):
    """
    Receives requests, sends responses.

    :param maxStreams: requests at a time.  With 1, a second one is refused with
        CANT_MPX_CONN; with more, one too many with OVERLOADED.
    :param maxParams: the most bytes of one request's parameters.
    :param maxPairs: the most parameters of one request.
    :param maxRecord: the most content of a record that is read as a whole:
        BEGIN_REQUEST, ABORT_REQUEST, GET_VALUES.
    """

    _reads = TO_APPLICATION
    _writes = TO_CLIENT

    def __init__(
        self,
        *,
        maxStreams: int = 1,
        maxParams: int = 1048576,
        maxPairs: int = 4096,
        maxRecord: int = 4096,
    ) -> None:
        super().__init__(maxStreams, maxRecord)
        self._maxParams = maxParams
        self._maxPairs = maxPairs
        self._params: dict[int, PairsDecoder] = {}
        self._complained: set[int] = set()
        self._closing = False
        self._unread = False

    @property
    def finished(self) -> bool:
        """
        Whether the connection is to be closed by the application, and may be.

        A client asked so by a BEGIN_REQUEST without KEEP_CONN, and no stream is
        open any more.  Where a request was ended before it was read whole, the
        client is left to close: to close on one that still writes would reset the
        connection, and could take the response with it.
        """
        return self._closing and not self._requests and not self._unread

    def stdout(self, requestId: int, data: bytes) -> list[bytes]:
        """
        A part of the response.

        :returns: pieces to be written one after the other.
        """
        self._send(RecordType.STDOUT, requestId)
        return encodeStream(RecordType.STDOUT, requestId, data)

    def endStdout(self, requestId: int) -> bytes:
        """The response is complete."""
        self._send(RecordType.STDOUT | ENDED, requestId)
        return encodeHeader(RecordType.STDOUT, requestId)

    def stderr(self, requestId: int, data: bytes) -> list[bytes]:
        """A part of what the web server is to log."""
        self._send(RecordType.STDERR, requestId)
        self._complained.add(requestId)
        return encodeStream(RecordType.STDERR, requestId, data)

    def endStderr(self, requestId: int) -> bytes:
        """Nothing more is to be logged."""
        self._send(RecordType.STDERR | ENDED, requestId)
        return encodeHeader(RecordType.STDERR, requestId)

    def end(
        self,
        requestId: int,
        appStatus: int = 0,
        protocolStatus: int = ProtocolStatus.REQUEST_COMPLETE,
    ) -> bytes:
        """
        The request is over; streams that were used or have to be are ended first.

        :param appStatus: like a program's exit status, 32 bits.
        """
        request = self._requests.get(requestId)
        state = None if request is None else request.writing
        self._send(RecordType.END_REQUEST, requestId)
        ends = b""
        if requestId in self._complained and state in (Output.OPEN, Output.STDOUT_ENDED):
            ends = encodeHeader(RecordType.STDERR, requestId)
        if state in (Output.OPEN, Output.STDERR_ENDED):
            ends += encodeHeader(RecordType.STDOUT, requestId)
        return ends + self._endRequest(requestId, appStatus, protocolStatus)

    def values(self, values: Mapping[bytes, bytes]) -> bytes:
        """Answer :class:`~twisted_fcgi.wire.ValuesRequested`."""
        self._send(RecordType.GET_VALUES_RESULT, MANAGEMENT_ID)
        content = encodePairs(values.items())
        if len(content) > MAX_CONTENT:
            raise LocalProtocolError(f"{len(content)} bytes do not fit into GET_VALUES_RESULT")
        return encodeRecord(RecordType.GET_VALUES_RESULT, MANAGEMENT_ID, content)

    def unknownType(self, kind: int) -> bytes:
        """Answer :class:`~twisted_fcgi.wire.UnknownRecord`."""
        self._send(RecordType.UNKNOWN_TYPE, MANAGEMENT_ID)
        return encodeRecord(RecordType.UNKNOWN_TYPE, MANAGEMENT_ID, bytes((kind, *bytes(7))))

    def _endRequest(self, requestId: int, appStatus: int, protocolStatus: int) -> bytes:
        """END_REQUEST; nothing is kept of the request."""
        request = self._requests.pop(requestId, None)
        if request is None or request.reading not in (Input.NOTHING, Input.ABORTED):
            self._unread = True
        self._params.pop(requestId, None)
        self._complained.discard(requestId)
        if self._requestId == requestId:
            self._event = None
        content = _packEnd(appStatus & 0xFFFFFFFF, protocolStatus)
        return encodeRecord(RecordType.END_REQUEST, requestId, content)

    def _refuse(self, requestId: int, why: ProtocolStatus, events: list[Event]) -> None:
        events.append(Refused(requestId, why, self._endRequest(requestId, 0, why)))

    def _begin(self, requestId: int, content: bytes, events: list[Event]) -> None:
        if len(content) < 8:
            raise RemoteProtocolError(f"BEGIN_REQUEST of {len(content)} bytes, not 8")
        role, flags = _unpackBegin(content)
        keepConnection = bool(flags & KEEP_CONN)
        self._closing = self._closing or not keepConnection
        if role not in OWED:
            self._refuse(requestId, ProtocolStatus.UNKNOWN_ROLE, events)
        elif len(self._requests) < self._maxStreams:
            self._requests[requestId] = Halves(Output.OPEN, OWED[role])
            self._params[requestId] = PairsDecoder(self._maxParams, self._maxPairs)
            events.append(Begin(requestId, role, keepConnection))
        elif self._maxStreams == 1:
            self._refuse(requestId, ProtocolStatus.CANT_MPX_CONN, events)
        else:
            self._refuse(requestId, ProtocolStatus.OVERLOADED, events)

    def _gather(self, requestId: int, data: bytes, events: list[Event]) -> None:
        decoder = self._params.get(requestId)
        try:
            if decoder is not None:
                decoder.feed(data)
        except PairsTooLarge:
            self._refuse(requestId, ProtocolStatus.OVERLOADED, events)

    def _paramsEnded(self, requestId: int, content: bytes, events: list[Event]) -> None:
        events.append(Params(requestId, self._params.pop(requestId).finish()))

    def _abort(self, requestId: int, content: bytes, events: list[Event]) -> None:
        events.append(Abort(requestId))

    def _valuesRequested(self, requestId: int, content: bytes, events: list[Event]) -> None:
        events.append(ValuesRequested([name for name, _ in decodePairs(content)]))

    _whole: ClassVar = {
        Begin: _begin,
        Params: _paramsEnded,
        Abort: _abort,
        ValuesRequested: _valuesRequested,
    }
