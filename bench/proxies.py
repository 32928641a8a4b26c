"""
A proxy that is measured, and what a scenario asks of its configuration.

Each is a class in :mod:`bench.httpd`, :mod:`bench.eventdriven` or :mod:`bench.sites`.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.programs import Responder, freePort

__all__ = ["ROOT", "Proxy", "Setup", "versionOf", "which"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Setup:
    """
    What a scenario asks of a proxy.

    :ivar reuse: keep the connections to the application.
    :ivar multiplex: several requests at a time on each of them, where the proxy can.
    :ivar concurrency: requests at a time that have to be possible.
    :ivar idle: clients' connections that have to be possible, where that is more.
    :ivar routes: mappings of other paths, before the one that is asked for.
    :ivar hosts: virtual hosts of other names, before the one that is asked for.
    :ivar members: of the balancer that is asked; all lead to the one responder.  0: no balancer.
    :ivar tls: clients come over TLS.
    :ivar site: look for files and ask the application for scripts: ``php``, an index;
        ``wordpress``, also for all that is not there.  None: ask it for everything.
    """

    reuse: bool = True
    multiplex: bool = False
    concurrency: int = 64
    idle: int = 0
    routes: int = 0
    hosts: int = 0
    members: int = 0
    tls: bool = False
    site: str | None = None


class Proxy:
    """
    One proxy, started in a directory of its own.

    :param directory: of its files.
    :param responder: the application it asks.
    :param certificate: with its key, for TLS.
    :param setup: what its configuration has to be like.
    :cvar name: for the tables.
    :cvar path: where its Python modules are.
    :ivar port: where it listens on 127.0.0.1.
    :ivar root: the directory of its site's documents.
    :ivar startedIn: seconds until it accepted.
    """

    name = ""
    path = ROOT
    startedIn = 0.0

    def __init__(
        self, directory: Path, responder: Responder, certificate: Path, setup: Setup
    ) -> None:
        self.port = freePort()
        self.directory = directory
        self.responder = responder
        self.certificate = certificate
        self.setup = setup
        self.root = directory / "www"
        self.root.mkdir()
        (self.root / "index.php").write_text("<?php echo str_repeat('x', 100);\n")
        self.log = directory / "output"
        file = directory / "configuration"
        file.write_text(self.configuration())
        self._startedAt = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(file),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env={**os.environ, "PYTHONPATH": os.pathsep.join((str(self.path), str(ROOT)))},
            )

    @property
    def pid(self) -> int:
        """The top of its tree of processes."""
        return self.process.pid

    @classmethod
    def program(cls) -> str | None:
        """The path of its program, or ``None`` when it is not there."""
        raise NotImplementedError

    @classmethod
    def version(cls) -> str:
        """Its version's number."""
        raise NotImplementedError

    def command(self, file: Path) -> list[str]:
        """How to start it in the foreground."""
        raise NotImplementedError

    def configuration(self) -> str:
        """Its configuration."""
        raise NotImplementedError

    def wait(self) -> None:
        """
        Wait until it accepts.

        :raises RuntimeError: when it ended, or did not accept within 15 seconds.
        """
        deadline = self._startedAt + 15
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                self.startedIn = time.monotonic() - self._startedAt
                return
        raise RuntimeError(f"does not start (exit status {self.process.poll()})")

    def said(self) -> str:
        """The end of what it wrote, in one line."""
        logs = (self.directory / "error_log", self.log)
        text = "".join(log.read_text(errors="replace")[-200:] for log in logs if log.exists())
        return " ".join(text.replace(str(ROOT), "").split())

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def versionOf(words: list[str]) -> str:
    """The first number with dots that a program says."""
    run = subprocess.run(words, capture_output=True, text=True)
    found = re.search(r"[0-9]+(\.[0-9]+)+", run.stdout + run.stderr)
    return found[0] if found else "?"


def which(name: str) -> str | None:
    """The path of a program, also of one for the administrator only."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
