"""
Heads of responses, as they are sent.

Strategy: an application repeats its heads, and their fields have their lines already
(:attr:`Headers.prepared`).  Sent again within a second, all but its last lines is the same bytes:
those are remembered, :data:`MAX_HEADS` at most, and forgotten with their Date.
"""

from __future__ import annotations

from collections.abc import Collection
from email.utils import formatdate
from time import time

from twisted_fcgi.http import REASONS
from twisted_fcgi.message import ResponseHead

__all__ = ["MAX_HEADS", "SentHeads"]

#: Heads that are remembered, of one second.
MAX_HEADS = 256

_STATUS_LINES = {
    (status, reason): b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in REASONS.items()
}

_OURS = frozenset((b"date", b"server"))


class _SentHead:
    """
    One that is remembered, and what it was made of besides the fields.

    :ivar data: all but the lines about the connection.
    :ivar whole: with an empty line behind that.
    """

    __slots__ = ("data", "framing", "reason", "status", "whole")

    def __init__(self, data: bytes, status: int, reason: bytes, framing: bytes) -> None:
        self.data = data
        self.whole = data + b"\r\n"
        self.status = status
        self.reason = reason
        self.framing = framing


class SentHeads:
    """
    Makes heads.

    :param serverName: what the Server field says.
    """

    __slots__ = ("_dateAndServer", "_known", "_serverName", "_since", "_until")

    def __init__(self, serverName: bytes) -> None:
        self._serverName = serverName
        self._since = self._until = 0.0
        self._dateAndServer = b""
        self._known: dict[bytes, _SentHead] = {}

    def framed(self, head: ResponseHead, framing: bytes, connection: bytes) -> bytes:
        """
        A head as it is sent.

        :param framing: the line that says where the body ends.
        :param connection: the lines about that and the empty one, or nothing.
        :raises ValueError: there is a line end inside a field or the reason, which would
            make two of them.
        """
        # Not the reactor's clock, which need not be the time of day.
        now: float = time()
        if not self._since <= now < self._until:
            self._renew(now)
        headers = head.headers
        lines = headers.prepared
        if lines is None:
            return self._made(head, headers.lines(), framing) + (connection or b"\r\n")
        sent: _SentHead | None = self._known.get(lines)
        if (
            sent is None
            or sent.status != head.status
            or sent.reason != head.reason
            or sent.framing != framing
        ):
            data = self._made(head, lines, framing)
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            sent = self._known[lines] = _SentHead(data, head.status, head.reason, framing)
        return sent.data + connection if connection else sent.whole

    def _made(self, head: ResponseHead, lines: bytes, framing: bytes) -> bytes:
        status, reason = head.status, head.reason
        line = _STATUS_LINES.get((status, reason)) or _statusLine(status, reason)
        ours = self._dateAndServer
        names = head.headers.names()
        if not names.isdisjoint(_OURS):
            ours = _without(ours, names)
        return b"".join((line, ours, lines, framing))

    def _renew(self, now: float) -> None:
        """Another second has begun."""
        second = int(now)
        self._since, self._until = float(second), second + 1.0
        date = formatdate(second, usegmt=True).encode("ascii")
        self._dateAndServer = b"Date: %b\r\nServer: %b\r\n" % (date, self._serverName)
        self._known.clear()


def _without(ours: bytes, names: Collection[bytes]) -> bytes:
    """Of our fields those that the application has not: its own go before ours, as in httpd."""
    lines = ours.splitlines(True)
    return b"".join([line for line in lines if line.partition(b":")[0].lower() not in names])


def _statusLine(status: int, reason: bytes) -> bytes:
    """
    :raises ValueError: there is a line end in the reason.
    """
    if b"\r" in reason or b"\n" in reason:
        raise ValueError("a reason phrase with a line end inside")
    return b"HTTP/1.1 %d %b\r\n" % (status, reason)
