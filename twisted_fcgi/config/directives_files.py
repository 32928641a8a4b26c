"""Directives of the core about files, and about what is told of a request."""

from __future__ import annotations

from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import looseInteger
from twisted_fcgi.config.words import Word
from twisted_fcgi.http import METHODS

__all__ = ["allowmethods", "rows"]

rows = Rows("core")
allowmethods = Rows("mod_allowmethods")

#: What a request may lead to at most, whatever LimitInternalRecursion says.
MAX_RECURSION = 50

#: What Options may say.
_OPTIONS = frozenset(
    "all none indexes includes includesnoexec followsymlinks symlinksifownermatch execcgi "
    "multiviews runscripts".split()
)

#: What FileETag may say, and what each stands for.
_ETAG = {
    **dict.fromkeys(("mtime", "lmtime", "lastmodified"), frozenset({"mtime"})),
    "inode": frozenset({"inode"}),
    "size": frozenset({"size"}),
    "all": frozenset({"inode", "mtime", "size"}),
    "none": frozenset[str](),
}


@rows.directive(
    "Options",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="[+|-]option ...",
    default="FollowSymLinks",
    example='<Directory "/srv/www">\n    Options FollowSymLinks\n</Directory>',
    override=Override.OPTIONS,
)
def options(scope: Scope, words: list[Word]) -> None:
    """
    Whether symbolic links are followed: FollowSymLinks or SymLinksIfOwnerMatch.

    Without signs they are all that is allowed; with ``+`` or ``-`` they change what an outer
    section says.  The other options of httpd are understood and change nothing:
    directories are never listed (Indexes), and nothing but FastCGI applications is run
    (ExecCGI, Includes, MultiViews).
    """
    values, overriding = scope.section.values, scope.draft.overriding
    signed = words[:1] != [] and words[0][:1] in ("+", "-")
    if words and not signed:
        values["followsLinks"] = values["followsOwnLinks"] = False
    whole = False
    for word in words:
        sign = word[:1] if word[:1] in ("+", "-") else ""
        name = word[len(sign) :].lower()
        if bool(sign) is not signed and not (sign and whole):
            raise word.error("either all options have a sign or none", "Options +Indexes -ExecCGI")
        signed = bool(sign)
        if name not in _OPTIONS:
            raise word.error(f"{str(word)!r} is no option", "FollowSymLinks, SymLinksIfOwnerMatch")
        if overriding is not None and not overriding.permitsOption(name):
            raise word.error(f"{str(word)!r} is not allowed here", "AllowOverride names others")
        if name in ("all", "none"):
            if sign or word is not words[0]:
                raise word.error(f"{str(word)!r} must be the first option, and have no sign")
            whole = True
        on = sign != "-"
        if name in ("all", "followsymlinks"):
            values["followsLinks"] = on
        elif name == "symlinksifownermatch":
            values["followsOwnLinks"] = on
        elif name == "indexes" and on:
            scope.warn(word, "directories are not listed: this has no effect")
        elif name != "none" and on:
            scope.warn(word, "only FastCGI applications are run: this has no effect")


@rows.directive(
    "AcceptPathInfo",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="On|Off|Default",
    default="Default",
    example="AcceptPathInfo On",
    override=Override.FILE_INFO,
)
def acceptPathInfo(scope: Scope, word: Word) -> None:
    """Whether a file is also served for the paths below it; applications always get them."""
    choice = word.lower()
    if choice not in ("on", "off", "default"):
        raise word.error("AcceptPathInfo must be On, Off, or Default")
    scope.section.values["acceptsPathInfo"] = choice == "on"


@rows.directive(
    "FileETag",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="part ...",
    default="MTime Size",
    example="FileETag None",
    override=Override.FILE_INFO,
)
def fileETag(scope: Scope, words: list[Word]) -> None:
    """What a file's ETag is made of: INode, MTime, Size; All, or None for no ETag."""
    parts: frozenset[str] = frozenset()
    for word in words:
        name = word.lower()
        if name.lstrip("+-") in ("all", "none") and name[:1] in ("+", "-"):
            raise word.error(f"{str(word)!r} can't have a sign", "FileETag None")
        if name.lstrip("+-") == "digest" or name[:1] in ("+", "-"):
            scope.warn(word, "neither Digest nor parts with a sign are known: this has no effect")
        elif name not in _ETAG:
            raise word.error(f"{str(word)!r} is no part of an ETag", "INode, MTime, Size")
        else:
            parts = _ETAG[name] if name in ("all", "none") else parts | _ETAG[name]
            scope.section.values["entityTag"] = parts


@rows.directive(
    "MaxRanges",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="none|default|unlimited|number",
    default="default",
    example="MaxRanges none",
)
def maxRanges(scope: Scope, word: Word) -> None:
    """With ``none``, files are sent as a whole; else one part is, and of several none."""
    choice = word.lower()
    if choice not in ("none", "default", "unlimited") and looseInteger(word, scope.warn) < 1:
        raise word.error("MaxRanges must be none, default, unlimited, or a number")
    scope.section.values["ranges"] = choice != "none"


@rows.directive(
    "CGIVar",
    Shape.TAKE2,
    Context.ANYWHERE,
    syntax="REQUEST_URI original-uri|current-uri",
    default="REQUEST_URI original-uri",
    example="CGIVar REQUEST_URI current-uri",
    override=Override.FILE_INFO,
)
def cgiVar(scope: Scope, name: Word, rule: Word) -> None:
    """Whether REQUEST_URI is what the client sent, or the path that it led to, decoded."""
    if name != "REQUEST_URI":
        raise name.error(f"{str(name)!r} can't be chosen", "REQUEST_URI")
    if rule.lower() not in ("original-uri", "current-uri"):
        raise rule.error(f"{str(rule)!r} is no rule", "original-uri or current-uri")
    scope.section.values["currentUri"] = rule.lower() == "current-uri"


@rows.directive(
    "QualifyRedirectURL",
    Shape.FLAG,
    Context.ANYWHERE,
    syntax="On|Off",
    default="Off",
    example="QualifyRedirectURL On",
    override=Override.FILE_INFO,
)
def qualifyRedirectURL(scope: Scope, on: bool) -> None:
    """Whether REDIRECT_URL is a whole URL, with scheme, host and query."""
    scope.section.values["wholeRedirectUrl"] = on


@rows.directive(
    "UseCanonicalPhysicalPort",
    Shape.FLAG,
    Context.ANYWHERE,
    syntax="On|Off",
    default="Off",
    example="UseCanonicalPhysicalPort On",
)
def useCanonicalPhysicalPort(scope: Scope, on: bool) -> None:
    """Whether SERVER_PORT may be the port that is listened on, when nothing else says it."""
    scope.section.values["physicalPort"] = on


@rows.directive(
    "LimitInternalRecursion",
    Shape.TAKE12,
    Context.SERVER,
    syntax="redirects [lookups]",
    default="10",
    example="LimitInternalRecursion 5",
)
def limitInternalRecursion(scope: Scope, redirects: Word, lookups: Word | None) -> None:
    """How many internal redirects a request may lead to, and how deep indexes and fallbacks."""
    for name, word in (("internalRedirects", redirects), ("lookups", lookups or redirects)):
        number = looseInteger(word, scope.warn)
        if number < 1:
            raise word.error(f"{number} is no limit", f"1 to {MAX_RECURSION}")
        if number > MAX_RECURSION:
            scope.warn(word, f"more than {MAX_RECURSION} are never followed")
            number = MAX_RECURSION
        scope.server.values[name] = number


@rows.directive(
    "StrictHostCheck",
    Shape.FLAG,
    Context.SERVER,
    syntax="On|Off",
    default="Off",
    example="StrictHostCheck On",
)
def strictHostCheck(scope: Scope, on: bool) -> None:
    """Whether a host that is neither a ServerName nor a ServerAlias gets a 400."""
    scope.server.values["strictHost"] = on


@rows.directive(
    "HttpProtocolOptions",
    Shape.ITERATE,
    Context.SERVER,
    syntax="Strict|RegisteredMethods|LenientMethods|Require1.0|Allow0.9 ...",
    default="Strict LenientMethods",
    example="HttpProtocolOptions Strict RegisteredMethods",
)
def httpProtocolOptions(scope: Scope, word: Word) -> None:
    """
    With ``RegisteredMethods``, methods that nobody registered get a 501.

    Requests are always read strictly, and HTTP/0.9 is never spoken.
    """
    choice = word.lower()
    if choice == "unsafe":
        raise word.error("malformed requests are never read: others may read them differently")
    if choice in ("registeredmethods", "lenientmethods"):
        scope.server.values["registeredOnly"] = choice == "registeredmethods"
    elif choice == "allow0.9":
        scope.warn(word, "HTTP/0.9 is not spoken: this has no effect")
    elif choice not in ("strict", "require1.0"):
        raise word.error(f"{str(word)!r} is no option", "Strict, RegisteredMethods, LenientMethods")


@rows.directive(
    "RegisterHttpMethod",
    Shape.ITERATE,
    Context.MAIN,
    syntax="method ...",
    example="RegisterHttpMethod PURGE",
)
def registerHttpMethod(scope: Scope, word: Word) -> None:
    """Makes methods known, for AllowMethods and HttpProtocolOptions RegisteredMethods."""
    values = scope.server.values
    values["methods"] = (*values.get("methods", ()), encode(word))


@allowmethods.directive(
    "AllowMethods",
    Shape.WORDS,
    Context.SECTIONS,
    syntax="reset|method ...",
    default="reset",
    example='<Location "/">\n    AllowMethods GET POST OPTIONS\n</Location>',
)
def allowMethods(scope: Scope, words: list[Word]) -> None:
    """The only methods that are allowed, HEAD with GET; ``reset``: all."""
    if not words:
        raise scope.error("AllowMethods needs a method", "AllowMethods GET POST")
    if [word.lower() for word in words] == ["reset"]:
        scope.section.values["methods"] = frozenset()
        return
    known = METHODS.union(scope.draft.main.values.get("methods", ()))
    for word in words:
        if encode(word) not in known:
            raise word.error(f"{str(word)!r} is no method", "RegisterHttpMethod makes it known")
    methods = {b"GET" if word == "HEAD" else encode(word) for word in words}
    scope.section.values["methods"] = scope.section.values.get("methods", frozenset()) | methods


@rows.directive(
    "Protocols",
    Shape.ITERATE,
    Context.SERVER,
    syntax="protocol ...",
    default="http/1.1",
    example="Protocols http/1.1",
)
def protocols(scope: Scope, word: Word) -> None:
    """Only ``http/1.1``; HTTP/2 (``h2``) is spoken by a twisted.web site in front."""
    if word.lower() != "http/1.1":
        scope.warn(word, f"{word} is not spoken here: this has no effect")


@rows.directive(
    "MergeTrailers",
    Shape.FLAG,
    Context.SERVER,
    syntax="Off",
    default="Off",
    example="MergeTrailers Off",
)
def mergeTrailers(scope: Scope, on: bool) -> None:
    """Only ``Off``: fields behind a body never become fields of the request."""
    if on:
        raise scope.error("fields behind a body never become fields of the request")


@rows.directive(
    "Error",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="text",
    example='<IfDefine OLD>\n    Error "Please use NEW."\n</IfDefine>',
    override=Override.ANY,
)
def error(scope: Scope, words: list[Word]) -> None:
    """A mistake in the configuration, with this text."""
    raise scope.error(" ".join(words) or "Error")


rows.ignore("ProtocolsHonorOrder", "HTTP/1.1 only is spoken here")
rows.ignore(
    "ContentDigest",
    "files have an ETag, and Content-MD5 is no part of HTTP any more",
    Override.OPTIONS,
)
rows.ignore(
    "MaxRangeOverlaps MaxRangeReversals",
    "of several ranges none is evaluated",
)
rows.ignore(
    "ReadBufferSize FlushMaxThreshold FlushMaxPipelined",
    "it concerns httpd's own process",
)
rows.ignore("RLimitCPU RLimitMEM RLimitNPROC", "it concerns httpd's own process", Override.ANY)
rows.ignore("NameVirtualHost", "since httpd 2.4 it does nothing there either")
rows.ignore(
    "LimitXMLRequestBody",
    "there is no WebDAV; LimitRequestBody holds for all bodies",
    Override.ANY,
)
