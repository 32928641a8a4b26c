"""Tests for :mod:`twisted_fcgi.web.errorpage`."""

from __future__ import annotations

from html.parser import HTMLParser

from twisted.trial.unittest import SynchronousTestCase

from tests.web.doubles import RecordingResponse
from twisted_fcgi.headers import Headers
from twisted_fcgi.http import REASONS
from twisted_fcgi.web.errorpage import Refusal, errorPage, writeErrorPage


class Outline(HTMLParser):
    """The tags of a page as they open and close, and each element's text."""

    VOID = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts[self.open[-1]] = data


class ErrorPageTests(SynchronousTestCase):
    """Tests for :func:`errorPage`."""

    def test_page(self) -> None:
        """A page says status and phrase as title and heading, and one sentence."""
        reason, page = errorPage(404)
        self.assertEqual(reason, b"Not Found")
        texts = Outline(page.decode("ascii")).texts
        self.assertEqual(texts["title"], "404 Not Found")
        self.assertEqual(texts["h1"], "404 Not Found")
        self.assertEqual(texts["p"], "There is no page at this address.")

    def test_everyStatus(self) -> None:
        """Every status of an error or redirect has a page whose elements are closed."""
        for status in range(300, 600):
            reason, page = errorPage(status)
            outline = Outline(page.decode("ascii"))
            self.assertEqual(outline.open, [])
            self.assertTrue(outline.texts["p"].endswith("."))
            self.assertEqual(reason, REASONS.get(status, b"Error"))

    def test_kept(self) -> None:
        """A page is made once."""
        self.assertIs(errorPage(503), errorPage(503))


class WriteErrorPageTests(SynchronousTestCase):
    """Tests for :func:`writeErrorPage`."""

    def test_response(self) -> None:
        """The page is the whole response, with its type, length and further fields."""
        response = RecordingResponse()
        writeErrorPage(response, Refusal(405, Headers([(b"Allow", b"GET")])))
        reason, page = errorPage(405)
        assert response.head is not None
        self.assertEqual((response.status, response.head.reason), (405, reason))
        self.assertEqual(response.head.contentLength, len(page))
        self.assertEqual(
            response.head.headers.pairs,
            [(b"Allow", b"GET"), (b"Content-Type", b"text/html; charset=iso-8859-1")],
        )
        self.assertEqual(response.body, page)
        self.assertEqual(response.calls, ["head", "write", "finish"])

    def test_close(self) -> None:
        """After a 503 the client's connection ends, after a 404 it does not (httpd)."""
        for status, close in ((404, False), (503, True)):
            response = RecordingResponse()
            writeErrorPage(response, Refusal(status))
            assert response.head is not None
            self.assertEqual(response.head.close, close)
