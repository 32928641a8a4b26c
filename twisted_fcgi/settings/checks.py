"""Active health checks: how a balancer finds out whether a member works, without a request."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CheckExpression", "CheckMethod", "CheckSettings"]


class CheckMethod(enum.Enum):
    """
    ``hcmethod``: what a check does.

    The names with 11 are those of requests that say HTTP/1.1 instead of HTTP/1.0.
    """

    NONE = "NONE"
    TCP = "TCP"
    FCGI = "FCGI"
    OPTIONS = "OPTIONS"
    HEAD = "HEAD"
    GET = "GET"
    OPTIONS11 = "OPTIONS11"
    HEAD11 = "HEAD11"
    GET11 = "GET11"

    @property
    def request(self) -> str:
        """The method of the request that it sends; empty when it sends none."""
        if self in (CheckMethod.NONE, CheckMethod.TCP, CheckMethod.FCGI):
            return ""
        return self.value.removesuffix("11")

    @property
    def protocol(self) -> str:
        """What that request says of the protocol."""
        return "HTTP/1.1" if self.value.endswith("11") else "HTTP/1.0"


@dataclass(frozen=True)
class CheckExpression:
    """
    ProxyHCExpr: what an answer has to be.

    :ivar text: as written.
    :ivar holds: the same, compiled.
    """

    name: str
    text: str
    holds: Callable[[Any], bool] = field(compare=False)


@dataclass(frozen=True)
class CheckSettings:
    """
    How a balancer's member is checked.

    :ivar interval: seconds from one check to the next; each takes no longer.
    :ivar passes: passed checks, in a row, that bring a member back.
    :ivar fails: failed checks, in a row, that take it out.
    :ivar uri: path and query that a request asks for, below the path of the member's URL.
    :ivar expression: what the answer has to be, in place of a status from 200 to 399.
    """

    method: CheckMethod = CheckMethod.NONE
    interval: float = 30.0
    passes: int = 1
    fails: int = 1
    uri: str = ""
    expression: CheckExpression | None = None
