"""
What applications write to STDERR, as lines of the log.

STDERR is cut into records anywhere; a line is logged when its end came, or with
the end of the request.  It never changes a response.  A line longer than
:data:`MAX_LINE` is logged in several, an application that writes more than
:data:`MAX_LINES` lines a second is not heard until the next second, and how
many lines were left out is logged then.  Control characters are escaped: the
lines may hold what a client sent, such as forged lines or terminal escapes.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from twisted_fcgi.backend.deadlines import Deadlines

__all__ = ["MAX_LINE", "MAX_LINES", "Stderr", "StderrLog", "printable"]

#: Bytes of a line; what httpd's log takes (MAX_STRING_LEN).
MAX_LINE = 8192

#: Lines of one member in a second.
MAX_LINES = 200

#: C0 but the tab, DEL and C1; then what Unicode breaks lines with or turns around.
_ESCAPES = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09},
    **{code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))},
}


def printable(data: bytes) -> str:
    """Bytes from outside as text that does no harm to a log or a terminal."""
    return data.decode("utf-8", "backslashreplace").translate(_ESCAPES)


class StderrLog:
    """The log of one member's STDERR lines."""

    log = Logger(namespace="twisted_fcgi.backend.stderr")
    #: As httpd has it (AH01071): LogLevel error and above shows it.
    level = LogLevel.error

    def __init__(self, member: str, reactor: IReactorTime, deadlines: Deadlines) -> None:
        self._member = member
        self._reactor = reactor
        self._deadlines = deadlines
        self._secondEnds = 0.0
        self._lines = 0

    def write(self, request: str, lines: Iterable[bytes]) -> None:
        """Log lines of one request."""
        now = self._reactor.seconds()
        if now >= self._secondEnds:
            self.expired()
            self._secondEnds = now + 1
        for line in lines:
            self._lines += 1
            if self._lines <= MAX_LINES:
                self.log.emit(
                    self.level,
                    "{member}: {request}: stderr: {line}",
                    member=self._member,
                    request=request,
                    line=printable(line),
                )
            elif self._lines == MAX_LINES + 1:
                self._deadlines.watch(self, self._secondEnds)

    def dueAt(self) -> float:
        """When the lines left out are to be counted."""
        return self._secondEnds

    def expired(self) -> None:
        """Say how many lines were left out."""
        left = self._lines - MAX_LINES
        self._lines = 0
        if left > 0:
            self._deadlines.forget(self)
            self.log.emit(
                self.level,
                "{member}: {left} more lines of stderr in that second were left out",
                member=self._member,
                left=left,
            )


class Stderr:
    """The STDERR of one request, assembled to lines."""

    __slots__ = ("_log", "_request", "_rest")

    def __init__(self, log: StderrLog, request: str) -> None:
        self._log = log
        self._request = request
        self._rest = b""

    def write(self, data: bytes) -> None:
        """A part of it, cut anywhere."""
        lines = (self._rest + data).split(b"\n")
        rest = lines.pop()
        whole = [line.removesuffix(b"\r") for line in lines]
        while len(rest) >= MAX_LINE:
            whole.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest
        self._log.write(
            self._request,
            (
                line[at : at + MAX_LINE]
                for line in whole
                if line
                for at in range(0, len(line), MAX_LINE)
            ),
        )

    def finish(self) -> None:
        """There is no more."""
        if self._rest:
            self._log.write(self._request, (self._rest.removesuffix(b"\r"),))
            self._rest = b""
