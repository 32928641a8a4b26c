"""Tests for :mod:`twisted_fcgi.scripts.scriptfile`."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.scripts import scriptfile
from twisted_fcgi.scripts.scriptfile import Asked, findScript, hints, readByFpm
from twisted_fcgi.settings import BackendType, MemberSettings


class ReadByFpmTests(SynchronousTestCase):
    """How PHP-FPM reads SCRIPT_FILENAME."""

    def test_prefix(self) -> None:
        """Scheme, host and port go, whatever the case; the path stays as it is."""
        for name in (b"proxy:fcgi://h:9000/srv/a.php", b"PROXY:FCGI://localhost/srv/a.php"):
            self.assertEqual(b"/srv/a.php", readByFpm(name))
        self.assertEqual(b"//srv/a%20b.php", readByFpm(b"proxy:fcgi://h//srv/a%20b.php"))
        self.assertEqual(b"/a.php", readByFpm(b"proxy:balancer://app/a.php"))

    def test_query(self) -> None:
        """A query behind such a name is cut off."""
        self.assertEqual(b"/a.php", readByFpm(b"proxy:fcgi://h/a.php?b"))

    def test_plain(self) -> None:
        """A path is a path."""
        self.assertEqual(b"/srv/a?b.php", readByFpm(b"/srv/a?b.php"))


class FindScriptTests(SynchronousTestCase):
    """What is found."""

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp().encode()
        self.addCleanup(shutil.rmtree, self.root)
        Path(os.fsdecode(self.root), "a.php").touch()

    def found(self, path: bytes) -> tuple[str, bytes, bytes]:
        script = findScript(self.root + path)
        return script.kind, script.path.removeprefix(self.root), script.pathInfo

    def test_file(self) -> None:
        """A file is found, also when more follows, which is PATH_INFO."""
        self.assertEqual(("file", b"/a.php", b""), self.found(b"/a.php"))
        self.assertEqual(("file", b"/a.php", b"/b/c"), self.found(b"/a.php/b/c"))

    def test_directory(self) -> None:
        """A directory is one; what is not in it is missing."""
        self.assertEqual(("directory", b"", b""), self.found(b""))
        self.assertEqual(("missing", b"/b/c.php", b""), self.found(b"/b/c.php"))

    def test_missing(self) -> None:
        """It is said where the path ends."""
        self.assertEqual(self.root + b"/b", findScript(self.root + b"/b/c.php").missing)

    def test_noPath(self) -> None:
        """What is no name of a file is missing."""
        for path in (b"", b"relative", b"/\0"):
            self.assertEqual("missing", findScript(path).kind)


class HintsTests(SynchronousTestCase):
    """Hints that depend on who may do what; all others are in the golden pages."""

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.file = Path(self.root, "a.php")
        self.file.touch()

    def hints(self, member: MemberSettings, path: Path | None = None) -> str:
        asked = Asked(member, BackendType.FPM)
        script = findScript(os.fsencode(path or self.file))
        return "\n".join(hint.text for hint in hints(asked, script))

    def test_readable(self) -> None:
        """Nothing is said of a file that its reader may read."""
        self.patch(scriptfile, "_readerOf", lambda member: os.getuid())
        self.assertEqual("", self.hints(MemberSettings("fcgi://localhost")))

    def test_unreadableFile(self) -> None:
        """A file that the pool's user may not read is named, with its rights."""
        self.patch(scriptfile, "_readerOf", lambda member: 12345)
        Path(self.root).chmod(0o755)
        self.file.chmod(0o640)
        said = self.hints(MemberSettings("fcgi://localhost"))
        self.assertIn(f"If the pool runs as 12345, it may not read {self.file} (-rw-r-----", said)

    def test_unreadableDirectory(self) -> None:
        """So is the first directory on the way that he may not enter."""
        self.patch(scriptfile, "_readerOf", lambda member: 12345)
        Path(self.root).chmod(0o700)
        said = self.hints(MemberSettings("fcgi://localhost"))
        self.assertIn(f"it may not enter {self.root} (drwx------", said)

    def test_extension(self) -> None:
        """PHP-FPM does not run what does not end in .php."""
        self.patch(scriptfile, "_readerOf", lambda member: None)
        other = Path(self.root, "a.html")
        other.touch()
        said = self.hints(MemberSettings("fcgi://localhost"), other)
        self.assertIn("security.limit_extensions", said)
        self.assertIn("ProxyFCGIBackendType GENERIC", said)

    def test_noSocket(self) -> None:
        """A file that is no socket is said to be none."""
        said = self.hints(MemberSettings("fcgi://localhost", socket=str(self.file)))
        self.assertIn(f"{self.file} is no socket", said)

    def test_socketRights(self) -> None:
        """Whoever may not connect to a socket is told so."""
        path = os.path.join(self.root, "s")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            self.patch(os, "access", lambda name, mode: name != path)
            self.patch(scriptfile, "_readerOf", lambda member: None)
            said = self.hints(MemberSettings("fcgi://localhost", socket=path))
        self.assertIn(f"may not connect to {path} (s", said)
