"""
The members of a balancer that one request asks, one after the other.

Who is next is :mod:`twisted_fcgi.balance`'s to say; here it is told what became of each,
and each is given the route that leads to it.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted_fcgi.balance import (
    Balancer,
    MemberState,
    balancerVariables,
    findSession,
    hashKey,
    reasonToFail,
)
from twisted_fcgi.errors import ConnectionDied, RequestError, ResponseTimedOut
from twisted_fcgi.message import Request, Route
from twisted_fcgi.settings import MemberSettings

__all__ = ["BalancedAttempts"]


class BalancedAttempts:
    """
    An iterator over members and their routes.

    To ask for another one means that the last could not be reached: it is put into
    error state.

    :param elected: makes the route for a member; may raise a
        :class:`~twisted_fcgi.errors.RequestError`.
    :param seconds: tells the time.
    """

    def __init__(
        self,
        balancer: Balancer,
        request: Request,
        route: Route,
        elected: Callable[[Request, Route, MemberSettings], Route],
        seconds: Callable[[], float],
    ) -> None:
        settings = balancer.settings
        self._balancer = balancer
        self._request = request
        self._route = route
        self._elected = elected
        self._seconds = seconds
        self._session = findSession(settings, request.target, request.headers.get(b"cookie") or b"")
        self._key = hashKey(settings, request) if settings.method == "hash" else None
        most = settings.maxAttempts
        self._failovers = len(route.members) if most is None else most
        self._tried: list[MemberState] = []
        self._state: MemberState | None = None

    def __iter__(self) -> BalancedAttempts:
        return self

    def __next__(self) -> tuple[MemberSettings, Route]:
        balancer, now = self._balancer, self._seconds()
        last = self._state
        if last is not None:
            self.ended(0, 0)
            balancer.failed(last, now)
            self._tried.append(last)
        if len(self._tried) > self._failovers:
            raise StopIteration
        session = self._session
        state = balancer.elect(
            now, self._tried, None if session is None else session.route, self._key
        )
        if state is None:
            raise StopIteration
        route = self._elected(self._request, self._route, state.settings)
        route.balanced = tuple(balancerVariables(balancer.settings, state, session))
        balancer.began(state, now)
        self._state = state
        return state.settings, route

    def answered(self, status: int) -> None:
        """The last member answered, which may put it into error state (failonstatus)."""
        self._judge(reasonToFail(self._balancer.settings, status, False))

    def failed(self, error: RequestError) -> None:
        """
        The last member did not answer, and no other one is asked.

        A member that closes its connection is in error state as if it could not be reached.
        """
        timedOut = isinstance(error, ResponseTimedOut)
        reason = reasonToFail(self._balancer.settings, error.status, timedOut)
        self._judge(error.reason if isinstance(error, ConnectionDied) else reason)

    def _judge(self, reason: str) -> None:
        if reason and self._state is not None:
            self._balancer.failed(self._state, self._seconds(), reason)

    def ended(self, sent: int, received: int) -> None:
        """
        The request is over, as far as the last member is concerned.

        :param sent: bytes of the variables and the body.
        :param received: bytes of the response, with its head.
        """
        state, self._state = self._state, None
        if state is not None:
            self._balancer.finished(state, self._seconds(), sent, received)
