"""
ErrorLog and LogLevel: events as lines of a file.

Lines look as httpd's do by default, so that what reads those (fail2ban,
logwatch, grep) reads these::

    [Thu Nov 20 09:11:00.123456 2025] [backend.member:error] [pid 4242] message

An event is one line.  What follows the first line of a message, such as a
traceback, is indented, and control characters are escaped, so that nothing from
outside can pass for a line of its own.

The file is opened again when it was moved or removed: rotation needs no signal.
"""

from __future__ import annotations

import os
import re
import sys
import time

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

__all__ = ["LEVELS", "ErrorLog", "formatLine"]

#: httpd's words and the least severe event that each lets through.  Twisted has
#: fewer levels: what httpd tells apart below ``debug`` or above ``error`` is one.
LEVELS = {
    "emerg": LogLevel.critical,
    "alert": LogLevel.critical,
    "crit": LogLevel.critical,
    "error": LogLevel.error,
    "warn": LogLevel.warn,
    "notice": LogLevel.info,
    "info": LogLevel.info,
    "debug": LogLevel.debug,
    **{f"trace{number}": LogLevel.debug for number in range(1, 9)},
}

#: The word that a line carries.
_WORDS = {
    LogLevel.critical: "crit",
    LogLevel.error: "error",
    LogLevel.warn: "warn",
    LogLevel.info: "info",
    LogLevel.debug: "debug",
}

# C0 but tab and line feed, DEL and C1: a terminal would obey them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _escaped(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"


def formatLine(event: LogEvent) -> str:
    """
    An event as it stands in the log, with its line end.

    :param event: any event of ``twisted.logger``.
    """
    seconds = event.get("log_time", 0.0)
    stamp = time.strftime("%a %b %d %H:%M:%S", time.localtime(seconds))
    year = time.localtime(seconds).tm_year
    namespace = (event.get("log_namespace") or "-").removeprefix("twisted_fcgi.")
    word = _WORDS.get(event.get("log_level", LogLevel.info), "info")
    message = formatEvent(event) or ""
    failure = event.get("log_failure")
    if failure is not None:
        message = f"{message}\n{failure.getTraceback()}" if message else failure.getTraceback()
    message = _CONTROLS.sub(_escaped, message.strip()).replace("\n", "\n    ")
    micro = int(seconds % 1 * 1_000_000)
    return f"[{stamp}.{micro:06} {year}] [{namespace}:{word}] [pid {os.getpid()}] {message}\n"


@implementer(ILogObserver)
class ErrorLog:
    """
    Writes events to a file.

    :param path: the file; made when it does not exist.
    :param level: httpd's word: one of :data:`LEVELS`.
    :raises OSError: when the file can't be opened.
    """

    def __init__(self, path: str, level: str = "warn") -> None:
        self._path = os.path.abspath(path)
        self._threshold = LEVELS[level]
        self._file, self._identity = self._opened()

    def _opened(self) -> tuple[int, tuple[int, int]]:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        file = os.open(self._path, flags, 0o640)
        status = os.fstat(file)
        return file, (status.st_dev, status.st_ino)

    def _followRotation(self) -> None:
        try:
            status = os.stat(self._path)
            if (status.st_dev, status.st_ino) == self._identity:
                return
        except FileNotFoundError:
            pass
        old = self._file
        self._file, self._identity = self._opened()
        os.close(old)

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) < self._threshold:
            return
        line = formatLine(event).encode("utf-8", "backslashreplace")
        try:
            self._followRotation()
        except OSError:
            pass  # privileges were given up since, say; the old file still takes it
        try:
            os.write(self._file, line)
        except OSError as error:
            print(f"ErrorLog {self._path}: {error.strerror}", file=sys.__stderr__)

    def close(self) -> None:
        """Close the file; nothing may be logged after that."""
        os.close(self._file)
