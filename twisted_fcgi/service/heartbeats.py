"""
Heartbeats: servers that say how busy they are, for ``lbmethod=heartbeat``.

httpd's mod_heartbeat sends a datagram each second, ``v=1&ready=75&busy=0``, to a
multicast group or an address; a httpd with mod_heartmonitor can keep what it heard in a
file.  Either is heard here, and handed on; nobody is trusted with more than to say how
busy its own address is, and nothing is kept of who is no member.

Difference to httpd: what a file says is as old as the file.  There, the last words of a
monitor that is gone hold for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qsl

from twisted.application.service import Service
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from twisted_fcgi.balance import Heartbeat
from twisted_fcgi.errors import quoted
from twisted_fcgi.settings import HeartbeatSettings

__all__ = ["MAX_DATAGRAM", "MAX_STORAGE", "HeartbeatService", "readHeartbeat", "readStorage"]

log = Logger()

#: Most bytes of a datagram, as in httpd, and of a file of heartbeats.
MAX_DATAGRAM = 1000
MAX_STORAGE = 1048576

#: Seconds after which the file is looked at again.
LOOK_AGAIN = 1.0

#: Seconds between two complaints about what can't be understood.
COMPLAIN_AGAIN = 60.0

Heard = Callable[[str, Heartbeat], None]


def readHeartbeat(data: bytes, now: float) -> Heartbeat | None:
    """
    What a datagram says.

    :returns: ``None`` when it is no heartbeat.
    """
    if len(data) > MAX_DATAGRAM:
        return None
    values = dict(parse_qsl(data.decode("latin-1"), keep_blank_values=True))
    busy, ready = _number(values.get("busy")), _number(values.get("ready"))
    if "v" not in values or busy is None or ready is None:
        return None
    return Heartbeat(busy, ready, now)


def readStorage(text: str, writtenAt: float) -> list[tuple[str, Heartbeat]]:
    """
    What a file says: lines of an address and ``&ready=75&busy=0&lastseen=1&port=80``.

    :param writtenAt: the time in seconds.
    :returns: the addresses, and what they said; without lines that say nothing.
    """
    read = []
    for line in text.splitlines():
        host, _, rest = line.partition(" ")
        values = dict(parse_qsl(rest.strip()))
        busy, ready = _number(values.get("busy")), _number(values.get("ready"))
        seen = _number(values.get("lastseen", "0"))
        if not host.startswith("#") and not (busy is None or ready is None or seen is None):
            read.append((host, Heartbeat(busy, ready, writtenAt - seen)))
    return read


def _number(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return int(text)


class HeartbeatService(Service):
    """
    Hears heartbeats and hands them on.

    :param heard: called with an address and what it said.
    :param clock: the time of files, in seconds.
    """

    def __init__(
        self,
        settings: HeartbeatSettings,
        heard: Heard,
        reactor: Any,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._heard = heard
        self._reactor = reactor
        self._clock = clock
        self._port: Any = None
        self._call: IDelayedCall | None = None
        self._changed: object = None
        self._complainAt = 0.0

    def startService(self) -> None:
        """Listen, or look at the file."""
        super().startService()
        if self._settings.listen is not None:
            try:
                self._listen(*self._settings.listen)
            except CannotListenError as error:
                log.error("Heartbeats can't be heard: {error}", error=error)
        elif self._settings.storage is not None:
            self._look(self._settings.storage)

    def _listen(self, host: str, port: int) -> None:
        if ip_address(host).is_multicast:
            # Bound to the group's address: what is sent to other ones is not for us.
            self._port = self._reactor.listenMulticast(
                port, _Listener(self, host), interface=host, listenMultiple=True
            )
        else:
            self._port = self._reactor.listenUDP(port, _Listener(self, None), interface=host)

    def stopService(self) -> Any:
        """:returns: a Deferred that fires when nothing is heard any more."""
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        port, self._port = self._port, None
        return None if port is None else port.stopListening()

    def received(self, data: bytes, host: str) -> None:
        """A datagram came from an address."""
        beat = readHeartbeat(data, self._reactor.seconds())
        if beat is None:
            self.complain(f"what {host} sent is no heartbeat: {quoted(data[:80])}")
        else:
            self._heard(host, beat)

    def complain(self, reason: str) -> None:
        """Log what is wrong, but not each time."""
        now = self._reactor.seconds()
        if now >= self._complainAt:
            self._complainAt = now + COMPLAIN_AGAIN
            log.warn("Heartbeats: {reason}", reason=reason)

    def _look(self, path: str) -> None:
        """Read the file if it has changed."""
        self._call = self._reactor.callLater(LOOK_AGAIN, self._look, path)
        try:
            found = os.stat(path)
            changed = (found.st_mtime_ns, found.st_ino, found.st_size)
            if changed == self._changed:
                return
            with open(path, encoding="latin-1") as file:
                text = file.read(MAX_STORAGE)
        except OSError as error:
            self.complain(f"{path}: {error.strerror}")
            return
        self._changed = changed
        writtenAt = self._reactor.seconds() - max(0.0, self._clock() - found.st_mtime)
        for host, beat in readStorage(text, writtenAt):
            self._heard(host, beat)


class _Listener(DatagramProtocol):
    """
    Hands datagrams on.

    :param group: the multicast group to join, if any.
    """

    noisy = False

    def __init__(self, service: HeartbeatService, group: str | None) -> None:
        self._service = service
        self._group = group

    def startProtocol(self) -> None:
        if self._group is not None:
            transport: Any = self.transport
            joining = transport.joinGroup(self._group)
            joining.addErrback(lambda failure: self._service.complain(failure.getErrorMessage()))

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._service.received(datagram, addr[0].partition("%")[0])  # without its zone
