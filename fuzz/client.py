"""
Whatever bytes an application sends and however they are cut, a client gives out
the same events, a violation only as the last, and holds no more than one header
and ``maxRecord`` bytes.

An input's first byte is the number of requests that are open, the second the
size of the pieces in which the rest is fed.
"""

from __future__ import annotations

import struct
from random import Random

from twisted_fcgi.wire import ClientConnection, EndRequest, Event, Stderr, Stdout, Violation

__all__ = ["generate", "target"]

MAX_RECORD = 64


def target(data: bytes) -> None:
    """
    Check the invariant.

    :raises AssertionError: if it does not hold.
    """
    if len(data) < 2:
        return
    whole = opened(data[0] % 4)
    pieces = opened(data[0] % 4)
    step = data[1] + 1
    data = data[2:]
    events: list[Event] = []
    for at in range(0, len(data), step):
        events += pieces.receive(data[at : at + step])
        assert len(pieces._rest) < 8 + MAX_RECORD + step
        assert not pieces.over or isinstance(events[-1], Violation)
    open_ = set(whole.streams)
    expected = whole.receive(data)
    assert digest(events) == digest(expected), (events, expected)
    assert repr(whole) == repr(pieces), (whole, pieces)
    assert not any(isinstance(event, Violation) for event in expected[:-1])
    for event in expected:
        requestId = getattr(event, "requestId", 0)
        assert not requestId or requestId in open_, event
        if isinstance(event, EndRequest):
            open_.remove(requestId)
    assert open_ == set(whole.streams)


def opened(streams: int) -> ClientConnection:
    """A client with so many requests, of which the third was aborted."""
    connection = ClientConnection(maxStreams=4, maxRecord=MAX_RECORD)
    for _ in range(streams):
        connection.begin(b"", keepConnection=True, stdin=b"")
    if streams == 3:
        connection.abort(3)
    return connection


def digest(events: list[Event]) -> list[tuple[str, ...]]:
    """The events, the parts of a stream that follow each other as one."""
    result: list[tuple[str, ...]] = []
    for event in events:
        words = type(event).__name__, *map(repr, event)
        if isinstance(event, (Stdout, Stderr)):
            assert event.data
            words = *words[:2], event.data.hex()
            if result and result[-1][:2] == words[:2]:
                words = *words[:2], result.pop()[2] + words[2]
        result.append(words)
    return result


def generate(random: Random) -> bytes:
    """An input: mostly well-formed records, with a little wrong here and there."""
    data = bytearray((random.randrange(4), random.choice((0, 1, 6, 7, 8, 100, 255))))
    for _ in range(random.randrange(12)):
        kind = random.choice((3, 6, 6, 6, 7, 7, 10, 11, random.randrange(256)))
        requestId = random.choice((1, 1, 2, 3)) if kind in (3, 6, 7) else random.choice((0, 1))
        length = 8 if kind == 3 else random.choice((0, 0, 1, 5, 8, 30, 64, 65, 600))
        padding = random.choice((0, 0, -length & 7, random.randrange(256)))
        data += struct.pack(">BBHHBB", 1, kind, requestId, length, padding, 0)
        data += random.choice((bytes(length), random.randbytes(length))) + bytes(padding)
    for _ in range(random.choice((0, 0, 0, 1, 3))):
        if len(data) > 2:
            data[random.randrange(2, len(data))] = random.randrange(256)
    return bytes(data[: random.choice((len(data), random.randrange(len(data) + 1)))])
