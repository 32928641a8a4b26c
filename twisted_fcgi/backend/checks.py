"""
Active health checks: the members of balancers are asked, whether there are requests or not.

When a member is due, and what its checks make of it, is said by :mod:`twisted_fcgi.balance`;
what an answer means by :mod:`twisted_fcgi.cgi.checks`; how it is asked by
:mod:`~twisted_fcgi.backend.inquiry`.  This is the timer.

- One delayed call looks after all members of all balancers, as they are at that moment:
  one that has come is checked, one that has gone is not.
- At most :data:`MOST_CHECKS` are asked at a time, the one that is due for longest first,
  and each one once; ``hcinterval`` and the member's ``timeout`` bound how long it may take.
- A check has a connection of its own, beside the member's ``max`` and past its queue, and
  then an application that has no more children than ``max`` may be too busy to answer it.
  That is no failure: a check that gets no answer in time, while ``max`` requests
  are at work and others of them were answered meanwhile, counts neither way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.logger import Logger

from twisted_fcgi.backend.inquiry import Inquiry
from twisted_fcgi.balance import Balancer, MemberState, Verdict
from twisted_fcgi.cgi.checks import complaint, poolFigures
from twisted_fcgi.errors import RequestError
from twisted_fcgi.settings import CheckMethod, MemberSettings

__all__ = ["LONGEST_SLEEP", "MOST_CHECKS", "HealthChecks"]

log = Logger()

#: Checks at a time; httpd's number of threads for them.
MOST_CHECKS = 16

#: Seconds after which members are looked for that have come unsaid, and between two looks
#: at least.
LONGEST_SLEEP = 5.0
QUANTUM = 0.05


class HealthChecks:
    """
    Checks members.

    :param balancers: tells whose.
    :param endpoint: connects to a member.
    :param random: gives a number from 0 to below 1.
    """

    def __init__(
        self,
        balancers: Callable[[], Iterable[Balancer]],
        reactor: Any,
        endpoint: Callable[[MemberSettings], IStreamClientEndpoint],
        random: Callable[[], float] | None = None,
    ) -> None:
        self._balancers = balancers
        self._reactor = reactor
        self._endpoint = endpoint
        self._random = random or Random().random
        self._call: IDelayedCall | None = None
        self._lookedAt = self._lookAt = 0.0
        self._due: deque[tuple[Balancer, MemberState]] = deque()
        self._asking: dict[MemberState, Inquiry] = {}
        self._isAsking = False
        self._running = False

    def start(self) -> None:
        """Begin to check, as soon as there is anybody to be checked."""
        self._running = True
        self.changed()

    def changed(self) -> None:
        """Members have come, or are to be checked in another way."""
        if not self._running:
            return
        if self._call is not None:
            self._wake(self._reactor.seconds())
        elif any(
            member.check.method is not CheckMethod.NONE
            for balancer in self._balancers()
            for member in balancer.settings.members
        ):
            self._look()

    def stop(self) -> None:
        """Ask nobody any more; what was found so far stays."""
        self._running = False
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._due.clear()
        asking, self._asking = self._asking, {}
        for inquiry in asking.values():
            inquiry.cancel()

    def _look(self) -> None:
        """Find out who is due, and when somebody is again."""
        now = self._reactor.seconds()
        nextAt = now + LONGEST_SLEEP
        waiting = {state for _, state in self._due}
        due: list[tuple[float, Balancer, MemberState]] = []
        for balancer in self._balancers():
            for state in balancer.members:
                at = state.health.checkAt(
                    state.settings.check, now, state.checkFailed, self._random
                )
                if state.stopped or state in waiting or state in self._asking:
                    continue
                if at <= now:
                    due.append((at, balancer, state))
                else:
                    nextAt = min(nextAt, at)
        due.sort(key=lambda item: item[0])
        self._due.extend((balancer, state) for _, balancer, state in due)
        self._lookedAt = now
        self._lookAt = nextAt
        self._call = self._reactor.callLater(nextAt - now, self._look)
        self._ask()

    def _wake(self, at: float) -> None:
        """Look no later than that."""
        at = max(at, self._lookedAt + QUANTUM)
        if self._call is not None and at < self._lookAt:
            self._lookAt = at
            self._call.reset(max(0.0, at - self._reactor.seconds()))

    def _ask(self) -> None:
        """Ask those who are due, as many at a time as may be."""
        if self._isAsking:
            return  # an answer came at once
        self._isAsking = True
        try:
            while self._due and len(self._asking) < MOST_CHECKS:
                self._begin(*self._due.popleft())
        finally:
            self._isAsking = False

    def _begin(self, balancer: Balancer, state: MemberState) -> None:
        """Ask a member, if it is still there."""
        if state not in balancer.members:
            return
        settings = state.settings
        check = settings.check
        state.health.began(check, self._reactor.seconds(), self._random)
        seconds = min(check.interval, settings.timeout or check.interval)
        endpoint = self._endpoint(settings)
        inquiry = Inquiry(settings, check.method, endpoint, self._reactor, seconds)
        self._asking[state] = inquiry
        checking = Deferred.fromCoroutine(self._check(balancer, state, inquiry))
        checking.addErrback(lambda failure: log.failure("a health check", failure))

    async def _check(self, balancer: Balancer, state: MemberState, inquiry: Inquiry) -> None:
        settings, health, read = inquiry.settings, state.health, state.read
        reason = ""
        isBusy = False
        try:
            answer = await inquiry.begin()
            if answer is not None:
                reason = complaint(settings.check, answer)
                health.figures = poolFigures(answer) or health.figures
        except RequestError as error:
            reason = error.reason
            full = settings.max is not None and state.busy >= settings.max
            isBusy = inquiry.timedOut and full and state.read > read
        except CancelledError:
            return
        finally:
            if self._asking.get(state) is inquiry:
                del self._asking[state]
        # Who has gone meanwhile, or is to be checked in another way, is not judged.
        if not isBusy and state in balancer.members and state.health is health:
            self._judge(balancer, state, reason)
        self._wake(health.dueAt or 0.0)
        self._ask()

    def _judge(self, balancer: Balancer, state: MemberState, reason: str) -> None:
        """
        A check is over.

        :param reason: why it failed; empty when it did not.
        """
        check, health = state.settings.check, state.health
        health.checkedAt = now = self._reactor.seconds()
        health.complaint = reason
        verdict = balancer.checked(state, now, not reason, check.passes, check.fails)
        name, member = balancer.settings.name, state.settings.address
        if verdict is Verdict.DISABLE:
            log.info(
                "{balancer}: health check DISABLING {member}: {reason}",
                balancer=name,
                member=member,
                reason=reason,
            )
        elif verdict is Verdict.ENABLE:
            log.info("{balancer}: health check ENABLING {member}", balancer=name, member=member)
