"""Tests for request targets, paths and authorities."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.errors import BadRequest
from twisted_fcgi.settings import EncodedSlashes
from twisted_fcgi.uri import (
    Target,
    decodePath,
    encodeForProxy,
    encodePath,
    normalizePath,
    parseAuthority,
    parseTarget,
    roughPath,
    unescape,
)

#: Bytes of which paths are made, those that could deceive among them.
PIECES = st.sampled_from(
    [b"/", b"//", b".", b"..", b"%2e", b"%2E", b"%2f", b"%2F", b"%5c", b"\\", b"a", b"b.php", b";",
     b"%00", b"%0a", b"%0D", b"%25", b"%", b"%c0%ae", b"%41", b"\xe9", b"?", b" ", b"%20"]
)
PATHS = st.lists(PIECES, max_size=12).map(lambda pieces: b"/" + b"".join(pieces))


class ParseTargetTests(SynchronousTestCase):
    """Tests for :func:`parseTarget`."""

    def test_forms(self) -> None:
        """A path, ``*`` and an http URL are taken apart into path, query and authority."""
        for target, expected in [
            (b"/", Target(None, None, b"/", None)),
            (b"/a/b?c?d", Target(None, None, b"/a/b", b"c?d")),
            (b"/a?", Target(None, None, b"/a", b"")),
            (b"?x", Target(None, None, b"/", b"x")),
            (b"//host/a", Target(None, None, b"/host/a", None)),
            (b"http://h:81/a?b", Target(b"http", b"h:81", b"/a", b"b")),
            (b"HTTPS://H", Target(b"https", b"H", b"/", None)),
            (b"http://h?b", Target(b"http", b"h", b"/", b"b")),
            (b"http:", Target(b"http", None, b"/", None)),
            (b"http:/a", Target(b"http", None, b"/a", None)),
        ]:
            self.assertEqual(expected, parseTarget(b"GET", target), target)
        self.assertEqual(Target(None, None, b"*", None), parseTarget(b"OPTIONS", b"*"))

    def test_refused(self) -> None:
        """What is neither a path nor an http URL is a bad request."""
        for target in [
            b"", b"*", b"a/b", b"\\a", b"http:a", b"ftp://h/a", b"mailto:a@b", b"h:80", b"#x",
            b"/a#b", b"/a b", b"/a\tb", b"/a\0", b"/a\r\n", b"/a\x7f", b"/a?b c", b"http://h/a#b",
        ]:
            with self.assertRaises(BadRequest, msg=target) as caught:
                parseTarget(b"GET", target)
            self.assertEqual(400, caught.exception.status)

    def test_connect(self) -> None:
        """CONNECT names an authority, and nothing with a path."""
        self.assertEqual(b"h:443", parseTarget(b"CONNECT", b"h:443").authority)
        self.assertRaises(BadRequest, parseTarget, b"CONNECT", b"/a")


class ParseAuthorityTests(SynchronousTestCase):
    """Tests for :func:`parseAuthority`."""

    def test_accepted(self) -> None:
        """A host is brought to lower case, and loses its brackets and its final dot."""
        for value, expected in [
            (b"www.Example.TEST", (b"www.example.test", None)),
            (b"a_b.test:8080", (b"a_b.test", 8080)),
            (b"a.test.:1", (b"a.test", 1)),
            (b"localhost", (b"localhost", None)),
            (b"127.0.0.1:00080", (b"127.0.0.1", 80)),
            (b"[::1]", (b"::1", None)),
            (b"[FE80::1]:65535", (b"fe80::1", 65535)),
            (b"[::ffff:1.2.3.4]", (b"::ffff:1.2.3.4", None)),
            (b"1and1.test", (b"1and1.test", None)),
        ]:
            self.assertEqual(expected, parseAuthority(value), value)

    def test_refused(self) -> None:
        """What could name a file, another host or no host is a bad request."""
        for value in [
            b"", b"a/b", b"a\\b", b"a..b", b"u@h", b"a b", b"a,b", b"a<b>", b"caf\xe9", b"%41",
            b"a:", b"a:x", b"a:0", b"a:65536", b"a:123456", b":80", b"a:1:2", b"::1", b"[::1",
            b"[1::2::3]", b"[:::1]", b"[::1%25lo]", b"123", b"1.2.3", b"1.2.3.4.5", b"01.2.3.4",
            b"a.1", b"a.-b",
        ]:
            self.assertRaises(BadRequest, parseAuthority, value)


class DecodePathTests(SynchronousTestCase):
    """Tests for :func:`decodePath`."""

    def test_normalised(self) -> None:
        """Dot segments and doubled slashes vanish, and escapes are decoded once."""
        for path, expected in [
            (b"/", b"/"),
            (b"/a/./b/../c", b"/a/c"),
            (b"/a//b///c", b"/a/b/c"),
            (b"/a/.", b"/a/"),
            (b"/a/b/..", b"/a/"),
            (b"/a/..", b"/"),
            (b"/a//", b"/a/"),
            (b"/a/...", b"/a/..."),
            (b"/a/..;x/b", b"/a/..;x/b"),
            (b"/%61%2E%2e/b", b"/a../b"),
            (b"/a/%2e%2E/b", b"/b"),
            (b"/a%20b%3Fc%25", b"/a b?c%"),
            (b"/a%252e%252fb", b"/a%2e%2fb"),
            (b"/caf%C3%A9\xe9", b"/caf\xc3\xa9\xe9"),
            (b"/a%5cb", b"/a\\b"),
        ]:
            self.assertEqual(expected, decodePath(path), path)

    def test_slashesKept(self) -> None:
        """With MergeSlashes off, each slash counts."""
        self.assertEqual(b"/a//b", decodePath(b"/a//b", mergeSlashes=False))
        self.assertEqual(b"/a/b", decodePath(b"/a//../b", mergeSlashes=False))

    def test_refused(self) -> None:
        """A bad escape, a path above the root, NUL, CR and LF are 400."""
        for path in [
            b"/%", b"/%4", b"/%zz", b"/..", b"/../a", b"/a/../../b", b"/%2e%2e/a", b"/a/%2e%2e/..",
            b"/a%00", b"/a%0a", b"/a%0A", b"/a%0d/b",
        ]:
            with self.assertRaises(BadRequest, msg=path) as caught:
                decodePath(path)
            self.assertEqual(400, caught.exception.status)

    def test_encodedSlashes(self) -> None:
        """An encoded slash is 404, a slash, or left as it is, as AllowEncodedSlashes says."""
        with self.assertRaises(BadRequest) as caught:
            decodePath(b"/a%2Fb")
        self.assertEqual(404, caught.exception.status)
        self.assertEqual(b"/a/b c", decodePath(b"/a%2fb%20c", EncodedSlashes.ON))
        self.assertEqual(b"/a%2fb c", decodePath(b"/a%2fb%20c", EncodedSlashes.NODECODE))

    def test_decodedSlashesFormNoDotSegments(self) -> None:
        """Where encoded slashes are decoded, what they form is normalised again."""
        self.assertEqual(b"/b", decodePath(b"/a%2F..%2Fb", EncodedSlashes.ON))
        self.assertRaises(BadRequest, decodePath, b"/a%2F..%2F..%2Fb", EncodedSlashes.ON)

    @given(PATHS, st.sampled_from(EncodedSlashes))
    def test_neverDeceives(self, path: bytes, slashes: EncodedSlashes) -> None:
        """A decoded path begins with a slash and has no dot segment, NUL, CR or LF."""
        try:
            decoded = decodePath(path, slashes)
        except BadRequest:
            return
        self.assertEqual(b"/", decoded[:1])
        self.assertFalse({b".", b".."} & set(decoded.split(b"/")))
        self.assertFalse(set(decoded) & set(b"\0\r\n"))

    @given(PATHS)
    def test_encodedAgainItIsTheSame(self, path: bytes) -> None:
        """A decoded path that is encoded for a client decodes to itself."""
        try:
            decoded = decodePath(path)
        except BadRequest:
            return
        self.assertEqual(decoded, decodePath(encodePath(decoded)))


class EncodeTests(SynchronousTestCase):
    """Tests for :func:`encodeForProxy`, :func:`encodePath` and :func:`unescape`."""

    def test_forProxy(self) -> None:
        """What httpd's proxy leaves alone is left alone; the rest is escaped in capitals."""
        plain = b"/aZ09~$-_.+!*'(),;:@&="
        self.assertEqual(plain, encodeForProxy(plain))
        self.assertEqual(
            b"/%20%22%23%25%3C%3F%5B%5C%5E%60%7B%7C%7F%C3%A9",
            encodeForProxy(b"/ \"#%<?[\\^`{|\x7f\xc3\xa9"),
        )

    def test_slashesThatWereNotDecoded(self) -> None:
        """``%2F`` that AllowEncodedSlashes NoDecode left is not escaped twice."""
        self.assertEqual(b"/a%2fb%2520%25", encodeForProxy(b"/a%2fb%20%", True))
        self.assertEqual(b"/a%252fb", encodeForProxy(b"/a%2fb"))

    def test_forClient(self) -> None:
        """A path for a client is escaped in small letters, as httpd does it."""
        self.assertEqual(b"/a%20b%3f/%c3", encodePath(b"/a b?/\xc3"))

    def test_unescape(self) -> None:
        """An encoded slash stays, and so does what would become a NUL or a line end."""
        self.assertEqual(b"/a b%2F%00%0a%0D%", unescape(b"/a%20b%2F%00%0a%0D%25"))

    @given(st.binary().filter(lambda data: not set(data) & set(b"\0\r\n")))
    def test_unescapeUndoesEncoding(self, path: bytes) -> None:
        """What was encoded for an application is the same when it is decoded."""
        self.assertEqual(path, unescape(encodeForProxy(path)))


class NormalizePathTests(SynchronousTestCase):
    """Tests for :func:`normalizePath`."""

    def test_unreserved(self) -> None:
        """Only what is unreserved is decoded, and dots are taken out after that."""
        self.assertEqual(b"/e/~tilde-_.aZ9", normalizePath(b"/e/%7Etilde%2D%5F%2E%61%5a%39"))
        self.assertEqual(b"/e/a%20b%2F%3b%00%0A", normalizePath(b"/e/a%20b%2F%3b%00%0A"))
        self.assertEqual(b"/x", normalizePath(b"/e/%2e%2E//x"))
        self.assertEqual(b"/e/..%2fx", normalizePath(b"/e/./..%2fx"))

    def test_slashes(self) -> None:
        """Doubled slashes stay where MergeSlashes is off."""
        self.assertEqual(b"/e//x", normalizePath(b"/e//x", mergeSlashes=False))

    def test_refused(self) -> None:
        """A bad escape is refused, and a path above the root."""
        for path in [b"/a%zz", b"/a%2", b"/../x", b"/%2e%2e/x"]:
            with self.assertRaises(BadRequest) as caught:
                normalizePath(path)
            self.assertEqual(400, caught.exception.status)


class RoughPathTests(SynchronousTestCase):
    """Tests for :func:`roughPath`."""

    def test_likeHttpd(self) -> None:
        """It is what httpd tells as REDIRECT_URL where ErrorDocument is a script."""
        for path, told in [
            (b"/a%20b/%zz", b"/a%20b/%zz"),
            (b"/a%41%2", b"/aA%2"),
            (b"/./a//b%zz", b"/a/b%zz"),
            (b"/a%20b%2Fc%41", b"/a b/cA"),
            (b"/../x%20", b"/x%20"),
        ]:
            self.assertEqual(told, roughPath(path))

    @given(PATHS)
    def test_harmless(self, path: bytes) -> None:
        """No line end comes into it; without an encoded slash it stays below the root."""
        rough = roughPath(path)
        self.assertTrue(rough.startswith(b"/"))
        self.assertFalse({0, 10, 13}.intersection(rough))
        if b"%2f" not in path.lower():
            self.assertNotIn(b"..", rough.split(b"/"))
