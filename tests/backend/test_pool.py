"""What a pool decides, as transcripts."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.backend.pool import ACCEPTED, MAX_IDLE, Decision, Pool

__all__ = ["PoolTests", "SharingTests", "UnacceptedTests"]

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
    for line in filter(str.strip, script.splitlines()):
        call = line.split("->")[0].strip()
        name, *words = call.split()
        values = [float(word) if "." in word else word for word in words]
        if name == "freed" and len(words) > 1:
            values[1] = int(words[1])
        lines.append(f"{call} -> {show(getattr(pool, name)(*values))}")
    return "\n".join(lines)


class Case(SynchronousTestCase):
    """Plays transcripts."""

    maxDiff = None

    def transcript(
        self, expected: str, pool: Pool[str, str] | None = None, **how: Any
    ) -> Pool[str, str]:
        how.setdefault("reuse", True)
        if pool is None:
            pool = Pool(**how)
        lines = filter(str.strip, expected.splitlines())
        wanted = "\n".join(" ".join(line.split()) for line in lines)
        self.assertEqual(wanted, play(pool, expected))
        return pool


class PoolTests(Case):
    """Tests for :class:`Pool`."""

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
        self.assertEqual((2, 0, 0), (pool.connections, pool.connecting, len(pool.waiting)))

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

    def test_everyone(self) -> None:
        """All pools keep their idle connections in one order as well."""
        everyone: dict[str, None] = {}
        pools: list[Pool[str, str]] = [Pool(reuse=True, everyone=everyone) for _ in range(2)]
        for name in "abcd":
            pools["bd".find(name) >= 0].freed(name)
        self.assertEqual(["a", "b", "c", "d"], list(everyone))
        self.assertEqual("c", pools[0].assign("r1"))
        self.assertEqual("b", pools[1].assign("r2", lambda connection: True))
        pools[0].closing("a")
        self.assertEqual(["d"], list(everyone))
        pools[1].lost("d")
        self.assertEqual([], list(everyone))

    def test_surplusAttempt(self) -> None:
        """An attempt that nobody needs any more is there for the next request."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a -> r1
            assign r2 -> CONNECT
            freed a -> r2
            assign r3 -> WAIT
            connected b -> r3
            """
        )

    def test_closed(self) -> None:
        """A pool that is closed keeps nothing, but serves those that wait."""
        pool: Pool[str, str] = Pool(reuse=True, max=1)
        pool.assign("r1")
        pool.connected("z")
        pool.assign("r2")
        pool.closed = True
        self.assertEqual("r2", pool.freed("a"))
        self.assertEqual(False, pool.freed("a"))


class UnacceptedTests(Case):
    """New connections that the application may not have accepted."""

    #: Two children, three connections: nobody has accepted the last one.
    BUSY = """
        assign r1 -> CONNECT
        assign r2 -> CONNECT
        assign r3 -> CONNECT
        connected a 0.0 -> r1
        connected b 0.0 -> r2
        connected c 0.0 -> r3
        heard b -> nobody
        """

    def test_givenUp(self) -> None:
        """While one has given nothing for too long, none is kept."""
        self.transcript(
            self.BUSY
            + f"""
            freed a 0 {ACCEPTED} -> no
            freed b 0 {ACCEPTED} -> no
            heard c -> nobody
            freed c 0 {ACCEPTED} -> yes
            """
        )

    def test_atFirst(self) -> None:
        """At first they are kept: most applications have children enough."""
        pool = self.transcript(self.BUSY + "freed a 0 0.01 -> yes")
        self.assertEqual(([], ACCEPTED), pool.overdue(0.01))
        self.assertEqual((["a"], None), pool.overdue(ACCEPTED))

    def test_asManyAsWait(self) -> None:
        """No more are given up than wait, those that were idle for longest."""
        pool = self.transcript(
            self.BUSY
            + """
            freed a 0 0.01 -> yes
            freed b 0 0.02 -> yes
            """
        )
        self.assertEqual((["a"], None), pool.overdue(1.0))

    def test_others(self) -> None:
        """Nor are those of other pools to the same application kept, after this one's."""
        pool = self.transcript(self.BUSY + "freed a 0 0.01 -> yes")
        pool.connected("d", 0.02)
        self.assertEqual((["a"], 1.0 + ACCEPTED), pool.overdue(1.0, ["x", "y"]))
        pool.assign("r4")
        self.assertEqual((["x"], 1.0 + ACCEPTED), pool.overdue(1.0, ["x", "y"]))

    def test_inTheirOrder(self) -> None:
        """One that gave a byte speaks for those that were made before it."""
        self.transcript(
            self.BUSY
            + f"""
            assign r4 -> CONNECT
            connected d {ACCEPTED} -> r4
            heard d -> nobody
            freed d 0 1.0 -> yes
            """
        )

    def test_ends(self) -> None:
        """One that ends, or closes, waits no longer."""
        for how in ("lost c -> WAIT", "closing c -> nobody"):
            self.transcript(self.BUSY + f"{how}\nfreed a 0 1.0 -> yes")

    def test_unused(self) -> None:
        """One without a request waits for nothing."""
        self.transcript(
            """
            assign r1 -> CONNECT
            connected a 0.0 -> r1
            assign r2 -> CONNECT
            heard a -> nobody
            freed a 0 0.0 -> r2
            connected b 0.0 -> nobody
            freed b 0 9.0 -> yes
            freed a 0 9.0 -> yes
            """
        )

    def test_nothingToDo(self) -> None:
        """Without idle connections, or when all were heard, there is nothing to do."""
        pool = self.transcript(self.BUSY)
        self.assertEqual(([], None), pool.overdue(1.0))
        pool.heard("c")
        pool.heard("c")
        pool.freed("a")
        self.assertEqual(([], None), pool.overdue(1.0))


class SharingTests(Case):
    """Connections of an application that multiplexes."""

    def shared(self, expected: str, streams: int, most: int | None = None, **how: Any) -> None:
        pool: Pool[str, str] = Pool(reuse=True, **how)
        pool.share(streams, how.get("max"), most, {})
        self.transcript(expected, pool)

    def test_full(self) -> None:
        """A connection is made when all are full, and then for as many as it has room for."""
        self.shared(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            assign r3 -> CONNECT
            connected a -> r1
            freed a 1 -> r2
            connected b -> r3
            freed b 1 -> yes
            assign r4 -> b
            assign r5 -> CONNECT
            """,
            streams=2,
        )

    def test_fewest(self) -> None:
        """A request goes to the one in use with the fewest, to an idle one when all are full."""
        self.shared(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            assign r3 -> WAIT
            assign r4 -> CONNECT
            connected a -> r1
            connected b -> r2
            freed a 1 -> r3
            freed a 2 -> r4
            freed a 3 -> yes
            assign r5 -> b
            freed a 0 -> yes
            assign r6 -> b
            assign r7 -> a
            assign r8 -> a
            """,
            streams=3,
        )

    def test_max(self) -> None:
        """With ``max`` connections, all full, requests wait; ``maxqueue`` counts those."""
        self.shared(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            assign r3 -> WAIT
            assign r4 -> REFUSE
            queued r2 -> no
            queued r3 -> yes
            connected a -> r1
            freed a 1 -> r2
            freed a 2 -> yes
            freed a 1 -> r3
            """,
            streams=2,
            max=1,
            maxQueue=1,
        )

    def test_most(self) -> None:
        """No more requests than the application takes in all, whatever has room."""
        self.shared(
            """
            assign r1 -> CONNECT
            connected a -> r1
            assign r2 -> a
            assign r3 -> WAIT
            freed a 2 -> yes
            freed a 1 -> r3
            """,
            streams=5,
            most=2,
        )

    def test_again(self) -> None:
        """A second attempt gets a new connection if there may be one, else any with room."""
        self.shared(
            """
            assign r1 -> CONNECT
            connected a -> r1
            heard a -> nobody
            again r2 -> CONNECT
            connected b -> r2
            again r3 -> b
            heard b -> nobody
            again r4 -> a
            """,
            streams=5,
            max=2,
        )

    def test_elsewhere(self) -> None:
        """One that was refused need not have a new one."""
        pool: Pool[str, str] = Pool(reuse=True)
        pool.share(2, None, None, {"a": 1})
        self.assertEqual("a", pool.again("r1", anew=False))
        self.assertEqual(CONNECT, pool.again("r2", anew=False))

    def test_closing(self) -> None:
        """One that is closing, or retired, is given no request."""
        self.shared(
            """
            assign r1 -> CONNECT
            connected a -> r1
            closing a -> nobody
            assign r2 -> CONNECT
            """,
            streams=5,
        )

    def test_withdraw(self) -> None:
        """An attempt is one too many when the others have room enough."""
        self.shared(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            assign r3 -> CONNECT
            withdraw r1 -> yes
            """,
            streams=2,
        )

    def test_begins(self) -> None:
        """When it turns out that connections can be shared, those in use are."""
        pool = self.transcript(
            """
            assign r1 -> CONNECT
            assign r2 -> WAIT
            assign r3 -> WAIT
            connected a -> r1
            """,
            max=1,
        )
        pool.share(2, 2, None, {"a": 1})
        self.transcript(
            """
            freed a 1 -> r2
            next -> CONNECT
            connected b -> r3
            """,
            pool,
        )

    def test_ends(self) -> None:
        """And when it turns out that they can't."""
        pool: Pool[str, str] = Pool(reuse=True)
        pool.share(2, 2, None, {})
        self.transcript("assign r1 -> CONNECT\nconnected a -> r1\nassign r2 -> a", pool)
        pool.share(1, None, None, {"a": 2})
        self.transcript("assign r3 -> CONNECT\nconnected b -> r3\nfreed b -> yes", pool)
