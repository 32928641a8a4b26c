"""
Whether a request that failed on a connection is sent again, to the same member.

A connection that is kept, and is found dead before it gave a byte, says nothing about
the application, which has just been restarted, or reached its ``pm.max_requests``.  The
request is sent again, on a new connection, when that does no harm: nothing of it was
sent, or its method is idempotent (RFC 9110, 9.2.2); and its body, if any, can be had
again.
"""

from __future__ import annotations

from typing import TypeGuard

from twisted_fcgi.backend.stream import Stream
from twisted_fcgi.errors import ApplicationOverloaded, ConnectionDied, RequestError

__all__ = [
    "IDEMPOTENT",
    "PAUSES",
    "SENT_AGAIN",
    "mayBeSentTwice",
    "pauseBeforeNext",
    "wasRefused",
]

#: Methods whose requests may be sent twice (RFC 9110, 9.2.2).
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

#: How often a request is sent again, and after how many seconds.
PAUSES = (0.0, 0.02, 0.1, 0.5)

#: More often than that only if it was refused beside others, or its new connection was
#: reset, as those are that wait to be accepted by an application that stops.  Any other
#: may be the request that ends the application's children.
MOST_DEATHS = 1

#: How often a request goes to another member, or to one that was restarted, after some died
#: with it: it may be what ends them.
SENT_AGAIN = 3


def mayBeSentTwice(stream: Stream) -> bool:
    """Whether a second time does no harm and the body can be had again."""
    if stream.body is not None and not stream.body.replayable:
        return False
    return any(n == b"REQUEST_METHOD" and value in IDEMPOTENT for n, value in stream.pairs)


def wasRefused(error: RequestError) -> TypeGuard[ApplicationOverloaded]:
    """Whether the application did not take a request beside others on its connection."""
    return isinstance(error, ApplicationOverloaded) and error.others > 0


def pauseBeforeNext(stream: Stream, error: RequestError) -> float | None:
    """
    Decide on a request that failed.

    :returns: after how many seconds it is sent again; ``None`` for not at all.
    """
    refused = wasRefused(error)
    if not (refused or error.untouched) or stream.again == len(PAUSES):
        return None
    unaccepted = isinstance(error, ConnectionDied) and error.unaccepted
    if stream.again >= MOST_DEATHS and not (refused or unaccepted):
        return None
    replayable = stream.body is None or stream.body.replayable
    if mayBeSentTwice(stream) or (error.retryable and replayable):
        return PAUSES[stream.again]
    return None
