"""
The choice of a member: who is asked, who is left alone, whose session it is.

Pure: the time is passed in, decisions are returned, nothing is logged.  In the life
of a request::

    session = findSession(settings, url, cookies)
    route = session.route if session else None          # or RouteCookie.check(cookies)
    state = balancer.elect(now, tried, route)           # None: 503
    pairs = balancerVariables(settings, state, session)
    balancer.began(state)
    balancer.finished(state, sent, received)            # in any case, then one of
    balancer.failed(state, now, reason)
    balancer.recovered(state, now)
"""

from __future__ import annotations

from twisted_fcgi.balance.balancer import Balancer, reasonToFail
from twisted_fcgi.balance.health import Health, PoolFigures, Verdict, nextCheck, nextProbe
from twisted_fcgi.balance.members import STATUSES, MemberState
from twisted_fcgi.balance.methods import METHODS, Heartbeat
from twisted_fcgi.balance.sticky import (
    RouteCookie,
    Session,
    balancerVariables,
    findSession,
    hashKey,
)

__all__ = [
    "METHODS",
    "STATUSES",
    "Balancer",
    "Health",
    "Heartbeat",
    "MemberState",
    "PoolFigures",
    "RouteCookie",
    "Session",
    "Verdict",
    "balancerVariables",
    "findSession",
    "hashKey",
    "nextCheck",
    "nextProbe",
    "reasonToFail",
]
