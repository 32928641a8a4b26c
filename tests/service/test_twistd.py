"""``twistd fcgiproxy`` as a process."""

from __future__ import annotations

import http.client
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.process import LIMIT, freePort, waitFor

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def port() -> int:
    """A port that is free."""
    return freePort()


def environment() -> dict[str, str]:
    """The variables of a process that finds this tree's package and plugin."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a twistd that has to end by itself."""
    return subprocess.run(
        (*TWISTD, *arguments), cwd=folder, env=environment(), capture_output=True, text=True,
        timeout=LIMIT,
    )  # fmt: skip


class Running:
    """
    A twistd in the foreground.

    :ivar output: what it printed, once it ended.
    """

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        self.log = folder / "output"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                (*TWISTD, "--nodaemon", "--pidfile=", "fcgiproxy", *arguments),
                cwd=folder, env=environment(), stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait(LIMIT)

    def get(self, port: int, path: str = "/") -> tuple[int, bytes]:
        """Status and body of a page, as soon as there is an answer."""
        waitFor(lambda: accepts(port) or self.process.poll() is not None)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()

    def stopped(self) -> int:
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)


def accepts(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_demo(folder: Path, port: int) -> None:
    """--demo serves its page, leaves nothing behind, and ends well on SIGTERM."""
    (folder / "tmp").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder / "tmp"))
        running = Running(folder, "--demo", "--listen", f"tcp:{port}:interface=127.0.0.1")
    with running:
        status, page = running.get(port)
        assert status == 200
        assert b"SCRIPT_FILENAME" in page
        assert len(list((folder / "tmp").iterdir())) == 1
        assert running.stopped() == -signal.SIGTERM
    assert list((folder / "tmp").iterdir()) == []


def test_gracefulStop(folder: Path, port: int) -> None:
    """After SIGTERM nobody new is let in, and a request that was begun is answered."""
    with Running(folder, "--demo", "--listen", f"tcp:{port}:interface=127.0.0.1") as running:
        running.get(port)
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
            client.sendall(
                b"POST /upload HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n"
                b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            )
            assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
            running.process.send_signal(signal.SIGTERM)
            waitFor(lambda: not accepts(port))
            client.sendall(b"ab")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'{"bytes": 2,' in answer
        assert running.process.wait(LIMIT) == -signal.SIGTERM


def test_badConfiguration(folder: Path) -> None:
    """A bad configuration: every error with its place, status 1, and nothing is started."""
    (folder / "bad.conf").write_text("Listen nowhere\nNonsense\n")
    done = run(folder, "fcgiproxy", "--config", "bad.conf")
    assert done.returncode == 1
    assert "bad.conf:1:8: " in done.stderr
    assert "bad.conf:2:1: " in done.stderr
    assert [path.name for path in folder.iterdir()] == ["bad.conf"]


def test_portInUse(folder: Path) -> None:
    """In the foreground, a port that is taken is one line on stderr, and status 1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        done = run(
            folder, "-n", "--logfile=log", "fcgiproxy", "--demo", "--listen", f"127.0.0.1:{taken}"
        )
    assert done.returncode == 1
    assert re.fullmatch(
        rf"twistd fcgiproxy: can't listen at tcp:{taken}:interface=127\.0\.0\.1: "
        r"Address already in use\n",
        done.stderr,
    )
    assert "Traceback" not in done.stdout + (folder / "log").read_text()
    assert "Address already in use" in (folder / "log").read_text()
    assert not (folder / "twistd.pid").exists()


def test_portInUseAsDaemon(folder: Path) -> None:
    """A daemon that can't listen says so to the one who started it, with status 1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        done = run(folder, "fcgiproxy", "--demo", "--listen", f"127.0.0.1:{taken}")
    assert done.returncode == 1
    assert "can't listen at" in done.stderr
    waitFor(lambda: not (folder / "twistd.pid").exists())  # the daemon's, in its own time


def test_user(folder: Path, port: int) -> None:
    """Started by root it becomes the User of its configuration; nobody else becomes anybody."""
    (folder / "site.conf").write_text(f"User nobody\nListen 127.0.0.1:{port}\n")
    with Running(folder, "--config", str(folder / "site.conf")) as running:
        waitFor(lambda: accepts(port))
        me = os.geteuid()
        asNobody = pwd.getpwnam("nobody").pw_uid
        waitFor(lambda: owner(running.process.pid) == (asNobody if me == 0 else me))


def owner(pid: int) -> int:
    """Whose process it is."""
    return Path(f"/proc/{pid}").stat().st_uid


def test_daemon(folder: Path, port: int) -> None:
    """As a daemon it writes its log to ErrorLog, serves, and ends on SIGTERM."""
    (folder / "site").mkdir()
    (folder / "site" / "hello.txt").write_text("hello")
    (folder / "site.conf").write_text(
        f"Listen 127.0.0.1:{port}\nDocumentRoot site\nErrorLog error.log\nLogLevel info\n"
    )
    done = run(folder, "fcgiproxy", "--config", "site.conf")
    assert done.returncode == 0, done.stderr
    pid = int((folder / "twistd.pid").read_text())
    try:
        waitFor(lambda: accepts(port))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        connection.request("GET", "/hello.txt")
        assert connection.getresponse().read() == b"hello"
    finally:
        os.kill(pid, signal.SIGTERM)
    waitFor(lambda: not (folder / "twistd.pid").exists())
    assert "[service.live:info]" in (folder / "error.log").read_text()
    assert not (folder / "twistd.log").exists()


def test_check(folder: Path) -> None:
    """--check ends with what it has to say."""
    (folder / "site.conf").write_text("Listen 80\n")
    done = run(folder, "fcgiproxy", "--config", "site.conf", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Syntax OK\n", "")
