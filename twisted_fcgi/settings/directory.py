"""
What sections can set: httpd's per-directory configuration.

``None`` means "not said here".  A more specific section is laid over a more general
one field by field: each replaces the other's, unless its row says how both go
together.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from twisted_fcgi.pcre import Pattern
from twisted_fcgi.settings.access import AccessSettings
from twisted_fcgi.settings.aliases import Alias, Redirect
from twisted_fcgi.settings.answers import ErrorDocument
from twisted_fcgi.settings.fields import FieldChange
from twisted_fcgi.settings.members import BalancerSettings, MemberSettings
from twisted_fcgi.settings.overriding import AllowOverride
from twisted_fcgi.settings.rewriting import Rewriting
from twisted_fcgi.settings.types import Action, Extensions
from twisted_fcgi.settings.variables import (
    VariableChange,
    VariableCondition,
    VariableExpression,
    VariableOverride,
)

__all__ = [
    "BackendType",
    "Branch",
    "DirectorySettings",
    "EncodedSlashes",
    "ProxyMapping",
    "Section",
    "SectionKind",
    "Signature",
]


def _merged(how: Callable[[Any, Any], Any]) -> Any:
    """
    A field of :class:`DirectorySettings` that is not simply replaced.

    :param how: makes one value of the outer and the inner section's.
    """
    return field(default=None, metadata={"merged": how})


def _over(outer: dict[Any, Any], inner: dict[Any, Any]) -> dict[Any, Any]:
    """The inner section's rows take the place of the outer one's."""
    return {**outer, **inner}


def _after(outer: tuple[Any, ...], inner: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inner section's come after the outer one's."""
    return outer + inner


def _before(outer: tuple[Any, ...], inner: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inner section's come before the outer one's."""
    return inner + outer


class BackendType(enum.Enum):
    """``ProxyFCGIBackendType``: how SCRIPT_FILENAME is spelled."""

    FPM = "FPM"
    GENERIC = "GENERIC"


class Signature(enum.Enum):
    """``ServerSignature``: what SERVER_SIGNATURE says."""

    OFF = "Off"
    ON = "On"
    EMAIL = "EMail"


class EncodedSlashes(enum.Enum):
    """``AllowEncodedSlashes``: what becomes of ``%2F`` in a path."""

    OFF = "off"
    ON = "on"
    NODECODE = "nodecode"


@dataclass(frozen=True)
class ProxyMapping:
    """
    One ProxyPass or ProxyPassMatch line.

    :ivar path: the prefix of the decoded path (ProxyPass), or ``None``.
    :ivar pattern: the expression (ProxyPassMatch), or ``None``.
    :ivar target: ``fcgi://...``, without the socket, or ``balancer://...``, as
        written; ``None`` for ``!``.
    :ivar member: who serves it; ``None`` for an exclusion, a balancer, or a
        scheme that nobody here speaks.
    :ivar nocanon: the path is passed as it was sent.
    :ivar candidates: defined members with a longer URL, or with back-references
        in it, the longest first: the first that serves a request's whole URL is
        asked instead of ``member``.  Empty when the URL can't matter.
    :ivar balancer: who serves it, for ``balancer://``.
    :ivar interpolate: ``${VARIABLE}`` in it is replaced where ProxyPassInterpolateEnv is on.
    :ivar mapping: ``encoded`` or ``servlet``: it is for paths that are not decoded; or empty.
    :ivar place: the line's file and number.
    """

    path: bytes | None
    pattern: Pattern | None
    target: bytes | None
    member: MemberSettings | None = None
    nocanon: bool = False
    candidates: tuple[MemberSettings, ...] = ()
    balancer: BalancerSettings | None = None
    interpolate: bool = False
    mapping: str = ""
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class DirectorySettings:
    """
    What sections can set; ``None`` is "not said".

    :ivar handler: SetHandler's word: ``proxy:...`` or another name; empty for ``None``.
    :ivar handlerMade: the same, compiled, where it holds variables
        (:data:`twisted_fcgi.expr.Word`); ``handler`` is empty then.
    :ivar member: who serves ``handler``, when it names a FastCGI server.
    :ivar backendType: ProxyFCGIBackendType.
    :ivar directoryIndex: DirectoryIndex's names; empty for ``disabled``.
    :ivar fallbackResource: FallbackResource's local URL; empty for ``disabled``.
    :ivar passAuthorization: CGIPassAuth.
    :ivar mapping: a ProxyPass inside a ``<Location>``.
    :ivar candidates: as of :class:`ProxyMapping`, for ``handler``.
    :ivar balancer: who serves ``handler``, when it names a balancer.
    :ivar environment: SetEnv, PassEnv and UnsetEnv in their order; those of a more
        specific section come after.
    :ivar conditions: SetEnvIf and its like inside sections, likewise.
    :ivar overrides: ProxyFCGISetEnvIf, likewise.
    :ivar limitBody: LimitRequestBody.
    :ivar encodedSlashes: AllowEncodedSlashes.
    :ivar canonicalName: UseCanonicalName.
    :ivar errorDocuments: ErrorDocument, by status.
    :ivar interpolates: ProxyPassInterpolateEnv.
    :ivar signature: ServerSignature.
    :ivar overridesErrors: ProxyErrorOverride.
    :ivar overriddenStatuses: the statuses that it names; ``None`` for all errors.
    :ivar alias: an Alias without a path, inside a ``<Location>``.
    :ivar aliasPreservesPath: AliasPreservePath.
    :ivar redirect: a Redirect without a path: of all that a section holds for.
    :ivar redirects: the others inside of sections; those of a more specific one first.
    :ivar relativeRedirects: RedirectRelative.
    :ivar extensions: AddType, AddHandler and their like.
    :ivar defaultLanguage: DefaultLanguage.
    :ivar pathInfoHasType: ModMimeUsePathInfo.
    :ivar forcedType: ForceType; empty for ``none``.
    :ivar defaultCharset: AddDefaultCharset; empty for ``Off``.
    :ivar actions: Action, by handler or type.
    :ivar scripts: Script's local URLs, by method.
    :ivar directorySlash: DirectorySlash.
    :ivar indexRedirect: DirectoryIndexRedirect's status; 0 for ``off``.
    :ivar handlerBeforeIndex: DirectoryCheckHandler.
    :ivar acceptsPathInfo: AcceptPathInfo, for files; ``default`` is ``False``.
    :ivar currentUri: CGIVar REQUEST_URI current-uri.
    :ivar wholeRedirectUrl: QualifyRedirectURL.
    :ivar methods: AllowMethods; empty for all.
    :ivar physicalPort: UseCanonicalPhysicalPort.
    :ivar followsLinks: Options FollowSymLinks.
    :ivar followsOwnLinks: Options SymLinksIfOwnerMatch.
    :ivar entityTag: FileETag: ``inode``, ``mtime``, ``size``.
    :ivar ranges: whether parts of files are sent: MaxRanges is not ``none``.
    :ivar allowOverride: AllowOverride.
    :ivar allowOverrideList: AllowOverrideList's directives, in lower case.
    :ivar access: Require and AuthMerging.
    :ivar rewriting: mod_rewrite's rules for the files of a section.
    :ivar branches: ``<If>``, ``<ElseIf>`` and ``<Else>``; those of a more specific section
        come after.
    :ivar requestFields: RequestHeader; those of a more specific section come after.
    :ivar responseFields: Header, likewise.
    :ivar earlyFields: both with ``early``; only outside of sections.
    :ivar places: of the lines that set these: file and number, by the field's name; what
        is a list has them in its items.
    """

    handler: bytes | None = None
    handlerMade: Callable[[Any], bytes] | None = field(default=None, compare=False)
    member: MemberSettings | None = None
    backendType: BackendType | None = None
    directoryIndex: tuple[bytes, ...] | None = None
    fallbackResource: bytes | None = None
    passAuthorization: bool | None = None
    mapping: ProxyMapping | None = None
    candidates: tuple[MemberSettings, ...] | None = None
    balancer: BalancerSettings | None = None
    environment: tuple[VariableChange, ...] | None = _merged(_after)
    overrides: tuple[VariableOverride, ...] | None = _merged(_after)
    conditions: tuple[VariableCondition | VariableExpression, ...] | None = _merged(_after)
    limitBody: int | None = None
    encodedSlashes: EncodedSlashes | None = None
    canonicalName: bool | None = None
    errorDocuments: dict[int, ErrorDocument] | None = _merged(_over)
    interpolates: bool | None = None
    signature: Signature | None = None
    overridesErrors: bool | None = None
    overriddenStatuses: frozenset[int] | None = _merged(frozenset.union)
    alias: Alias | None = None
    aliasPreservesPath: bool | None = None
    redirect: Redirect | None = None
    redirects: tuple[Redirect, ...] | None = _merged(_before)
    relativeRedirects: bool | None = None
    extensions: Extensions | None = _merged(Extensions.merged)
    defaultLanguage: bytes | None = None
    pathInfoHasType: bool | None = None
    forcedType: bytes | None = None
    defaultCharset: bytes | None = None
    actions: dict[bytes, Action] | None = _merged(_over)
    scripts: dict[bytes, bytes] | None = _merged(_over)
    directorySlash: bool | None = None
    indexRedirect: int | None = None
    handlerBeforeIndex: bool | None = None
    acceptsPathInfo: bool | None = None
    currentUri: bool | None = None
    wholeRedirectUrl: bool | None = None
    methods: frozenset[bytes] | None = None
    physicalPort: bool | None = None
    followsLinks: bool | None = None
    followsOwnLinks: bool | None = None
    entityTag: frozenset[str] | None = None
    ranges: bool | None = None
    allowOverride: AllowOverride | None = None
    allowOverrideList: frozenset[str] | None = None
    access: AccessSettings | None = _merged(AccessSettings.merged)
    rewriting: Rewriting | None = _merged(Rewriting.merged)
    branches: tuple[Branch, ...] | None = _merged(_after)
    requestFields: tuple[FieldChange, ...] | None = _merged(_after)
    responseFields: tuple[FieldChange, ...] | None = _merged(_after)
    earlyFields: tuple[FieldChange, ...] | None = _merged(_after)
    places: dict[str, str] | None = field(default=None, compare=False, metadata={"merged": _over})

    def merged(self, over: DirectorySettings) -> DirectorySettings:
        """These settings with those of a more specific section laid over them."""
        changes: dict[str, Any] = {}
        for row in fields(over):
            inner = getattr(over, row.name)
            if inner is None:
                continue
            outer = getattr(self, row.name)
            how = row.metadata.get("merged")
            changes[row.name] = inner if how is None or outer is None else how(outer, inner)
        if "handler" in changes:
            for name in ("member", "candidates", "balancer", "handlerMade"):
                changes.setdefault(name, None)
        return replace(self, **changes) if changes else self


@dataclass(frozen=True)
class Branch:
    """
    An ``<If>``, ``<ElseIf>`` or ``<Else>`` and what stands in it.

    :ivar text: the condition, as written; ``None`` of ``<Else>``.
    :ivar condition: the same, compiled (:data:`twisted_fcgi.expr.Condition`).
    :ivar otherwise: whether it is for what the branches before it, from the last
        ``<If>`` on, are not for.
    :ivar place: the line's file and number.
    """

    text: str | None
    condition: Callable[[Any], bool] | None = field(compare=False)
    otherwise: bool
    settings: DirectorySettings
    place: str = field(default="", compare=False)


class SectionKind(enum.Enum):
    """The kinds of section that a request is matched against."""

    DIRECTORY = "Directory"
    DIRECTORY_MATCH = "DirectoryMatch"
    FILES = "Files"
    FILES_MATCH = "FilesMatch"
    LOCATION = "Location"
    LOCATION_MATCH = "LocationMatch"
    PROXY = "Proxy"
    PROXY_MATCH = "ProxyMatch"
    IF = "If"


@dataclass(frozen=True)
class Section:
    """
    A ``<Directory>``, ``<Files>``, ``<Location>`` ... and what stands in it.

    :ivar path: what it names, when it is no expression and has no wildcard.
    :ivar pattern: the expression, of a ...Match, ``~`` or wildcard form.
    :ivar settings: what its directives set.
    :ivar sections: ``<Files>`` sections inside a ``<Directory>`` or ``<Location>``.
    :ivar place: the line's file and number.
    """

    kind: SectionKind
    path: bytes | None
    pattern: Pattern | None
    settings: DirectorySettings
    sections: tuple[Section, ...] = ()
    place: str = field(default="", compare=False)
