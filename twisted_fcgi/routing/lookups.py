"""
Whether another request would be served: the operators ``-U`` and ``-F`` of expressions.

httpd makes a subrequest for them, with all sections, conditions and access rules; so
one can ask for further ones.  Each request has a number of look-ups that it may make, so
that conditions that ask for each other end (httpd goes on to a depth of ten, which is
2\\ :sup:`10` look-ups for two of them).
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from twisted_fcgi.errors import RequestError
from twisted_fcgi.routing.files import FILE, locate

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look
    from twisted_fcgi.routing.site import Site

__all__ = ["MAX_LOOKUPS", "Account", "isFileServed", "isUrlServed"]

#: Look-ups of all the conditions of one request.
MAX_LOOKUPS = 100

#: How deep they may lead.
MAX_DEPTH = 10


class Account:
    """
    What a request and the look-ups on its behalf have together.

    :ivar complaints: what could not be evaluated, for the log.
    :ivar lookups: how many there were.
    """

    __slots__ = ("complaints", "lookups")

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.lookups = 0

    def take(self) -> bool:
        """Whether there may be one more look-up."""
        self.lookups += 1
        if self.lookups == MAX_LOOKUPS + 1:
            self.complaints.append(f"more than {MAX_LOOKUPS} look-ups by -U and -F: they are false")
        return self.lookups <= MAX_LOOKUPS


def _mayLook(look: Look) -> bool:
    return look.depth < MAX_DEPTH and look.account.take()


def isUrlServed(site: Site, look: Look, target: bytes) -> bool:
    """
    Whether a local URL is one that a request might have.

    As in httpd, a file that is missing does not matter, only what is refused.

    :param target: a path, relative to the request's unless it begins with a slash; perhaps
        with a query.
    """
    if look.main is not None and look.main.uri == look.uri:
        return False  # it asks about itself
    if b"\0" in target or not _mayLook(look):
        return False
    if not target.startswith(b"/"):
        target = look.uri[: look.uri.rfind(b"/") + 1] + target
    path, mark, query = target.partition(b"?")
    inner = look.inner(b"", query if mark else None, target)
    inner.notes = None
    inner.request = look.request.changed(method=b"GET")
    try:
        site.read(inner, path)
        site.look(inner)
    except RequestError as error:
        return error.status < 400
    return True


def isFileServed(site: Site, look: Look, target: bytes) -> bool:
    """
    Whether a file is there and may be had; what is behind its name does not matter.

    :param target: a file's path, relative to the directory of the request's file.
    """
    if not target or b"\0" in target:
        return False
    filename = os.path.normpath(os.path.join(os.path.dirname(look.filename), target))
    if not filename.startswith(b"/") or (look.main is not None and look.filename == filename):
        return False
    if not _mayLook(look):
        return False
    inner = look.inner(look.uri[: look.uri.rfind(b"/") + 1] + target.lstrip(b"/"), None, target)
    inner.notes = None
    inner.request = look.request.changed(method=b"GET")
    try:
        inner.filename, inner.pathInfo, inner.kind = locate(b"", b"/" + filename.lstrip(b"/"))
        site.lookAtFile(inner)
    except RequestError:
        return False
    return inner.kind == FILE
