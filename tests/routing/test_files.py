"""Tests for the way from a path to a file."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeTree
from twisted_fcgi.errors import RequestError
from twisted_fcgi.routing.files import DIRECTORY, FILE, MISSING, Located, concealed, locate


class LocateTests(SynchronousTestCase):
    """Tests for :func:`locate`."""

    def setUp(self) -> None:
        self.root = os.fsencode(makeTree(self))

    def test_places(self) -> None:
        """The walk ends at a file or at the first missing name; the rest is path info."""
        for path, filename, pathInfo, kind in [
            (b"/", b"/", None, DIRECTORY),
            (b"/php", b"/php", None, DIRECTORY),
            (b"/php/", b"/php/", None, DIRECTORY),
            (b"/app.php", b"/app.php", None, FILE),
            (b"/app.php/", b"/app.php", b"/", FILE),
            (b"/app.php/a/b", b"/app.php", b"/a/b", FILE),
            (b"/photo.jpg/x.php", b"/photo.jpg", b"/x.php", FILE),
            (b"/link.txt/x", b"/link.txt", b"/x", FILE),
            (b"/none", b"/none", None, MISSING),
            (b"/none/", b"/none", b"/", MISSING),
            (b"/php/none.php/x", b"/php/none.php", b"/x", MISSING),
            (b"/none/app.php", b"/none", b"/app.php", MISSING),
        ]:
            expected = Located(self.root + filename, pathInfo, kind)
            self.assertEqual(expected, locate(self.root, path), path)

    def test_refused(self) -> None:
        """What can't be looked at, and what is no file, is refused with 403."""
        os.mkfifo(os.path.join(self.root, b"fifo"))
        for path in [b"/" + b"n" * 300, b"/loop", b"/loop/x", b"/fifo", b"/fifo/x", b"/php/../x"]:
            with self.assertRaises(RequestError, msg=path) as caught:
                locate(self.root, path)
            self.assertEqual(403, caught.exception.status)

    def test_oneSpelling(self) -> None:
        """Whatever needless slashes and dots there are, a place has one name."""
        for path, filename, pathInfo in [
            (b"/./app.php", b"/app.php", None),
            (b"/.//./app.php", b"/app.php", None),
            (b"/php/.", b"/php/", None),
            (b"/php/./none.php/./x", b"/php/none.php", b"/x"),
            (b"//php//", b"/php/", None),
            (b"/.none/.././", None, None),
            (b"/...", b"/...", None),
            (b"/.hidden", b"/.hidden", None),
        ]:
            if filename is None:
                self.assertRaises(RequestError, locate, self.root, path)
            else:
                place = locate(self.root, path)
                self.assertEqual((self.root + filename, pathInfo), place[:2], path)

    @given(st.lists(st.sampled_from([b"php", b"app.php", b"..", b".", b"none", b""]), max_size=6))
    def test_neverAboveTheRoot(self, segments: list[bytes]) -> None:
        """Whatever the segments are, a place is below the root."""
        try:
            place = locate(self.root, b"/" + b"/".join(segments))
        except RequestError:
            return
        real = os.path.realpath(place.filename)
        self.assertTrue((real + b"/").startswith(os.path.realpath(self.root) + b"/"))


class ConcealedTests(SynchronousTestCase):
    """Tests for :func:`concealed`."""

    def test_statuses(self) -> None:
        """Names with a dot first are 404, ``.ht...`` 403, all but ``/.well-known/``."""
        for path, status in [
            (b"/", 0),
            (b"/a.b/c.d", 0),
            (b"/a/b.", 0),
            (b"/.env", 404),
            (b"/.git/config", 404),
            (b"/a/.b/c", 404),
            (b"/.htaccess", 403),
            (b"/a/.htpasswd", 403),
            (b"/.well-known/acme", 0),
            (b"/.well-known/.git", 404),
            (b"/a/.well-known/x", 404),
        ]:
            self.assertEqual(status, concealed(path), path)
