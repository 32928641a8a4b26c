"""
mod_rewrite's rules, as they were read.

Texts are kept as written, with ``$1``, ``%{VARIABLE}`` and their like in them; they
are prepared by :mod:`twisted_fcgi.routing.rewrite`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from twisted_fcgi.pcre import Pattern
from twisted_fcgi.settings.members import BalancerSettings, MemberSettings

__all__ = ["RewriteCondition", "RewriteMap", "RewriteRule", "Rewriting"]

#: Rounds of a rule with the flag N (httpd: REWRITE_MAX_ROUNDS).
MAX_ROUNDS = 32000


@dataclass(frozen=True)
class RewriteCondition:
    """
    RewriteCond.

    :ivar text: what is tested.
    :ivar test: ``regex``, ``expr``, or the operator: ``-f``, ``=``, ``-lt`` ...
    :ivar operand: what it is compared with.
    :ivar pattern: the expression of ``regex``.
    :ivar holds: the condition of ``expr`` (:data:`twisted_fcgi.expr.Condition`).
    :ivar flags: ``NC``, ``OR`` and ``NV``.
    """

    text: bytes
    test: str
    operand: bytes
    pattern: Pattern | None = None
    holds: Callable[[Any], bool] | None = field(default=None, compare=False)
    negated: bool = False
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RewriteRule:
    """
    RewriteRule.

    :ivar substitution: ``None`` for ``-`` and where a status is the answer.
    :ivar flags: those without a value, in the short form of their names.  Also ``QSNONE``: the
        substitution ends with ``?``, which is not in it any more.
    :ivar status: of a redirect, or of the answer of a rule that refuses.
    :ivar refuses: whether the status is the answer (F, G, R with no status of a redirect).
    :ivar skip: how many rules are left out behind it (S).
    :ivar rounds: how often the flag N may begin anew.
    :ivar escapes: the only characters that B escapes; empty for its usual ones.
    :ivar spares: those that it does not escape (BNE).
    :ivar variables: ``NAME:value``, ``NAME`` or ``!NAME``, each (E).
    :ivar cookies: each as of CO.
    :ivar mimeType: T.
    :ivar handler: H.
    :ivar target: the URL of an application server with which the substitution or, of
        H, the handler begins; what is in it comes from the configuration alone.
    :ivar member: who serves that, and below as of :class:`ProxyMapping`.
    :ivar place: the file and number of its line.
    """

    pattern: Pattern
    substitution: bytes | None
    negated: bool = False
    conditions: tuple[RewriteCondition, ...] = ()
    flags: frozenset[str] = frozenset()
    status: int = 302
    refuses: bool = False
    skip: int = 0
    rounds: int = MAX_ROUNDS
    escapes: bytes = b""
    spares: bytes = b""
    variables: tuple[bytes, ...] = ()
    cookies: tuple[bytes, ...] = ()
    mimeType: bytes = b""
    handler: bytes = b""
    target: bytes | None = None
    member: MemberSettings | None = None
    candidates: tuple[MemberSettings, ...] = ()
    balancer: BalancerSettings | None = None
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class RewriteMap:
    """
    RewriteMap.

    :ivar function: of ``int:``.
    :ivar entries: of ``txt:`` and ``rnd:``, as the file had them when it was read.
    :ivar random: whether one of several values between ``|`` is taken.
    """

    function: str = ""
    entries: Mapping[bytes, bytes] = field(default_factory=dict)
    random: bool = False


@dataclass(frozen=True)
class Rewriting:
    """
    What a server or a section says of mod_rewrite.

    :ivar enabled: RewriteEngine; ``None`` when it is not said.
    :ivar options: RewriteOptions, in lower case; ``None`` likewise.
    :ivar base: RewriteBase.
    :ivar directory: the path of the section, with a slash at its end; ``None`` outside of
        sections, where ``rules`` are those of the server and not kept here.
    :ivar maps: RewriteMap, of a server.
    :ivar around: of a section, the options outside of all: they hold where no section says
        any, but have no part in what sections inherit from each other, since httpd merges
        sections first and lays them over the server then.
    """

    enabled: bool | None = None
    options: frozenset[str] | None = None
    base: bytes | None = None
    directory: bytes | None = None
    rules: tuple[RewriteRule, ...] = ()
    maps: Mapping[bytes, RewriteMap] = field(default_factory=dict)
    around: frozenset[str] | None = None

    def merged(self, over: Rewriting) -> Rewriting:
        """
        These with those of a more specific section, or of a virtual host, laid over them.

        Rules are not inherited unless an option says so (``config_perdir_merge``).
        """
        outermost = self.directory is None and over.directory is not None
        options = self.options if over.options is None and not outermost else over.options
        own, inherited = options or frozenset(), self.options or frozenset()
        down = "ignoreinherit" not in own
        rules, maps = over.rules, over.maps
        if "inherit" in own or ("inheritdown" in inherited and down):
            rules, maps = over.rules + self.rules, {**self.maps, **over.maps}
        elif "inheritbefore" in own or ("inheritdownbefore" in inherited and down):
            rules, maps = self.rules + over.rules, {**over.maps, **self.maps}
        return replace(
            over,
            enabled=self.enabled if over.enabled is None else over.enabled,
            options=options,
            base=self.base if over.base is None and "mergebase" in own else over.base,
            rules=rules,
            maps=maps,
            around=self.options if outermost else self.around,
        )
