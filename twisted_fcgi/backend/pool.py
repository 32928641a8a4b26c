"""
Which connection a request gets, and what becomes of one that is free.

Nothing here touches a socket, a clock or a log: each method takes what
happened, keeps the books and returns what is to be done.  The books are three:

- ``idle``: open connections without a request, the one used last on top, so
  that those which are not needed age until their ``ttl`` ends them;
- ``waiting``: the requests without a connection, first come first served;
- ``connecting`` and ``open``: how many attempts run, and how many connections
  there are (idle ones and closing ones included).

An attempt to connect belongs to no request: a connection that comes free, new
or used, goes to the request that waits longest.  So the requests in front, as
many as there are attempts, wait for a connect; those behind wait for a place,
and only they count against ``maxqueue``.

``max``, ``smax`` and ``ttl`` mean what they mean to httpd, for the process as a
whole: without a ``ttl``, idle connections above ``smax`` are closed at once;
with one, each idle connection is closed when it is over.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["MAX_IDLE", "Decision", "Pool"]

#: Idle connections kept when the configuration does not say how many; what a
#: process of httpd keeps by default (ThreadsPerChild).
MAX_IDLE = 64

C = TypeVar("C")
R = TypeVar("R")


class Decision(enum.Enum):
    """What is to be done, when it is not the use of an idle connection."""

    CONNECT = "begin one more connection"
    REPLACE = "close the connection that has been idle for longest; its place is needed"
    WAIT = "nothing: a connection will come"
    REFUSE = "the queue is full"


class Pool(Generic[C, R]):
    """
    The connections of one member and the requests that wait for one.

    :param reuse: whether connections are kept for further requests.
    :param max: connections and attempts at a time; ``None`` for no limit.
    :param maxIdle: idle connections that are kept; ``None`` for :data:`MAX_IDLE`.
    :param maxQueue: requests that may wait for a place.
    :ivar idle: an ordered set, the oldest first.
    :ivar waiting: an ordered set, the longest waiting first.
    :ivar connecting: the attempts that run.
    :ivar open: the connections that exist.
    :ivar closed: whether connections are not kept any more.
    """

    __slots__ = (
        "_choosy",
        "_max",
        "_maxIdle",
        "_maxQueue",
        "closed",
        "connecting",
        "idle",
        "open",
        "waiting",
    )

    def __init__(
        self,
        *,
        reuse: bool,
        max: int | None = None,
        maxIdle: int | None = None,
        maxQueue: int = 1024,
    ) -> None:
        self._max = max
        self._maxIdle = 0 if not reuse else MAX_IDLE if maxIdle is None else maxIdle
        self._maxQueue = maxQueue
        self.idle: dict[C, None] = {}
        self.waiting: OrderedDict[R, None] = OrderedDict()
        #: The waiting requests that take none but a new connection.
        self._choosy: set[R] = set()
        self.connecting = 0
        self.open = 0
        self.closed = False

    def assign(self, request: R, isSettled: Callable[[C], bool] | None = None) -> C | Decision:
        """
        A request came.

        :param isSettled: of a request that does not take every idle connection:
            whether it takes this one.  If not, it takes none but a new one.
        :returns: the idle connection to use, or what else to do.
        """
        if self.idle:
            if isSettled is None:
                return self.idle.popitem()[0]
            oldest = next(iter(self.idle))
            if isSettled(oldest):
                del self.idle[oldest]
                return oldest
        limit = self._max
        if limit is None or self.open + self.connecting < limit:
            self.connecting += 1
            decision = Decision.CONNECT
        elif len(self.waiting) - self.connecting >= self._maxQueue:
            return Decision.REFUSE
        else:
            decision = Decision.REPLACE if self.idle else Decision.WAIT
        self.waiting[request] = None
        if isSettled is not None:
            self._choosy.add(request)
        return decision

    def again(self, request: R) -> Decision:
        """A request has to be tried again: before all others, and on a new connection."""
        self._choosy.add(request)
        self.waiting[request] = None
        self.waiting.move_to_end(request, last=False)
        return self._next()

    def queued(self, request: R) -> bool:
        """Whether a request waits for a place, and not just for a connect."""
        for place, other in enumerate(self.waiting):
            if other == request:
                return place >= self.connecting
        return False

    def withdraw(self, request: R) -> bool:
        """
        A request is not wanted any more, or has waited too long.

        :returns: whether an attempt to connect is now one too many.
        """
        if request not in self.waiting:
            return False
        del self.waiting[request]
        self._choosy.discard(request)
        return self.connecting > len(self.waiting)

    def connected(self) -> R | None:
        """
        An attempt succeeded.

        :returns: the request that gets the connection; without one, the
            connection is to be treated as :meth:`freed`.
        """
        self.connecting -= 1
        self.open += 1
        return self._longestWaiting()

    def connectFailed(self) -> tuple[R | None, Decision]:
        """
        An attempt failed.

        :returns: the request that fails with it, and what to do for the others.
        """
        self.connecting -= 1
        failed = self._longestWaiting()
        return failed, self._next()

    def freed(self, connection: C) -> R | bool:
        """
        A connection can take a request.

        :returns: the request that gets it; else whether it is kept.
        """
        if self.waiting:
            for request in self.waiting:
                if request not in self._choosy:
                    del self.waiting[request]
                    return request
        if self.closed or len(self.idle) >= self._maxIdle or self.connecting < len(self.waiting):
            return False  # the last: its place is needed for a new one
        self.idle[connection] = None
        return True

    def lost(self, connection: C) -> Decision:
        """A connection does not exist any more."""
        self.open -= 1
        self.idle.pop(connection, None)
        return self._next()

    def _longestWaiting(self) -> R | None:
        if not self.waiting:
            return None
        request = self.waiting.popitem(last=False)[0]
        self._choosy.discard(request)
        return request

    def _next(self) -> Decision:
        if self.connecting < len(self.waiting) and (
            self._max is None or self.open + self.connecting < self._max
        ):
            self.connecting += 1
            return Decision.CONNECT
        return Decision.WAIT
