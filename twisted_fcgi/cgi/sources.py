"""
Where each variable of an application comes from.

Nothing is made here a second time: :mod:`twisted_fcgi.cgi.params` is asked again with
something taken away (the overrides, the configuration's variables, the client's header
fields), and what a variable is without is what it does not come from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from twisted_fcgi.cgi.overrides import override
from twisted_fcgi.cgi.params import variables
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Request, Route
from twisted_fcgi.settings import MemberSettings

__all__ = ["Origin", "Sourced", "Variable", "sourced"]

_NAME = re.compile(rb"[A-Za-z0-9-]+")


class Origin:
    """Who said something."""

    SERVER = "server"
    FIELD = "request header"
    LINE = "configuration"


@dataclass(frozen=True)
class Variable:
    """
    A variable and where it comes from.

    :ivar origin: one of :class:`Origin`.
    :ivar field: the name of the header field.
    :ivar place: of the configuration's line, also of one that made the field what it is.
    """

    name: bytes
    value: bytes
    origin: str = Origin.SERVER
    field: bytes = b""
    place: str = ""


@dataclass
class Sourced:
    """
    What an application is told, and what it is not.

    :ivar variables: in the order in which they are sent.
    :ivar removed: variables that ProxyFCGISetEnvIf took away, with the line's place.
    :ivar overruled: variables of the configuration that the server's take the place of.
    :ivar untold: header fields that become no variable, and why.
    """

    variables: list[Variable]
    removed: list[Variable]
    overruled: list[Variable]
    untold: list[tuple[bytes, str]]


def sourced(
    request: Request,
    route: Route,
    member: MemberSettings,
    places: Mapping[bytes, str],
    changed: Mapping[bytes, str] = {},
) -> Sourced:
    """
    All variables of a request and where they come from.

    :param request: in the form that the configuration gave it.
    :param route: for a balancer, the one of this member.
    :param member: who is asked.
    :param places: of the lines that set the route's variables, by name.
    :param changed: of the lines that changed header fields, by lower-case name.
    :raises RequestError: when ProxyFCGISetEnvIf can't be evaluated.
    """
    plain = replace(route, directory=replace(route.directory, overrides=None), told=None)
    bare = replace(plain, environment={}, told=None)
    server = dict(variables(request.changed(headers=Headers(())), bare, member))
    client = dict(variables(request, bare, member))
    table = dict(variables(request, plain, member))
    found = {}
    fields = {_variableOf(name): name for name, _ in request.headers if _NAME.fullmatch(name)}
    for name, value in table.items():
        if name in places and (name not in server or server[name] != value):
            found[name] = Variable(name, value, Origin.LINE, place=places[name])
        elif name in client and name in fields and (name not in server or name == b"HTTP_HOST"):
            field = fields[name]
            place = changed.get(field.lower(), "")
            found[name] = Variable(name, value, Origin.FIELD, field, place)
        else:
            found[name] = Variable(name, value)
    removed = []
    for line in route.directory.overrides or ():
        before = dict(table)
        override(table, (line,), request, route)
        for name in before.keys() - table.keys():
            removed.append(Variable(name, before[name], Origin.LINE, place=line.place))
        for name, value in table.items():
            if before.get(name) != value:
                found[name] = Variable(name, value, Origin.LINE, place=line.place)
    gone = {variable.name for variable in removed}
    return Sourced(
        [found[name] for name in table],
        removed,
        [
            Variable(name, value, Origin.LINE, place=places[name])
            for name, value in route.environment.items()
            if name in places and name not in gone
            if name not in table or server.get(name, value) != value
        ],
        [
            (field, _reason(field))
            for field, _ in request.headers
            if field.lower() != b"content-length" and _variableOf(field) not in gone
            if not _NAME.fullmatch(field) or _variableOf(field) not in table
        ],
    )


def _variableOf(field: bytes) -> bytes:
    """The variable that a header field is meant to become."""
    variable = field.upper().replace(b"-", b"_")
    return variable if variable == b"CONTENT_TYPE" else b"HTTP_" + variable


def _reason(field: bytes) -> str:
    """Why a header field becomes no variable."""
    lower = field.lower()
    if lower == b"proxy":
        return "HTTP_PROXY means something else to libraries"
    if not _NAME.fullmatch(field):
        return "other characters than letters, digits and - could imitate another field"
    if lower in (b"authorization", b"proxy-authorization"):
        return "credentials, which CGIPassAuth On would pass"
    return ""
