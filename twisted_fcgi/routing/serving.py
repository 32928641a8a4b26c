"""
Who serves what a path leads to (httpd: ``ap_invoke_handler``): an application, a file, or
the gateway itself with a redirect, or with the answer to OPTIONS or TRACE.
"""

from __future__ import annotations

import os
from dataclasses import replace

from twisted_fcgi.errors import BadRequest, MethodNotAllowed, RequestError, quoted
from twisted_fcgi.http import METHODS
from twisted_fcgi.message import Route, RouteKind
from twisted_fcgi.routing.canon import nameUrl
from twisted_fcgi.routing.files import FILE, concealed
from twisted_fcgi.routing.look import Look
from twisted_fcgi.routing.mapping import Destination
from twisted_fcgi.routing.types import described
from twisted_fcgi.settings import MemberSettings, VirtualHost

__all__ = ["allowedMethods", "answer", "holdToBlocks", "leaveFields", "serve"]

#: Fields that TRACE does not echo (RFC 9110, 9.3.8).
_SECRET = frozenset((b"authorization", b"proxy-authorization", b"cookie"))


def serve(look: Look, route: Route) -> None:
    """
    Fill in who serves what a look found.

    :raises RequestError: when nobody does.
    """
    settings = look.directory
    route.aliased = look.aliased
    route.described = look.described
    route.describes = (
        look.described is not None
        or bool(settings.defaultCharset)
        or settings.defaultLanguage is not None
    )
    route.handler = look.handler
    if look.location is not None:
        route.kind = RouteKind.REDIRECT
        route.status = look.status
        route.location = look.location
    elif look.mapped is not None:
        _ask(look.mapped.destination, look.mapped.raw, look, route)
    elif look.request.method == b"TRACE":
        _trace(look, route)
    elif look.destination is not None:
        nameUrl(look, look.destination, look.destination.path + look.filename, True, settings)
        _ask(look.destination, True, look, route)
    elif look.handler not in (b"", b"default-handler"):
        # A file that somebody else was to run must not be shown as it is.
        raise RequestError(f"there is no handler {quoted(look.handler)}", 500)
    elif _isProgram(look):
        raise RequestError("a program, and no Action for its type", 500)
    else:
        route.bodyRead = True
        _send(look, route)


def _ask(destination: Destination, raw: bool, look: Look, route: Route) -> None:
    """An application serves it (mod_proxy: ``proxy_handler``)."""
    host = route.host
    hops = look.request.headers.get(b"max-forwards")
    if hops is not None and not _isForwarded(hops):
        _answerHere(look, route)
        return
    if look.request.method == b"TRACE" and not host.traceEnabled:
        raise MethodNotAllowed("TRACE is not allowed", b"")
    if destination.balancer is not None:
        route.members = destination.balancer.members
        route.balancer = destination.balancer.name
        if not route.members:
            raise RequestError(f"{route.balancer} has no members", 503)
    else:
        member, defined = destination.memberFor(look.filename[len(b"proxy:") :])
        if member is None:
            raise RequestError(_unspoken(look), 500)
        holdToBlocks(member, host)
        if not {"D", "S"}.isdisjoint(member.status):
            raise RequestError(f"{member.address} is disabled (status)", 503)
        route.members = (member,)
        if not defined:
            route.environment[b"proxy-nokeepalive"] = b"1"
    if hops is None and host.maxForwards >= 0:
        route.environment[b"HTTP_MAX_FORWARDS"] = b"%d" % host.maxForwards
    route.kind = RouteKind.FASTCGI
    route.filename = look.filename
    route.script = look.script
    route.raw = raw
    route.pathInfo = look.pathInfo or None
    if route.pathInfo is not None:
        route.pathTranslated = look.site.pathTranslated(route.pathInfo, look)


def _unspoken(look: Look) -> str:
    """Why an application's URL has no member."""
    url = look.handler[len(b"proxy:") :] or look.filename[len(b"proxy:") :]
    if url[:6].lower() == b"fcgis:":
        return f"no member is for {quoted(url)}; fcgis:// needs pyOpenSSL and service-identity"
    return f"{quoted(url)} is not spoken here, only fcgi:// and fcgis:// are"


def holdToBlocks(member: MemberSettings, host: VirtualHost) -> None:
    """
    Hold to ProxyBlock (``ap_proxy_checkproxyblock2``).

    :raises RequestError: when the member must not be asked.
    """
    for text in host.blocked:
        if text in (member.origin or member.host) or text.startswith("*"):
            raise RequestError(f"ProxyBlock {text} is for {member.address}", 403)


def _isForwarded(hops: bytes) -> bool:
    """Whether Max-Forwards lets a request pass (RFC 9110, 7.6.2)."""
    if not hops.isdigit() or len(hops) > 18:
        raise BadRequest("Max-Forwards is no number")
    return int(hops) > 0


def _answerHere(look: Look, route: Route) -> None:
    """Answer what goes no further."""
    if look.request.method == b"TRACE":
        _trace(look, route)
    elif look.request.method == b"OPTIONS":
        answer(route, b"TRACE")
    else:
        raise BadRequest("Max-Forwards has reached zero")


def _trace(look: Look, route: Route) -> None:
    """
    Echo a request (RFC 9110, 9.3.8), as it was understood, without what could be a secret.
    """
    request = look.request
    headers = request.headers
    if not route.host.traceEnabled:
        raise MethodNotAllowed("TRACE is not allowed", b"")
    if request.contentLength != 0 and not route.host.traceExtended:
        raise RequestError("TRACE with a body", 413)
    lines: dict[bytes, bytes] = {}
    for name, _ in headers:
        key = name.lower()
        if key not in _SECRET:
            value = look.authority.field if key == b"host" else headers.get(key)
            lines.setdefault(key, b"%b: %b\r\n" % (name, value or b""))
    leaveFields(route)
    answer(route)
    route.described = None
    route.fields = ((b"Content-Type", b"message/http"),)
    route.body = b"".join([request.line, b"\r\n", *lines.values(), b"\r\n"])


def _isProgram(look: Look) -> bool:
    """Whether a file's type says that httpd's mod_php or its like was to run it."""
    kind = look.directory.forcedType or (look.described.type if look.described else None)
    return kind is not None and kind.startswith(b"application/x-httpd-")


def _send(look: Look, route: Route) -> None:
    """A file is served, or what is said in its place (httpd: ``default_handler``)."""
    method, host = look.request.method, route.host
    if method == b"OPTIONS":
        answer(route, allowedMethods(host))
        route.filename = look.filename
        route.described = described(look, host.types)
        return
    if method not in (b"GET", b"HEAD", b"POST"):
        status = 405 if method in METHODS or method in host.methods else 501
        raise MethodNotAllowed("a file has no such method", allowedMethods(host), status)
    if look.kind != FILE or (look.pathInfo and not look.directory.acceptsPathInfo):
        raise RequestError(f"file does not exist: {os.fsdecode(look.filename)}", 404)
    # A rule or an Alias may make a file's name of what is none in the path.
    name = look.filename[look.filename.rfind(b"/") :]
    status = concealed(look.uri) or concealed(name)
    if status:
        raise RequestError("a name with a dot at its beginning", status)
    route.kind = RouteKind.STATIC
    route.filename = look.filename


def allowedMethods(host: VirtualHost) -> bytes:
    """What Allow says of a file."""
    methods = b"GET, HEAD, OPTIONS, POST"
    return methods + b", TRACE" if host.traceEnabled else methods


def answer(route: Route, allowed: bytes | None = None) -> None:
    """
    Answer without a file and an application.

    :param allowed: what Allow says.
    """
    route.kind = RouteKind.ANSWER
    route.status = 200
    if allowed is not None:
        route.fields = ((b"Allow", allowed),)


def leaveFields(route: Route) -> None:
    """What httpd answers without its filters: OPTIONS of the whole server, and TRACE."""
    route.directory = replace(route.directory, responseFields=None)
