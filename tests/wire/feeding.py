"""
Records as a peer would write them, and the ways of feeding a connection.

The records are made here by hand, not by the package, so that a mistake in the
package's own encoding can't hide.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from twisted_fcgi.wire import (
    ApplicationConnection,
    ClientConnection,
    Data,
    Event,
    Stderr,
    Stdin,
    Stdout,
    StdoutEnded,
    Violation,
)

__all__ = ["JUNK", "begin", "end", "fed", "joined", "record"]

#: No record: its version is 0xFF.
JUNK = b"\xff" * 16


def record(
    kind: int, requestId: int, content: bytes = b"", *, padding: int = 0, version: int = 1
) -> bytes:
    """One record, with whatever is wanted in it."""
    header = struct.pack(">BBHHBB", version, kind, requestId, len(content), padding, 0)
    return header + content + b"\xaa" * padding


def begin(requestId: int, role: int = 1, flags: int = 1) -> bytes:
    """BEGIN_REQUEST."""
    return record(1, requestId, struct.pack(">HB5x", role, flags))


def end(requestId: int, appStatus: int = 0, protocolStatus: int = 0) -> bytes:
    """END_REQUEST."""
    return record(3, requestId, struct.pack(">IB3x", appStatus, protocolStatus))


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with neighbouring parts of one stream as one."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if (
            isinstance(event, (Stdout, Stderr, Stdin, Data))
            and type(last) is type(event)
            and last.requestId == event.requestId
        ):
            result[-1] = event._replace(data=last.data + event.data)
        elif isinstance(event, Violation):
            result.append(Violation(str(event.error)))
        else:
            result.append(event)
    return result


def taken(connection: ClientConnection, data: bytes) -> list[Event]:
    """What ``data`` says, responses that came whole taken as such; without ends of STDOUT."""
    events: list[Event] = []
    at = 0
    while (response := connection.response(data, at)) is not None:
        events.append(Stdout(response.requestId, response.data))
        events.append(response.end)
        at = response.stop
    events += connection.receive(data[at:])
    return [event for event in events if not isinstance(event, StdoutEnded)]


def fed(make: Callable[[], ClientConnection | ApplicationConnection], data: bytes) -> list[Event]:
    """
    What a connection says to ``data``: whole, byte by byte, in two, and with junk behind.

    A violation is given as ``Violation(text)``.

    :param make: makes the connection, in the same state each time.
    :returns: the events, parts of a stream joined.
    :raises AssertionError: unless all ways say the same.
    """
    whole = make()
    events = whole.receive(data)
    bytewise = make()
    apart = [event for i in range(len(data)) for event in bytewise.receive(data[i : i + 1])]
    assert joined(apart) == joined(events), (joined(apart), joined(events))
    assert repr(bytewise) == repr(whole), (bytewise, whole)
    for cut in range(1, min(len(data), 400)):
        halves = make()
        apart = halves.receive(data[:cut]) + halves.receive(data[cut:])
        assert joined(apart) == joined(events), (cut, joined(apart), joined(events))
    if not whole.over and not whole.pending:
        spoiled = joined(make().receive(data + JUNK))
        assert spoiled[:-1] == joined(events), (spoiled, events)
        assert isinstance(spoiled[-1], Violation), spoiled
    quick = make()
    if isinstance(quick, ClientConnection):
        told = [event for event in joined(events) if not isinstance(event, StdoutEnded)]
        assert joined(taken(quick, data)) == told, (taken(make(), data), told)
        assert repr(quick) == repr(whole), (quick, whole)
        assert quick.isReusable() == whole.isReusable()
    return joined(events)
