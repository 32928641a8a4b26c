"""ErrorDocument and ProxyErrorOverride: which page a client gets with an error."""

from __future__ import annotations

import os

from tests.web.doubles import RecordingResponse, ScriptedBody
from tests.web.gateways import END, HEAD, GatewayTestCase
from twisted_fcgi.errors import ConnectFailed, ResponseTimedOut
from twisted_fcgi.web.relay import OVERRIDDEN_LIMIT

SITE = 'ProxyPass "/down/" "fcgi://127.0.0.1:9001/"\nProxyPass "/ok/" "fcgi://127.0.0.1:9002/"\n'
DOWN, OK = "fcgi://127.0.0.1:9001/", "fcgi://127.0.0.1:9002/"


class BodyTests(GatewayTestCase):
    """The request's body, for a script that makes the page."""

    def test_bodyOfMissingFile(self) -> None:
        """Where a file was to be served the body is gone, as in httpd; else it follows."""
        lines = "ErrorDocument 404 /ok/e\nErrorDocument 403 /ok/e\nRedirect 404 /gone\n"
        for target, told in ((b"/missing", b"0"), (b"/gone", b"3")):
            body = ScriptedBody(3)
            length = [(b"Content-Length", b"3")]
            gateway = self.gateway(SITE + lines)
            self.serve(gateway, target, b"POST", body, length, contentLength=3)
            self.assertEqual(told, self.live[-1].params[b"CONTENT_LENGTH"])


class RefusedPathTests(GatewayTestCase):
    """Errors of paths that can't be decoded."""

    def test_told(self) -> None:
        """A script that makes the page is told the path, as far as it is understood."""
        gateway = self.gateway(SITE + "ErrorDocument 404 /ok/e\n")
        self.serve(gateway, b"/a%20b%2Fc?q")
        told = self.live[0].params
        self.assertEqual((b"/a b/c", b"q"), (told[b"REDIRECT_URL"], told[b"REDIRECT_QUERY_STRING"]))


class ErrorDocumentTests(GatewayTestCase):
    """What ErrorDocument makes of an error, wherever it came from."""

    def setUp(self) -> None:
        super().setUp()
        self.scripts[DOWN] = (ConnectFailed("nobody there"),)

    def ask(
        self,
        document: str,
        target: bytes = b"/down/x",
        method: bytes = b"GET",
        body: ScriptedBody | None = None,
    ) -> RecordingResponse:
        """The answer of a site with an ErrorDocument."""
        return self.serve(self.gateway(f"{SITE}ErrorDocument {document}\n"), target, method, body)

    def field(self, response: RecordingResponse, name: bytes) -> bytes | None:
        """A field of a response."""
        assert response.head is not None
        return response.head.headers.get(name)

    def test_text(self) -> None:
        """A text is the page, with its variables replaced, and the status stays."""
        response = self.ask('503 "%{REQUEST_URI} is out, 100%"')
        self.assertEqual((response.status, response.body), (503, b"/down/x is out, 100%"))
        self.assertEqual(self.field(response, b"content-type"), b"text/html; charset=iso-8859-1")

    def test_otherStatus(self) -> None:
        """Only the status that it names is answered with it."""
        self.assertIn(b"<h1>503 ", self.ask('502 "text"').body)

    def test_default(self) -> None:
        """``default`` in a section is our own page again."""
        gateway = self.gateway(
            SITE + 'ErrorDocument 503 "text"\n<Location "/down/">\nErrorDocument 503 default\n'
            "</Location>\n"
        )
        self.assertIn(b"<h1>503 ", self.serve(gateway, b"/down/x").body)

    def test_controlCharacters(self) -> None:
        """None gets into a URL, and so into a field of the response."""
        document = "503 http://other.example/%{unescape:%{QUERY_STRING}}"
        self.assertEqual(self.ask(document, b"/down/x?a").status, 302)
        for sign in (b"%01", b"%09", b"%7f"):
            self.assertEqual(self.ask(document, b"/down/x?a" + sign).status, 503)

    def test_anotherPlace(self) -> None:
        """A URL redirects the client there; a connection that a 503 ends, ends all the same."""
        response = self.ask("503 http://other.example/down")
        assert response.head is not None
        self.assertEqual((response.status, response.head.close), (302, True))
        self.assertEqual(self.field(response, b"location"), b"http://other.example/down")

    def test_file(self) -> None:
        """A local path may be a file; its type and validators go with the error's status."""
        root = self.directory()
        with open(os.path.join(root, "lost.txt"), "w") as file:
            file.write("lost")
        gateway = self.gateway(f"DocumentRoot {root}\nErrorDocument 404 /lost.txt\n")
        response = self.serve(gateway, b"/none", fields=[(b"If-None-Match", b"*")])
        self.assertEqual((response.status, response.body), (404, b"lost"))
        self.assertEqual(self.field(response, b"content-type"), b"text/plain")

    def test_missingFile(self) -> None:
        """A page that is not there leaves the first error and our own page."""
        self.assertIn(b"<h1>503 ", self.ask("503 /none.html").body)

    def test_script(self) -> None:
        """A local path may be an application's: it gets a GET, and variables of what failed."""
        self.scripts[OK] = (HEAD + b"sorry", END)
        response = self.ask("503 /ok/error.php?why=down", b"/down/x?a=b", b"POST")
        self.assertEqual((response.status, response.body), (503, b"sorry"))
        params = self.live[-1].params
        for name, value in (
            (b"REQUEST_METHOD", b"GET"),
            (b"REQUEST_URI", b"/down/x?a=b"),
            (b"SCRIPT_NAME", b"/ok/error.php"),
            (b"QUERY_STRING", b"why=down"),
            (b"REDIRECT_STATUS", b"503"),
            (b"REDIRECT_URL", b"/down/x"),
            (b"REDIRECT_QUERY_STRING", b"a=b"),
            (b"REDIRECT_REQUEST_METHOD", b"POST"),
        ):
            self.assertEqual(params[name], value, name)

    def test_scriptWithVariables(self) -> None:
        """What SetEnv and SetEnvIf set comes again, with REDIRECT_ before its name."""
        gateway = self.gateway(SITE + "ErrorDocument 404 /ok/e\nSetEnv A 1\nSetEnvIf Host . B=2\n")
        self.serve(gateway, b"/none")
        params = self.live[-1].params
        self.assertEqual((params[b"A"], params[b"REDIRECT_A"]), (b"1", b"1"))
        self.assertEqual((params[b"B"], params[b"REDIRECT_B"]), (b"2", b"2"))

    def test_scriptWithStatus(self) -> None:
        """A script that gives a status of its own changes the error's."""
        self.scripts[OK] = (b"Status: 200 OK\r\n" + HEAD + b"fine", END)
        self.assertEqual(self.ask("503 /ok/e").status, 200)

    def test_scriptWithBody(self) -> None:
        """A body of which nothing was read is the script's to read."""
        self.scripts[OK] = (HEAD, END)
        body = ScriptedBody(3)
        self.ask("503 /ok/e", method=b"POST", body=body)
        self.assertIs(self.live[-1].body, body)

    def test_scriptThatFails(self) -> None:
        """A script that fails leaves the first error and our own page, and no second try."""
        self.scripts[OK] = (ResponseTimedOut("too slow"),)
        self.assertIn(b"<h1>503 ", self.ask("503 /ok/e").body)
        self.assertEqual([member.opened for member in self.live], [1, 1])

    def test_itself(self) -> None:
        """A page that is down itself is asked once."""
        self.assertIn(b"<h1>503 ", self.ask("503 /down/e").body)
        self.assertEqual([member.opened for member in self.live], [2])

    def test_sectionOfWhatFailed(self) -> None:
        """The section of the request that failed counts, also where it is refused."""
        gateway = self.gateway('<Location "/a/">\nErrorDocument 404 "here"\n</Location>\n')
        self.assertEqual(self.serve(gateway, b"/a/x").body, b"here")
        self.assertIn(b"<h1>404 ", self.serve(gateway, b"/b/x").body)

    def test_failedExpression(self) -> None:
        """A text that can't be evaluated leaves our own page, and an entry in the log."""
        response = self.ask('503 "%{file:/none/such}"')
        self.assertIn(b"<h1>503 ", response.body)
        self.assertEqual(len(self.flushLoggedErrors()), 0)


class ProxyErrorOverrideTests(GatewayTestCase):
    """When our page takes the place of an application's."""

    def ask(self, directive: str, script: bytes, *rest: object) -> RecordingResponse:
        """The answer of a site with a directive to what its application says."""
        self.scripts[OK] = (script, *rest, END)
        return self.serve(self.gateway(f"{SITE}{directive}\n"), b"/ok/x?a=b")

    def test_off(self) -> None:
        """Without it an application's page is sent as it is."""
        response = self.ask("ProxyErrorOverride Off", b"Status: 404 Gone\r\n" + HEAD + b"theirs")
        self.assertEqual((response.status, response.body), (404, b"theirs"))

    def test_on(self) -> None:
        """Of an error all fields are kept but those about its page; the phrase, too."""
        response = self.ask(
            "ProxyErrorOverride On",
            b'Status: 404 Lost\r\nSet-Cookie: a=b\r\nETag: "x"\r\nLocation: /y\r\n' + HEAD,
            b"theirs",
        )
        assert response.head is not None
        self.assertEqual((response.status, response.head.reason), (404, b"Lost"))
        self.assertEqual(response.head.headers.names(), {b"set-cookie", b"content-type"})
        self.assertIn(b"<h1>404 ", response.body)

    def test_readToTheEnd(self) -> None:
        """An overridden page is read to its end, so that its connection can be used again."""
        self.scripts[OK] = (b"Status: 404\r\n" + HEAD + b"theirs",)
        response = self.serve(self.gateway(SITE + "ProxyErrorOverride On"), b"/ok/x")
        self.assertEqual((response.calls, self.live[0].stream.calls), ([], []))
        self.live[0].receiver.stdoutReceived(b"more")
        self.live[0].receiver.streamEnded(END)
        self.assertIn(b"<h1>404 ", response.body)

    def test_endless(self) -> None:
        """An overridden page that does not end is given up, and the client answered."""
        self.scripts[OK] = (b"Status: 404\r\n" + HEAD,)
        response = self.serve(self.gateway(SITE + "ProxyErrorOverride On"), b"/ok/x")
        receiver, stream = self.live[0].receiver, self.live[0].stream
        receiver.stdoutReceived(bytes(OVERRIDDEN_LIMIT - len(HEAD) - 64))
        self.assertEqual((response.calls, stream.calls), ([], []))
        receiver.stdoutReceived(bytes(64))
        self.assertIn(b"<h1>404 ", response.body)
        self.assertEqual(stream.calls, ["abort"])

    def test_notAnError(self) -> None:
        """What is no error is not touched."""
        self.assertEqual(self.ask("ProxyErrorOverride On", HEAD + b"theirs").body, b"theirs")

    def test_statuses(self) -> None:
        """With statuses only those are overridden."""
        for status, ours in ((404, True), (500, False)):
            response = self.ask(
                "ProxyErrorOverride On 404 502", b"Status: %d\r\n%btheirs" % (status, HEAD)
            )
            self.assertEqual(b"theirs" not in response.body, ours)

    def test_broken(self) -> None:
        """An application that breaks off inside of a page that nobody wants changes nothing."""
        response = self.ask(
            "ProxyErrorOverride On", b"Status: 404\r\n" + HEAD, ResponseTimedOut("in the page")
        )
        self.assertIn(b"<h1>404 ", response.body)

    def test_document(self) -> None:
        """The ErrorDocument may be a script, which gets the variables of the first script."""
        response = self.ask(
            "ProxyErrorOverride On\nErrorDocument 404 /ok/page.php",
            b"Status: 404 Not Found\r\nX-Theirs: 1\r\n" + HEAD + b"theirs",
        )
        # The page itself is not overridden, although its script says 404 too.
        self.assertEqual((response.status, response.body), (404, b"theirs"))
        params = self.live[0].params
        self.assertEqual(params[b"REDIRECT_SCRIPT_FILENAME"], b"proxy:fcgi://127.0.0.1:9002/x")
        self.assertEqual(params[b"REDIRECT_HTTP_HOST"], b"www.example.test")
        assert response.head is not None
        self.assertEqual(response.head.headers.get(b"x-theirs"), b"1, 1")
