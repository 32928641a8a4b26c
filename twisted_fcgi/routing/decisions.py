"""
Decisions about requests that are given to others of their like.

Requests are alike that have the same target, and the same in what :class:`Asked` says.  A
client's requests on one connection most often have the same header fields, and share them.
So what is the same for all of these is found out once and kept with the fields; then the
target alone says what is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted_fcgi.message import Request, Route
from twisted_fcgi.routing.grounds import Basis

__all__ = ["MAX_ROUTE", "MAX_ROUTES", "Asked", "Decisions"]

#: Decisions that are remembered, and how long a target with its Host field may be.
MAX_ROUTES = 4096
MAX_ROUTE = 512

#: A route, and what it rests on; ``None`` for nothing else.
_Decision = tuple[Route, "Basis | None"]


class Asked:
    """
    By which name and at which end of ours one asked.

    :ivar among: whose decisions these are.
    :ivar field: the Host field.
    :ivar key: all that counts.
    :ivar routes: the decisions, by target; ``None`` when nothing else may be given one.
    """

    __slots__ = ("_secure", "_server", "among", "field", "key", "routes")

    def __init__(self, among: Decisions, request: Request) -> None:
        headers = request.headers
        self.among = among
        self.field = field = headers.get(b"host")
        self._server = request.server
        self._secure = request.secure
        self.key = (field, request.server, request.secure)
        self.routes: dict[bytes, _Decision] | None = None
        # Without a Host field the protocol's version counts as well.
        if field and b"max-forwards" not in headers:
            self.routes = {}

    def isFor(self, request: Request) -> bool:
        """Whether a request with the same header fields asked so, too."""
        return request.server is self._server and request.secure is self._secure


class Decisions:
    """What one router remembers."""

    def __init__(self) -> None:
        self._tables: dict[tuple[object, ...], dict[bytes, _Decision]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        """The targets."""
        for routes in self._tables.values():
            yield from routes

    def askedBy(self, request: Request) -> Asked:
        """How a request asks; kept with its header fields."""
        asked: Asked | None = request.headers.asked
        if asked is None or asked.among is not self or not asked.isFor(request):
            asked = request.headers.asked = Asked(self, request)
            if asked.routes is not None:
                asked.routes = self._tables.get(asked.key, asked.routes)
        return asked

    def remember(self, asked: Asked, target: bytes, route: Route, basis: Basis | None) -> bool:
        """
        Give a decision to who asks alike.

        :returns: ``False`` for what is too long.
        """
        if asked.routes is None or len(target) + len(asked.field or b"") > MAX_ROUTE:
            return False
        if self._count >= MAX_ROUTES:
            self.clear()
        routes = asked.routes = self._tables.setdefault(asked.key, asked.routes)
        if target not in routes:
            self._count += 1
        routes[target] = route, basis
        return True

    def clear(self) -> None:
        """Forget all, also what is kept with the fields of connections that rest."""
        for routes in self._tables.values():
            routes.clear()
        self._tables.clear()
        self._count = 0
