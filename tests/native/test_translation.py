"""Tests for :mod:`native.translation`."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

import twisted_fcgi
from native.building import KEPT, MODULES, SUPPLIED
from native.translation import translatedAll

PACKAGE = Path(twisted_fcgi.__file__).parent


def translate(**sources: str) -> dict[str, tuple[str, list[str]]]:
    """By name, what becomes of a module, and the lines that declare it."""
    made = translatedAll({name: dedent(source) for name, source in sources.items()}, ("Kept",))
    return {
        name.removeprefix("twisted_fcgi."): (
            source,
            _declared(declarations),
        )
        for name, (source, declarations) in made.items()
    }


def _declared(declarations: str) -> list[str]:
    """The lines, without those that stand in each."""
    lines = [line.strip() for line in declarations.splitlines()]
    return [line for line in lines if line and "cimport cython" not in line]


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

    def test_locals(self) -> None:
        """Annotated local variables have their types, numbers those of C."""
        _, lines = translate(
            one="""
            class One:
                def __init__(self): self.a = 1
                def it(self, most: int) -> None:
                    at: int = 0
                    now: float
                    other: One | None = None
                    any: Any = None
            """
        )["one"]
        self.assertEqual(
            lines[-2:],
            ["@cython.locals(at=Py_ssize_t, now=double, other=One)", "cpdef object it(self, most)"],
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

    def test_lostDefault(self) -> None:
        """A default is refused of an attribute that only a class below stores."""
        error = self.assertRaises(
            ValueError,
            translate,
            one="""
            class One:
                served = 0
                def __init__(self): self.a = 1

            class Two(One):
                def serve(self): self.served += 1
            """,
        )
        self.assertIn("Two stores served, for which only One has a default", str(error))

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
        self.assertEqual(source.splitlines()[-1], "implement(implementer(IOne), One)")

    def test_inheritedInterfaces(self) -> None:
        """What has a base has its interfaces, and says so by itself."""
        source, _ = translate(
            one="""
            class One:
                def __init__(self): self.a = 1

            class Two(One):
                def __init__(self): self.b = 1
            """
        )["one"]
        self.assertEqual(source.splitlines()[-1], "implement(implementer(), Two)")

    def test_supplied(self) -> None:
        """The types of a module that is written for Cython are known, and imported as such."""
        source = """
            from twisted_fcgi.other import Other, make
            class One:
                def __init__(self): self.a: Other = make()
            """
        made = translatedAll({"one": dedent(source)}, supplied={"other": ("Other",)})
        source, declared = made["twisted_fcgi.one"]
        self.assertNotIn("twisted_fcgi.other", made)
        self.assertIn("from twisted_fcgi.other cimport Other", declared)
        self.assertIn("cdef public Other a", declared)
        self.assertIn("from twisted_fcgi.other import make\n", source)

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

    def test_logger(self) -> None:
        """A module's Logger is told the module's name, which it could not find out."""
        self.assertEqual(translate(one="log = Logger()")["one"][0], "log = Logger(__name__)\n")

    def test_slices(self) -> None:
        """Slices of bytes are made by a function of C; what else is sliced is left alone."""
        source, _ = translate(
            one="""
            class One:
                def __init__(self, data: bytes) -> None:
                    self.data = data
                    self.more = []
                def parts(self, other: bytes, at: int):
                    return (
                        self.data[at : at + 4], other[:at], other[at:],
                        other[1:][self.data[0] :], other[:], other[::2], other[(at) : 3],
                        self.more[1:2],
                    )
            """
        )["one"]
        self.assertIn("cut(self.data, at, at + 4), cut(other, 0, at), cutFrom(other, at),", source)
        self.assertIn("cutFrom(other, 1)[self.data[0] :], cutFrom(other, 0), other[::2]", source)
        self.assertIn("other[(at) : 3],\n            self.more[1:2],", source)

    def test_constants(self) -> None:
        """Whole numbers that are constants stand in their places; in texts they keep names."""
        made = translate(
            one="""
            MOST = 64 * 1024
            LEAST: int = 1
            OTHER = len("abc")
            def one(it=MOST):
                return it < MOST, f"{MOST}", lambda: LEAST, OTHER
            """,
            two="""
            from twisted_fcgi.one import LEAST, MOST
            def two():
                def inner(): return LEAST
                return MOST
            """,
        )
        self.assertIn("def one(it=MOST):", made["one"][0])
        self.assertIn('it < (65536), f"{MOST}", lambda: (1), OTHER', made["one"][0])
        self.assertIn("def inner(): return (1)\n    return (65536)", made["two"][0])

    def test_freed(self) -> None:
        """The memory of a few objects that are gone is kept; their types say so themselves."""
        source, _ = translate(
            one="""
            from __future__ import annotations


            @implementer(IOne)
            class One:
                def __init__(self): self.a = 1


            class Two(One):
                def __init__(self): self.b = 1
            """
        )["one"]
        self.assertIn("annotations; import cython\n@cython.freelist(8)\n@cython.cclass\n", source)
        self.assertEqual(1, source.count("freelist"))

    def test_lines(self) -> None:
        """Everything stays on its line, in all the modules that are compiled."""
        sources = {
            name: PACKAGE.joinpath(*name.split(".")).with_suffix(".py").read_text()
            for name in MODULES
        }
        made = translatedAll(sources, KEPT, SUPPLIED)
        for name, source in sources.items():
            with self.subTest(name):
                self.assertEqual(_places(made[f"twisted_fcgi.{name}"][0]), _places(source))


class SeamTests(SynchronousTestCase):
    """Calls of methods of what can be anything."""

    SOURCES: ClassVar = {
        "one": """
            class One:
                def __init__(self): self.a = 1
                def told(self, data: bytes, more: int = 0) -> None: pass
                def other(self, *data): pass
                def get(self, name): pass

            class Two(One):
                def __init__(self): self.b = 1
            """,
        "three": """
            class Three:
                def __init__(self, one: IOne) -> None:
                    self.one = one
                def tell(self, whom, known: Three) -> None:
                    self.one.told(whom.told(b"", 1).told(b"x"))
                    whom.other(1); whom.get(1); whom.told(more=1); whom.told(*[]); known.tell(1, 2)
                    whom.tell(
                        1, self
                    )
            """,
    }

    def test_calls(self) -> None:
        """They go through the table where an extension type has such a method."""
        source, lines = translate(**self.SOURCES)["three"]
        self.assertIn('seam_told_1(self.one, seam_told_1(seam_told_2(whom, b"", 1), b"x"))', source)
        self.assertIn("whom.other(1); whom.get(1); whom.told(more=1); whom.told(*[])", source)
        self.assertIn("known.tell(1, 2)", source)
        self.assertIn("seam_tell_2(whom, \n", source)
        self.assertEqual(
            lines[0], "from twisted_fcgi.nativeseams cimport seam_tell_2, seam_told_1, seam_told_2"
        )

    def test_entered(self) -> None:
        """Each module enters its types, and those that inherit the method, when it is imported."""
        source, lines = translate(**self.SOURCES)["one"]
        self.assertEqual(source.splitlines()[-1], "enterSeams()")
        for name in ("One", "Two"):
            self.assertIn(f"return (<{name}>it).told(a0)", lines)
            self.assertIn(f"return (<{name}>it).told(a0, a1)", lines)
        self.assertIn("table.told_1[1].type = <void *>Two", lines)
        self.assertNotIn("other", "".join(line for line in lines if "call_" in line))

    def test_table(self) -> None:
        """Whose type is not in the table is called as in Python."""
        _, lines = translate(**self.SOURCES)["nativeseams"]
        at = lines.index("cdef inline object seam_told_1(it, a0):")
        self.assertEqual(
            lines[at + 1 : at + 7],
            [
                "cdef void *kind = <void *>Py_TYPE(it)",
                "if kind == table.told_1[0].type:",
                "return table.told_1[0].call(it, a0)",
                "if kind == table.told_1[1].type:",
                "return table.told_1[1].call(it, a0)",
                "return it.told(a0)",
            ],
        )


def _places(source: str) -> list[tuple[str, int, int]]:
    """The functions of a module, with their lines and that of their last statement."""
    return [
        (node.name, node.lineno, node.body[-1].lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name != "__cinit__"
    ]
