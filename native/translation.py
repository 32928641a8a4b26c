"""
From a module of the package to what Cython makes extension types of.

Classes become extension types (``cdef class``): their attributes are fields of a struct
in place of entries of a dictionary, and their methods call each other without a look-up.
That is where the time is won; to compile the modules as they are makes them slower.

Cython wants to be told the attributes beforehand, in a ``.pxd``; they are read off the
source here, and their types off its annotations.  What an extension type can't have is
taken out of the source, which keeps its lines, so that tracebacks are right:

- ``__slots__`` and defaults of attributes in the class, which go to ``__cinit__``;
- ``super()`` without arguments;
- ``@implementer``, which is called at the end of the module;
- ``slots=True`` of a ``@dataclass``, which Cython makes itself;
- the ``*`` before parameters that are only given by name: who gives one without its name
  is told so by mypy;
- Twisted's ``Protocol`` as a base; :data:`PROTOCOL` takes its place;
- imports of classes that the ``.pxd`` imports;
- methods as values, which ``getattr()`` gives.

A class is only known by its type where its module is imported when the program runs:
what is imported for annotations only is a cycle, and what tests put doubles in place of.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

__all__ = ["PROTOCOL", "PROTOCOL_DECLARATIONS", "PROTOCOL_SOURCE", "translatedAll"]

#: The module that holds what extension types have in place of Twisted's ``Protocol``.
PROTOCOL = "twisted_fcgi.backend.nativeprotocol"

_BASE = "NativeProtocol"

PROTOCOL_SOURCE = """
from twisted.internet.interfaces import ILoggingContext, IProtocol
from zope.interface import implementer

class NativeProtocol:
    def connectionMade(self):
        pass

    def makeConnection(self, transport):
        self.connected = 1
        self.transport = transport
        self.connectionMade()

    def logPrefix(self):
        return type(self).__name__

    def dataReceived(self, data):
        pass

    def connectionLost(self, reason):
        pass

implementer(IProtocol, ILoggingContext)(NativeProtocol)
"""

PROTOCOL_DECLARATIONS = f"""
cdef class {_BASE}:
    cdef public object connected, transport, factory
    cdef object __weakref__
"""

_CONTAINERS = frozenset(("dict", "list", "set"))
_LEFT_OUT = frozenset(("__slots__", "__hash__"))


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
    """

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.tree = ast.parse(source)
        self.imports = [node for node in self.tree.body if isinstance(node, ast.ImportFrom)]
        self.types: dict[str, ExtensionType] = {}

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
                base = _BASE
            elif base is not None and base not in known:
                continue
            self.types[node.name] = ExtensionType(node, base, isData)
            known[node.name] = self


def _stored(node: ast.ClassDef) -> dict[str, None]:
    """The attributes that an instance gets from its class's own methods."""
    return {
        item.attr: None
        for item in ast.walk(node)
        if isinstance(item, ast.Attribute)
        and isinstance(item.ctx, ast.Store)
        and ast.unparse(item.value) == "self"
    }


def translatedAll(
    sources: Mapping[str, str], kept: Collection[str] = ()
) -> dict[str, tuple[str, str]]:
    """
    Modules for Cython.

    :param sources: by name, below the package; a class before those that are made from it.
    :param kept: names of classes that stay as they are.
    :returns: by full name, the source and the ``.pxd``.
    """
    known: dict[str, Module] = {}
    modules = [Module(f"twisted_fcgi.{name}", source) for name, source in sources.items()]
    for module in modules:
        module.choose(known, kept)
    for module in modules:
        declare(module, known)
    declared = {module.name: declarations(module, known) for module in modules}
    return {it.name: (translated(it, known), declared[it.name]) for it in modules}


class _Types:
    """What annotations mean in one module."""

    def __init__(self, module: Module, known: dict[str, Module]) -> None:
        names = {
            alias.name
            for node in module.imports
            if (node.module or "").startswith("twisted_fcgi.")
            for alias in node.names
        }
        self.visible = {
            name: home for name, home in known.items() if home is module or name in names
        }

    def of(self, annotation: ast.expr | None, containers: bool = True) -> str:
        """The type that an annotation tells, ``object`` for most."""
        optional = isinstance(annotation, ast.BinOp) and ast.unparse(annotation.right) == "None"
        if optional:
            assert isinstance(annotation, ast.BinOp)
            annotation = annotation.left
        name = "" if annotation is None else ast.unparse(annotation).partition("[")[0]
        if name == "bool" and containers and not optional:
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


def declare(module: Module, known: dict[str, Module]) -> None:
    """Find the attributes of a module's extension types, their types and defaults."""
    types = _Types(module, known)
    for it in module.types.values():
        inherited: set[str] = {"connected", "transport", "factory"} if it.base else set()
        base = it.base
        while base in known:
            above = known[base].types[base]
            inherited |= above.attributes.keys()
            base = above.base
        told: dict[str, str] = dict.fromkeys(_stored(it.node), "object")
        for function in it.methods:
            if function.decorator_list:
                told.pop(function.name, None)  # a property
        for item in it.node.body:
            name, annotation, value = _assigned(item)
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
                name, annotation, value = _assigned(inner)
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


def _assigned(item: ast.AST) -> tuple[str, ast.expr | None, ast.expr | None]:
    """What an assignment is to, of which type, and of what."""
    if isinstance(item, ast.AnnAssign):
        if "ClassVar" not in ast.unparse(item.annotation):
            return ast.unparse(item.target), item.annotation, item.value
    elif isinstance(item, ast.Assign) and len(item.targets) == 1:
        return ast.unparse(item.targets[0]), None, item.value
    return "", None, None


def _values(tree: ast.AST) -> list[ast.Attribute]:
    """Attributes that are used otherwise than to be called, the last in the source first."""
    other = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for text in ast.walk(tree):
        if isinstance(text, ast.JoinedStr):
            other |= {id(node) for node in ast.walk(text)}  # before 3.12, without their places
    values = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and id(node) not in other
    ]
    return sorted(values, key=lambda node: (node.lineno, node.end_col_offset), reverse=True)


def _isPlain(function: ast.FunctionDef) -> bool:
    """Whether it can be called as a function of C."""
    arguments = function.args
    return not (
        function.decorator_list
        or function.name.startswith("__")
        or arguments.posonlyargs
        or _optional(arguments) != sorted(_optional(arguments))
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


def _optional(arguments: ast.arguments) -> list[bool]:
    """Of each parameter, whether it has a default."""
    needed = len(arguments.args) - len(arguments.defaults)
    named = [value is not None for value in arguments.kw_defaults]
    return [place >= needed for place in range(len(arguments.args))] + named


def _signature(function: ast.FunctionDef, types: _Types) -> str:
    parameters = types.parameters(function)
    words = [name if kind == "object" else f"{kind} {name}" for name, kind in parameters.items()]
    for place, optional in enumerate(_optional(function.args)):
        if optional:
            words[place] += "=*"
    return f"cpdef {types.of(function.returns)} {function.name}({', '.join(words)})"


def declarations(module: Module, known: dict[str, Module]) -> str:
    """The ``.pxd`` of a module."""
    types = _Types(module, known)
    lines: list[str] = []
    # A method that some class below or above has in another form is none of C's.
    odd = {
        function.name
        for other in {id(home): home for home in known.values()}.values()
        for it in other.types.values()
        if it.base
        for function in it.methods
        if not _isPlain(function)
    }
    # Nor is one whose name is an attribute's as well: used as a value, it could be either.
    odd.update(*(other.types[name].attributes for name, other in known.items()))
    for name, it in module.types.items():
        if it.base:
            lines.append(f"cdef class {name}({it.base}):")
        else:
            lines += ["@cython.freelist(8)", f"cdef class {name}:"]
        lines += [f"    cdef public {kind} {name}" for name, kind in it.attributes.items()]
        if not it.base and not it.isData:
            lines.append("    cdef object __weakref__")
        for function in it.methods:
            if _isPlain(function) and function.name not in odd:
                lines.append(f"    {_signature(function, types)}")
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or not _isPlain(node):
            continue
        if {types.of(node.returns), *types.parameters(node).values()} != {"object"}:
            lines.append(_signature(node, types))
    text = "\n".join(lines)
    imports = [
        f"from {home.name} cimport {name}" for name, home in cimported(module, known).items()
    ]
    if any(it.base == _BASE for it in module.types.values()):
        imports.append(f"from {PROTOCOL} cimport {_BASE}")
    return "\n".join(["cimport cython", *imports, "", text, ""])


def cimported(module: Module, known: dict[str, Module]) -> dict[str, Module]:
    """The extension types of other modules that a module imports."""
    return {
        name: home for name, home in _Types(module, known).visible.items() if home is not module
    }


def translated(module: Module, known: dict[str, Module]) -> str:
    """The source of a module, without what an extension type can't have."""
    lines = module.source.splitlines()
    gone = cimported(module, known)

    def replace(node: ast.stmt | ast.expr, text: str = "", until: int = 0) -> None:
        end = until or node.end_lineno or node.lineno
        lines[node.lineno - 1 : end] = [text] + [""] * (end - node.lineno)

    for node in module.imports:
        ours = (node.module or "").startswith("twisted_fcgi.")
        kept = [alias for alias in node.names if not ours or alias.name not in gone]
        if len(kept) < len(node.names):
            replace(node, ast.unparse(ast.ImportFrom(node.module, kept, 0)) if kept else "")
    after: list[str] = []
    methods = _methods(known)
    for value in _values(module.tree):
        if value.attr in methods and value.end_lineno == value.lineno:
            _byName(lines, value)
    for name, it in module.types.items():
        for function in it.methods:
            if _isPlain(function) and function.args.kwonlyargs:
                _openNames(lines, function)
        if it.isData:
            replace(it.node.decorator_list[0], "@dataclass")
            continue
        for decorator in it.node.decorator_list:
            replace(decorator)
            after.append(f"{ast.unparse(decorator)}({name})")
        header = f"class {name}({it.base}):" if it.base else f"class {name}:"
        replace(it.node, header, it.node.body[0].lineno - 1)
        defaults = "; ".join(f"self.{name} = {value}" for name, value in it.defaults.items())
        for item in it.node.body:
            target, _, given = _assigned(item)
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
    return "\n".join([*lines, *after, ""])


def _methods(known: dict[str, Module]) -> set[str]:
    """The names of methods that are functions of C, as far as nothing else has them."""
    types = [home.types[name] for name, home in known.items()]
    plain = {function.name for it in types for function in it.methods if _isPlain(function)}
    return plain.difference(*(it.attributes for it in types))


def _byName(lines: list[str], node: ast.Attribute) -> None:
    """Have a method that is used as a value looked up, so that it knows its object."""
    line = lines[node.lineno - 1].encode()
    end = node.end_col_offset or 0
    value = line[node.col_offset : node.value.end_col_offset].decode()
    text = f'getattr({value}, "{node.attr}")'.encode()
    lines[node.lineno - 1] = (line[: node.col_offset] + text + line[end:]).decode()


def _openNames(lines: list[str], function: ast.FunctionDef) -> None:
    """Let the parameters of a function that are only given by name be like the others."""
    first = function.args.kwonlyargs[0]
    for number in range(function.lineno - 1, first.lineno):
        lines[number] = re.sub(r"(?<=[(,\s])\*,", "", lines[number], count=1)
