"""Tests for :mod:`twisted_fcgi.web.knownlines`: a known line is what it is when it is read."""

from __future__ import annotations

from sys import getrefcount

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.errors import BadRequest
from twisted_fcgi.web.knownlines import (
    MAX_FIELDS,
    MAX_LINE,
    MAX_LINES,
    SECRETS,
    Field,
    KnownLines,
)

LIMIT = 300

#: Lines of heads, and what might be taken for a part of one.
LINES = (
    b"A: b", b"A: c", b"a:b ", b"A:", b"Host: x", b"B: \xff", b"Content-Length: 5",
    b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip",
    b"Upgrade: h2c", b"Connection: upgrade", b"Connection: close", b"Cookie: a=b", b" folded",
    b"\tfolded: b", b"A : b", b"no field", b":", b": b", b"A: b\rC: d", b"A: b\nC: d",
    b"A: b\r", b"A: b\n", b"A: \0", b"\r", b"A: " + b"b" * LIMIT,
)  # fmt: skip


def block(lines: list[bytes]) -> bytes:
    """The rest of a head, from the end of its request line."""
    return b"\r\n".join((b"", *lines, b"", b""))


def read(
    known: KnownLines, lines: list[bytes], own: dict[bytes, Field] | None = None
) -> list[Field] | None:
    """What is read of some lines; ``None`` when they are refused."""
    try:
        return known.read(block(lines), LIMIT, 0, {} if own is None else own)
    except BadRequest:
        return None


class KnownLinesTests(SynchronousTestCase):
    """Tests for :class:`KnownLines`."""

    def test_read(self) -> None:
        """A field is its name and its value without blanks, and its name in lower case."""
        known = KnownLines()
        for _ in range(2):
            self.assertEqual(
                known.read(
                    block([b"Host: x", b"A:  b \t", b"a:", b"Content-Length: 5"]), LIMIT, 0, {}
                ),
                [
                    ((b"Host", b"x"), b"host"),
                    ((b"A", b"b"), b"a"),
                    ((b"a", b""), b"a"),
                    ((b"Content-Length", b"5"), b"content-length"),
                ],
            )
        self.assertEqual(known.read(block([]), LIMIT, 0, {}), [])

    def test_shared(self) -> None:
        """A field that came before is the same object again, whatever else is in the head."""
        known = KnownLines()
        (first,) = known.read(block([b"A: b"]), LIMIT, 0, {})
        found = known.read(block([b"C: d", b"A: b", b"E: f"]), LIMIT, 0, {})
        self.assertIs(found[1], first)
        self.assertEqual([name for _, name in found], [b"c", b"a", b"e"])

    @given(
        st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(LINES), max_size=5)), max_size=6)
    )
    def test_any(self, heads: list[tuple[bool, list[bytes]]]) -> None:
        """Whatever was read before, a head is read, or refused, as if it were the first."""
        known = KnownLines()
        clients: tuple[dict[bytes, Field], dict[bytes, Field]] = {}, {}
        for client, lines in heads:
            self.assertEqual(read(known, lines, clients[client]), read(KnownLines(), lines))

    def test_each(self) -> None:
        """The same holds for each line that stands behind, before and between known ones."""
        known = KnownLines()
        self.assertIsNotNone(read(known, [b"A: b"]))
        for line in LINES:
            for lines in ([line], [line, b"A: b"], [b"A: b", line], [b"A: b", line, b"A: b"]):
                self.assertEqual(read(known, lines), read(KnownLines(), lines), lines)

    def test_framing(self) -> None:
        """Fields that say where a body ends are held against each other each time."""
        known = KnownLines()
        both = [b"Content-Length: 5", b"Transfer-Encoding: chunked"]
        own: dict[bytes, Field] = {}
        for line in both:
            self.assertIsNotNone(read(known, [line], own))
        self.assertIsNone(read(known, both, own))
        self.assertIsNone(read(known, [both[0], both[0]], own))
        self.assertEqual((known.fields, own), ({}, {}))

    def test_secrets(self) -> None:
        """What says who somebody is, is only known to himself, while it is in his heads."""
        known = KnownLines()
        for name in SECRETS:
            line = name.title() + b": secret"
            own: dict[bytes, Field] = {}
            first = read(known, [line, b"A: b"], own)
            self.assertEqual(first, [((name.title(), b"secret"), name), ((b"A", b"b"), b"a")])
            self.assertEqual((list(known.fields), list(own)), ([b"A: b"], [line]))
            again = read(known, [b"A: b", line, b"B: c"], own)
            assert first is not None and again is not None
            self.assertIs(again[1], first[0])
            self.assertEqual(list(own), [line])
            read(known, [b"C: " + name], own)
            self.assertEqual(own, {})
            known = KnownLines()

    def test_secretsOfHim(self) -> None:
        """Nothing else holds them, once he has forgotten them."""
        value = b"secret %d" % id(self)
        before = getrefcount(value)
        found = KnownLines().read(block([b"Cookie: " + value]), LIMIT, 0, {})
        (((_, held), _),) = found
        del found
        self.assertEqual(held, value)
        self.assertEqual(getrefcount(held), before)

    def test_long(self) -> None:
        """So is what is long."""
        known = KnownLines()
        own: dict[bytes, Field] = {}
        line = b"A: ".ljust(MAX_LINE + 1, b"b")
        self.assertEqual(read(known, [line], own), read(known, [line], own))
        self.assertEqual((list(known.fields), list(own)), ([], [line]))

    def test_tooMany(self) -> None:
        """Of a head with too many fields none is read, nor remembered in others' places."""
        known = KnownLines()
        lines = [b"A: %d" % number for number in range(4)]
        with self.assertRaises(BadRequest):
            known.read(block(lines), LIMIT, 3, {})
        self.assertEqual(known.fields, {})
        for most in (4, 0):
            self.assertEqual(len(known.read(block(lines), LIMIT, most, {})), 4)

    def test_bounded(self) -> None:
        """Only so many lines are remembered, and only short ones."""
        known = KnownLines()
        for number in range(MAX_FIELDS + 2):
            known.read(block([b"A: %d" % number]), LIMIT, 0, {})
            self.assertLessEqual(len(known.fields), MAX_FIELDS)
        for number in range(MAX_LINES + 2):
            line = b"GET /%d HTTP/1.0" % number
            self.assertEqual(known.noted((line, b"GET", b"/%d" % number, b"HTTP/1.0"))[0], line)
            self.assertLessEqual(len(known.requestLines), MAX_LINES)
        for length in (MAX_LINE, MAX_LINE + 1):
            known.read(block([b"A: ".ljust(length, b"b")]), LIMIT, 0, {})
            known.noted((b"x" * length, b"GET", b"/", b"HTTP/1.0"))
        self.assertEqual((len(known.fields), len(known.requestLines)), (3, 3))
