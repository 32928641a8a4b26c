"""
An expression of PCRE to one of ``re``, token by token.

httpd compiles with DOTALL and DOLLAR_ENDONLY (``ap_pregcomp``).  ``$`` becomes
``\\Z``, ``(?<name>`` becomes ``(?P<name>``, a flag in the middle becomes a group
around the rest of its branch, branches of a look-behind are taken apart, an
escape becomes what it stands for.  There are no flags left for ``re`` to read but
the one for case.

Recursion, verbs, branch reset, assertions as conditions, references to groups
that are not complete, ``\\K``, ``\\R``, ``\\X`` and ``\\p`` can't be done.  Atomic groups
and possessive repeats need Python 3.11.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace

from twisted_fcgi.pcre.characters import SETS, CharacterReader, PatternError, literal, writeClass

__all__ = ["compilePattern"]

#: Most repeats that PCRE's ``{n,m}`` allows.
MAX_REPEAT = 65535

_ATOMIC = sys.version_info >= (3, 11)

_QUANTIFIER = re.compile(r"\{(\d+)(?:(,)(\d*))?\}", re.ASCII)
_NEWER_QUANTIFIER = re.compile(r"\{ *(?:\d+ *(?:, *\d* *)?|, *\d+ *)\}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FLAGS = re.compile(r"(\^?)([imsxnJU]*)(?:-([imsxnJU]*))?([:)])")
_NAMED_GROUP = re.compile(r"\?(?:P?<(?![=!])|')")
_CONDITION = re.compile(r"\?\(([<']?)([+-]?\d+|\w+)[>']?\)", re.ASCII)
_REFERENCE = re.compile(r"([{<'])([A-Za-z_]\w*|[+-]?\d+)[}>']|()([+-]?\d+)", re.ASCII)
_DIGITS = re.compile(r"[0-9]+")

#: What is no group's parenthesis, for counting groups.
_NO_GROUPS = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", re.DOTALL)
_GROUP = re.compile(r"\((?!\?(?!P?<(?![=!])|')|\*)")


def compilePattern(text: bytes, *, ignoreCase: bool = False) -> re.Pattern[bytes]:
    """
    Compile an expression as ``ap_pregcomp`` does.

    :param ignoreCase: AP_REG_ICASE.
    :raises PatternError: when it is wrong or can't be done.
    """
    translator = _Translator(text.decode("latin-1"), ignoreCase)
    translated = translator.translate().encode("latin-1")
    try:
        return re.compile(translated, re.DOTALL | (re.IGNORECASE if ignoreCase else 0))
    except (re.error, OverflowError, RecursionError) as error:
        # what is left are mistakes whose place in the original is not known exactly
        raise PatternError(str(error).split(" at position")[0], 0) from None


#: Escapes that always stand for the same, and whether that can be repeated.
_FIXED = {
    "A": (r"\A", False),
    "B": (r"(?!\b)", False),  # before Python 3.14, \B does not match in an empty text
    "C": (".", True),
    "Z": (r"(?=\n?\Z)", False),
    "b": (r"\b", False),
    "z": (r"\Z", False),
    **{letter: (f"\\{letter}", True) for letter in "dDwWsS"},
    **{letter: (writeClass(SETS[letter]), True) for letter in "hHvV"},
}


@dataclass(frozen=True)
class _Flags:
    """Options at a place: case, multi-line, dot-all, extended, ungreedy, no captures."""

    i: bool = False
    m: bool = False
    s: bool = True
    x: bool = False
    U: bool = False
    n: bool = False


@dataclass
class _Group:
    """
    An open group.

    :ivar opening: what it begins with, in the translation.
    :ivar at: where, in the original.
    :ivar flags: those to come back to behind it.
    :ivar number: its own, when it captures.
    :ivar branches: the translations of its alternatives; the last one is being made.
    :ivar scopes: groups for case that were opened in it, and are closed with each branch.
    """

    opening: str
    at: int
    flags: _Flags
    number: int = 0
    branches: list[list[str]] = field(default_factory=lambda: [[]])
    scopes: list[str] = field(default_factory=list)

    def assembled(self) -> str:
        """Its translation, without what closes it."""
        self.branches[-1].append(")" * len(self.scopes))
        branches = ["".join(branch) for branch in self.branches]
        if len(branches) == 1 or self.opening not in ("(?<=", "(?<!"):
            return self.opening + "|".join(branches)
        # PCRE's branches may differ in length, those of ``re`` may not
        glue = "|" if self.opening == "(?<=" else ""
        return "(?:" + glue.join(f"{self.opening}{branch})" for branch in branches)


class _Translator(CharacterReader):
    """Reads an expression once, from left to right."""

    def __init__(self, text: str, ignoreCase: bool) -> None:
        super().__init__(text)
        self.flags = _Flags(i=ignoreCase)
        self.groups = [_Group("", 0, self.flags)]
        self.names: dict[str, int] = {}
        self.count = 0
        self.complete: set[int] = set()
        self.repeatable = False

    def emit(self, piece: str, repeatable: bool = True) -> None:
        """Append to the translation."""
        self.groups[-1].branches[-1].append(piece)
        self.repeatable = repeatable

    def translate(self) -> str:
        """Translate the whole."""
        text = self.text
        while self.at < len(text):
            character = text[self.at]
            token = _TOKENS.get(character)
            if token is not None:
                token(self)
            elif self.flags.x and character in " \t\n\v\f\r":
                self.at += 1
            elif self.flags.x and character == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end + 1
            else:
                self.at += 1
                self.emit(literal(ord(character)))
        if len(self.groups) > 1:
            self.fail("a parenthesis is not closed", self.groups[-1].at)
        return self.groups[0].assembled()

    # tokens

    def dot(self) -> None:
        """``.``"""
        self.at += 1
        self.emit("." if self.flags.s else r"[^\n]")

    def caret(self) -> None:
        """``^``; with multi-line also behind each newline but one at the very end."""
        self.at += 1
        self.emit(r"(?:^|(?<=\n)(?!\Z))" if self.flags.m else "^", False)

    def dollar(self) -> None:
        """``$``: the very end; with multi-line also before each newline."""
        self.at += 1
        self.emit(r"(?=\n|\Z)" if self.flags.m else r"\Z", False)

    def brackets(self) -> None:
        """``[...]``"""
        self.emit(self.bracket(self.flags.i))

    def bar(self) -> None:
        """``|``; a flag in a branch holds in those behind it too."""
        self.at += 1
        group = self.groups[-1]
        if group.opening.startswith("(?(") and len(group.branches) == 2:
            self.fail("a condition has more than two branches", self.at - 1)
        group.branches[-1].append(")" * len(group.scopes))
        group.branches.append(list(group.scopes))
        self.repeatable = False

    def brace(self) -> None:
        """``{``: a repeat, or itself."""
        match = _QUANTIFIER.match(self.text, self.at)
        if match is not None:
            least = int(match[1])
            most = int(match[3]) if match[3] else least
            if max(least, most) > MAX_REPEAT:
                self.fail(f"a repeat of more than {MAX_REPEAT} is too big")
            if most < least:
                self.fail("the numbers of a repeat are out of order")
            self.repeat(match[0])
        elif _NEWER_QUANTIFIER.match(self.text, self.at):
            self.fail("PCRE's versions differ about this; write {0,n}, without spaces")
        else:
            self.at += 1
            self.emit(r"\{")

    def repeat(self, quantifier: str = "") -> None:
        """``*``, ``+``, ``?`` or ``{n,m}``, with what makes it lazy or possessive."""
        quantifier = quantifier or self.text[self.at]
        if not self.repeatable:
            self.fail("there is nothing to repeat")
        start = self.at
        self.at += len(quantifier)
        kind = self.text[self.at : self.at + 1]
        if kind in ("?", "+"):
            self.at += 1
        if kind == "+":
            self.needsAtomic("a possessive repeat", start)
            self.emit(quantifier + "+", False)
        else:
            self.emit(quantifier + ("?" if (kind == "?") != self.flags.U else ""), False)

    def needsAtomic(self, what: str, at: int) -> None:
        """Give up where ``re`` has no atomic groups yet."""
        if not _ATOMIC:
            self.cannot(f"{what}, before Python 3.11,", at)

    # groups

    def open(self) -> None:
        """``(`` and all that may follow it."""
        text, start = self.text, self.at
        self.at += 1
        if text.startswith("*", self.at):
            self.cannot("a verb, as (*UTF8),", start)
        if not text.startswith("?", self.at):
            self.capture("", start)
            return
        named = _NAMED_GROUP.match(text, self.at)
        if named is not None:
            self.at = named.end()
            self.capture(self.name("'" if named[0].endswith("'") else ">"), start)
            return
        rest = text[self.at + 1 : self.at + 4]
        for opening in ("<=", "<!", "=", "!", ":", ">"):
            if rest.startswith(opening):
                self.at += 1 + len(opening)
                if opening == ">":
                    self.needsAtomic("an atomic group", start)
                self.push("(?" + opening, start)
                return
        if rest.startswith("#"):
            end = text.find(")", self.at)
            if end < 0:
                self.fail("a comment is not closed", start)
            self.at = end + 1
        elif rest.startswith("P="):
            self.at += 3
            self.reference(self.name(")"), start)
        elif rest.startswith("("):
            self.condition(start)
        elif rest.startswith("|"):
            self.cannot("a branch reset group", start)
        elif rest.startswith("C"):
            self.cannot("a callout", start)
        elif rest[:1] in ("R", "&", "+") or rest.startswith("P>") or re.match(r"-?[0-9]", rest):
            self.cannot("recursion", start)
        else:
            self.options(start)

    def push(self, opening: str, start: int, number: int = 0) -> None:
        """Enter a group."""
        self.groups.append(_Group(opening, start, self.flags, number))
        self.repeatable = False

    def close(self) -> None:
        """``)``; flags end with their group."""
        if len(self.groups) == 1:
            self.fail("a parenthesis was not opened")
        group = self.groups.pop()
        self.at += 1
        self.flags = group.flags
        self.complete.add(group.number)
        self.emit(group.assembled() + ")")

    def capture(self, name: str, start: int) -> None:
        """Enter a capturing group; without a name it is none under (?n)."""
        if not name and self.flags.n:
            self.push("(?:", start)
            return
        self.count += 1
        if name:
            if name in self.names:
                self.cannot(f"a second group named {name!r}", start)
            self.names[name] = self.count
        self.push(f"(?P<{name}>" if name else "(", start, self.count)

    def name(self, closing: str) -> str:
        """A group's name, and what ends it."""
        match = _NAME.match(self.text, self.at)
        if match is None or not self.text.startswith(closing, match.end()):
            self.fail("a group's name is expected")
        self.at = match.end() + len(closing)
        return match[0]

    def condition(self, start: int) -> None:
        """``(?(1)yes|no)``, ``(?(<name>)yes|no)``"""
        match = _CONDITION.match(self.text, self.at)
        if match is None:
            self.cannot("an assertion as a condition", start)
        number = self.number(match[2])
        if number not in self.complete:
            self.cannot(f"the condition {match[2]!r} on no complete group", start)
        self.at = match.end()
        self.push(f"(?({number})", start)

    def options(self, start: int) -> None:
        """``(?i)``, ``(?i-s:`` ...; a flag in the middle of a group is one around its rest."""
        match = _FLAGS.match(self.text, self.at + 1)
        if match is None:
            self.fail("this is no group that PCRE has", start)
        before = self.flags
        flags = _Flags(s=False, U=before.U) if match[1] else before
        for letters, value in ((match[2], True), (match[3] or "", False)):
            for letter in letters.replace("J", ""):  # no name is given twice in any case
                flags = replace(flags, **{letter: value})
        self.at = match.end()
        case = "(?i:" if flags.i else "(?-i:"
        if match[4] == ":":
            self.push(case if flags.i != before.i else "(?:", start)
        elif flags.i != before.i:
            self.groups[-1].scopes.append(case)
            self.emit(case)
        self.flags = flags
        self.repeatable = False

    # escapes

    def escape(self) -> None:
        """A backslash outside brackets."""
        start = self.at
        letter = self.text[start + 1 : start + 2]
        self.at += 2
        if letter in _FIXED:
            self.emit(*_FIXED[letter])
        elif letter == "N":
            if self.text.startswith("{", self.at) and not _QUANTIFIER.match(self.text, self.at):
                self.cannot("a character by its name", start)
            self.emit(r"[^\n]")
        elif letter == "Q":
            self.quoted(lambda code: self.emit(literal(code)))
        elif letter and letter in "gk":
            match = _REFERENCE.match(self.text, self.at)
            if match is None or (letter == "k" and match[4]):
                self.fail(f"a group is expected behind \\{letter}", start)
            if letter == "g" and match[1] in ("<", "'"):
                self.cannot("recursion", start)
            self.at = match.end()
            self.reference(match[2] or match[4], start)
        elif letter and letter in "123456789" and self.isReference():
            match = _DIGITS.match(self.text, start + 1)
            assert match is not None
            self.at = match.end()
            self.reference(match[0], start)
        elif letter != "E":
            self.at = start
            self.emit(literal(self.character()))

    def isReference(self) -> bool:
        """Whether digits are a group's number; from 10 on, without so many groups, they are not."""
        digits = self.text[self.at - 1 :]
        match = _DIGITS.match(digits)
        assert match is not None
        return len(match[0]) == 1 or digits[0] in "89" or int(match[0]) <= self.groupsInAll()

    def groupsInAll(self) -> int:
        """How many groups the whole expression has."""
        return len(_GROUP.findall(_NO_GROUPS.sub("x", self.text)))

    def number(self, which: str) -> int:
        """A group's number by its name, its number, or counted from here; 0 for none."""
        if not re.fullmatch("[+-]?[0-9]+", which):
            return self.names.get(which, 0)
        number = int(which)
        if which[0] == "-":
            return max(0, self.count + 1 + number)
        return self.count + number if which[0] == "+" else number

    def reference(self, which: str, start: int) -> None:
        """A back-reference."""
        number = self.number(which)
        if number == 0 or number > self.groupsInAll():
            self.fail(f"there is no group {which} before this", start)
        if number not in self.complete:
            self.cannot("a reference to a group that is not complete", start)
        self.emit(f"(?:\\{number})")


_TOKENS = {
    ".": _Translator.dot,
    "^": _Translator.caret,
    "$": _Translator.dollar,
    "[": _Translator.brackets,
    "|": _Translator.bar,
    "*": _Translator.repeat,
    "+": _Translator.repeat,
    "?": _Translator.repeat,
    "{": _Translator.brace,
    "(": _Translator.open,
    ")": _Translator.close,
    "\\": _Translator.escape,
}
