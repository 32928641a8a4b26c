"""
What comes out of a connection: one tuple for each thing that happened.

The client's end sees :class:`Stdout` to :class:`UnknownType`, the
application's :class:`Begin` to :class:`UnknownRecord`, both of them
:class:`Ignored` and, always last, :class:`Violation`.
"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import Any, NamedTuple

from twisted_fcgi.errors import RemoteProtocolError

__all__ = [
    "PARTS",
    "Abort",
    "Begin",
    "Data",
    "DataEnded",
    "EndRequest",
    "Event",
    "Ignored",
    "Params",
    "Refused",
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
    "joined",
    "together",
]


class Stdout(NamedTuple):
    """A part of the response; never empty."""

    requestId: int
    data: bytes


class StdoutEnded(NamedTuple):
    """The response is complete.  Many applications do not say so: END_REQUEST does it too."""

    requestId: int


class Stderr(NamedTuple):
    """A part of what the application complains about; never empty, cut anywhere."""

    requestId: int
    data: bytes


class StderrEnded(NamedTuple):
    """Nothing more will be complained about."""

    requestId: int


class EndRequest(NamedTuple):
    """
    The request is over and its id is free.

    :ivar appStatus: like a program's exit status.
    :ivar protocolStatus: a :class:`~twisted_fcgi.wire.ProtocolStatus`, or the
        number itself when it is none that is known.
    """

    requestId: int
    appStatus: int
    protocolStatus: int


class Values(NamedTuple):
    """The answer to GET_VALUES; names that the application does not know are missing."""

    values: dict[bytes, bytes]


class UnknownType(NamedTuple):
    """
    The application does not know a management record that we sent.

    :ivar type: that record's type.
    """

    type: int


class Begin(NamedTuple):
    """
    A client begins a request.

    :ivar role: a :class:`~twisted_fcgi.wire.Role`.
    :ivar keepConnection: whether the connection stays open after the response.
    """

    requestId: int
    role: int
    keepConnection: bool


class Params(NamedTuple):
    """All of a request's parameters, once they are complete."""

    requestId: int
    pairs: list[tuple[bytes, bytes]]


class Stdin(NamedTuple):
    """A part of the request's body; never empty."""

    requestId: int
    data: bytes


class StdinEnded(NamedTuple):
    """The body is complete."""

    requestId: int


class Data(NamedTuple):
    """A part of the file that a filter is to work on; never empty."""

    requestId: int
    data: bytes


class DataEnded(NamedTuple):
    """The file is complete."""

    requestId: int


class Abort(NamedTuple):
    """The client does not want the response any more; the request is still to be ended."""

    requestId: int


class ValuesRequested(NamedTuple):
    """The client asks what the application can do; unknown names are left out of the answer."""

    names: list[bytes]


class UnknownRecord(NamedTuple):
    """The client sent a management record that is none of FastCGI 1.0; it is owed UNKNOWN_TYPE."""

    type: int


class Refused(NamedTuple):
    """
    A request that was not taken: it is over already, nothing else comes of it.

    :ivar protocolStatus: why: CANT_MPX_CONN, OVERLOADED or UNKNOWN_ROLE.
    :ivar reply: the END_REQUEST to be written.
    """

    requestId: int
    protocolStatus: int
    reply: bytes


class Ignored(NamedTuple):
    """A record without meaning and without harm was skipped; worth a line in a log."""

    requestId: int
    type: int


class Violation(NamedTuple):
    """
    The peer broke the protocol; the last event of a connection, which is to be closed.

    :ivar error: what it did.
    """

    error: RemoteProtocolError


Event = (
    Stdout
    | StdoutEnded
    | Stderr
    | StderrEnded
    | EndRequest
    | Values
    | UnknownType
    | Begin
    | Params
    | Stdin
    | StdinEnded
    | Data
    | DataEnded
    | Abort
    | ValuesRequested
    | UnknownRecord
    | Refused
    | Ignored
    | Violation
)


#: What a part of a stream becomes.
PARTS = frozenset((Stdout, Stderr, Stdin, Data))


def joined(events: list[Event]) -> list[Event]:
    """
    The same events, with adjacent parts of one stream as one.

    Applications write records of 8 KiB and less, and each event costs its way to the
    client; a copy costs less.
    """
    kinds = [type(event) for event in events]
    return together(events) if (Stdout, Stdout) in pairwise(kinds) else events


def together(events: list[Any]) -> list[Event]:
    """As :func:`joined`, and every part is bytes of its own, not a view of others."""
    copied: list[Event] = []
    for stream, run in groupby(events, _streamOf):
        if stream is None:
            copied += run
        else:
            kind, requestId = stream
            copied.append(kind(requestId, b"".join([part.data for part in run])))
    return copied


def _streamOf(event: Any) -> tuple[Any, int] | None:
    """The stream that it is a part of, if it is of any."""
    kind = type(event)
    return (kind, event.requestId) if kind in PARTS else None
