"""A DNS server for the tests: nsd, with one zone that changes."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import Address, Server

__all__ = ["Nsd"]

#: For the SOA of example.org.
QUESTION = bytes.fromhex("0001 0000 0001 0000 0000 0000") + b"\7example\3org\0\0\6\0\1"


class Nsd(Server):
    """
    Knows ``example.org``.

    :param records: lines of the zone's file, to begin with.
    """

    name = "nsd"

    def __init__(self, directory: Path, address: Address, *records: str) -> None:
        super().__init__(directory, address)
        self._serial = 0
        self._write(records)

    def command(self) -> Sequence[str | Path]:
        file = self.directory / "nsd.conf"
        file.write_text(f"""\
server:
    ip-address: 127.0.0.1
    port: {self.address.port}
    username: ""
    chroot: ""
    zonesdir: "{self.directory}"
    pidfile: "{self.directory}/pid"
    database: ""
    xfrdfile: "{self.directory}/xfrd"
    zonelistfile: "{self.directory}/zones"
    server-count: 1
remote-control:
    control-enable: no
zone:
    name: example.org
    zonefile: zone
""")
        return ["/usr/sbin/nsd", "-d", "-c", file]

    def ready(self) -> bool:
        """Whether it answers: it accepts before it heeds SIGHUP, which would end it."""
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as asking:
                asking.settimeout(1)
                asking.connect(("127.0.0.1", self.address.port))
                asking.send(QUESTION)
                return bool(asking.recv(512))
        except OSError:
            return False

    def tell(self, *records: str) -> None:
        """From now on these are the records; of those before none is left."""
        self._write(records)
        os.kill(self.pid, signal.SIGHUP)

    def _write(self, records: Sequence[str]) -> None:
        self._serial += 1
        new = self.directory / "new"
        new.write_text(
            "\n".join(
                [
                    "$ORIGIN example.org.",
                    "$TTL 1",
                    f"@ SOA ns hostmaster {self._serial} 3600 600 86400 1",
                    "@ NS ns",
                    "ns A 127.0.0.1",
                    *records,
                    "",
                ]
            )
        )
        new.replace(self.directory / "zone")
