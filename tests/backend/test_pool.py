"""What a pool decides, as transcripts."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.backend.pool import MAX_IDLE, Decision, Pool

__all__ = ["PoolTests"]

CONNECT, EXCHANGE = Decision.CONNECT, Decision.EXCHANGE
WAIT, REFUSE = Decision.WAIT, Decision.REFUSE


def show(result: Any) -> str:
    """A decision as a transcript has it."""
    if isinstance(result, tuple):
        return " ".join(map(show, result))
    if isinstance(result, Decision):
        return result.name
    return {True: "yes", False: "no", None: "nobody"}.get(result, result)


def play(pool: Pool[str, str], script: str) -> str:
    """Call what each line's left side says, and write the results to the right sides."""
    lines = []
    for line in script.strip().splitlines():
        call = line.split("->")[0].strip()
        name, *words = call.split()
        lines.append(f"{call} -> {show(getattr(pool, name)(*words))}")
    return "\n".join(lines)


class PoolTests(SynchronousTestCase):
    """Tests for :class:`Pool`."""

    maxDiff = None

    def transcript(self, expected: str, **how: Any) -> Pool[str, str]:
        how.setdefault("reuse", True)
        pool: Pool[str, str] = Pool(**how)
        wanted = "\n".join(" ".join(line.split()) for line in expected.strip().splitlines())
        self.assertEqual(wanted, play(pool, expected))
        return pool

    def test_eachRequestConnects(self) -> None:
        """Without idle connections and without a limit, each request has one made."""
        pool = self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> CONNECT
            connected a -> r1
            connected b -> r2
            """
        )
        self.assertEqual((2, 0, 0), (pool.open, pool.connecting, len(pool.waiting)))

    def test_idleIsUsed(self) -> None:
        """An idle connection is used, the one that was used last before the others."""
        self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> CONNECT
            connected a -> r1
            connected b -> r2
            freed a -> yes
            freed b -> yes
            assign r3 -> b
            assign r4 -> a
            assign r5 -> CONNECT
            """
        )

    def test_noReuse(self) -> None:
        """Without reuse no connection is kept."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            freed a -> no
            lost a -> WAIT
            assign r2 -> CONNECT
            """,
            reuse=False,
        )

    def test_freeOneGoesToTheOneThatWaits(self) -> None:
        """A connection that comes free goes to who waits longest, even if one is being made."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            assign r2 -> CONNECT
            assign r3 -> CONNECT
            freed a -> r2
            connected b -> r3
            connected c -> nobody
            freed b -> yes
            """
        )

    def test_max(self) -> None:
        """No more than ``max`` connections and attempts; the others wait in their order."""
        self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> CONNECT
            assign r3 -> WAIT
            assign r4 -> WAIT
            connected a -> r1
            freed a -> r2
            connected b -> r3
            freed b -> r4
            freed a -> yes
            """,
            max=2,
        )

    def test_maxWithoutReuse(self) -> None:
        """A connection that ends makes place for the one that waits."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            assign r2 -> WAIT
            assign r3 -> WAIT
            lost a -> CONNECT
            connected b -> r2
            lost b -> CONNECT
            connected c -> r3
            lost c -> WAIT
            """,
            reuse=False,
            max=1,
        )

    def test_queueIsBounded(self) -> None:
        """No more than ``maxQueue`` wait for a place; those that wait for a connect don't count."""
        self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            assign r3 -> WAIT
            assign r4 -> REFUSE
            connected a -> r1
            freed a -> r2
            assign r5 -> WAIT
            assign r6 -> REFUSE
            """,
            max=1,
            maxQueue=2,
        )

    def test_connectFailed(self) -> None:
        """A failed attempt fails the request that waits longest; the next one is tried."""
        self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            assign r3 -> WAIT
            connectFailed -> r1 CONNECT
            connectFailed -> r2 CONNECT
            connectFailed -> r3 WAIT
            """,
            max=1,
        )

    def test_connectFailedForNobody(self) -> None:
        """An attempt that failed when nobody waited any more fails nobody."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            assign r2 -> CONNECT
            freed a -> r2
            connectFailed -> nobody WAIT
            """
        )

    def test_withdraw(self) -> None:
        """A request that leaves the queue may leave an attempt too many."""
        pool = self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            withdraw r2 -> no
            withdraw r2 -> no
            withdraw r1 -> yes
            """,
            max=1,
        )
        self.assertEqual(0, len(pool.waiting))

    def test_queued(self) -> None:
        """As many as there are attempts wait for a connect; the others are queued."""
        self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            queued r1 -> no
            queued r2 -> yes
            queued r3 -> no
            """,
            max=1,
        )

    def test_again(self) -> None:
        """A second attempt comes before all who wait, and gets a new connection."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            assign r2 -> CONNECT
            connected b -> r2
            assign r3 -> WAIT
            assign r4 -> WAIT
            lost a -> CONNECT
            again r1 -> WAIT
            freed b -> r3
            connected c -> r1
            freed b -> r4
            """,
            max=2,
        )

    def test_againConnects(self) -> None:
        """A second attempt connects when there is a place, and makes room in the application."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            assign r2 -> CONNECT
            connected b -> r2
            freed b -> yes
            lost a -> WAIT
            again r1 -> EXCHANGE
            connected c -> r1
            assign r3 -> b
            """
        )

    def test_unsettled(self) -> None:
        """Who does not take an idle connection gets a new one in exchange."""
        pool = self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            freed a -> yes
            """
        )
        self.assertEqual(EXCHANGE, pool.assign("r2", lambda connection: False))
        self.assertEqual("a", pool.assign("r3"), "it has not been closed yet")
        self.assertEqual("r2", pool.connected("z"))

    def test_settled(self) -> None:
        """Who takes those that have settled gets the one that was idle for longest."""
        pool = self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> CONNECT
            connected a -> r1
            connected b -> r2
            freed a -> yes
            freed b -> yes
            """
        )
        self.assertEqual("a", pool.assign("r3", lambda connection: connection == "a"))
        self.assertEqual(EXCHANGE, pool.assign("r4", lambda connection: connection == "a"))

    def test_replace(self) -> None:
        """With ``max`` connections, an idle one has to make place for the new one."""
        pool = self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            freed a -> yes
            """,
            max=1,
        )
        self.assertEqual(Decision.REPLACE, pool.assign("r2", lambda connection: False))
        self.assertEqual(CONNECT, pool.lost("a"))
        self.assertEqual("r2", pool.connected("z"))

    def test_placeIsNeeded(self) -> None:
        """A connection that nobody who waits would take is not kept in their place."""
        pool = self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            """,
            max=1,
        )
        self.assertEqual(WAIT, pool.assign("r2", lambda connection: False))
        self.assertEqual(False, pool.freed("a"))
        self.assertEqual(CONNECT, pool.lost("a"))
        self.assertEqual("r2", pool.connected("z"))

    def test_refusedLeavesNothing(self) -> None:
        """A request that is refused is forgotten."""
        pool: Pool[str, str] = Pool(reuse=True, max=1, maxQueue=0)
        pool.assign("r1")
        self.assertEqual(REFUSE, pool.assign("r2", lambda connection: False))
        self.assertEqual(["r1"], list(pool.waiting))

    def test_idleIsLost(self) -> None:
        """An idle connection that ends is not given out."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            freed a -> yes
            lost a -> WAIT
            assign r2 -> CONNECT
            """
        )

    def test_maxIdle(self) -> None:
        """No more than ``maxIdle`` idle connections are kept."""
        pool: Pool[int, int] = Pool(reuse=True, maxIdle=2)
        self.assertEqual([True, True, False], [pool.freed(n) for n in range(3)])

    def test_maxIdleByDefault(self) -> None:
        """Without a number, MAX_IDLE connections are kept."""
        pool: Pool[int, int] = Pool(reuse=True)
        kept = [pool.freed(n) for n in range(MAX_IDLE + 1)]
        self.assertEqual([True] * MAX_IDLE + [False], kept)

    def test_closed(self) -> None:
        """A pool that is closed keeps nothing, but serves those that wait."""
        pool: Pool[str, str] = Pool(reuse=True, max=1)
        pool.assign("r1")
        pool.connected("z")
        pool.assign("r2")
        pool.closed = True
        self.assertEqual("r2", pool.freed("a"))
        self.assertEqual(False, pool.freed("a"))
