"""
How members are reached: with TLS, and whose answer their names are believed.

What a server says holds for its members; what a ``<Proxy>`` says, for those whose URL, or
whose balancer's, it names.  A virtual host takes over what the main server says; members
that the main server describes are reached as that server says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from twisted_fcgi.config.source import encode
from twisted_fcgi.config.targets import Target
from twisted_fcgi.pcre import Pattern
from twisted_fcgi.settings import TLSSettings

__all__ = ["Reaching", "Secured"]


class Secured(NamedTuple):
    """
    What a ``<Proxy>`` or ``<ProxyMatch>`` says of TLS.

    :ivar fields: those of :class:`~twisted_fcgi.settings.TLSSettings`.
    """

    path: bytes | None
    pattern: Pattern | None
    fields: Mapping[str, Any]

    def holdsFor(self, url: str) -> bool:
        """Whether a member or a balancer is below its URL."""
        name = encode(url)
        if self.path is None:
            return self.pattern is not None and self.pattern.search(name) is not None
        path = self.path.rstrip(b"/")
        return name.startswith(path) and name[len(path) : len(path) + 1] in (b"", b"/")


class Reaching:
    """
    How the members of a server are reached.

    :param resolver: FcgiResolver.
    :param fields: of :class:`~twisted_fcgi.settings.TLSSettings`, outside of sections.
    :param sections: in their order.
    :ivar differs: whether a virtual host says something else than the main server.
    """

    def __init__(
        self,
        resolver: tuple[str, ...] | None = None,
        fields: Mapping[str, Any] | None = None,
        sections: Sequence[Secured] = (),
        differs: bool = False,
    ) -> None:
        self.differs = differs
        self._resolver = resolver
        self._fields = fields or {}
        self._sections = sections

    def fields(self, target: Target, balancer: str | None = None) -> dict[str, Any]:
        """Fields of a member's settings, as far as they are not the usual ones."""
        fields: dict[str, Any] = {}
        if self._resolver is not None and target.socket is None:
            fields["resolver"] = self._resolver
        if target.scheme.endswith("fcgis"):
            tls = dict(self._fields)
            for section in self._sections:
                if section.holdsFor(target.name) or (balancer and section.holdsFor(balancer)):
                    tls.update(section.fields)
            fields["tls"] = TLSSettings(**tls)
        return fields
