"""Tests for :mod:`twisted_fcgi.message`: header fields, and heads that are copied."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.headers import Headers
from twisted_fcgi.message import ResponseHead

CHANGES: tuple[Callable[[Headers], None], ...] = (
    lambda headers: headers.add(b"D", b"4"),
    lambda headers: headers.set(b"D", b"4"),
    lambda headers: headers.set(b"a", b"4"),
    lambda headers: headers.remove(b"a"),
)


class HeadersTests(SynchronousTestCase):
    """Tests for :class:`Headers`."""

    def test_lines(self) -> None:
        """The lines are those of the fields as they are now, in their order and case."""
        headers = Headers(((b"B", b"1"), (b"a", b""), (b"B", b"2")))
        self.assertEqual(headers.lines(), b"B: 1\r\na: \r\nB: 2\r\n")
        headers.set(b"b", b"3")
        self.assertEqual(headers.lines(), b"b: 3\r\na: \r\n")
        headers.add(b"C", b"4")
        headers.remove(b"b")
        self.assertEqual(headers.lines(), b"a: \r\nC: 4\r\n")
        self.assertEqual(Headers().lines(), b"")

    def test_lineEndInside(self) -> None:
        """A field with a line end inside has no line."""
        for pair in ((b"A", b"b\r\nC: d"), (b"A", b"\n"), (b"A\r", b"b"), (b"A\r\n", b"b")):
            headers = Headers((pair, (b"B", b"")))
            self.assertRaises(ValueError, headers.lines)
            self.assertRaises(ValueError, headers.lines)

    def test_copy(self) -> None:
        """Neither a copy's changes nor the original's are seen in the other."""
        pairs = [(b"A", b"1"), (b"B", b"2"), (b"a", b"3")]
        for change in CHANGES:
            for asked in (False, True):
                original = Headers(pairs)
                if asked:
                    original.lines()
                    original.names()
                copy = original.copy()
                self.assertEqual(copy, original)
                change(copy)
                self.assertEqual(original.pairs, pairs)
                self.assertEqual(original.lines(), b"A: 1\r\nB: 2\r\na: 3\r\n")
                self.assertEqual(set(original.names()), {b"a", b"b"})
                self.assertEqual(copy.lines(), Headers(copy.pairs).lines())
                self.assertEqual(copy.names(), Headers(copy.pairs).names())
                changed = list(copy.pairs)
                change(original)
                self.assertEqual(copy.pairs, changed)

    def test_conditional(self) -> None:
        """Whether there are conditions follows from the fields as they are now."""
        headers = Headers([(b"If-Range", b"x")])
        self.assertFalse(headers.isConditional())
        headers.add(b"IF-NONE-MATCH", b"*")
        self.assertTrue(headers.isConditional())
        copy = headers.copy()
        copy.remove(b"if-none-match")
        self.assertEqual((True, False), (headers.isConditional(), copy.isConditional()))

    def test_forgets(self) -> None:
        """What others made of fields goes with each change, and is no copy's."""
        for change in CHANGES:
            headers = Headers([(b"A", b"1")])
            headers.asked = headers.kept = "made"
            self.assertFalse(headers.isConditional())
            for other in (headers.copy(), headers):
                if other is headers:
                    change(headers)
                made = (other.asked, other.kept)
                self.assertEqual((None, None), made)


class ResponseHeadTests(SynchronousTestCase):
    """Tests for :class:`ResponseHead`."""

    def test_copy(self) -> None:
        """A copy says the same, and is changed by itself."""
        head = ResponseHead(404, b"Gone Away", Headers([(b"A", b"b")]), 7, True, True)
        copy = head.copy()
        self.assertEqual(copy, head)
        copy.headers.add(b"C", b"d")
        copy.status = 500
        self.assertEqual((head.status, len(head.headers)), (404, 1))
