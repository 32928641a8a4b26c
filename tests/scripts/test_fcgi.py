"""Tests for :mod:`twisted_fcgi.scripts.fcgi`."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.scripts.fcgi import main


def run(*arguments: str | Path) -> tuple[object, str, str]:
    """The exit status of the command, and what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status: object = main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code
    return status, out.getvalue(), err.getvalue()


class CheckTests(SynchronousTestCase):
    """``fcgi check``."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.good = Path(folder.name, "good.conf")
        self.good.write_text('ProxyPass "/" "fcgi://127.0.0.1:9000/"\n')
        self.bad = Path(folder.name, "bad.conf")
        self.bad.write_text("ProxyPas /\n\nListen nowhere\n")
        self.list = Path(folder.name, "list")

    def test_files(self) -> None:
        """Each file gets its verdict, and each mistake is shown with its place."""
        status, out, err = run("check", self.good, self.bad)
        self.assertEqual(1, status)
        self.assertEqual([f"{self.good}: accepted", f"{self.bad}: refused"], out.splitlines())
        self.assertIn(f"{self.bad}:1:1: ", err)
        self.assertIn(f"{self.bad}:3:", err)

    def test_mistakesAndNotices(self) -> None:
        """Beside mistakes, what is read otherwise than it looks is said as well."""
        self.bad.write_text("ProxyPass / fcgi://h/ timout=5 max=abc retry=-1\n")
        status, _, err = run("check", self.bad)
        self.assertEqual(1, status)
        for text in (":1:23: 'timout' is", ":1:36: 'abc' is read as 0", ":1:46: '-1' is out"):
            self.assertIn(text, err)

    def test_nowhere(self) -> None:
        """A configuration without Listen is accepted, with the notice that it can't be started."""
        self.good.write_text("")
        status, out, err = run("check", self.good)
        self.assertEqual((0, f"{self.good}: accepted\n"), (status, out))
        self.assertIn("nowhere to listen", err)

    def test_list(self) -> None:
        """With --list there is one word a path, in order, and nothing else."""
        self.list.write_text(f"{self.bad}\n{self.good}\n{self.list.parent}/missing\n")
        status, out, err = run("check", "--list", self.list)
        self.assertEqual((1, "refused\naccepted\nrefused\n", ""), (status, out, err))

    def test_allGood(self) -> None:
        """The exit status is 0 when all are accepted."""
        self.assertEqual(0, run("check", self.good)[0])

    def test_notices(self) -> None:
        """What is accepted but has no effect, or is a hazard, is said."""
        self.good.write_text(
            "ProxyVia On\nTimeout 10x\nListen 80\nProxyPass / fcgi://app.example:9000/\n"
        )
        status, out, err = run("check", self.good)
        self.assertEqual((0, f"{self.good}: accepted\n"), (status, out))
        for text in ("ProxyVia", ":2:9: '10x' is read as 10", "spoken to app.example:9000"):
            self.assertIn(text, err)

    def test_htaccess(self) -> None:
        """With --htaccess a file is held to what a .htaccess may say."""
        self.good.write_text("SetEnv A 1\nSetHandler proxy:unix:/any|fcgi://localhost\n")
        self.assertEqual(0, run("check", "--htaccess", self.good)[0])
        self.good.write_text("ProxyPass / fcgi://127.0.0.1:9000/\n")
        status, _, err = run("check", "--htaccess", self.good, self.good.parent / "missing")
        self.assertEqual(1, status)
        self.assertIn(f"{self.good}:1:1: ProxyPass is not allowed here", err)
        self.assertIn("missing: No such file or directory", err)

    def test_define(self) -> None:
        """--define is what <IfDefine> asks for."""
        self.good.write_text("<IfDefine WRONG>\nNonsense\n</IfDefine>\n")
        self.assertEqual(0, run("check", self.good)[0])
        self.assertEqual(1, run("check", "--define", "WRONG", self.good)[0])


class UsageTests(SynchronousTestCase):
    """Wrong usage."""

    def test_oneLine(self) -> None:
        """A mistake is one line that says what is wrong, and the exit status 2."""
        for arguments in (
            (),
            ("nonsense",),
            ("check", "--list", "/nowhere/at/all"),
            ("probe",),
            ("probe", "nonsense"),
            ("probe", "h:1", "/", "--header", "no colon"),
            ("probe", "h:1", "/", "--data", "@/nowhere/at/all"),
        ):
            with self.subTest(arguments):
                status, out, err = run(*arguments)
                self.assertEqual((2, ""), (status, out))
                self.assertRegex(err, r"\Afcgi[^\n]*: [^\n]+\n\Z")
