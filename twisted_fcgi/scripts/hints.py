"""
What is probably wrong with a configuration, seen from one request.

Each hint names the line to look at.  What concerns the file that an application runs is
in :mod:`~twisted_fcgi.scripts.scriptfile`.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from dataclasses import dataclass

from twisted_fcgi.message import RouteKind
from twisted_fcgi.routing.explain import Explanation
from twisted_fcgi.routing.hosts import nameThatFits
from twisted_fcgi.settings import Settings

__all__ = ["Hint", "answerHints", "bodyHints", "hostHints", "listeningPorts", "toText"]


@dataclass(frozen=True)
class Hint:
    """
    What is probably wrong, and the line to look at.

    :ivar place: of that line; empty when it is none of the configuration's.
    """

    text: str
    place: str = ""


def toText(value: bytes) -> str:
    """Bytes as a text for people."""
    return value.decode("utf-8", "backslashreplace")


def listeningPorts(settings: Settings) -> list[int]:
    """The TCP ports that are listened at."""
    found = [re.match(r"(?:tcp6?|ssl):(\d+)", row.endpoint) for row in settings.listeners]
    return [int(match[1]) for match in found if match is not None]


def hostHints(settings: Settings, explanation: Explanation) -> Iterator[Hint]:
    """What is odd about how a request came to its host."""
    authority = explanation.route.authority
    if authority is None:
        return
    ports = listeningPorts(settings)
    port = authority.server.port
    if ports and port not in ports:
        listens = ", ".join(map(str, ports))
        yield Hint(f"Nothing listens at port {port}, but at {listens}.")
    if explanation.name or authority.hostname is None:
        return
    for host in settings.hosts:
        if host is not explanation.host and nameThatFits(host, authority.hostname):
            yield Hint(
                f"The <VirtualHost> of this name is for {', '.join(host.addresses)}, but the "
                f"client is connected to {authority.server.host.decode('ascii')}:{port} "
                "(--server says to what).",
                host.place,
            )
            return


def bodyHints(explanation: Explanation) -> Iterator[Hint]:
    """What happens to the body that a request announces."""
    route = explanation.route
    length, limit = explanation.request.contentLength or 0, route.directory.limitBody
    place = (route.directory.places or {}).get("limitBody", "")
    if limit is None:
        limit = route.host.limits.body
    if 0 < limit < length:
        yield Hint(f"A body of {length} bytes is too long: 413, as {limit} are allowed.", place)


def answerHints(explanation: Explanation) -> Iterator[Hint]:
    """What may be wrong where no application is asked."""
    route, host = explanation.route, explanation.host
    if host is None:
        return
    root = host.documentRoot
    if route.kind == RouteKind.STATIC and route.filename.lower().endswith((b".php", b".phar")):
        yield Hint(
            "The script's source is sent to the client: no handler is set for it. Write "
            r'<FilesMatch "\.php$"> with SetHandler "proxy:..." in it.',
            host.places.get("documentRoot", ""),
        )
    if route.kind != RouteKind.REFUSE:
        return
    mapping = explanation.mapping
    if route.status == 500 and mapping is not None and "slash missing" in route.reason:
        target = toText(mapping.target or b"")
        yield Hint(f"A slash is missing behind host and port in {target}.", mapping.place)
    elif route.status == 404 and mapping is None and root is None:
        yield Hint("No ProxyPass claims the path, and no DocumentRoot is set.", host.place)
    elif (
        route.status == 404
        and root is not None
        and not route.directory.fallbackResource
        and os.path.isfile(os.path.join(root, "index.php"))
    ):
        yield Hint(
            "If index.php answers for what is no file: FallbackResource /index.php.",
            host.places.get("documentRoot", ""),
        )
