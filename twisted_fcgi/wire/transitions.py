"""
Which record may come when, and what it means: all of it, as two tables.

A request has two halves that know little of each other.  :data:`TO_APPLICATION`
is the way of a request, :data:`TO_CLIENT` that of its response.  Both ends of a
connection use both: what one checks before it sends, the other checks when it
receives, so they can't disagree.

``table[state, record] -> (event, next state)``

- A record that is not listed is an error: the sender's own
  (:exc:`~twisted_fcgi.errors.LocalProtocolError`), or the peer's, which ends
  the connection.
- A row without an event is borne from a peer and never sent.
- A stream's record without content ends the stream: it stands in the tables as
  ``RecordType.STDOUT | ENDED``.  Types beyond FastCGI 1.0 stand as :data:`OTHER`.

What the tables can't say, and code does:

- BEGIN_REQUEST's next state depends on the role (:data:`OWED`), and a request
  too many is refused.
- END_REQUEST closes both halves.
- ABORT_REQUEST makes the client drop what comes of the response: it moves the
  client's view of the other half to :attr:`Output.ABORTED`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from twisted_fcgi.wire.events import (
    Abort,
    Begin,
    Data,
    DataEnded,
    EndRequest,
    Ignored,
    Params,
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
)
from twisted_fcgi.wire.records import RecordType, Role

__all__ = [
    "CLOSED",
    "ENDED",
    "ENDINGS",
    "MANAGEMENT",
    "OTHER",
    "OWED",
    "TO_APPLICATION",
    "TO_CLIENT",
    "Input",
    "Output",
    "Row",
    "Table",
]

#: Marks the record that ends a stream.
ENDED = 0x100

#: Stands for all types that FastCGI 1.0 does not know.
OTHER = 0

#: What a record of these types is when it has no content.
ENDINGS: Mapping[int, int] = {
    kind: kind | ENDED
    for kind in (
        RecordType.PARAMS,
        RecordType.STDIN,
        RecordType.STDOUT,
        RecordType.STDERR,
        RecordType.DATA,
    )
}

#: No such request: it was never begun, or it is over.
CLOSED = 0

#: Request id 0: the connection itself.
MANAGEMENT = 1


class Input(enum.IntEnum):
    """A request on its way to the application: what the client still owes it."""

    CLOSED = CLOSED
    MANAGEMENT = MANAGEMENT
    PARAMS = 2
    PARAMS_STDIN = 3
    PARAMS_STDIN_DATA = 4
    STDIN = 5
    STDIN_DATA = 6
    DATA = 7
    NOTHING = 8
    ABORTED = 9


class Output(enum.IntEnum):
    """A response on its way to the client: which of its streams are over."""

    CLOSED = CLOSED
    MANAGEMENT = MANAGEMENT
    OPEN = 2
    STDOUT_ENDED = 3
    STDERR_ENDED = 4
    BOTH_ENDED = 5
    ABORTED = 6


#: By role, what is owed after BEGIN_REQUEST.
OWED: Mapping[int, Input] = {
    Role.RESPONDER: Input.PARAMS_STDIN,
    Role.AUTHORIZER: Input.PARAMS,
    Role.FILTER: Input.PARAMS_STDIN_DATA,
}

#: The event's class or ``None``, and the next state.
Row = tuple[Any, Any]
Table = dict[tuple[int, int], Row]

I, O, R = Input, Output, RecordType  # noqa: E741

TO_APPLICATION: Table = {
    (I.MANAGEMENT, R.GET_VALUES): (ValuesRequested, I.MANAGEMENT),
    (I.MANAGEMENT, OTHER): (UnknownRecord, I.MANAGEMENT),
    (I.CLOSED, R.BEGIN_REQUEST): (Begin, I.PARAMS),  # or as OWED has it
    # Responder.
    (I.PARAMS_STDIN, R.PARAMS): (Params, I.PARAMS_STDIN),
    (I.PARAMS_STDIN, R.PARAMS | ENDED): (Params, I.STDIN),
    (I.STDIN, R.STDIN): (Stdin, I.STDIN),
    (I.STDIN, R.STDIN | ENDED): (StdinEnded, I.NOTHING),
    # Authorizer: no STDIN at all (6.3), though some clients end it all the same.
    (I.PARAMS, R.PARAMS): (Params, I.PARAMS),
    (I.PARAMS, R.PARAMS | ENDED): (Params, I.NOTHING),
    # Filter: STDIN to its end, then DATA (6.4); libfcgi breaks off when DATA comes sooner.
    (I.PARAMS_STDIN_DATA, R.PARAMS): (Params, I.PARAMS_STDIN_DATA),
    (I.PARAMS_STDIN_DATA, R.PARAMS | ENDED): (Params, I.STDIN_DATA),
    (I.STDIN_DATA, R.STDIN): (Stdin, I.STDIN_DATA),
    (I.STDIN_DATA, R.STDIN | ENDED): (StdinEnded, I.DATA),
    (I.DATA, R.DATA): (Data, I.DATA),
    (I.DATA, R.DATA | ENDED): (DataEnded, I.NOTHING),
    # A stream's end, said twice.
    (I.DATA, R.STDIN | ENDED): (None, I.DATA),
    (I.NOTHING, R.STDIN | ENDED): (None, I.NOTHING),
    (I.NOTHING, R.DATA | ENDED): (None, I.NOTHING),
}
for _input in (I.PARAMS, I.PARAMS_STDIN, I.PARAMS_STDIN_DATA, I.STDIN, I.STDIN_DATA, I.DATA,
               I.NOTHING):  # fmt: skip
    TO_APPLICATION[_input, R.ABORT_REQUEST] = (Abort, I.ABORTED)
    TO_APPLICATION[_input, OTHER] = (Ignored, _input)
# What was on its way when the client gave up, or when it did not know yet that a request was
# refused or over.
for _input in (I.CLOSED, I.ABORTED):
    for _kind in (R.PARAMS, R.STDIN, R.DATA):
        TO_APPLICATION[_input, _kind] = (None, _input)
        TO_APPLICATION[_input, _kind | ENDED] = (None, _input)
    TO_APPLICATION[_input, R.ABORT_REQUEST] = (None, _input)
    TO_APPLICATION[_input, OTHER] = (Ignored, _input)

TO_CLIENT: Table = {
    (O.MANAGEMENT, R.GET_VALUES_RESULT): (Values, O.MANAGEMENT),
    (O.MANAGEMENT, R.UNKNOWN_TYPE): (UnknownType, O.MANAGEMENT),
    (O.MANAGEMENT, OTHER): (Ignored, O.MANAGEMENT),
    (O.OPEN, R.STDOUT): (Stdout, O.OPEN),
    (O.OPEN, R.STDOUT | ENDED): (StdoutEnded, O.STDOUT_ENDED),
    (O.OPEN, R.STDERR): (Stderr, O.OPEN),
    (O.OPEN, R.STDERR | ENDED): (StderrEnded, O.STDERR_ENDED),
    (O.STDOUT_ENDED, R.STDERR): (Stderr, O.STDOUT_ENDED),
    (O.STDOUT_ENDED, R.STDERR | ENDED): (StderrEnded, O.BOTH_ENDED),
    (O.STDERR_ENDED, R.STDOUT): (Stdout, O.STDERR_ENDED),
    (O.STDERR_ENDED, R.STDOUT | ENDED): (StdoutEnded, O.BOTH_ENDED),
    # An end said twice is harmless.  Content after it is not listed: such a response has two
    # lengths.  libfcgi, uwsgi, fcgiwrap and flup end STDOUT once, php-fpm not at all.
    (O.STDOUT_ENDED, R.STDOUT | ENDED): (None, O.STDOUT_ENDED),
    (O.STDERR_ENDED, R.STDERR | ENDED): (None, O.STDERR_ENDED),
    (O.BOTH_ENDED, R.STDOUT | ENDED): (None, O.BOTH_ENDED),
    (O.BOTH_ENDED, R.STDERR | ENDED): (None, O.BOTH_ENDED),
    # Nobody reads it any more; only its end is waited for.
    (O.ABORTED, R.STDOUT): (None, O.ABORTED),
    (O.ABORTED, R.STDOUT | ENDED): (None, O.ABORTED),
    (O.ABORTED, R.STDERR): (None, O.ABORTED),
    (O.ABORTED, R.STDERR | ENDED): (None, O.ABORTED),
}
for _output in (O.OPEN, O.STDOUT_ENDED, O.STDERR_ENDED, O.BOTH_ENDED, O.ABORTED):
    TO_CLIENT[_output, R.END_REQUEST] = (EndRequest, O.CLOSED)
    # httpd skips these as well (a record of a type unknown to it, whatever its id is).
    for _type in (R.GET_VALUES_RESULT, R.UNKNOWN_TYPE, OTHER):
        TO_CLIENT[_output, _type] = (Ignored, _output)
