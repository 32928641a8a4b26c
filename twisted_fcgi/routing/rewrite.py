"""
RewriteRule and RewriteCond: what becomes of a path (httpd: mod_rewrite).

A :class:`Rewriter` holds the rules of a server, which see the path of a URL
(``hook_uri2file``), or of a section, which see a file's name without the directory
(``hook_fixup``).  It changes nothing: what it made is returned as a :class:`Rewritten`, and
the site does it.

Texts that rules make, paths and rounds are bounded, and the time that all rules of a request
take; expressions are by their match limit.  The first name of a path that a server's rule
made is looked for on disk only as far as httpd 2.4.60 and later do it (CVE-2024-38475), and
a ``?`` that was encoded in the request never begins a query (CVE-2024-38474).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from twisted_fcgi.errors import quoted
from twisted_fcgi.routing.rewriterule import ESCAPED, UNESCAPED, Rule, Run, absolute
from twisted_fcgi.settings import RewriteMap, Rewriting
from twisted_fcgi.uri import encodePath

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["Outcome", "Rewriter", "Rewritten"]

_NO_VISIBLE = re.compile(rb"[\x00-\x20\x7f]")


class Outcome:
    """
    What is to be done with a request after its rules.

    ``NOTHING``: as if there were none.  ``REFUSE``: answer with ``status``.  ``REDIRECT``: to
    ``url``.  ``PROXY``: ask the application of ``url``.  ``PASS``: go on with ``url`` as the path.
    ``FILE`` and ``BELOW``: ``url`` is a file's name, absolute or below DocumentRoot.
    ``INTERNAL``: look at the local ``url`` instead.
    """

    NOTHING = "nothing"
    REFUSE = "refuse"
    REDIRECT = "redirect"
    PROXY = "proxy"
    PASS = "pass"
    FILE = "file"
    BELOW = "below"
    INTERNAL = "internal"


class Rewritten(NamedTuple):
    """
    What rules made of a request.

    :ivar run: the request as they left it.
    :ivar outcome: one of :class:`Outcome`.
    :ivar url: as that says; a file's name is not encoded, nor is an application's URL.
    :ivar status: of a refusal or redirect.
    :ivar reason: of a refusal.
    """

    run: Run
    outcome: str
    url: bytes = b""
    status: int = 0
    reason: str = ""

    @property
    def raw(self) -> bool:
        """Whether an application's URL is passed as it is (NE)."""
        return self.run.changed == UNESCAPED


def _refusal(run: Run, status: int, reason: str) -> Rewritten:
    """Rules that refuse a request."""
    return Rewritten(run, Outcome.REFUSE, status=status, reason=reason)


class Rewriter:
    """
    The rules of a server or of a section, prepared.

    :param rewriting: the rules.
    :param maps: RewriteMap of the server.
    :param root: DocumentRoot, without a slash at its end.
    :param limit: how long a path may become.
    :param spell: the one spelling of a variable's name.
    """

    def __init__(
        self,
        rewriting: Rewriting,
        maps: Mapping[bytes, RewriteMap],
        root: bytes | None,
        limit: int,
        spell: Callable[[bytes], bytes],
    ) -> None:
        self.directory = rewriting.directory
        self.base = rewriting.base
        options = rewriting.around if rewriting.options is None else rewriting.options
        self.options = options or frozenset()
        self.limit = limit
        self._spell = spell
        self._root = root
        self._rules = [Rule(rule, maps) for rule in rewriting.rules]

    def rewriteTarget(self, look: Look) -> Rewritten:
        """
        The server's rules (``hook_uri2file``).

        :param look: whose filename is the path of the URL.
        """
        run = Run(look, self._spell, self.directory, self.base)
        asked = run.query
        refused = self._apply(run)
        if refused is not None or not run.changed:
            return refused or Rewritten(run, Outcome.NOTHING)
        path = run.filename
        if path.startswith(b"proxy:"):
            return _proxied(run, path + (run.pathInfo or b""))
        if size := absolute(path):
            return _redirected(run, path, size, asked)
        if path.startswith(b"passthrough:"):
            return Rewritten(run, Outcome.PASS, path[len(b"passthrough:") :])
        if not path.startswith(b"/"):
            return _refusal(run, 400, f"rules made {quoted(path)}, which is no path")
        reduced = run.reduced and "legacyprefixdocroot" not in self.options
        below = self._root is None or reduced or not self._isFile(run)
        if b"/.." in path:
            # Those that are written in a rule are meant; none may come from the request.
            written = b"" if run.last is None else run.last.written
            path, kept = _withoutDots(path), path.split(b"/").count(b"..")
            if not path or kept > written.split(b"/").count(b".."):
                return _refusal(run, 403, "a path that leads upwards")
        return Rewritten(run, Outcome.BELOW if below else Outcome.FILE, path)

    def rewriteFile(self, look: Look) -> Rewritten:
        """A section's rules (``hook_fixup``); ``look`` has a file's name, or ``proxy:...``."""
        directory = self.directory
        assert directory is not None
        run = Run(look, self._spell, self.directory, self.base)
        before, asked = run.filename, run.query
        if not run.proxied and "allownoslash" not in self.options and before == directory[:-1]:
            return Rewritten(run, Outcome.NOTHING)
        refused = self._apply(run)
        if refused is not None or not run.changed:
            return refused or Rewritten(run, Outcome.NOTHING)
        path = run.filename
        if path.startswith(b"proxy:"):
            return _proxied(run, path)
        if size := absolute(path):
            slash = path.find(b"/", size)
            if self.base is not None and 0 <= slash < len(path) - 1:
                rest = _withPrefix(path[slash + 1 :], directory[1:], self.base[1:])
                path = path[: slash + 1] + rest
            return _redirected(run, path, size, asked)
        path = path.removeprefix(b"passthrough:")
        if not path.startswith(b"/"):
            return _refusal(run, 400, f"rules made {quoted(path)}, which is no path")
        if path == before:
            return Rewritten(run, Outcome.NOTHING)
        url = path
        if self.base is not None:
            url = _withPrefix(path, directory, self.base)
        elif self._root is not None:
            url = path.removeprefix(self._root) if path.startswith(self._root + b"/") else path
        if url is path and "ignorecontextinfo" not in self.options:
            prefix, root = run.aliased or (b"", self._root)
            if root:
                url = _withPrefix(path, root, prefix)
        if not url.startswith(b"/"):
            return _refusal(run, 400, f"rules made {quoted(url)}, which is no path")
        if run.query is not None:
            url += b"?" + run.query
        return Rewritten(run, Outcome.INTERNAL, url)

    def _apply(self, run: Run) -> Rewritten | None:
        """Apply all rules in their order (``apply_rewrite_list``); returns a refusal."""
        rules = self._rules
        place, rounds = 0, 1
        while place < len(rules):
            rule = rules[place]
            place += 1
            run.step()
            if run.isLookup and (rule.notInner or rule.redirects):
                continue
            if not run.matches(rule):
                while rule.chained and place < len(rules):
                    rule = rules[place]
                    place += 1
                continue
            if not run.follow(rule):
                return _refusal(run, 403, "an encoded '?' begins a query (UnsafeAllow3F)")
            if len(run.filename) > self.limit:
                return _refusal(run, 500, "rewrite rules make too long a path")
            if rule.refuses:
                if run.query is not None and _NO_VISIBLE.search(run.query):
                    return _refusal(run, 403, "a space or control character in the query")
                return _refusal(run, rule.status, "a rewrite rule says so")
            if rule.substitution is not None:
                run.changed = UNESCAPED if rule.unescaped else ESCAPED
            if rule.passes:
                run.filename = b"passthrough:" + run.filename
                run.changed = ESCAPED
                break
            if rule.ends:
                run.ended = True
                break
            if rule.proxies or rule.isLast:
                break
            if rule.again:
                rounds += 1
                if rounds >= rule.rounds:
                    return _refusal(run, 500, f"more than {rule.rounds} rounds")
                place = 0
            else:
                place += rule.skip
        escaped = absolute(run.filename) and run.changed != UNESCAPED
        if run.changed and run.query and not escaped and _NO_VISIBLE.search(run.query):
            return _refusal(run, 403, "a space or control character in the query")
        return None

    def _isFile(self, run: Run) -> bool:
        """Whether a path that rules made is the name of a file (``prefix_stat``)."""
        path = run.filename
        first = b"/" + path.lstrip(b"/").partition(b"/")[0]
        if first == b"/.." or run.grounds.modeOf(first) < 0:
            return False
        rule = run.last
        if rule is None or rule.unsafePrefix or "unsafeprefixstat" in self.options:
            return True
        assert rule.substitution is not None and self._root is not None
        return rule.written.startswith(first) or path.startswith(self._root)


# What comes out.


def _withoutDots(path: bytes) -> bytes:
    """A path without ``..`` segments; empty where they lead above its root."""
    kept: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        if segment != b"..":
            kept.append(segment)
        elif not kept:
            return b""
        else:
            kept.pop()
    return b"/" + b"/".join(kept)


def _proxied(run: Run, path: bytes) -> Rewritten:
    if run.changed == UNESCAPED and run.query is not None:
        path += b"?" + run.query
    return Rewritten(run, Outcome.PROXY, path[len(b"proxy:") :])


def _redirected(run: Run, url: bytes, size: int, asked: bytes | None) -> Rewritten:
    """
    A redirect, encoded unless a rule says otherwise.

    :param size: of its scheme.
    :param asked: the query that the request came with; it is encoded already.
    """
    if run.changed != UNESCAPED:
        if url[size - 1 : size] == b"/":
            slash = url.find(b"/", size)
            size = len(url) if slash < 0 else slash + 1
        # Of an ldap: URL, a "?" separates the parts.
        most = 4 if url[:4].lower() == b"ldap" else 0
        parts = url[size:].split(b"?", most) if most else [url[size:]]
        url = url[:size] + b"?".join(map(encodePath, parts))
    if run.query is not None:
        same = run.changed == UNESCAPED or run.query == asked
        url += b"?" + (run.query if same else encodePath(run.query))
    status = run.status if 300 <= run.status < 400 else 302
    return Rewritten(run, Outcome.REDIRECT, url, status)


def _withPrefix(path: bytes, prefix: bytes, base: bytes) -> bytes:
    """A path with RewriteBase in the place of the directory (``subst_prefix_path``)."""
    start = prefix.removesuffix(b"/") + b"/"
    if not path.startswith(start):
        return path
    return (base if base.endswith(b"/") or not base else base + b"/") + path[len(start) :]
