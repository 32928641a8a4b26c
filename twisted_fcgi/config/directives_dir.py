"""Directives of mod_dir."""

from __future__ import annotations

from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.words import Word

__all__ = ["rows"]

rows = Rows("mod_dir")


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
