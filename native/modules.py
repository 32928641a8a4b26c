"""
What is in the modules that are compiled: classes that become extension types, and of what
type the compiler knows things to be.

A class is only known by its type where its module is imported when the program runs:
what is imported for annotations only is a cycle, and what tests put doubles in place of.
Such a one is called by :mod:`native.seams`.

An ``int`` is any number, of Python's; but that of a local variable that is annotated so is
a size, a place or a count, and becomes C's.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

__all__ = [
    "BASE",
    "ExtensionType",
    "Module",
    "Types",
    "assigned",
    "cimported",
    "declare",
    "isPlain",
    "numbers",
    "optional",
    "texts",
]

#: What extension types have in place of Twisted's ``Protocol``.
BASE = "NativeProtocol"

_CONTAINERS = frozenset(("dict", "list", "set"))

#: C's types of local variables.
_NUMBERS = {"int": "Py_ssize_t", "float": "double", "bool": "bint"}


@dataclass
class ExtensionType:
    """
    A class that becomes one.

    :ivar base: the name of another one, or ``None``.
    :ivar isData: whether it is a dataclass.
    :ivar attributes: with their types.
    :ivar defaults: of attributes, other than what Cython begins with.
    """

    node: ast.ClassDef
    base: str | None
    isData: bool
    attributes: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)

    @property
    def methods(self) -> list[ast.FunctionDef]:
        """All functions in it."""
        return [item for item in self.node.body if isinstance(item, ast.FunctionDef)]


class Module:
    """
    A module's source and what is in it.

    :param name: its full name.
    :ivar types: its classes that become extension types, by name.
    :ivar numbers: its constants that are whole numbers.
    """

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.tree = ast.parse(source)
        self.imports = [node for node in self.tree.body if isinstance(node, ast.ImportFrom)]
        self.types: dict[str, ExtensionType] = {}
        self.numbers = _numbersOf(self.tree)

    def imported(self, module: str, name: str) -> bool:
        """Whether a name of this module is that of another one."""
        return any(
            node.module == module and any(alias.name == name for alias in node.names)
            for node in self.imports
        )

    def choose(self, known: dict[str, Module], kept: Collection[str] = ()) -> None:
        """
        Find the classes that can be extension types.

        :param known: those of other modules, with their modules; these are added.
        :param kept: names of those that stay as they are.
        """
        for node in self.tree.body:
            if not isinstance(node, ast.ClassDef) or node.name in kept:
                continue
            bases = [base for base in map(ast.unparse, node.bases) if base[:8] != "Generic["]
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            isData = decorators == {"dataclass(slots=True)"}
            if not isData and (
                any(not text.startswith("implementer(") for text in decorators)
                or len(bases) > 1
                or not _stored(node)
            ):
                continue
            base = bases[0] if bases else None
            if base == "Protocol" and self.imported("twisted.internet.protocol", "Protocol"):
                base = BASE
            elif base is not None and base not in known:
                continue
            self.types[node.name] = ExtensionType(node, base, isData)
            known[node.name] = self

    def take(self, known: dict[str, Module]) -> None:
        """Have all classes for extension types; as :meth:`choose`."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                self.types[node.name] = ExtensionType(node, None, False)
                known[node.name] = self


def _numbersOf(tree: ast.Module) -> dict[str, int]:
    """Names in capitals that a module gives one whole number, which is all that it says."""
    found: dict[str, int] = {}
    for node in tree.body:
        name, _, value = assigned(node)
        if name.isupper() and value is not None:
            text = ast.unparse(value)
            if re.fullmatch(r"[\d\s*<()+-]+", text):
                found[name] = eval(text)
    return found


def _stored(node: ast.ClassDef) -> dict[str, None]:
    """The attributes that an instance gets from its class's own methods."""
    return {
        item.attr: None
        for item in ast.walk(node)
        if isinstance(item, ast.Attribute)
        and isinstance(item.ctx, ast.Store)
        and ast.unparse(item.value) == "self"
    }


class Types:
    """What annotations mean in one module."""

    def __init__(self, module: Module, known: dict[str, Module]) -> None:
        names = {
            alias.name
            for node in module.imports
            if (node.module or "").startswith("twisted_fcgi.")
            for alias in node.names
        }
        self._module = module
        self._known = known
        self.visible = {
            name: home for name, home in known.items() if home is module or name in names
        }

    def of(self, annotation: ast.expr | None, containers: bool = True) -> str:
        """The type that an annotation tells, ``object`` for most."""
        isOptional = isinstance(annotation, ast.BinOp) and ast.unparse(annotation.right) == "None"
        if isOptional:
            assert isinstance(annotation, ast.BinOp)
            annotation = annotation.left
        name = "" if annotation is None else ast.unparse(annotation).partition("[")[0]
        if name == "bool" and containers and not isOptional:
            return "bint"
        known = name == "bytes" or name in self.visible or (containers and name in _CONTAINERS)
        return name if known else "object"

    def parameters(self, function: ast.FunctionDef) -> dict[str, str]:
        """Those of all parameters."""
        arguments = function.args
        return {
            it.arg: self.of(it.annotation, containers=False)
            for it in (*arguments.args, *arguments.kwonlyargs)
        }

    def locals(self, function: ast.FunctionDef) -> dict[str, str]:
        """Those of the local variables that are annotated, as far as they tell anything."""
        found = {
            node.target.id: _NUMBERS.get(ast.unparse(node.annotation), self.of(node.annotation))
            for node in ast.walk(function)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        return {name: kind for name, kind in found.items() if kind != "object"}

    def everywhere(self) -> dict[int, dict[str, str]]:
        """Of each node in a function, by its id, the types of the names there."""
        found: dict[int, dict[str, str]] = {}
        types = self._module.types
        functions = [(method, it) for it in types.values() for method in it.methods]
        functions += [
            (it, None) for it in self._module.tree.body if isinstance(it, ast.FunctionDef)
        ]
        for function, it in functions:
            names = {**self.parameters(function), **self.locals(function)}
            if it is not None:
                names["self"] = it.node.name
            self._infer(function, names)
            found |= {id(node): names for node in ast.walk(function)}
        return found

    def _infer(self, function: ast.FunctionDef, names: dict[str, str]) -> None:
        """Add the local variables whose types follow from what they are given."""
        stores = Counter(
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
        for node in ast.walk(function):
            name, _, value = assigned(node)
            if value is not None and stores[name] == 1 and name not in names:
                names[name] = self.kindOf(value, names)

    def kindOf(self, node: ast.expr, names: dict[str, str]) -> str:
        """
        The type of what an expression gives, ``object`` for most.

        :param names: those of the variables in it.
        """
        if isinstance(node, ast.Name):
            return names.get(node.id, "object")
        if isinstance(node, ast.Attribute):
            kind = self.kindOf(node.value, names)
            for it in self.above(kind):
                if node.attr in it.attributes:
                    return it.attributes[node.attr]
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in self.visible:
                return node.func.id
            if isinstance(node.func, ast.Attribute):
                kind = self.kindOf(node.func.value, names)
                for it in self.above(kind):
                    for method in it.methods:
                        if method.name == node.func.attr:
                            return Types(self._known[it.node.name], self._known).of(method.returns)
        return "object"

    def above(self, name: str) -> Iterator[ExtensionType]:
        """A type and those above it."""
        while name in self._known:
            it = self._known[name].types[name]
            yield it
            name = it.base or ""


def declare(module: Module, known: dict[str, Module]) -> None:
    """Find the attributes of a module's extension types, their types and defaults."""
    types = Types(module, known)
    for it in module.types.values():
        inherited = {name for above in types.above(it.base or "") for name in above.attributes}
        told: dict[str, str] = dict.fromkeys(_stored(it.node), "object")
        for function in it.methods:
            if function.decorator_list:
                told.pop(function.name, None)  # a property
        for item in it.node.body:
            name, annotation, value = assigned(item)
            if name == "__slots__" and value is not None:
                for slot in ast.literal_eval(value):
                    told.setdefault(slot, "object")
            elif annotation is not None and (value is None or it.isData):
                told[name] = types.of(annotation)
            elif name in told and value is not None:
                if annotation is not None:
                    told[name] = types.of(annotation)
                elif ast.unparse(value) in ("True", "False"):
                    told[name] = "bint"
                begins = "False" if told[name] == "bint" else "None"
                if ast.unparse(value) != begins:
                    it.defaults[name] = ast.unparse(value)
        for function in it.methods:
            parameters = types.parameters(function)
            for inner in ast.walk(function):
                name, annotation, value = assigned(inner)
                if not name.startswith("self.") or name[5:] not in told:
                    continue
                found = types.of(annotation)
                if annotation is None and function.name == "__init__" and value is not None:
                    text = ast.unparse(value)
                    if text in ("True", "False"):
                        found = "bint"
                    elif isinstance(value, ast.Call):
                        found = types.of(value.func, containers=False)
                    else:
                        found = parameters.get(text, found)
                if found != "object" and told[name[5:]] == "object":
                    told[name[5:]] = found
        it.attributes = {name: kind for name, kind in told.items() if name not in inherited}
        for above in types.above(it.base or ""):
            for item in above.node.body:
                name, _, value = assigned(item)
                if name in it.attributes and value is not None and ast.unparse(value) != "None":
                    raise ValueError(
                        f"{module.name}: {it.node.name} stores {name}, for which only"
                        f" {above.node.name} has a default: it would be lost"
                    )


def assigned(item: ast.AST) -> tuple[str, ast.expr | None, ast.expr | None]:
    """What an assignment is to, of which type, and of what."""
    if isinstance(item, ast.AnnAssign):
        if "ClassVar" not in ast.unparse(item.annotation):
            return ast.unparse(item.target), item.annotation, item.value
    elif isinstance(item, ast.Assign) and len(item.targets) == 1:
        return ast.unparse(item.targets[0]), None, item.value
    return "", None, None


def isPlain(function: ast.FunctionDef) -> bool:
    """Whether it can be called as a function of C."""
    arguments = function.args
    return not (
        function.decorator_list
        or function.name.startswith("__")
        or arguments.posonlyargs
        or optional(arguments) != sorted(optional(arguments))
        or arguments.vararg
        or arguments.kwarg
        or any(
            isinstance(
                item, (ast.Lambda, ast.GeneratorExp, ast.Yield, ast.YieldFrom, ast.FunctionDef)
            )
            for item in ast.walk(function)
            if item is not function
        )
    )


def optional(arguments: ast.arguments) -> list[bool]:
    """Of each parameter, whether it has a default."""
    needed = len(arguments.args) - len(arguments.defaults)
    named = [value is not None for value in arguments.kw_defaults]
    return [place >= needed for place in range(len(arguments.args))] + named


def texts(tree: ast.AST) -> set[int]:
    """The ids of the nodes in f-strings, which have no places of their own before 3.12."""
    return {
        id(inner)
        for text in ast.walk(tree)
        if isinstance(text, ast.JoinedStr)
        for inner in ast.walk(text)
    }


def numbers(module: Module, modules: Mapping[str, Module]) -> dict[str, int]:
    """
    The constants that a module knows, its own and those that it imports.

    :param modules: all, by their names.
    """
    found = dict(module.numbers)
    for node in module.imports:
        if node.module in modules:
            there = modules[node.module].numbers
            found |= {alias.name: there[alias.name] for alias in node.names if alias.name in there}
    return found


def cimported(module: Module, known: dict[str, Module]) -> dict[str, Module]:
    """The extension types of other modules that a module imports."""
    return {name: home for name, home in Types(module, known).visible.items() if home is not module}
