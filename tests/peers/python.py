"""FastCGI servers for WSGI applications."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import Server

__all__ = ["PROGRAM", "Flup", "Uwsgi"]

PROGRAM = Path(__file__).parent / "programs" / "peer.py"


class Uwsgi(Server):
    """uWSGI's FastCGI socket, 4 processes."""

    name = "uwsgi"
    sendsStderr = False

    def command(self) -> Sequence[str | Path]:
        program = shutil.which("uwsgi") or shutil.which("uwsgi-core")
        assert program is not None
        words = [program, "--plugin", "python3", "--fastcgi-socket", str(self.address)]
        words += ["--wsgi-file", str(PROGRAM), "--need-app", "--master", "--processes", "4"]
        return [*words, "--die-on-term", "--disable-logging", "--socket-timeout", "30"]


class Flup(Server):
    """flup, 4 processes."""

    name = "flup"

    def command(self) -> Sequence[str | Path]:
        return [sys.executable, PROGRAM, "flup", str(self.address)]
