"""
What Cython wants to be told of a module beforehand: its ``.pxd``.

A method is a function of C where it has the same form in all classes above and below, and
no attribute has its name: used as a value, it could be either.
"""

from __future__ import annotations

import ast

from native.modules import BASE, Module, Types, cimported, isPlain, optional

__all__ = ["PROTOCOL", "declarations"]

#: The module that holds what extension types have in place of Twisted's ``Protocol``.
PROTOCOL = "twisted_fcgi.backend.nativeprotocol"


def declarations(module: Module, known: dict[str, Module]) -> str:
    """The ``.pxd`` of a module."""
    types = Types(module, known)
    lines: list[str] = []
    odd = {
        function.name
        for home in set(known.values())
        for it in home.types.values()
        if it.base
        for function in it.methods
        if not isPlain(function)
    }
    odd.update(*(home.types[name].attributes for name, home in known.items()))
    for name, it in module.types.items():
        lines.append(f"cdef class {name}({it.base}):" if it.base else f"cdef class {name}:")
        lines += [f"    cdef public {kind} {name}" for name, kind in it.attributes.items()]
        if not it.base and not it.isData:
            lines.append("    cdef object __weakref__")
        for function in it.methods:
            if isPlain(function) and function.name not in odd:
                lines += _locals(function, types, "    ")
                lines.append(f"    {_signature(function, types)}")
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or not isPlain(node):
            continue
        kinds = {types.of(node.returns), *types.parameters(node).values()}
        if kinds != {"object"} or types.locals(node):
            lines += [*_locals(node, types, ""), _signature(node, types)]
    text = "\n".join(lines)
    imports = [
        f"from {home.name} cimport {name}" for name, home in cimported(module, known).items()
    ]
    if any(it.base == BASE for it in module.types.values()):
        imports.append(f"from {PROTOCOL} cimport {BASE}")
    return "\n".join(["cimport cython", *imports, "", text, ""])


def _locals(function: ast.FunctionDef, types: Types, indent: str) -> list[str]:
    found = [f"{name}={kind}" for name, kind in types.locals(function).items()]
    return [f"{indent}@cython.locals({', '.join(found)})"] if found else []


def _signature(function: ast.FunctionDef, types: Types) -> str:
    parameters = types.parameters(function)
    words = [name if kind == "object" else f"{kind} {name}" for name, kind in parameters.items()]
    for place, isOptional in enumerate(optional(function.args)):
        if isOptional:
            words[place] += "=*"
    return f"cpdef {types.of(function.returns)} {function.name}({', '.join(words)})"
