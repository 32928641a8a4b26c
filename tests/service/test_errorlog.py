"""Tests for :mod:`twisted_fcgi.service.errorlog`."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from twisted_fcgi.service.errorlog import LEVELS, ErrorLog, formatLine


class FormatLineTests(SynchronousTestCase):
    """An event becomes a line."""

    def line(self, **event: object) -> str:
        return formatLine({"log_time": 1_000_000.25, "log_level": LogLevel.error, **event})

    def test_likeApache(self) -> None:
        """A line has httpd's shape: time with microseconds, module and level, pid, message."""
        line = self.line(
            log_format="{what} died", what="it", log_namespace="twisted_fcgi.web.relay"
        )
        self.assertRegex(
            line,
            r"\A\[\w{3} \w{3} \d\d \d\d:\d\d:\d\d\.250000 1970\] "
            r"\[web\.relay:error\] \[pid \d+\] it died\n\Z",
        )

    def test_controlsAreEscaped(self) -> None:
        """Control characters, which a terminal would obey, are shown and not sent."""
        line = self.line(log_format="{text}", text="a\x1b[2Jb\rc\x9bd\x00")
        self.assertIn(r"a\x1b[2Jb\x0dc\x9bd\x00", line)

    def test_oneLineStaysOne(self) -> None:
        """A line feed in a message can't begin a line that passes for another event."""
        line = self.line(log_format="{text}", text="a\n[Thu Nov 20] [core:error] all is well")
        self.assertEqual(
            ["    [Thu Nov 20] [core:error] all is well"], line.splitlines()[1:]
        )

    def test_traceback(self) -> None:
        """A failure's traceback follows, indented."""
        line = self.line(log_format="oh", log_failure=Failure(ValueError("bad")))
        first, *rest = line.splitlines()
        self.assertTrue(first.endswith("] oh"))
        self.assertTrue(all(entry.startswith("    ") for entry in rest))
        self.assertIn("ValueError: bad", line)

    def test_anyEvent(self) -> None:
        """An event without anything, and one that can't be formatted, become lines too."""
        self.assertRegex(formatLine({}), r"\[-:info\] \[pid \d+\] \n\Z")
        self.assertIn("Unable to format", self.line(log_format="{missing}"))


class ErrorLogTests(SynchronousTestCase):
    """The file."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "error.log"

    def opened(self, level: str = "warn") -> ErrorLog:
        log = ErrorLog(str(self.path), level)
        self.addCleanup(log.close)
        return log

    def messages(self) -> list[str]:
        return [re.sub(r"\A.*\] ", "", line) for line in self.path.read_text().splitlines()]

    def test_interface(self) -> None:
        """It is a log observer."""
        verifyObject(ILogObserver, self.opened())

    def test_levels(self) -> None:
        """Only events of the level asked for, or more severe ones, are written."""
        severities = ["debug", "info", "warn", "error", "critical"]
        for word, least in LEVELS.items():
            with self.subTest(word):
                self.path.unlink(missing_ok=True)
                log = Logger(observer=self.opened(word))
                for severity in severities:
                    log.emit(LogLevel.lookupByName(severity), severity)
                self.assertEqual(severities[severities.index(least.name) :], self.messages())

    def test_appends(self) -> None:
        """What is in the file already stays."""
        self.path.write_text("[x] before\n")
        Logger(observer=self.opened()).error("after")
        self.assertEqual(["before", "after"], self.messages())

    def test_rotation(self) -> None:
        """When the file was moved away, a new one is made; nothing is lost."""
        log = Logger(observer=self.opened())
        log.error("one")
        moved = self.path.rename(self.path.with_suffix(".1"))
        log.error("two")
        self.assertEqual(["two"], self.messages())
        self.assertIn("one", moved.read_text())

    def test_rotationWithoutRights(self) -> None:
        """When no new file can be made, the old one is written on."""
        (self.folder / "log").mkdir()
        self.path = self.folder / "log" / "error.log"
        log = Logger(observer=self.opened())
        moved = self.path.parent.rename(self.folder / "moved")
        log.error("still here")
        self.assertIn("still here", (moved / "error.log").read_text())

    def test_cannotOpen(self) -> None:
        """A file that can't be opened is an error at once."""
        with self.assertRaises(OSError):
            ErrorLog(str(self.folder / "missing" / "error.log"))
