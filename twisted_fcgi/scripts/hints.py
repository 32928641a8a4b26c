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
from twisted_fcgi.routing.files import DIRECTORY
from twisted_fcgi.routing.hosts import nameThatFits
from twisted_fcgi.settings import Settings, VirtualHost

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


def _handlerHints(handler: bytes, place: str) -> Iterator[Hint]:
    """What may be wrong with a handler that nobody is."""
    name = toText(handler)
    url = name[len("proxy:") :] if name[:6].lower() == "proxy:" else name
    if url[:5].lower() == "unix:" and "|" not in url:
        yield Hint(
            f'Behind the socket "|fcgi://localhost" is missing: "proxy:{url}|fcgi://localhost".',
            place,
        )
    elif url is name and re.match(r"unix:|balancer:|fcgis?:", name, re.I):
        yield Hint(f'"proxy:" is missing before the URL: "proxy:{name}".', place)
    elif url is name:
        yield Hint(
            f"{name} is no handler here. PHP is run by PHP-FPM, where it listens (listen = in "
            'the pool\'s file): SetHandler "proxy:unix:/run/php/php-fpm.sock|fcgi://localhost", '
            'or "proxy:fcgi://127.0.0.1:9000".',
            place,
        )


def _noMembers(name: str, host: VirtualHost, place: str) -> Hint:
    """What may be wrong with a balancer that has none."""
    place = next((each.place for each in host.balancers if each.name == name), place)
    others = ", ".join(each.name for each in host.balancers if each.members)
    known = f" Balancers with members are: {others}." if others else ""
    return Hint(
        f"{name} needs members: BalancerMember fcgi://host:port in "
        f"<Proxy {name}>, spelled as here.{known}",
        place,
    )


def answerHints(explanation: Explanation) -> Iterator[Hint]:
    """What may be wrong where no application is asked."""
    route, host = explanation.route, explanation.host
    if host is None:
        return
    root, below = host.documentRoot, explanation.aliased or host.places.get("documentRoot", "")
    if route.kind == RouteKind.STATIC and route.filename.lower().endswith((b".php", b".phar")):
        yield Hint(
            "The script's source is sent to the client: no handler is set for it. Write "
            r'<FilesMatch "\.php$"> with SetHandler "proxy:..." in it.',
            below,
        )
    if route.kind != RouteKind.REFUSE:
        return
    mapping = explanation.mapping
    at, kind = explanation.file
    if explanation.handled and route.status == 500 and not route.members:
        yield from _handlerHints(route.handler, explanation.handled)
    if route.balancer is not None and not route.members:
        place = explanation.handled if mapping is None else mapping.place
        yield _noMembers(route.balancer, host, place)
    if route.status == 500 and mapping is not None and "slash missing" in route.reason:
        target = toText(mapping.target or b"")
        yield Hint(f"A slash is missing behind host and port in {target}.", mapping.place)
    elif route.status == 404 and mapping is None and root is None:
        yield Hint("No ProxyPass claims the path, and no DocumentRoot is set.", host.place)
    elif route.status == 404 and kind == DIRECTORY:
        if os.path.isfile(os.path.join(at, b"index.php")):
            yield Hint(
                f"index.php is in {toText(at)}, but DirectoryIndex does not name it: "
                "DirectoryIndex index.php index.html.",
                (route.directory.places or {}).get("directoryIndex", below),
            )
    elif (
        route.status == 404
        and root is not None
        and not explanation.aliased
        and not route.directory.fallbackResource
        and os.path.isfile(os.path.join(root, "index.php"))
    ):
        yield Hint(
            "If index.php answers for what is no file: FallbackResource /index.php.",
            below,
        )
