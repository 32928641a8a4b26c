"""Tests for :mod:`native.translation`."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

import twisted_fcgi
from native.building import KEPT, MODULES
from native.translation import translatedAll

PACKAGE = Path(twisted_fcgi.__file__).parent


def translate(**sources: str) -> dict[str, tuple[str, list[str]]]:
    """By name, what becomes of a module, and the lines that declare it."""
    made = translatedAll({name: dedent(source) for name, source in sources.items()}, ("Kept",))
    return {
        name.removeprefix("twisted_fcgi."): (
            source,
            [line.strip() for line in declarations.splitlines() if line.strip()][1:],
        )
        for name, (source, declarations) in made.items()
    }


class DeclarationTests(SynchronousTestCase):
    """What is declared of a module."""

    def test_attributes(self) -> None:
        """All attributes are declared, with the types that annotations and parameters tell."""
        _, lines = translate(
            one="""
            class One:
                last: bytes | None = None
                over = False

                def __init__(self, name: bytes, count: int, pairs: list[int]) -> None:
                    self.name = name
                    self.count = count
                    self.pairs = pairs
                    self.table: dict[str, int] | None = {}
                    self.either: bytes | bytearray = b""

                def end(self) -> None:
                    self.over, self.last = True, self.name
            """
        )["one"]
        self.assertEqual(
            lines,
            [
                "@cython.freelist(8)",
                "cdef class One:",
                "cdef public bytes name",
                "cdef public object count",
                "cdef public object pairs",
                "cdef public dict table",
                "cdef public object either",
                "cdef public bint over",
                "cdef public bytes last",
                "cdef object __weakref__",
                "cpdef object end(self)",
            ],
        )

    def test_methods(self) -> None:
        """A method can be called as a function of C, but for those that C knows no form of."""
        _, lines = translate(
            one="""
            class One:
                def __init__(self): self.a = 1
                def plain(self, data: bytes, most: int = 0) -> bool: return True
                def named(self, *, other: One | None = None) -> One: return self
                def many(self, *all): pass
                def mixed(self, *, a=1, b): pass
                @property
                def whole(self): return 1
                def each(self): yield 1
                def lazy(self): return lambda: 1
            """
        )["one"]
        self.assertEqual(
            [line for line in lines if line.startswith("cpdef")],
            ["cpdef bint plain(self, bytes data, most=*)", "cpdef One named(self, One other=*)"],
        )

    def test_overridden(self) -> None:
        """A method that a class below has in another form is no function of C."""
        _, lines = translate(
            one="""
            class One:
                def __init__(self): self.a = 1
                def it(self): pass

            class Two(One):
                def __init__(self): self.b = 1
                def it(self, *more): pass
            """
        )["one"]
        self.assertIn("cdef class Two(One):", lines)
        self.assertFalse([line for line in lines if " it(" in line])

    def test_dataclass(self) -> None:
        """A dataclass with slots is made by Cython, with its fields in their order."""
        source, lines = translate(
            one="""
            @dataclass(slots=True)
            class One:
                name: bytes
                more: dict[int, int] = field(default_factory=dict)
            """
        )["one"]
        self.assertEqual(
            lines,
            [
                "@cython.freelist(8)",
                "cdef class One:",
                "cdef public bytes name",
                "cdef public dict more",
            ],
        )
        self.assertIn("@dataclass\nclass One:\n    name: bytes\n", source)
        self.assertIn("more: dict[int, int] = field(default_factory=dict)", source)

    def test_imported(self) -> None:
        """A class is known by its type where it is imported when the program runs, only there."""
        made = translate(
            one="""
            class One:
                def __init__(self): self.a = 1
            """,
            two="""
            from twisted_fcgi.one import One, other

            class Two:
                def __init__(self, one: One) -> None:
                    self.one = one
            """,
            three="""
            if TYPE_CHECKING:
                from twisted_fcgi.one import One

            class Three:
                def __init__(self, one: One) -> None:
                    self.one = one
            """,
        )
        source, lines = made["two"]
        self.assertIn("from twisted_fcgi.one cimport One", lines)
        self.assertIn("cdef public One one", lines)
        self.assertIn("from twisted_fcgi.one import other\n", source)
        self.assertIn("cdef public object one", made["three"][1])

    def test_notTranslated(self) -> None:
        """What can't be an extension type stays a class of Python, untouched."""
        source = """
            @total_ordering
            class Decorated:
                def __init__(self): self.a = 1

            class Mixed(One, Two):
                def __init__(self): self.a = 1

            class OfSomething(Unknown):
                def __init__(self): self.a = 1

            @dataclass(frozen=True)
            class Frozen:
                a: int

            class Pair(NamedTuple):
                a: int

            class Kept:
                __slots__ = ("a",)
                def __init__(self): self.a = 1
            """
        made, lines = translate(one=source)["one"]
        self.assertEqual(lines, [])
        self.assertEqual(made.rstrip(), dedent(source).rstrip())


class SourceTests(SynchronousTestCase):
    """What becomes of the source."""

    def test_slotsAndDefaults(self) -> None:
        """Slots go; defaults of attributes are given to each object when it is made."""
        source, _ = translate(
            one="""
            class One:
                __slots__ = ("a",)
                b = 5
                c: bytes = b"x"
                LIMIT: ClassVar = 7

                def set(self) -> None:
                    self.a = self.b = self.c = None
            """
        )["one"]
        self.assertNotIn("__slots__", source)
        self.assertIn("    def __cinit__(self): self.b = 5; self.c = b'x'", source)
        self.assertIn("LIMIT = 7", source)

    def test_interfaces(self) -> None:
        """What a class implements is said of it at the end of the module."""
        source, _ = translate(
            one="""
            @implementer(IOne)
            class One:
                def __init__(self): self.a = 1
            """
        )["one"]
        self.assertNotIn("@implementer", source)
        self.assertEqual(source.splitlines()[-1], "implementer(IOne)(One)")

    def test_protocol(self) -> None:
        """In place of Twisted's Protocol stands ours, which is an extension type."""
        source, lines = translate(
            one="""
            from twisted.internet.protocol import Protocol

            class One(Protocol):
                def connectionMade(self):
                    self.a = 1
                    super().connectionMade()
            """
        )["one"]
        self.assertIn("class One(NativeProtocol):", source)
        self.assertIn("super(One, self).connectionMade()", source)
        self.assertIn("from twisted_fcgi.backend.nativeprotocol cimport NativeProtocol", lines)

    def test_named(self) -> None:
        """Parameters that are given by name only are like others."""
        source, _ = translate(
            one="""
            class One:
                def __init__(self): self.a = 1
                def it(
                    self,
                    *,
                    a: int = 2 * 3,
                ) -> int:
                    return a
            """
        )["one"]
        it = next(
            node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef) and node.name == "it"
        )
        self.assertEqual([arg.arg for arg in it.args.args], ["self", "a"])
        self.assertEqual(ast.unparse(it.args.defaults[0]), "2 * 3")

    def test_methodAsValue(self) -> None:
        """A method that is not called is looked up by its name, which gives one that is bound."""
        source, _ = translate(
            one="""
            class One:
                def __init__(self): self.a = 1
                def told(self, error): return error
                def later(self):
                    return "\\u00e4", partial(self.told, self.told(self.a))
            """
        )["one"]
        self.assertIn('partial(getattr(self, "told"), self.told(self.a))', source)

    def test_severalValues(self) -> None:
        """So are several on one line, whatever stands around them."""
        source, _ = translate(
            one="""
            class One:
                def __init__(self): self.a = 1
                def told(self): pass
                def both(self, other: One):
                    return (self.told if other.told else {"\u00e4": [other.told]}, f"{self.a}")
            """
        )["one"]
        self.assertIn(
            'return (getattr(self, "told") if getattr(other, "told")'
            ' else {"\u00e4": [getattr(other, "told")]}, f"{self.a}")',
            source,
        )

    def test_lines(self) -> None:
        """Everything stays on its line, in all the modules that are compiled."""
        sources = {
            name: PACKAGE.joinpath(*name.split(".")).with_suffix(".py").read_text()
            for name in MODULES
        }
        for name, (made, _) in translatedAll(sources, KEPT).items():
            with self.subTest(name):
                self.assertEqual(_places(made), _places(sources[name[13:]]))


def _places(source: str) -> list[tuple[str, int, int]]:
    """The functions of a module, with their lines and that of their last statement."""
    return [
        (node.name, node.lineno, node.body[-1].lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name != "__cinit__"
    ]
