"""
Why a request is routed as it is.

:func:`explain` asks the :class:`~twisted_fcgi.routing.router.Router` that serves
requests, which takes notes on the way, and puts together what it decided and by which
lines.  Nothing is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted_fcgi.message import Request, Route, RouteKind
from twisted_fcgi.routing.hosts import nameThatFits
from twisted_fcgi.routing.look import Look
from twisted_fcgi.routing.notes import Notes, Step
from twisted_fcgi.routing.router import Router
from twisted_fcgi.settings import (
    Branch,
    ErrorDocument,
    FieldTable,
    ProxyMapping,
    Section,
    VirtualHost,
)

__all__ = ["Explanation", "HostReason", "explain"]


class HostReason:
    """How a virtual host was chosen."""

    MAIN = "main"
    ADDRESS = "address"
    NAME = "name"
    DEFAULT = "default"


@dataclass
class Explanation:
    """
    What was decided for a request, and why.

    :ivar request: in the form that the configuration gave it.
    :ivar host: the virtual host; ``None`` when it was refused before there was one.
    :ivar reason: how that was chosen: one of :class:`HostReason`.
    :ivar name: its name that fitted, as written.
    :ivar sharing: the hosts among whom the name decided.
    :ivar sections: that apply in the end, in the order of their merging.
    :ivar branches: the ``<If>`` and their like in these, and whether they hold; they come
        after sections.
    :ivar steps: what happened on the way.
    :ivar mapping: the ProxyPass that claims the path, or takes it out by ``!``.
    :ivar handled: the place of the handler that serves it.
    :ivar file: what that is below DocumentRoot: its name, and one of
        :mod:`~twisted_fcgi.routing.files`; empty where nobody looked.
    :ivar places: of the lines that set variables, by name.
    :ivar fields: of the lines that changed the request's header fields, by lower-case name.
    :ivar aliased: the place of the Alias below which the file is.
    :ivar sent: the place of the line that sent the client elsewhere.
    :ivar refused: the place of the line that refused it.
    :ivar document: the refusal's ErrorDocument.
    """

    request: Request
    route: Route
    host: VirtualHost | None = None
    reason: str = ""
    name: str = ""
    sharing: list[VirtualHost] = field(default_factory=list)
    sections: tuple[Section, ...] = ()
    branches: list[tuple[Branch, bool]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    mapping: ProxyMapping | None = None
    handled: str = ""
    file: tuple[bytes, str] = (b"", "")
    places: dict[bytes, str] = field(default_factory=dict)
    fields: dict[bytes, str] = field(default_factory=dict)
    aliased: str = ""
    sent: str = ""
    refused: str = ""
    document: ErrorDocument | None = None


def explain(router: Router, request: Request) -> Explanation:
    """
    Route a request and say why it went where it went.

    :param router: its memory of earlier requests has no part in it.
    """
    route, notes = router.explained(request)
    explanation = Explanation(route.request or request, route, steps=notes.steps)
    if route.authority is None:
        return explanation
    _explainHost(explanation, router)
    if notes.looks:
        _explainLook(explanation, router, notes)
        _explainFields(explanation, request)
    if route.kind == RouteKind.REFUSE:
        explanation.refused = notes.refused
        explanation.document = (route.directory.errorDocuments or {}).get(route.status)
    return explanation


def _explainHost(explanation: Explanation, router: Router) -> None:
    authority = explanation.route.authority
    assert authority is not None
    host = explanation.host = authority.host
    sharing = explanation.sharing = router.hostsFor(authority.server)
    explanation.name = nameThatFits(host, authority.hostname) or ""
    if not sharing:
        explanation.reason = HostReason.MAIN
    elif len(sharing) == 1:
        explanation.reason = HostReason.ADDRESS
    elif explanation.name:
        explanation.reason = HostReason.NAME
    else:
        explanation.reason = HostReason.DEFAULT


def _explainLook(explanation: Explanation, router: Router, notes: Notes) -> None:
    route, look = explanation.route, notes.looks[-1]
    site = router.siteOf(route.host)
    explanation.sections = site.sections(look)
    explanation.mapping = site.claims(look)
    explanation.branches = [
        (branch, branch in look.branches) for branch in look.directory.branches or ()
    ]
    explanation.handled = _placeOfHandler(look, notes)
    explanation.file = notes.file
    explanation.sent = notes.sent
    path = look.filename + (look.pathInfo or b"")
    for place, made in notes.aliased:
        if path.startswith(made.rstrip(b"/")):
            explanation.aliased = place
    for name, value in route.environment.items():
        place = _placeOf(name, value, notes, explanation.sections)
        if place:
            explanation.places[name] = place


def _placeOfHandler(look: Look, notes: Notes) -> str:
    """Of the SetHandler, AddHandler or RewriteRule that names who serves a look."""
    settings, extension = look.directory, look.described and look.described.extension
    if look.forced is not None and look.forced.handler:
        return notes.handled
    if extension and extension.handler and not settings.handler and settings.handlerMade is None:
        return extension.place
    return (settings.places or {}).get("handler", "")


def _explainFields(explanation: Explanation, asked: Request) -> None:
    """Which lines of RequestHeader made the request another one."""
    directory = explanation.route.directory
    old, new = asked.headers, explanation.request.headers
    for change in (*(directory.earlyFields or ()), *(directory.requestFields or ())):
        name = change.name.lower()
        if change.table is FieldTable.REQUEST and old.get(name) != new.get(name):
            explanation.fields[name] = change.place


def _placeOf(name: bytes, value: bytes, notes: Notes, sections: tuple[Section, ...]) -> str:
    """Of the line that set a variable; also of one that an internal redirect renamed."""
    for told, given, place in reversed(notes.variables):
        if given == value and told.lower() == name.lower():
            return place
    if name.startswith(b"REDIRECT_"):
        return _placeOf(name[len(b"REDIRECT_") :], value, notes, sections)
    if name.startswith(b"MATCH_"):
        group = name[len(b"MATCH_") :].decode("ascii", "replace").lower()
        for section in reversed(sections):
            if section.pattern is not None and group in map(str.lower, section.pattern.groupindex):
                return section.place
    return ""
