"""
From a tree of directives to :class:`twisted_fcgi.settings.Settings`.

Walks the tree in order, as httpd does, checks the place and the number of
arguments of each directive by its row, and calls the row's function: for a
directive with the scope and its arguments; for a section the function returns
the scope of its content.  A mistake is kept and the walk goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.config.drafts import ConfigurationDraft, SectionDraft
from twisted_fcgi.config.registry import Context, Directive, Registry, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import decode
from twisted_fcgi.config.tree import Node, TreeReader
from twisted_fcgi.config.words import Word, splitWords
from twisted_fcgi.errors import ConfigurationError, ConfigurationErrors
from twisted_fcgi.settings import SectionKind, Settings

__all__ = ["load", "loads"]

#: Words that a shape needs, and those that it may have besides.
_COUNTS = {
    Shape.TAKE1: (1, 0),
    Shape.TAKE2: (2, 0),
    Shape.TAKE12: (1, 1),
    Shape.TAKE3: (3, 0),
    Shape.TAKE23: (2, 1),
    Shape.TAKE123: (1, 2),
}


def load(path: str, defines: Iterable[str] = ()) -> Settings:
    """
    Read a configuration file.

    :param defines: names, or ``NAME=value``, as httpd's ``-D`` has them.
    :returns: the settings.
    :raises ConfigurationErrors: with everything that is wrong.
    """
    root = os.path.dirname(os.path.abspath(path))
    try:
        text = _readFile(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationErrors([ConfigurationError(f"{path}: {reason}")]) from None
    return loads(text, path, defines, root)


def loads(
    text: str,
    name: str = "<text>",
    defines: Iterable[str] = (),
    serverRoot: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """
    Read a configuration.

    :param name: what errors call it.
    :param serverRoot: where relative paths begin, until ServerRoot says otherwise.
    :param environment: what ``${}`` and PassEnv look into, instead of the process's.
    :returns: the settings.
    :raises ConfigurationErrors: with everything that is wrong.
    """
    root = os.getcwd() if serverRoot is None else serverRoot
    environment = os.environ if environment is None else environment
    defined = {key: value if eq else None for key, eq, value in (d.partition("=") for d in defines)}
    reader = TreeReader(REGISTRY, root, environment, _readFile, defined)
    reader.read(name, text)
    draft = ConfigurationDraft(reader.serverRoot, environment)
    draft.errors = reader.errors
    draft.notices = reader.warnings
    draft.ignored = reader.ignored
    draft.absent = reader.absent
    _Walk(REGISTRY, draft).walk(reader.nodes)
    if draft.errors:
        order = reader.names
        draft.errors.sort(key=lambda error: (order.get(error.file, 0), error.line, error.column))
        raise ConfigurationErrors(draft.errors)
    return draft.finish()


def _readFile(path: str) -> str:
    with open(path, "rb") as file:
        return decode(file.read())


class _Walk:
    """Executes a tree of directives."""

    def __init__(self, registry: Registry, draft: ConfigurationDraft) -> None:
        self.registry = registry
        self.draft = draft

    def walk(self, nodes: list[Node], outer: Scope | None = None) -> None:
        """Execute directives in their order."""
        draft = self.draft
        for node in nodes:
            if outer is None:
                scope = Scope(draft, draft.main, draft.main.directory, Context.MAIN, node)
            else:
                scope = Scope(draft, outer.server, outer.section, outer.contexts, node)
            scope.section.values.at = scope.server.values.at = node.name
            try:
                self.execute(node, scope)
            except ConfigurationError as error:
                draft.errors.append(error)

    def execute(self, node: Node, scope: Scope) -> None:
        """Execute one directive."""
        row = node.row
        if row is None:
            raise self.unknown(node)
        if row.ignored:
            self.draft.ignored[row.name] = None
            return
        if not row.section:
            self.checkContext(row, scope)
            for arguments in argumentsOf(row, scope):
                row.apply(scope, *arguments)
            return
        try:
            self.checkContext(row, scope)
            words = splitWords(node.line, node.at, node.end)
            if not words:
                raise node.name.error(
                    f"{node.title} needs an argument", f"{row.name} {row.syntax}>"
                )
            inner: Scope = row.apply(scope, words)
        except ConfigurationError:
            # the content of a section that is wrong is still looked through for mistakes
            aside = SectionDraft(
                SectionKind.LOCATION, word=Word.make("", node.line, node.at, node.at)
            )
            self.walk(node.children, scope.inside(row.inside or Context.LOCATION, aside))
            raise
        self.walk(node.children, inner)
        for action in inner.after:
            action()

    def checkContext(self, row: Directive, scope: Scope) -> None:
        """
        Hold a directive to the places of its row.

        :raises ConfigurationError: when it stands in another one.
        """
        wrong = scope.contexts & ~row.contexts
        if wrong:
            raise scope.error(
                f"{scope.node.title} is not allowed here ({wrong.describe()})",
                f"it may stand in: {row.contexts.describe()}",
            )

    def unknown(self, node: Node) -> ConfigurationError:
        """What to say about a directive without a row."""
        name = node.name
        foreign = self.registry.foreign(name)
        if foreign is not None:
            title, module, why = foreign
            bracket = ">" if title.startswith("<") else ""
            return name.error(
                f"{title}{bracket} is not supported, because {why}", f"it is {module}'s"
            )
        title = f"{name}>" if name.startswith("<") else str(name)
        return name.error(f"{title} is no directive", self.registry.suggestion(name))


def argumentsOf(row: Directive, scope: Scope) -> list[tuple[Any, ...]]:
    """
    The arguments of a directive, once for each call of its function.

    Counts as httpd's ``invoke_cmd`` does: an empty word is no word, except among
    the arguments of :attr:`Shape.WORDS`; what follows On or Off, or an empty word in
    a list, is not looked at, which is worth a notice.

    :raises ConfigurationError: when they are too many or too few.
    """
    node = scope.node
    words = splitWords(node.line, node.at, node.end)
    shape = row.shape
    if shape is Shape.WORDS:
        return [(words,)]
    usable = list(takewhile(len, words))
    calls: list[tuple[Any, ...]] = []
    if shape in _COUNTS:
        least, more = _COUNTS[shape]
        padded: list[Word | None] = [word or None for word in words]
        padded += [None] * (least + more - len(padded))
        if len(words) <= least + more and None not in padded[:least]:
            return [tuple(padded)]
    elif shape is Shape.FLAG:
        if usable and usable[0].lower() in ("on", "off"):
            calls = [(usable[0].lower() == "on",)]
            usable = usable[:1]
    elif shape is Shape.ITERATE:
        calls = [(word,) for word in usable]
    elif shape is Shape.ITERATE2:
        calls = [(usable[0], word) for word in usable[1:]]
    if not calls:
        most = sum(_COUNTS.get(shape, (0, 0)))
        place = words[most].start if len(words) > most > 0 else node.end
        if shape is Shape.FLAG and words:
            place = words[0].start
        raise node.line.error(
            f"{row.name} {shape.value}", place, f"{row.name} {row.syntax}".rstrip()
        )
    if len(usable) < len(words):
        scope.warn(words[len(usable)], "this and what follows it is not looked at")
    return calls
