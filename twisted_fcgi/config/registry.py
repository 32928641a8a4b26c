"""
One row a directive: its name, arguments, places, default, doc, and what it does.

Each ``directives_*`` module fills a :class:`Rows`; :class:`Registry` puts them
together.  The reference documentation, did-you-mean and the reading of
arguments all come from the row; a directive is written down nowhere else.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from twisted_fcgi.errors import nearest
from twisted_fcgi.settings import Override

__all__ = ["Context", "Directive", "Foreign", "Override", "Registry", "Rows", "Shape"]


class Shape(enum.Enum):
    """How a directive takes its arguments; httpd's names (http_config.h), and its words for it."""

    TAKE1 = "takes one argument"
    TAKE2 = "takes two arguments"
    TAKE12 = "takes 1-2 arguments"
    TAKE3 = "takes three arguments"
    TAKE23 = "takes two or three arguments"
    TAKE123 = "takes one, two or three arguments"
    ITERATE = "requires at least one argument"
    ITERATE2 = "requires at least two arguments"
    FLAG = "must be On or Off"
    WORDS = "takes words of its own kind"


class Context(enum.Flag):
    """Where a directive stands, and where it may."""

    MAIN = enum.auto()
    VIRTUAL_HOST = enum.auto()
    DIRECTORY = enum.auto()
    LOCATION = enum.auto()
    FILES = enum.auto()
    PROXY = enum.auto()
    #: Between ``<RequireAll>`` and its like, where only what is about access may stand.
    REQUIRE = enum.auto()

    SERVER = MAIN | VIRTUAL_HOST
    SECTIONS = DIRECTORY | LOCATION | FILES | PROXY
    ANYWHERE = SERVER | SECTIONS

    def describe(self) -> str:
        """The contexts in the words of httpd's manual."""
        if not Context.ANYWHERE & ~self:
            return "everywhere"
        names = {
            Context.MAIN: "server config",
            Context.VIRTUAL_HOST: "virtual host",
            Context.DIRECTORY: "directory",
            Context.LOCATION: "location",
            Context.FILES: "files",
            Context.PROXY: "proxy section",
            Context.REQUIRE: "Require block",
        }
        return ", ".join(text for context, text in names.items() if context in self)


@dataclass(frozen=True)
class Directive:
    """
    One row.

    :ivar name: as the manual spells it; a section's begins with ``<``.
    :ivar contexts: where it may stand.
    :ivar apply: what it does; see :mod:`twisted_fcgi.config.walk` for directives,
        :mod:`twisted_fcgi.config.tree` for those that act while files are read.
    :ivar doc: for the reference; the first line is a summary.
    :ivar syntax: its arguments, for people.
    :ivar default: what holds without it, or empty.
    :ivar example: lines of a configuration.
    :ivar origin: httpd's module, or ``extension``.
    :ivar onRead: whether it acts while the files are read (httpd: EXEC_ON_READ).
    :ivar ignored: why it has no meaning here, or empty.
    :ivar inside: what a section is to the directives in it.
    :ivar override: what allows it in ``.htaccess``; ``None``: nothing does.
    """

    name: str
    shape: Shape
    contexts: Context
    apply: Callable[..., Any]
    doc: str
    syntax: str = ""
    default: str = ""
    example: str = ""
    origin: str = "core"
    onRead: bool = False
    ignored: str = ""
    inside: Context | None = None
    override: Override | None = None

    @property
    def section(self) -> bool:
        """Whether it encloses others."""
        return self.name.startswith("<")


class Rows:
    """
    The directives of one httpd module.

    :ivar origin: the module's name.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._rows: list[Directive] = []

    def __iter__(self) -> Iterator[Directive]:
        return iter(self._rows)

    def directive(
        self, name: str, shape: Shape, contexts: Context, **columns: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorate a function as a directive's row; its docstring is the doc."""

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            columns.setdefault("origin", self.origin)
            doc = columns.pop("doc", None) or inspect.getdoc(function) or ""
            self._rows.append(Directive(name, shape, contexts, function, doc, **columns))
            return function

        return decorate

    def ignore(self, names: str, why: str, override: Override | None = None) -> None:
        """Rows for directives that are understood and have no meaning here."""
        for name in names.split():
            self._rows.append(
                Directive(
                    name,
                    Shape.WORDS,
                    Context.ANYWHERE,
                    _nothing,
                    f"Ignored: {why}.",
                    origin=self.origin,
                    ignored=why,
                    override=override,
                )
            )


def _nothing(*_: object) -> None:
    """What an ignored directive does."""


class Foreign(NamedTuple):
    """A directive that httpd has and we do not."""

    name: str
    module: str
    reason: str


class Registry:
    """
    All directives, found without regard to case.

    :param rows: their rows.
    :param foreign: gives httpd's directives that are not supported.
    """

    def __init__(
        self, rows: Iterable[Directive], foreign: Callable[[], Iterable[Foreign]] = tuple
    ) -> None:
        self._rows = {row.name.lower(): row for row in rows}
        self._listForeign = foreign

    @cached_property
    def _foreign(self) -> dict[str, Foreign]:
        named = {entry.name.lower(): entry for entry in self._listForeign()}
        return {name: entry for name, entry in named.items() if name not in self._rows}

    def __iter__(self) -> Iterator[Directive]:
        return iter(self._rows.values())

    def get(self, name: str) -> Directive | None:
        """A directive's row, or ``None``."""
        return self._rows.get(name.lower())

    def foreign(self, name: str) -> Foreign | None:
        """What is known of a directive that only httpd has."""
        return self._foreign.get(name.lower())

    def suggestion(self, name: str) -> str:
        """What somebody may have meant, or the empty string."""
        near = nearest(name.lower(), self._rows, 0.7)
        if near is None:
            return ""
        row = self._rows[near]
        return f"did you mean {row.name}{'>' if row.section else ''}?"
