"""Tests for SCRIPT_NAME and SCRIPT_FILENAME."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.cgi.paths import scriptFilename, scriptName
from twisted_fcgi.message import Route, RouteKind
from twisted_fcgi.settings import BackendType, DirectorySettings, VirtualHost

SEGMENTS = st.lists(st.sampled_from([b"a", b"b.php", b"c d", b"ab"]), max_size=4)


class ScriptNameTests(SynchronousTestCase):
    """Tests for :func:`scriptName`."""

    def test_endOfThePath(self) -> None:
        """Where PATH_INFO is the end of the path, the rest is the script."""
        for uri, pathInfo, expected in [
            (b"/a/app.php", None, b"/a/app.php"),
            (b"/a/app.php", b"", b"/a/app.php"),
            (b"/app.php/i/j", b"/i/j", b"/app.php"),
            (b"/app.php/", b"/", b"/app.php"),
            (b"/i", b"/i", b""),
            (b"/app//i", b"/i", b"/app"),
            (b"/app.php//i///j", b"/i/j", b"/app.php"),
        ]:
            self.assertEqual(expected, scriptName(uri, pathInfo), (uri, pathInfo))

    def test_otherSpelling(self) -> None:
        """Where they are spelled differently, the name ends where a segment ends."""
        for uri, pathInfo, expected in [
            (b"/p/a b/c", b"/a%20b/c", b"/p/a b"),
            (b"/p/a b", b"/a%20b", b"/p/a b"),
            (b"/x", b"/other", b"/x"),
            (b"/x/y", b"/longer/x/y", b""),
        ]:
            self.assertEqual(expected, scriptName(uri, pathInfo), (uri, pathInfo))

    @given(SEGMENTS, SEGMENTS)
    def test_together(self, script: list[bytes], info: list[bytes]) -> None:
        """Script name and PATH_INFO together are the path."""
        name = b"".join(b"/" + segment for segment in script)
        pathInfo = b"".join(b"/" + segment for segment in info)
        self.assertEqual(name, scriptName(name + pathInfo, pathInfo))


class ScriptFilenameTests(SynchronousTestCase):
    """Tests for :func:`scriptFilename`."""

    def spelled(
        self,
        filename: bytes,
        backendType: BackendType | None = None,
        script: bytes | None = None,
        query: bytes | None = None,
    ) -> bytes:
        """SCRIPT_FILENAME of a route."""
        settings = DirectorySettings(backendType=backendType)
        route = Route(RouteKind.FASTCGI, VirtualHost(), settings, filename=filename)
        route.script, route.query = script, query
        return scriptFilename(route)

    def test_fpm(self) -> None:
        """PHP-FPM, which is the default, gets the whole URL."""
        for kind in (None, BackendType.FPM):
            self.assertEqual(
                b"proxy:fcgi://h:9/srv/a.php", self.spelled(b"proxy:fcgi://h:9/srv/a.php", kind)
            )

    def test_secure(self) -> None:
        """That there is TLS on the way is nothing that an application knows of."""
        for kind, expected in (
            (BackendType.FPM, b"proxy:fcgi://h:9/srv/a.php"),
            (BackendType.GENERIC, b"/srv/a.php"),
        ):
            self.assertEqual(expected, self.spelled(b"proxy:fcgis://h:9/srv/a.php", kind))

    def test_generic(self) -> None:
        """Any other application gets the path, without the query that was sent with it."""
        for filename, query, expected in [
            (b"proxy:fcgi://h:9/srv/a.php", b"q", b"/srv/a.php"),
            (b"proxy:fcgi://h//srv/a.php", None, b"//srv/a.php"),
            (b"proxy:fcgi://h/a.php?b?c", b"b?c", b"/a.php"),
            (b"proxy:fcgi://h/a.php?", b"", b"/a.php?"),
        ]:
            self.assertEqual(expected, self.spelled(filename, BackendType.GENERIC, query=query))

    def test_fileOnDisk(self) -> None:
        """A file that was looked up is named as it is, for any application."""
        for kind in BackendType:
            self.assertEqual(b"/srv/a", self.spelled(b"proxy:fcgi://h/a/b", kind, b"/srv/a"))
