"""Tests for :mod:`twisted_fcgi.balance.methods`."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.balance import METHODS, Balancer, Heartbeat, MemberState
from twisted_fcgi.balance.methods import REMAINS, ByBusyness
from twisted_fcgi.settings import BALANCING_METHODS, BalancerSettings, MemberSettings

__all__ = ["ByBusynessTests", "HashTests", "HeartbeatTests", "LeastConnectionsTests", "TableTests",
           "TrafficTests"]  # fmt: skip

KEYS = [b"/page/%d" % n for n in range(4000)]


def balancerOf(method: str, *factors: int, seed: int = 1) -> Balancer:
    """A balancer with members of these factors, whose hosts are ``m0``, ``m1`` ..."""
    members = tuple(
        MemberSettings(f"fcgi://m{n}", host=f"m{n}", loadFactor=factor)
        for n, factor in enumerate(factors)
    )
    return Balancer(BalancerSettings("balancer://b", members, method), random=Random(seed).random)


def elected(balancer: Balancer, now: float = 0.0, key: bytes | None = None) -> str:
    """The host of who is elected."""
    state = balancer.elect(now, key=key)
    assert state is not None
    return state.settings.host


class TableTests(SynchronousTestCase):
    """All methods."""

    def test_named(self) -> None:
        """They are those that can be configured."""
        self.assertEqual(BALANCING_METHODS, tuple(METHODS))

    def test_documented(self) -> None:
        """Each has a line for the reference; those that httpd lacks are marked."""
        for name, method in METHODS.items():
            self.assertEqual(name, method.name)
            line = (method.__doc__ or "").splitlines()[0]
            self.assertTrue(line.endswith("."), name)
            self.assertEqual(name in ("leastconn", "hash"), line.startswith("Extension: "))

    def test_anyMember(self) -> None:
        """Each elects a member that may be asked, and nobody when there is none."""
        for name in METHODS:
            balancer = balancerOf(name, 100, 100, 300)
            balancer.failed(balancer.members[1], 0.0)
            hosts = {elected(balancer, key=key) for key in KEYS[:100]}
            self.assertLessEqual(hosts, {"m0", "m2"}, name)
            self.assertIs(None, balancerOf(name).elect(0.0, key=b"x"))


class TrafficTests(SynchronousTestCase):
    """bytraffic."""

    def test_share(self) -> None:
        """Members get bytes in the proportion of their factors."""
        balancer = balancerOf("bytraffic", 100, 300)
        random = Random(2)
        for _ in range(2000):
            state = balancer.elect(0.0)
            assert state is not None
            balancer.began(state)
            balancer.finished(state, random.randrange(2000), random.randrange(20000))
        one, three = (state.transferred + state.read for state in balancer.members)
        self.assertAlmostEqual(3.0, three / one, 1)


class ByBusynessTests(SynchronousTestCase):
    """bybusyness."""

    def test_remains(self) -> None:
        """However much members are at work, what is remembered of the past stays bounded."""
        balancer = balancerOf("bybusyness", *[100, 200] * 5)
        random = Random(3)
        busy: list[MemberState] = []
        for _ in range(200):
            for _ in range(random.randrange(60)):
                state = balancer.elect(0.0)
                assert state is not None
                balancer.began(state)
                busy.append(state)
            random.shuffle(busy)
            while len(busy) > 40:
                balancer.finished(busy.pop())
        method = balancer._method
        assert isinstance(method, ByBusyness)
        kept = sum(len(heap) for lanes in method._levels.values() for heap in lanes.values())
        self.assertLessEqual(kept, (REMAINS + 1) * 10)


class LeastConnectionsTests(SynchronousTestCase):
    """leastconn."""

    def test_theLessBusyOfTwo(self) -> None:
        """A member with fewer requests for its factor is taken."""
        balancer = balancerOf("leastconn", 100, 300)
        for busy, host in (((0, 0), "m1"), ((1, 2), "m1"), ((0, 4), "m0"), ((1, 6), "m0")):
            for state, count in zip(balancer.members, busy):
                state.busy = count
            self.assertEqual({host}, {elected(balancer) for _ in range(20)}, busy)

    def test_spread(self) -> None:
        """Requests that never end are spread evenly, with a handful of difference."""
        balancer = balancerOf("leastconn", *[100] * 50)
        for _ in range(5000):
            state = balancer.elect(0.0)
            assert state is not None
            balancer.began(state)
        counts = [state.busy for state in balancer.members]
        self.assertLessEqual(max(counts) - min(counts), 8)


class HashTests(SynchronousTestCase):
    """hash."""

    def placed(self, balancer: Balancer) -> dict[bytes, str]:
        """Where each key goes."""
        return {key: elected(balancer, key=key) for key in KEYS}

    def test_same(self) -> None:
        """A key goes to the same member in any process, in whatever order they are listed."""
        balancer = balancerOf("hash", 100, 100, 100)
        turned = BalancerSettings("balancer://b", balancer.settings.members[::-1], "hash")
        before = self.placed(balancer)
        self.assertEqual(before, self.placed(Balancer(turned)))
        self.assertEqual("m0 m2 m2 m1", " ".join(before[key] for key in KEYS[:4]))

    def test_share(self) -> None:
        """Members get keys in the proportion of their factors."""
        counts = Counter(self.placed(balancerOf("hash", 100, 200, 100)).values())
        self.assertAlmostEqual(0.5, counts["m1"] / len(KEYS), 1)
        self.assertAlmostEqual(0.25, counts["m0"] / len(KEYS), 1)

    def test_consistent(self) -> None:
        """When a member fails only its keys go elsewhere, to all others; then they come back."""
        balancer = balancerOf("hash", *[100] * 10)
        before = self.placed(balancer)
        balancer.failed(balancer.members[3], 0.0)
        during = self.placed(balancer)
        moved = {key for key in KEYS if before[key] != during[key]}
        self.assertEqual({key for key in KEYS if before[key] == "m3"}, moved)
        self.assertEqual(9, len({during[key] for key in moved}))
        balancer.recovered(balancer.members[3], 0.0)
        self.assertEqual(before, self.placed(balancer))

    def test_another(self) -> None:
        """Another member takes its share, and no key goes from one old member to another."""
        before = self.placed(balancerOf("hash", *[100] * 9))
        after = self.placed(balancerOf("hash", *[100] * 10))
        moved = {key for key in KEYS if before[key] != after[key]}
        self.assertEqual({"m9"}, {after[key] for key in moved})
        self.assertAlmostEqual(0.1, len(moved) / len(KEYS), 1)

    def test_noKey(self) -> None:
        """A request without a key is given to anyone."""
        balancer = balancerOf("hash", 100, 100)
        self.assertEqual({"m0", "m1"}, {elected(balancer) for _ in range(40)})


class HeartbeatTests(SynchronousTestCase):
    """heartbeat."""

    def shares(self, balancer: Balancer, now: float) -> dict[str, float]:
        """Which part of many requests each member gets."""
        counts = Counter(elected(balancer, now) for _ in range(2000))
        return {host: round(count / 2000, 1) for host, count in counts.items()}

    def test_idle(self) -> None:
        """Members get requests in the proportion of what is idle; a fresh one a quarter of it."""
        balancer = balancerOf("heartbeat", 100, 100, 100, 100)
        balancer.heard("m0", Heartbeat(5, 60, 0.0))
        balancer.heard("m1", Heartbeat(0, 160, 0.0))
        balancer.heard("m2", Heartbeat(100, 0, 0.0))
        balancer.heard("elsewhere", Heartbeat(0, 9999, 0.0))
        self.assertEqual({"m0": 0.6, "m1": 0.4}, self.shares(balancer, 0.5))

    def test_silence(self) -> None:
        """Who was not heard of for ten seconds gets nothing, while another one was."""
        balancer = balancerOf("heartbeat", 100, 100)
        balancer.heard("m0", Heartbeat(1, 10, 0.0))
        balancer.heard("m1", Heartbeat(1, 10, 8.0))
        self.assertEqual({"m0": 0.5, "m1": 0.5}, self.shares(balancer, 9.0))
        self.assertEqual({"m1": 1.0}, self.shares(balancer, 11.0))

    def test_nobodyHeard(self) -> None:
        """Without any heartbeat members are asked all the same."""
        self.assertEqual({"m0": 0.5, "m1": 0.5}, self.shares(balancerOf("heartbeat", 1, 1), 0.0))
