"""
Which member gets a request.

The walk through the members is written once and is httpd's
(``ap_proxy_balancer_get_best_worker``): set by set, in a set the usable members,
a spare for each one that is not usable, and the standbys when there is nobody
else.  Who of these *candidates* is the best is up to the method.  A session's
member comes before all that.

Walking costs a look at each member, so its result is kept until something
changes: a status, a factor, or by the clock.  Where httpd adds a factor to the
lbstatus of each candidate in each election, and in an election by session to that
of each usable member, only the number of these is kept; :meth:`Balancer.settle`
adds them up.

Differences to httpd:

- Who failed this very request is not asked again, whatever its status.
- A member whose ``retry`` is over is back at once, not when it is next looked at.
- When nobody can be asked, those in error state are tried again even if others
  are disabled or draining; httpd wants all to be in error state.  A balancer's only
  member is tried in any case, also with ``forcerecovery=off``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf
from random import Random

from twisted_fcgi.balance.health import Verdict
from twisted_fcgi.balance.members import STATUSES, MemberState, slowStarted
from twisted_fcgi.balance.methods import METHODS, Heartbeat, Method, Shared
from twisted_fcgi.settings import BalancerSettings

__all__ = ["Balancer", "reasonToFail"]


def reasonToFail(settings: BalancerSettings, status: int, timedOut: bool) -> str:
    """
    Whether a response puts its member into error state: failonstatus, failontimeout.

    :param status: the response's HTTP status.
    :param timedOut: whether the member was silent for too long.
    :returns: why, for :meth:`Balancer.failed`; empty when it does not.
    """
    if timedOut and settings.failOnTimeout:
        return "timed out (failontimeout)"
    if status in settings.failOnStatus:
        return f"answered with {status} (failonstatus)"
    return ""


class Balancer:
    """
    The members of a balancer and the choice among them.

    :ivar settings: what was configured.
    :ivar members: the state of each member, in the order of the configuration.
    :ivar asked: how often a member was asked for.
    :param previous: a balancer that this one replaces: members that are still there
        keep their figures and their health.
    :param random: gives a number from 0 to below 1.
    """

    members: tuple[MemberState, ...] = ()
    asked = 0

    def __init__(
        self,
        settings: BalancerSettings,
        previous: Balancer | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._shared = Shared(random or Random().random)
        # The method with its candidates; None: they have to be found again.
        self._method: Method | None = None
        # Elections by session since they were found.
        self._credits = 0
        self._usableFactors = 0
        # When something changes without a call.
        self._due = -inf
        if previous is not None:
            previous.settle()
            self.members = previous.members
            self._shared.heartbeats.update(previous._shared.heartbeats)
        self.update(settings)

    def update(self, settings: BalancerSettings) -> None:
        """
        Take over other settings: other members, other factors, another method.

        Members that are there before and after keep their figures and their health.
        """
        self._change()
        there = {state.name: state for state in self.members}
        members = []
        for member in settings.members:
            fresh = MemberState(member)
            state = there.pop(fresh.name, fresh)
            if state.settings != member:
                state.configure(member)
            members.append(state)
        self.settings = settings
        self.members = tuple(members)
        self._shared.setMembers(self.members)
        self._byRoute: dict[bytes, list[MemberState]] = {}
        for state in members:
            for route in {state.route, state.cookieRoute if settings.routeCookie else b""}:
                self._byRoute.setdefault(route, []).append(state)

    # The life of a request.

    def elect(
        self,
        now: float,
        tried: Collection[MemberState] = (),
        route: bytes | None = None,
        key: bytes | None = None,
    ) -> MemberState | None:
        """
        The member that gets a request.

        :param now: the time in seconds.
        :param tried: the members that failed this request already.
        :param route: the route of the request's session, if it has one.
        :param key: the request's :func:`~twisted_fcgi.balance.hashKey`.
        :returns: ``None`` when there is nobody (left) to ask: 503.
        """
        self.asked += 1
        state = self._elect(now, tried, route, key)
        if state is None and self._force(now, tried):
            state = self._elect(now, tried, route, key)
        if state is not None:
            state.elected += 1
        return state

    def began(self, state: MemberState) -> None:
        """A request is on its way to a member."""
        state.busy += 1

    def finished(self, state: MemberState, sent: int = 0, received: int = 0) -> None:
        """
        A request that began at a member is over, however it ended.

        :param sent: bytes that were sent to the member.
        :param received: bytes that it sent.
        """
        state.busy -= 1
        state.transferred += sent
        state.read += received
        if self._method is not None:
            self._method.released(state)

    def failed(self, state: MemberState, now: float, reason: str = "") -> None:
        """
        A member could not be reached, left, or was found to have failed.

        It is in error state for ``retry`` seconds, unless it ignores errors.
        """
        if state.ignoresErrors:
            return
        if state.failedAt is None:
            self._change()
        state.failedAt = now
        state.reason = reason

    def recovered(self, state: MemberState, now: float) -> None:
        """A member works."""
        state.retries = 0
        if state.failedAt is not None:
            self._change()
            state.returned(now)

    def reached(self, state: MemberState, now: float) -> None:
        """A member in error state takes connections; whether it works is to be seen."""
        self._change()
        state.retries += 1
        state.returned(now)

    def checked(
        self, state: MemberState, now: float, ok: bool, passes: int = 1, fails: int = 1
    ) -> Verdict | None:
        """
        A member passed or failed a health check.

        :param passes: ``hcpasses``.
        :param fails: ``hcfails``.
        :returns: whether it was enabled or disabled by it.
        """
        inService = not (state.checkFailed or state.inError)
        verdict = state.health.checked(inService, ok, passes, fails)
        if verdict is not None:
            self._change()
            state.checkFailed = verdict is Verdict.DISABLE
            if verdict is Verdict.ENABLE:
                state.retries = 0
                state.returned(now)
        return verdict

    # What people change.

    def setStatus(self, state: MemberState, letter: str, on: bool, now: float) -> None:
        """
        Set or clear one of the :data:`~twisted_fcgi.balance.STATUSES`.

        Error state that is set by hand ends after ``retry`` seconds, as any.
        """
        if letter == "E" and on:
            self.failed(state, now, "set by hand")
        elif letter == "E":
            self.recovered(state, now)
        else:
            self._change()
            setattr(state, STATUSES[letter], on)

    def setFactor(self, state: MemberState, loadFactor: int) -> None:
        """Change a member's share of the work; the turns of all begin anew, as in httpd."""
        self._change()
        state.loadFactor = loadFactor
        for member in self.members:
            member.lbstatus = member.loadFactor
        self._shared.setMembers(self.members)

    def drain(self, state: MemberState, now: float, sessions: float = inf) -> None:
        """
        Give a member no new requests, and after some time not those of its sessions either.

        :param sessions: for how long sessions still reach it, in seconds; it is
            disabled after that.
        """
        self._change()
        state.draining = True
        state.drainUntil = now + sessions

    def resume(self, state: MemberState) -> None:
        """Give a draining or disabled member requests again."""
        self._change()
        state.draining = state.disabled = False
        state.drainUntil = inf

    def heard(self, host: str, beat: Heartbeat) -> None:
        """A host of members said how busy it is (lbmethod heartbeat)."""
        if host in self._shared.hosts:
            self._shared.heartbeats[host] = beat

    def settle(self) -> None:
        """Bring each member's ``lbstatus`` up to date, for people who look at it."""
        if self._method is None:
            return
        for state in self.members:
            if state.competes:
                state.lbstatus += state.factor * self._method.steps()
                state.competes = False
            elif state.usable:
                state.lbstatus += state.factor * self._credits
        self._method = None
        self._credits = 0

    # How a member is found.

    def _change(self) -> None:
        """Something is about to change: nothing that was found holds any more."""
        self.settle()
        self._due = -inf

    def _elect(
        self,
        now: float,
        tried: Collection[MemberState],
        route: bytes | None,
        key: bytes | None,
    ) -> MemberState | None:
        if now > self._due:
            self._refresh(now)
        method = self._method
        if method is None:
            method = self._compete()
        if route:
            state = self._findRoute(route, tried, {route})
            if state is not None:
                method.credit()
                self._credits += 1
                state.lbstatus -= self._usableFactors
                return state
            if self.settings.noFailover and route in self._byRoute:
                return None
        for state in tried:
            if state.competes:
                return self._electOthers(now, tried, key)
        return method.elect(now, key)

    def _electOthers(
        self, now: float, tried: Collection[MemberState], key: bytes | None
    ) -> MemberState | None:
        """Elect when members were tried that are not in error state."""
        self.settle()
        state = self._compete(tried).elect(now, key)
        self.settle()
        return state

    def _refresh(self, now: float) -> None:
        """Do what is due, and find out when something is again."""
        self._change()
        due = inf
        for state in self.members:
            if state.failedAt is not None and not state.stopped:
                until = state.failedAt + state.settings.retry
                if now > until or state.ignoresErrors:
                    state.retries += 1
                    state.returned(now)
                else:
                    due = min(due, until)
            if state.draining and not state.disabled:
                state.disabled = now > state.drainUntil
                if not state.disabled:
                    due = min(due, state.drainUntil)
            state.factor = state.loadFactor
            if state.returnedAt is not None:
                state.factor, age = slowStarted(
                    state.loadFactor, state.settings.slowStart, now - state.returnedAt
                )
                due = min(due, state.returnedAt + age)
        self._due = due

    def _compete(self, tried: Collection[MemberState] = ()) -> Method:
        """Find the candidates."""
        sets: dict[int, list[MemberState]] = {}
        self._usableFactors = 0
        for state in self.members:
            sets.setdefault(state.lbset, []).append(state)
            if state.usable:
                self._usableFactors += state.factor
        self._method = Method((), self._shared)
        for _, members in sorted(sets.items()):
            candidates = _candidates(members, tried)
            if candidates:
                for state in candidates:
                    state.competes = True
                self._method = METHODS[self.settings.method](candidates, self._shared)
                break
        return self._method

    def _findRoute(
        self, route: bytes, tried: Collection[MemberState], seen: set[bytes]
    ) -> MemberState | None:
        """
        The member of a route, or of the route that it redirects to.

        :param seen: the routes that were looked for: each one once, whatever
            redirects to what.
        """
        members = self._byRoute.get(route, ())
        for standby in (False, True):
            for state in members:
                if state.standby is not standby:
                    continue
                if state.usable and state not in tried:
                    return state
                if state.redirect and state.redirect not in seen:
                    seen.add(state.redirect)
                    found = self._findRoute(state.redirect, tried, seen)
                    if found is not None:
                        return found
        return None

    def _force(self, now: float, tried: Collection[MemberState]) -> bool:
        """When nobody can be asked, call those back who are in error state, if there are any."""
        alone = len(self.members) == 1
        if not (self.settings.forceRecovery or alone):
            return False
        left = [
            state
            for state in self.members
            if not (state.disabled or state.stopped or state.draining or state in tried)
        ]
        if not left or any(state.usable for state in left):
            return False  # but not for this request: its session ends with its member
        self._change()
        for state in left:
            if state.failedAt is not None:
                state.retries += 1
                state.returned(now)
            state.checkFailed = state.checkFailed and not alone
        return any(state.usable for state in left)


def _candidates(members: list[MemberState], tried: Collection[MemberState]) -> list[MemberState]:
    """Those of a set of whom one is elected, in the order in which the first wins among equals."""
    working, spares, standbys = [], [], []
    missing = 0
    for state in members:
        usable = state.usable and not state.draining and state not in tried
        if state.spare:
            if usable:
                spares.append(state)
        elif state.standby:
            if usable:
                standbys.append(state)
        elif usable:
            working.append(state)
        else:
            missing += 1
    return working + spares[:missing] or standbys
