"""
Which connection a request gets, and what becomes of one that is free.

Nothing here touches a socket, a clock or a log: each method takes what
happened, keeps the books and returns what is to be done.  The books are:

- ``idle``: open connections without a request, the one used last on top, so
  that those which are not needed age until their ``ttl`` ends them;
- ``waiting``: the requests without a connection, first come first served;
- ``connecting`` and ``connections``: how many attempts run, and how many connections
  there are (idle ones and closing ones included);
- ``unheard``: the new connections that the application may not have accepted;
- ``loads``: with an application that multiplexes, the requests on each connection
  in use.

An attempt to connect belongs to no request: a connection that comes free, new
or used, goes to the request that waits longest.  So the requests in front, as
many as the attempts have room for, wait for a connect; those behind wait for a
place, and only they count against ``maxqueue``.

``max``, ``smax`` and ``ttl`` mean what they mean to httpd, for the process as a
whole: without a ``ttl``, idle connections above ``smax`` are closed at once;
with one, each idle connection is closed when it is over.

An application with a fixed number of children, such as php-fpm, has one of them
wait on each connection that is kept; when all do, nobody answers a new one, which
the kernel has accepted long since.  So when a new connection has not given a byte
for :data:`ACCEPTED` seconds, idle ones are given up, and none is kept until it has.
Connections are accepted in their order: one that gave a byte speaks for those
before it.  For the same reason a request that takes none of the idle connections
has one of them closed in exchange for its new one.

With an application that multiplexes, a request goes to an idle connection, else to
the one in use with the fewest requests, and a connection is made when all are full.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from math import inf
from typing import Any, Generic, TypeVar

__all__ = ["ACCEPTED", "MAX_IDLE", "MAX_IDLE_IN_ALL", "Decision", "Pool"]

#: Idle connections kept when the configuration does not say how many; what a
#: process of httpd keeps by default (ThreadsPerChild).
MAX_IDLE = 64

#: Idle connections to all members together; of more, those that were idle for longest end.
MAX_IDLE_IN_ALL = 1024

#: Seconds in which a new connection's request should have begun to be answered.  A page that
#: takes longer costs so much more than a connection that one too many does not matter.
ACCEPTED = 0.25

C = TypeVar("C")
R = TypeVar("R")


class Decision(enum.Enum):
    """What is to be done, when it is not the use of a connection that is there."""

    CONNECT = "begin one more connection"
    EXCHANGE = "begin one more, and close the one that has been idle for longest"
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
    :param everyone: the idle connections of all pools, an ordered set that they share.
    :ivar idle: an ordered set, the oldest first.
    :ivar waiting: an ordered set, the longest waiting first.
    :ivar connecting: the attempts that run.
    :ivar connections: the connections that exist.
    :ivar streams: requests at a time on one connection.
    :ivar loads: how many there are on each in use; empty unless there may be several.
    :ivar closed: whether connections are not kept any more.
    """

    __slots__ = (
        "_choosy",
        "_everyone",
        "_max",
        "_maxIdle",
        "_maxQueue",
        "_most",
        "_reuse",
        "closed",
        "connecting",
        "connections",
        "idle",
        "loads",
        "streams",
        "unheard",
        "waiting",
    )

    def __init__(
        self,
        *,
        reuse: bool,
        max: int | None = None,
        maxIdle: int | None = None,
        maxQueue: int = 1024,
        everyone: dict[Any, None] | None = None,
    ) -> None:
        self._reuse = reuse
        self._max = max
        self._most: int | None = None
        self._maxIdle = 0 if not reuse else MAX_IDLE if maxIdle is None else maxIdle
        self._maxQueue = maxQueue
        self._everyone: dict[Any, None] = {} if everyone is None else everyone
        self.idle: dict[C, None] = {}
        self.waiting: OrderedDict[R, None] = OrderedDict()
        #: The waiting requests that take none but a new connection.
        self._choosy: set[R] = set()
        self.unheard: dict[C, float] = {}
        self.connecting = 0
        self.connections = 0
        self.streams = 1
        self.loads: dict[C, int] = {}
        self.closed = False

    def assign(self, request: R, isSettled: Callable[[C], bool] | None = None) -> C | Decision:
        """
        A request came.

        :param isSettled: of a request that does not take every idle connection:
            whether it takes this one.  If not, it takes none but a new one.
        :returns: the connection to use, or what else to do.
        """
        if self.loads and (connection := self._emptiest()) is not None:
            # Before an idle one: what leaves on one connection leaves in one write.
            self.loads[connection] += 1
            return connection
        idle = self.idle
        if idle:
            connection = idle.popitem()[0] if isSettled is None else self._settled(isSettled)
            if connection is not None:
                del self._everyone[connection]
                if self.streams != 1:
                    self.loads[connection] = 1
                return connection
        promised = self.connecting * self.streams
        if len(self.waiting) < promised:
            decision = Decision.WAIT
        elif self._mayConnect():
            self.connecting += 1
            decision = Decision.EXCHANGE if self.idle else Decision.CONNECT
        elif len(self.waiting) - promised >= self._maxQueue:
            return Decision.REFUSE
        else:
            decision = Decision.REPLACE if self.idle else Decision.WAIT
        self.waiting[request] = None
        if isSettled is not None:
            self._choosy.add(request)
        return decision

    def again(self, request: R, anew: bool = True) -> C | Decision:
        """
        A request has to be tried again: before all others.

        :param anew: whether on a new connection; with an application that multiplexes,
            if there can be one.
        """
        if self.streams > 1:
            connection = None
            if anew:
                new = (c for c in reversed(self.unheard) if self.loads.get(c, inf) < self.streams)
                connection = next(new, None)
            if connection is None and not (anew and self._mayConnect()):
                connection = self._emptiest()
            if connection is not None:
                self.loads[connection] += 1
                return connection
        else:
            self._choosy.add(request)
        self.waiting[request] = None
        self.waiting.move_to_end(request, last=False)
        return self.next()

    def queued(self, request: R) -> bool:
        """Whether a request waits for a place, and not just for a connect."""
        for place, other in enumerate(self.waiting):
            if other == request:
                return place >= self.connecting * self.streams
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
        return (self.connecting - 1) * self.streams >= len(self.waiting) and self.connecting > 0

    def connected(self, connection: C, now: float = 0.0) -> R | None:
        """
        An attempt succeeded.

        :param now: the time, in any seconds that :meth:`freed` counts as well.
        :returns: the request that gets the connection; without one, the
            connection is to be treated as :meth:`freed`.
        """
        self.connecting -= 1
        self.connections += 1
        request = self._longestWaiting()
        if request is not None:
            if self._reuse or self._everyone:
                self.unheard[connection] = now
            if self.streams > 1:
                self.loads[connection] = 1
        return request

    def connectFailed(self) -> tuple[R | None, Decision]:
        """
        An attempt failed.

        :returns: the request that fails with it, and what to do for the others.
        """
        self.connecting -= 1
        failed = self._longestWaiting()
        return failed, self.next()

    def heard(self, connection: C) -> None:
        """A connection gave its first byte: it was accepted, as those before it were."""
        unheard = self.unheard
        if connection in unheard:
            while True:
                first = next(iter(unheard))
                del unheard[first]
                if first == connection:
                    break

    def overdue(self, now: float, others: Sequence[C] = ()) -> tuple[list[C], float | None]:
        """
        Look after the new connections that gave nothing.

        :param others: idle connections of other pools to the same application.
        :returns: the idle ones to close for them, and when to look again, if at all.
        """
        if not self.unheard or not (self.idle or others) or self.streams > 1:
            return [], None
        due = next(iter(self.unheard.values())) + ACCEPTED
        if now < due:
            return [], due
        surplus = list(islice(chain(self.idle, others), len(self.unheard)))
        return surplus, now + ACCEPTED if others else None

    def freed(self, connection: C, load: int = 0, now: float = 0.0) -> R | bool:
        """
        A connection can take a request.

        :param load: how many it has.
        :returns: the request that gets it, which is not all that it may take; else
            whether it is :meth:`keep`.
        """
        if self.streams > 1:
            self.loads[connection] = load
            if self.waiting and load < self.streams and not self._isExhausted():
                request = self._longestWaiting()
                assert request is not None
                self.loads[connection] = load + 1
                return request
            if load:
                return True
            del self.loads[connection]
        elif self.waiting:
            for request in self.waiting:
                if request not in self._choosy:
                    del self.waiting[request]
                    return request
        if self._choosy and self.connecting < len(self.waiting):
            return False  # the last: its place is needed for a new one
        return self.keep(connection, now)

    def keep(self, connection: C, now: float) -> bool:
        """
        A connection has no request, and nobody waits.

        :returns: whether it is kept; then :meth:`overdue` has to be asked some time.
        """
        if (
            self.closed
            or len(self.idle) >= self._maxIdle
            or (self.unheard and self._isOverdue(now))
        ):
            return False
        self.idle[connection] = None
        self._everyone[connection] = None
        return True

    def closing(self, connection: C) -> None:
        """A connection takes no request any more."""
        self.unheard.pop(connection, None)
        self.loads.pop(connection, None)
        if connection in self.idle:
            del self.idle[connection]
            del self._everyone[connection]

    def lost(self, connection: C) -> Decision:
        """A connection does not exist any more."""
        self.connections -= 1
        self.closing(connection)
        return self.next()

    def next(self) -> Decision:
        """What to do for those that wait."""
        if self.connecting * self.streams < len(self.waiting) and self._mayConnect():
            self.connecting += 1
            return Decision.EXCHANGE if self.idle else Decision.CONNECT
        return Decision.WAIT

    def share(
        self, streams: int, max: int | None, most: int | None, loads: Mapping[C, int]
    ) -> None:
        """
        From now on connections are shared by several requests, or not any more.

        What waits is to be served by :meth:`freed`, for each connection, and :meth:`next`.

        :param streams: requests at a time on one connection; 1 for no sharing.
        :param max: connections and attempts at a time; ``None`` for no limit.
        :param most: requests at a time on all connections; ``None`` for no limit.
        :param loads: the connections in use that may be shared, and how many they have.
        """
        self.streams = streams
        self._max = max
        self._most = most
        self.loads = {}
        if streams > 1:
            self.loads.update(loads)
            self._choosy.clear()

    def _settled(self, isSettled: Callable[[C], bool]) -> C | None:
        """The connection that has been idle for longest, if it has settled."""
        oldest = next(iter(self.idle))
        if not isSettled(oldest):
            return None
        del self.idle[oldest]
        return oldest

    def _isOverdue(self, now: float) -> bool:
        """Whether the application should have accepted a connection by now."""
        return self.streams == 1 and now >= next(iter(self.unheard.values())) + ACCEPTED

    def _emptiest(self) -> C | None:
        """The connection in use with the fewest requests, if it has room."""
        emptiest: C | None = None
        fewest: int = self.streams
        inAll: int = 0
        load: int
        for connection, load in self.loads.items():
            inAll += load
            if load < fewest:
                emptiest = connection
                fewest = load
        return None if self._most is not None and inAll >= self._most else emptiest

    def _isExhausted(self) -> bool:
        """Whether the application has as many requests as it takes in all."""
        return self._most is not None and sum(self.loads.values()) >= self._most

    def _mayConnect(self) -> bool:
        if self._max is not None and self.connections + self.connecting >= self._max:
            return False
        return self._most is None or sum(self.loads.values()) + self.connecting < self._most

    def _longestWaiting(self) -> R | None:
        if not self.waiting:
            return None
        request = self.waiting.popitem(last=False)[0]
        self._choosy.discard(request)
        return request
