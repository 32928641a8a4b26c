"""Directives of mod_dir, and those of mod_autoindex, which list nothing."""

from __future__ import annotations

from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import looseInteger
from twisted_fcgi.config.words import Word

__all__ = ["autoindex", "rows"]

rows = Rows("mod_dir")
autoindex = Rows("mod_autoindex")


@rows.directive(
    "DirectoryIndex",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="name ...|disabled",
    default="index.html",
    example="DirectoryIndex index.php index.html",
    override=Override.INDEXES,
)
def directoryIndex(scope: Scope, words: list[Word]) -> None:
    """What is served for a directory: the first of these that exists."""
    values = scope.section.values
    if len(words) == 1 and words[0].lower() == "disabled":
        values["directoryIndex"] = ()
        return
    names = tuple(encode(word) for word in words if word)
    values["directoryIndex"] = values.get("directoryIndex", ()) + names


@rows.directive(
    "FallbackResource",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="path|disabled",
    default="disabled",
    example="FallbackResource /index.php",
    override=Override.INDEXES,
)
def fallbackResource(scope: Scope, word: Word) -> None:
    """What is served for a path that leads to no file: an application's front controller."""
    disabled = word.lower() == "disabled"
    scope.section.values["fallbackResource"] = b"" if disabled else encode(word)


@rows.directive(
    "DirectorySlash",
    Shape.FLAG,
    Context.ANYWHERE,
    syntax="On|Off",
    default="On",
    example="DirectorySlash Off",
    override=Override.INDEXES,
)
def directorySlash(scope: Scope, on: bool) -> None:
    """Whether clients who ask for a directory without its slash are sent to it."""
    scope.section.values["directorySlash"] = on


@rows.directive(
    "DirectoryIndexRedirect",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="On|Off|permanent|temp|seeother|status",
    default="Off",
    example="DirectoryIndexRedirect permanent",
    override=Override.INDEXES,
)
def directoryIndexRedirect(scope: Scope, word: Word) -> None:
    """Whether clients are sent to a directory's index; ``On`` is 302.  The query is lost."""
    statuses = {"on": 302, "off": 0, "permanent": 301, "temp": 302, "seeother": 303}
    status = statuses.get(word.lower())
    if status is None:
        status = looseInteger(word, scope.warn) if word[:1].isdigit() else 0
        if not 300 <= status <= 399:
            raise word.error(
                f"{str(word)!r} is no status of a redirect",
                "On, Off, permanent, temp, seeother, or 300 to 399",
            )
    scope.section.values["indexRedirect"] = status


@rows.directive(
    "DirectoryCheckHandler",
    Shape.FLAG,
    Context.ANYWHERE,
    syntax="On|Off",
    default="Off",
    example="DirectoryCheckHandler On",
    override=Override.INDEXES,
)
def directoryCheckHandler(scope: Scope, on: bool) -> None:
    """Whether a directory that has a SetHandler is served by it, without looking for an index."""
    scope.section.values["handlerBeforeIndex"] = on


autoindex.ignore(
    """
    AddAlt AddAltByEncoding AddAltByType AddDescription AddIcon AddIconByEncoding AddIconByType
    DefaultIcon FancyIndexing HeaderName IndexHeadInsert IndexIgnore IndexIgnoreReset IndexOptions
    IndexOrderDefault IndexStyleSheet ReadmeName
    """,
    "directories are never listed",
    Override.INDEXES,
)
