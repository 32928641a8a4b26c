"""
Members in error state, tried in the background.

A connect says whether a member that could not be reached, or died, is there again; then
it is elected at once, not only after its ``retry``.  No request is spent to find out.

- A member is tried soon, then ever later, up to every ``retry`` seconds
  (:func:`~twisted_fcgi.balance.nextProbe`).  One that takes connections and fails its
  requests all the same is back ever later, until it has answered one.
- Nobody is tried while the balancer is not asked for members.
- At most :data:`MOST_PROBES` connects go on at a time for each balancer.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_fcgi.backend.inquiry import Inquiry
from twisted_fcgi.balance import Balancer, MemberState, nextProbe
from twisted_fcgi.settings import CheckMethod, MemberSettings

__all__ = ["MOST_PROBES", "PROBE_LIMIT", "Probes"]

log = Logger()

#: Seconds that a connect may take, at most.
PROBE_LIMIT = 5.0

#: Connects at a time, for one balancer.
MOST_PROBES = 16


class Probes:
    """
    Brings a balancer's members back from error state.

    :param endpoint: connects to a member.
    :param random: gives a number from 0 to below 1.
    """

    def __init__(
        self,
        balancer: Balancer,
        reactor: Any,
        endpoint: Callable[[MemberSettings], IStreamClientEndpoint],
        random: Callable[[], float] | None = None,
    ) -> None:
        self._balancer = balancer
        self._reactor = reactor
        self._endpoint = endpoint
        self._random = random or Random().random
        self._calls: dict[MemberState, IDelayedCall] = {}
        self._connecting: dict[MemberState, Inquiry] = {}

    def watch(self, state: MemberState) -> None:
        """Look after a member, if it is in error state and not looked after already."""
        if (
            state.settings.probe
            and state.inError
            and state not in self._calls
            and state not in self._connecting
        ):
            self._wait(state, state.retries)

    def stop(self) -> None:
        """Look after nobody any more."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.cancel()
        connecting, self._connecting = self._connecting, {}
        for inquiry in connecting.values():
            inquiry.cancel()

    def _wait(self, state: MemberState, probes: int) -> None:
        """
        Try a member later.

        :param probes: how often it was tried since it worked.
        """
        seconds = nextProbe(probes, state.settings.retry, self._random)
        asked = self._balancer.asked
        self._calls[state] = self._reactor.callLater(seconds, self._due, state, probes, asked)

    def _due(self, state: MemberState, probes: int, asked: int) -> None:
        del self._calls[state]
        balancer = self._balancer
        if not state.inError or state.disabled or state.stopped or state not in balancer.members:
            return
        if balancer.asked == asked or len(self._connecting) >= MOST_PROBES:
            self._wait(state, probes)
            return
        settings = state.settings
        endpoint = self._endpoint(settings)
        inquiry = Inquiry(settings, CheckMethod.TCP, endpoint, self._reactor, PROBE_LIMIT)
        self._connecting[state] = inquiry
        inquiry.begin().addCallbacks(
            self._connected, self._failed, callbackArgs=(state,), errbackArgs=(state, probes + 1)
        )

    def _connected(self, _: None, state: MemberState) -> None:
        if self._connecting.pop(state, None) is not None and state.inError:
            self._balancer.reached(state, self._reactor.seconds())
            log.info(
                "{balancer}: {member} takes connections again",
                balancer=self._balancer.settings.name,
                member=state.settings.address,
            )

    def _failed(self, failure: Failure, state: MemberState, probes: int) -> None:
        if self._connecting.pop(state, None) is not None:
            self._wait(state, probes)
