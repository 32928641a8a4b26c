"""Tests for :mod:`twisted_fcgi.config.tree` and what acts while files are read."""

from __future__ import annotations

from collections.abc import Mapping
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import directives_reading, tree
from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.config.tree import Node, TreeReader

__all__ = ["ExpansionTests", "IncludeTests", "TreeTests"]


class ReaderTestCase(SynchronousTestCase):
    """What the tests share: files that are only a dictionary."""

    def reader(self, text: str, files: Mapping[str, str] = {}, **defines: str | None) -> TreeReader:
        """Read a text; Include finds the files of a dictionary."""

        def readFile(path: str) -> str:
            try:
                return files[path]
            except KeyError:
                raise FileNotFoundError(2, "No such file") from None

        reader = TreeReader(REGISTRY, "/root", {"HOME": "/home"}, readFile, defines)
        with mock.patch.object(directives_reading, "found", lambda path, missing: [path]):
            reader.read("main", text)
        return reader

    def shape(self, nodes: list[Node]) -> list[object]:
        """A tree as nested lists of names."""
        return [
            [str(node.name), *self.shape(node.children)] if node.children else str(node.name)
            for node in nodes
        ]

    def messages(self, reader: TreeReader) -> list[str]:
        """The mistakes, without the lines."""
        return [f"{e.file}:{e.line}:{e.column} {e.message}" for e in reader.errors]


class TreeTests(ReaderTestCase):
    """How lines become a tree."""

    def test_nesting(self) -> None:
        """A section holds what stands up to its end."""
        reader = self.reader("a\n<b x>\nc\n<d y>\ne\n</d>\n</B>\nf")
        self.assertEqual(["a", ["<b", "c", ["<d", "e"]], "f"], self.shape(reader.nodes))
        self.assertEqual([], reader.errors)

    def test_arguments(self) -> None:
        """A section's arguments end before its last '>'."""
        for text, arguments in (
            ("<a b>", "b"),
            ("<a b >", "b "),
            ('<a "b>c">', '"b>c"'),
            ("<a>", ""),
            ("<a >", ""),
        ):
            node = self.reader(f"{text}\n</a>").nodes[0]
            self.assertEqual(arguments, node.line.text[node.at : node.end], text)

    def test_bracketOfADirective(self) -> None:
        """As in httpd, a '>' at the end of a directive's name does not belong to it."""
        self.assertEqual(["SetEnv"], self.shape(self.reader("SetEnv> a b").nodes))

    def test_everyMistake(self) -> None:
        """The reading goes on behind a mistake."""
        reader = self.reader("</a>\n<b x\nc\n</b>\n<d x>\n<e x>\n</d>\n</f\n<g x>")
        self.assertEqual(
            [
                "main:1:1 </a> without matching <a> section",
                "main:2:5 <b> directive missing closing '>'",
                "main:7:1 expected </e> but saw </d>",
                "main:8:1 </f> directive missing closing '>'",
                "main:9:1 <g> is not closed",
            ],
            self.messages(reader),
        )
        self.assertEqual([["<b", "c"], ["<d", "<e"], "<g"], self.shape(reader.nodes))

    def test_keptSection(self) -> None:
        """A section that is kept vanishes; what it holds belongs to what is around it."""
        text = "<a x>\n<IfDefine X>\nb\n<IfDefine Y>\nc\n</IfDefine>\n</IfDefine>\nd\n</a>"
        self.assertEqual(
            [["<a", "b", "c", "d"]], self.shape(self.reader(text, X=None, Y="1").nodes)
        )

    def test_skippedSection(self) -> None:
        """A section that is skipped is only searched for its end, past others in it."""
        text = "<IfDefine X>\n<a x>\n<IfDefine Y>\n</IfDefine>\n# <b\n</A>\n</IfDefine>\nc"
        reader = self.reader(text)
        self.assertEqual(["c"], self.shape(reader.nodes))
        self.assertEqual([], reader.errors)

    def test_skippedWithMistake(self) -> None:
        """A wrong end in a skipped section does not swallow what follows."""
        reader = self.reader("<IfDefine X>\n<a x>\n</IfDefine>\nb\n</IfDefine>")
        self.assertEqual(["b"], self.shape(reader.nodes))
        self.assertEqual(
            [
                "main:3:1 expected </a> but saw </IfDefine>",
                "main:5:1 </IfDefine> without matching <IfDefine> section",
            ],
            self.messages(reader),
        )

    def test_keptWithMistake(self) -> None:
        """A section that is open at the end of a kept one is a mistake; the end counts."""
        reader = self.reader("<IfDefine X>\n<a x>\n</IfDefine>\nb", X=None)
        self.assertEqual(["<a", "b"], self.shape(reader.nodes))
        self.assertEqual(["main:2:1 <a> is not closed"], self.messages(reader))


class ExpansionTests(ReaderTestCase):
    """``${variables}``."""

    def words(self, text: str, **defines: str | None) -> list[str]:
        """The arguments of the last line."""
        reader = self.reader(text, **defines)
        self.assertEqual([], reader.errors)
        node = reader.nodes[-1]
        return node.line.text[node.at : node.end].split(" ")

    def test_sources(self) -> None:
        """What Define said counts more than the environment."""
        self.assertEqual(["/home", "1"], self.words("a ${HOME} ${X}", X="1"))
        self.assertEqual(["/other"], self.words("Define HOME /other\na ${HOME}"))
        self.assertEqual(["/home"], self.words("Define HOME x\nUnDefine HOME\na ${HOME}"))

    def test_nameOnly(self) -> None:
        """A Define without a value is no variable."""
        self.assertEqual(["${X}"], self.words("Define X\na ${X}"))

    def test_notAgain(self) -> None:
        """What came out of a variable is not looked through again."""
        self.assertEqual(["${HOME}"], self.words("a ${X}", X="${HOME}"))

    def test_wholeLine(self) -> None:
        """Names, sections and quotes may come from variables too."""
        reader = self.reader("${X}\n</a>", X='<a "b c">')
        self.assertEqual(["<a"], self.shape(reader.nodes))

    def test_undefined(self) -> None:
        """A name that nobody defined stays, with a notice; one with a colon is none of ours."""
        reader = self.reader("a ${NO}${m:x}$${")
        self.assertEqual("a ${NO}${m:x}$${", reader.nodes[0].line.text)
        self.assertEqual(["main:1:3: ${NO} is not defined"], reader.warnings)

    def test_places(self) -> None:
        """Each character keeps its place; those of a variable have the variable's."""
        line = self.reader("a \\\n ${X} b${X}c", X="long text").nodes[0].line
        places = {character: line.place(line.text.rindex(character)) for character in "agbtc"}
        self.assertEqual({"a": (1, 1), "g": (2, 8), "b": (2, 7), "t": (2, 8), "c": (2, 12)}, places)

    def test_tooLong(self) -> None:
        """A line that grows beyond the limit is a mistake."""
        with mock.patch.object(tree, "MAX_LINE", 100):
            reader = self.reader("a ${X}${X}${X}", X="x" * 49)
        self.assertEqual(
            ["main:1:11 the line is longer than 100 characters"], self.messages(reader)
        )


class IncludeTests(ReaderTestCase):
    """Files in files."""

    def test_inPlace(self) -> None:
        """An included file's directives stand where the Include stands."""
        reader = self.reader("a\n<b x>\nInclude f\nc\n</b>", {"/root/f": "d\n<e x>\n</e>"})
        self.assertEqual(["a", ["<b", "d", "<e", "c"]], self.shape(reader.nodes))

    def test_ownSections(self) -> None:
        """Each file closes what it opened, and nothing else."""
        reader = self.reader("<a x>\nInclude f\nb\n</a>", {"/root/f": "</a>\n<c x>"})
        self.assertEqual(
            ["/root/f:1:1 </a> without matching <a> section", "/root/f:2:1 <c> is not closed"],
            self.messages(reader),
        )
        self.assertEqual([["<a", "<c", "b"]], self.shape(reader.nodes))

    def test_serverRoot(self) -> None:
        """Relative paths begin at ServerRoot, from where it stands on."""
        files = {"/root/f": "a", "/usr/f": "b"}
        reader = self.reader("Include f\nServerRoot /usr\nInclude f", files)
        self.assertEqual(["a", "b"], self.shape(reader.nodes))

    def test_defines(self) -> None:
        """What a file defines holds behind its Include."""
        reader = self.reader("Include f\n<IfDefine X>\na\n</IfDefine>", {"/root/f": "Define X"})
        self.assertEqual(["a"], self.shape(reader.nodes))

    def test_unreadable(self) -> None:
        """A file that can't be read is a mistake of the line that named it."""
        reader = self.reader("a\nInclude f\nb")
        self.assertEqual(["main:2:9 /root/f: No such file"], self.messages(reader))
        self.assertEqual(["a", "b"], self.shape(reader.nodes))

    def test_cycle(self) -> None:
        """A file that includes itself is one mistake, at a depth that has a bound."""
        reader = self.reader("Include f", {"/root/f": "a\nInclude f\nInclude f"})
        self.assertEqual(1, len(reader.errors))
        self.assertIn("more than 128 deep", reader.errors[0].message)
        self.assertEqual(128, len(reader.nodes))

    def test_guardedCycle(self) -> None:
        """A file may include itself as long as that ends."""
        text = "<IfDefine !X>\nDefine X\nInclude f\n</IfDefine>\na"
        reader = self.reader("Include f", {"/root/f": text})
        self.assertEqual((["a", "a"], []), (self.shape(reader.nodes), reader.errors))

    def test_fan(self) -> None:
        """Files that include each other twice, and so 2 to the power of 40 times, are cut short."""
        files = {f"/root/{n}": f"Include {n + 1}\nInclude {n + 1}" for n in range(40)}
        files["/root/40"] = "a"
        with mock.patch.object(directives_reading, "MAX_FILES", 1000):
            reader = self.reader("Include 0", files)
        self.assertEqual(1, len(reader.errors))
        self.assertIn("more than 1000 included files", reader.errors[0].message)
