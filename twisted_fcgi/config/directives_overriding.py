"""Directives about ``.htaccess``: whether there are any, and what they may say."""

from __future__ import annotations

from dataclasses import replace

from twisted_fcgi.config.overriding import OPTIONS
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import AllowOverride, SectionKind

__all__ = ["extensions", "rows"]

rows = Rows("core")

_KINDS = {
    "authconfig": Override.AUTH_CONFIG,
    "fileinfo": Override.FILE_INFO,
    "indexes": Override.INDEXES,
    "limit": Override.LIMIT,
}

_KNOWN = "All, None, AuthConfig, FileInfo, Indexes, Limit, Options, Options=..., Nonfatal=..."


@rows.directive(
    "AllowOverride",
    Shape.WORDS,
    Context.SECTIONS,
    syntax="All|None|kind ...",
    default="None",
    example='<Directory "/srv/www">\n    AllowOverride FileInfo Indexes Nonfatal=Override\n'
    "</Directory>",
)
def allowOverride(scope: Scope, words: list[Word]) -> None:
    """
    Which kinds of directives a ``.htaccess`` below a directory may have.

    Kinds are AuthConfig, FileInfo, Indexes, Limit and Options; ``Options=`` names those of
    Options that may be set, with commas.  A directive of another kind makes each request
    below the file's directory a 500, and the log says why; with ``Nonfatal=Override`` it
    is passed over, with ``Nonfatal=Unknown`` one that does not exist, with ``Nonfatal=All``
    both.  Each directive's entry here says what it needs.

    A file is read once, and again within a second after it changed.  Where AllowOverride is
    not said, there are no ``.htaccess`` files.

    As in httpd, who may write one is trusted with what it allows: FileInfo sets any
    variable, also those that PHP-FPM obeys (``PHP_VALUE``, ``PHP_ADMIN_VALUE``), and its
    expressions show variables of the server's process and whether files are there.  They
    read none: ``file()`` and ``filesize()`` are refused.
    """
    allow = AllowOverride()
    for word in words:
        name, value = word.partitioned("=")
        lower = name.lower()
        if lower == "none":
            allow = replace(allow, kinds=Override(0), skipsForbidden=False, skipsUnknown=False)
        elif lower == "all":
            allow = replace(allow, kinds=Override.ANY, skipsForbidden=False, skipsUnknown=False)
        elif lower == "options":
            options = _options(value)
            allow = replace(allow, kinds=allow.kinds | Override.OPTIONS, options=options)
        elif lower == "nonfatal":
            allow = _nonfatal(scope, allow, word, value)
        elif lower in _KINDS:
            allow = replace(allow, kinds=allow.kinds | _KINDS[lower])
        else:
            raise word.error(f"{str(word)!r} is no kind of directives", _KNOWN)
    if not _isWalked(scope):
        return
    scope.section.values["allowOverride"] = allow
    scope.draft.allowsOverrides |= bool(allow)


def _options(names: Word | None) -> frozenset[str] | None:
    """What ``Options`` lets be set; alone, all but MultiViews and SymLinksIfOwnerMatch."""
    if names is None:
        return frozenset(OPTIONS["all"])
    allowed: set[str] = set()
    for name in filter(None, names.split(",")):
        if name.lower() not in OPTIONS:
            raise names.error(f"{name!r} is no option", ", ".join(sorted(OPTIONS)))
        allowed |= OPTIONS[name.lower()]
    return frozenset(allowed) if names.strip(",") else None


def _nonfatal(scope: Scope, allow: AllowOverride, word: Word, value: Word | None) -> AllowOverride:
    if value is None:
        raise word.error("=Override, =Unknown or =All is expected", "Nonfatal=All")
    choice = value.lower()
    if choice not in ("override", "unknown", "all"):
        scope.warn(value, f"{str(value)!r} is none of Override, Unknown, All: no effect")
        return allow
    return replace(
        allow,
        skipsForbidden=allow.skipsForbidden or choice != "unknown",
        skipsUnknown=allow.skipsUnknown or choice != "override",
    )


def _isWalked(scope: Scope) -> bool:
    """Whether the way to a file comes by this section; a notice when it does not."""
    if scope.section.kind is SectionKind.DIRECTORY:
        return True
    where = "a path or a wildcard"
    scope.warn(scope.node.name, f"this has an effect in a <Directory> with {where} only")
    return False


@rows.directive(
    "AllowOverrideList",
    Shape.WORDS,
    Context.SECTIONS,
    syntax="None|directive ...",
    default="None",
    example='<Directory "/srv/www">\n    AllowOverride None\n'
    "    AllowOverrideList SetEnv Redirect\n</Directory>",
)
def allowOverrideList(scope: Scope, words: list[Word]) -> None:
    """Further directives that a ``.htaccess`` may have, by name."""
    names: set[str] = set()
    registry = scope.draft.registry
    for word in words:
        if word.lower() == "none":
            if len(words) > 1:
                raise word.error("'None' stands alone in AllowOverrideList")
            continue
        row = registry.get(word) if registry is not None else None
        if row is None:
            scope.warn(word, f"{str(word)!r} is no directive here, and is left out")
        elif row.override is None:
            scope.warn(word, f"{row.name} is never allowed in a .htaccess, and is left out")
        else:
            names.add(row.name.lower())
    if not _isWalked(scope):
        return
    scope.section.values["allowOverrideList"] = frozenset(names)
    scope.draft.allowsOverrides |= bool(names)


@rows.directive(
    "AccessFileName",
    Shape.WORDS,
    Context.SERVER,
    syntax="name ...",
    default=".htaccess",
    example="AccessFileName .acl .htaccess",
)
def accessFileName(scope: Scope, words: list[Word]) -> None:
    """What ``.htaccess`` files are called; of several in a directory, the first is read."""
    scope.server.values["accessFileNames"] = tuple(str(word) for word in words if word)


extensions = Rows("extension")


@extensions.directive(
    "AllowOverrideProxy",
    Shape.TAKE1,
    Context.SERVER,
    syntax="Known|Any",
    default="Known",
    example="AllowOverrideProxy Any",
)
def allowOverrideProxy(scope: Scope, word: Word) -> None:
    """
    Which applications a ``.htaccess`` may name.

    ``Known``: those that the configuration of its virtual host names anywhere, in a
    ProxyPass, SetHandler, ``<Proxy>`` or balancer.  ``Any``: as in httpd, every address and
    every socket that the gateway can reach.
    """
    choice = word.lower()
    if choice not in ("known", "any"):
        raise word.error("AllowOverrideProxy must be Known or Any")
    scope.server.values["allowOverrideProxy"] = choice == "any"
