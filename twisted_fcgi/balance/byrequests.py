"""
httpd's byrequests, whose cost does not grow with the number of members.

httpd adds to each candidate's ``lbstatus`` its factor, takes the highest one
(the first, if there are several) and subtracts from it the sum of all factors.
That visits every candidate.  The same sequence comes out of three observations:

- Between two elections of a candidate its lbstatus is a line over the steps:
  ``lbstatus + factor * step``.  So nothing has to be added: what is stored
  changes for the elected one only.
- Lines of the same factor never cross.  So they stand in one *lane*, a heap by
  what is stored, and only its top can be the best.
- Lines rise.  While the best lane is not below some *bar*, a lane below it can't
  be best before the step in which it reaches the bar, which is known.  So such
  a lane waits in a calendar for its step, and only the few above the bar are
  looked at.  When all fall below, the bar is laid lower; when too many are
  above, higher.

Whoever charges a candidate outside of an election (a session does) lowers what
is stored without telling; a heap's entry is then too high, which is seen and
mended when it comes to the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace, nlargest

from twisted_fcgi.balance.members import MemberState

__all__ = ["Turns"]

#: How many lanes are above a bar that was laid lower, or higher, and how many
#: there may be before it is laid higher.  Measured: few to look at, seldom a new bar.
LOWERED, RAISED, MOST = 16, 8, 28

#: Below all that can be: no lbstatus gets there in the lifetime of a machine.
NO_BAR = -(1 << 256)


class _Lane:
    """
    The candidates of one factor.

    :ivar factor: theirs.
    :ivar debt: the lowest negative lbstatus as it is stored.
    :ivar order: whose that is.
    :ivar heap: all of them, as ``(debt, order)``.
    """

    __slots__ = ("debt", "factor", "heap", "order")

    def __init__(self, factor: int, heap: list[tuple[int, int]]) -> None:
        heapify(heap)
        self.factor = factor
        self.heap = heap
        self.debt, self.order = heap[0]

    def replaceTop(self, lbstatus: int) -> None:
        """The first one's lbstatus has changed."""
        heapreplace(self.heap, (-lbstatus, self.order))
        self.debt, self.order = self.heap[0]


class Turns:
    """
    Whose turn it is among some candidates.

    :ivar steps: how often each candidate was credited its factor; more credits
        may be added by anyone.
    :ivar total: the sum of the factors.
    :param candidates: in the order that decides among equals.
    """

    def __init__(self, candidates: Sequence[MemberState]) -> None:
        self.candidates = candidates
        self.steps = 0
        self.total = 0
        byFactor: dict[int, list[tuple[int, int]]] = {}
        for order, state in enumerate(candidates):
            byFactor.setdefault(state.factor, []).append((-state.lbstatus, order))
            self.total += state.factor
        self._lanes = [_Lane(factor, heap) for factor, heap in byFactor.items()]
        self._woken = 0
        self._bar = NO_BAR
        self._high: list[_Lane] = []
        self._calendar: dict[int, list[_Lane]] = {}
        self._layBar(self._lanes, LOWERED)

    def take(self) -> MemberState:
        """Elect: credit each candidate, and charge the one with the highest lbstatus."""
        self.steps = step = self.steps + 1
        if step > self._woken + 1 or step in self._calendar:
            self._wake(step)
        self._woken = step
        while True:
            high = self._bar
            order = -1
            for lane in self._high:
                value = lane.factor * step - lane.debt
                if value >= high and (value > high or lane.order < order or order < 0):
                    best = lane
                    high = value
                    order = lane.order
            if order < 0:
                self._layBar(self._lanes, LOWERED)
                continue
            state = self.candidates[order]
            if state.lbstatus == -best.debt:
                break
            best.replaceTop(state.lbstatus)
        state.lbstatus -= self.total
        best.replaceTop(state.lbstatus)
        if best.factor * step - best.debt < self._bar:
            self._high = [lane for lane in self._high if lane is not best]
            self._postpone(best)
        return state

    def _postpone(self, lane: _Lane) -> None:
        """Look at a lane again in the step in which it reaches the bar."""
        ahead = (self._bar + lane.debt - 1) // lane.factor + 1
        if ahead in self._calendar:
            self._calendar[ahead].append(lane)
        else:
            self._calendar[ahead] = [lane]

    def _wake(self, step: int) -> None:
        """Fetch the lanes that have reached the bar since the last election."""
        calendar = self._calendar
        if step - self._woken > len(calendar):
            due = [when for when in calendar if when <= step]
        else:
            due = [when for when in range(self._woken + 1, step + 1) if when in calendar]
        for when in due:
            for lane in calendar.pop(when):
                if lane.factor * step - lane.debt >= self._bar:
                    self._high.append(lane)
                else:  # it was charged, or the bar was laid higher since
                    self._postpone(lane)
        if len(self._high) > MOST:
            self._layBar(self._high, RAISED)

    def _layBar(self, lanes: list[_Lane], count: int) -> None:
        """
        Lay the bar so that a number of lanes is above it.

        :param lanes: all of them, or those above the bar: then it is not laid lower.
        """
        step = self.steps
        values = [lane.factor * step - lane.debt for lane in lanes]
        # A few lanes need no bar.
        bar = nlargest(count, values)[-1] if len(lanes) > count else NO_BAR
        if lanes is self._lanes:
            self._calendar = {}
            self._bar = bar
        else:
            self._bar = max(bar, self._bar)
        self._high = []
        for lane, value in zip(lanes, values):
            if value >= self._bar:
                self._high.append(lane)
            else:
                self._postpone(lane)
