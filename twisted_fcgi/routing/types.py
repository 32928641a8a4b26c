"""
What a file's type does: its name is asked for it (mod_mime), and it may lead to a
local script that serves the file (mod_actions).

Action goes by the handler, or without one by the type of a file; Script by the
method.  Both lead to another local URL, with that of the request behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted_fcgi.errors import RequestError, quoted
from twisted_fcgi.mediatypes import DIRECTORY_TYPE, Described, describe
from twisted_fcgi.routing.files import DIRECTORY, MISSING
from twisted_fcgi.uri import encodePath

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["actionUrl", "described"]


def described(look: Look, types: Mapping[bytes, bytes] | None) -> Described:
    """
    What the name says of what a path leads to.

    :param types: TypesConfig's.
    """
    if look.kind == DIRECTORY:
        return Described(DIRECTORY_TYPE)
    filename = look.filename
    if look.mapped is not None:
        filename = look.mapped.path
        if look.mapped.raw:
            filename = filename.partition(b"?")[0]
    return describe(filename, look.pathInfo, look.rules.settings, types)


def actionUrl(look: Look, types: Mapping[bytes, bytes] | None) -> bytes | None:
    """
    The local URL that serves a path, with its query; ``None`` when it is served as it is.

    The handler or type goes to the variable HANDLER.

    :param types: TypesConfig's.
    :raises RequestError: 404 when there is no file and the Action wants one.
    """
    settings, method = look.rules.settings, look.request.method
    script, place = None, (settings.places or {}).get("scripts", "")
    if settings.scripts is not None and (method not in (b"GET", b"HEAD") or look.query is not None):
        script = settings.scripts.get(b"GET" if method == b"HEAD" else method)
        if script is not None and look.previous is not None and look.previous.previous is not None:
            return None  # it led to itself
    if settings.actions is not None:
        name = look.handler.lower()
        if not name:
            kind = settings.forcedType or (look.described or described(look, types)).type
            name = (kind or b"").partition(b";")[0].strip()
        action = settings.actions.get(name.lower())
        if action is not None:
            if look.kind == MISSING and not action.virtual:
                raise RequestError("there is no file for an Action that is not virtual", 404)
            script, place = action.url, action.place
            look.environment[b"HANDLER"] = name
    if script is None:
        return None
    if look.notes is not None:
        look.notes.moved(place, look.uri, script)
    if script[:1] != b"/":
        raise RequestError(
            f"Action or Script leads to {quoted(script)}, which is no local path", 500
        )
    return script + encodePath(look.uri) + (b"" if look.query is None else b"?" + look.query)
