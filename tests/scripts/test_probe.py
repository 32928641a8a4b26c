"""Tests for :mod:`twisted_fcgi.scripts.probe`."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from socket import SHUT_WR, socketpair
from socket import socket as Socket
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.scripts.fcgi import main
from twisted_fcgi.scripts.probe import Address, Exit, makeParams
from twisted_fcgi.wire import ApplicationConnection, Begin, Params, StdinEnded, ValuesRequested


class AddressTests(SynchronousTestCase):
    """The forms of an address."""

    def test_forms(self) -> None:
        """Each documented form names the same as the next person would think."""
        for text, expected in {
            "localhost:9000": Address("localhost", 9000),
            "[::1]:9000": Address("::1", 9000),
            "/run/php.sock": Address(socket="/run/php.sock"),
            "unix:/run/php.sock": Address(socket="/run/php.sock"),
            "fcgi://h:9000": Address("h", 9000),
            "fcgi://h:9000/srv/www": Address("h", 9000, path="/srv/www"),
            "fcgi://[::1]/": Address("::1", 8000, path="/"),
            "unix:/a|fcgi://h/srv": Address(socket="/a", path="/srv"),
        }.items():
            with self.subTest(text):
                self.assertEqual(expected, Address.fromText(text))

    def test_wrong(self) -> None:
        """What is none of the forms is refused."""
        for text in ("", "host", "host:", ":9000", "h:0", "h:65536", "::1:9000", "http://h/",
                     "unix:run/php.sock", "unix:/a|http://h/", "fcgi:", "fcgi:///a"):  # fmt: skip
            with self.subTest(text), self.assertRaises(ValueError):
                Address.fromText(text)

    def test_text(self) -> None:
        """Messages name an address as people write it."""
        self.assertEqual("h:1", str(Address("h", 1)))
        self.assertEqual("/a", str(Address(socket="/a", path="/b")))


class MakeParamsTests(SynchronousTestCase):
    """The variables of the request."""

    def test_script(self) -> None:
        """The script's path, its query and the folder that it is below are told apart."""
        params = makeParams("app/x.php?a=b?c", path="/srv/www/")
        self.assertEqual("/srv/www/app/x.php", params["SCRIPT_FILENAME"])
        self.assertEqual("/app/x.php", params["SCRIPT_NAME"])
        self.assertEqual("a=b?c", params["QUERY_STRING"])
        self.assertEqual("/app/x.php?a=b?c", params["REQUEST_URI"])
        self.assertNotIn("CONTENT_LENGTH", params)

    def test_body(self) -> None:
        """A body has its length told, and so has an empty POST."""
        self.assertEqual("2", makeParams("/", body=b"ab")["CONTENT_LENGTH"])
        self.assertEqual("0", makeParams("/", method="POST")["CONTENT_LENGTH"])

    def test_headers(self) -> None:
        """Fields become variables as CGI has them; what is given as a variable wins."""
        params = makeParams(
            "/",
            headers=[("X-A", "1"), ("content-type", "text/plain"), ("Host", "h")],
            extra=[("HTTP_HOST", "other"), ("NEW", "")],
        )
        self.assertEqual("1", params["HTTP_X_A"])
        self.assertEqual("text/plain", params["CONTENT_TYPE"])
        self.assertEqual("other", params["HTTP_HOST"])
        self.assertEqual("", params["NEW"])


class ProbeTests(SynchronousTestCase):
    """
    The command against an application that has answered in advance: there is one
    request, so its id is known.
    """

    def setUp(self) -> None:
        self.ours, self.theirs = socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def answer(self, *pieces: bytes) -> None:
        """What the application has to say; then it says no more."""
        self.theirs.sendall(b"".join(pieces))
        self.theirs.shutdown(SHUT_WR)

    def application(self) -> ApplicationConnection:
        """An application's end that knows of the request to come."""
        wire = ApplicationConnection()
        wire.receive(b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return wire

    def run_(self, *arguments: str) -> tuple[int, str, str]:
        """The exit status, and what was printed."""

        def connect(address: Address, timeout: float) -> Socket:
            return self.ours

        raw = io.BytesIO()
        out, err = io.TextIOWrapper(raw, write_through=True), io.StringIO()
        where = patch.object(Address, "connect", connect)
        with where, patch("sys.stdout", out), redirect_stderr(err):
            status = main(["probe", "unix:/sock", *arguments])
        return status, raw.getvalue().decode(), err.getvalue()

    def received(self) -> list[object]:
        """What the application gets to read."""
        return list(ApplicationConnection().receive(self.theirs.recv(65536)))

    def test_response(self) -> None:
        """The response is printed, and how long it took."""
        wire = self.application()
        first, second = b"Status: 201\r\nA: b\r\n\r\nbo", b"dy"
        self.answer(*wire.stdout(1, first), *wire.stdout(1, second), wire.end(1, 7))
        status, out, err = self.run_("/x.php?q", "-d", "data", "-H", "X-Y: z", "--param", "N=v=w")
        self.assertEqual((Exit.OK, "201 Created\nA: b\n\nbody"), (status, out))
        self.assertRegex(err, r"\A\nstatus 201, appStatus 7, first byte after [\d.]+ ms, end after")
        begin, params, stdin, ended = self.received()
        self.assertIsInstance(begin, Begin)
        assert isinstance(params, Params)
        pairs = dict(params.pairs)
        self.assertEqual(b"POST", pairs[b"REQUEST_METHOD"])
        self.assertEqual(b"/x.php", pairs[b"SCRIPT_FILENAME"])
        self.assertEqual((b"z", b"v=w"), (pairs[b"HTTP_X_Y"], pairs[b"N"]))
        self.assertEqual((1, b"data"), stdin)
        self.assertIsInstance(ended, StdinEnded)

    def test_errorResponse(self) -> None:
        """A status of 400 or more is the exit status 1."""
        wire = self.application()
        self.answer(*wire.stdout(1, b"Status: 404\n\n"), wire.end(1))
        self.assertEqual(Exit.ERROR_RESPONSE, self.run_("/x")[0])

    def test_stderr(self) -> None:
        """What the application complains about is shown by lines, without its control bytes."""
        wire = self.application()
        self.answer(
            *wire.stderr(1, b"one\ntw"), *wire.stderr(1, b"o\x1b[2J"), *wire.stdout(1, b"A: b\n\n"),
            wire.end(1),
        )  # fmt: skip
        self.assertEqual(
            ["stderr: one", r"stderr: two\x1b[2J", ""], self.run_("/x")[2].splitlines()[:3]
        )

    def test_verbose(self) -> None:
        """Each record is shown in both directions, and each variable."""
        wire = self.application()
        self.answer(*wire.stdout(1, b"A: b\n\n"), wire.end(1))
        err = self.run_("/x", "-v")[2]
        for expected in ("> BEGIN_REQUEST", "> PARAMS", "> STDIN", "< STDOUT", "< END_REQUEST",
                         "SCRIPT_FILENAME=/x"):  # fmt: skip
            self.assertIn(expected, err)

    def test_values(self) -> None:
        """GET_VALUES is asked, and what is not answered is said to be."""
        wire = ApplicationConnection()
        self.answer(wire.values({b"FCGI_MPXS_CONNS": b"1"}))
        status, out, _ = self.run_("--values")
        self.assertEqual(Exit.OK, status)
        self.assertEqual(
            ["FCGI_MAX_CONNS not said", "FCGI_MAX_REQS not said", "FCGI_MPXS_CONNS 1"],
            out.splitlines(),
        )
        self.assertIsInstance(self.received()[0], ValuesRequested)

    def test_closed(self) -> None:
        """A connection that ends before the request does is said to have."""
        wire = self.application()
        self.answer(*wire.stdout(1, b"A: b\n\nhalf"))
        status, _, err = self.run_("/x")
        self.assertEqual(Exit.BROKEN, status)
        self.assertEqual(
            "fcgi probe: /sock: the application closed the connection before END_REQUEST\n", err
        )

    def test_broken(self) -> None:
        """Broken protocol, a broken response and a refusal each are one line."""
        good = self.application()
        refused = self.application()
        for answer, expected in {
            b"HTTP/1.1 200 OK\r\n\r\n": "the application broke the protocol",
            b"".join(good.stdout(1, b"no head\n\n")): "no CGI response",
            refused.end(1, 0, 2): "the application refused: OVERLOADED",
        }.items():
            with self.subTest(expected):
                self.setUp()
                self.answer(answer)
                status, _, err = self.run_("/x")
                self.assertEqual(Exit.BROKEN, status)
                self.assertIn(expected, err)
                self.assertEqual(1, err.count("\n"))

    def test_silent(self) -> None:
        """An application that says nothing is waited for only so long."""
        status, _, err = self.run_("/x", "--timeout", "0.01")
        self.assertEqual(Exit.TIMED_OUT, status)
        self.assertIn("nothing for 0.01 s", err)


class ConnectTests(SynchronousTestCase):
    """No connection."""

    def test_refused(self) -> None:
        """An address where nobody listens is one line and the exit status 3."""
        err = io.StringIO()
        with redirect_stderr(err):
            status = main(["probe", "/nowhere/at/all.sock"])
        self.assertEqual(Exit.NO_CONNECTION, status)
        self.assertEqual(
            "fcgi probe: /nowhere/at/all.sock: No such file or directory\n", err.getvalue()
        )
