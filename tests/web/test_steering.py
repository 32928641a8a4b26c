"""Tests for :mod:`twisted_fcgi.web.steering`."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from tests.web.doubles import RecordingResponse
from tests.web.gateways import END, GatewayTestCase
from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import ResponseHead
from twisted_fcgi.web.steering import SteeredResponse

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
