"""
A site's rewriting: what rules return is done to the look that they were applied to.

An application that a rule names with P or H has to be known.  Where the configuration spells
its host out, that one is asked, as by a ProxyPass; where the host comes from the request,
only a member or balancer that was defined is: this is never an open relay.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, NamedTuple

from twisted_fcgi.errors import RequestError, quoted
from twisted_fcgi.routing.aliases import CONTROL
from twisted_fcgi.routing.environment import Names
from twisted_fcgi.routing.fields import Early
from twisted_fcgi.routing.mapping import Destination, Mapped
from twisted_fcgi.routing.rewrite import Outcome, Rewriter, Rewritten
from twisted_fcgi.routing.types import described
from twisted_fcgi.settings import ProxyMapping, Rewriting, VirtualHost
from twisted_fcgi.uri import mergeSlashes, partitionSocket

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["MAX_LINES", "Forced", "Rewrites"]


#: Lines of all that is prepared for sections of a host and remembered: who writes ``.htaccess``
#: files can make many sets of many lines.
MAX_LINES = 30_000


class Forced(NamedTuple):
    """
    What rules say of a file, over all sections.

    :ivar handler: H, or empty.
    :ivar named: who serves a ``proxy:`` one, where the configuration spells that out.
    :ivar mimeType: T, or empty.
    """

    handler: bytes
    named: Destination | None
    mimeType: bytes


class Rewrites:
    """
    The rewriting of a virtual host, prepared.

    :param host: its settings.
    :param root: its DocumentRoot, without a slash at the end.
    :param names: the spelling of variables.
    """

    def __init__(self, host: VirtualHost, root: bytes | None, names: Names) -> None:
        self._spell = names.known
        self._host = host
        self._root = root
        #: By the identity of the settings, which it keeps alive.
        self._prepared: dict[int, tuple[Rewriting, Rewriter]] = {}
        self._lines = 0
        self._rewriter = None if host.rewriting is None else self.prepared(host.rewriting)

    def prepared(self, rewriting: Rewriting) -> Rewriter:
        """The rules of the server or of a section; of the same settings they are the same."""
        known = self._prepared.get(id(rewriting))
        if known is not None:
            return known[1]
        host = self._host
        rewriter = Rewriter(
            rewriting, host.rewriteMaps, self._root, 2 * host.limits.line, self._spell
        )
        self._lines += len(rewriting.rules)
        if self._lines > MAX_LINES:
            self._prepared.clear()
            self._lines = len(rewriting.rules)
        self._prepared[id(rewriting)] = rewriting, rewriter
        return rewriter

    def target(self, look: Look) -> bool:
        """
        Apply the server's rules to the path of a look.

        :returns: whether it is known what the path leads to; else it goes on with ``look.uri``.
        :raises RequestError: when a rule refuses it.
        """
        if self._rewriter is None or look.ended:
            return False
        _tellUrl(look)
        before, claimed = look.uri, look.mapped
        # A ProxyPass may have claimed it as it was sent; rules see what it made of it.
        look.filename = before if claimed is None else b"proxy:" + claimed.url
        made = self._rewriter.rewriteTarget(look)
        if made.outcome == Outcome.PROXY and look.filename == b"proxy:" + made.url:
            made = Rewritten(made.run, Outcome.NOTHING)
        self._take(look, made)
        if made.outcome == Outcome.NOTHING:
            return False
        if look.notes is not None:
            look.notes.moved(made.run.place, before, made.url, "RewriteRule")
        if claimed is not None and look.mapped is claimed and look.location is None:
            status = 404 if made.outcome == Outcome.PASS else 403
            raise RequestError(f"a rule makes {quoted(made.url)} of an application's URL", status)
        if made.outcome == Outcome.PASS:
            if not made.url.startswith(b"/"):
                raise RequestError(f"a rule passes {quoted(made.url)} on, which is no path", 400)
            look.uri = made.url
            return False
        if made.outcome in (Outcome.FILE, Outcome.BELOW):
            root = b"" if made.outcome == Outcome.FILE else self._root or b""
            path = mergeSlashes(made.url)
            look.filename = root + path
            if root or made.outcome == Outcome.FILE:
                look.locate(root, path)
        return True

    def file(self, look: Look, rewriter: Rewriter) -> bool:
        """
        Apply a section's rules to the file that a look found.

        :returns: whether the client is sent elsewhere.
        :raises RequestError: when a rule refuses it.
        """
        if look.ended:
            return False
        settings = look.directory
        if settings.followsLinks is False and not settings.followsOwnLinks:
            raise RequestError("RewriteRule needs Options FollowSymLinks", 403)
        if look.mapped is not None:
            look.filename = b"proxy:" + look.mapped.url
        made = rewriter.rewriteFile(look)
        self._take(look, made)
        if made.outcome != Outcome.NOTHING and look.notes is not None:
            look.notes.moved(made.run.place, look.uri, made.url, "RewriteRule")
        if made.outcome == Outcome.INTERNAL:
            # As in a URL, what follows "#" is no part of it.
            look.internal = made.url.partition(b"#")[0]
            look.filename = b"redirect:" + made.url.partition(b"?")[0]
            look.mapped = None
        return look.location is not None

    def _take(self, look: Look, made: Rewritten) -> None:
        """What all rules may do."""
        run = made.run
        look.query = run.query
        look.pathInfo = run.pathInfo
        look.environment = run.environment
        if look.notes is not None:
            look.notes.variables += run.told
        look.ended = run.ended
        if run.handler or run.mimeType:
            look.forced = Forced(run.handler, run.named, run.mimeType)
            if look.notes is not None and run.handler:
                look.notes.handled = run.place
        if run.cookies:
            _setCookies(look, run.cookies)
        look.varies(run.vary)
        if made.outcome == Outcome.REFUSE:
            if look.notes is not None:
                look.notes.refused = run.place
            raise RequestError(made.reason, made.status)
        if made.outcome == Outcome.REDIRECT:
            if CONTROL.search(made.url):
                raise RequestError("control character in the URL to redirect to", 500)
            look.location = look.filename = made.url
            if look.notes is not None:
                look.notes.sent = run.place
            look.status = made.status
        elif made.outcome == Outcome.PROXY:
            destination, path = self.destination(made.url, run.destination)
            line = ProxyMapping(None, None, made.url, place=run.place)
            raw = made.raw or (look.mapped is not None and look.mapped.raw)
            look.mapped = Mapped(destination, path, raw, line, look.uri)

    def force(self, look: Look, forced: Forced) -> None:
        """Make what rules say of a file hold."""
        if forced.mimeType:
            told = described(look, self._host.types)
            look.described = told._replace(type=forced.mimeType)
        if forced.handler:
            look.handler, look.destination = forced.handler, None
            if forced.handler.startswith(b"proxy:"):
                found, path = self.destination(forced.handler[6:], forced.named)
                if path != found.path:
                    found = copy(found)
                    found.path = path
                look.destination = found

    def destination(self, url: bytes, named: Destination | None) -> tuple[Destination, bytes]:
        """
        Who serves a URL that rules made, and its path.

        :param named: who does, as far as the configuration spells it out.
        :raises RequestError: when it would be somebody that the request names.
        """
        socket, url = partitionSocket(url)
        if named is not None and url.lower().startswith(named.written.lower()):
            path = url[len(named.written) :]
            if path[:1] in (b"/", b""):
                return named, path
            raise RequestError(f"a rewrite rule makes {quoted(url)} of another server's name", 500)
        asked = Destination(url, None)
        authority = asked.authority.decode("utf-8", "surrogateescape")
        for balancer in self._host.balancers:
            if balancer.name == authority:
                return Destination(url, None, balancer), asked.path
        members = [
            member
            for member in self._host.members
            if (member.url == authority or member.url.startswith(authority + "/"))
            and (socket is None or socket == (member.socket or "").encode())
        ]
        if not members:
            raise RequestError(f"no member was defined for {quoted(url)}, which a rule made", 403)
        members.sort(key=lambda member: -len(member.url))
        return Destination(url, None, None, members), asked.path


def _tellUrl(look: Look) -> None:
    """SCRIPT_URL and SCRIPT_URI: what was asked for, before all rewriting."""
    environment = look.environment
    if not look.depth:
        environment[b"SCRIPT_URL"] = environment.get(b"REDIRECT_SCRIPT_URL", look.uri)
    asked = environment.get(b"SCRIPT_URL", b"")
    environment[b"SCRIPT_URI"] = look.authority.url(asked, look.directory)


def _setCookies(look: Look, cookies: list[bytes]) -> None:
    """Set cookies, also for who is looked up for: what comes of a look-up is no matter."""
    main: Look | None = look
    while main is not None:
        early = main.early or Early()
        # One of a name is enough for a request, whatever rules are applied to it.
        names = {_nameOf(value) for _, value in early.always}
        new = [(b"Set-Cookie", cookie) for cookie in cookies if _nameOf(cookie) not in names]
        main.early = Early((*early.always, *new), early.success)
        main = main.main


def _nameOf(cookie: bytes) -> bytes:
    return cookie.partition(b"=")[0]
