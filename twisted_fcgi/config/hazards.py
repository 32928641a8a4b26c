"""
What a configuration allows that its author may not mean: said at start and by ``fcgi check``.

Two things, each of which has cost people their servers: applications that are asked over a
network in plain text, for anybody, and scripts that are run wherever somebody can
put a file.  Both can be right, so they are notices; as are health checks of nothing, and
heartbeats of nobody, and what can only fail (:mod:`~twisted_fcgi.config.failing`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from twisted_fcgi.config.failing import failing
from twisted_fcgi.settings import (
    BackendType,
    BalancerSettings,
    CheckMethod,
    DirectorySettings,
    MemberSettings,
    ProxyMapping,
    Requirement,
    Requirements,
    Section,
    SectionKind,
    Settings,
    VirtualHost,
)

__all__ = ["hazards"]

_T = TypeVar("_T")

#: Addresses that a notice names.
SHOWN = 5

#: A file that somebody uploaded, and no script.
_UPLOAD = b"uploads/photo.jpg"

#: A directory on disk, such as /var/www; an application without files has ``/`` or ``/name/``.
_FILES = re.compile(rb"[a-z]+://[^/$]*(/[^/$]+/[^/$][^$]*)", re.I)

#: A script that is named, and gets the rest as PATH_INFO.
_SCRIPT = re.compile(rb"\.(?:php[0-9]?|phtml|py|pl|rb|cgi|fcgi|fpl|lua)(?:/|$)", re.I)


class Seen:
    """
    What was looked at: virtual hosts share what they take over from the main server.

    By identity; the settings keep all of it alive.
    """

    def __init__(self) -> None:
        self._ids: set[int] = set()

    def fresh(self, things: Iterable[_T]) -> Iterator[_T]:
        """Those that were not looked at yet."""
        for thing in things:
            if id(thing) not in self._ids:
                self._ids.add(id(thing))
                yield thing


def hazards(settings: Settings) -> tuple[str, ...]:
    """Notices about a whole configuration."""
    notices = []
    hosts = (settings.main, *settings.hosts)
    if any(map(_isPublic, (listener.endpoint for listener in settings.listeners))):
        seen = Seen()
        remote = sorted(
            {
                member.address
                for host in hosts
                if not _restricts(host)
                for member in _members(host, seen)
                if member.socket is None and not _isLoopback(member.host)
            }
        )
        if remote:
            named = ", ".join(remote[:SHOWN])
            if len(remote) > SHOWN:
                named += f" and {len(remote) - SHOWN} more"
            notices.append(
                f"plain FastCGI is spoken to {named} for anybody: whoever is on that network can "
                "read and change it, and run code there if the port is open; keep it to a network "
                "of its own or a UNIX socket, or say who may ask with Require"
            )
    seen = Seen()
    for host in hosts:
        notices += _runsAnything(host, seen)
        notices += _checksNothing(host)
        notices += _isHeardOfNobody(host, settings.heartbeats is not None)
    return tuple(dict.fromkeys((*notices, *failing(settings))))


def _isPublic(endpoint: str) -> bool:
    """Whether others than this machine can connect."""
    kind = endpoint.partition(":")[0]
    if kind not in ("tcp", "tcp6", "ssl", "tls"):
        return False
    interface = re.search(r":interface=((?:\\.|[^:\\])*)", endpoint)
    return interface is None or not _isLoopback(interface[1].replace("\\", ""))


def _isAddress(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _isLoopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


# Whom a virtual host asks, and for whom.


def _all(host: VirtualHost, seen: Seen) -> Iterator[tuple[Section | None, DirectorySettings]]:
    """The settings outside of sections and in them."""
    yield None, host.directory
    for section in seen.fresh(host.sections):
        yield section, section.settings
        for inner in section.sections:
            yield inner, inner.settings


def _members(host: VirtualHost, seen: Seen) -> Iterator[MemberSettings]:
    askers: list[ProxyMapping | DirectorySettings] = list(seen.fresh(host.mappings))
    for _, settings in _all(host, seen):
        askers.append(settings)
        if settings.mapping is not None:
            askers.append(settings.mapping)
    for asker in askers:
        if asker.member is not None:
            yield asker.member
        yield from asker.candidates or ()
        balancer: BalancerSettings | None = asker.balancer
        if balancer is not None:
            yield from balancer.members


def _restricts(host: VirtualHost) -> bool:
    """Whether anything in it asks who a client is; ``all granted`` and ``all denied`` do not."""
    return any(
        _asks(settings.access.requirements)
        for _, settings in _all(host, Seen())
        if settings.access is not None and settings.access.requirements is not None
    )


def _asks(requirement: Requirement | Requirements) -> bool:
    if isinstance(requirement, Requirements):
        return any(map(_asks, requirement.members))
    return callable(requirement.holds)


# Health checks.


def _checksNothing(host: VirtualHost) -> Iterator[str]:
    """Notices about members that are not checked, or fail whatever they are."""
    for member in host.members:
        if member.check.method is not CheckMethod.NONE:
            yield f"{member.place}: {member.url} is not checked: it is in no balancer"
    for balancer in host.balancers:
        for member in balancer.members:
            method = member.check.method.request
            if method and not member.check.uri:
                yield (
                    f"{member.place}: the check of {member.url} asks for no script, and php-fpm "
                    f"has none to run: hcmethod={method} needs hcuri, such as its ping.path"
                )


def _isHeardOfNobody(host: VirtualHost, listens: bool) -> Iterator[str]:
    """Notices about balancers that wait for heartbeats which can't come."""
    for balancer in host.balancers:
        if balancer.method != "heartbeat":
            continue
        if not listens:
            yield (
                f"{balancer.place}: {balancer.name} is asked as with lbmethod=leastconn: "
                "lbmethod=heartbeat needs HeartbeatListen or HeartbeatStorage"
            )
            continue
        for member in balancer.members:
            if member.socket is not None or not _isAddress(member.host):
                yield (
                    f"{member.place}: {member.url} is never heard of: members with heartbeats "
                    "are told by the address that they send from"
                )


# Scripts.

def _runsAnything(host: VirtualHost, seen: Seen) -> Iterator[str]:
    """Notices about the lines that give whatever file is there to an application as a script."""
    if host.directory.backendType is BackendType.GENERIC:
        return  # such applications are no interpreters
    for mapping in seen.fresh(host.mappings):
        if _mapsAnything(mapping):
            yield _notice(mapping.place, mapping.target or b"", 'ProxyPassMatch "^/(.+\\.php)$"')
    for section, settings in _all(host, seen):
        if settings.backendType is BackendType.GENERIC:
            continue
        mapping_ = settings.mapping
        if mapping_ is not None and _mapsAnything(mapping_):
            yield _notice(mapping_.place, mapping_.target or b"", '<LocationMatch "\\.php$">')
        handler = settings.handler or b""
        if handler[:6].lower() == b"proxy:" and _isForAnything(section):
            place = (settings.places or {}).get("handler", section.place if section else "")
            yield _notice(place, handler, '<FilesMatch "\\.php$">')


def _notice(place: str, target: bytes, form: str) -> str:
    where = f"{place}: " if place else ""
    return (
        f"{where}{target.decode('utf-8', 'replace')} is given every file as a script, uploads "
        f"too, and runs it unless it refuses (php-fpm: security.limit_extensions); {form} is for "
        "scripts only"
    )


def _mapsAnything(mapping: ProxyMapping) -> bool:
    """Whether an upload's path is made a file's path for an application."""
    target = mapping.target
    files = None if target is None else _FILES.match(target)
    if target is None or files is None or _SCRIPT.search(files[1]):
        return False
    if mapping.pattern is None:
        return True
    for start in (b"/", b"/a/", b"/a/b/"):
        match = mapping.pattern.search(start + _UPLOAD)
        if match is not None:
            # The path follows where nothing is substituted.
            return b"$" not in target or any(
                group and group.endswith(_UPLOAD) for group in (match[0], *match.groups())
            )
    return False


def _isForAnything(section: Section | None) -> bool:
    """Whether a section is for all files of some directory."""
    if section is None:
        return True
    kind = section.kind
    if kind is SectionKind.DIRECTORY or section.path == b"/":
        return True
    if kind in (SectionKind.FILES, SectionKind.FILES_MATCH):
        return section.pattern is not None and section.pattern.search(b"photo.jpg") is not None
    if kind is SectionKind.LOCATION_MATCH or (kind is SectionKind.LOCATION and section.pattern):
        assert section.pattern is not None
        return section.pattern.search(b"/" + _UPLOAD) is not None
    # <Location /status> is for a page of the application's own.
    return kind is SectionKind.LOCATION and (section.path or b"").endswith(b"/")
