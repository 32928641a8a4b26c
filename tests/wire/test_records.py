"""Records, as they are written."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.wire.feeding import record
from twisted_fcgi.wire.records import PIECE, RecordType, encodeHeader, encodeRecord, encodeStream

__all__ = ["EncodeTests"]

STDIN = RecordType.STDIN


class EncodeTests(SynchronousTestCase):
    """:func:`encodeRecord` and :func:`encodeStream`."""

    def test_header(self) -> None:
        """A header says version, type, id, length, padding, and a reserved zero."""
        self.assertEqual(
            b"\x01\x05\x01\x02\x03\x04\x05\x00", encodeHeader(STDIN, 0x0102, 0x0304, 5)
        )

    def test_padded(self) -> None:
        """Every record is a multiple of eight bytes, filled with zeros."""
        for size in range(20):
            data = b"x" * size
            whole = encodeRecord(STDIN, 1, data)
            self.assertEqual(0, len(whole) % 8)
            self.assertEqual(data, whole[8 : 8 + size])
            self.assertEqual(bytes(-size % 8), whole[8 + size :])
            self.assertEqual(whole if data else b"", b"".join(encodeStream(STDIN, 1, data)))

    def test_noDataIsNoRecord(self) -> None:
        """No data does not end a stream by mistake."""
        self.assertEqual([], encodeStream(STDIN, 1, b""))

    def test_cut(self) -> None:
        """More than 65528 bytes become several records, padding only behind the last."""
        data = bytes(range(256)) * 600
        self.assertEqual(
            record(5, 9, data[:PIECE])
            + record(5, 9, data[PIECE : 2 * PIECE])
            + record(5, 9, data[2 * PIECE :]),
            b"".join(encodeStream(STDIN, 9, data)),
        )
        odd = b"".join(encodeStream(STDIN, 9, data + b"x"))
        self.assertEqual(bytes(7), odd[-7:])

    def test_uncopied(self) -> None:
        """Data that fits into one record is handed back itself; a view is never copied."""
        data = b"x" * PIECE
        self.assertIs(data, encodeStream(STDIN, 1, data)[1])
        view = memoryview(b"y" * (3 * PIECE))
        pieces = encodeStream(STDIN, 1, view)
        self.assertEqual([view.obj] * 3, [memoryview(piece).obj for piece in pieces[1::2]])
