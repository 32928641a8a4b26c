"""
FastCGI 1.0 without I/O: both ends of a connection.

:class:`ClientConnection` is a web server's end, :class:`ApplicationConnection`
the other.  Both turn calls into bytes to be written and received bytes into
events; neither knows a socket.  ``transitions`` says what may come when.

All of FastCGI 1.0 but two things that no one uses: a filter's STDIN and DATA
come one after the other, never mixed, and the start of a process (its listening
socket as file descriptor 0, FCGI_WEB_SERVER_ADDRS) is not a protocol's business.
"""

from __future__ import annotations

from twisted_fcgi.wire.application import ApplicationConnection
from twisted_fcgi.wire.client import ClientConnection, Response
from twisted_fcgi.wire.events import (
    Abort,
    Begin,
    Data,
    DataEnded,
    EndRequest,
    Event,
    Ignored,
    Params,
    Refused,
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
    joined,
)
from twisted_fcgi.wire.pairs import Pair, PairsDecoder, decodePairs, encodePairs
from twisted_fcgi.wire.records import ProtocolStatus, RecordType, Role

__all__ = [
    "Abort",
    "ApplicationConnection",
    "Begin",
    "ClientConnection",
    "Data",
    "DataEnded",
    "EndRequest",
    "Event",
    "Ignored",
    "Pair",
    "PairsDecoder",
    "Params",
    "ProtocolStatus",
    "RecordType",
    "Refused",
    "Response",
    "Role",
    "Stderr",
    "StderrEnded",
    "Stdin",
    "StdinEnded",
    "Stdout",
    "StdoutEnded",
    "UnknownRecord",
    "UnknownType",
    "Values",
    "ValuesRequested",
    "Violation",
    "decodePairs",
    "encodePairs",
    "joined",
]
