"""Tests for :mod:`twisted_fcgi.config.registry` and the rows of all directives."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import loads
from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.config.foreign import foreignDirectives
from twisted_fcgi.config.registry import Context, Directive, Registry, Rows, Shape

__all__ = ["ForeignTests", "RegistryTests", "RowsTests"]


class RegistryTests(SynchronousTestCase):
    """Tests for :class:`Registry`."""

    def test_anyCase(self) -> None:
        """A directive is found whatever the case of its name."""
        row = REGISTRY.get("PROXYpass")
        assert row is not None
        self.assertEqual("ProxyPass", row.name)
        self.assertIsNone(REGISTRY.get("ProxyPas"))

    def test_sections(self) -> None:
        """A section is no directive of the same name."""
        self.assertIsNone(REGISTRY.get("Location"))
        self.assertIsNotNone(REGISTRY.get("<Location"))

    def test_suggestion(self) -> None:
        """A name that is nearly one is recognised; another is not."""
        self.assertEqual("did you mean ProxyTimeout?", REGISTRY.suggestion("ProxyTimout"))
        self.assertEqual("did you mean <FilesMatch>?", REGISTRY.suggestion("<filematch"))
        self.assertEqual("", REGISTRY.suggestion("Qwertzuiop"))

    def test_contexts(self) -> None:
        """Contexts are described in the manual's words."""
        self.assertEqual("server config, virtual host", Context.SERVER.describe())
        self.assertEqual("everywhere", Context.ANYWHERE.describe())


class RowsTests(SynchronousTestCase):
    """The rows themselves."""

    def rows(self) -> list[Directive]:
        """Those that do something."""
        return [row for row in REGISTRY if not row.ignored]

    def test_complete(self) -> None:
        """Each row says what it is for and what its arguments are; only sections may have none."""
        for row in self.rows():
            self.assertTrue(row.doc and row.example, row.name)
            self.assertTrue(row.syntax or row.section, row.name)
            self.assertIn(row.name, row.example)

    def test_docs(self) -> None:
        """A function's docstring is the doc of its row, without its indentation."""
        rows = Rows("mod_x")

        @rows.directive("D", Shape.TAKE1, Context.MAIN)
        def apply(*arguments: object) -> None:
            """
            One line.

            More.
            """

        [row] = rows
        self.assertEqual(("One line.\n\nMore.", "mod_x"), (row.doc, row.origin))

    def test_examples(self) -> None:
        """Each example is a configuration without a mistake."""
        with TemporaryDirectory() as root:
            Path(root, "conf.d").mkdir()
            Path(root, "conf.d", "a.conf").touch()
            Path(root, "tls").mkdir()
            for name in ("ca.pem", "client.pem"):
                kinds = ("BEGIN CERTIFICATE", "BEGIN PRIVATE KEY")
                Path(root, "tls", name).write_text("".join(f"-----{k}-----\n" for k in kinds))
            for row in self.rows():
                text = row.example.replace('DocumentRoot "/srv/www"', f'DocumentRoot "{root}"')
                text = text.replace("/var/log", root)
                loads(text, row.name, serverRoot=os.path.realpath(root))

    def test_unique(self) -> None:
        """No name stands in two rows."""
        names = [row.name.lower() for row in REGISTRY]
        self.assertEqual(sorted(set(names)), sorted(names))


class ForeignTests(SynchronousTestCase):
    """Directives that only httpd has."""

    def test_known(self) -> None:
        """They are found whatever their case, with their module and the reason."""
        foreign = REGISTRY.foreign("sslengine")
        assert foreign is not None
        self.assertEqual(("SSLEngine", "mod_ssl"), foreign[:2])

    def test_oursGoFirst(self) -> None:
        """A directive with a row is not foreign."""
        self.assertIsNone(REGISTRY.foreign("ProxyPass"))

    def test_table(self) -> None:
        """Each has a module and a reason, and stands in the table once."""
        self.assertGreater(len(list(foreignDirectives())), 700)
        names = [entry.name.lower() for entry in foreignDirectives()]
        self.assertEqual(sorted(set(names)), sorted(names))
        for entry in foreignDirectives():
            self.assertTrue(entry.module and entry.reason, entry)

    def test_allOfOurs(self) -> None:
        """Every row that is httpd's stands in the table of httpd's directives."""
        names = {entry.name.lower() for entry in foreignDirectives()}
        ours = {row.name.lower() for row in REGISTRY if row.origin != "extension"}
        self.assertEqual(set(), ours - names)

    def test_registry(self) -> None:
        """A registry without them knows none."""
        self.assertIsNone(Registry([]).foreign("SSLEngine"))
