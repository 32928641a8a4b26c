"""
The balancing methods: who is the best of some candidates.

Who the candidates are is decided before (see :mod:`~twisted_fcgi.balance.balancer`),
so a method is little more than a comparison.  :data:`METHODS` has them all; the
first line of a class is its description in the reference.

byrequests, bytraffic and bybusyness elect whom httpd's elect, one by one.  What an
election costs hardly depends on the number of candidates; with bybusyness it grows with
the number of different factors.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from hashlib import blake2b
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate
from typing import NamedTuple

from twisted_fcgi.balance.byrequests import Turns
from twisted_fcgi.balance.members import MemberState

__all__ = ["METHODS", "Heartbeat", "Method", "Shared"]

#: After that many seconds without a heartbeat a server counts as gone, as in httpd.
HEARTBEAT_LIFETIME = 10.0

#: Heartbeats come about once a second; they are counted up no more often.
HEARTBEAT_INTERVAL = 1.0

#: With bybusyness, most entries for each candidate, nearly all of them outdated.
REMAINS = 8

#: Points on the ring for a member whose factor is the mean one.
RING_POINTS = 96


class Heartbeat(NamedTuple):
    """
    What a server said of itself.

    :ivar busy: how many requests it works on.
    :ivar ready: how many more it could work on.
    :ivar at: when it said so, in seconds.
    """

    busy: int
    ready: int
    at: float


class Shared:
    """
    What the methods of a balancer know beside their candidates.

    :ivar random: gives a number from 0 to below 1.
    :ivar hosts: those of the members.
    :ivar heartbeats: the latest one of each host.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self.random = random
        self.heartbeats: dict[str, Heartbeat] = {}
        self.setMembers(())

    def setMembers(self, members: Sequence[MemberState]) -> None:
        """
        The members or their factors have changed.

        :param members: all of them, candidates or not.
        """
        self._members = members
        self.hosts = frozenset(state.settings.host for state in members)
        for host in self.heartbeats.keys() - self.hosts:
            del self.heartbeats[host]
        self._ring: tuple[list[int], list[MemberState]] | None = None

    def ring(self) -> tuple[list[int], list[MemberState]]:
        """
        A ring of points and their owners, in proportion to the factors.

        It has all members, so that the keys of the others stay where they are when
        one can't work for a while.
        """
        if self._ring is None:
            mean = sum(state.loadFactor for state in self._members) / len(self._members)
            points = sorted(
                (int.from_bytes(digest[at : at + 8], "big"), owner)
                for owner, state in enumerate(self._members)
                for number in range(max(1, round(RING_POINTS / 8 * state.loadFactor / mean)))
                for digest in (blake2b(b"%d %s" % (number, state.name)).digest(),)
                for at in range(0, 64, 8)
            )
            self._ring = (
                [point for point, _ in points],
                [self._members[owner] for _, owner in points],
            )
        return self._ring


class Method:
    """
    Elects one of some candidates; they are fixed for its lifetime.

    :ivar name: its ``lbmethod``.
    :param candidates: in the order that decides among equals; at least one, but for
        this base, which elects nobody.
    """

    name = ""
    _steps = 0

    def __init__(self, candidates: Sequence[MemberState], shared: Shared) -> None:
        self.candidates = candidates
        self.shared = shared

    def credit(self) -> None:
        """Each candidate's factor is added to its lbstatus."""
        self._steps += 1

    def steps(self) -> int:
        """
        How often each candidate was credited its factor since this was made; their
        ``lbstatus`` does not show it yet.
        """
        return self._steps

    def released(self, state: MemberState) -> None:
        """A member, perhaps no candidate, works on one request less."""

    def elect(self, now: float, key: bytes | None) -> MemberState | None:
        """
        The best candidate.

        :param now: the time in seconds.
        :param key: what is hashed, if the method hashes and the request has it.
        """
        return None


class ByRequests(Method):
    """Each member gets its share of the requests."""

    name = "byrequests"

    def __init__(self, candidates: Sequence[MemberState], shared: Shared) -> None:
        super().__init__(candidates, shared)
        self._turns = Turns(candidates)

    def steps(self) -> int:
        return self._turns.steps

    def credit(self) -> None:
        self._turns.credit()

    def elect(self, now: float, key: bytes | None) -> MemberState:
        return self._turns.take()


class ByTraffic(Method):
    """Each member gets its share of the bytes, in and out."""

    name = "bytraffic"

    def __init__(self, candidates: Sequence[MemberState], shared: Shared) -> None:
        super().__init__(candidates, shared)
        self._heap = [(_traffic(state), order) for order, state in enumerate(candidates)]
        heapify(self._heap)

    def elect(self, now: float, key: bytes | None) -> MemberState:
        # Traffic only grows: an entry that is not up to date is too low.
        while True:
            traffic, order = self._heap[0]
            state = self.candidates[order]
            current = _traffic(state)
            if current == traffic:
                return state
            heapreplace(self._heap, (current, order))


def _traffic(state: MemberState) -> int:
    return state.transferred // state.factor + state.read // state.factor


class ByBusyness(Method):
    """The member with the fewest requests; among equals as byrequests."""

    # Candidates stand in levels, one for each number of requests, and in a level in
    # lanes (see Turns), one for each factor.  Who got another request, or was charged,
    # is moved when it would be the best; who has one less, at once.  What it left in a
    # higher level is swept out with all else when such remains are many.

    name = "bybusyness"

    def __init__(self, candidates: Sequence[MemberState], shared: Shared) -> None:
        super().__init__(candidates, shared)
        self._total = sum(state.factor for state in candidates)
        self._orders = {state: order for order, state in enumerate(candidates)}
        self._arrange()

    def _arrange(self) -> None:
        """Put each candidate where it belongs, and nowhere else."""
        self._levels: dict[int, dict[int, list[tuple[int, int]]]] = {}
        self._busy: list[int] = []
        self._at = [-1] * len(self.candidates)
        self._entries = 0
        for order in range(len(self.candidates)):
            self._enter(order)

    def _enter(self, order: int) -> None:
        state = self.candidates[order]
        level = self._at[order] = state.busy
        lanes = self._levels.get(level)
        if lanes is None:
            lanes = self._levels[level] = {}
            heappush(self._busy, level)
        heappush(lanes.setdefault(state.factor, []), (-state.lbstatus, order))
        self._entries += 1

    def released(self, state: MemberState) -> None:
        order = self._orders.get(state)
        if order is not None and state.busy < self._at[order]:
            if self._entries > REMAINS * len(self.candidates):
                self._arrange()
            else:
                self._enter(order)

    def elect(self, now: float, key: bytes | None) -> MemberState:
        self._steps += 1
        while (best := self._best()) is None:
            del self._levels[heappop(self._busy)]
        best.lbstatus -= self._total
        return best

    def _best(self) -> MemberState | None:
        """The best candidate of the lowest level; ``None`` when nobody is there any more."""
        lanes = self._levels[self._busy[0]]
        best = None
        high = first = 0
        for factor, heap in lanes.items():
            while heap and not self._holds(heap):
                pass
            if heap:
                debt, order = heap[0]
                value = factor * self._steps - debt
                if best is None or value > high or (value == high and order < first):
                    best, high, first = self.candidates[order], value, order
        return best

    def _holds(self, heap: list[tuple[int, int]]) -> bool:
        """Whether what a lane's first entry says is still so; else it is mended."""
        debt, order = heap[0]
        state = self.candidates[order]
        level = self._busy[0]
        if self._at[order] != level or state.busy != level:
            heappop(heap)
            self._entries -= 1
            if self._at[order] == level:
                self._enter(order)
        elif state.lbstatus != -debt:
            heapreplace(heap, (-state.lbstatus, order))
        else:
            return True
        return False


class LeastConnections(Method):
    """Extension: of two members taken at random the one with fewer requests for its factor."""

    # The best of two is nearly as good as the best of all, and who elects at the
    # same time elsewhere does not fall upon the same one (Mitzenmacher 2001).

    name = "leastconn"

    def elect(self, now: float, key: bytes | None) -> MemberState:
        candidates = self.candidates
        count = len(candidates)
        if count == 1:
            return candidates[0]
        one = int(self.shared.random() * count)
        other = int(self.shared.random() * (count - 1))
        first = candidates[one]
        second = candidates[other + (other >= one)]
        if (first.busy + 1) * second.factor <= (second.busy + 1) * first.factor:
            return first
        return second


class Hash(LeastConnections):
    """Extension: the same member for the same ``hashkey``, as far as that can be."""

    # Consistent: when a member is gone, only its own keys go elsewhere.  A request
    # without the key is given to anyone.

    name = "hash"

    def elect(self, now: float, key: bytes | None) -> MemberState:
        if key is None:
            return super().elect(now, key)
        points, owners = self.shared.ring()
        at = bisect(points, int.from_bytes(blake2b(key, digest_size=8).digest(), "big"))
        while True:
            state = owners[at % len(owners)]
            if state.competes:
                return state
            at += 1


class Heartbeats(LeastConnections):
    """The members whose servers say by mod_heartbeat that they are idle."""

    # At random, in proportion to what is idle.  httpd answers 503 when no server
    # has anything idle, or none was heard of; here it is a guess then.

    name = "heartbeat"

    def __init__(self, candidates: Sequence[MemberState], shared: Shared) -> None:
        super().__init__(candidates, shared)
        self._sums: list[int] = []
        self._summedAt = float("-inf")

    def elect(self, now: float, key: bytes | None) -> MemberState:
        if now >= self._summedAt + HEARTBEAT_INTERVAL:
            self._summedAt = now
            self._sums = list(accumulate(self._ready(state, now) for state in self.candidates))
        total = self._sums[-1]
        if not total:
            return super().elect(now, key)
        return self.candidates[bisect(self._sums, int(self.shared.random() * total))]

    def _ready(self, state: MemberState, now: float) -> int:
        heard = self.shared.heartbeats.get(state.settings.host)
        if heard is None or now - heard.at >= HEARTBEAT_LIFETIME:
            return 0
        # One that works on nothing has probably just started: not all at once.
        return heard.ready if heard.busy else heard.ready // 4


#: Every ``lbmethod``.
METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (ByRequests, ByTraffic, ByBusyness, Heartbeats, LeastConnections, Hash)
}
