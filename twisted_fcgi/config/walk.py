"""
The walk over a tree of directives, in order, as httpd does it.

Checks the place and the number of arguments of each directive by its row, and calls
the row's function: for a directive with the scope and its arguments; for a section
the function returns the scope of its content.  A mistake is kept and the walk goes on.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from twisted_fcgi.config.drafts import ConfigurationDraft, SectionDraft
from twisted_fcgi.config.registry import Context, Directive, Registry, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.tree import Node
from twisted_fcgi.config.words import Word, splitWords
from twisted_fcgi.errors import ConfigurationError, ConfigurationErrors
from twisted_fcgi.settings import SectionKind

__all__ = ["Walk", "argumentsOf"]

#: Words that a shape needs, and those that it may have besides.
_COUNTS = {
    Shape.TAKE1: (1, 0),
    Shape.TAKE2: (2, 0),
    Shape.TAKE12: (1, 1),
    Shape.TAKE3: (3, 0),
    Shape.TAKE23: (2, 1),
    Shape.TAKE123: (1, 2),
}


class Walk:
    """Executes a tree of directives."""

    def __init__(self, registry: Registry, draft: ConfigurationDraft) -> None:
        self.registry = draft.registry = registry
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
            except ConfigurationErrors as several:
                draft.errors += several.errors
        if outer is not None and outer.section.access is not None:
            draft.errors += outer.section.access.mistakes(outer.node.title)

    def execute(self, node: Node, scope: Scope) -> None:
        """Execute one directive."""
        row = node.row
        overriding = self.draft.overriding
        if row is None:
            unknown = self.unknown(node)
            if overriding is None or not overriding.allow.skipsUnknown:
                raise unknown
            scope.warn(node.name, unknown.message)
            return
        if overriding is not None and not overriding.permits(row):
            self.draft.notices.append(overriding.forbidden(row, node.name))
            return
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
            if not words and row.syntax:
                raise node.name.error(
                    f"{node.title} needs an argument", f"{row.name} {row.syntax}>"
                )
            inner: Scope = row.apply(scope, words)
        except (ConfigurationError, ConfigurationErrors):
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
        access = scope.section.access
        if access is not None and access.enclosed and not _mayBeLimited(row):
            raise scope.error(
                f"{scope.node.title} may not stand in <Limit>, <LimitExcept> or a Require block"
            )
        wrong = scope.contexts & ~row.contexts
        if wrong:
            inBranch = scope.section.kind is SectionKind.IF and wrong is Context.FILES
            where = "<If>" if inBranch else wrong.describe()
            raise scope.error(
                f"{scope.node.title} is not allowed here ({where})",
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


def _mayBeLimited(row: Directive) -> bool:
    """Whether it may stand in a ``<Limit>``: what may be in any section, and is none of these."""
    return Context.SECTIONS in row.contexts and row.inside in (None, Context.REQUIRE)


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
