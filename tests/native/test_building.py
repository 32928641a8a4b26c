"""Tests for :mod:`native.building`, and for what it built where the package is compiled."""

from __future__ import annotations

import os
import traceback
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted_fcgi
from native.building import MODULES, SUPPLIED, VARIABLE, extensions, isAsked
from twisted_fcgi.headers import Headers


class AskedTests(SynchronousTestCase):
    """Whether a compiled build is wanted."""

    def test_asked(self) -> None:
        """It is with 1 in the variable."""
        self.assertTrue(isAsked({VARIABLE: "1"}))

    def test_notAsked(self) -> None:
        """It is not without the variable, when that is empty, and with 0."""
        for environment in ({}, {VARIABLE: ""}, {VARIABLE: "0"}):
            self.assertFalse(isAsked(environment))

    def test_unclear(self) -> None:
        """Anything else is refused, with what would be right."""
        error = self.assertRaises(SystemExit, isAsked, {VARIABLE: "yes"})
        self.assertIn("is 1 for a compiled build, or 0", str(error))

    def test_nothingIsMadeYet(self) -> None:
        """Which modules are compiled is known before Cython and a compiler are needed."""
        known = extensions()
        self.assertLessEqual(
            {f"twisted_fcgi.{name}" for name in MODULES}, {extension.name for extension in known}
        )
        self.assertEqual([source for extension in known for source in extension.sources], [])


class InstalledTests(SynchronousTestCase):
    """The package as it is here: compiled where ``make check-native`` says so, else not."""

    def test_modules(self) -> None:
        """All modules that can be are compiled, or none is."""
        wanted = isAsked(os.environ)
        for name in (*MODULES, *SUPPLIED):
            file = import_module(f"twisted_fcgi.{name}").__file__
            assert file is not None
            self.assertEqual(not file.endswith(".py"), wanted, name)

    def test_version(self) -> None:
        """The version says which it is."""
        expected = twisted_fcgi.__version__ + (" (compiled)" if isAsked(os.environ) else "")
        self.assertEqual(twisted_fcgi.versionText(), expected)

    def test_logger(self) -> None:
        """What a module logs has the module's name."""
        for name in ("web.relay", "web.gateway", "backend.hub"):
            module = import_module(f"twisted_fcgi.{name}")
            self.assertEqual(module.log.namespace, module.__name__)

    def test_traceback(self) -> None:
        """A traceback names the file and the line of the source."""
        headers = Headers([(b"Name", b"a\nb")])
        error = self.assertRaises(ValueError, headers.lines)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        self.assertTrue(frame.filename.endswith("twisted_fcgi/headers.py"), frame.filename)
        self.assertEqual(frame.name.rpartition(".")[2], "lines")
        source = Path(twisted_fcgi.__file__).with_name("headers.py").read_text()
        assert frame.lineno is not None
        self.assertIn("raise ValueError(", source.splitlines()[frame.lineno - 1])
