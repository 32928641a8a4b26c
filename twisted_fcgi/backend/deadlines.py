"""
Many deadlines, one delayed call.

A timer for each request would cost more than the rest of the request's book
keeping.  Here the things that may fall overdue say themselves when that is,
and one delayed call, at the earliest of those moments, looks at all of them.
A deadline may move to a later moment without a word (each byte that is heard
moves it); of one that moves to an earlier moment :meth:`Deadlines.hasten` is told.

While there are deadlines, two looks are at least :data:`QUANTUM` apart, which
is by how much a moved deadline may be late.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["QUANTUM", "Deadlines", "Watched"]

#: Seconds between two looks, at least.
QUANTUM = 0.05


class Watched(Protocol):
    """Something that may fall overdue."""

    def dueAt(self) -> float:
        """When, in the reactor's seconds; infinity for not now."""

    def expired(self) -> None:
        """It is; looked after no longer, unless it is watched again."""


class Deadlines:
    """Ends what is overdue."""

    log = Logger(namespace="twisted_fcgi.backend")

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._watched: dict[Watched, None] = {}  # a set in a known order
        self._call: IDelayedCall | None = None
        self._nextAt = inf

    def watch(self, item: Watched, dueAt: float) -> None:
        """Look after ``item``, which is not due before ``dueAt``."""
        self._watched[item] = None
        if dueAt < self._nextAt:
            self._lookAt(dueAt)

    def hasten(self, dueAt: float) -> None:
        """Something that is looked after may be due at ``dueAt`` already."""
        if dueAt < self._nextAt:
            self._lookAt(dueAt)

    def forget(self, item: Watched) -> None:
        """Look after ``item`` no longer; harmless when it is not watched."""
        self._watched.pop(item, None)

    def end(self, item: Watched) -> None:
        """End what is overdue; the others are not to wait for ever because of one."""
        try:
            item.expired()
        except Exception:
            self.log.failure("{item!r} could not be ended", item=item)

    def stop(self) -> None:
        """Look after nothing any more."""
        self._watched.clear()
        self._nextAt = inf
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _lookAt(self, moment: float) -> None:
        self._nextAt = moment
        delay = max(0.0, moment - self._reactor.seconds())
        if self._call is None:
            self._call = self._reactor.callLater(delay, self._look)
        else:
            self._call.reset(delay)

    def _look(self) -> None:
        self._call = None
        self._nextAt = inf
        now = self._reactor.seconds()
        earliest = inf
        for item in list(self._watched):
            if item not in self._watched:
                continue  # ended together with one before it
            due = item.dueAt()
            if due <= now:
                del self._watched[item]
                self.end(item)
                if item not in self._watched:
                    continue
                due = item.dueAt()
            if due < earliest:
                earliest = due
        # An item that expired may have had others watched.
        if earliest < self._nextAt:
            self._lookAt(max(earliest, now + QUANTUM))
