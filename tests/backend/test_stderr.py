"""Tests for :mod:`twisted_fcgi.backend.stderr`."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.backend.deadlines import Deadlines
from twisted_fcgi.backend.stderr import MAX_LINE, MAX_LINES, Stderr, StderrLog, printable

__all__ = ["PrintableTests", "StderrTests"]


class PrintableTests(SynchronousTestCase):
    """Tests for :func:`printable`."""

    def test_text(self) -> None:
        """Text in UTF-8 and tabs stay as they are."""
        self.assertEqual("a\tb \u00fc \u65e5", printable("a\tb \u00fc \u65e5".encode()))

    def test_harmful(self) -> None:
        """Nothing that moves a cursor, breaks a line or turns text around gets through."""
        harmful = [*range(0x09), *range(0x0A, 0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E]
        for code in [*harmful, 0x2066]:
            shown = printable(chr(code).encode())
            self.assertTrue(shown.isascii() and shown.isprintable(), hex(code))
            self.assertIn(f"{code:02x}", shown)

    def test_noText(self) -> None:
        """Bytes that are no UTF-8 are shown as numbers."""
        self.assertEqual("a\\xff\\xc3b", printable(b"a\xff\xc3b"))


class StderrTests(SynchronousTestCase):
    """Tests for :class:`Stderr` and :class:`StderrLog`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = StderrLog("app:9000", self.clock, Deadlines(self.clock))
        self.stderr = Stderr(self.log, "GET /a")
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self) -> list[str]:
        return [event["line"] for event in self.events if "line" in event]

    def test_whole(self) -> None:
        """A line carries the member, the request and httpd's level."""
        self.stderr.write(b"PHP Warning: something\n")
        (event,) = self.events
        self.assertEqual(
            ("app:9000", "GET /a", "PHP Warning: something", LogLevel.error),
            (event["member"], event["request"], event["line"], event["log_level"]),
        )

    def test_anyCut(self) -> None:
        """Lines are the same wherever records cut them."""
        text = b"one\ntwo\r\n\nthree"
        for size in (1, 2, 3, 5, 100):
            self.events.clear()
            stderr = Stderr(self.log, "x")
            for at in range(0, len(text), size):
                stderr.write(text[at : at + size])
            stderr.finish()
            self.assertEqual(["one", "two", "three"], self.lines(), size)

    def test_notBeforeItsEnd(self) -> None:
        """A line is logged when it is complete, or with the request's end."""
        self.stderr.write(b"begun ")
        self.assertEqual([], self.lines())
        self.stderr.write(b"and ended")
        self.stderr.finish()
        self.stderr.finish()
        self.assertEqual(["begun and ended"], self.lines())

    def test_long(self) -> None:
        """A line without an end is logged in parts, none is lost, and no more than one is held."""
        data = bytes(65 + n % 26 for n in range(3 * MAX_LINE + 5))
        for at in range(0, len(data), 1000):
            self.stderr.write(data[at : at + 1000])
            self.assertLess(len(self.stderr._rest), MAX_LINE)
        self.stderr.finish()
        self.assertEqual(data.decode(), "".join(self.lines()))
        self.assertEqual(MAX_LINE, max(map(len, self.lines())))

    def test_longAtOnce(self) -> None:
        """So is one that comes at once, with its end."""
        self.stderr.write(b"x" * (2 * MAX_LINE + 1) + b"\n")
        self.assertEqual([MAX_LINE, MAX_LINE, 1], list(map(len, self.lines())))

    def test_braces(self) -> None:
        """A line is never taken for a format."""
        self.stderr.write(b"{log_source} {0}\n")
        self.assertEqual(["{log_source} {0}"], self.lines())

    def test_rate(self) -> None:
        """What is over MAX_LINES in a second is counted, and the count is logged after it."""
        self.stderr.write(b"x\n" * (MAX_LINES + 7))
        self.assertEqual(MAX_LINES, len(self.lines()))
        self.clock.advance(1)
        self.assertEqual([7], [event["left"] for event in self.events if "left" in event])
        self.stderr.write(b"again\n")
        self.assertEqual("again", self.lines()[-1])
        self.clock.advance(2)
        self.assertEqual(1, len([event for event in self.events if "left" in event]))

    def test_rateOfSeveral(self) -> None:
        """The rate is that of all requests of the member; a new second begins anew."""
        for _ in range(MAX_LINES):
            Stderr(self.log, "one").write(b"x\n")
        Stderr(self.log, "other").write(b"y\n")
        self.assertNotIn("y", self.lines())
        self.clock.advance(1)
        Stderr(self.log, "other").write(b"y\n")
        self.assertIn("y", self.lines())
