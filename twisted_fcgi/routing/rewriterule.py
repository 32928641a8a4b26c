"""
One RewriteRule, prepared, and a request while rules are applied to it.

What is done is httpd's ``apply_rewrite_rule``, also where that is odd: a rule with a negated
expression has no back-references.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from twisted_fcgi.expr import RequestContext, spelled
from twisted_fcgi.pcre import Match
from twisted_fcgi.routing.aliases import CONTROL
from twisted_fcgi.routing.expansion import Escape, Expansion, variable
from twisted_fcgi.routing.hosts import isNamed
from twisted_fcgi.routing.lookups import lookAhead
from twisted_fcgi.routing.mapping import Destination
from twisted_fcgi.routing.rewritecond import Condition, looseInteger
from twisted_fcgi.settings import RewriteMap, RewriteRule

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["ESCAPED", "UNCHANGED", "UNESCAPED", "Rule", "Run", "absolute"]

#: Schemes that make a URL of a text, and whether they have a query.
_ABSOLUTE = re.compile(
    rb"(?:(ajp|balancer|fcgis?|https?|h2c?|scgi|wss?)://|(mailto:|unix:(?://)?)"
    rb"|(?:ftp|gopher|ldap|nntp)://|news:)",
    re.I,
)

#: Whether rules changed something, and whether that is to be encoded for a redirect.
UNCHANGED, ESCAPED, UNESCAPED = range(3)


def absolute(text: bytes) -> int:
    """How long the scheme of a URL is; 0 when it is none (``is_absolute_uri``)."""
    match = _ABSOLUTE.match(text) if len(text) > 5 else None
    return match.end() if match is not None else 0


class Rule:
    """A RewriteRule, prepared."""

    def __init__(self, rule: RewriteRule, maps: Mapping[bytes, RewriteMap]) -> None:
        flags = rule.flags
        self.place = rule.place
        self.pattern = rule.pattern
        self.negated = rule.negated
        self.conditions = [Condition(condition, maps) for condition in rule.conditions]
        self.written = rule.substitution or b""
        self.substitution: Expansion | None = None
        if rule.substitution is not None:
            self.substitution = Expansion(rule.substitution, maps)
        self.status = rule.status
        self.refuses = rule.refuses
        self.skip = rule.skip
        self.rounds = rule.rounds
        self.variables = [Expansion(text, maps) for text in rule.variables]
        self.cookies = [Expansion(text, maps) for text in rule.cookies]
        self.mimeType = Expansion(rule.mimeType, maps) if rule.mimeType else None
        self.handler = Expansion(rule.handler, maps) if rule.handler else None
        self.escape = _escape(rule) if "B" in flags else None
        self.destination: Destination | None = None
        if rule.target is not None:
            self.destination = Destination(rule.target, rule.member, rule.balancer, rule.candidates)
        self.notInner = "NS" in flags
        self.redirects = "R" in flags
        self.chained = "C" in flags
        self.passes = "PT" in flags
        self.proxies = "P" in flags
        self.ends = "END" in flags
        self.isLast = "L" in flags
        self.again = "N" in flags
        self.unescaped = "NE" in flags
        self.appendsQuery = "QSA" in flags
        self.discardsQuery = "QSD" in flags
        self.lastMark = "QSL" in flags
        self.noQuery = "QSNONE" in flags
        self.discardsPathInfo = "DPI" in flags
        self.allowsMark = "UNSAFEALLOW3F" in flags
        self.unsafePrefix = "UNSAFEPREFIXSTAT" in flags
        # Slashes at the beginning are merged unless they are meant.
        self.keepsSlashes = "UNC" in flags or self.written.startswith(b"//")


def _escape(rule: RewriteRule) -> Escape:
    """How a rule escapes back-references (``escape_backref``)."""
    table = []
    for code in range(256):
        sign = bytes((code,))
        if "BCTLS" in rule.flags:
            escaped = code <= 0x20 or code == 0x7F
        else:
            escaped = not rule.escapes
        escaped = (escaped or sign in rule.escapes) and sign not in rule.spares
        if not escaped or sign.isalnum() or sign == b"_":
            table.append(sign)
        elif sign == b" " and "BNP" not in rule.flags:
            table.append(b"+")
        else:
            table.append(b"%%%02x" % code)
    return lambda text: b"".join([table[code] for code in text])


class Run:
    """
    A request while rules are applied to it; expressions see it as it is at the moment.

    :param look: what they are applied to.
    :param spell: the one spelling of a variable's name.
    :param prefix: the section's directory, of which rules see nothing; ``None`` for a server's.
    :param base: RewriteBase.
    :ivar text: what the rule's expression sees of the path.
    :ivar proxied: whether it is a section's, and an application was to be asked.
    :ivar changed: whether a rule made another path, and whether that is to be encoded.
    :ivar last: the last rule that did.
    :ivar reduced: whether one made a URL of ours, of which only the path was left.
    :ivar status: of a redirect.
    :ivar ended: no rule is looked at any more for this request (END).
    :ivar destination: who serves it, where the configuration spells that out.
    :ivar handler: what was set with H, or empty.
    :ivar named: whose handler it is, as of ``destination``.
    :ivar mimeType: what was set with T, or empty.
    :ivar place: of the line of the last rule.
    :ivar vary: names of header fields that conditions read.
    :ivar grounds: what it rests on (:attr:`.look.Look.grounds`).
    :ivar told: name, value and place of each variable that a rule set.
    :ivar cookies: values of Set-Cookie.
    """

    def __init__(
        self, look: Look, spell: Callable[[bytes], bytes], prefix: bytes | None, base: bytes | None
    ) -> None:
        self.look = look
        self._spell = spell
        self.prefix = prefix
        self.base = base
        self.request = look.request
        self.uri = look.uri
        self.query = look.query
        self.filename = look.filename
        self.pathInfo = look.pathInfo
        self.environment = look.environment
        self.directory = look.directory
        self.authority = look.authority
        self.aliased = look.aliased
        self.isLookup = look.isLookup
        self.site = look.site
        self.grounds = look.grounds
        self.step = look.account.step
        self.context = RequestContext(look.request, self)
        self.text = b""
        self.ruleMatch: Match | None = None
        self.conditionMatch: Match | None = None
        self.proxied = prefix is not None and self.filename.startswith(b"proxy:")
        self.changed = UNCHANGED
        self.status = 200
        self.ended = False
        self.reduced = False
        self.last: Rule | None = None
        self.destination: Destination | None = None
        self.handler = b""
        self.named: Destination | None = None
        self.mimeType = b""
        self.place = ""
        self.vary: list[bytes] = []
        self.told: list[tuple[bytes, bytes, str]] = []
        self.cookies: list[bytes] = []

    def ahead(self, target: bytes, isFile: bool) -> tuple[Look, int] | None:
        """As :func:`~twisted_fcgi.routing.lookups.lookAhead`."""
        return lookAhead(self.look, target, isFile)

    def variable(self, name: bytes) -> bytes:
        """The value of ``%{name}``."""
        kind = name[:5].upper()
        if kind not in (b"LA-U:", b"LA-F:"):
            return variable(name, self.context, self.grounds)
        prefix = self.prefix
        path, isFile = self.text, kind == b"LA-F:"
        if prefix is not None and not path.startswith(b"/"):
            path = (self.base if self.base and not isFile else prefix) + path
        elif prefix is not None:
            isFile = False  # where that file would be nobody knows
        found = self.ahead(path, isFile) if len(name) > 5 and path else None
        if found is None:
            return b""
        context = RequestContext(self.request, found[0])
        value = variable(name[5:], context, self.grounds)
        self.context.vary += context.vary
        return value

    def matches(self, rule: Rule) -> bool:
        """Whether a rule's expression and its conditions are fulfilled."""
        text = self.filename
        prefix = self.prefix
        if prefix is not None:
            text += self.pathInfo or b""
            if not self.proxied:
                text = text.removeprefix(prefix)
        self.text = text
        match = rule.pattern.search(text)
        if (match is None) is not rule.negated:
            return False
        self.ruleMatch = match
        self.conditionMatch = None
        return not rule.conditions or self._fulfills(rule.conditions)

    def _fulfills(self, conditions: list[Condition]) -> bool:
        vary: list[bytes] = []
        read = self.context.vary
        read.clear()  # what substitutions read does not count
        place = 0
        while place < len(conditions):
            condition = conditions[place]
            place += 1
            self.step()
            text = condition.text.make(self)
            held = condition.test(self, text) is not condition.negated
            if condition.silent:
                read.clear()
            if condition.orNext:
                if not held:
                    read.clear()
                    continue
                while condition.orNext and place < len(conditions):
                    condition = conditions[place]
                    place += 1
            elif not held:
                read.clear()
                return False
            vary += read
            read.clear()
        self.vary += vary
        return True

    def follow(self, rule: Rule) -> bool:
        """
        Do what a rule says whose expression and conditions are fulfilled (``apply_rewrite_rule``).

        :returns: whether it is safe.
        """
        self.place = rule.place
        made = None
        if rule.substitution is not None:
            made, unsafe = rule.substitution.substitute(self, rule.escape, rule.lastMark)
            if unsafe and not rule.allowsMark:
                return False
        for text in rule.variables:
            self._setVariable(text.make(self), rule.place)
        for text in rule.cookies:
            self._addCookie(text.make(self))
        if made is None:
            self._setHandler(rule)
            return True
        self.last = rule
        prefix = self.prefix
        prefixed = False
        if not self.proxied and not made.startswith(b"/") and not absolute(made):
            if prefix is not None:
                made, prefixed = prefix + made, True
            elif not (rule.proxies or rule.redirects):
                made, prefixed = b"/" + made, True
        self.filename = made
        if prefix is not None and rule.discardsPathInfo:
            self.pathInfo = None
        self._splitQuery(rule)
        if rule.proxies:
            self.filename = b"proxy:" + self._qualified()
            self.destination = rule.destination
        elif rule.redirects:
            self.filename = self._qualified()
            self.status = rule.status
        else:
            self._reduce()
            if absolute(self.filename):
                self.status = rule.status
                return True
            if not (rule.keepsSlashes or prefixed) and self.filename.startswith(b"//"):
                self.filename = b"/" + self.filename.lstrip(b"/")
            self._setHandler(rule)
        return True

    def _setHandler(self, rule: Rule) -> None:
        if rule.mimeType is not None and (made := rule.mimeType.make(self, rule.escape)):
            self.mimeType = made.lower()
        if rule.handler is not None and (made := rule.handler.make(self, rule.escape)):
            self.handler = made.lower()
            self.named = rule.destination

    def _setVariable(self, text: bytes, place: str) -> None:
        removed = text.startswith(b"!")
        name, _, value = (text[1:], b"", b"") if removed else text.partition(b":")
        name = self._spell(name)
        name = spelled(self.environment, name) or name
        self.environment = {**self.environment}
        if removed:
            self.environment.pop(name, None)
        else:
            self.environment[name] = value
            self.told.append((name, value, place))

    def _addCookie(self, text: bytes) -> None:
        """``name:value:domain:minutes:path:secure:HttpOnly:SameSite`` (``add_cookie``)."""
        separator = b";" if text.startswith(b";") else b":"
        parts = [part for part in text.split(separator) if part]
        if len(parts) < 3 or any(made.startswith(parts[0] + b"=") for made in self.cookies):
            return
        parts += [b""] * (8 - len(parts))
        name, value, domain, minutes, path, secure, httpOnly, sameSite = parts[:8]
        cookie = b"%b=%b; path=%b; domain=%b" % (name, value, path or b"/", domain)
        if lasts := looseInteger(minutes):
            try:
                until = time.gmtime(self.context.now + 60 * lasts)
            except (OverflowError, OSError, ValueError):
                return
            cookie += b"; expires=" + time.strftime("%a, %d-%b-%Y %H:%M:%S GMT", until).encode()
        if secure.lower() in (b"true", b"1", b"secure"):
            cookie += b"; secure"
        if httpOnly.lower() in (b"true", b"1", b"httponly"):
            cookie += b"; HttpOnly"
        if sameSite.lower() not in (b"", b"0", b"false"):
            cookie += b"; SameSite=" + sameSite
        if CONTROL.search(cookie) is None:
            self.cookies.append(cookie)

    def _splitQuery(self, rule: Rule) -> None:
        """Make what follows ``?`` the query (``splitout_queryargs``)."""
        if rule.noQuery:
            self.query = None
            return
        scheme = _ABSOLUTE.match(self.filename) if len(self.filename) > 5 else None
        if scheme is not None and not (scheme[1] or scheme[2]):
            self.query = None
            return
        if rule.discardsQuery:
            self.query = None
        start = scheme.end() if scheme is not None else 0
        find = self.filename.rfind if rule.lastMark else self.filename.find
        mark = find(b"?", start)
        if mark < 0:
            return
        added = self.filename[mark + 1 :]
        self.filename = self.filename[:mark]
        if rule.appendsQuery:
            if added:
                self.query = added + b"&" + (self.query or b"")
        else:
            self.query = added
        # Of "&" an empty query is left, of an empty one none.
        self.query = self.query.removesuffix(b"&") if self.query else None

    def _qualified(self) -> bytes:
        """The path as a URL of this server, unless it is one (``fully_qualify_uri``)."""
        path = self.filename
        if absolute(path) or self.request.method == b"CONNECT":
            return path
        return self.authority.url(path if path.startswith(b"/") else b"/" + path, self.directory)

    def _reduce(self) -> None:
        """Take away a scheme and host that are our own (``reduce_uri``)."""
        authority = self.authority
        if not absolute(self.filename):
            return
        match = re.fullmatch(rb"(https?)://([^/:]*)(?::([^/]*))?(/.*)?", self.filename, re.I | re.S)
        if match is None or match[1].lower() != authority.scheme:
            return
        port = authority.usualPort if match[3] is None else looseInteger(match[3])
        if isNamed(authority.host, match[2].lower(), port):
            self.filename = match[4] or b"/"
            self.reduced = True
