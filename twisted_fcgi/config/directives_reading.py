"""
Directives that act while files are read: Include, Define, conditional sections.

Their functions take the :class:`~twisted_fcgi.config.tree.TreeReader` and the node.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterator

from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.tree import MAX_FILES, MAX_INCLUDE_DEPTH, Node, TreeReader
from twisted_fcgi.config.values import pathError, pattern
from twisted_fcgi.config.words import Word, getWord, splitWords
from twisted_fcgi.errors import ConfigurationError
from twisted_fcgi.pcre import compileWildcards, hasWildcards

__all__ = ["findModule", "rows"]

rows = Rows("core")

#: The modules that ``<IfModule>`` finds: those whose work is done here, and those whose
#: directives must not be passed over when they are not (Require).
MODULES = frozenset(
    (
        *("core", "http", "so", "unixd", "version", "watchdog", "slotmem_shm"),
        *("mime", "dir", "alias", "actions", "allowmethods", "rewrite", "env", "setenvif"),
        "reqtimeout",
        *("authn_core", "authz_core", "authz_host"),
        *("headers", "proxy", "proxy_fcgi", "proxy_balancer", "proxy_hcheck", "mpm_event"),
        *("lbmethod_byrequests", "lbmethod_bytraffic", "lbmethod_bybusyness"),
        *("lbmethod_heartbeat", "heartmonitor"),
    )
)

#: The file that a module is named after, where it is not ``mod_name.c``.
_FILES = {"core.c": "core", "http_core.c": "http", "event.c": "mpm_event"}

#: The release of httpd that ``<IfVersion>`` compares with: the one that is followed.
VERSION = (2, 4, 71)


def findModule(name: str) -> bool:
    """Whether a module is here: by its file (``mod_proxy.c``) or symbol (``proxy_module``)."""
    if name.endswith("_module"):
        return name[: -len("_module")] in MODULES
    if name in _FILES:
        return True
    stem = name.removeprefix("mod_").removesuffix(".c")
    return name == f"mod_{stem}.c" and stem in MODULES - set(_FILES.values())


def onRead(name: str, shape: Shape, **columns: object) -> Callable[..., Callable[..., None]]:
    """A row for a directive that acts while files are read; it may stand anywhere."""
    return rows.directive(name, shape, Context.ANYWHERE, onRead=True, **columns)


def one(reader: TreeReader, node: Node) -> Word:
    """The only argument."""
    word, at = getWord(node.line, node.at, node.end)
    if not word or at < node.end:
        raise node.line.error(f"{node.title} takes one argument", at)
    return word


@onRead(
    "Include",
    Shape.TAKE1,
    syntax="file|directory|wildcard",
    example="Include conf.d/*.conf",
)
def include(reader: TreeReader, node: Node) -> None:
    """
    Reads other files in its place.

    Relative paths begin at ServerRoot.  Wildcards may stand in any part of the path; what
    they find is read in alphabetical order, directories with all that is in them.  It is a
    mistake when there is nothing.
    """
    includeFiles(reader, node, optional=False)


@onRead(
    "IncludeOptional",
    Shape.TAKE1,
    syntax="file|directory|wildcard",
    example="IncludeOptional sites-enabled/*.conf",
)
def includeOptional(reader: TreeReader, node: Node) -> None:
    """Reads other files in its place, if there are any."""
    includeFiles(reader, node, optional=True)


def includeFiles(reader: TreeReader, node: Node, optional: bool) -> None:
    """Read what a word names."""
    word = one(reader, node)
    if reader.depth >= MAX_INCLUDE_DEPTH:
        reader.stop(
            word.error(
                f"files include each other more than {MAX_INCLUDE_DEPTH} deep",
                "probably a file includes itself",
            )
        )

    def missing(what: str) -> ConfigurationError | None:
        return None if optional else pathError(word, what)

    path = os.path.join(reader.serverRoot, word)
    reader.depth += 1
    try:
        for name in found(path, missing):
            reader.files += 1
            if reader.files > MAX_FILES:
                reader.stop(word.error(f"there are more than {MAX_FILES} included files"))
            try:
                text = reader.readFile(name)
            except OSError as error:
                raise pathError(word, f"{name}: {error.strerror}") from None
            reader.readText(name, text)
    except OSError as error:
        raise pathError(word, f"{error.filename}: {error.strerror}") from None
    finally:
        reader.depth -= 1


def found(path: str, missing: Callable[[str], Exception | None]) -> Iterator[str]:
    """The files that a path stands for, in their order."""
    parts = os.path.normpath(path).split("/")
    yield from _expand("/", [part for part in parts if part], missing)


def _expand(
    base: str, parts: list[str], missing: Callable[[str], Exception | None]
) -> Iterator[str]:
    """Walk one path; a part with wildcards takes all entries that match."""
    for index, part in enumerate(parts):
        if not hasWildcards(part):
            base = os.path.join(base, part)
            continue
        wanted = compileWildcards(encode(part), hidden=False)
        try:
            names = sorted(os.listdir(base), key=os.fsencode)
        except OSError as error:
            if (failure := missing(f"{base}: {error.strerror}")) is not None:
                raise failure from None
            return
        inner = index + 1 < len(parts)
        matched = [os.path.join(base, name) for name in names if wanted.search(os.fsencode(name))]
        if not matched and (failure := missing(f"nothing matches {part!r} in {base}")) is not None:
            raise failure
        for name in matched:
            if not inner or os.path.isdir(name):
                yield from _expand(name, parts[index + 1 :], missing)
        return
    yield from _below(base, missing)


def _below(path: str, missing: Callable[[str], Exception | None]) -> Iterator[str]:
    """A file, or all files of a directory and the directories in it."""
    if os.path.isdir(path):
        for name in sorted(os.listdir(path), key=os.fsencode):
            yield from _below(os.path.join(path, name), missing)
    elif os.path.lexists(path):
        yield path
    elif (failure := missing(f"{path}: there is no such file")) is not None:
        raise failure


@onRead("Define", Shape.TAKE12, syntax="name [value]", example="Define ROOT /srv/www")
def define(reader: TreeReader, node: Node) -> None:
    """Defines a name for ``<IfDefine>``; with a value also a variable, ``${name}``."""
    words = splitWords(node.line, node.at, node.end)
    if not 1 <= len(words) <= 2 or not words[0]:
        raise node.line.error("Define takes 1-2 arguments", node.end, "Define name [value]")
    name = checkedName(words[0])
    reader.defines[name] = None
    if len(words) == 2 and words[1]:
        reader.variables[name] = str(words[1])


@onRead("UnDefine", Shape.TAKE1, syntax="name", example="UnDefine ROOT")
def undefine(reader: TreeReader, node: Node) -> None:
    """Takes a Define back."""
    name = checkedName(one(reader, node))
    reader.defines.pop(name, None)
    reader.variables.pop(name, None)


def checkedName(word: Word) -> str:
    """A variable's name; colons belong to RewriteMap."""
    if ":" in word:
        raise word.error("a variable's name must not contain ':'", index=word.index(":"))
    return str(word)


@onRead(
    "ServerRoot",
    Shape.TAKE1,
    syntax="directory",
    default="the file's directory",
    example='ServerRoot "/etc"',
)
def serverRoot(reader: TreeReader, node: Node) -> None:
    """What relative paths begin at."""
    word = one(reader, node)
    path = os.path.abspath(word)
    if not os.path.isdir(path):
        raise pathError(word, "ServerRoot must be a valid directory")
    reader.serverRoot = path


@onRead(
    "LoadModule",
    Shape.TAKE2,
    origin="mod_so",
    syntax="name file",
    example="LoadModule proxy_fcgi_module modules/mod_proxy_fcgi.so",
)
def loadModule(reader: TreeReader, node: Node) -> None:
    """Ignored: there are no modules; what is supported is always there."""
    if len(splitWords(node.line, node.at, node.end)) != 2:
        raise node.line.error("LoadModule takes two arguments", node.end, "LoadModule name file")
    reader.ignored["LoadModule"] = None


def conditional(
    name: str, test: Callable[[TreeReader, Word, list[Word]], bool], doc: str, **columns: object
) -> None:
    """A row for a section that is kept or skipped."""

    def apply(reader: TreeReader, node: Node) -> None:
        raw = node.line.text[node.at : node.end]
        negated = raw.startswith("!")
        words = splitWords(node.line, node.at + negated, node.end)
        if not words or not words[0]:
            reader.skip(node)
            raise node.name.error(f"{name}> needs an argument")
        try:
            kept = test(reader, words[0], words[1:]) != negated
        except ConfigurationError:
            reader.skip(node)
            raise
        if not kept:
            reader.skip(node)
        elif not reader.readUntil(f"</{name[1:].lower()}>"):
            reader.warn(node.line, 0, f"{name}> is not closed; it ends with the file")

    onRead(name, Shape.WORDS, doc=doc, override=Override.ANY, **columns)(apply)


def _module(reader: TreeReader, word: Word, more: list[Word]) -> bool:
    if findModule(word):
        return True
    reader.absent[str(word)] = None
    return False


def _file(reader: TreeReader, word: Word, more: list[Word]) -> bool:
    return os.path.exists(os.path.join(reader.serverRoot, word))


_COMPARISONS = {
    "=": operator.eq,
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def _version(reader: TreeReader, word: Word, more: list[Word]) -> bool:
    """``[operator] version``; with ``~``, or between slashes, the version is an expression."""
    sign, version = (str(word), more[0]) if more else ("=", word)
    negated = sign.startswith("!")
    sign = sign.removeprefix("!")
    if version.startswith("/") and version.endswith("/") and len(version) > 1:
        sign, version = "~", version.part(1, len(version) - 1)
    if sign == "~":
        found = pattern(version).search(".".join(map(str, VERSION)).encode()) is not None
    elif sign in _COMPARISONS and re.fullmatch(r"[0-9]+(\.[0-9]+){0,2}", version):
        numbers = tuple(int(number) for number in version.split("."))
        found = _COMPARISONS[sign](VERSION, numbers + (0,) * (3 - len(numbers)))
    else:
        raise word.error("this compares no version", ">= 2.4, < 2.5, ~ ^2\\.4")
    return found != negated


conditional(
    "<IfVersion",
    _version,
    "Keeps what it encloses when httpd's release that is followed here compares like that.",
    syntax="[[!]operator] version",
    example="<IfVersion >= 2.4>\n    MergeSlashes On\n</IfVersion>",
    origin="mod_version",
)
conditional(
    "<IfModule",
    _module,
    "Keeps what it encloses when a module's work is done here (``mod_proxy_fcgi.c`` or\n"
    "``proxy_fcgi_module``); with ``!`` before the name, when it is not.",
    syntax="[!]module",
    example="<IfModule mod_proxy_fcgi.c>\n</IfModule>",
)
conditional(
    "<IfDefine",
    lambda reader, word, more: word in reader.defines,
    "Keeps what it encloses when a name was defined; with ``!``, when it was not.",
    syntax="[!]name",
    example="<IfDefine DEBUG>\n    LogLevel debug\n</IfDefine>",
)
conditional(
    "<IfFile",
    _file,
    "Keeps what it encloses when a file exists; with ``!``, when it does not.",
    syntax="[!]file",
    example='<IfFile "local.conf">\n    Include "local.conf"\n</IfFile>',
)
conditional(
    "<IfDirective",
    lambda reader, word, more: reader.registry.get(word) is not None,
    "Keeps what it encloses when a directive is known here; with ``!``, when it is not.",
    syntax="[!]directive",
    example="<IfDirective ProxyTimeout>\n    ProxyTimeout 30\n</IfDirective>",
)
conditional(
    "<IfSection",
    lambda reader, word, more: reader.registry.get(f"<{word}") is not None,
    "Keeps what it encloses when a section is known here; with ``!``, when it is not.",
    syntax="[!]section",
    example="<IfSection VirtualHost>\n</IfSection>",
)
