"""
Configuration files as logical lines, each of which knows where its characters came from.

As httpd's ``ap_cfg_getline``: a backslash right before the line's end joins it
with the next one (comments too), white space around the whole is dropped.
httpd keeps the number of the *last* physical line; we keep a mark for each
piece, so that a mistake is shown where it is, also behind a continuation or a
``${variable}``.

Text is UTF-8 with surrogate escapes: any file can be read, and :func:`encode`
gives back the bytes that were in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from twisted_fcgi.errors import ConfigurationError

__all__ = ["MAX_LINE", "SPACE", "Line", "Mark", "SourceFile", "decode", "encode", "logicalLines"]

#: What C's ``isspace`` takes for white space; never Unicode's idea of it.
SPACE = " \t\n\v\f\r"

#: Most characters of a logical line, as in httpd (VARBUF_MAX_LEN).
MAX_LINE = 16 * 1024 * 1024


def decode(data: bytes) -> str:
    """The text of a file's bytes."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that :func:`decode` made ``text`` from."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class SourceFile:
    """
    A file that was read.

    :ivar name: as errors name it.
    :ivar lines: its physical lines, without their ends.
    :ivar restricted: whether who wrote it must not read all that the gateway can.
    """

    name: str
    lines: list[str] = field(repr=False)
    restricted: bool = False

    @classmethod
    def fromText(cls, name: str, text: str, restricted: bool = False) -> SourceFile:
        """Split a file's whole text."""
        return cls(name, text.split("\n"), restricted)

    def error(self, message: str, line: int, column: int = 1, hint: str = "") -> ConfigurationError:
        """A mistake at a place in this file."""
        text = self.lines[line - 1].rstrip(SPACE) if 0 < line <= len(self.lines) else ""
        return ConfigurationError(message, self.name, line, column, text, hint)


class Mark(NamedTuple):
    """
    From ``offset`` on, a line's characters come from this place.

    :ivar step: 1, or 0 where all of them stand for one place (a variable's value).
    """

    offset: int
    line: int
    column: int
    step: int = 1


@dataclass(slots=True, eq=False)
class Line:
    """
    A logical line: trimmed, continuation lines joined.

    :ivar marks: ascending, the first at offset 0.
    """

    file: SourceFile
    text: str
    marks: tuple[Mark, ...]

    def place(self, offset: int) -> tuple[int, int]:
        """
        Where a character came from.

        :returns: line and column, both from 1.
        """
        marks = self.marks
        mark = marks[max(0, bisect_right(marks, offset, key=lambda m: m.offset) - 1)]
        return mark.line, mark.column + (offset - mark.offset) * mark.step

    def error(self, message: str, offset: int = 0, hint: str = "") -> ConfigurationError:
        """A mistake at a character of this line."""
        return self.file.error(message, *self.place(offset), hint)


def logicalLines(file: SourceFile) -> Iterator[Line]:
    """
    The logical lines of a file, empty ones and comments left out.

    :raises ConfigurationError: for a line that is too long or has a NUL.
    """
    physical = file.lines
    last = len(physical) - 1
    at = 0
    while at <= last:
        text = physical[at]
        number = at + 1
        at += 1
        if text.endswith(("\\", "\\\r")) and number <= last:
            text, marks, at = _joined(physical, at - 1)
        else:
            marks = None
        stripped = text.strip(SPACE)
        if not stripped or stripped[0] == "#":
            continue
        if "\0" in stripped:
            raise file.error("there is a NUL character in this line", number)
        if len(stripped) > MAX_LINE:
            raise file.error(f"this line is longer than {MAX_LINE} characters", number)
        indent = len(text) - len(text.lstrip(SPACE))
        if marks is None:
            yield Line(file, stripped, (Mark(0, number, indent + 1),))
        else:
            yield Line(file, stripped, _shifted(marks, indent))


def _joined(physical: list[str], at: int) -> tuple[str, list[Mark], int]:
    """Join continuation lines; a backslash on the file's last line continues nothing."""
    pieces: list[str] = []
    marks: list[Mark] = []
    length = 0
    last = len(physical) - 1
    while True:
        piece = physical[at]
        at += 1
        marks.append(Mark(length, at, 1))
        continued = at <= last and piece.endswith(("\\", "\\\r"))
        if continued:
            piece = piece.removesuffix("\r")[:-1]
        pieces.append(piece)
        length += len(piece)
        if not continued or length > MAX_LINE:
            return "".join(pieces), marks, at


def _shifted(marks: list[Mark], indent: int) -> tuple[Mark, ...]:
    """The marks after ``indent`` characters were dropped at the front."""
    kept = []
    for place, mark in enumerate(marks):
        following = marks[place + 1].offset if place + 1 < len(marks) else None
        if following is not None and following <= indent:
            continue
        dropped = max(0, indent - mark.offset)
        kept.append(Mark(max(0, mark.offset - indent), mark.line, mark.column + dropped))
    return tuple(kept)
