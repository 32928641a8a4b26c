"""
Calls between extension types that do not know each other's: through an interface, or
against the direction of the imports.

Such a call costs a look-up of the method by its name, a bound method or two, and objects
for what was C's.  So there is a table: for each method that is called so, and each number
of arguments, the extension types that have it, and a function of C that calls it.  Each
module enters its types when it is imported.  A call, on what can be anything, becomes that
of a function which looks for the object's type there, and calls the method as Python does
where it does not find it: on a double of a test, or on somebody else's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from native.modules import Module, Types, isPlain, optional, texts

__all__ = ["MODULE", "Seam", "called", "ENTER", "entries", "seamsOf", "tableOf"]

#: The module that holds the table.
MODULE = "twisted_fcgi.nativeseams"

#: The function that enters a module's types.
ENTER = "enterSeams"


@dataclass
class Seam:
    """
    A method that is called from where its type is not known.

    :ivar count: the number of arguments.
    :ivar types: those that have it, with their modules.
    """

    method: str
    count: int
    types: dict[str, Module] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """That of its place in the table."""
        return f"{self.method}_{self.count}"

    @property
    def function(self) -> str:
        """The name of the function that is called in its place."""
        return f"seam_{self.name}"

    @property
    def definition(self) -> str:
        """That function."""
        given = self.arguments
        lines = [
            f"cdef inline object {self.function}({', '.join(['it', *given])}):",
            "    cdef void *kind = <void *>Py_TYPE(it)",
        ]
        for place in range(len(self.types)):
            entry = f"table.{self.name}[{place}]"
            lines += [
                f"    if kind == {entry}.type:",
                f"        return {entry}.call({', '.join(['it', *given])})",
            ]
        return "\n".join([*lines, f"    return it.{self.method}({', '.join(given)})", ""])

    def entry(self, name: str) -> str:
        """What the table needs of a type: a function that calls its method."""
        call = f"call_{name}_{self.name}"
        given = self.arguments
        return (
            f"cdef inline object {call}({', '.join(['it', *given])}):\n"
            f"    return (<{name}>it).{self.method}({', '.join(given)})\n"
        )

    def entering(self, name: str) -> list[str]:
        """The lines that enter a type."""
        entry = f"table.{self.name}[{list(self.types).index(name)}]"
        return [f"    {entry}.call = call_{name}_{self.name}", f"    {entry}.type = <void *>{name}"]

    @property
    def arguments(self) -> list[str]:
        """Their names."""
        return [f"a{place}" for place in range(self.count)]


def called(module: Module, known: dict[str, Module]) -> Iterator[tuple[str, ast.Call]]:
    """
    The calls of methods in a module of whose objects the types are not known, by their
    names.
    """
    types = Types(module, known)
    within = types.everywhere()
    named = {
        alias.asname or alias.name
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    inTexts = texts(module.tree)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        value = node.func.value
        text = ast.unparse(value)
        if (
            id(node) in within
            and id(node) not in inTexts
            and types.kindOf(value, within[id(node)]) == "object"
            and text not in named
            and not text.startswith("super(")
            and not node.keywords
            and not any(isinstance(argument, ast.Starred) for argument in node.args)
            and value.end_lineno == node.func.end_lineno == value.lineno
        ):
            yield node.func.attr, node


def seamsOf(modules: Iterable[Module], known: dict[str, Module]) -> dict[tuple[str, int], Seam]:
    """All methods that are called so and that extension types have, by name and count."""
    seams: dict[tuple[str, int], Seam] = {}
    for module in modules:
        for name, node in called(module, known):
            key = name, len(node.args)
            if name not in _CONTAINERS and key not in seams:
                seams[key] = Seam(*key)
    for name, home in known.items():
        methods: dict[str, ast.FunctionDef] = {}
        for it in Types(home, known).above(name):
            for method in it.methods:
                methods.setdefault(method.name, method)
        for seam in seams.values():
            method = methods.get(seam.method)
            if method is not None and isPlain(method):
                needed = optional(method.args)[1:]
                if needed.count(False) <= seam.count <= len(needed):
                    seam.types[name] = home
    return {key: seam for key, seam in seams.items() if seam.types}


#: Names of methods of Python's own types, which Cython knows better ways to call.
_CONTAINERS = frozenset(
    name for kind in (bytes, bytearray, str, dict, list, set, tuple, int) for name in dir(kind)
)


def tableOf(seams: Iterable[Seam]) -> str:
    """The table, and the functions that look into it."""
    seams = list(seams)
    counts = sorted({seam.count for seam in seams})
    lines = ["from cpython.object cimport Py_TYPE", ""]
    for count in counts:
        given = ", ".join(["object"] * (count + 1))
        lines += [
            f"ctypedef object (*call_{count})({given})",
            f"cdef struct entry_{count}:",
            "    void *type",
            f"    call_{count} call",
            "",
        ]
    lines.append("cdef struct Table:")
    lines += [f"    entry_{seam.count} {seam.name}[{len(seam.types)}]" for seam in seams]
    return "\n".join([*lines, "", "cdef Table table", "", *[seam.definition for seam in seams]])


def entries(module: Module, seams: Iterable[Seam]) -> str:
    """What a module says of its types to the table; nothing when it has none of them."""
    of = [(name, seam) for seam in seams for name, home in seam.types.items() if home is module]
    if not of:
        return ""
    return "\n".join(
        [
            f"from {MODULE} cimport table",
            *[seam.entry(name) for name, seam in of],
            f"cdef inline int {ENTER}() except -1:",
            *[line for name, seam in of for line in seam.entering(name)],
            "    return 0",
            "",
        ]
    )
