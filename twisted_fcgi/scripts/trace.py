"""
What went over a connection, for people: records, and what an application complained about.

The bytes are only cut at record headers, so that what breaks the rules is shown, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from twisted_fcgi.backend.stderr import MAX_LINE, printable
from twisted_fcgi.wire import ProtocolStatus, RecordType, Role

__all__ = ["RecordTrace", "StderrLines", "statusName"]


class Record(NamedTuple):
    """One record, as it is on the wire."""

    type: int
    requestId: int
    content: bytes
    padding: int


#: Types of which a record without content is the end of a stream, and those that hold text.
_SHOWN = {RecordType.STDIN, RecordType.STDOUT, RecordType.STDERR, RecordType.DATA}
_STREAMS = {RecordType.PARAMS, *_SHOWN}


class RecordTrace:
    """Prints the records of one direction."""

    def __init__(self, out: TextIO, mark: str, started: float) -> None:
        """
        :param mark: stands before each record.
        :param started: the time that printed times count from.
        """
        self._out = out
        self._mark = mark
        self._started = started
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Print what became complete."""
        self._held += data
        milliseconds = (time.monotonic() - self._started) * 1000
        for record in self._records():
            print(f"{milliseconds:9.1f} ms {self._mark} {describe(record)}", file=self._out)

    def _records(self) -> Iterator[Record]:
        while len(self._held) >= 8:
            header = self._held[:8]
            length = int.from_bytes(header[4:6], "big")
            end = 8 + length + header[6]
            if len(self._held) < end:
                return
            content = self._held[8 : 8 + length]
            self._held = self._held[end:]
            yield Record(header[1], int.from_bytes(header[2:4], "big"), content, header[6])


def describe(record: Record) -> str:
    """A record in words, on one line."""
    kind, requestId, content, padding = record
    known = kind in RecordType._value2member_map_
    name = RecordType(kind).name if known else f"type {kind}"
    text = f"{name:<17} id {requestId}  {len(content)} bytes"
    if padding:
        text += f" + {padding} padding"
    if kind == RecordType.BEGIN_REQUEST and len(content) == 8:
        role = int.from_bytes(content[:2], "big")
        word = Role(role).name if role in Role._value2member_map_ else f"role {role}"
        text += f"  {word}, {'keep' if content[2] & 1 else 'close'} the connection"
    elif kind == RecordType.END_REQUEST and len(content) == 8:
        text += f"  appStatus {int.from_bytes(content[:4], 'big')}, {statusName(content[4])}"
    elif not content and kind in _STREAMS:
        text += "  the end"
    elif kind in _SHOWN:
        text += f"  {printable(content[:48])}{'...' if len(content) > 48 else ''}"
    return text


def statusName(number: int) -> str:
    """A protocol status in the specification's word."""
    known = number in ProtocolStatus._value2member_map_
    return ProtocolStatus(number).name if known else f"protocol status {number}"


class StderrLines:
    """Prints what the application complains about, line by line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Print the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            print(f"stderr: {printable(line)}", file=self._out)

    def finish(self) -> None:
        """Print what had no line end."""
        if self._rest:
            self.feed(b"\n")
