"""Tests for :mod:`twisted_fcgi.scripts.trace`."""

from __future__ import annotations

import io
from unittest import TestCase

from twisted_fcgi.scripts.trace import RecordTrace

__all__ = ["RecordTraceTests"]


class RecordTraceTests(TestCase):
    """Records for people."""

    STREAM = (
        b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"
        b"\x01\x06\x00\x01\x00\x03\x05\x00a\x1bb\x00\x00\x00\x00\x00"
        b"\x01\x06\x00\x01\x00\x00\x00\x00"
        b"\x01\x63\x00\x02\x00\x01\x00\x00?"
        b"\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x02\x02\x00\x00\x00"
    )
    LINES = [
        "> BEGIN_REQUEST     id 1  8 bytes  RESPONDER, keep the connection",
        r"> STDOUT            id 1  3 bytes + 5 padding  a\x1bb",
        "> STDOUT            id 1  0 bytes  the end",
        "> type 99           id 2  1 bytes",
        "> END_REQUEST       id 1  8 bytes  appStatus 2, OVERLOADED",
    ]

    def lines(self, *pieces: bytes) -> list[str]:
        out = io.StringIO()
        trace = RecordTrace(out, ">", 0.0)
        for piece in pieces:
            trace.feed(piece)
        return [line.partition(" ms ")[2] for line in out.getvalue().splitlines()]

    def test_records(self) -> None:
        """Each record is a line, also ones that nobody knows; controls are escaped."""
        self.assertEqual(self.LINES, self.lines(self.STREAM))

    def test_bytewise(self) -> None:
        """It does not matter how the bytes are cut."""
        self.assertEqual(self.LINES, self.lines(*(bytes([byte]) for byte in self.STREAM)))

    def test_unfinished(self) -> None:
        """What is no whole record yet is not shown."""
        self.assertEqual(self.LINES[:1], self.lines(self.STREAM[:30]))
