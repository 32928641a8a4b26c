"""Tests for :mod:`twisted_fcgi.web.outgoing`, and for where the gateway puts it."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.web.doubles import RecordingResponse
from tests.web.gateways import END, HEAD, GatewayTestCase
from twisted_fcgi.errors import ConnectFailed
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import Request, ResponseHead, Route, RouteKind
from twisted_fcgi.settings import DirectorySettings, VirtualHost
from twisted_fcgi.web.outgoing import GATHER_LIMIT, ChangedResponse, GatheringResponse

URL = "fcgi://127.0.0.1:9001/"
PROXY = f'ProxyPass "/a/" "{URL}"\n'


def fieldsOf(response: RecordingResponse) -> list[tuple[bytes, bytes]]:
    """The fields of a response, but for the type of its content."""
    assert response.head is not None
    return [pair for pair in response.head.headers if pair[0] != b"Content-Type"]


class ChangedResponseTests(GatewayTestCase):
    """Tests for :class:`ChangedResponse`."""

    def test_passedOn(self) -> None:
        """All but the head is passed on as it is."""
        original = RecordingResponse()
        route = Route(RouteKind.FASTCGI, VirtualHost(), DirectorySettings())
        response = ChangedResponse(Request(b"GET", b"/", Headers()), route, original)
        verifyObject(IResponse, response)
        response.writeHead(ResponseHead(200, b"OK", Headers()))
        response.write(b"ab")
        response.flush()
        response.finish()
        response.abort()
        self.assertEqual(["head", "write", "flush", "finish", "abort"], original.calls)
        self.assertEqual(b"ab", original.body)

    def test_application(self) -> None:
        """Both kinds of lines work on an application's answer, each on fields of its own."""
        self.scripts[URL] = (b"X-Powered-By: PHP\r\nETag: x\r\n" + HEAD, END)
        gateway = self.gateway(
            PROXY + "Header always unset X-Powered-By\nHeader unset ETag\nHeader set X-A 1\n"
        )
        self.assertEqual([(b"X-A", b"1")], fieldsOf(self.serve(gateway, b"/a/x")))

    def test_errors(self) -> None:
        """On a page of ours only lines with always work, whatever failed."""
        self.scripts[URL] = (ConnectFailed("refused"),)
        gateway = self.gateway(PROXY + "Header always set X-A 1\nHeader set X-B 1\n")
        for target, status in ((b"/a/x", 503), (b"/none", 404)):
            response = self.serve(gateway, target)
            self.assertEqual(status, response.status)
            self.assertEqual([(b"X-A", b"1")], fieldsOf(response))

    def test_filename(self) -> None:
        """Expressions know the file's name and PATH_INFO, also where no file is sent."""
        root = self.directory()
        os.mkdir(os.path.join(root, "dir"))
        gateway = self.gateway(
            f'DocumentRoot "{root}"\n<Location /denied>\nRequire all denied\n</Location>\n'
            'Header always set X-F "expr=%{REQUEST_FILENAME}|%{PATH_INFO}"\n' + PROXY
        )
        for target, told in (
            (b"/none/x", f"{root}/none|/x"),
            (b"/denied/x", f"{root}/denied|/x"),
            (b"/dir", f"{root}/dir|"),
            (b"/a/x", "proxy:fcgi://127.0.0.1:9001/x|"),
            (b"/%zz", "|"),
        ):
            head = self.serve(gateway, target).head
            assert head is not None
            self.assertEqual(told.encode(), head.headers.get(b"x-f"))

    def test_file(self) -> None:
        """With a file both work, and Server stays the server's own."""
        root = self.directory()
        with open(os.path.join(root, "a.txt"), "w") as file:
            file.write("hello")
        gateway = self.gateway(
            f'DocumentRoot "{root}"\nHeader always set X-A 1\nHeader set Cache-Control no-store\n'
            "Header always set Server other\n"
        )
        response = self.serve(gateway, b"/a.txt")
        fields = dict(fieldsOf(response))
        self.assertEqual(b"1", fields[b"X-A"])
        self.assertEqual(b"no-store", fields[b"Cache-Control"])
        self.assertNotIn(b"Server", fields)

    def test_sections(self) -> None:
        """Only the lines of sections that hold for a request work."""
        gateway = self.gateway(PROXY + '<Location "/a/b">\nHeader set X-A 1\n</Location>\n')
        self.assertEqual([], fieldsOf(self.serve(gateway, b"/a/x")))
        self.assertEqual([(b"X-A", b"1")], fieldsOf(self.serve(gateway, b"/a/b")))

    def test_errorDocument(self) -> None:
        """An ErrorDocument's answer is no page of ours: its own route's lines work on it, once."""
        gateway = self.gateway(
            PROXY + "ErrorDocument 404 /a/page\nHeader always add X-A 1\nHeader add X-B 1\n"
            '<Location "/none">\nHeader always add X-C 1\n</Location>\n'
        )
        response = self.serve(gateway, b"/none")
        self.assertEqual(404, response.status)
        self.assertEqual([(b"X-A", b"1"), (b"X-B", b"1")], fieldsOf(response))

    def test_overridden(self) -> None:
        """A page in place of an application's error keeps its fields, which no line reaches."""
        self.scripts[URL] = (b"Status: 404\r\nX-A: app\r\n" + HEAD, END)
        gateway = self.gateway(
            PROXY + 'ProxyErrorOverride On\nHeader always set X-A "%{REQUEST_METHOD}e"\n'
        )
        self.assertEqual(
            [(b"X-A", b"GET"), (b"X-A", b"app")], fieldsOf(self.serve(gateway, b"/a/x"))
        )

    def test_told(self) -> None:
        """A value sees the variables that an application was told, once one was asked."""
        gateway = self.gateway(PROXY + 'Header always set X-A "%{HTTP_X_B}e %{SCRIPT_NAME}e"\n')
        response = self.serve(gateway, b"/a/x", fields=[(b"X-B", b"b")])
        self.assertEqual([(b"X-A", b"b /a/x")], fieldsOf(response))
        response = self.serve(gateway, b"/none", fields=[(b"X-B", b"b")])
        self.assertEqual([(b"X-A", b"(null) (null)")], fieldsOf(response))

    def test_balanced(self) -> None:
        """That is so of a balancer's member, too."""
        gateway = self.gateway(
            '<Proxy "balancer://one">\nBalancerMember "fcgi://127.0.0.1:9001/m" route=r\n</Proxy>\n'
            'ProxyPass "/a/" "balancer://one/"\n'
            'Header set X-A "%{BALANCER_WORKER_ROUTE}e"\n'
        )
        self.assertEqual([(b"X-A", b"r")], fieldsOf(self.serve(gateway, b"/a/x")))

    def test_early(self) -> None:
        """A field that was set early is there before an application's."""
        self.scripts[URL] = (b"X-A: app\r\n" + HEAD, END)
        gateway = self.gateway(PROXY + "Header always set X-A early early\n")
        self.assertEqual([(b"X-A", b"early, app")], fieldsOf(self.serve(gateway, b"/a/x")))

    def test_requestHeader(self) -> None:
        """The application is told of a request's fields as RequestHeader made them."""
        gateway = self.gateway(
            PROXY + "RequestHeader set X-A 1\nRequestHeader unset X-B\n"
            "RequestHeader set Host other.test\nRequestHeader set Content-Length 9\n"
        )
        self.serve(gateway, b"/a/x", fields=[(b"X-B", b"b")])
        params = self.live[0].params
        self.assertEqual(b"1", params[b"HTTP_X_A"])
        self.assertEqual(b"other.test", params[b"HTTP_HOST"])
        self.assertNotIn(b"HTTP_X_B", params)
        self.assertNotIn(b"CONTENT_LENGTH", params)

    def test_vary(self) -> None:
        """A RequestHeader's condition that reads a field makes an application's answer vary."""
        gateway = self.gateway(PROXY + "RequestHeader set X-A 1 \"expr=%{HTTP:X-B} == '1'\"\n")
        self.assertEqual([(b"Vary", b"X-B")], fieldsOf(self.serve(gateway, b"/a/x")))

    def test_varyOfTwo(self) -> None:
        """What expressions read is no field of the application's: lines without always see it."""
        self.scripts[URL] = (b"Vary: X-A\r\n" + HEAD, END)
        override = 'ProxyFCGISetEnvIf "-n %{req:X-B}" A 1\n'
        for line, vary in (
            ("Header set X-C 1", b"X-A,X-B"),
            ("Header unset Vary", b"X-A"),
            ("Header always unset Vary", b"X-B"),
            ("Header edit Vary X Z", b"X-A,Z-B"),
        ):
            head = self.serve(self.gateway(PROXY + override + line + "\n"), b"/a/x").head
            assert head is not None
            self.assertEqual(vary, head.headers.get(b"vary"), line)


class GatheringResponseTests(SynchronousTestCase):
    """Tests for :class:`GatheringResponse`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.response = RecordingResponse()
        self.gathering = GatheringResponse(self.response, 0.01, self.clock)
        self.gathering.writeHead(ResponseHead(200, b"OK", Headers()))

    def test_interface(self) -> None:
        """It is a response itself."""
        verifyObject(IResponse, self.gathering)

    def test_limit(self) -> None:
        """No more than the limit is held, whatever the wait is."""
        self.gathering.write(b"x" * (GATHER_LIMIT - 1))
        self.assertEqual(self.response.body, b"")
        self.gathering.write(b"y")
        self.assertEqual(len(self.response.body), GATHER_LIMIT)

    def test_finish(self) -> None:
        """The end does not wait."""
        self.gathering.write(b"abc")
        self.gathering.finish()
        self.assertEqual(self.response.calls, ["head", "write", "finish"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_abort(self) -> None:
        """An abort drops what was gathered."""
        self.gathering.write(b"abc")
        self.gathering.abort()
        self.assertEqual(self.response.calls, ["head", "abort"])
        self.assertEqual(self.clock.getDelayedCalls(), [])
