"""
The choice of a member: who is asked, who is left alone, whose session it is.

Pure: the time is passed in, decisions are returned.
"""

from __future__ import annotations

from twisted_fcgi.balance.balancer import Balancer
from twisted_fcgi.balance.members import STATUSES, MemberState
from twisted_fcgi.balance.sticky import Session, balancerVariables, findSession

__all__ = [
    "STATUSES",
    "Balancer",
    "MemberState",
    "Session",
    "balancerVariables",
    "findSession",
]
