"""Tests for the files that Include finds (:mod:`twisted_fcgi.config.directives_reading`)."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import loads
from twisted_fcgi.config.directives_reading import findModule, found
from twisted_fcgi.errors import ConfigurationErrors

__all__ = ["FoundTests", "ModuleTests", "UnreadableTests"]

FILES = (
    "a.conf",
    "b.conf",
    "B.conf",
    ".hidden.conf",
    "d/1.conf",
    "d/2.txt",
    "d/e/3.conf",
    "f/1.conf",
)


class Missing(Exception):
    """Something was not there."""


class FoundTests(SynchronousTestCase):
    """Tests for :func:`found`, on a real tree."""

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = os.path.realpath(directory.name)
        for name in FILES:
            path = Path(self.root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def names(self, path: str) -> list[str]:
        """What a path stands for, below the root."""
        files = found(os.path.join(self.root, path), Missing)
        return [os.path.relpath(file, self.root) for file in files]

    def test_file(self) -> None:
        """A file is itself."""
        self.assertEqual(["a.conf"], self.names("a.conf"))
        self.assertEqual(["a.conf"], self.names("d/../a.conf"))

    def test_wildcard(self) -> None:
        """A wildcard finds files in the order of their bytes, but none that begin with a period."""
        self.assertEqual(["B.conf", "a.conf", "b.conf"], self.names("*.conf"))
        self.assertEqual(["a.conf", "b.conf"], self.names("[a-z].conf"))
        self.assertEqual([".hidden.conf"], self.names(".*.conf"))

    def test_directory(self) -> None:
        """A directory stands for all that is in it, and in the directories in it."""
        self.assertEqual(["d/1.conf", "d/2.txt", "d/e/3.conf"], self.names("d"))
        self.assertEqual(["d/e/3.conf", "f/1.conf"], self.names("d/e") + self.names("f"))

    def test_wildcardDirectories(self) -> None:
        """A wildcard in the middle finds directories only."""
        self.assertEqual(["d/1.conf", "f/1.conf"], self.names("?/1.conf"))
        self.assertEqual(["d/e/3.conf"], self.names("d/*/3.conf"))

    def test_wildcardFindsDirectory(self) -> None:
        """A directory that a wildcard finds is read with all that is in it."""
        self.assertEqual(["d/1.conf", "d/2.txt", "d/e/3.conf"], self.names("[d]"))

    def test_missing(self) -> None:
        """Nothing at all is a mistake, wherever it is missing."""
        for path in ("no.conf", "no/a.conf", "*.no", "no/*.conf", "*/no.conf", "d/[x]/1.conf"):
            self.assertRaises(Missing, self.names, path)

    def test_optional(self) -> None:
        """For IncludeOptional it is not."""
        for path in ("no.conf", "*.no", "no/*.conf"):
            self.assertEqual([], list(found(os.path.join(self.root, path), lambda _: None)))


class UnreadableTests(SynchronousTestCase):
    """Directories that can't be read."""

    def test_directory(self) -> None:
        """A directory that can't be read is a mistake of the line that names it."""

        def listdir(path: str) -> list[str]:
            raise PermissionError(13, "Permission denied", path)

        with TemporaryDirectory() as root:
            self.patch(os, "listdir", listdir)
            for text in ("Include .", "IncludeOptional ."):
                errors = self.assertRaises(ConfigurationErrors, loads, text, serverRoot=root)
                self.assertIn("Permission denied", str(errors))


class ModuleTests(SynchronousTestCase):
    """Tests for :func:`findModule`."""

    def test_names(self) -> None:
        """A module is found by its file's name and by its symbol, exactly."""
        for name in (
            *("mod_proxy_fcgi.c", "proxy_fcgi_module", "mod_so.c", "core.c", "core_module"),
            *("http_core.c", "http_module", "event.c", "mpm_event_module"),
        ):
            self.assertTrue(findModule(name), name)
        for name in (
            *("mod_ssl.c", "ssl_module", "proxy_fcgi", "mod_proxy_fcgi", "MOD_PROXY.C", "proxy.c"),
            *("mod_core.c", "mod_http.c", "mod_mpm_event.c", "_module", "mod_.c", ""),
        ):
            self.assertFalse(findModule(name), name)
