"""
What another request would come to: ``-U`` and ``-F`` of expressions and of RewriteCond, and
look-aheads of rewriting.

httpd makes a subrequest for them, with all sections, conditions and access rules; so
one can ask for further ones.  Each request has a number of look-ups that it may make, so
that conditions that ask for each other end (httpd goes on to a depth of ten, which is
2\\ :sup:`10` look-ups for two of them).
"""

from __future__ import annotations

import os.path
import time
from typing import TYPE_CHECKING

from twisted_fcgi.errors import RequestError
from twisted_fcgi.routing.files import FILE, locate

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["MAX_LOOKUPS", "MAX_SECONDS", "Account", "isFileServed", "isUrlServed", "lookAhead"]

#: Look-ups of all the conditions of one request.
MAX_LOOKUPS = 100

#: How deep they may lead.
MAX_DEPTH = 10

#: Seconds of computing that the rules and conditions of one request may take: all others wait.
MAX_SECONDS = 0.5

#: Rules and conditions after which one looks at the clock.
_STEPS = 16


class Account:
    """
    What a request, its internal redirects and the look-ups on its behalf have together.

    :ivar complaints: what could not be evaluated, for the log.
    :ivar lookups: how many there were.
    """

    __slots__ = ("_ends", "_steps", "complaints", "lookups")

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.lookups = 0
        self._steps = 0
        self._ends = float("inf")

    def take(self) -> bool:
        """Whether there may be one more look-up."""
        self.lookups += 1
        if self.lookups == MAX_LOOKUPS + 1:
            self.complaints.append(f"more than {MAX_LOOKUPS} look-ups by -U and -F: they are false")
        return self.lookups <= MAX_LOOKUPS

    def step(self) -> None:
        """
        Account for one rule or condition of rewriting, or an ``<If>``.

        :raises RequestError: 500 when they take too long.
        """
        self._steps += 1
        if self._steps % _STEPS:
            return
        now = time.thread_time()
        if self._steps == _STEPS:
            self._ends = now + MAX_SECONDS
        elif now > self._ends:
            raise RequestError(f"rules and conditions take more than {MAX_SECONDS} s", 500)


def isUrlServed(look: Look, target: bytes) -> bool:
    """
    Whether a local URL is one that a request might have.

    As in httpd, a file that is missing does not matter, only what is refused.

    :param target: a path, relative to the request's unless it begins with a slash; perhaps
        with a query.
    """
    if look.main is not None and look.main.uri == look.uri:
        return False  # it asks about itself
    found = _urlAhead(look, target)
    return found is not None and found[1] < 400


def isFileServed(look: Look, target: bytes) -> bool:
    """
    Whether a file is there and may be had; what is behind its name does not matter.

    :param target: a file's path, relative to the directory of the request's file.
    """
    if look.main is not None and look.filename == _absolute(look, target):
        return False  # it asks about itself
    found = _fileAhead(look, target)
    return found is not None and found[1] < 400 and found[0].kind == FILE


def lookAhead(look: Look, target: bytes, isFile: bool) -> tuple[Look, int] | None:
    """
    Look ahead for a rule (mod_rewrite: ``subreq_ok``).

    :param target: as of :func:`isUrlServed` or :func:`isFileServed`.
    :returns: what was found, and the status that it would have; ``None`` where that would
        lead to itself, or there were enough look-ups.
    """
    if look.main is not None and look.main.uri == look.uri:
        return None
    return (_fileAhead if isFile else _urlAhead)(look, target)


def _urlAhead(look: Look, target: bytes) -> tuple[Look, int] | None:
    """``ap_sub_req_lookup_uri``"""
    if b"\0" in target or not _mayLook(look):
        return None
    if not target.startswith(b"/"):
        target = _folder(look.uri) + target
    inner = _inner(look, target)
    try:
        inner.site.lookUp(inner)
    except RequestError as error:
        return inner, error.status
    return inner, 200 if inner.location is None else inner.status


def _fileAhead(look: Look, target: bytes) -> tuple[Look, int] | None:
    """``ap_sub_req_lookup_file``"""
    filename = _absolute(look, target)
    if not target or b"\0" in target or not filename.startswith(b"/") or not _mayLook(look):
        return None
    inner = _inner(look, target)
    inner.uri, inner.query = _folder(look.uri) + target.lstrip(b"/"), None
    try:
        inner.filename, inner.pathInfo, inner.kind = locate(b"", b"/" + filename.lstrip(b"/"))
        inner.site.lookAtFile(inner)
    except RequestError as error:
        return inner, error.status
    return inner, 200


def _mayLook(look: Look) -> bool:
    look.grounds.lasting = False  # how many there were takes part
    return look.depth < MAX_DEPTH and look.account.take()


def _inner(look: Look, target: bytes) -> Look:
    """A look-up of a GET of which nobody asks why."""
    inner = look.inner(target)
    inner.notes = None
    inner.request = look.request.changed(method=b"GET")
    return inner


def _folder(path: bytes) -> bytes:
    return path[: path.rfind(b"/") + 1]


def _absolute(look: Look, target: bytes) -> bytes:
    return os.path.normpath(os.path.join(os.path.dirname(look.filename), target))
