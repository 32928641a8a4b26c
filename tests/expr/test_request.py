"""What an expression sees of a request."""

from __future__ import annotations

import grp
import os
import pwd
import time

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeFiles, makeRequest, read
from twisted_fcgi.expr import RequestContext
from twisted_fcgi.expr.context import EvaluationError
from twisted_fcgi.expr.parser import compileString
from twisted_fcgi.message import Route
from twisted_fcgi.routing import Router

__all__ = ["RequestContextTests"]


class RequestContextTests(SynchronousTestCase):
    """Variables of a routed request."""

    def setUp(self) -> None:
        self.root = makeFiles(self, {"app.php": "", "plain.txt": ""})

    def route(self, text: str, target: str) -> Route:
        return Router(read(f'DocumentRoot "{self.root}"\n{text}')).route(makeRequest(target))

    def value(self, text: str, target: str = "/plain.txt", configuration: str = "") -> str:
        context = RequestContext(makeRequest(target), self.route(configuration, target))
        return compileString(text.encode()).evaluate(context).decode()

    def test_itself(self) -> None:
        """A request is no subrequest, and there are no notes and no names in the log."""
        text = "%{IS_SUBREQ}|%{note:any}|%{REQUEST_LOG_ID}|%{CONN_LOG_ID}|%{REMOTE_IDENT}"
        self.assertEqual("false||||", self.value(text))

    def test_answer(self) -> None:
        """What is only known of an answer is not known yet: its type, and the file's time."""
        expected = "|" + time.strftime("%Y%m%d%H%M%S", time.localtime(0))
        self.assertEqual(expected, self.value("%{CONTENT_TYPE}|%{LAST_MODIFIED}"))

    def test_owner(self) -> None:
        """The owner is that of the file, of its directory when it is missing, also for handlers."""
        status = os.stat(self.root)
        names = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
        handler = 'SetHandler "proxy:fcgi://127.0.0.1:9000"'
        for target, configuration in (
            ("/plain.txt", ""),
            ("/missing.txt", handler),
            ("/app.php", handler),
        ):
            found = self.value("%{SCRIPT_USER} %{SCRIPT_GROUP}", target, configuration)
            self.assertEqual(" ".join(names), found, target)

    def test_noOwner(self) -> None:
        """What a ProxyPass maps has no file, and no owner."""
        mapping = f'ProxyPass "/" "fcgi://127.0.0.1:9000{self.root}/"'
        self.assertEqual("", self.value("%{SCRIPT_USER}%{SCRIPT_GROUP}", "/app.php", mapping))

    def test_documentUri(self) -> None:
        """DOCUMENT_URI is the variable of that name, or the path."""
        self.assertEqual("/plain.txt", self.value("%{DOCUMENT_URI}"))
        self.assertEqual(
            "/x", self.value("%{DOCUMENT_URI}", configuration="SetEnv DOCUMENT_URI /x")
        )

    def test_documentRoot(self) -> None:
        """Without an Alias, the context is DocumentRoot, without a prefix."""
        text = "%{CONTEXT_PREFIX}|%{CONTEXT_DOCUMENT_ROOT}|%{DOCUMENT_ROOT}"
        self.assertEqual(f"|{self.root}|{self.root}", self.value(text))

    def test_file(self) -> None:
        """A file's content is read; of a pipe that nobody writes to nothing is expected."""
        with open(f"{self.root}/plain.txt", "w") as file:
            file.write("text")
        self.assertEqual("text", self.value(f"%{{file:{self.root}/plain.txt}}"))
        os.mkfifo(f"{self.root}/pipe")
        error = self.assertRaises(EvaluationError, self.value, f"%{{file:{self.root}/pipe}}")
        self.assertIn("is no regular file", str(error))
        error = self.assertRaises(EvaluationError, self.value, "%{file:/nowhere/x}")
        self.assertEqual("file(): '/nowhere/x': No such file or directory", str(error))
