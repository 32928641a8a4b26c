"""What a section says of files' extensions, while it is being read."""

from __future__ import annotations

from typing import Any

from twisted_fcgi.config.serving import Serving, asked
from twisted_fcgi.config.targets import Target
from twisted_fcgi.settings import Extensions, ExtensionSettings

__all__ = ["ExtensionsDraft"]


class ExtensionsDraft:
    """
    The extensions of a section.

    :ivar rows: fields of :class:`ExtensionSettings`, by extension.
    :ivar asked: the authorities and balancers that its handlers ask.
    """

    def __init__(self) -> None:
        self.rows: dict[bytes, dict[str, Any]] = {}
        self.asked: frozenset[str] = frozenset()
        self._proxied: dict[bytes, tuple[Target | None, str | None]] = {}
        self._removed: set[tuple[bytes, str]] = set()

    def add(self, extension: bytes, name: str, value: bytes) -> None:
        """Give an extension a meaning."""
        self.rows.setdefault(extension, {})[name] = value

    def handle(
        self,
        extension: bytes,
        handler: bytes,
        target: Target | None,
        balancer: str | None,
        place: str = "",
    ) -> None:
        """
        Give an extension a handler.

        :param target: who serves it, when it names a server.
        :param balancer: likewise, a balancer.
        :param place: the file and number of the line.
        """
        self.rows.setdefault(extension, {}).update(handler=handler, place=place)
        self._proxied[extension] = target, balancer
        self.asked |= asked(target, balancer)

    def remove(self, extension: bytes, name: str) -> None:
        """Take a meaning away that an outer section gave."""
        self._removed.add((extension, name))

    def finish(self, serving: Serving, outermost: bool) -> Extensions:
        """
        The settings.

        :param outermost: whether it is the main server, where there is nothing to remove from.
        """
        rows = {}
        for extension, row in self.rows.items():
            target, balancer = self._proxied.get(extension, (None, None))
            rows[extension] = ExtensionSettings(**row, **serving.fields(target, balancer, "/"))
        extensions = Extensions(rows, frozenset(self._removed))
        return extensions if outermost else extensions.settled()
