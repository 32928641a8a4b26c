"""
From a module of the package to what Cython makes extension types of.

Classes become extension types (``cdef class``): their attributes are fields of a struct
in place of entries of a dictionary, and their methods call each other without a look-up.
That is where the time is won; to compile the modules as they are makes them slower.

Cython wants to be told the attributes beforehand, in a ``.pxd``; they are read off the
source (:mod:`native.modules`), and their types off its annotations.  What an extension type
can't have is taken out of the source, which keeps its lines, so that tracebacks are right:

- ``__slots__`` and defaults of attributes in the class, which go to ``__cinit__``;
- ``super()`` without arguments, and ``Logger()``;
- ``@implementer``, which is called at the end of the module (:data:`IMPLEMENT`);
- ``slots=True`` of a ``@dataclass``, which Cython makes itself;
- the ``*`` before parameters that are only given by name: who gives one without its name
  is told so by mypy;
- Twisted's ``Protocol`` as a base; :data:`PROTOCOL_SOURCE` takes its place;
- imports of classes that the ``.pxd`` imports;
- methods as values, which ``getattr()`` gives;
- calls of methods of what is not known (:mod:`native.seams`);
- slices of ``bytes``, which :data:`CUT` makes;
- constants, in whose places their numbers are put.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping

from native.declarations import PROTOCOL, declarations
from native.modules import Module, Types, assigned, cimported, declare, isPlain, numbers, texts
from native.seams import ENTER, MODULE, Seam, called, entries, seamsOf, tableOf

__all__ = ["translatedAll"]

#: What has the place of Twisted's ``Protocol``.
PROTOCOL_SOURCE = """
from typing import Any
from twisted.internet.interfaces import ILoggingContext, IProtocol
from zope.interface import implementer

@implementer(IProtocol, ILoggingContext)
class NativeProtocol:
    connected: Any
    transport: Any
    factory: Any

    def connectionMade(self):
        pass

    def makeConnection(self, transport):
        self.connected = 1
        self.transport = transport
        self.connectionMade()

    def logPrefix(self):
        return type(self).__name__

    def dataReceived(self, data: bytes):
        pass

    def connectionLost(self, reason):
        pass
"""

#: A part of bytes without the objects that say which; as Python's, but that a place which
#: no memory can have is an OverflowError.
CUT = """
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

cdef inline bytes cut(bytes data, Py_ssize_t start, Py_ssize_t stop):
    cdef Py_ssize_t size = len(data)
    if start < 0:
        start = max(start + size, 0)
    stop = stop + size if stop < 0 else min(stop, size)
    if start == 0 and stop == size:
        return data
    if start >= stop:
        return b""
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + start, stop - start)

cdef inline bytes cutFrom(bytes data, Py_ssize_t start):
    return cut(data, start, len(data))
"""

#: What says of an extension type which interfaces it has: like any class, it is told so by
#: its attributes, which are only set here.  Else zope.interface keeps that in a table, and
#: to ask for one costs as much as a hundred calls.
IMPLEMENT = """
cdef extern from "Python.h":
    unsigned long Py_TPFLAGS_IMMUTABLETYPE
    ctypedef struct PyTypeObject:
        unsigned long tp_flags

cdef inline object implement(object interfaces, object it):
    cdef PyTypeObject *kind = <PyTypeObject *>it
    cdef unsigned long flags = kind.tp_flags
    kind.tp_flags = flags & ~Py_TPFLAGS_IMMUTABLETYPE
    try:
        interfaces(it)
    finally:
        kind.tp_flags |= flags & Py_TPFLAGS_IMMUTABLETYPE
"""

_LEFT_OUT = frozenset(("__slots__", "__hash__"))


def translatedAll(
    sources: Mapping[str, str],
    kept: Collection[str] = (),
    supplied: Mapping[str, Collection[str]] = {},
) -> dict[str, tuple[str, str]]:
    """
    Modules for Cython.

    :param sources: by name, below the package; a class before those that are made from it.
    :param kept: names of classes and constants that stay as they are.
    :param supplied: by the names of modules that are written for Cython, their types.
    :returns: by full name, the source and the ``.pxd``; with the modules that all need.
    """
    known: dict[str, Module] = {}
    for name, types in supplied.items():
        home = Module(f"twisted_fcgi.{name}", "\n".join(f"class {it}: pass" for it in types))
        home.take(known)
    modules = [Module(PROTOCOL, PROTOCOL_SOURCE)]
    modules += [Module(f"twisted_fcgi.{name}", source) for name, source in sources.items()]
    for module in modules:
        module.choose(known, kept)
    for module in modules:
        declare(module, known)
    seams = seamsOf(modules, known)
    named = {it.name: it for it in modules}
    made: dict[str, tuple[str, str]] = {}
    for it in modules:
        declared = declarations(it, known)
        constants = {name: value for name, value in numbers(it, named).items() if name not in kept}
        source, used = translated(it, known, seams, constants)
        if used:
            declared = f"from {MODULE} cimport {', '.join(sorted(used))}\n{declared}"
        entering = entries(it, seams.values())
        if entering:
            source += f"{ENTER}()\n"
        made[it.name] = source, declared + entering
    made[MODULE] = "", tableOf(seams.values()) + CUT + IMPLEMENT
    return made


class _Edits:
    """Changes within the lines of a source; places are in bytes, as in ``ast``."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._edits: list[tuple[int, int, int, str, tuple[int, int]]] = []

    def between(self, line: int, start: int, end: int) -> str:
        """What stands there."""
        return self._lines[line - 1].encode()[start:end].decode()

    def replace(self, line: int, start: int, end: int, text: str) -> None:
        """Put something else there."""
        self._edits.append((line, start, end, text, (line, end)))

    def before(self, node: ast.expr, text: str) -> None:
        """Put something before a node, and before what is before those that it begins with."""
        end = node.end_lineno or 0, node.end_col_offset or 0
        self._edits.append((node.lineno, node.col_offset, node.col_offset, text, end))

    def make(self) -> None:
        """Make all of them, the last in the source first."""
        within = sorted(self._edits, key=lambda it: it[4])
        for line, start, end, text, _ in sorted(within, key=lambda it: it[:2], reverse=True):
            data = self._lines[line - 1].encode()
            self._lines[line - 1] = (data[:start] + text.encode() + data[end:]).decode()


def translated(
    module: Module,
    known: dict[str, Module],
    seams: dict[tuple[str, int], Seam],
    constants: Mapping[str, int],
) -> tuple[str, set[str]]:
    """
    The source of a module, without what an extension type can't have.

    :returns: also the names of the functions of :data:`native.seams.MODULE` that it calls.
    """
    lines = module.source.splitlines()
    gone = cimported(module, known)

    def replace(node: ast.stmt | ast.expr, text: str = "", until: int = 0) -> None:
        end = until or node.end_lineno or node.lineno
        lines[node.lineno - 1 : end] = [text] + [""] * (end - node.lineno)

    edits = _Edits(lines)
    used = _callSeams(edits, module, known, seams)
    used |= _cutBytes(edits, module, known)
    _insertNumbers(edits, module, constants)
    methods = _methods(known)
    for value in _values(module.tree):
        if value.attr in methods and value.end_lineno == value.lineno:
            _byName(edits, value)
    edits.make()
    for node in module.imports:
        ours = (node.module or "").startswith("twisted_fcgi.")
        kept = [alias for alias in node.names if not ours or alias.name not in gone]
        if len(kept) < len(node.names):
            replace(node, ast.unparse(ast.ImportFrom(node.module, kept, 0)) if kept else "")
    lines[:] = [f"{line}; import cython" if line == _FUTURE else line for line in lines]
    after: list[str] = []
    for name, it in module.types.items():
        if it.base is None:
            _keepFreed(lines, it.node)
        for function in it.methods:
            if isPlain(function) and function.args.kwonlyargs:
                _openNames(lines, function)
        if it.isData:
            replace(it.node.decorator_list[0], "@dataclass")
            continue
        for decorator in it.node.decorator_list:
            replace(decorator)
            after.append(f"implement({ast.unparse(decorator)}, {name})")
        if it.base and not it.node.decorator_list:
            after.append(f"implement(implementer(), {name})")
        header = f"class {name}({it.base}):" if it.base else f"class {name}:"
        replace(it.node, header, it.node.body[0].lineno - 1)
        defaults = "; ".join(f"self.{name} = {value}" for name, value in it.defaults.items())
        for item in it.node.body:
            target, _, given = assigned(item)
            if target in _LEFT_OUT or target in it.attributes or (target and given is None):
                text = f"    def __cinit__(self): {defaults}" if target in it.defaults else ""
                if text:
                    defaults, it.defaults = "", {}
                replace(item, text)
            elif isinstance(item, ast.AnnAssign):  # of the class itself
                text = ast.unparse(item.target)
                replace(item, f"    {text} = {ast.unparse(item.value)}" if item.value else "")
        for number in range(it.node.lineno, it.node.end_lineno or 0):
            # An extension type's functions have no __class__ that super() could look for.
            lines[number] = lines[number].replace("super()", f"super({name}, self)")
    # Nor has a module a frame, in which a Logger would look for its name.
    lines[:] = [line.replace("= Logger()", "= Logger(__name__)") for line in lines]
    if after:
        after.insert(0, "from zope.interface import implementer")
        used.add("implement")
    return "\n".join([*lines, *after, ""]), used


#: What each module begins with, where something can be added without a line more.
_FUTURE = "from __future__ import annotations"


def _keepFreed(lines: list[str], node: ast.ClassDef) -> None:
    """
    Keep the memory of a few objects that are gone for the next ones.

    Cython is told so in the source, where two lines are blank before a class.
    """
    at = min([node.lineno, *[decorator.lineno for decorator in node.decorator_list]]) - 3
    if at > 0 and not any(lines[at : at + 2]):
        lines[at : at + 2] = ["@cython.freelist(8)", "@cython.cclass"]


def _callSeams(
    edits: _Edits, module: Module, known: dict[str, Module], seams: dict[tuple[str, int], Seam]
) -> set[str]:
    """Have methods called as seams; returns the names of the functions that do it."""
    used: set[str] = set()
    for name, call in called(module, known):
        seam = seams.get((name, len(call.args)))
        if seam is not None:
            value = call.func.value  # type: ignore[attr-defined]
            line, end = value.lineno, value.end_col_offset
            comma = ", " if call.args else ""
            edits.before(call, f"{seam.function}(")
            edits.replace(line, end, call.func.end_col_offset + 1, comma)  # type: ignore
            used.add(seam.function)
    return used


#: What stands between a slice's parts as a call: of one with a lower bound, an upper one.
_CUTS = {
    (True, True): (", ", ", ", ")"),
    (True, False): (", ", ")"),
    (False, True): (", 0, ", ")"),
    (False, False): (", 0)",),
}


def _cutBytes(edits: _Edits, module: Module, known: dict[str, Module]) -> set[str]:
    """Have slices of bytes made by :data:`CUT`; returns the names of the functions."""
    types = Types(module, known)
    within = types.everywhere()
    used: set[str] = set()
    for node in ast.walk(module.tree):
        if (
            not isinstance(node, ast.Subscript)
            or not isinstance(node.slice, ast.Slice)
            or node.slice.step is not None
            or node.lineno != node.end_lineno
            or types.kindOf(node.value, within.get(id(node), {})) != "bytes"
        ):
            continue
        lower, upper = node.slice.lower, node.slice.upper
        places = [node.value.end_col_offset or 0]
        for bound in filter(None, (lower, upper)):
            places += [bound.col_offset, bound.end_col_offset or 0]
        places.append(node.end_col_offset or 0)
        gaps = list(zip(places[::2], places[1::2], strict=True))
        if "".join([edits.between(node.lineno, *gap) for gap in gaps]).replace(" ", "") != "[:]":
            continue  # with parentheses
        function = "cutFrom" if upper is None else "cut"
        edits.before(node, f"{function}(")
        for gap, text in zip(gaps, _CUTS[lower is not None, upper is not None], strict=True):
            edits.replace(node.lineno, *gap, text)
        used.add(function)
    return used


def _insertNumbers(edits: _Edits, module: Module, constants: Mapping[str, int]) -> None:
    """Put constants in their places, so that what is reckoned with them can be C's."""
    inTexts = texts(module.tree)
    names = {
        id(node): node
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef)
        for item in function.body
        for node in ast.walk(item)
        if isinstance(node, ast.Name) and node.id in constants and id(node) not in inTexts
    }
    for node in names.values():
        place = node.lineno, node.col_offset, node.end_col_offset or 0
        edits.replace(*place, f"({constants[node.id]})")


def _values(tree: ast.AST) -> list[ast.Attribute]:
    """Attributes that are used otherwise than to be called."""
    other = texts(tree) | {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and id(node) not in other
    ]


def _methods(known: dict[str, Module]) -> set[str]:
    """The names of methods that are functions of C, as far as nothing else has them."""
    types = [home.types[name] for name, home in known.items()]
    plain = {function.name for it in types for function in it.methods if isPlain(function)}
    return plain.difference(*(it.attributes for it in types))


def _byName(edits: _Edits, node: ast.Attribute) -> None:
    """Have a method that is used as a value looked up, so that it knows its object."""
    end = node.end_col_offset or 0
    edits.before(node, "getattr(")
    edits.replace(node.lineno, node.value.end_col_offset or 0, end, f', "{node.attr}")')


def _openNames(lines: list[str], function: ast.FunctionDef) -> None:
    """Let the parameters of a function that are only given by name be like the others."""
    first = function.args.kwonlyargs[0]
    for number in range(function.lineno - 1, first.lineno):
        lines[number] = re.sub(r"(?<=[(,\s])\*,", "", lines[number], count=1)
