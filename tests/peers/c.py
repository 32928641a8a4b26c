"""What is built on Open Market's libfcgi: a program, its starter, and fcgiwrap for CGI."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import Server

__all__ = ["CgiFcgi", "Fcgiwrap", "LibFcgi", "compiled"]

SOURCE = Path(__file__).parent / "programs" / "peer.c"


def compiled(directory: Path) -> Path:
    """
    The program of peer.c.

    :param directory: where it is made, unless it is there.
    """
    program = directory / "peer"
    if not program.exists():
        words = ["cc", "-O2", "-o", str(program), str(SOURCE), "-lfcgi"]
        subprocess.run(words, check=True)
    return program


class LibFcgi(Server):
    """A program on libfcgi, 4 processes that begin anew when they end."""

    name = "libfcgi"

    def command(self) -> Sequence[str | Path]:
        return [compiled(self.directory), str(self.address)]


class CgiFcgi(LibFcgi):
    """The same program as ``cgi-fcgi -start`` starts it: 8 times, for those that end stay away."""

    name = "cgi-fcgi"

    def command(self) -> Sequence[str | Path]:
        program, address = super().command()
        # The starter ends at once; the shell stays, so that there is something to end.
        starter = 'cgi-fcgi -start -connect "$1" "$0" 8; exec sleep infinity'
        return ["sh", "-c", starter, program, address]


class Fcgiwrap(Server):
    """fcgiwrap, 4 processes; each request is a CGI program."""

    name = "fcgiwrap"
    configuration = "ProxyFCGIBackendType GENERIC\nSetEnv NO_BUFFERING 1"

    def command(self) -> Sequence[str | Path]:
        compiled(self.directory)
        program = shutil.which("fcgiwrap", path="/usr/sbin:/usr/bin")
        assert program is not None
        scheme = "tcp" if self.address.path is None else "unix"
        return [program, "-f", "-c", "4", "-s", f"{scheme}:{self.address}"]
