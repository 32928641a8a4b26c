"""Tests for :mod:`twisted_fcgi.web.connection`: how long a client's connection goes on."""

from __future__ import annotations

from tests.web.channels import ChannelTestCase, Served, get
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import ResponseHead


class PersistenceTests(ChannelTestCase):
    """Whether a connection goes on."""

    def test_maximum(self) -> None:
        """httpd's MaxKeepAliveRequests: so many may follow the first."""
        self.connect(lambda served: served.answer(), keepAliveRequests=2)
        for _ in range(2):
            self.assertNotIn(b"Connection", self.send(get()))
        self.assertIn(b"Connection: close", self.send(get()))
        self.assertEqual(self.transport.ended, "lingering")

    def test_hosts(self) -> None:
        """What a response's virtual host says holds until the next one."""
        heads = [ResponseHead(200, b"OK", Headers(), 0) for _ in range(3)]
        heads[0].keepAlive, heads[2].keepAlive = (9.0, 5), (9.0, 1)

        def answer(served: Served) -> None:
            served.response.writeHead(heads.pop(0))
            served.response.finish()

        self.connect(answer, keepAliveTimeout=2.0)
        ask = get(b"/", b"Connection: keep-alive")
        self.assertIn(b"Keep-Alive: timeout=9, max=5\r\n", self.send(ask))
        self.assertIn(b"Keep-Alive: timeout=2, max=99\r\n", self.send(ask))
        self.assertIn(b"Connection: close", self.send(ask))

    def test_off(self) -> None:
        """With a timeout of 0 no connection goes on."""
        self.connect(lambda served: served.answer(), keepAliveTimeout=0.0)
        self.assertIn(b"Connection: close", self.send(get()))

    def test_asked(self) -> None:
        """Who asks for it hears how long and how often."""
        self.connect(lambda served: served.answer(), keepAliveTimeout=7.0, keepAliveRequests=9)
        ask = get(b"/", b"Connection: keep-alive")
        self.assertIn(b"Connection: Keep-Alive\r\nKeep-Alive: timeout=7, max=9\r\n", self.send(ask))
        self.assertIn(b"Keep-Alive: timeout=7, max=8\r\n", self.send(ask))
        self.connect(lambda served: served.answer(), keepAliveRequests=0)
        self.assertIn(b"Keep-Alive: timeout=5\r\n", self.send(ask))

    def test_old(self) -> None:
        """HTTP/1.0 may ask for it too; it is had when the length is known."""
        ask = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        self.connect(lambda served: served.answer())
        self.assertIn(b"Connection: Keep-Alive", self.send(ask, ask))
        self.assertEqual(len(self.served), 2)
        self.connect(lambda served: served.answer(length=False))
        self.assertIn(b"Connection: close", self.send(ask, ask))
        self.assertEqual(len(self.served), 1)
