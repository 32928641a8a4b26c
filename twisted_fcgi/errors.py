"""
Everything that can go wrong with a request, and whose fault it is.

Each error carries the HTTP status that a client gets for it, and whether
another attempt may be made, so that no other module keeps a mapping of its
own.  Two families:

- :class:`RequestError`: one request failed; everything else goes on.
- :class:`ConfigurationError`: a place in a configuration file is wrong;
  nothing is started.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "AbortedByClient",
    "AcquireTimedOut",
    "ApplicationOverloaded",
    "BadRequest",
    "BrokenResponse",
    "CannotMultiplex",
    "ClientTooSlow",
    "ConfigurationError",
    "ConfigurationErrors",
    "ConnectFailed",
    "ConnectionDied",
    "Fault",
    "LocalProtocolError",
    "MethodNotAllowed",
    "PeerRefused",
    "ProtocolError",
    "RemoteProtocolError",
    "RequestError",
    "ResponseTimedOut",
    "nearest",
    "quoted",
]


class Fault(enum.Enum):
    """Who has to mend it."""

    CLIENT = "client"
    APPLICATION = "application"
    GATEWAY = "gateway"


class RequestError(Exception):
    """
    One request failed.

    :ivar status: the HTTP status that the client gets, if nothing of a
        response was sent yet.
    :ivar fault: who has to mend it.
    :ivar retryable: whether nothing of the request can have had an effect,
        so that any method may be tried again on another connection or member.
    :ivar untouched: whether its connection was one that is kept, and failed before
        it gave a byte for this request: most often it had been idle for too long.
    :ivar retryAfter: seconds after which the client may try again; 0 for unknown.
    """

    status = 500
    fault = Fault.GATEWAY
    retryable = False
    untouched = False
    retryAfter = 0

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        if status is not None:
            self.status = status


class BadRequest(RequestError):
    """The client's bytes are not a request that we serve (400, 413, 414, 431, 501 ...)."""

    status = 400
    fault = Fault.CLIENT


class MethodNotAllowed(RequestError):
    """
    Nothing of this method is done for what is asked for (405, 501).

    :ivar allowed: those that are, for Allow.
    """

    status = 405
    fault = Fault.CLIENT

    def __init__(self, reason: str, allowed: bytes, status: int | None = None) -> None:
        super().__init__(reason, status)
        self.allowed = allowed


class AbortedByClient(RequestError):
    """The client left before its response was complete; logged as 499, never sent."""

    status = 499
    fault = Fault.CLIENT


class ConnectFailed(RequestError):
    """No connection to the member: refused, unreachable, or not within ``connectiontimeout``."""

    status = 503
    fault = Fault.APPLICATION
    retryable = True


class PeerRefused(ConnectFailed):
    """No TLS with the member: it is not who it should be, or does not want us."""

    status = 502


class ClientTooSlow(RequestError):
    """The client leaves more of a response unread than is held for it (``maxspool``)."""

    status = 499
    fault = Fault.CLIENT


class AcquireTimedOut(RequestError):
    """No free connection to the member within ``acquire``, or its queue is full."""

    status = 503
    retryable = True

    def __init__(self, reason: str, retryAfter: int = 1) -> None:
        super().__init__(reason)
        self.retryAfter = retryAfter


class ConnectionDied(RequestError):
    """
    The application closed the connection before it ended the request.

    :ivar unaccepted: whether it may never have accepted it: the connection was new, and
        was reset before it gave a byte.
    """

    status = 503
    fault = Fault.APPLICATION
    unaccepted = False

    def __init__(self, reason: str, *, untouched: bool = False, retryable: bool = False) -> None:
        super().__init__(reason)
        self.untouched = untouched
        self.retryable = retryable


class ResponseTimedOut(RequestError):
    """The application was silent for longer than ``timeout``."""

    status = 504
    fault = Fault.APPLICATION


class ApplicationOverloaded(RequestError):
    """
    END_REQUEST said FCGI_OVERLOADED: the application did not begin the request.

    :ivar others: how many requests were on the same connection.
    """

    status = 503
    fault = Fault.APPLICATION
    retryable = True
    others = 0


class CannotMultiplex(ApplicationOverloaded):
    """END_REQUEST said FCGI_CANT_MPX_CONN: the request needs a connection of its own."""


class BrokenResponse(RequestError):
    """What the application wrote to stdout is no CGI response (RFC 3875, 6)."""

    status = 502
    fault = Fault.APPLICATION


class ProtocolError(RequestError):
    """Somebody broke FastCGI 1.0."""


class LocalProtocolError(ProtocolError):
    """We did: a record that the state of the connection does not allow."""

    status = 500
    fault = Fault.GATEWAY


class RemoteProtocolError(ProtocolError):
    """The peer did: its connection can't be understood any more and has to be closed."""

    status = 502
    fault = Fault.APPLICATION


@dataclass(frozen=True)
class ConfigurationError(Exception):
    """
    One mistake in a configuration.

    :ivar message: what is wrong.
    :ivar file: the file's path as it was named, or ``<command line>``.
    :ivar line: the line's number, from 1.
    :ivar column: the column, from 1.
    :ivar text: the line itself.
    :ivar hint: what would have been right, or the empty string.
    """

    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    text: str = ""
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        lines = [place + self.message]
        if self.text:
            lines.append("    " + self.text.strip())
        if self.hint:
            lines.append("    " + self.hint)
        return "\n".join(lines)


class ConfigurationErrors(Exception):
    """
    All mistakes that were found in a configuration.

    :ivar errors: one or more :class:`ConfigurationError`, in the order of the files.
    :ivar notices: what was met besides that deserves a notice, such as a number that is read
        otherwise than it looks.
    """

    def __init__(self, errors: Sequence[ConfigurationError], notices: Sequence[str] = ()) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)
        self.notices = tuple(notices)


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """What somebody may have meant by a name that is not known."""
    from difflib import get_close_matches  # only who mistypes needs it

    return next(iter(get_close_matches(name, list(known), 1, likeness)), None)


def quoted(value: bytes) -> str:
    """Bytes from outside, as they stand in a message."""
    return repr(value.decode("utf-8", "backslashreplace"))
