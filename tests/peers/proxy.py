"""Our own proxy, as its users start it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import Address, Server, freePort

__all__ = ["ROOT", "Proxy"]

ROOT = Path(__file__).resolve().parent.parent.parent


class Proxy(Server):
    """
    ``twistd -n fcgiproxy``.

    :param configuration: what its file says after Listen, ServerName and the log.
    :param options: short options instead of a file; without ``--listen``.
    """

    name = "fcgiproxy"

    def __init__(
        self, directory: Path, configuration: str = "", options: Sequence[str | Path] = ()
    ) -> None:
        super().__init__(directory, Address(None, freePort()))
        self._errorLog = directory / "error_log"
        self._options = options
        self._configuration = f"""\
Listen {self.address}
ServerName www.example.test
ErrorLog "{self._errorLog}"
LogLevel info
{configuration}
"""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def command(self) -> Sequence[str | Path]:
        twistd = Path(sys.executable).with_name("twistd")
        words: list[str | Path] = [twistd, "--nodaemon", "--pidfile=", "fcgiproxy"]
        if self._options:
            return [*words, *self._options, "--listen", str(self.address)]
        file = self.directory / "proxy.conf"
        file.write_text(self._configuration)
        return [*words, "--config", file]

    def log(self) -> str:
        text = self._errorLog.read_text(errors="replace") if self._errorLog.exists() else ""
        return super().log() + text

    def memory(self, field: str) -> int:
        """
        Bytes of memory of its process.

        :param field: ``VmRSS``, or ``VmHWM`` for the most since :meth:`forgetPeak`.
        """
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise LookupError(field)

    def forgetPeak(self) -> None:
        """``VmHWM`` begins anew."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
