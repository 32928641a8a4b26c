"""
The words of RewriteRule and RewriteCond, and the rules while they are read.

Both take the rest of their line in a way of their own (``parseargline``): a backslash keeps
a space in a word and is nothing else, so that expressions stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from twisted_fcgi.config.serving import Serving, asked
from twisted_fcgi.config.source import SPACE
from twisted_fcgi.config.targets import Target
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import RewriteCondition, RewriteMap, RewriteRule, Rewriting

__all__ = ["RewriteRuleDraft", "RewritingDraft", "flagsOf", "rawWords"]

_QUOTED = {quote: re.compile(rf"(?:\\[{SPACE}]|[^{quote}])*", re.DOTALL) for quote in ('"', "'")}
_UNQUOTED = re.compile(rf"(?:\\[{SPACE}]|[^{SPACE}])*", re.DOTALL)
_SPACES = re.compile(f"[{SPACE}]*")


def rawWords(rest: Word) -> list[Word]:
    """
    Two words, or three; what stands behind the third is not looked at.

    :param rest: all that follows the directive's name.
    :returns: fewer when there are not so many.
    """
    words: list[Word] = []
    at = 0
    while len(words) < 3:
        spaces = _SPACES.match(rest, at)
        at = spaces.end() if spaces is not None else at
        if at >= len(rest):
            break
        quoted = _QUOTED.get(rest[at])
        at += quoted is not None
        found = (quoted or _UNQUOTED).match(rest, at)
        end = found.end() if found is not None else at
        words.append(rest.part(at, end))
        at = end + 1
    return words


def flagsOf(word: Word) -> Iterator[tuple[Word, Word]]:
    """
    The flags in ``[name,name=value]``, each with its value, which may be empty.

    :raises ConfigurationError: when the brackets are not there.
    """
    if not (word.startswith("[") and word.endswith("]") and len(word) > 1):
        raise word.error(f"bad flag delimiters in {str(word)!r}", "[L,QSA]")
    at = 1
    for text in word[1:-1].split(","):
        start = at + len(text) - len(text.lstrip())
        flag = word.part(start, at + len(text.rstrip()))
        name, value = flag.partitioned("=")
        yield name, flag.part(len(flag)) if value is None else value
        at += len(text) + 1


@dataclass(eq=False)
class RewriteRuleDraft:
    """
    A rule; who serves the URL in it is settled when all members are known.

    :ivar target: the URL of a server that it names.
    :ivar balancer: likewise, a balancer.
    """

    rule: RewriteRule
    target: Target | None = None
    balancer: str | None = None

    def asked(self) -> frozenset[str]:
        """The authority or the balancer that it asks."""
        return asked(self.target, self.balancer)

    def finish(self, serving: Serving) -> RewriteRule:
        """The settings."""
        return replace(self.rule, **serving.fields(self.target, self.balancer))


@dataclass(eq=False)
class RewritingDraft:
    """
    What a server or a section says of mod_rewrite.

    :ivar conditions: those for the next rule.
    """

    enabled: bool | None = None
    options: frozenset[str] | None = None
    base: bytes | None = None
    conditions: list[RewriteCondition] = field(default_factory=list)
    rules: list[RewriteRuleDraft] = field(default_factory=list)
    maps: dict[bytes, RewriteMap] = field(default_factory=dict)

    def asked(self) -> frozenset[str]:
        """The authorities and balancers that its rules ask."""
        return frozenset().union(*(rule.asked() for rule in self.rules))

    def directory(self, serving: Serving, path: bytes | None) -> Rewriting:
        """
        What it is for a section.

        :param path: of the section; ``None`` outside of sections, where rules are the server's.
        """
        if path is None:
            return Rewriting(self.enabled, self.options)
        rules = tuple(rule.finish(serving) for rule in self.rules)
        directory = path if path.endswith(b"/") else path + b"/"
        return Rewriting(self.enabled, self.options, self.base, directory, rules)

    def server(self, serving: Serving) -> Rewriting:
        """What it is for a server."""
        rules = tuple(rule.finish(serving) for rule in self.rules)
        return Rewriting(self.enabled, self.options, rules=rules, maps=dict(self.maps))
