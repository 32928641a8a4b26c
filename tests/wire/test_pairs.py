"""Name-value pairs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.errors import LocalProtocolError, RemoteProtocolError
from twisted_fcgi.wire import PairsDecoder, decodePairs, encodePairs
from twisted_fcgi.wire.pairs import MAX_LENGTH, PairsTooLarge

__all__ = ["DecodePairsTests", "EncodePairsTests", "PairsDecoderTests"]

LENGTHS = (0, 1, 127, 128, 255, 256, 65535, 65536)

pairLists = st.lists(
    st.tuples(st.binary(max_size=200), st.binary(max_size=400)), max_size=8
)  # fmt: skip


class Huge(bytes):
    """Claims to be longer than four bytes can say."""

    def __len__(self) -> int:
        return MAX_LENGTH + 1


class EncodePairsTests(SynchronousTestCase):
    """:func:`encodePairs`."""

    def test_short(self) -> None:
        """Lengths up to 127 are one byte each, before name and value."""
        self.assertEqual(b"\x04\x02NAMEab", encodePairs([(b"NAME", b"ab")]))
        self.assertEqual(b"\x01\x7fA" + b"v" * 127, encodePairs([(b"A", b"v" * 127)]))

    def test_long(self) -> None:
        """Lengths from 128 on are four bytes with the highest bit set, each for itself."""
        self.assertEqual(b"\x01\x80\x00\x00\x80A" + b"v" * 128, encodePairs([(b"A", b"v" * 128)]))
        self.assertEqual(b"\x80\x01\x00\x00\x00" + b"n" * 65536, encodePairs([(b"n" * 65536, b"")]))

    def test_order(self) -> None:
        """Pairs keep their order, and a name may come twice."""
        pairs = [(b"B", b"1"), (b"A", b"2"), (b"B", b"3")]
        self.assertEqual(b"\x01\x01B1\x01\x01A2\x01\x01B3", encodePairs(iter(pairs)))

    def test_tooLong(self) -> None:
        """A name or value whose length can't be said is the caller's mistake."""
        self.assertRaises(LocalProtocolError, encodePairs, [(b"A", Huge())])


class DecodePairsTests(SynchronousTestCase):
    """:func:`decodePairs`."""

    def test_lengths(self) -> None:
        """Each combination of short and long lengths comes back."""
        for nameLength in LENGTHS:
            pairs = [(b"n" * nameLength, b"v" * length) for length in LENGTHS]
            self.assertEqual(pairs, decodePairs(encodePairs(pairs)))

    def test_longFormOfShortLength(self) -> None:
        """A short length may be said in four bytes as well."""
        self.assertEqual([(b"A", b"b")], decodePairs(b"\x80\x00\x00\x01\x80\x00\x00\x01Ab"))

    def test_cutAnywhere(self) -> None:
        """What ends inside of a pair is an error wherever it is cut."""
        data = encodePairs([(b"n" * 200, b"v" * 130)])
        for size in range(1, len(data)):
            self.assertRaises(RemoteProtocolError, decodePairs, data[:size])
        self.assertEqual([], decodePairs(b""))

    @settings(deadline=None)
    @given(pairLists)
    def test_roundTrip(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """What was encoded is decoded."""
        self.assertEqual(pairs, decodePairs(encodePairs(pairs)))


class PairsDecoderTests(SynchronousTestCase):
    """:class:`PairsDecoder`."""

    @settings(deadline=None)
    @given(pairLists, st.lists(st.integers(1, 300), max_size=10))
    def test_pieces(self, pairs: list[tuple[bytes, bytes]], sizes: list[int]) -> None:
        """Pairs come out the same however their bytes are cut."""
        data = encodePairs(pairs)
        decoder = PairsDecoder(len(data), len(pairs))
        for size in sizes:
            decoder.feed(data[:size])
            data = data[size:]
        decoder.feed(data)
        self.assertEqual(pairs, decoder.finish())

    def test_byteByByte(self) -> None:
        """A pair is there as soon as its last byte is."""
        data = encodePairs([(b"A", b"v" * 300), (b"", b"")])
        decoder = PairsDecoder(1000, 10)
        counts = []
        for i in range(len(data)):
            decoder.feed(data[i : i + 1])
            counts.append(len(decoder.pairs))
        self.assertEqual([0] * 305 + [1, 1, 2], counts)

    def test_unfinished(self) -> None:
        """A stream that is over inside of a pair is an error."""
        decoder = PairsDecoder(100, 10)
        decoder.feed(b"\x04\x02NAM")
        self.assertRaises(RemoteProtocolError, decoder.finish)

    def test_tooLong(self) -> None:
        """One byte more than the limit is too many; the limit itself is not."""
        data = encodePairs([(b"A", b"v" * 97)])
        PairsDecoder(100, 10).feed(data)
        self.assertRaises(PairsTooLarge, PairsDecoder(99, 10).feed, data)

    def test_tooLongForetold(self) -> None:
        """A pair that can't fit is refused at its lengths, before its content comes."""
        decoder = PairsDecoder(1000, 10)
        self.assertRaises(PairsTooLarge, decoder.feed, b"\x01\x80\x00\x03\xe8")
        decoder = PairsDecoder(1000, 10)
        decoder.feed(b"\x01\x80\x00\x03\xe2")

    def test_tooMany(self) -> None:
        """One pair more than the limit is too many; the limit itself is not."""
        PairsDecoder(100, 10).feed(bytes(20))
        self.assertRaises(PairsTooLarge, PairsDecoder(100, 10).feed, bytes(22))
