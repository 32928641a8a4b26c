"""Tests for :mod:`twisted_fcgi.service.demo`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi import config
from twisted_fcgi.backend.application import FastCGIApplicationFactory
from twisted_fcgi.cgi.response import ResponseParser
from twisted_fcgi.message import ResponseHead
from twisted_fcgi.service.demo import (
    INTERVAL,
    MAX_FORM,
    TICKS,
    DemoApplication,
    DemoService,
    demoText,
    makeSocketPath,
)
from twisted_fcgi.wire import ClientConnection, EndRequest, Stderr, Stdout


class Asked:
    """
    One request to the application, over a connection of its own.

    :ivar body: of the response.
    :ivar stderr: what went to the log.
    :ivar ended: whether the request is over.
    """

    def __init__(
        self, clock: Clock, path: str, body: bytes = b"", *, accept: str = "", **params: str
    ) -> None:
        factory = FastCGIApplicationFactory(DemoApplication(clock))
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        self._protocol = protocol
        self._transport = StringTransport()
        self._wire = ClientConnection()
        self._parser = ResponseParser()
        self.body = self.stderr = b""
        self.ended = False
        protocol.makeConnection(self._transport)
        script, _, query = path.partition("?")
        variables = {
            "SCRIPT_NAME": script,
            "REQUEST_METHOD": "POST" if body else "GET",
            "QUERY_STRING": query,
            "HTTP_ACCEPT": accept,
            **params,
        }
        pairs = [
            (name.encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in variables.items()
        ]
        self._id, data = self._wire.begin(pairs, stdin=body, keepConnection=True)
        protocol.dataReceived(data)
        self.read()

    def read(self) -> None:
        """Take what the application wrote."""
        for event in self._wire.receive(self._transport.value()):
            if isinstance(event, Stdout):
                if self._parser.head is None:
                    self.body += self._parser.receive(event.data) or b""
                else:
                    self.body += event.data
            elif isinstance(event, Stderr):
                self.stderr += event.data
            elif isinstance(event, EndRequest):
                self.ended = True
        self._transport.clear()

    def abort(self) -> None:
        """The client leaves."""
        self._protocol.dataReceived(self._wire.abort(self._id))
        self.read()

    @property
    def head(self) -> ResponseHead:
        """Of the response."""
        assert self._parser.head is not None
        return self._parser.head


class DemoApplicationTests(SynchronousTestCase):
    """What the page's parts get."""

    def setUp(self) -> None:
        self.clock = Clock()

    def test_variables(self) -> None:
        """The page shows each variable of its request, escaped."""
        asked = Asked(self.clock, "/", HTTP_X="<script>&\"'", A="{nonce}{title}")
        self.assertTrue(asked.ended)
        self.assertEqual(200, asked.head.status)
        self.assertIn(b"&lt;script&gt;&amp;&quot;&#x27;", asked.body)
        self.assertIn(b">A</th><td>{nonce}{title}</td>", asked.body)

    def test_anyBytes(self) -> None:
        """Bytes that are no text are shown all the same."""
        asked = Asked(self.clock, "/", HTTP_X="a\udcffb")
        self.assertIn(rb"a\xffb", asked.body)

    def test_selfContained(self) -> None:
        """The page takes nothing from anywhere, and its policy forbids that it does."""
        asked = Asked(self.clock, "/")
        policy = asked.head.headers.get(b"content-security-policy")
        assert policy is not None
        self.assertTrue(policy.startswith(b"default-src 'none'; "))
        self.assertEqual([], re.findall(rb"(?:src|href)=\"(?!/|data:)[^\"]*", asked.body))
        self.assertNotIn(b"://", asked.body)

    def test_nonce(self) -> None:
        """Each page has a nonce of its own, and no place is left unfilled."""
        found = [re.findall(rb'nonce="([^"]+)"', Asked(self.clock, "/").body) for _ in range(2)]
        self.assertEqual(2, len(set(found[0] + found[1])))
        self.assertEqual([], re.findall(rb"\{\w+\}", Asked(self.clock, "/").body))

    def test_echo(self) -> None:
        """A form comes back as it was read, with GET and with POST."""
        form = "text=%C3%BC%3C&more="
        for asked in (
            Asked(self.clock, f"/echo?{form}", accept="text/plain"),
            Asked(self.clock, "/echo", form.encode(), accept="text/plain"),
        ):
            self.assertIn("text = ü<\nmore = \n", asked.body.decode())
            self.assertEqual(b"text/plain; charset=utf-8", asked.head.headers.get(b"content-type"))

    def test_echoWithoutScripts(self) -> None:
        """Without scripts, the page itself shows it, escaped."""
        asked = Asked(self.clock, "/echo?a=%3Cb%3E", accept="text/html")
        self.assertIn(b"a = &lt;b&gt;", asked.body)
        self.assertNotIn(b"<b>\n", asked.body)

    def test_largeForm(self) -> None:
        """A form is held up to a limit, then refused."""
        asked = Asked(self.clock, "/echo", b"x" * (MAX_FORM + 1))
        self.assertEqual(413, asked.head.status)
        self.assertTrue(asked.ended)

    def test_manyFields(self) -> None:
        """A form of very many fields does no harm."""
        self.assertEqual(200, Asked(self.clock, "/echo", b"&" * MAX_FORM).head.status)

    def test_events(self) -> None:
        """The stream writes one event at a time, and ends."""
        asked = Asked(self.clock, "/events")
        content = asked.head.headers.get(b"content-type")
        self.assertEqual(b"text/event-stream; charset=utf-8", content)
        for number in range(1, TICKS):
            self.assertTrue(asked.body.endswith(b"data: %d\n\n" % number))
            self.assertFalse(asked.ended)
            self.clock.advance(INTERVAL)
            asked.read()
        self.assertEqual(TICKS, asked.body.count(b"\n\n"))
        self.assertTrue(asked.ended)

    def test_eventsAborted(self) -> None:
        """When the client leaves, the stream stops."""
        asked = Asked(self.clock, "/events")
        asked.abort()
        self.assertTrue(asked.ended)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_upload(self) -> None:
        """The bytes of an upload are counted."""
        asked = Asked(self.clock, "/upload", b"x" * 123456, accept="application/json")
        self.assertEqual({"bytes": 123456, "seconds": 0.0}, json.loads(asked.body))
        self.assertIn(b"123456 bytes in", Asked(self.clock, "/upload", b"x" * 123456).body)

    def test_error(self) -> None:
        """The error is a line for the log and a status of 500."""
        asked = Asked(self.clock, "/error")
        self.assertEqual(500, asked.head.status)
        self.assertEqual(1, asked.stderr.count(b"\n"))

    def test_nothingElse(self) -> None:
        """Any other path is not found."""
        self.assertEqual(404, Asked(self.clock, "/else").head.status)


class DemoServiceTests(SynchronousTestCase):
    """The application's socket."""

    def test_configuration(self) -> None:
        """The demo is reached by a configuration like any other."""
        settings = config.loads(demoText("/a b/socket", ["81", "tcp:82"]))
        self.assertEqual(["tcp:81", "tcp:82"], [each.endpoint for each in settings.listeners])
        self.assertEqual(["/a b/socket"], [member.socket for member in settings.members])

    def test_privateDirectory(self) -> None:
        """The socket is in a directory that only we may enter, which does not outlive us."""
        path = makeSocketPath()
        folder = Path(path).parent
        reactor = MemoryReactorClock()
        service = DemoService(path, reactor)
        self.assertFalse(folder.exists())
        service.startService()
        self.addCleanup(service.stopService)
        self.assertEqual(0o700, folder.stat().st_mode & 0o777)
        self.assertEqual([path], [server[0] for server in reactor.unixServers])
        self.successResultOf(service.stopService())
        self.assertFalse(folder.exists())
