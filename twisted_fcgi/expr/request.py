"""
What an expression sees of a request that is being routed or answered.

One object serves an evaluation: `<If>`, Require, Header and their like make one each
time, so that what one of them matched or read is not the next one's.
"""

from __future__ import annotations

import grp
import os
import pwd
import time
from collections.abc import Callable
from typing import Any, Protocol

from twisted_fcgi import __version__
from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr.context import EvaluationError, Word, fileStatus
from twisted_fcgi.message import Authority, Request, ResponseHead
from twisted_fcgi.pcre import Match
from twisted_fcgi.settings import DirectorySettings

__all__ = ["RequestContext", "RequestState", "evaluate", "spelled", "valueOf"]


class RequestState(Protocol):
    """
    What the configuration made of a request so far; names as of :class:`Route`.

    :ivar directory: the settings of the sections that are known to apply.
    :ivar site: who can tell whether another request would be served
        (:meth:`twisted_fcgi.routing.site.Site.isServed`), or ``None``.
    :ivar isLookup: whether it is not the request itself, but a look-up on its behalf.
    """

    @property
    def uri(self) -> bytes: ...
    @property
    def query(self) -> bytes | None: ...
    @property
    def filename(self) -> bytes: ...
    @property
    def handler(self) -> bytes: ...
    @property
    def pathInfo(self) -> bytes | None: ...
    @property
    def environment(self) -> dict[bytes, bytes]: ...
    @property
    def directory(self) -> DirectorySettings: ...
    @property
    def site(self) -> Any: ...
    @property
    def isLookup(self) -> bool: ...
    @property
    def authority(self) -> Authority | None: ...
    @property
    def aliased(self) -> tuple[bytes, bytes] | None: ...


class RequestContext:
    """
    A :class:`~twisted_fcgi.expr.Context` of a request.

    :param state: what was decided for it so far.
    :param head: the response, where there is one.
    :ivar vary: the names of the request headers that were read.
    """

    def __init__(
        self, request: Request, state: RequestState, head: ResponseHead | None = None
    ) -> None:
        self.match: Match | None = None
        self.now = time.time()
        self.vary: list[bytes] = []
        self.request = request
        self.state = state
        self.head = head

    def variable(self, name: bytes) -> bytes | None:
        request, state = self.request, self.state
        if name in (b"REQUEST_FILENAME", b"SCRIPT_FILENAME"):
            return state.filename
        if name == b"REQUEST_URI":
            return state.uri
        if name == b"DOCUMENT_URI":
            return self.environment(name) or state.uri
        if name in (b"REMOTE_ADDR", b"REMOTE_HOST", b"CONN_REMOTE_ADDR"):
            return request.client.host
        if name == b"REMOTE_PORT":
            return b"%d" % request.client.port
        if name == b"REQUEST_METHOD":
            return request.method
        if name == b"QUERY_STRING":
            return state.query
        if name == b"PATH_INFO":
            return state.pathInfo
        if name == b"SERVER_PROTOCOL":
            return request.protocol
        if name == b"THE_REQUEST":
            return request.line
        if name == b"HANDLER":
            return self._handler()
        if name == b"HTTPS":
            return b"on" if request.secure else b"off"
        if name == b"HTTP2":
            return b"on" if request.protocol == b"HTTP/2.0" else b"off"
        if name == b"IPV6":
            return b"on" if b":" in request.client.host else b"off"
        if name == b"REQUEST_STATUS":
            if self.head is not None:
                return b"%d" % self.head.status
            # The request for a page about an error has that error's status.
            return state.environment.get(b"REDIRECT_STATUS", b"200")
        if name == b"CONTENT_TYPE":
            return self.responseHeader(b"content-type") or b""
        if name == b"IS_SUBREQ":
            return b"true" if state.isLookup else b"false"
        if name == b"LAST_MODIFIED":  # httpd only knows it when it sends the file
            return time.strftime("%Y%m%d%H%M%S", time.localtime(0)).encode("ascii")
        if name == b"SCRIPT_USER":
            return self._owner(pwd.getpwuid, lambda status: status.st_uid)
        if name == b"SCRIPT_GROUP":
            return self._owner(grp.getgrgid, lambda status: status.st_gid)
        constant = _CONSTANTS.get(name)
        return self._serverVariable(name) if constant is None else constant

    def _handler(self) -> bytes:
        """SetHandler's or AddHandler's; while a file is being sent, its type has that place."""
        state = self.state
        handler = state.handler  # known when access was looked at
        if not handler and state.filename[:6] == b"proxy:":
            return b"proxy-server"
        if not handler and self.head is not None and self.head.status < 300:
            kind = self.head.headers.get(b"content-type") or b""
            return kind.partition(b";")[0].strip()
        return handler

    def _serverVariable(self, name: bytes) -> bytes | None:
        """What is known of who was asked."""
        authority = self.state.authority
        if authority is None:
            return None
        canonical = bool(self.state.directory.canonicalName)
        if name == b"SERVER_NAME":
            return authority.name(canonical)
        if name == b"SERVER_PORT":
            return b"%d" % authority.portNumber(canonical, bool(self.state.directory.physicalPort))
        if name == b"REQUEST_SCHEME":
            return authority.scheme
        if name == b"SERVER_ADMIN":
            return authority.host.admin.encode("utf-8", "surrogateescape")
        if name.startswith(b"CONTEXT_"):
            aliased = self.state.aliased
            if aliased is not None:
                return aliased[name == b"CONTEXT_DOCUMENT_ROOT"]
        if name in (b"DOCUMENT_ROOT", b"CONTEXT_DOCUMENT_ROOT"):
            return (authority.host.documentRoot or "").encode("utf-8", "surrogateescape")
        return None

    def header(self, name: bytes, vary: bool = True) -> bytes | None:
        lower = name.lower()
        if lower == b"host" and self.state.authority is not None:
            return self.state.authority.field  # a target's own host takes its place
        if vary and lower != b"host" and name not in self.vary:
            self.vary.append(name)
        return self.request.headers.get(lower)

    def responseHeader(self, name: bytes) -> bytes | None:
        return None if self.head is None else self.head.headers.get(name.lower())

    def environment(self, name: bytes) -> bytes | None:
        return valueOf(self.state.environment, name)

    def note(self, name: bytes) -> bytes | None:
        return None

    def reachable(self, target: bytes, isFile: bool) -> bool:
        site = self.state.site
        return site is not None and bool(site.isServed(self.request, self.state, target, isFile))

    def checkedBody(self) -> bytes:
        return b""

    def _owner(self, database: Callable[[int], Any], id: Callable[[os.stat_result], int]) -> bytes:
        """The name of a file's user or group; empty when there is no file or no name."""
        file = self._file()
        # As httpd, that knows as much of a missing file as of its directory.
        status = fileStatus(file) or fileStatus(os.path.dirname(file))
        try:
            name: str = "" if status is None else database(id(status))[0]
        except KeyError:
            return b""
        return os.fsencode(name)

    def _file(self) -> bytes:
        """The file that the request leads to, also where an application runs it."""
        filename = self.state.filename
        if filename[:6] != b"proxy:":
            return filename
        if (self.state.directory.handler or b"")[:6].lower() != b"proxy:":
            return b""
        # SetHandler: behind the application's host stands the file's path.
        return filename[filename.find(b"/", filename.find(b"://") + 3) :]


#: What does not depend on the request.
_CONSTANTS = {
    b"SERVER_SOFTWARE": b"twisted_fcgi/" + __version__.encode("ascii"),
    b"API_VERSION": b"20120211",
}


def spelled(table: dict[bytes, bytes], name: bytes) -> bytes | None:
    """The name of a variable as it stands in a table, whatever the case it is asked in."""
    if name in table:
        return name
    lower = name.lower()
    return next((known for known in table if known.lower() == lower), None)


def valueOf(table: dict[bytes, bytes], name: bytes) -> bytes | None:
    """The value of a variable, whatever the case it is asked in."""
    found = spelled(table, name)
    return None if found is None else table[found]


def evaluate(word: Word, request: Request, state: RequestState) -> bytes:
    """
    What a word is for a request.

    :raises RequestError: 500 when that can't be said.
    """
    try:
        return word(RequestContext(request, state))
    except EvaluationError as error:
        raise RequestError(str(error), 500) from None
