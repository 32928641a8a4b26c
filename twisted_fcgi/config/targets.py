"""
The URLs of application servers, as ProxyPass and SetHandler name them.

``fcgi://host:port/path``, or ``unix:/path/to.sock|fcgi://name/path``, where only the
socket says where it is and the URL after the bar gives a name and a path.  ``fcgis:``
is the same over TLS.  Of ``srv+fcgi://name/path`` and ``srv+fcgis:`` DNS says who the
members are, and their ports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import Warn
from twisted_fcgi.config.words import Word

__all__ = ["SERVICES", "SPOKEN", "Target", "parseTarget"]

#: The schemes of members that are spoken to here.
SPOKEN = frozenset({"fcgi", "fcgis"})

#: Those of services whose members are found by DNS.
SERVICES = frozenset(f"srv+{scheme}" for scheme in SPOKEN)

#: httpd's default port of fcgi://, which vanishes from names; of fcgis:// as well.
DEFAULT_PORT = 8000

#: httpd's bound of a host's name.
MAX_HOST = 255

#: httpd's bound of a socket's path; the system's is 107.
MAX_SOCKET_PATH = 95

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::([0-9]*))?")

_SERVICE = re.compile(r"[A-Za-z0-9_]")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Target:
    """
    A URL, taken apart.

    :ivar socket: the UNIX socket, or ``None``.
    :ivar url: what follows the socket, as written (httpd: ``real``).
    :ivar authority: scheme, host and port as names spell them.
    :ivar name: the whole as a member's name.
    :ivar place: the file and number of its line.
    """

    socket: str | None
    url: str
    scheme: str
    host: str
    port: int
    authority: str
    name: str
    place: str = field(default="", compare=False)

    @property
    def varies(self) -> bool:
        """Whether the server's address has a back-reference."""
        return "$" in self.authority

    @property
    def isService(self) -> bool:
        """Whether DNS says who its members are."""
        return self.scheme in SERVICES


def parseTarget(word: Word, socketRoot: str, matching: bool, warn: Warn) -> Target:
    """
    Take a URL apart: ``fcgi://host:port/path`` or ``unix:/path|fcgi://name/path``.

    :param socketRoot: what a relative socket path begins at.
    :param matching: whether ``$1`` in it stands for a part of the request.
    :raises ConfigurationError: when it is none.
    """
    socket: str | None = None
    url = word
    if word[:5].lower() == "unix:" and "|" in word:
        at = word.index("|")
        path, url = word.part(5, at), word.part(at + 1)
        socket = path if path.startswith("/") else f"{socketRoot}/{path}"
        if not path.startswith("/"):
            warn(path, f"the socket's path is not absolute, {socket} is meant")
        if len(encode(socket)) > MAX_SOCKET_PATH:
            raise path.error("the socket's path is too long", f"at most {MAX_SOCKET_PATH} bytes")
        if ":" not in url:
            raise url.error('the "unix:" URL is incomplete', "unix:/path/to.sock|fcgi://localhost/")
        if re.fullmatch("[^:]*:(?://)?", url):
            url = Word.make(url.rstrip("/") + "//localhost", url.line, url.start, url.end)
    match = _URL.match(url)
    if match is None or not match[2]:
        raise url.error("the URL must be absolute", "fcgi://host:port/ or unix:/path|fcgi://name/")
    netloc = match[2].rpartition("@")[2]
    moved = ""
    if matching and (reference := re.match(r"[^$]+(\$[0-9].*)", netloc)) is not None:
        moved = reference[1]  # what follows comes from the request, and has to be a path
        netloc = netloc[: reference.start(1)]
    place = _HOST_PORT.fullmatch(netloc)
    if place is None:
        raise url.error(f"{netloc!r} is no host with a port", "fcgi://host:port/")
    host, digits = place[1].lower(), place[2] or ""
    if len(host) > MAX_HOST:
        raise url.error("the host's name is too long", f"at most {MAX_HOST} characters")
    port = int(digits or 0)
    if port > 65535:
        port &= 0xFFFF
        warn(url, f"the port is out of range and is read as {port}")
    scheme = match[1].lower()
    shown = f":{port}" if port and not (scheme in SPOKEN and port == DEFAULT_PORT) else ""
    if scheme in SERVICES and (digits or moved or socket is not None or not _SERVICE.match(host)):
        hint = f"{scheme}://_php._tcp.example.org/"
        raise url.error("a service has a name, and neither port nor socket", hint)
    authority = f"{scheme}://{host}{shown}{moved}"
    return Target(
        socket=socket,
        url=str(url),
        scheme=scheme,
        host=host.strip("[]"),
        port=port or DEFAULT_PORT,
        authority=authority,
        name=authority + match[3],
        place=word.place,
    )
