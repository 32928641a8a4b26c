"""
Which member gets a request.

The walk through the tiers is written once and is httpd's
(``ap_proxy_balancer_get_best_worker``): set by set, in a set the usable
members, a spare for each one that is not, and the standbys when there is
nobody else.  Who is best among these is up to the method.
"""

from __future__ import annotations

from collections.abc import Collection

from twisted_fcgi.balance.members import MemberState
from twisted_fcgi.settings import BalancerSettings

__all__ = ["Balancer"]


class Balancer:
    """
    The members of a balancer and the choice among them.

    :param settings: what was configured.
    """

    def __init__(self, settings: BalancerSettings) -> None:
        self.settings = settings
        self.members = tuple(MemberState(m, index) for index, m in enumerate(settings.members))

    def elect(
        self, now: float, tried: Collection[MemberState] = (), route: bytes | None = None,
        key: bytes = b"",
    ) -> MemberState | None:
        """
        The member that gets a request.

        :param now: the time in seconds.
        :param tried: the members that failed this request already.
        :param route: the route of the request's session, if it has one.
        :param key: what is hashed, when the method hashes.
        :returns: ``None`` when there is nobody (left) to ask: 503.
        """
        state = self._attempt(now, tried, route)
        if state is None and self._forced(now, tried):
            state = self._attempt(now, tried, route)
        if state is not None:
            state.elected += 1
        return state

    def began(self, state: MemberState, now: float) -> None:
        """A request is on its way to a member."""
        state.busy += 1

    def finished(self, state: MemberState, now: float, sent: int = 0, received: int = 0) -> None:
        """A request that began at a member is over, however it ended."""
        if state.busy:
            state.busy -= 1
        state.transferred += sent
        state.read += received

    def failed(self, state: MemberState, now: float, reason: str = "") -> None:
        """A member could not be reached or left: put it into error state."""
        if not state.ignoresErrors:
            state.inError = True
            state.failedAt = now
            state.reason = reason

    def recovered(self, state: MemberState, now: float) -> None:
        """A member works (again)."""
        state.inError = False
        state.failedAt = None
        state.reason = ""
        state.retries = 0

    def _attempt(
        self, now: float, tried: Collection[MemberState], route: bytes | None
    ) -> MemberState | None:
        if route:
            found = self._findRoute(route, now, tried, 1)
            if found is not None:
                usable = [state for state in self.members if state.usable]
                for state in usable:
                    state.lbstatus += state.factor
                found.lbstatus -= sum(state.factor for state in usable)
                return found
            if self.settings.noFailover and any(s.route == route for s in self.members):
                return None
        candidates = self._candidates(now, tried)
        if not candidates:
            return None
        for state in candidates:
            state.lbstatus += state.factor
        best = max(candidates, key=lambda state: state.lbstatus)
        best.lbstatus -= sum(state.factor for state in candidates)
        return best

    def _candidates(self, now: float, tried: Collection[MemberState]) -> list[MemberState]:
        for lbset in sorted({state.settings.lbset for state in self.members}):
            working, spares, standbys = [], [], []
            missing = 0
            for state in self.members:
                if state.settings.lbset != lbset:
                    continue
                if state.draining:
                    missing += not (state.spare or state.standby)
                    continue
                usable = self._retry(state, now) and state not in tried
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
            candidates = working + spares[:missing] or standbys
            if candidates:
                return candidates
        return []

    def _retry(self, state: MemberState, now: float) -> bool:
        """Whether a member is usable, which it is again some time after it failed."""
        if (
            state.inError
            and not state.stopped
            and (
                state.ignoresErrors
                or state.failedAt is None
                or now > state.failedAt + state.settings.retry
            )
        ):
            state.retries += 1
            state.inError = False
        return state.usable

    def _forced(self, now: float, tried: Collection[MemberState]) -> bool:
        """Whether members in error state are tried all the same, since nobody else is there."""
        if not (self.settings.forceRecovery or len(self.members) == 1):
            return False
        down = [state for state in self.members if state.inError and state not in tried]
        for state in down:
            state.retries += 1
            state.inError = False
        return bool(down)

    def _findRoute(
        self, route: bytes, now: float, tried: Collection[MemberState], depth: int
    ) -> MemberState | None:
        for standby in (False, True):
            for state in self.members:
                if state.standby is not standby or state.route != route:
                    continue
                if self._retry(state, now) and state not in tried:
                    return state
                if state.redirect and depth < len(self.members):
                    found = self._findRoute(state.redirect, now, tried, depth + 1)
                    if found is not None:
                        return found
        return None
