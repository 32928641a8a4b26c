"""The rooms of the package, and which of them may know which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from unittest import TestCase

import twisted_fcgi

__all__ = ["LAYERS", "LayeringTests"]

PACKAGE = Path(twisted_fcgi.__file__).parent

#: The rooms, lowest layer first: a file imports its own room and lower layers only.
LAYERS = (
    (
        "vocabulary",
        set("errors headers http interfaces mediatypes message pcre settings subnets uri".split()),
    ),
    ("languages", {"balance", "expr", "wire"}),
    ("meaning", {"cgi", "config", "routing"}),
    ("connections", {"backend"}),
    ("HTTP", {"web"}),
    ("process", {"service"}),
    ("doors", {"scripts", "testing"}),
)

#: Layers below this one do no I/O and know no reactor.
FIRST_WITH_TWISTED = 3

LAYER = {room: number for number, (_, rooms) in enumerate(LAYERS) for room in rooms}


def importsOf(path: Path) -> Iterator[tuple[int, str]]:
    """The absolute names that a file imports, also inside of functions, with their lines."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def roomOf(path: Path) -> str:
    """The room that a file of the package is in: a folder, or a module of its own."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def files() -> Iterator[Path]:
    """All modules of the package but its ``__init__``, which imports nothing."""
    return (path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py")


class LayeringTests(TestCase):
    """What each file may import."""

    def test_everyRoomHasALayer(self) -> None:
        """Each folder and module of the package stands in the table of layers."""
        self.assertEqual(set(), {roomOf(path) for path in files()} - set(LAYER))

    def test_importsGoDownward(self) -> None:
        """A file imports its own room and rooms of lower layers only."""
        wrong = []
        for path in files():
            room = roomOf(path)
            for line, name in importsOf(path):
                top, _, rest = name.partition(".")
                other = rest.partition(".")[0]
                if top != "twisted_fcgi" or other == room:
                    continue
                if other in LAYER and LAYER[other] == LAYER[room] == 0:
                    continue  # the vocabulary is one room of several files
                if other in LAYER and LAYER[other] >= LAYER[room]:
                    wrong.append(f"{path}:{line}: {room} imports {other}")
        self.assertEqual([], wrong)

    def test_pureLayersKnowNoTwisted(self) -> None:
        """Nothing below the connections imports Twisted."""
        wrong = [
            f"{path}:{line}: imports {name}"
            for path in files()
            if LAYER[roomOf(path)] < FIRST_WITH_TWISTED
            for line, name in importsOf(path)
            if name.split(".")[0] == "twisted"
        ]
        self.assertEqual([], wrong)

    def test_noReactorAtModuleLevel(self) -> None:
        """The reactor is passed in: only a door, inside a function, imports it."""
        wrong = []
        for path in files():
            inFunctions = {
                inner
                for node in ast.walk(ast.parse(path.read_bytes()))
                if isinstance(node, ast.FunctionDef)
                for inner in range(node.lineno, (node.end_lineno or 0) + 1)
            }
            for line, name in importsOf(path):
                if name == "twisted.internet.reactor" and line not in inFunctions:
                    wrong.append(f"{path}:{line}")
        self.assertEqual([], wrong)
