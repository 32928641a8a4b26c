"""Tests for :mod:`twisted_fcgi.balance.byrequests`: the sequence is httpd's, in any case."""

from __future__ import annotations

import sys
from collections import deque
from random import Random
from types import FrameType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.balance.reference import Reference, Worker
from twisted_fcgi.balance import METHODS, Balancer, MemberState
from twisted_fcgi.balance.byrequests import Turns
from twisted_fcgi.settings import BalancerSettings, MemberSettings

__all__ = ["CostTests", "SequenceTests", "TurnsTests"]


def balancerOf(workers: list[Worker], method: str = "byrequests") -> Balancer:
    """A balancer with the same members as a reference."""
    return Balancer(
        BalancerSettings(
            "balancer://b",
            tuple(
                MemberSettings(
                    f"fcgi://m{worker.number}",
                    loadFactor=worker.factor,
                    lbset=worker.lbset,
                    retry=worker.retry,
                    route=worker.route.decode("ascii"),
                    status=frozenset(worker.status),
                )
                for worker in workers
            ),
            method,
        )
    )


def numberOf(state: MemberState | None) -> int | None:
    """The member's number in the reference."""
    return None if state is None else int(state.settings.url[len("fcgi://m") :])


def play(
    random: Random,
    workers: list[Worker],
    elections: int,
    method: str = "byrequests",
    letters: str = "",
    trouble: float | None = None,
) -> tuple[int, int]:
    """
    Let members fail and come back; hold each election to the reference.

    Requests take a while, and those that fail are given to another member.

    :param trouble: how likely a request fails; any by default.
    :param letters: what else changes in a member's status.  Nothing happens to the
        last member then: when only members in error state are left beside disabled ones,
        they are recovered, other than in httpd.
    :returns: how many failures and elections of members that had failed there were.
    """
    reference = Reference(workers, method == "bybusyness")
    balancer = balancerOf(workers, method)
    if trouble is None:
        trouble = random.choice([0.3, 0.05, 0.002])
    sticky = random.choice([0.0, 0.3])
    now = 1000.0
    busy: list[int] = []
    count = failures = returns = 0
    failed: set[Worker] = set()
    while count < elections:
        now += random.choice([0.0, 0.25, 0.5])
        if letters and random.random() < trouble:
            number = random.randrange(len(workers) - 1)
            letter = random.choice(letters)
            on = letter not in workers[number].status
            workers[number].status = workers[number].status.replace(letter, "") + letter * on
            balancer.setStatus(balancer.members[number], letter, on, now)
        route = b"r%d" % random.randrange(3) if random.random() < sticky else b""
        tried: list[int] = []
        while True:
            expected = reference.elect(now, [workers[n] for n in tried], route)
            elected = balancer.elect(now, [balancer.members[n] for n in tried], route)
            count += 1
            assert numberOf(elected) == (expected and expected.number), (count, tried, route)
            if expected is None or elected is None:
                break
            returns += expected in failed
            failed.discard(expected)
            expected.busy += 1
            balancer.began(elected)
            busy.append(expected.number)
            if random.random() >= trouble or (letters and expected is workers[-1]):
                break
            failures += 1
            failed.add(expected)
            reference.fail(expected, now)
            balancer.failed(elected, now, "gone")
            tried.append(expected.number)
        while len(busy) > random.randrange(2 * len(workers)):
            number = busy.pop(random.randrange(len(busy)))
            workers[number].busy -= 1
            balancer.finished(balancer.members[number])
    balancer.settle()
    for worker, state in zip(workers, balancer.members):
        assert worker.lbstatus == state.lbstatus
    return failures, returns


def workers(**others: st.SearchStrategy[Any]) -> st.SearchStrategy[Worker]:
    """Any member."""
    factors = st.sampled_from([100, 100, 200, 150, 10000]) | st.integers(100, 10000)
    retries = st.sampled_from([0.0, 2.0, 60.0])
    return st.builds(Worker, number=st.just(0), factor=factors, retry=retries, **others)


def numbered(members: list[Worker]) -> list[Worker]:
    """These members, each with its number."""
    for number, worker in enumerate(members):
        worker.number = number
    return members


class SequenceTests(SynchronousTestCase):
    """A whole balancer beside httpd's algorithm."""

    def test_tenThousandElections(self) -> None:
        """Ten thousand elections with random factors and failures are httpd's, one by one."""
        random = Random(2463)
        many = [Worker(n, random.randint(100, 10000), retry=2.0) for n in range(60)]
        failures, returns = play(random, many, 10000, trouble=0.05)
        self.assertGreater(failures, 100)
        self.assertGreater(returns, 100)

    def test_tenThousandByBusyness(self) -> None:
        """So they are with bybusyness, whatever outdated entries are left in between."""
        random = Random(2464)
        many = [Worker(n, random.choice([100, 200, 350]), retry=2.0) for n in range(20)]
        play(random, many, 10000, "bybusyness", trouble=0.05)

    @settings(max_examples=100, deadline=None)
    @given(st.lists(workers(), min_size=1, max_size=40), st.integers(0, 2**32))
    def test_anyFactors(self, members: list[Worker], seed: int) -> None:
        """It is httpd's for any factors, also when all members are in error state."""
        play(Random(seed), numbered(members), 200)

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            workers(
                lbset=st.sampled_from([0, 0, 0, 1, 7]),
                route=st.sampled_from([b"", b"r0", b"r1", b"r2"]),
                status=st.sampled_from(["", "", "", "", "R", "H", "N", "D"]),
            ),
            min_size=1,
            max_size=40,
        ),
        st.integers(0, 2**32),
    )
    def test_anyStatus(self, members: list[Worker], seed: int) -> None:
        """It is httpd's with sets, spares, standbys, sessions and changes of status."""
        play(Random(seed), numbered([*members, Worker(0, lbset=8)]), 200, letters="DSRHNC")

    @settings(max_examples=50, deadline=None)
    @given(st.lists(workers(), min_size=1, max_size=12), st.integers(0, 2**32))
    def test_byBusyness(self, members: list[Worker], seed: int) -> None:
        """bybusyness elects whom httpd's elects."""
        play(Random(seed), numbered(members), 150, "bybusyness")


class TurnsTests(SynchronousTestCase):
    """The candidates alone."""

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.integers(100, 160) | st.integers(9990, 10000), min_size=30, max_size=60))
    def test_unequal(self, factors: list[int]) -> None:
        """Members with a hundred times the factor of others come from far behind in time."""
        plain = [Worker(n, factor) for n, factor in enumerate(factors)]
        reference = Reference(plain)
        states = balancerOf(plain).members
        turns = Turns(states)
        for _ in range(400):
            expected = reference.elect(0.0)
            assert expected is not None
            self.assertIs(states[expected.number], turns.take())

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(100, 10000), min_size=30, max_size=120),
        st.integers(0, 50),
        st.randoms(use_true_random=False),
    )
    def test_chargesFromOutside(self, factors: list[int], skipped: int, random: Random) -> None:
        """Credits without an election, and charges that nobody told of, are taken into account."""
        plain = [Worker(n, factor) for n, factor in enumerate(factors)]
        reference = Reference(plain)
        states = balancerOf(plain).members
        turns = Turns(states)
        for _ in range(60):
            for _ in range(random.choice([0, 0, 1, skipped])):
                number = random.randrange(len(plain))
                for worker in plain:
                    worker.lbstatus += worker.factor
                plain[number].lbstatus -= turns.total
                turns.credit()
                states[number].lbstatus -= turns.total
            expected = reference.elect(0.0)
            assert expected is not None
            self.assertIs(states[expected.number], turns.take())


def linesOf(balancer: Balancer, elections: int) -> int:
    """How many lines of Python are run for some requests, after as many others."""
    busy: deque[MemberState] = deque()

    def request() -> None:
        state = balancer.elect(0.0)
        assert state is not None
        balancer.began(state)
        busy.append(state)
        if len(busy) > 5:
            balancer.finished(busy.popleft(), 100, 1000)

    for _ in range(elections):
        request()
    lines = 0

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        for _ in range(elections):
            request()
    finally:
        sys.settrace(before)
    return lines


class CostTests(SynchronousTestCase):
    """What an election costs, in lines that are run."""

    def test_thousandMembers(self) -> None:
        """An election among a thousand members costs less than three times that among two."""
        for factors in ([100], [100, 200, 300, 500], [100 * n for n in range(1, 101)]):
            two, thousand = (
                linesOf(
                    balancerOf([Worker(n, factors[n % len(factors)]) for n in range(count)]), 2000
                )
                for count in (2, 1000)
            )
            self.assertLess(thousand, 3 * two, factors)

    def test_otherMethods(self) -> None:
        """So it is with each other method, with as many factors as people write."""
        for method in METHODS:
            two, thousand = (
                linesOf(
                    balancerOf([Worker(n, (100, 200)[n % 2]) for n in range(count)], method), 2000
                )
                for count in (2, 1000)
            )
            self.assertLess(thousand, 3 * two, method)
