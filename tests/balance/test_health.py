"""Tests for :mod:`twisted_fcgi.balance.health`."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.balance import Health, Verdict, nextCheck, nextProbe
from twisted_fcgi.settings import CheckMethod, CheckSettings

__all__ = ["CountingTests", "TimingTests"]

#: hcpasses, hcfails; checks that passed (+) or failed (-); after which ones its member
#: is taken out (D) or brought back (E).
COUNTS = [
    (1, 1, "+-+-+", " DEDE"),
    (1, 3, "---+---", "  DE  D"),
    (3, 1, "-+++-+++", "D  ED  E"),
    (2, 2, "--++--++", " D E D E"),
    (1, 2, "-+-+-+-+--", "         D"),
    (2, 1, "-+-+-++", "D     E"),
    (0, 0, "+-+", " DE"),
]


class CountingTests(SynchronousTestCase):
    """hcpasses and hcfails."""

    def test_counts(self) -> None:
        """So many checks in a row, and no fewer, change what a member is."""
        for passes, fails, checks, expected in COUNTS:
            health = Health()
            inService = True
            seen = ""
            for check in checks:
                verdict = health.checked(inService, check == "+", passes, fails)
                if verdict is not None:
                    inService = verdict is Verdict.ENABLE
                seen += " " if verdict is None else verdict.name[0]
            self.assertEqual(expected, seen, (passes, fails, checks))

    def test_failedMeanwhile(self) -> None:
        """Failures from before a member was put into error state are not counted after it."""
        health = Health()
        self.assertIs(None, health.checked(True, False, 1, 2))
        self.assertIs(Verdict.ENABLE, health.checked(False, True, 1, 2))
        self.assertIs(None, health.checked(True, False, 1, 2))


class TimingTests(SynchronousTestCase):
    """When the next check or probe is due."""

    def test_firstCheck(self) -> None:
        """A member is checked after an interval first, or at once when it begins out of service."""
        check = CheckSettings(CheckMethod.TCP, 20.0)
        for isOut, expected in (False, 117.5), (True, 100.0):
            health = Health()
            self.assertEqual(expected, health.checkAt(check, 100.0, isOut, lambda: 0.5))
            self.assertEqual(expected, health.checkAt(check, 110.0, isOut, lambda: 0.9))

    def test_nextCheck(self) -> None:
        """The next one is due an interval after this one began, also when that becomes shorter."""
        health = Health()
        check = CheckSettings(CheckMethod.TCP, 20.0)
        health.began(check, 100.0, lambda: 0.0)
        self.assertEqual(120.0, health.checkAt(check, 119.0, False, lambda: 0.0))
        self.assertEqual(120.0, health.checkAt(check, 125.0, False, lambda: 0.0))
        shorter = CheckSettings(CheckMethod.TCP, 3.0)
        self.assertEqual(105.0, health.checkAt(shorter, 102.0, False, lambda: 0.0))

    def test_noCheck(self) -> None:
        """A member without a method is never due; one that gets it begins anew."""
        health = Health()
        health.began(CheckSettings(CheckMethod.TCP), 100.0, lambda: 0.0)
        self.assertEqual(inf, health.checkAt(CheckSettings(), 200.0, False, lambda: 0.0))
        check = CheckSettings(CheckMethod.TCP)
        self.assertEqual(230.0, health.checkAt(check, 200.0, False, lambda: 0.0))

    def test_backOff(self) -> None:
        """Probes come ever later, but no later than ``retry``, after weeks of outage too."""
        waits = [nextProbe(probes, 60.0, lambda: 0.0) for probes in range(9)]
        self.assertEqual([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0], waits)
        self.assertEqual(60.0, nextProbe(10**6, 60.0, lambda: 0.0))
        self.assertEqual(0.5, nextProbe(7, 0.0, lambda: 0.0))

    def test_jitter(self) -> None:
        """Times are shortened at random, by a quarter at most."""
        self.assertEqual(45.0, nextProbe(9, 60.0, lambda: 1.0))
        self.assertEqual(30.0, nextCheck(30.0, lambda: 0.0))
        self.assertEqual(26.25, nextCheck(30.0, lambda: 0.5))
