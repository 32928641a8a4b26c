"""Tests for :mod:`twisted_fcgi.config.targets`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config.test_words import lineOf
from twisted_fcgi.config.targets import Target, parseTarget
from twisted_fcgi.config.words import Word, splitWords
from twisted_fcgi.errors import ConfigurationError

__all__ = ["TargetTests", "targetOf"]


def targetOf(text: str, matching: bool = False, notices: list[str] | None = None) -> Target:
    """Take a URL apart."""

    def warn(word: Word, message: str) -> None:
        if notices is not None:
            notices.append(message)

    return parseTarget(splitWords(lineOf(f'"{text}"'))[0], "/run", matching, warn)


class TargetTests(SynchronousTestCase):
    """Tests for :func:`parseTarget`."""

    def test_names(self) -> None:
        """A member's name has scheme and host in lower case, and no default port."""
        for text, name in (
            ("fcgi://h", "fcgi://h"),
            ("FCGI://Host:9000/Path", "fcgi://host:9000/Path"),
            ("fcgi://h:8000/", "fcgi://h/"),
            ("fcgi://h:08000/", "fcgi://h/"),
            ("fcgi://h:/x", "fcgi://h/x"),
            ("fcgi://user:secret@h:9000/", "fcgi://h:9000/"),
            ("fcgi://[::1]:9000/", "fcgi://[::1]:9000/"),
            ("fcgi://h?x", "fcgi://h?x"),
            ("unix:/s|fcgi://Name/x", "fcgi://name/x"),
            ("unix:/s|fcgi:", "fcgi://localhost"),
            ("unix:/s|fcgi://", "fcgi://localhost"),
            ("FCGIS://Host:8000/", "fcgis://host/"),
            ("fcgis://h:9000/", "fcgis://h:9000/"),
            ("srv+FCGI://_PHP._tcp.H/Srv", "srv+fcgi://_php._tcp.h/Srv"),
        ):
            self.assertEqual(name, targetOf(text).name, text)

    def test_address(self) -> None:
        """Host and port are those to connect to."""
        target = targetOf("fcgi://[2001:db8::1]/")
        self.assertEqual(("2001:db8::1", 8000), (target.host, target.port))

    def test_sockets(self) -> None:
        """A socket's path is kept apart from the URL behind the bar."""
        target = targetOf("UNIX:/run/x.sock|fcgi://h:9/p")
        self.assertEqual(("/run/x.sock", "fcgi://h:9/p"), (target.socket, target.url))
        self.assertIsNone(targetOf("fcgi://h").socket)

    def test_references(self) -> None:
        """Behind ProxyPassMatch, $1 may stand in any part; in an address it shows."""
        for text, name, varies in (
            ("fcgi://h/$1", "fcgi://h/$1", False),
            ("fcgi://$1/x", "fcgi://$1/x", True),
            ("fcgi://h:$1/x", "fcgi://h$1/x", True),
            ("fcgi://h:90$1/x", "fcgi://h:90$1/x", True),
        ):
            target = targetOf(text, matching=True)
            self.assertEqual((name, varies), (target.name, target.varies), text)
        self.assertRaises(ConfigurationError, targetOf, "fcgi://h:$1/x")

    def test_notices(self) -> None:
        """What is hardly meant is taken as httpd takes it, with a notice."""
        notices: list[str] = []
        self.assertEqual("/run/x.sock", targetOf("unix:x.sock|fcgi://h", notices=notices).socket)
        self.assertEqual(65534, targetOf("fcgi://h:131070", notices=notices).port)
        self.assertEqual(2, len(notices))

    def test_wrong(self) -> None:
        """What is no URL of a server is a mistake."""
        for text in (
            *("", "h", "/h", "//h", "fcgi:h", "fcgi:/h", "fcgi://", "fcgi:///x", "1fcgi://h"),
            *("fcgi://h:x", "fcgi://h:80:90", "fcgi://[::1", "fcgi://::1/", "fcgi://@/"),
            *("unix:/s", "unix:/s|", "unix:/s|h", "fcgi://" + "h" * 256),
            "unix:/" + "s" * 95 + "|fcgi://h",
        ):
            self.assertRaises(ConfigurationError, targetOf, text)
