"""
Files to a tree of directives.

What httpd executes while it reads (EXEC_ON_READ) happens here: Include,
Define, ServerRoot, and the sections that are kept or skipped as a whole.  A
section that is kept vanishes: its content belongs to what is around it.  As in
httpd, a skipped section is only searched for its end, and each file closes what
it opened.

A mistake does not end the reading; all are collected in ``errors``.  Only a
recursion does, since what it would read has no end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from twisted_fcgi.config.overriding import Overriding
from twisted_fcgi.config.registry import Directive, Registry
from twisted_fcgi.config.source import MAX_LINE, Line, Mark, SourceFile, logicalLines
from twisted_fcgi.config.words import Word, getWord
from twisted_fcgi.errors import ConfigurationError

__all__ = ["MAX_FILES", "MAX_INCLUDE_DEPTH", "Node", "TreeReader"]

#: How deep files may include files, as in httpd (AP_MAX_INCLUDE_DEPTH).
MAX_INCLUDE_DEPTH = 128

#: Most files of a configuration: two files that each include the next one twice make 2^n.
MAX_FILES = 10000

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(slots=True, eq=False)
class Node:
    """
    A directive, or a section with its content.

    :ivar name: as written; a section's with ``<`` and without ``>``.
    :ivar at: the offset of its arguments in the line.
    :ivar end: the offset behind them; a section's ``>`` is not part of them.
    :ivar row: what it is, or ``None`` when nobody knows.
    :ivar children: what a section encloses.
    """

    name: Word
    line: Line
    at: int
    end: int
    row: Directive | None
    children: list[Node] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Its name for messages."""
        name = self.row.name if self.row is not None else str(self.name)
        return f"{name}>" if name.startswith("<") else name


class _Stopped(Exception):
    """The reading can't go on."""


class TreeReader:
    """
    Reads files into one tree.

    :ivar nodes: the top of the tree.
    :ivar errors: the mistakes so far.
    :ivar warnings: what deserves a notice.
    :ivar ignored: names of directives that were read over.
    :ivar absent: names of modules that an ``<IfModule>`` did not find.
    :ivar names: the files' names, in the order in which they were read.
    :ivar serverRoot: what relative paths begin at.
    :ivar defines: names of Define and of ``-D``.
    :ivar variables: values of Define; ``${}`` looks here first, then into
        ``environment``.
    :ivar readFile: a path's text; raises :class:`OSError`.
    :ivar overriding: of a ``.htaccess``, what it may say.
    """

    def __init__(
        self,
        registry: Registry,
        serverRoot: str,
        environment: Mapping[str, str],
        readFile: Callable[[str], str],
        defines: Mapping[str, str | None] | None = None,
        overriding: Overriding | None = None,
    ) -> None:
        self.registry = registry
        self.serverRoot = serverRoot
        self.environment = environment
        self.overriding = overriding
        self.readFile = readFile
        self.defines: dict[str, None] = dict.fromkeys(defines or ())
        self.variables = {k: v for k, v in (defines or {}).items() if v is not None}
        self.nodes: list[Node] = []
        self.errors: list[ConfigurationError] = []
        self.warnings: list[str] = []
        self.ignored: dict[str, None] = {}
        self.absent: dict[str, None] = {}
        self.names: dict[str, int] = {}
        self.depth = 0
        self.files = 0
        self.lines: Iterator[Line] = iter(())
        self.into: list[Node] = self.nodes

    def read(self, name: str, text: str) -> None:
        """Read a whole configuration: a file's text, and what it includes."""
        try:
            self.readText(name, text)
        except _Stopped:
            pass

    def readText(self, name: str, text: str) -> None:
        """Read one file's text into the current section."""
        lines, into = self.lines, self.into
        self.names.setdefault(name, len(self.names))
        self.lines = logicalLines(SourceFile.fromText(name, text, self.overriding is not None))
        try:
            self.readUntil(None)
        except ConfigurationError as error:
            self.errors.append(error)
        finally:
            self.lines, self.into = lines, into

    def readUntil(self, closing: str | None) -> bool:
        """
        Read lines into the current section, to a closing line or the file's end.

        :param closing: the closing line in lower case, or ``None``.
        :returns: whether the closing line came.
        """
        closed = False
        outer = self.into
        opened: list[Node] = []
        for line in self.lines:
            if closing is not None and line.text.lower() == closing:
                closed = True
                break
            try:
                self._readLine(line, opened, outer)
            except ConfigurationError as error:
                self.errors.append(error)
            self.into = opened[-1].children if opened else outer
        self.into = outer
        for node in reversed(opened):
            self.errors.append(
                node.name.error(f"{node.title} is not closed", f"</{node.name[1:]}> is missing")
            )
        return closed

    def _readLine(self, line: Line, opened: list[Node], outer: list[Node]) -> None:
        """Take one line: a directive, a section's begin, or its end."""
        if "$" in line.text:
            line = self.expanded(line)
        name, at = getWord(line)
        end = len(line.text)
        if name.startswith("</"):
            if at < end:
                self.warn(line, at, "what follows the end of a section is ignored")
            self._close(name, opened)
            return
        if name.endswith(">"):
            name = name.part(0, len(name) - 1)
            if at >= end and name.startswith("<"):
                at = end - 1  # the arguments are ">" alone
        row = self.registry.get(name)
        section = name.startswith("<")
        if section:
            bracket = line.text.rfind(">", at)
            if bracket < 0:
                node = Node(name, line, at, end, row)
                if row is not None and row.onRead:
                    self.skip(node)
                else:
                    self._push(node, opened, outer)
                raise line.error(f"{name}> directive missing closing '>'", end)
            if bracket + 1 < end:
                self.warn(line, bracket + 1, "what follows the '>' of a section is ignored")
            end = bracket
        node = Node(name, line, at, end, row)
        if row is not None and row.onRead:
            if self._permitted(row, node):
                row.apply(self, node)
        elif section:
            self._push(node, opened, outer)
        else:
            (opened[-1].children if opened else outer).append(node)

    def _permitted(self, row: Directive, node: Node) -> bool:
        """Whether it may act here; a section that may not is skipped."""
        if self.overriding is None or self.overriding.permits(row):
            return True
        if row.section:
            self.skip(node)
        self.warnings.append(self.overriding.forbidden(row, node.name))
        return False

    def _push(self, node: Node, opened: list[Node], outer: list[Node]) -> None:
        (opened[-1].children if opened else outer).append(node)
        opened.append(node)

    def _close(self, name: Word, opened: list[Node]) -> None:
        """Take a closing line; when it closes an outer section, close the inner ones with it."""
        wanted = "<" + name[2:].removesuffix(">").lower()
        depth = len(opened) - 1
        while depth >= 0 and opened[depth].name.lower() != wanted:
            depth -= 1
        unclosed = opened[depth + 1 :]
        # A tag that ends nothing is taken for the end of the innermost section, spelled
        # wrongly, so that what follows is not said to stand in it.
        innermost = max(0, len(opened) - 1)
        del opened[depth if depth >= 0 else innermost :]
        if not name.endswith(">"):
            raise name.error(f"{name}> directive missing closing '>'")
        if unclosed:
            raise name.error(f"expected </{unclosed[-1].name[1:]}> but saw {name}")
        if depth < 0:
            raise name.error(f"{name} without matching <{name[2:]} section")

    def stop(self, error: ConfigurationError) -> None:
        """
        Give the reading up.

        :raises _Stopped: always.
        """
        self.errors.append(error)
        raise _Stopped

    def warn(self, line: Line, offset: int, message: str) -> None:
        """Keep a notice about a place."""
        number, column = line.place(offset)
        self.warnings.append(f"{line.file.name}:{number}:{column}: {message}")

    def skip(self, node: Node) -> None:
        """Drop lines to the end of a section that was just opened."""
        expected = [node.name]
        for line in self.lines:
            name, at = getWord(line)
            if name.startswith("</"):
                closed = name[2:-1].lower()
                inner = expected[-1]
                if closed != inner[1:].lower():
                    self.errors.append(name.error(f"expected </{inner[1:]}> but saw {name}"))
                    if closed not in [outer[1:].lower() for outer in expected]:
                        continue
                while expected.pop()[1:].lower() != closed:
                    pass
                if not expected:
                    return
            elif name.startswith("<"):
                ended = name.endswith(">") and at >= len(line.text)
                expected.append(name.part(0, len(name) - 1) if ended else name)
        raise node.name.error(
            f"{node.title} is not closed", f"</{node.name[1:]}> is missing before the file's end"
        )

    def expanded(self, line: Line) -> Line:
        """
        The line with its ``${variables}`` replaced, as ``ap_resolve_env`` does.

        A name that nobody defined stays as it is, and a notice says so; names
        with a colon are other modules' (RewriteMap).

        :raises ConfigurationError: when it becomes too long.
        """
        text = line.text
        pieces: list[str] = []
        marks: list[Mark] = []
        at = length = 0
        # Behind the last brace each "${" would be looked through to the end of the line.
        for match in _VARIABLE.finditer(text, 0, text.rfind("}") + 1):
            name = match[1]
            value = self.variables.get(name, self.environment.get(name))
            if value is None:
                if ":" not in name:
                    self.warn(line, match.start(), f"${{{name}}} is not defined")
                continue
            self._copyMarks(line, at, match.start(), length, marks)
            pieces += text[at : match.start()], value
            length += match.start() - at
            marks.append(Mark(length, *line.place(match.start()), 0))
            length += len(value)
            at = match.end()
            if length > MAX_LINE:
                raise line.error(f"the line is longer than {MAX_LINE} characters", match.start())
        if not pieces:
            return line
        self._copyMarks(line, at, len(text), length, marks)
        pieces.append(text[at:])
        return Line(line.file, "".join(pieces), tuple(marks))

    @staticmethod
    def _copyMarks(line: Line, start: int, end: int, length: int, marks: list[Mark]) -> None:
        """Append the marks of ``line.text[start:end]``, which moves to ``length``."""
        marks.append(Mark(length, *line.place(start)))
        for mark in line.marks:
            if start < mark.offset < end:
                marks.append(mark._replace(offset=length + mark.offset - start))
