"""Directives of mod_rewrite, but for RewriteRule."""

from __future__ import annotations

import os
import re
from typing import Any

from twisted_fcgi.config.expressions import condition
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.rewriting import RewritingDraft, flagsOf, rawWords
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import pattern
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import RewriteCondition, RewriteMap

__all__ = ["drafted", "rest", "rows"]

rows = Rows("mod_rewrite")

#: The largest file of a RewriteMap.
MAX_MAP = 64 * 1024 * 1024


def drafted(scope: Scope) -> RewritingDraft:
    """What the section says of mod_rewrite; its server has something to say, too, from now on."""
    for section in (scope.server.directory, scope.section):
        if section.rewriting is None:
            section.rewriting = RewritingDraft()
    assert scope.section.rewriting is not None
    return scope.section.rewriting


def rest(scope: Scope) -> Word:
    """All that follows the directive's name, as it stands in the file."""
    node = scope.node
    return Word.make(node.line.text[node.at : node.end], node.line, node.at, node.end, "raw")


@rows.directive(
    "RewriteEngine",
    Shape.FLAG,
    Context.ANYWHERE,
    syntax="On|Off",
    default="Off",
    example="RewriteEngine On",
    override=Override.FILE_INFO,
)
def rewriteEngine(scope: Scope, on: bool) -> None:
    """Whether rules are applied, the server's too for the URLs of a ``<Location>``."""
    drafted(scope).enabled = on


_OPTIONS = frozenset(
    "inherit inheritbefore inheritdown inheritdownbefore ignoreinherit allownoslash allowanyuri "
    "mergebase ignorecontextinfo legacyprefixdocroot unsafeprefixstat".split()
)


@rows.directive(
    "RewriteOptions",
    Shape.ITERATE,
    Context.ANYWHERE,
    syntax="option ...",
    example="RewriteOptions InheritBefore",
    override=Override.FILE_INFO,
)
def rewriteOptions(scope: Scope, word: Word) -> None:
    """
    Whose rules are inherited, and how paths are read.

    Inherit, InheritBefore, InheritDown, InheritDownBefore, IgnoreInherit; AllowNoSlash,
    MergeBase, LegacyPrefixDocRoot, UnsafePrefixStat.
    """
    draft = drafted(scope)
    draft.options = draft.options or frozenset()
    for found in re.finditer(r"\S+", word):
        part = word.part(found.start(), found.end())
        option = part.lower()
        if option.startswith("maxredirects="):
            scope.warn(part, "MaxRedirects is no option any more, LimitInternalRecursion is meant")
            continue
        if option not in _OPTIONS:
            raise part.error(f"RewriteOptions: unknown option {str(part)!r}", "Inherit")
        if option == "allowanyuri":
            scope.warn(part, "a target that is no path is never rewritten here")
        draft.options |= {option}


@rows.directive(
    "RewriteBase",
    Shape.TAKE1,
    Context.SECTIONS,
    syntax="path",
    example="<Directory /srv/www/blog>\n    RewriteBase /blog/\n</Directory>",
    override=Override.FILE_INFO,
)
def rewriteBase(scope: Scope, word: Word) -> None:
    """The URL's path of the directory, which takes its place in what a rule makes."""
    if not word.startswith("/"):
        raise word.error("RewriteBase: argument is not a valid URL", "/blog/")
    drafted(scope).base = encode(word)


@rows.directive(
    "RewriteMap",
    Shape.TAKE23,
    Context.SERVER,
    syntax="name txt:file|rnd:file|int:function",
    example="RewriteMap lower int:tolower",
)
def rewriteMap(scope: Scope, name: Word, source: Word, owner: Word | None) -> None:
    """
    A table for ``${name:key|default}`` in rules.

    A file has a key and a value a line and is read when the configuration is; ``rnd:`` takes one
    of the values between ``|``.  Functions: toupper, tolower, escape, unescape.
    """
    kind, colon, rest = source.partition(":")
    kind = kind.lower()
    draft = drafted(scope)
    if colon and kind == "int":
        if rest not in ("toupper", "tolower", "escape", "unescape"):
            raise source.error(f"RewriteMap: internal map not found: {rest}", "int:tolower")
        draft.maps[encode(name)] = RewriteMap(function=rest)
        return
    if kind == "prg" and colon:
        raise source.error(
            "RewriteMap prg: is not supported, because a program that answers one request at a "
            "time would stop all others"
        )
    if (kind in ("dbd", "fastdbd", "dbm") and colon) or kind.startswith("dbm="):
        raise source.error(f"RewriteMap {kind}: is not supported, because no database is read")
    path = source.part(4) if colon and kind in ("txt", "rnd") else source
    draft.maps[encode(name)] = RewriteMap(
        entries=entriesOf(scope, path), random=bool(colon) and kind == "rnd"
    )


def entriesOf(scope: Scope, path: Word) -> dict[bytes, bytes]:
    """The keys and values of a RewriteMap's file; of equal keys the first counts."""
    entries: dict[bytes, bytes] = {}
    try:
        with open(scope.path(path), "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_MAP:
                raise path.error(f"RewriteMap: the file is larger than {MAX_MAP} bytes")
            for line in file:
                words = line.split(None, 2)
                if len(words) > 1 and line[:1] != b"#" and not line[:1].isspace():
                    entries.setdefault(words[0], words[1])
    except OSError as error:
        raise path.error(f"RewriteMap: {path}: {error.strerror}") from None
    return entries


# RewriteCond.

_CONDITION_FLAGS = {
    "nc": "NC",
    "nocase": "NC",
    "or": "OR",
    "ornext": "OR",
    "nv": "NV",
    "novary": "NV",
}
_FILE_TESTS = {
    "-f": "-f",
    "-s": "-s",
    "-d": "-d",
    "-x": "-x",
    "-h": "-l",
    "-L": "-l",
    "-l": "-l",
    "-U": "-U",
    "-F": "-F",
}


@rows.directive(
    "RewriteCond",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="text [!]test [flags]",
    example="RewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^ /index.php [L]",
    override=Override.FILE_INFO,
)
def rewriteCond(scope: Scope, _: list[Word]) -> None:
    """
    A condition of the next RewriteRule.

    The text may hold ``%{VARIABLE}``, ``%{HTTP:field}``, ``%{ENV:name}``, ``%{LA-U:name}``,
    ``$1`` of the rule and ``%1`` of the condition before.  Tests: an expression, ``=``,
    ``<``, ``>``, ``<=``, ``>=`` with a text, ``-eq``, ``-ne``, ``-lt``, ``-le``, ``-gt``, ``-ge``
    with a number, ``-d -f -s -l -x -F -U``; or ``expr`` as the text and an ap_expr.  Flags: NC, OR,
    NV (no Vary).
    """
    words = rawWords(rest(scope))
    if len(words) < 2:
        raise scope.error("RewriteCond: bad argument line", 'RewriteCond %{HTTPS} "=on"')
    text, test = words[:2]
    if (at := openBrace(text)) is not None:
        scope.warn(text.part(at), "a brace is missing: this is text, and no variable")
    flags = frozenset(conditionFlag(name) for word in words[2:] for name, value in flagsOf(word))
    made = conditionOf(text, test, flags)
    if "NC" in flags and made.test not in ("regex", "=", "<", "<=", ">", ">="):
        scope.warn(test, "the flag NC means nothing to this test")
    drafted(scope).conditions.append(made)


def openBrace(text: str) -> int | None:
    """Where a ``%{`` or ``${`` is that nothing closes, or the end of one that lacks its brace."""
    opened: list[int] = []
    for match in re.finditer(r"\\.|[%$]\{|%[A-Z_]{3,}\}|\{|\}", text):
        if match[0].endswith("{"):
            opened.append(match.start())
        elif match[0] == "}" and opened:
            opened.pop()
        elif match[0][0] == "%":
            return match.start()
    return next((at for at in opened if text[at] in "%$"), None)


def conditionFlag(name: Word) -> str:
    """A flag of RewriteCond, in its short form."""
    flag = _CONDITION_FLAGS.get(name.lower())
    if flag is None:
        raise name.error(f"RewriteCond: unknown flag {str(name)!r}", "NC, OR or NV")
    return flag


def conditionOf(text: Word, test: Word, flags: frozenset[str]) -> RewriteCondition:
    """A condition from its two words."""
    negated = test.startswith("!")
    if negated:
        test = test.part(1)

    def made(kind: str, operand: Word | str = "", **columns: Any) -> RewriteCondition:
        fields = {"negated": negated, **columns}
        return RewriteCondition(encode(text), kind, encode(operand), flags=flags, **fields)

    if text.lower() == "expr":
        return made("expr", test, holds=condition(test))
    if test in _FILE_TESTS:
        return made(_FILE_TESTS[test])
    if len(test) > 3 and (number := re.match("-(?:eq|ne|lt|le|gt|ge)", test)) is not None:
        if number[0] == "-ne":
            return made("-eq", test.part(3), negated=not negated)
        return made(number[0], test.part(3))
    if len(test) > 1 and (order := re.match("[<>]=?|=", test)) is not None:
        operand = test.part(order.end())
        return made(order[0], "" if order[0] == "=" and operand == '""' else operand)
    return made("regex", test, pattern=pattern(test, "NC" in flags))
