"""
The members of a balancer that one request asks, one after the other.

Who is next is :mod:`twisted_fcgi.balance`'s to say; here it is told what became of each,
and each is given the route that leads to it.

- A request goes on to another member when the last one did not begin with it.  When it
  may have begun, only if sending it twice does no harm (RFC 9110, 9.2.2, or
  ``nonidempotent=on``), for ``failovertime`` seconds,
  :data:`~twisted_fcgi.backend.retries.SENT_AGAIN` times, and while nothing of an answer
  was passed on.  There are ``maxattempts`` failovers at most, and each member is asked once.
- Who has too much to do (a full queue, FCGI_OVERLOADED) is passed over for this request
  only; who can't be reached, or dies with a request, is in error state.
- When nobody is left, ``timeout`` lets requests wait, ``maxqueue`` of them at most.  All
  are looked after by one timer, in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from secrets import token_hex

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from twisted_fcgi.backend.probes import Probes
from twisted_fcgi.backend.retries import IDEMPOTENT, SENT_AGAIN
from twisted_fcgi.balance import (
    Balancer,
    MemberState,
    RouteCookie,
    Session,
    balancerVariables,
    findSession,
    hashKey,
    reasonToFail,
)
from twisted_fcgi.errors import (
    AcquireTimedOut,
    ConnectFailed,
    ConnectionDied,
    Fault,
    RemoteProtocolError,
    RequestError,
    ResponseTimedOut,
)
from twisted_fcgi.message import Request, ResponseHead, Route
from twisted_fcgi.settings import BalancerSettings, MemberSettings

__all__ = ["LOOK_AGAIN", "BalancedAttempts", "LiveBalancer"]

log = Logger()

#: Seconds after which requests that wait look for a member again, as in httpd.
LOOK_AGAIN = 0.1

#: Routes to members that are remembered, for each balancer.
MAX_ROUTES = 16384


class LiveBalancer:
    """
    A balancer at work.

    :ivar balancer: elects.
    :ivar sticks: whether requests may have a session.
    :ivar hashes: whether something of a request says who gets it.
    :ivar most: how many members one request may ask.
    :ivar cookie: tells applications' sessions apart that add no route, or ``None``.
    :ivar reactor: tells the time.
    :param elected: makes the route for a member; may raise a :class:`RequestError`.
    :param probes: looks after members in error state.
    """

    def __init__(
        self,
        settings: BalancerSettings,
        elected: Callable[[Request, Route, MemberSettings], Route],
        reactor: IReactorTime,
        probes: Callable[[Balancer], Probes] | None = None,
    ) -> None:
        if settings.routeCookie and not settings.routeSecret:
            settings = replace(settings, routeSecret=token_hex())
        self.balancer = Balancer(settings)
        self.cookie = RouteCookie(settings) if settings.routeCookie else None
        self.sticks = bool(settings.stickySession) or self.cookie is not None
        self.hashes = settings.method == "hash"
        self.most = inf if settings.maxAttempts is None else settings.maxAttempts + 1
        self._elected = elected
        self.reactor = reactor
        self._probes = None if probes is None else probes(self.balancer)
        # By identity, which the values keep alive: a route, a member, and for a session
        # of that member its name.
        self._routes: dict[tuple[int, int, bytes], tuple[Route, MemberSettings, Route]] = {}
        self._waiting: dict[BalancedAttempts, Callable[[], None]] = {}
        self._timer: IDelayedCall | None = None

    def attempts(self, request: Request, route: Route) -> BalancedAttempts:
        """The members that one request asks."""
        return BalancedAttempts(self, request, route)

    def routeFor(
        self, state: MemberState, request: Request, route: Route, session: Session | None
    ) -> Route:
        """
        The route that leads to a member, and says so.

        :raises RequestError: when the URL is not allowed.
        """
        settings = state.settings
        key = None
        if route.lasting and (session is None or session.route == state.route):
            key = (id(route), id(settings), b"" if session is None else session.name)
            known = self._routes.get(key)
            if known is not None:
                return known[2]
        made = self._elected(request, route, settings)
        made.balanced = tuple(balancerVariables(self.balancer.settings, state, session))
        # What proxy-fcgi-pathinfo asks for may be a matter of files.
        if key is not None and b"proxy-fcgi-pathinfo" not in route.environment:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[key] = route, settings, made
            made.lasting = True
        return made

    @property
    def waiting(self) -> int:
        """How many requests wait for a member."""
        return len(self._waiting)

    def lost(self, state: MemberState, reason: str, probed: bool = False) -> None:
        """
        A member failed.

        :param probed: whether a connect may tell that it is back.
        """
        known = state.inError
        self.balancer.failed(state, self.reactor.seconds(), reason)
        probing = probed and self._probes is not None and state.settings.probe
        if state.inError and not known:
            log.warn(
                "{balancer}: {member} is left alone for {retry:g} s{sooner}: {reason}",
                balancer=self.balancer.settings.name,
                member=state.settings.address,
                retry=state.settings.retry,
                sooner=", or until it takes connections again" if probing else "",
                reason=reason,
            )
        if probed and self._probes is not None:
            self._probes.watch(state)

    def wait(self, attempts: BalancedAttempts, again: Callable[[], None]) -> None:
        """
        Look for a member again, until there is one or nobody waits any more.

        :raises AcquireTimedOut: when too many do already.
        """
        if self.waiting >= self.balancer.settings.maxQueue:
            name, most = self.balancer.settings.name, self.waiting
            raise AcquireTimedOut(f"{name}: {most} requests (maxqueue) already wait for a member")
        self._waiting[attempts] = again
        if self._timer is None:
            self._timer = self.reactor.callLater(LOOK_AGAIN, self._look)

    def waitNoMore(self, attempts: BalancedAttempts) -> None:
        """A request has found a member, or was given up."""
        if self._waiting.pop(attempts, None) is not None and not self._waiting and self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        try:
            for attempts in tuple(self._waiting):
                again = self._waiting.pop(attempts, None)
                if again is not None:
                    attempts.waited()
                    again()
        finally:
            if self._waiting and self._timer is None:
                self._timer = self.reactor.callLater(LOOK_AGAIN, self._look)

    def stop(self) -> None:
        """Look after members in error state no more."""
        if self._probes is not None:
            self._probes.stop()


class BalancedAttempts:
    """
    The members that one request asks.

    :ivar memberRoute: leads to the last one.
    """

    _session: Session | None = None
    _wanted: bytes | None = None
    _key: bytes | None = None
    _tried: Sequence[MemberState] = ()
    _state: MemberState | None = None
    _deaths = 0
    _beganAt = 0.0
    _waitsUntil = 0.0

    def __init__(self, live: LiveBalancer, request: Request, route: Route) -> None:
        self.memberRoute = route
        self._live = live
        self._request = request
        self._route = route
        self._left = self._live.most
        if self._live.sticks:
            self._findRoute(request)
        if self._live.hashes:
            self._key = hashKey(self._live.balancer.settings, request)

    def _findRoute(self, request: Request) -> None:
        """Find out whom the request's session belongs to, if it has one."""
        cookies = request.headers.get(b"cookie") or b""
        session = findSession(self._live.balancer.settings, request.target, cookies)
        if session is not None:
            self._session = session
            self._wanted = session.route
        if self._live.cookie is not None and not self._wanted:
            self._wanted = self._live.cookie.check(cookies)

    @property
    def keepsBody(self) -> bool:
        """Whether a body has to be stored, to be sent to a second member."""
        return self._live.balancer.settings.nonIdempotent

    def nextMember(self) -> MemberSettings | None:
        """
        Who is asked now.

        :returns: ``None`` when there is nobody (left).
        :raises RequestError: when the URL is not allowed.
        """
        live = self._live
        balancer, now = live.balancer, live.reactor.seconds()
        last = self._state
        if last is not None:
            self._state = None
            balancer.finished(last)
            self._tried = (*self._tried, last)
        elif not self._beganAt:
            self._beganAt = now
        if self._left <= 0:
            return None
        state = balancer.elect(now, self._tried, self._wanted, self._key)
        if state is None:
            return None
        self._left -= 1
        if self._waitsUntil:
            live.waitNoMore(self)
        self.memberRoute = live.routeFor(state, self._request, self._route, self._session)
        balancer.began(state)
        self._state = state
        return state.settings

    def wait(self, again: Callable[[], None]) -> bool:
        """
        Wait for a member when there was none (``timeout``).

        :param again: asks for one.
        :returns: ``False`` when it was long enough, or not wanted.
        :raises AcquireTimedOut: when too many requests wait.
        """
        timeout = self._live.balancer.settings.timeout
        if timeout is None or self._left <= 0:
            return False
        now = self._live.reactor.seconds()
        if not self._waitsUntil:
            self._waitsUntil = now + timeout
        if now >= self._waitsUntil:
            self._live.waitNoMore(self)
            return False
        self._live.wait(self, again)
        return True

    def waited(self) -> None:
        """Who has come back since, had too much to do, or is alone can be asked once more."""
        alone = len(self._live.balancer.members) == 1
        self._tried = [state for state in self._tried if state.inError and not alone]

    def responded(self, head: ResponseHead) -> ResponseHead:
        """
        The last member answered, which may put it into error state (failonstatus).

        :returns: the same head, or a copy with the Set-Cookie field that keeps the client
            with the member, if it needs one.
        """
        state, live = self._state, self._live
        if state is None:
            return head
        reason = reasonToFail(live.balancer.settings, head.status, False)
        if reason:
            live.lost(state, reason)
        elif state.retries and state.failedAt is None:
            live.balancer.recovered(state, live.reactor.seconds())
        if live.cookie is None or self._wanted in (state.cookieRoute, state.route):
            return head
        head = head.copy()
        head.headers.add(b"Set-Cookie", live.cookie.make(state, self._request.secure))
        return head

    def mayGoOn(self, error: RequestError) -> bool:
        """Whether another member may be asked after one failed, if the body can be had again."""
        if error.retryable:
            return True
        if not isinstance(error, ConnectionDied | RemoteProtocolError):
            return False
        if self._deaths == SENT_AGAIN:
            return False
        settings = self._live.balancer.settings
        return (self._request.method in IDEMPOTENT or settings.nonIdempotent) and (
            self._live.reactor.seconds() - self._beganAt <= settings.failoverTime
        )

    def failed(self, error: RequestError) -> None:
        """
        The last member did not answer.

        A member that closes its connection is in error state as if it could not be reached.
        """
        state = self._state
        if state is None or error.fault is not Fault.APPLICATION:
            return
        self._deaths += not error.retryable
        if isinstance(error, ConnectFailed | ConnectionDied):
            self._live.lost(state, error.reason, probed=True)
            return
        timedOut = isinstance(error, ResponseTimedOut)
        reason = reasonToFail(self._live.balancer.settings, error.status, timedOut)
        if reason:
            self._live.lost(state, reason)

    def ended(self, sent: int, received: int) -> None:
        """
        The request is over, as far as the last member is concerned.

        :param sent: bytes of the variables and the body.
        :param received: bytes of the response, with its head.
        """
        state, self._state = self._state, None
        if state is not None:
            self._live.balancer.finished(state, sent, received)
        elif self._waitsUntil:
            self._live.waitNoMore(self)
