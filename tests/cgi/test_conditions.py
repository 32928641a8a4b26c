"""Tests for :mod:`twisted_fcgi.cgi.conditions`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.cgi.conditions import (
    applyConditions,
    evaluateConditions,
    formatDate,
    parseDate,
)
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Request, ResponseHead, Route, RouteKind
from twisted_fcgi.settings import DirectorySettings, VirtualHost

MODIFIED = 784111777
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = b"Sat, 05 Nov 1994 08:49:37 GMT"
FUTURE = b"Sun, 06 Nov 2094 08:49:37 GMT"
NOW = 1_000_000_000.5


class DateTests(SynchronousTestCase):
    """Tests for reading and writing dates."""

    def test_forms(self) -> None:
        """The three forms of RFC 9110, 5.6.7 are the same date."""
        for form in (DATE, b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"):
            self.assertEqual(parseDate(form), MODIFIED)

    def test_zone(self) -> None:
        """Every zone counts as GMT (httpd: apr_date_parse_http)."""
        self.assertEqual(parseDate(b"Sun, 06 Nov 1994 08:49:37 +0100"), MODIFIED)

    def test_shortYear(self) -> None:
        """Two digits of a year are of 1970 to 2069 (apr_date_parse_http)."""
        self.assertEqual(parseDate(b"Thursday, 01-Jan-70 00:00:09 GMT"), 9)
        self.assertEqual(
            formatDate(parseDate(b"Monday, 06-Nov-17 08:49:37 GMT") or 0)[12:16], b"2017"
        )

    def test_bad(self) -> None:
        """Anything else is no date."""
        for value in (
            None,
            b"",
            b"0",
            b"yesterday",
            b"Sun, 06 Foo 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 25:49:37 GMT",
            b"Sun, 32 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1960 08:49:37 GMT",
            b"Sun Nov  6 08:49:37",
            b"1994-11-06T08:49:37Z",
        ):
            self.assertIsNone(parseDate(value), value)

    def test_format(self) -> None:
        """A date is written in the one form that is not obsolete."""
        self.assertEqual(formatDate(MODIFIED), DATE)


class EvaluateTests(SynchronousTestCase):
    """Tests for :func:`evaluateConditions`."""

    def assertAnswer(
        self,
        status: int | None,
        *fields: tuple[bytes, bytes],
        etag: bytes | None = b'"abc"',
        modified: int | None = MODIFIED,
    ) -> None:
        """The conditions ask for this status."""
        self.assertEqual(evaluateConditions(Headers(fields), etag, modified, NOW), status)

    def test_none(self) -> None:
        """Without conditions the answer is sent."""
        self.assertAnswer(None, (b"Range", b"bytes=0-1"), (b"If-Range", b'"abc"'))

    def test_ifNoneMatch(self) -> None:
        """A tag that the client has makes it a 304; weak and strong are alike."""
        for tags in (b'"abc"', b'"x", W/"abc"', b"*", b'W/"abc","y"'):
            self.assertAnswer(304, (b"If-None-Match", tags))
        self.assertAnswer(304, (b"If-None-Match", b'"abc"'), etag=b'W/"abc"')
        self.assertAnswer(304, (b"If-None-Match", b'"x"'), (b"If-None-Match", b'"abc"'))

    def test_ifNoneMatchOther(self) -> None:
        """Other tags, a part of the tag, or none in the answer: it is sent."""
        for tags in (b'"other"', b'"ab"', b"abc", b"", b'"x, abc'):
            self.assertAnswer(None, (b"If-None-Match", tags))
        self.assertAnswer(None, (b"If-None-Match", b'"abc"'), etag=None)
        self.assertAnswer(None, (b"If-None-Match", b"abc"), etag=b"abc")

    def test_ifMatch(self) -> None:
        """Without a strong match of If-Match it is a 412."""
        for tags in (b'"abc"', b'"x", "abc"', b"*"):
            self.assertAnswer(None, (b"If-Match", tags))
        for tags in (b'"other"', b'W/"abc"'):
            self.assertAnswer(412, (b"If-Match", tags))
        self.assertAnswer(412, (b"If-Match", b'W/"abc"'), etag=b'W/"abc"')
        self.assertAnswer(412, (b"If-Match", b'"abc"'), etag=None)

    def test_ifModifiedSince(self) -> None:
        """An answer that did not change since is a 304."""
        self.assertAnswer(304, (b"If-Modified-Since", DATE))
        for date in (EARLIER, FUTURE, b"x"):
            self.assertAnswer(None, (b"If-Modified-Since", date))
        self.assertAnswer(None, (b"If-Modified-Since", DATE), modified=None)

    def test_ifUnmodifiedSince(self) -> None:
        """An answer that changed since, or at an unknown time, is a 412 (httpd)."""
        self.assertAnswer(412, (b"If-Unmodified-Since", EARLIER))
        for date in (DATE, FUTURE, b"x"):
            self.assertAnswer(None, (b"If-Unmodified-Since", date))
        self.assertAnswer(412, (b"If-Unmodified-Since", DATE), modified=None)

    def test_together(self) -> None:
        """A 304 needs the consent of all conditions (httpd: ap_meets_conditions)."""
        same, other = (b"If-None-Match", b'"abc"'), (b"If-None-Match", b'"other"')
        self.assertAnswer(304, same, (b"If-Modified-Since", DATE))
        self.assertAnswer(None, other, (b"If-Modified-Since", DATE))
        self.assertAnswer(None, same, (b"If-Modified-Since", EARLIER))
        self.assertAnswer(None, same, (b"If-Unmodified-Since", DATE))
        self.assertAnswer(412, same, (b"If-Match", b'"other"'))


class ApplyTests(SynchronousTestCase):
    """Tests for :func:`applyConditions`."""

    def apply(
        self,
        *fields: tuple[bytes, bytes],
        method: bytes = b"GET",
        asked: tuple[bytes, bytes] = (b"If-None-Match", b'"abc"'),
        target: bytes = b"/r/x",
        status: int = 200,
        given: bool = False,
    ) -> ResponseHead:
        """A head with these fields, completed; sets ``self.dropped``."""
        request = Request(method, target, Headers([asked]))
        filename = b"proxy:fcgi://127.0.0.1:9000" + target
        route = Route(RouteKind.FASTCGI, VirtualHost(), DirectorySettings(), filename=filename)
        head = ResponseHead(status, b"", Headers(fields), contentLength=4, statusGiven=given)
        self.dropped = applyConditions(request, route, head, NOW)
        return head

    def test_notModified(self) -> None:
        """A 304 keeps all but what describes a body."""
        fields = [(b"ETag", b'"abc"'), (b"Last-Modified", DATE), (b"X-A", b"b")]
        head = self.apply((b"Content-Type", b"text/plain"), *fields)
        self.assertEqual((head.status, head.reason), (304, b"Not Modified"))
        self.assertEqual(head.headers.pairs, fields)
        self.assertIsNone(head.contentLength)
        self.assertTrue(self.dropped)

    def test_preconditionFailed(self) -> None:
        """A 412 keeps the fields and has an empty body, as in httpd."""
        fields = [(b"Content-Type", b"text/plain"), (b"ETag", b'"abc"')]
        head = self.apply(*fields, asked=(b"If-Match", b'"other"'))
        self.assertEqual((head.status, head.reason), (412, b"Precondition Failed"))
        self.assertEqual((head.headers.pairs, head.contentLength), (fields, 0))
        self.assertTrue(self.dropped)

    def test_head(self) -> None:
        """HEAD is evaluated like GET."""
        self.assertEqual(self.apply((b"ETag", b'"abc"'), method=b"HEAD").status, 304)

    def test_otherMethods(self) -> None:
        """For other methods a script has to evaluate conditions itself (httpd)."""
        self.assertEqual(self.apply((b"ETag", b'"abc"'), method=b"POST").status, 200)
        self.assertFalse(self.dropped)

    def test_givenStatus(self) -> None:
        """A script's Status, or a redirect, ends the evaluation (httpd: PR 38070)."""
        self.assertEqual(self.apply((b"ETag", b'"abc"'), given=True).status, 200)
        self.assertEqual(self.apply((b"ETag", b'"abc"'), status=302).status, 302)
        self.assertFalse(self.dropped)

    def test_lastModified(self) -> None:
        """Last-Modified is sent in the usual form, for every method and status (httpd)."""
        for value in (DATE, b"Sunday, 06-Nov-94 08:49:37 GMT", DATE[:-3] + b"+0100"):
            head = self.apply((b"Last-Modified", value), method=b"POST", status=404, given=True)
            self.assertEqual(head.headers.get(b"last-modified"), DATE)

    def test_lastModifiedInTheFuture(self) -> None:
        """A Last-Modified of the future becomes the present (httpd: ap_rationalize_mtime)."""
        head = self.apply((b"Last-Modified", FUTURE))
        self.assertEqual(head.headers.get(b"last-modified"), formatDate(int(NOW)))

    def test_badLastModified(self) -> None:
        """A Last-Modified that is no date is dropped, and no condition looks at it (httpd)."""
        asked = (b"If-Modified-Since", DATE)
        head = self.apply((b"Last-Modified", b"yesterday"), asked=asked)
        self.assertEqual((head.status, head.headers.pairs), (200, []))

    def test_guessedType(self) -> None:
        """Without a Content-Type it is guessed from the URL (httpd: mod_mime)."""
        for target, kind in ((b"/x.html", b"text/html"), (b"/x.php", None), (b"/r", None)):
            self.assertEqual(self.apply(target=target).headers.get(b"content-type"), kind)

    def test_typeIsKept(self) -> None:
        """A Content-Type that is there stays."""
        head = self.apply((b"content-type", b"a/b"), target=b"/x.html")
        self.assertEqual(head.headers.pairs, [(b"content-type", b"a/b")])

    def test_noTypeWithoutContent(self) -> None:
        """What has no body gets no Content-Type."""
        for status in (204, 304):
            self.assertEqual(self.apply(target=b"/x.html", status=status).headers.pairs, [])
