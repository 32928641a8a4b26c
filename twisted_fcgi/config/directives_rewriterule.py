"""
RewriteRule: its flags, and the application that it names.

Who serves a URL that a rule makes is found when it is read, as far as the URL is the same for
all requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted_fcgi.config.directives_rewrite import drafted, rest
from twisted_fcgi.config.members import balancerName, isBalancerName
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.rewriting import RewriteRuleDraft, flagsOf, rawWords
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.targets import Target
from twisted_fcgi.config.values import looseInteger, pattern
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError
from twisted_fcgi.http import REASONS
from twisted_fcgi.settings import RewriteRule

__all__ = ["rows"]

rows = Rows("mod_rewrite")

#: Flags without a value, by all their names.
_RULE_FLAGS = {
    "bnp": "BNP",
    "backrefernoplus": "BNP",
    "c": "C",
    "chain": "C",
    "d": "DPI",
    "dpi": "DPI",
    "discardpath": "DPI",
    "end": "END",
    "l": "L",
    "last": "L",
    "ne": "NE",
    "noescape": "NE",
    "ns": "NS",
    "nosubreq": "NS",
    "nc": "NC",
    "nocase": "NC",
    "p": "P",
    "proxy": "P",
    "pt": "PT",
    "passthrough": "PT",
    "qsa": "QSA",
    "qsappend": "QSA",
    "qsd": "QSD",
    "qsdiscard": "QSD",
    "qsl": "QSL",
    "qslast": "QSL",
    "unc": "UNC",
    "unsafeprefixstat": "UNSAFEPREFIXSTAT",
    "unsafeallow3f": "UNSAFEALLOW3F",
}

_REDIRECTS = {"permanent": 301, "temp": 302, "seeother": 303}


class _Flags:
    """
    The flags of a RewriteRule.

    :ivar fields: of :class:`RewriteRule`.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.names: set[str] = set()
        self.fields: dict[str, Any] = {}
        self.handler: Word | None = None
        self._withValue: dict[str, Callable[[Word], None]] = {
            **dict.fromkeys(("b", "backrefescaping"), self._escapes),
            "bne": self._spares,
            "bctls": lambda value: self.names.update(("B", "BCTLS")),
            **dict.fromkeys(("co", "cookie"), lambda value: self._add("cookies", value)),
            **dict.fromkeys(("e", "env"), lambda value: self._add("variables", value)),
            **dict.fromkeys(("f", "forbidden"), lambda value: self._refuse(403)),
            **dict.fromkeys(("g", "gone"), lambda value: self._refuse(410)),
            **dict.fromkeys(("h", "handler"), self._setHandler),
            **dict.fromkeys(("n", "next"), self._again),
            **dict.fromkeys(("r", "redirect"), self._redirect),
            **dict.fromkeys(("s", "skip"), self._skip),
            **dict.fromkeys(("t", "type"), self._setType),
        }

    def add(self, name: Word, value: Word) -> None:
        """Take one flag."""
        lower = name.lower()
        if lower in _RULE_FLAGS:
            self.names.add(_RULE_FLAGS[lower])
        elif lower in self._withValue:
            self._withValue[lower](value)
        elif lower.startswith("d"):
            self._scope.warn(name, f"{str(name)!r} is no flag")  # nor is it for httpd
        else:
            raise name.error(f"RewriteRule: unknown flag {str(name)!r}", "[L,QSA]")

    def _add(self, field: str, value: Word) -> None:
        self.fields[field] = (*self.fields.get(field, ()), encode(value))

    def _escapes(self, value: Word) -> None:
        self.names.add("B")
        if value:
            self.fields["escapes"] = encode(value)

    def _spares(self, value: Word) -> None:
        if not value:
            raise value.error("RewriteRule: flag 'BNE' wants a list of characters", "[B,BNE=/]")
        self.fields["spares"] = encode(value)

    def _refuse(self, status: int) -> None:
        self.fields.update(status=status, refuses=True)

    def _setHandler(self, value: Word) -> None:
        self.handler = value
        self.fields["handler"] = encode(value)

    def _setType(self, value: Word) -> None:
        self.fields["mimeType"] = encode(value)

    def _again(self, value: Word) -> None:
        self.names.add("N")
        if value:
            self.fields["rounds"] = looseInteger(value, self._scope.warn)

    def _skip(self, value: Word) -> None:
        self.fields["skip"] = max(looseInteger(value, self._scope.warn), 0)

    def _redirect(self, value: Word) -> None:
        self.names.add("R")
        if not value:
            return
        status = _REDIRECTS.get(value.lower(), 302)
        if value[:1].isdigit():
            status = looseInteger(value, self._scope.warn)
            if status not in REASONS or status < 200:  # an interim response answers nothing
                raise value.error(
                    f"RewriteRule: invalid HTTP response code {str(value)!r} for flag 'R'"
                )
        elif value.lower() not in _REDIRECTS:
            self._scope.warn(value, f"{str(value)!r} is no status and is read as 302")
        self.fields["status"] = status
        if not 300 <= status < 400:
            self.fields["refuses"] = True


@rows.directive(
    "RewriteRule",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="[!]expression substitution|- [flags]",
    example='RewriteRule "^/blog/(.*)$" "/index.php?path=$1" [QSA,PT]',
    override=Override.FILE_INFO,
)
def rewriteRule(scope: Scope, _: list[Word]) -> None:
    """
    Makes another path, a redirect or an application's URL of a path that matches.

    Outside of sections it sees the path of the URL, in a ``<Directory>`` that of the file
    without the directory.  Flags: L END N[=limit] S=number C NS, R[=status] F G P PT, QSA QSD
    QSL, B BNP BNE BCTLS NE NC, E=[!]name[:value] CO=cookie H=handler T=type, DPI UNC
    UnsafeAllow3F UnsafePrefixStat.  With P the server has to be named by the configuration: a URL
    whose host comes from the request is refused unless a member has it.
    """
    words = rawWords(rest(scope))
    if len(words) < 2:
        raise scope.error("RewriteRule: bad argument line", "RewriteRule ^/old$ /new [R]")
    expression, substitution = words[:2]
    flags = _Flags(scope)
    for word in words[2:]:
        for name, value in flagsOf(word):
            flags.add(name, value)
    negated = expression.startswith("!")
    if negated:
        expression = expression.part(1)
    compiled = pattern(expression, "NC" in flags.names)
    text: bytes | None = encode(substitution)
    if substitution.endswith("?"):
        if "QSA" in flags.names:
            flags.names.add("QSL")
        else:
            flags.names.add("QSNONE")
            text = encode(substitution)[:-1]
    elif "QSD" in flags.names and "?" not in substitution:
        flags.names.add("QSNONE")
    if substitution == "-" or flags.fields.get("refuses"):
        text = None
    draft = drafted(scope)
    rule = RewriteRule(
        compiled,
        text,
        negated,
        tuple(draft.conditions),
        frozenset(flags.names),
        **flags.fields,
        place=scope.section.values.place,
    )
    draft.conditions = []
    draft.rules.append(served(scope, rule, substitution, flags.handler))


#: The beginning of a text that is the same for all requests, when a server is named in it.
_NAMED = re.compile(r"(?:unix:[^|$%\\?]*\|)?[A-Za-z][A-Za-z0-9+.-]*://[^$%\\?]+", re.IGNORECASE)


def served(
    scope: Scope, rule: RewriteRule, substitution: Word, handler: Word | None
) -> RewriteRuleDraft:
    """A rule, with the server that it names."""
    if "P" in rule.flags and rule.substitution is not None:
        word = substitution
    elif handler is not None and handler[:6].lower() == "proxy:":
        word = handler.part(6)
    else:
        return RewriteRuleDraft(rule)
    named = _NAMED.match(word)
    if named is None:
        if re.match(r"[$%\\]|[A-Za-z0-9+.-]+://[$%\\]", word):
            scope.warn(word, "its host comes from the request, only a member that has it is asked")
        else:
            scope.warn(word, "no application server is named, such requests get a 500")
        return RewriteRuleDraft(rule)
    url = word.part(0, named.end())
    overriding = scope.draft.overriding
    if isBalancerName(url):
        if overriding is not None:
            overriding.checkProxy(url, None, balancerName(url))
        return RewriteRuleDraft(replace(rule, target=encode(url)), balancer=balancerName(url))
    target = literal(scope, url, more=named.end() < len(word))
    if overriding is not None:
        overriding.checkProxy(url, target, None)
    if target is None:
        return RewriteRuleDraft(rule)
    return RewriteRuleDraft(replace(rule, target=encode(target.url)), target)


def literal(scope: Scope, url: Word, more: bool) -> Target | None:
    """
    The server that a text names, as far as it is the same for all requests.

    :param more: whether something follows it that is not.
    """
    try:
        target = scope.target(url)
    except ConfigurationError as error:
        # httpd reads it when a request comes, and answers with an error
        scope.warn(url, f"{error.message}, such requests get a 500")
        return None
    scope.spoken(url, target)
    if more:
        name = target.name + ("/$0" if target.name == target.authority else "$0")
        target = replace(target, name=name)
    return target
