"""Tests for :mod:`twisted_fcgi.backend.deadlines`."""

from __future__ import annotations

from math import inf

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.backend.deadlines import QUANTUM, Deadlines

__all__ = ["DeadlinesTests"]


class Item:
    """Due at a moment that may be moved."""

    def __init__(self, clock: Clock, due: float) -> None:
        self.clock = clock
        self.due = due
        self.ended: list[float] = []
        self.fails = False

    def dueAt(self) -> float:
        return self.due

    def expired(self) -> None:
        self.ended.append(self.clock.seconds())
        if self.fails:
            raise RuntimeError("by design")


class DeadlinesTests(SynchronousTestCase):
    """Tests for :class:`Deadlines`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)

    def item(self, due: float) -> Item:
        item = Item(self.clock, due)
        self.deadlines.watch(item, due)
        return item

    def test_onTime(self) -> None:
        """What is overdue is ended at its moment, and once."""
        item = self.item(3)
        self.clock.pump([2.9, 0.1, 5, 5])
        self.assertEqual([3.0], item.ended)

    def test_oneCall(self) -> None:
        """However many deadlines there are, there is one delayed call; none after the last."""
        items = [self.item(n) for n in (5, 3, 4, 10)]
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.clock.pump([0.5] * 30)
        self.assertEqual([[5.0], [3.0], [4.0], [10.0]], [item.ended for item in items])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_movedLater(self) -> None:
        """A deadline that moved to a later moment is kept there."""
        item = self.item(3)
        self.clock.advance(2)
        item.due = 5
        self.clock.pump([1, 1, 0.9])
        self.assertEqual([], item.ended)
        self.clock.advance(0.1)
        self.assertEqual([5.0], item.ended)

    def test_movedEarlier(self) -> None:
        """A deadline that moved to an earlier moment holds once it is watched again."""
        item = self.item(30)
        item.due = 1
        self.deadlines.watch(item, 1)
        self.clock.advance(1)
        self.assertEqual([1.0], item.ended)

    def test_never(self) -> None:
        """What is never due costs no delayed call."""
        self.item(inf)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_forget(self) -> None:
        """What is forgotten is not ended; forgetting it twice is harmless."""
        item = self.item(3)
        self.deadlines.forget(item)
        self.deadlines.forget(item)
        self.clock.advance(4)
        self.assertEqual([], item.ended)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_quantum(self) -> None:
        """Many moments next to each other are looked at QUANTUM apart, not one by one."""
        items = [self.item(1 + n / 1000) for n in range(10)]
        self.clock.advance(1)
        self.assertEqual(1, sum(len(item.ended) for item in items))
        self.clock.advance(QUANTUM)
        self.assertEqual(10, sum(len(item.ended) for item in items))

    def test_oneFails(self) -> None:
        """What can't be ended is logged and keeps no other from its end."""
        items = [self.item(1) for _ in range(3)]
        for item in items:
            item.fails = True
        self.clock.advance(1)
        self.assertEqual([[1.0]] * 3, [item.ended for item in items])
        self.assertEqual(3, len(self.flushLoggedErrors(RuntimeError)))

    def test_endedByAnother(self) -> None:
        """What was forgotten because of another in the same moment is not ended."""
        first, second = self.item(1), self.item(1)
        for one, other in ((first, second), (second, first)):
            one.expired = lambda one=one, other=other: (  # type: ignore[method-assign,misc]
                one.ended.append(1),
                self.deadlines.forget(other),
            )
        self.clock.advance(1)
        self.assertEqual(1, len(first.ended) + len(second.ended))

    def test_watchedByExpired(self) -> None:
        """What is watched while another is ended has its moment too."""
        late = Item(self.clock, 2)
        item = self.item(1)
        item.expired = lambda: self.deadlines.watch(late, 2)  # type: ignore[method-assign]
        self.item(9)
        self.clock.pump([1, 1])
        self.assertEqual([2.0], late.ended)

    def test_stop(self) -> None:
        """After stop() nothing is looked after, and no delayed call is left."""
        item = self.item(1)
        self.deadlines.stop()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.clock.advance(2)
        self.assertEqual([], item.ended)
