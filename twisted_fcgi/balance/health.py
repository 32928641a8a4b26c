"""
Whether a member is healthy, and when it is looked at again.

mod_proxy_hcheck's counting as a machine without I/O, and two functions that say
when the next check or probe is due.  Who checks, and how, is not known here.

Difference to httpd: checks count in a row.  There ``hcfails`` single failures,
days apart, disable a member, since a passed check does not take one back.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from twisted_fcgi.settings import CheckMethod, CheckSettings

__all__ = ["Health", "PoolFigures", "Verdict", "nextCheck", "nextProbe"]

#: The first probe of a member in error state, in seconds.
FIRST_PROBE = 0.5

#: By how much a time is shortened at most, so that not all come at once.
JITTER = 0.25


class Verdict(enum.Enum):
    """What a health check says, when it says something new."""

    ENABLE = "enable"
    DISABLE = "disable"


class PoolFigures(NamedTuple):
    """
    What php-fpm's status page says of a pool.

    :ivar active: children that work on a request.
    :ivar idle: children that wait for one.
    :ivar queue: connections that wait for a child.
    :ivar maxQueue: the most that ever did.
    :ivar childrenReached: how often ``pm.max_children`` was too few.
    :ivar slow: requests that took longer than ``request_slowlog_timeout``.
    """

    pool: str
    active: int
    idle: int
    queue: int
    maxQueue: int
    childrenReached: int
    slow: int


class Health:
    """
    The checks of a member.

    :ivar passed: those passed in a row while it was out of service.
    :ivar failed: those failed in a row while it was in service.
    :ivar dueAt: when the next one is, or ``None`` before that is known.
    :ivar checkedAt: when the last one ended, or ``None``.
    :ivar complaint: why that one failed, for people; empty when it did not.
    :ivar figures: the last :class:`PoolFigures` that one found, or ``None``.
    """

    __slots__ = ("checkedAt", "complaint", "dueAt", "failed", "figures", "passed")

    def __init__(self) -> None:
        self.passed = self.failed = 0
        self.dueAt: float | None = None
        self.checkedAt: float | None = None
        self.complaint = ""
        self.figures: PoolFigures | None = None

    def checkAt(
        self, check: CheckSettings, now: float, isOut: bool, random: Callable[[], float]
    ) -> float:
        """
        When a member is to be checked next; infinity for never.

        As in httpd the first time is after ``hcinterval``, but a member that begins
        with ``status=+C`` waits for nothing else, and is checked at once.

        :param isOut: whether its checks failed (status C).
        """
        if check.method is CheckMethod.NONE:
            self.dueAt = None
            return inf
        if self.dueAt is None:
            self.dueAt = now if isOut else now + nextCheck(check.interval, random)
        # It may have become shorter.
        self.dueAt = min(self.dueAt, now + check.interval)
        return self.dueAt

    def began(self, check: CheckSettings, now: float, random: Callable[[], float]) -> None:
        """A check begins: the next one is due after ``hcinterval``, however long it takes."""
        self.dueAt = now + nextCheck(check.interval, random)

    def checked(self, inService: bool, ok: bool, passes: int, fails: int) -> Verdict | None:
        """
        Count a check.

        :param inService: whether neither checks nor requests have failed it (status C, E).
        :param ok: whether it passed this one.
        :param passes: ``hcpasses``: how many are needed to enable it.
        :param fails: ``hcfails``: how many are needed to disable it.
        """
        self.passed = self.passed + 1 if ok and not inService else 0
        self.failed = self.failed + 1 if inService and not ok else 0
        if self.passed >= max(passes, 1):
            self.passed = 0
            return Verdict.ENABLE
        if self.failed >= max(fails, 1):
            self.failed = 0
            return Verdict.DISABLE
        return None


def nextCheck(interval: float, random: Callable[[], float]) -> float:
    """
    After how long a member is checked again.

    :param interval: ``hcinterval``.
    :param random: gives a number from 0 to below 1.
    """
    return interval * (1 - JITTER * random())


def nextProbe(probes: int, retry: float, random: Callable[[], float]) -> float:
    """
    After how long a member in error state is probed in the background: soon, then ever later.

    :param probes: how often it was, since it failed.
    :param retry: the member's ``retry``: no wait is longer.
    :param random: gives a number from 0 to below 1.
    """
    # The power is bounded, or some weeks of an outage would overflow a float.
    wait = FIRST_PROBE * 2.0 ** min(probes, 32)
    return min(wait, max(retry, FIRST_PROBE)) * (1 - JITTER * random())
