"""
What a configuration says that can only fail: requests that get an error from us each time.

httpd takes all of it without a word, so that nothing is refused here; a notice names the
line.  Only what is sure whatever a request looks like is said.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from twisted_fcgi.config.values import addressPort
from twisted_fcgi.settings import (
    BalancerSettings,
    DirectorySettings,
    ProxyMapping,
    Section,
    Settings,
    VirtualHost,
)

__all__ = ["failing", "unheard"]

_T = TypeVar("_T")

#: What serves a file as it is.
_OWN = frozenset({b"", b"default-handler"})

#: An application's URL that lacks ``proxy:``.
_URL = re.compile(rb"unix:|balancer:|[a-z+]+://", re.I)

#: Pages and programs of httpd's own modules.
_OTHERS = {
    b"balancer-manager": "no such page",
    b"cgi-script": "no CGI program is started",
    b"fcgid-script": "no program is started",
    b"ldap-status": "no such page",
    b"server-info": "no such page",
    b"server-status": "no such page",
    b"type-map": "there is no content negotiation",
}

#: A URL whose port goes on with a part of the request.
_MADE_PORT = re.compile(rb"[a-z+]+://(?:\[[^\]]*\]|[^:/$]*):[0-9]*\$([0-9])", re.I)

#: A group that can't begin with a slash: a class, a digit, a letter.
_NO_SLASH = re.compile(rb"\\[dw]|\[[^]^/\\]*\]|[A-Za-z0-9]")


def failing(settings: Settings) -> Iterator[str]:
    """Notices about all lines of a configuration that can only fail."""
    hosts = (settings.main, *settings.hosts)
    levels = list(_levels(hosts))
    actions = frozenset(name for _, directory in levels for name in directory.actions or ())
    for mapping in _each(mapping for host in hosts for mapping in host.mappings):
        yield from _mapped(mapping)
    for section, directory in levels:
        if directory.mapping is not None:
            yield from _mapped(directory.mapping)
        yield from _handled(section, directory, actions)
    rewritings = [*(host.rewriting for host in hosts), *(level.rewriting for _, level in levels)]
    for rule in _each(rule for rewriting in rewritings if rewriting for rule in rewriting.rules):
        yield from _empty(rule.place, rule.balancer)
        if not re.search(rb"[%$]", rule.handler):
            yield from _named(rule.place, rule.handler, None, actions)
    for host in settings.hosts:
        yield from _unheard(host, settings)


def unheard(settings: Settings) -> tuple[str, ...]:
    """A notice when nobody would hear of a whole server: it can't be started."""
    return () if settings.listeners else ("nowhere to listen: a server needs Listen",)


def _each(things: Iterable[_T]) -> Iterable[_T]:
    """Each thing once: virtual hosts share what they take over from the main server."""
    return {id(thing): thing for thing in things}.values()


def _levels(hosts: Iterable[VirtualHost]) -> Iterator[tuple[Section | None, DirectorySettings]]:
    """The settings outside of sections, in them, and in the branches of both."""
    levels: list[tuple[Section | None, DirectorySettings]] = []
    levels += [(None, host.directory) for host in hosts]
    for section in _each(section for host in hosts for section in host.sections):
        levels += [(section, section.settings)]
        levels += [(inner, inner.settings) for inner in section.sections]
    for around, settings in levels:
        yield around, settings
        levels += [(around, branch.settings) for branch in settings.branches or ()]


def _empty(place: str, balancer: BalancerSettings | None) -> Iterator[str]:
    """A notice about a balancer that has nobody to ask."""
    if balancer is not None and not balancer.members:
        yield (
            f"{place}: {balancer.name} has no members, such requests get a 503: "
            f"BalancerMember in <Proxy {balancer.name}> describes them"
        )


def _mapped(mapping: ProxyMapping) -> Iterator[str]:
    yield from _empty(mapping.place, mapping.balancer)
    target = mapping.target
    if mapping.pattern is None or target is None:
        return
    made = _MADE_PORT.match(target)
    if made is not None and not _mayBeginPath(mapping.pattern.pattern, int(made[1])):
        url = target.decode("utf-8", "replace")
        yield (
            f"{mapping.place}: the port of {url} must not come from the request, such requests "
            f"get a 500: a slash is missing before ${int(made[1])}"
        )


def _mayBeginPath(pattern: bytes, number: int) -> bool:
    """Whether what a group of an expression matches may begin with a slash."""
    if number == 0:
        return True
    opened = list(re.finditer(rb"(?<!\\)\((?![?*])", pattern))
    if len(opened) < number:
        return True  # then it is empty
    group = opened[number - 1]
    inner = pattern[group.end() :].lstrip(b"(")
    if pattern[: group.start()].endswith(b"/"):
        return inner.startswith((b"/", b"?:/"))
    return _NO_SLASH.match(inner) is None


def _handled(
    section: Section | None, settings: DirectorySettings, actions: frozenset[bytes]
) -> Iterator[str]:
    """Notices about the handlers of a section."""
    place = (settings.places or {}).get("handler", section.place if section else "")
    yield from _named(place, settings.handler, settings.balancer, actions)
    if settings.extensions is not None:
        for row in settings.extensions.rows.values():
            yield from _named(row.place or place, row.handler, row.balancer, actions)


def _named(
    place: str,
    handler: bytes | None,
    balancer: BalancerSettings | None,
    actions: frozenset[bytes],
) -> Iterator[str]:
    """A notice about a handler that nobody is."""
    if handler is None or handler.lower() in _OWN | actions:
        return
    if handler[:6].lower() == b"proxy:":
        yield from _empty(place, balancer)
        return
    name = handler.decode("utf-8", "replace")
    why = _OTHERS.get(handler.lower(), "nobody has this name, and no Action names it")
    if _URL.match(handler):
        why = f'"proxy:" is missing: "proxy:{name}"'
    yield f'{place}: there is no handler "{name}", such requests get a 500: {why}'


# Listeners.


def _unheard(host: VirtualHost, settings: Settings) -> Iterator[str]:
    """A notice about the addresses of a virtual host that nobody listens at."""
    heard = [_heard(listener.endpoint) for listener in settings.listeners]
    if not heard or None in heard:
        return
    for text in host.addresses:
        address = addressPort(text)
        if address is None or address.port is None:
            continue
        if not any(
            place is not None and place[0] == address.port and _overlap(place[1], address.host)
            for place in heard
        ):
            missing = f"there is no Listen {address.port} for it"
            yield f"{host.place}: nobody listens at {text}: {missing}"


def _heard(endpoint: str) -> tuple[int, str] | None:
    """The port and the address of an endpoint; ``None`` when it does not say them."""
    found = re.match(r"(?:tcp6?|ssl):(?:port=)?([0-9]+)(?![^:])", endpoint)
    if found is None:
        return None
    interface = re.search(r":interface=((?:\\.|[^:\\])*)", endpoint)
    return int(found[1]), interface[1].replace("\\", "") if interface else ""


def _overlap(listened: str, host: str | None) -> bool:
    """Whether connections to what is listened at may be for a host; names may be anybody's."""
    try:
        one, other = ipaddress.ip_address(listened), ipaddress.ip_address(host or "")
    except ValueError:
        return True
    return one == other or one.is_unspecified or other.is_unspecified
