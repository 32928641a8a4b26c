"""Tests for :mod:`twisted_fcgi.web.steering`."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from tests.web.doubles import RecordingResponse
from tests.web.gateways import END, GatewayTestCase
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import ResponseHead
from twisted_fcgi.web.steering import KeptResponse, SteeredResponse

PASS = 'ProxyPass "/a/" "fcgi://127.0.0.1:9001/"\n'


class SteeringTests(GatewayTestCase):
    """What the variables make of responses."""

    def head(self, configuration: str, target: bytes = b"/a/x") -> ResponseHead:
        """The head of the response to a request."""
        self.scripts["fcgi://127.0.0.1:9001/"] = (b"Vary: Accept\r\n\r\n", END)
        response = self.serve(self.gateway(configuration + PASS), target)
        assert response.head is not None
        return response.head

    def test_interface(self) -> None:
        """A steered response is a response."""
        verifyObject(IResponse, SteeredResponse(RecordingResponse(), {}))

    def test_unsteered(self) -> None:
        """Without the variables a connection goes on."""
        head = self.head("SetEnv other 1\n")
        self.assertEqual((False, False), (head.close, head.unchunked))
        self.assertEqual(b"Accept", head.headers.get(b"vary"))

    def test_noKeepAlive(self) -> None:
        """nokeepalive ends the connection, by SetEnv and by SetEnvIf, however it is spelled."""
        for line in ("SetEnv NoKeepAlive 1\n", 'SetEnvIf Request_URI "^/" nokeepalive\n'):
            head = self.head(line)
            self.assertEqual((True, False), (head.close, head.unchunked))

    def test_downgrade(self) -> None:
        """downgrade-1.0 ends it in place of chunks."""
        head = self.head("SetEnv downgrade-1.0 1\n")
        self.assertEqual((True, True), (head.close, head.unchunked))

    def test_noVary(self) -> None:
        """force-no-vary takes Vary away, and downgrades."""
        head = self.head("SetEnv force-no-vary 1\n")
        self.assertEqual((True, True), (head.close, head.unchunked))
        self.assertNotIn(b"vary", head.headers)

    def test_errors(self) -> None:
        """They hold for pages about errors as well."""
        self.assertTrue(self.head("SetEnv nokeepalive 1\n", b"/nowhere").close)

    def test_shared(self) -> None:
        """A head that other responses have, too, stays as it is."""
        head = ResponseHead(200, b"OK", Headers([(b"Vary", b"Accept")]))
        before = head.copy()
        response = RecordingResponse()
        SteeredResponse(response, {b"force-no-vary": b"1"}).writeHead(head)
        KeptResponse(response, (1.0, 1)).writeHead(head)
        self.assertEqual(before, head)


class KeepAliveTests(GatewayTestCase):
    """What virtual hosts make of connections."""

    def head(self, lines: str) -> ResponseHead:
        """The head of a response of a virtual host with these lines."""
        lines = f"<VirtualHost *>\n{lines}{PASS}</VirtualHost>\n"
        response = self.serve(self.gateway("KeepAliveTimeout 7\n" + lines), b"/a/x")
        assert response.head is not None
        return response.head

    def test_interface(self) -> None:
        """A response with a say in it is a response."""
        verifyObject(IResponse, KeptResponse(RecordingResponse(), (1.0, 1)))

    def test_hosts(self) -> None:
        """What a virtual host says of its connections holds in place of the server's lines."""
        self.assertIsNone(self.head("").keepAlive)
        self.assertIsNone(self.head("KeepAliveTimeout 7\n").keepAlive)
        self.assertEqual(self.head("MaxKeepAliveRequests 2\n").keepAlive, (7.0, 2))
        self.assertEqual(self.head("KeepAliveTimeout 2\n").keepAlive, (2.0, 100))
        self.assertEqual(self.head("KeepAlive Off\n").keepAlive, (0.0, 100))
