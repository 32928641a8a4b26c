"""FastCGI servers in Python: two for WSGI applications, and our own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import Server

__all__ = ["Flup", "Own", "Uwsgi"]

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(__file__).parent / "programs"


class Uwsgi(Server):
    """uWSGI's FastCGI socket, 4 processes."""

    name = "uwsgi"
    sendsStderr = False

    def command(self) -> Sequence[str | Path]:
        program = shutil.which("uwsgi") or shutil.which("uwsgi-core")
        assert program is not None
        words = [program, "--plugin", "python3", "--fastcgi-socket", str(self.address)]
        words += [
            "--wsgi-file",
            str(PROGRAMS / "peer.py"),
            "--need-app",
            "--master",
            "--processes",
            "4",
        ]
        return [*words, "--die-on-term", "--disable-logging", "--socket-timeout", "30"]


class Flup(Server):
    """flup, 4 processes."""

    name = "flup"

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, PROGRAMS / "peer.py", "flup", str(self.address)]


class Own(Server):
    """:mod:`twisted_fcgi.backend.application`, 1 process."""

    name = "own"

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": str(ROOT)}

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, PROGRAMS / "own.py", str(self.address)]
