"""Tests for :mod:`twisted_fcgi.service.options`."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from twisted.application.service import IService
from twisted.internet import endpoints
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi import config
from twisted_fcgi.service.live import FastCGIService, ListenerService
from twisted_fcgi.service.options import Options, makeService


class OptionsTests(SynchronousTestCase):
    """The command line."""

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.file = self.folder / "site.conf"

    def parsed(self, *arguments: str | Path) -> Options:
        options = Options()
        options.parseOptions([str(argument) for argument in arguments])
        return options

    def ended(self, *arguments: str | Path) -> tuple[object, str, str]:
        """The exit status, and what was printed, where parsing ends the process."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            error = self.assertRaises(SystemExit, self.parsed, *arguments)
        return error.code, out.getvalue(), err.getvalue()

    def endpoints(self, *arguments: str | Path) -> list[str]:
        return [listener.endpoint for listener in self.parsed(*arguments).settings.listeners]

    def test_config(self) -> None:
        """--config reads a file."""
        self.file.write_text('Listen 127.0.0.1:80\nProxyPass "/" "fcgi://127.0.0.1:9000/"\n')
        settings = self.parsed("--config", self.file).settings
        self.assertEqual(config.load(str(self.file)), settings)
        self.assertEqual(1, len(settings.members))

    def test_mistakes(self) -> None:
        """All mistakes of a file are shown with their places, and the exit status is 1."""
        self.file.write_text("Listen 80\nProxyPas / x\nListen nowhere\n")
        status, out, err = self.ended("--config", self.file)
        self.assertEqual((1, ""), (status, out))
        self.assertIn(f"{self.file}:2:1: ", err)
        self.assertIn(f"{self.file}:3:8: ", err)
        self.assertTrue(err.endswith("\n2 mistakes in the configuration; nothing was started\n"))

    def test_missingFile(self) -> None:
        """A file that is not there is one of the mistakes."""
        status, _, err = self.ended("--config", self.file)
        self.assertEqual(1, status)
        self.assertIn(f"{self.file}: No such file or directory", err)

    def test_define(self) -> None:
        """--define is what <IfDefine> and ${} look for."""
        self.file.write_text("<IfDefine A>\nListen ${PORT}\n</IfDefine>\n")
        arguments = ("--config", self.file, "--define", "A", "--define", "PORT=81")
        self.assertEqual(["tcp:81"], self.endpoints(*arguments))

    def test_listen(self) -> None:
        """--listen, which may be repeated, replaces the Listen lines of a file."""
        self.file.write_text("Listen 80\n")
        arguments = ("--config", self.file, "--listen", "81", "--listen", "tcp:82")
        self.assertEqual(["tcp:81", "tcp:82"], self.endpoints(*arguments))

    def test_nowhereToListen(self) -> None:
        """A configuration that listens nowhere is refused."""
        self.file.write_text("ServerName a\n")
        status, _, err = self.ended("--config", self.file)
        self.assertEqual(1, status)
        self.assertIn("nowhere to listen", err)

    def test_badEndpoint(self) -> None:
        """An endpoint that Twisted can't make anything of is refused at once."""
        for endpoint in ("nonsense:x", "tcp:port", "ssl:443:privateKey=/nowhere/key.pem"):
            with self.subTest(endpoint):
                status, _, err = self.ended(
                    "--root", self.folder, "--fastcgi", "h:1", "--listen", endpoint
                )
                self.assertEqual(1, status)
                self.assertTrue(err.startswith(f"can't listen at {endpoint}: "))

    def test_noTLS(self) -> None:
        """Where TLS is not installed, it is said how it is."""

        def lacking(reactor: object, description: str) -> None:
            raise ModuleNotFoundError("No module named 'OpenSSL'", name="OpenSSL")

        self.patch(endpoints, "serverFromString", lacking)
        self.file.write_text("Listen ssl:443\n")
        status, _, err = self.ended("--config", self.file)
        self.assertEqual(1, status)
        self.assertIn("pip install 'twisted_fcgi[tls]'", err)

    def test_site(self) -> None:
        """--root and --fastcgi are a PHP site, at a port of this machine only."""
        arguments = ("--root", self.folder, "--fastcgi", "unix:/run/php.sock")
        settings = self.parsed(*arguments).settings
        self.assertEqual(str(self.folder), settings.main.documentRoot)
        self.assertEqual(["tcp:8080:interface=127.0.0.1"], self.endpoints(*arguments))

    def test_printConfig(self) -> None:
        """--print-config shows a configuration that is read to the same settings."""
        arguments = ("--root", self.folder, "--fastcgi", "unix:/run/php.sock", "--listen", "81")
        status, out, err = self.ended(*arguments, "--print-config")
        self.assertEqual((0, ""), (status, err))
        self.assertEqual(self.parsed(*arguments).settings, config.loads(out))

    def test_check(self) -> None:
        """--check says that all is well, or what is not, and ends."""
        self.file.write_text("Listen 80\n")
        self.assertEqual((0, "Syntax OK\n", ""), self.ended("--config", self.file, "--check"))
        self.file.write_text("Listen\n")
        status, out, err = self.ended("--config", self.file, "--check")
        self.assertEqual((1, ""), (status, out))
        self.assertIn(f"{self.file}:1:", err)

    def test_wrongUsage(self) -> None:
        """Options that do not go together are one line, and the exit status is 1."""
        for arguments in (
            (),
            ("--config", "a", "--demo"),
            ("--root", "/"),
            ("--fastcgi", "h:1"),
            ("--config", "a", "--fastcgi", "h:1"),
            ("--config", "a", "--print-config"),
            ("--root", "/", "--fastcgi", "nonsense"),
            ("--nonsense",),
        ):
            with self.subTest(arguments):
                status, out, err = self.ended(*arguments)
                self.assertEqual((1, ""), (status, out))
                self.assertRegex(err, r"\Atwistd fcgiproxy: [^\n]+\n\Z")

    def test_help(self) -> None:
        """--help names every option."""
        text = str(Options())
        for name in ("config", "define", "listen", "root", "fastcgi", "demo", "check",
                     "print-config"):  # fmt: skip
            self.assertIn(f"--{name}", text)

    def test_makeService(self) -> None:
        """What twistd is given is the service of these settings."""
        self.file.write_text("Listen 81\n")
        service = makeService(self.parsed("--config", self.file))
        self.assertIsInstance(service, FastCGIService)
        self.assertTrue(IService.providedBy(service))

    def test_hazards(self) -> None:
        """What may not be meant is logged at the start, though what finds it is forgotten."""
        self.file.write_text("Listen 81\nProxyPass / fcgi://8.8.8.8:9000/\n")
        service = makeService(self.parsed("--config", self.file))
        self.patch(ListenerService, "privilegedStartService", lambda listener: None)
        with capturedLogs() as said:
            cast(FastCGIService, service).privilegedStartService()
        [hazard] = [event["notice"] for event in said if "notice" in event]
        self.assertIn("8.8.8.8", hazard)

    def test_errorLog(self) -> None:
        """An ErrorLog that can't be opened is one line, and the exit status is 1."""
        self.file.write_text("Listen 81\nErrorLog /\n")
        options = self.parsed("--config", self.file)
        with redirect_stderr(io.StringIO()) as err:
            error = self.assertRaises(SystemExit, makeService, options)
        self.assertEqual(1, error.code)
        self.assertEqual(
            "twistd fcgiproxy: ErrorLog /: Is a directory\n",
            err.getvalue(),
        )
