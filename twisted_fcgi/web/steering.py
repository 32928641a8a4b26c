"""
What steers how a client is answered: the variables ``nokeepalive``, ``downgrade-1.0`` and
``force-no-vary``, and what a virtual host says about KeepAlive (httpd:
``ap_set_keepalive``, ``ap_basic_http_header``).

The variables are set for clients that can't do what they say they can, so they hold for
every response, also for pages about errors.
"""

from __future__ import annotations

from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import ResponseHead
from twisted_fcgi.routing.environment import Environment
from twisted_fcgi.web.outgoing import OutgoingResponse

__all__ = ["KeptResponse", "SteeredResponse", "isSteered"]

#: Those that mean HTTP/1.0: no chunks.
_DOWNGRADING = frozenset((b"downgrade-1.0", b"force-no-vary"))

_STEERING = _DOWNGRADING | {b"nokeepalive"}


def isSteered(environment: Environment) -> bool:
    """Whether one of the variables is set."""
    return not _STEERING.isdisjoint(environment)


class SteeredResponse(OutgoingResponse):
    """
    A response that ends its connection.

    :param environment: the variables of the request.
    """

    def __init__(self, original: IResponse, environment: Environment) -> None:
        super().__init__(original)
        self._environment = environment

    def writeHead(self, head: ResponseHead) -> None:
        head = head.copy()
        head.close = True
        head.unchunked = not _DOWNGRADING.isdisjoint(self._environment)
        if b"force-no-vary" in self._environment:
            head.headers.remove(b"Vary")
        self.original.writeHead(head)


class KeptResponse(OutgoingResponse):
    """
    A response of a virtual host that has a say in how long connections are kept.

    :param keepAlive: as in :class:`~twisted_fcgi.message.ResponseHead`.
    """

    def __init__(self, original: IResponse, keepAlive: tuple[float, int]) -> None:
        super().__init__(original)
        self._keepAlive = keepAlive

    def writeHead(self, head: ResponseHead) -> None:
        head = head.copy()
        head.keepAlive = self._keepAlive
        self.original.writeHead(head)
