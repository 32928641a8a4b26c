"""Tests for :mod:`twisted_fcgi.balance.balancer`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.balance import (
    STATUSES,
    Balancer,
    Heartbeat,
    MemberState,
    Verdict,
    balancerVariables,
    findSession,
    reasonToFail,
)
from twisted_fcgi.balance.members import slowStarted
from twisted_fcgi.settings import BalancerSettings, CheckMethod, CheckSettings, MemberSettings

__all__ = ["DrainTests", "RecoveryTests", "SlowStartTests", "StatusTests", "TranscriptTests",
           "UpdateTests", "balancerOf"]  # fmt: skip

#: What httpd 2.4.71 did: the members, the balancer's parameters, then in turn which
#: member answered.  ``down:x``, ``up:x`` and ``wait:1.3`` happen before the next request;
#: ``SID=1.b>x`` is one with that cookie, ``/y>x`` one for another URL.
TRANSCRIPTS = {
    "one": ("b0", "", "b0 b0 b0"),
    "two": ("b0, b1", "", "b0 b1 b0 b1 b0 b1"),
    "three": ("b0, b1, b2", "", "b0 b1 b2 b0 b1 b2 b0"),
    "four": ("b0, b1, b2, b3", "", "b0 b1 b2 b3 b0 b1 b2 b3 b0"),
    "factors 2:1": ("b0 loadFactor=200, b1", "", "b0 b1 b0 b0 b1 b0"),
    "factors 1:2": ("b0, b1 loadFactor=200", "", "b1 b0 b1 b1 b0 b1"),
    "factors 3:1": ("b0 loadFactor=300, b1", "", "b0 b0 b1 b0 b0 b0 b1 b0"),
    "factors 1:3": ("b0, b1 loadFactor=300", "", "b1 b0 b1 b1 b1 b0 b1 b1"),
    "factors 1:1:1:2": ("b0, b1, b2, b3 loadFactor=200", "", "b3 b0 b1 b2 b3 b3 b0 b1 b2 b3"),
    "factors 70:30": (
        "b0 loadFactor=7000, b1 loadFactor=3000", "",
        "b0 b1 b0 b0 b0 b1 b0 b0 b1 b0 b0 b1 b0",
    ),
    "factors 3:2:1": (
        "b0 loadFactor=300, b1 loadFactor=200, b2", "",
        "b0 b1 b0 b2 b1 b0 b0 b1 b0 b2 b1 b0",
    ),
    "factors 5:1:1": (
        "b0 loadFactor=500, b1, b2", "",
        "b0 b0 b1 b0 b2 b0 b0 b0 b0 b1 b0 b2 b0 b0",
    ),
    "factors 100:1": ("b0 loadFactor=10000, b1", "", "b0 b0 b0 b0 b0 b0 b0 b0 b0 b0 b0 b0 b0"),
    "factors 1.5:1": ("b0 loadFactor=150, b1", "", "b0 b1 b0 b1 b0 b0 b1 b0 b1 b0"),
    "factors 2.55:1.25": (
        "b0 loadFactor=255, b1 loadFactor=125", "",
        "b0 b1 b0 b0 b1 b0 b0 b1 b0 b0 b1 b0",
    ),
    "by traffic": ("b0, b1", "method=bytraffic", "b0 b1 b0 b1"),
    "by busyness": ("b0, b1", "method=bybusyness", "b0 b1 b0 b1"),
    "no members": ("", "", "503"),
    # failover
    "first down": ("b0, b1", "", "down:b0 b1 b1 b1 b1"),
    "second down": ("b0, b1", "", "down:b1 b0 b0 b0 b0 b0"),
    "two down": ("b0, b1, b2", "", "down:b0 down:b1 b2 b2 b2"),
    "all down": ("b0, b1", "", "down:b0 down:b1 503 503"),
    "alone and down": ("b0", "", "down:b0 503 503"),
    "no attempts": ("b0, b1", "maxAttempts=0", "down:b0 503 b1 b1"),
    "one attempt": ("b0, b1, b2", "maxAttempts=1", "down:b0 down:b1 503 b2 b2"),
    "dies later": ("b0, b1", "", "b0 b1 down:b0 b1 b1 b1"),
    # recovery
    "retry": ("b0 retry=1, b1", "", "down:b0 b1 b1 up:b0 b1 wait:1.3 b1 b0 b1"),
    "retry, default": ("b0, b1", "", "down:b0 b1 up:b0 b1 b1"),
    "retry=0": ("b0 retry=0", "", "down:b0 503 up:b0 wait:0.1 b0"),
    "forced recovery": ("b0, b1", "", "down:b0 down:b1 503 up:b0 up:b1 b1 b0"),
    "no forced recovery": (
        "b0, b1", "forceRecovery=False", "down:b0 down:b1 503 up:b0 up:b1 503 503",
    ),
    # status
    "disabled": ("b0 status=D, b1", "", "b1 b1 b1"),
    "stopped": ("b0, b1 status=S", "", "b0 b0 b0"),
    "configured as in error": ("b0 status=E, b1", "", "b0 b1 b0"),
    "draining": (
        "b0 status=N route=a, b1 route=b", "sticky", "b1! b1! SID=1.a>b0 b1!",
    ),
    "standby": ("b0, b1 status=H", "", "b0 b0 b0"),
    "standby works": ("b0, b1 status=H", "", "down:b0 b1 b1 b1"),
    "standby rests again": (
        "b0 retry=1, b1 status=H", "", "down:b0 b1 up:b0 wait:1.3 b0 b0",
    ),
    "two standbys": ("b0, b1 status=H, b2 status=H", "", "down:b0 b1 b2 b1 b2"),
    "spare": ("b0, b1 status=R, b2", "", "b0 b2 b0 b2"),
    "spare works": ("b0, b1 status=R, b2", "", "down:b2 b0 b0 b1 b0 b1"),
    "all disabled": ("b0 status=D, b1 status=D", "", "503"),
    "alone and disabled": ("b0 status=D", "", "503"),
    # sets
    "sets": ("b0, b1 lbset=1", "", "b0 b0 b0"),
    "second set": ("b0, b1 lbset=1", "", "down:b0 b1 b1 b1"),
    "order of sets": ("b0 lbset=2, b1 lbset=1, b2 lbset=1", "", "b1 b2 b1 b2"),
    "standby before the second set": (
        "b0, b1 status=H, b2 lbset=1", "", "down:b0 b1 b1 b1",
    ),
    "first set again": ("b0 retry=1, b1 lbset=1", "", "down:b0 b1 up:b0 wait:1.3 b0 b0"),
    # sessions
    "session": (
        "b0 route=a, b1 route=b", "sticky", "SID=123.b>b1 SID=123.b>b1 SID=9.a>b0",
    ),
    "no session": ("b0 route=a, b1 route=b", "sticky", "b0! b1! b0!"),
    "sessions count": ("b0 route=a, b1 route=b", "sticky", "b0! SID=1.a>b0 b1!"),
    "unknown route": ("b0 route=a, b1 route=b", "sticky", "SID=1.zz>b0! SID=1.zz>b1!"),
    "session without route": ("b0 route=a, b1 route=b", "sticky", "SID=123>b0! SID=123>b1!"),
    "empty route": ("b0 route=a, b1 route=b", "sticky", "SID=123.>b0! SID=>b1!"),
    "route with a dot": ("b0 route=a, b1 route=n.b", "sticky", "SID=1.n.b>b1"),
    "case of a route": ("b0 route=a, b1 route=b", "sticky", "sid=1.b>b0! SID=1.B>b1!"),
    "session's member down": (
        "b0 route=a, b1 route=b", "sticky", "down:b1 SID=1.b>b0! SID=1.b>b0!",
    ),
    "no failover": (
        "b0 route=a, b1 route=b", "sticky noFailover=True",
        "down:b1 SID=1.b>503 SID=1.b>503 SID=1.a>b0 SID=1.zz>b0!",
    ),
    "redirect": (
        "b0 route=a, b1 route=b status=D redirect=c, b2 route=c", "sticky",
        "SID=1.b>b2! SID=1.c>b2",
    ),
    "session's member disabled": (
        "b0 route=a, b1 route=b status=D", "sticky", "SID=1.b>b0!",
    ),
    "two members of one route": (
        "b0 route=a, b1 route=a", "sticky", "SID=1.a>b0 SID=1.a>b0",
    ),
    "session of a standby": ("b0 route=a, b1 route=b status=H", "sticky", "SID=1.b>b1"),
    "sessions and factors": (
        "b0 route=a loadFactor=300, b1 route=b", "sticky", "b0! SID=1.b>b1 b0! b0! b0! b0!",
    ),
    "URL before cookie": ("b0 route=a, b1 route=b", "sticky", "/x;SID=1.b>b1 /x?SID=1.a>b0"),
}  # fmt: skip

START = 1000.0


def values(words: list[str]) -> dict[str, Any]:
    """Settings that are written ``name=value``."""
    pairs = (word.split("=") for word in words)
    read: dict[str, Any] = {"True": True, "False": False}
    return {
        name: frozenset(value)
        if name == "status"
        else read.get(value, int(value) if value.isdigit() else value)
        for name, value in pairs
    }


def balancerOf(members: str, parameters: str = "") -> Balancer:
    """A balancer as :data:`TRANSCRIPTS` describe it."""
    described = [words.split() for words in members.split(",") if words]
    sticky: dict[str, Any] = {}
    if "sticky" in parameters:
        sticky = {"stickySession": "SID", "stickyPath": "SID"}
    return Balancer(
        BalancerSettings(
            "balancer://app",
            tuple(
                MemberSettings(f"fcgi://{name}", host=name, **values(words))
                for name, *words in described
            ),
            **sticky,
            **values(parameters.replace("sticky", "").split()),
        )
    )


class Play:
    """
    A gateway without applications.

    :ivar now: what time it is.
    :ivar down: the hosts that can't be reached.
    """

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer
        self.now = START
        self.down: set[str] = set()

    def line(self, words: str) -> str:
        """The same line with the answers that were given."""
        return " ".join(self._word(word) for word in words.split())

    def _word(self, word: str) -> str:
        event, _, rest = word.partition(":")
        if event == "down":
            self.down.add(rest)
        elif event == "up":
            self.down.remove(rest)
        elif event == "wait":
            self.now += float(rest)
        else:
            asked, arrow, _ = word.rpartition(">")
            return asked + arrow + self.ask(asked)
        return word

    def ask(self, asked: str = "") -> str:
        """Who answers; with ``!`` when the application is told that the route changed."""
        settings = self.balancer.settings
        text = asked.encode()
        session = findSession(settings, text if asked.startswith("/") else b"/", text)
        attempts = settings.maxAttempts
        if attempts is None:
            attempts = len(settings.members) - 1
        tried: list[MemberState] = []
        self.now += 0.01
        while len(tried) <= attempts:
            state = self.balancer.elect(self.now, tried, session.route if session else None)
            if state is None:
                break
            self.balancer.began(state)
            host = state.settings.host
            self.balancer.finished(state, 1000, 1000 * (host not in self.down))
            if host not in self.down:
                self.balancer.recovered(state, self.now)
                pairs = dict(balancerVariables(settings, state, session))
                return host + "!" * (b"BALANCER_ROUTE_CHANGED" in pairs)
            self.balancer.failed(state, self.now, "refused")
            tried.append(state)
        return "503"


class TranscriptTests(SynchronousTestCase):
    """What was seen at httpd."""

    def test_transcripts(self) -> None:
        """Each request is answered by the member that answered at httpd."""
        for name, (members, parameters, line) in TRANSCRIPTS.items():
            self.assertEqual(line, Play(balancerOf(members, parameters)).line(line), name)

    def test_triedMembers(self) -> None:
        """Who failed a request is not asked again for it, whether in error state or not."""
        balancer = balancerOf("b0 status=I, b1")
        first = balancer.elect(START)
        assert first is not None
        balancer.failed(first, START, "refused")
        self.assertEqual("", first.reason)
        second = balancer.elect(START, [first])
        self.assertEqual([*balancer.members], [first, second])
        self.assertIs(None, balancer.elect(START, balancer.members))
        self.assertEqual({first, second}, {balancer.elect(START), balancer.elect(START)})

    def test_redirectCycle(self) -> None:
        """Routes that redirect to each other end the search."""
        members = ", ".join(
            f"b{n} status=D route={'ab'[n % 2]} redirect={'ba'[n % 2]}" for n in range(40)
        )
        self.assertEqual("SID=1.a>503", Play(balancerOf(members, "sticky")).line("SID=1.a>x"))


class RecoveryTests(SynchronousTestCase):
    """Who is asked again after a failure."""

    def test_alone(self) -> None:
        """A balancer's only member is always asked, unless it was taken out by hand."""
        play = Play(balancerOf("b0", "forceRecovery=False"))
        self.assertEqual("503", play.line("down:b0 x").split()[1])
        state = play.balancer.members[0]
        play.balancer.recovered(state, play.now)
        play.balancer.checked(state, play.now, False)
        self.assertEqual("C", state.status)
        self.assertEqual("up:b0 b0", play.line("up:b0 x"))
        for letter in "DSN":
            play.balancer.setStatus(state, letter, True, play.now)
            self.assertEqual("503", play.ask())
            play.balancer.setStatus(state, letter, False, play.now)

    def test_besideDisabledOnes(self) -> None:
        """When nobody else can be asked, members in error state are, as far as they may be."""
        for other in ("D", "S", "N", "C"):
            play = Play(balancerOf(f"b0, b1 status={other}"))
            self.assertEqual("down:b0 503 up:b0 b0", play.line("down:b0 x up:b0 x"))

    def test_notForASession(self) -> None:
        """While others work, a session with nofailover does not end its member's error state."""
        play = Play(balancerOf("b0 route=a, b1 route=b", "sticky noFailover=True"))
        play.line("down:b0 SID=1.a>x up:b0 SID=1.a>x")
        self.assertTrue(play.balancer.members[0].inError)

    def test_recovered(self) -> None:
        """A member that was reached, by a probe say, is back before its retry is over."""
        play = Play(balancerOf("b0, b1"))
        play.line("down:b0 x up:b0")
        state = play.balancer.members[0]
        self.assertEqual(("E", "refused"), (state.status, state.reason))
        play.balancer.recovered(state, play.now)
        self.assertEqual(("", "", None), (state.status, state.reason, state.failedAt))
        self.assertEqual("b1 b0", play.line("x x"))

    def test_reached(self) -> None:
        """One that only takes connections is back as well, but has not proved itself."""
        play = Play(balancerOf("b0, b1"))
        play.line("down:b0 x")
        state = play.balancer.members[0]
        play.balancer.reached(state, play.now)
        self.assertEqual(("", 1), (state.status, state.retries))
        play.line("x x")
        self.assertEqual(("E", 1), (state.status, state.retries))
        play.balancer.reached(state, play.now)
        play.line("up:b0 x x")
        self.assertEqual(("", 0), (state.status, state.retries))

    def test_retries(self) -> None:
        """How often a member was tried again is counted until it works."""
        play = Play(balancerOf("b0 retry=1, b1"))
        state = play.balancer.members[0]
        play.line("down:b0 x wait:2 x x wait:2 x x")
        self.assertEqual(2, state.retries)
        play.line("up:b0 wait:2 x x")
        self.assertEqual(0, state.retries)

    def test_reasonToFail(self) -> None:
        """failonstatus and failontimeout say which responses are a member's failures."""
        settings = BalancerSettings("balancer://b", failOnStatus=(500, 503), failOnTimeout=True)
        self.assertEqual("", reasonToFail(settings, 502, False))
        self.assertIn("503", reasonToFail(settings, 503, False))
        self.assertIn("timed out", reasonToFail(settings, 504, True))
        self.assertEqual("", reasonToFail(BalancerSettings("balancer://b"), 504, True))

    def test_checked(self) -> None:
        """Health checks take a member out and bring it back, also from error state."""
        balancer = balancerOf("b0, b1")
        state = balancer.members[0]

        def check(ok: bool) -> Verdict | None:
            return balancer.checked(state, START, ok, passes=2, fails=2)

        self.assertEqual([None, Verdict.DISABLE], [check(False), check(False)])
        self.assertEqual("C", state.status)
        self.assertEqual(1, len({balancer.elect(START) for _ in range(4)}))
        balancer.failed(state, START)
        self.assertEqual([None, Verdict.ENABLE], [check(True), check(True)])
        self.assertEqual("", state.status)


class StatusTests(SynchronousTestCase):
    """What is changed by hand."""

    def test_letters(self) -> None:
        """Each status that can be configured can be set and cleared."""
        balancer = balancerOf("b0, b1")
        state = balancer.members[0]
        for letter in STATUSES:
            balancer.setStatus(state, letter, True, START)
            self.assertEqual(letter, state.status)
            self.assertIn(f" {letter} ", repr(state))
            balancer.setStatus(state, letter, False, START)
            self.assertEqual("", state.status)

    def test_ignoreErrors(self) -> None:
        """A member that is told to ignore errors is back at once."""
        play = Play(balancerOf("b0, b1"))
        play.line("down:b0 x up:b0")
        play.balancer.setStatus(play.balancer.members[0], "I", True, play.now)
        self.assertEqual("b1 b0", play.line("x x"))
        self.assertEqual("I", play.balancer.members[0].status)

    def test_setFactor(self) -> None:
        """A new factor counts from now on, without making up for the past."""
        play = Play(balancerOf("b0, b1"))
        play.line("x x x")
        play.balancer.setFactor(play.balancer.members[1], 200)
        self.assertEqual("b1 b0 b1 b1 b0 b1", play.line("x x x x x x"))

    def test_settle(self) -> None:
        """A member's lbstatus is up to date once it is settled, and that changes nothing."""
        play = Play(balancerOf("b0 loadFactor=300, b1"))
        seen = []
        for _ in range(4):
            seen.append(play.ask())
            play.balancer.settle()
            seen += [str(state.lbstatus) for state in play.balancer.members]
        self.assertEqual("b0 -100 100 b0 -200 200 b1 100 -100 b0 0 0", " ".join(seen))

    def test_figures(self) -> None:
        """Requests and bytes are counted for each member."""
        balancer = balancerOf("b0")
        state = balancer.elect(START)
        assert state is not None
        balancer.began(state)
        self.assertEqual((1, 1), (state.elected, state.busy))
        balancer.finished(state, sent=3, received=5)
        self.assertEqual((0, 3, 5), (state.busy, state.transferred, state.read))


class DrainTests(SynchronousTestCase):
    """A member that is to be taken away."""

    def test_sessions(self) -> None:
        """It gets the requests of its sessions for some time, then none; then it is drained."""
        play = Play(balancerOf("b0 route=a, b1 route=b", "sticky"))
        state = play.balancer.members[0]
        play.balancer.drain(state, play.now, 5.0)
        self.assertEqual("b1! SID=1.a>b0", play.line("x SID=1.a>x"))
        self.assertFalse(state.drained)
        self.assertEqual("wait:6 SID=1.a>b1!", play.line("wait:6 SID=1.a>x"))
        self.assertTrue(state.drained)
        play.balancer.resume(state)
        self.assertEqual("SID=1.a>b0", play.line("SID=1.a>x"))

    def test_busy(self) -> None:
        """It is not drained while it works on a request."""
        balancer = balancerOf("b0")
        state = balancer.elect(START)
        assert state is not None
        balancer.began(state)
        balancer.drain(state, START, 0.0)
        self.assertIs(None, balancer.elect(START + 1.0))
        self.assertFalse(state.drained)
        balancer.finished(state)
        self.assertTrue(state.drained)


class SlowStartTests(SynchronousTestCase):
    """A member that came back."""

    def test_steps(self) -> None:
        """Its factor grows in tenths, and the age of the next one is told."""
        self.assertEqual((10, 2.0), slowStarted(100, 20.0, 0.0))
        self.assertEqual((10, 2.0), slowStarted(100, 20.0, 1.9))
        self.assertEqual((20, 4.0), slowStarted(100, 20.0, 2.0))
        self.assertEqual((90, 18.0), slowStarted(100, 20.0, 17.9))
        self.assertEqual((100, float("inf")), slowStarted(100, 20.0, 18.0))
        self.assertEqual((100, float("inf")), slowStarted(100, 20.0, 5000.0))
        self.assertEqual((1, 2.0), slowStarted(2, 20.0, 0.0))

    def test_share(self) -> None:
        """It gets few requests at first, its whole share in the end."""
        play = Play(balancerOf("b0 slowStart=100, b1"))
        play.line("down:b0 x up:b0")
        play.balancer.recovered(play.balancer.members[0], play.now)
        shares = []
        for _ in range(3):
            shares.append([play.ask() for _ in range(110)].count("b0"))
            play.line("wait:45")
        self.assertEqual([9, 37, 55], shares)

    def test_notAtFirst(self) -> None:
        """Nobody starts slowly who never failed."""
        play = Play(balancerOf("b0 slowStart=100, b1"))
        self.assertEqual("b0 b1 b0 b1", play.line("x x x x"))


class UpdateTests(SynchronousTestCase):
    """Other settings, while it runs."""

    def test_members(self) -> None:
        """Members that stay keep their figures and their health; others come and go."""
        play = Play(balancerOf("b0, b1, b2"))
        play.line("down:b1 x x x x")
        kept = play.balancer.members[1]
        play.balancer.update(balancerOf("b1 loadFactor=200, b3").settings)
        self.assertIs(kept, play.balancer.members[0])
        self.assertEqual(("E", 1, 200), (kept.status, kept.elected, kept.loadFactor))
        self.assertEqual("b3 b3", play.line("x x"))

    def test_byHand(self) -> None:
        """What was changed by hand stays, unless the configuration says something new of it."""
        balancer = balancerOf("b0, b1")
        for state in balancer.members:
            balancer.setStatus(state, "D", True, START)
            balancer.setFactor(state, 700)
        balancer.update(balancerOf("b0 lbset=1 route=a, b1 status=H loadFactor=200").settings)
        seen = [(state.status, state.loadFactor, state.lbset) for state in balancer.members]
        self.assertEqual([("D", 700, 1), ("H", 200, 0)], seen)

    def test_previous(self) -> None:
        """Another balancer in the place of one goes on where that one was."""
        play = Play(balancerOf("b0 loadFactor=300, b1"))
        play.line("x x")
        other = Balancer(play.balancer.settings, play.balancer)
        self.assertEqual(play.balancer.members, other.members)
        play.balancer = other
        self.assertEqual("b1 b0 b0 b0 b1", play.line("x x x x x"))

    def test_checks(self) -> None:
        """What checks found is kept as long as the checks are the same."""
        checked, other = (CheckSettings(method) for method in (CheckMethod.TCP, CheckMethod.FCGI))
        for later, status in (checked, "C"), (other, ""), (CheckSettings(), ""):
            first, second = (
                BalancerSettings("balancer://b", (MemberSettings("fcgi://b0", check=check),))
                for check in (checked, later)
            )
            balancer = Balancer(first)
            balancer.checked(balancer.members[0], START, False)
            [state] = Balancer(second, balancer).members
            self.assertEqual(status, state.status)

    def test_heartbeats(self) -> None:
        """What was heard of hosts is kept as long as they are there."""
        members = balancerOf("b0, b1, b2", "method=heartbeat").settings
        play = Play(Balancer(members))
        play.balancer.heard("b1", Heartbeat(1, 4, START))
        play.balancer = Balancer(members, play.balancer)
        self.assertEqual("b1 b1 b1 b1", play.line("x x x x"))
        play.balancer.update(balancerOf("b0").settings)
        play.balancer.update(members)
        self.assertEqual(3, len({play.ask() for _ in range(60)}))

    def test_sameMemberTwice(self) -> None:
        """A member that is listed twice has two states."""
        self.assertEqual(2, len(set(balancerOf("b0, b0").members)))
