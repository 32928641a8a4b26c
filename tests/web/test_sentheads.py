"""Tests for :mod:`twisted_fcgi.web.sentheads`: heads that are the same bytes again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.headers import Headers
from twisted_fcgi.message import ResponseHead
from twisted_fcgi.web import sentheads as module
from twisted_fcgi.web.sentheads import MAX_HEADS, SentHeads

NOW = 784111777.9

OURS = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: me/1\r\n"

FRAMINGS = (b"", b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n")

CONNECTIONS = (b"", b"Connection: close\r\n\r\n")


def prepared(*pairs: tuple[bytes, bytes]) -> Headers:
    """Fields as those of a head that an application repeats."""
    headers = Headers(pairs)
    headers.lines()
    return headers


class SentHeadsTests(SynchronousTestCase):
    """Tests for :class:`SentHeads`."""

    def setUp(self) -> None:
        self.now = NOW
        self.patch(module, "time", lambda: self.now)
        self.heads = SentHeads(b"me/1")

    def test_date(self) -> None:
        """Date is the time of day, Server what it was told; both stand before the fields."""
        for headers in (Headers([(b"A", b"b")]), prepared((b"A", b"b"))):
            self.assertEqual(
                self.heads.framed(ResponseHead(200, b"OK", headers), FRAMINGS[1], CONNECTIONS[1]),
                b"HTTP/1.1 200 OK\r\n" + OURS + b"A: b\r\n" + FRAMINGS[1] + CONNECTIONS[1],
            )

    def test_anotherTime(self) -> None:
        """The date is never that of another second, also when a clock is put back."""
        head = ResponseHead(200, b"OK", prepared())
        for now, time in ((NOW, b"37"), (NOW + 0.1, b"38"), (NOW - 2, b"35"), (NOW, b"37")):
            self.now = now
            self.assertIn(b" 08:49:%b GMT" % time, self.heads.framed(head, b"", b""))

    def test_again(self) -> None:
        """A repeated head is made once a second; what comes once is not kept at all."""
        fields = prepared((b"A", b"b"))

        def sent(headers: Headers) -> bytes:
            return self.heads.framed(ResponseHead(200, b"OK", headers), FRAMINGS[1], b"")

        first = sent(fields.copy())
        self.assertIs(sent(fields.copy()), first)
        self.assertIsNot(sent(Headers([(b"Set-Cookie", b"b")])), first)
        self.assertEqual(len(self.heads._known), 1)
        self.now += 1
        self.assertIsNot(sent(fields.copy()), first)
        self.assertEqual(len(self.heads._known), 1)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(((200, b"OK"), (200, b"Fine"), (404, b"Not Found"))),
                st.sampled_from(
                    (
                        prepared(),
                        prepared((b"A", b"b")),
                        prepared((b"date", b"mine")),
                        Headers([(b"A", b"b")]),
                    )
                ),
                st.sampled_from(FRAMINGS),
                st.sampled_from(CONNECTIONS),
                st.sampled_from((NOW, NOW + 1)),
            )
        )
    )
    def test_any(self, sent: list[tuple[tuple[int, bytes], Headers, bytes, bytes, float]]) -> None:
        """Whatever was sent before, a head is what it would be if it were the first."""
        for (status, reason), headers, framing, connection, self.now in sent:
            head = ResponseHead(status, reason, headers.copy())
            self.assertEqual(
                self.heads.framed(head, framing, connection),
                SentHeads(b"me/1").framed(head, framing, connection),
            )

    def test_bounded(self) -> None:
        """Only so many are kept."""
        for number in range(2 * MAX_HEADS + 1):
            head = ResponseHead(200, b"OK", prepared((b"A", b"%d" % number)))
            self.heads.framed(head, b"", b"")
            self.assertLessEqual(len(self.heads._known), MAX_HEADS)

    def test_lineEndInside(self) -> None:
        """A reason with a line end inside has no head, however often it is tried."""
        head = ResponseHead(200, b"OK\r\nX: y", prepared())
        for _ in range(2):
            self.assertRaises(ValueError, self.heads.framed, head, b"", b"")
