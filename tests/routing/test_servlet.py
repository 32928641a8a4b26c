"""Tests for :mod:`twisted_fcgi.routing.servlet`; what is expected is what httpd 2.4.71 does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.routing.servlet import matchServlet

SEGMENTS = st.sampled_from([b"a", b"b", b"a;x", b"..", b"..;z", b".;q", b";e", b"", b"ab"])
PATHS = st.lists(SEGMENTS, min_size=1).map(lambda parts: b"/" + b"/".join(parts))


class MatchServletTests(SynchronousTestCase):
    """Tests for :func:`matchServlet`."""

    def rest(self, prefix: bytes, path: bytes) -> tuple[bytes, bytes] | None:
        """What of a path is sent behind the prefix, and what becomes of the path."""
        matched = matchServlet(path, prefix)
        return matched and (path[matched.end :], matched.uri)

    def test_parameters(self) -> None:
        """Parameters are no part of a segment, but are sent on where they are not the prefix's."""
        for path, rest, uri in [
            (b"/s/app/x", b"x", b"/s/app/x"),
            (b"/s;a=b/app/x", b"x", b"/s/app/x"),
            (b"/s/app;c/x", b"x", b"/s/app/x"),
            (b"/s/app/x;d=e/y;f", b"x;d=e/y;f", b"/s/app/x/y"),
            (b"/s//app///x", b"x", b"/s/app/x"),
            (b"/;a/s/;a/app/x", b"x", b"/s/app/x"),
            (b"/s/app/;/x", b";/x", b"/s/app/x"),
            (b"/s/app/", b"", b"/s/app/"),
            (b"/s/app/;k", b"", b"/s/app/"),
        ]:
            self.assertEqual((rest, uri), self.rest(b"/s/app/", path), path)

    def test_withoutASlash(self) -> None:
        """A prefix without a slash at its end takes that of the path, and parameters."""
        for path, rest, uri in [
            (b"/t/app", b"", b"/t/app"),
            (b"/t/app;j=1", b"", b"/t/app"),
            (b"/t/app;j=1/x", b";j=1/x", b"/t/app/x"),
            (b"/t/app/x", b"/x", b"/t/app/x"),
            (b"/t/app/", b"/", b"/t/app/"),
            (b"/t/app/;k", b"", b"/t/app/"),
            (b"/t;u/v;w/..;x/app;y/z;z", b";y/z;z", b"/t/app/z"),
        ]:
            self.assertEqual((rest, uri), self.rest(b"/t/app", path), path)

    def test_dots(self) -> None:
        """Dots count when the parameters are gone, and what they lead out of is not sent."""
        for path, rest, uri in [
            (b"/s/app/..;/app/x", b"x", b"/s/app/x"),
            (b"/s/app/x/..;a/y", b"y", b"/s/app/y"),
            (b"/s/.;q/app/x", b"x", b"/s/app/x"),
            (b"/s/a/..;/app/x", b"x", b"/s/app/x"),
        ]:
            self.assertEqual((rest, uri), self.rest(b"/s/app/", path), path)

    def test_root(self) -> None:
        """The prefix ``/`` is for all paths but those above the root."""
        self.assertEqual((b"x;p/q", b"/x/q"), self.rest(b"/", b"/x;p/q"))
        self.assertEqual((b"", b"/"), self.rest(b"/", b"/"))
        self.assertIsNone(self.rest(b"/", b"/..;/x"))

    def test_others(self) -> None:
        """What is not below the prefix in the path's final form does not match."""
        for path in [b"/s/app", b"/s/app;x", b"/s/app/..;/y", b"/s/apps/", b"/s%2Fapp/x", b"*"]:
            self.assertIsNone(self.rest(b"/s/app/", path), path)
        self.assertIsNone(self.rest(b"/s/app", b"/s/appx"))

    @given(PATHS, st.sampled_from([b"/", b"/a", b"/a/", b"/a/b", b"/b/a/"]))
    def test_form(self, path: bytes, prefix: bytes) -> None:
        """What comes out has no parameters and dots, and is below the prefix."""
        matched = matchServlet(path, prefix)
        if matched is not None:
            self.assertTrue(matched.uri.startswith(prefix))
            self.assertNotIn(b";", matched.uri)
            self.assertNotIn(b"..", matched.uri)
            self.assertLessEqual(matched.end, len(path))
