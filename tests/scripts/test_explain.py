"""
Tests for ``fcgi explain``.

Each file in ``explained/`` holds a title, a request as options of the command, a
configuration, a line of dashes, and the page.  Its ``/srv/www`` is a directory with
:data:`FILES` in it.  ``REWRITE_GOLDEN=1`` writes the pages anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import tempfile
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.scripts.test_fcgi import run
from tests.test_uri import PATHS
from twisted_fcgi import __version__
from twisted_fcgi.config import loads
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Address, Request
from twisted_fcgi.scripts import scriptfile
from twisted_fcgi.scripts.explain import makeRequest, render
from twisted_fcgi.scripts.fcgi import COMMANDS
from twisted_fcgi.scripts.report import Report, makeReport
from twisted_fcgi.settings import Settings

GOLDEN = Path(__file__).parent / "explained"

#: What is in the directory that stands for ``/srv/www``.
FILES = ("index.php", "wp-login.php", "style.css", "a b.php", "admin/index.php", "old/index.html")

_DASHES = "-" * 10 + "\n"


def optionsOf(text: str) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser()
    for name, _, addArguments, _ in COMMANDS:
        if name == "explain":
            addArguments(parser)
    return parser.parse_args(["--config", "site.conf", *shlex.split(text)])


def requestOf(text: str, settings: Settings | None = None) -> Request:
    """The request of a command line."""
    return makeRequest(settings or loads(""), optionsOf(text))[0]


class GoldenTests(SynchronousTestCase):
    """The whole page, for configurations as people have them."""

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        for name in FILES:
            path = Path(self.root, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(name)
            path.chmod(0o644)
        # Who owns files and who may read them is this machine's.
        self.patch(scriptfile, "_readerOf", lambda member: None)

    def told(self, value: Any) -> Any:
        """A report, or a part of it, as it would be in the directory that it speaks of."""
        if isinstance(value, str):
            value = value.replace(self.root, "/srv/www").replace(__version__, "VERSION")
            value = value.replace(os.environ["PATH"], "/usr/bin:/bin")
            return re.sub(r"^(-rw-r--r--|drwxr-xr-x) \S+$", r"\1 owner:group", value)
        if isinstance(value, bytes):
            return value.replace(self.root.encode(), b"/srv/www")
        if isinstance(value, list):
            return [self.told(item) for item in value]
        if is_dataclass(value) and not isinstance(value, type):
            made = {row.name: self.told(getattr(value, row.name)) for row in fields(value)}
            return replace(value, **made)
        return value

    def page(self, command: str, text: str) -> str:
        """What the command prints."""
        text = text.replace("/srv/www", self.root)
        settings = loads(text, "site.conf")
        request, url = makeRequest(settings, optionsOf(command))
        report: Report = self.told(makeReport(settings, request, url, lambda name: text))
        return render(report)


def _addGolden(path: Path) -> None:
    def test(self: GoldenTests) -> None:
        given, _, expected = path.read_text().partition(_DASHES)
        _, command, text = given.split("\n", 2)
        page = self.page(command, text)
        if os.environ.get("REWRITE_GOLDEN"):
            path.write_text(given + _DASHES + page)
        else:
            self.assertEqual(expected, page)

    test.__doc__ = path.read_text().partition("\n")[0]
    setattr(GoldenTests, f"test_{path.stem}", test)


for _path in sorted(GOLDEN.glob("*.txt")):
    _addGolden(_path)


class RequestTests(SynchronousTestCase):
    """The request that is made of the options."""

    def test_url(self) -> None:
        """A URL says who is asked, at which port, and what for; what is behind a # is left out."""
        request = requestOf("http://www.test:8080/a?b#c")
        self.assertEqual(
            (b"/a?b", b"www.test:8080", Address(b"127.0.0.1", 8080), False),
            (request.target, request.headers.get(b"host"), request.server, request.secure),
        )

    def test_secure(self) -> None:
        """https is port 443 and TLS; an address is the one that is connected to."""
        request = requestOf("https://[::1]")
        self.assertEqual(
            (b"/", Address(b"::1", 443), True), (request.target, request.server, request.secure)
        )

    def test_path(self) -> None:
        """A path alone is asked of ServerName at the first port that is listened at."""
        request = requestOf("/x", loads("ServerName www.test\nListen 8080\n"))
        self.assertEqual(b"www.test:8080", request.headers.get(b"host"))
        self.assertEqual(8080, request.server.port)

    def test_encoded(self) -> None:
        """What can't stand in a request is encoded; escapes are left as they are."""
        self.assertEqual(b"/a%20b%20c%C3%A9", requestOf("'/a b%20cé'").target)

    def test_fields(self) -> None:
        """-H gives fields, also Host; -X a method; --client and --server the addresses."""
        request = requestOf(
            "http://a/ -X POST -H 'Host: b' -H 'Content-Length: 5' "
            "--client [::1]:99 --server 1.2.3.4:81"
        )
        self.assertEqual([(b"Host", b"b"), (b"Content-Length", b"5")], request.headers.pairs)
        self.assertEqual((b"POST", 5), (request.method, request.contentLength))
        self.assertEqual(
            (Address(b"::1", 99), Address(b"1.2.3.4", 81)), (request.client, request.server)
        )


class AnythingTests(SynchronousTestCase):
    """Whatever is asked for."""

    @given(PATHS, st.sampled_from(("GET", "POST", "TRACE", "CONNECT", "X")), st.binary(max_size=4))
    def test_explained(self, path: bytes, method: str, value: bytes) -> None:
        """Each request is explained, in lines that can be shown."""
        text = (GOLDEN / "wordpress.txt").read_text().split("\n", 2)[2].partition(_DASHES)[0]
        settings = loads(text.replace("/srv/www", "/"), "site.conf")
        request = Request(method.encode(), path, Headers([(b"Host", b"a"), (b"X-Any", value)]))
        page = render(makeReport(settings, request, "any", lambda name: text))
        self.assertEqual([], [sign for sign in page if not sign.isprintable() and sign != "\n"])


class CommandTests(SynchronousTestCase):
    """``fcgi explain``."""

    def setUp(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.file = Path(folder, "site.conf")
        self.file.write_text(
            "Listen 80\n<IfDefine APP>\nProxyPass / fcgi://127.0.0.1:9000/srv/\n</IfDefine>\n"
        )

    def test_answered(self) -> None:
        """The exit status is 0 when it is served; files are named without the folder."""
        status, out, err = run("explain", "--config", self.file, "-D", "APP", "/x.php")
        self.assertEqual((0, ""), (status, err))
        self.assertIn("site.conf:3  ProxyPass / fcgi://127.0.0.1:9000/srv/\n", out)
        self.assertNotIn(str(self.file.parent), out)

    def test_refused(self) -> None:
        """The exit status is 1 when it is refused."""
        self.assertEqual(1, run("explain", "--config", self.file, "/x.php")[0])

    def test_json(self) -> None:
        """--json is the same for programs, with whole values and places."""
        status, out, _ = run("explain", "--config", self.file, "-D", "APP", "--json", "/x.php")
        found = json.loads(out)
        self.assertEqual(0, status)
        self.assertEqual(f"{self.file}:3", found["answer"]["line"]["place"])
        variables = {row["name"]: row["value"] for row in found["variables"]}
        self.assertEqual("proxy:fcgi://127.0.0.1:9000/srv/x.php", variables["SCRIPT_FILENAME"])

    def test_invisible(self) -> None:
        """Nothing that was asked for can be a command to the terminal."""
        _, out, _ = run(
            "explain", "--config", self.file, "-D", "APP", "-H", "X: \x1b[2J\udcff", "/%1b%9b.php"
        )
        self.assertEqual([], [sign for sign in out if not sign.isprintable() and sign != "\n"])
        self.assertIn("HTTP_X             \\x1b[2J", out)

    def test_body(self) -> None:
        """A body that is too long for the configuration is worth a hint."""
        self.file.write_text("LimitRequestBody 9\nProxyPass / fcgi://127.0.0.1:9000/srv/\n")
        for length, hinted in ((9, False), (10, True)):
            _, out, _ = run(
                "explain", "--config", self.file, "-H", f"Content-Length: {length}", "/x"
            )
            self.assertEqual(hinted, "site.conf:1: A body of 10 bytes is too long: 413" in out)

    def test_continued(self) -> None:
        """Of a line that goes on in the next one the beginning is shown."""
        self.file.write_text('ProxyPass / \\\n "fcgi://127.0.0.1:9000/srv/"\n')
        _, out, _ = run("explain", "--config", self.file, "/x.php")
        self.assertIn("site.conf:1  ProxyPass / ...\n", out)

    def test_wrongConfiguration(self) -> None:
        """A configuration with mistakes is shown with its places; the exit status is 2."""
        self.file.write_text("Nonsense\n")
        status, out, err = run("explain", "--config", self.file, "/")
        self.assertEqual((2, ""), (status, out))
        self.assertIn("site.conf:1:1: ", err)

    def test_wrongUrl(self) -> None:
        """What is no URL is said in one line."""
        status, _, err = run("explain", "--config", self.file, "ftp://x/")
        self.assertEqual((2, 1), (status, err.count("\n")))
