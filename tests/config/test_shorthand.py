"""Tests for :mod:`twisted_fcgi.config.shorthand`."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import loads
from twisted_fcgi.config.shorthand import fastcgiUrl, listenLine, quoted, siteText
from twisted_fcgi.settings import Listener

__all__ = ["AddressTests", "SiteTests"]


class AddressTests(SynchronousTestCase):
    """The forms of addresses."""

    def test_fastcgi(self) -> None:
        """An application is named by host and port, socket, path or URL."""
        for address, url in (
            ("127.0.0.1:9000", "fcgi://127.0.0.1:9000"),
            ("[::1]:9000", "fcgi://[::1]:9000"),
            ("php.example.org:9000", "fcgi://php.example.org:9000"),
            ("unix:/run/php.sock", "unix:/run/php.sock|fcgi://localhost"),
            ("/run/php.sock", "unix:/run/php.sock|fcgi://localhost"),
            ("fcgi://h:9000", "fcgi://h:9000"),
            ("unix:/run/php.sock|fcgi://name", "unix:/run/php.sock|fcgi://name"),
        ):
            self.assertEqual(url, fastcgiUrl(address))

    def test_noFastcgi(self) -> None:
        """Anything else is said to be none."""
        for address in ("", "9000", "localhost", "unix:php.sock", "http://h/", "h:x", "a b:1"):
            self.assertRaises(ValueError, fastcgiUrl, address)

    def test_listen(self) -> None:
        """httpd's addresses stay what they are, endpoints are quoted."""
        for text, endpoint in (
            ("8080", "tcp:8080"),
            ("127.0.0.1:8080", "tcp:8080:interface=127.0.0.1"),
            ("[::1]:8080", r"tcp6:8080:interface=\:\:1"),
            ("tcp:8080", "tcp:8080"),
            ("unix:/run/site.sock", "unix:/run/site.sock"),
            ('unix:/run/a"b\\c', 'unix:/run/a"b\\c'),
        ):
            self.assertEqual((Listener(endpoint),), loads(listenLine(text)).listeners)

    def test_quoted(self) -> None:
        """What can't stand in one word of a line is refused."""
        self.assertEqual(r'"a\\b\"c"', quoted('a\\b"c'))
        for text in ("a\nb", "a\rb", "a\0b", "a${HOME}b"):
            self.assertRaises(ValueError, quoted, text)


class SiteTests(SynchronousTestCase):
    """Tests for :func:`siteText`."""

    def setUp(self) -> None:
        directory = TemporaryDirectory(suffix=' "odd"')
        self.addCleanup(directory.cleanup)
        self.root = os.path.realpath(directory.name)

    def test_settings(self) -> None:
        """The text is a configuration: files from the root, scripts by the application."""
        settings = loads(siteText(self.root, "/run/php.sock", ["8080", "unix:/run/site.sock"]))
        main = settings.main
        self.assertEqual(2, len(settings.listeners))
        self.assertEqual(self.root, main.documentRoot)
        self.assertEqual((b"index.php", b"index.html"), main.directory.directoryIndex)
        [section] = main.sections
        assert section.pattern is not None and section.settings.member is not None
        self.assertTrue(section.pattern.search(b"a.php"))
        self.assertFalse(section.pattern.search(b"a.php\n"))
        self.assertEqual("/run/php.sock", section.settings.member.socket)
        self.assertEqual((), settings.notices)

    def test_frontController(self) -> None:
        """A site with an index.php of its own gets what no file answers."""
        self.assertIsNone(self.fallback())
        Path(self.root, "index.php").touch()
        self.assertEqual(b"/index.php", self.fallback())

    def fallback(self) -> bytes | None:
        """The site's FallbackResource."""
        return loads(siteText(self.root, "h:9000", "8080")).main.directory.fallbackResource
