"""Requests, and configurations for them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from unittest import TestCase

from twisted_fcgi.config import loads
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Address, Request, Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.settings import DirectorySettings, Settings, VirtualHost

__all__ = [
    "FILES",
    "makeFiles",
    "makeHeaders",
    "makePath",
    "makeRequest",
    "makeRoute",
    "makeTree",
    "read",
    "routeOf",
    "settingsOf",
]

#: The files of a tree.
FILES = (
    "index.html",
    "plain.txt",
    "app.php",
    "a b.php",
    "100%.php",
    "photo.jpg",
    ".env",
    ".htpasswd",
    ".git/config",
    ".well-known/security.txt",
    "php/app.php",
    "php/index.php",
    "php/v1.0/app.php",
    "php/v1.0/index.html",
    "static/file.txt",
)


def makeTree(test: TestCase) -> str:
    """
    Make the files in a directory of their own, a link to one, and one to itself.

    :param test: at its end they are removed.
    :returns: the directory's absolute path.
    """
    root = tempfile.mkdtemp()
    test.addCleanup(shutil.rmtree, root)
    for name in FILES:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(name)
    os.symlink("plain.txt", os.path.join(root, "link.txt"))
    os.symlink("loop", os.path.join(root, "loop"))
    return root


def makePath(path: str, kind: str) -> None:
    """Make a file or directory in the place of what is there, if that can be."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)
    with contextlib.suppress(OSError):
        if kind == "file":
            open(path, "w").close()
        elif kind == "directory":
            os.mkdir(path)


def makeFiles(test: TestCase, files: Mapping[str, str]) -> str:
    """
    Make files in a directory of their own.

    :param test: at its end they are removed.
    :param files: what is in each, by its path below the directory.
    :returns: the directory's absolute path.
    """
    root = tempfile.mkdtemp()
    test.addCleanup(shutil.rmtree, root)
    for name, content in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(content)
    return root


def makeRequest(
    target: str | bytes,
    *fields: tuple[bytes, bytes],
    method: bytes = b"GET",
    host: bytes | None = b"www.test",
    protocol: bytes = b"HTTP/1.1",
    server: Address = Address(b"127.0.0.1", 8080),
    secure: bool = False,
    contentLength: int | None = 0,
) -> Request:
    """A request as a front makes it."""
    pairs = [*fields] if host is None else [(b"Host", host), *fields]
    return Request(
        method,
        target if isinstance(target, bytes) else target.encode("latin-1"),
        Headers(pairs),
        protocol=protocol,
        client=Address(b"192.0.2.1", 4321),
        server=server,
        secure=secure,
        contentLength=contentLength,
    )


def read(text: str) -> Settings:
    """The settings of a configuration's text."""
    return loads("ServerName www.test\nServerAdmin admin@test\n" + text)


def routeOf(text: str, request: Request | str) -> Route:
    """What a configuration decides for a request."""
    return Router(read(text)).route(makeRequest(request) if isinstance(request, str) else request)


def makeHeaders(*fields: tuple[str, str]) -> Headers:
    """Header fields of texts."""
    return Headers((name.encode(), value.encode()) for name, value in fields)


def settingsOf(text: str) -> DirectorySettings:
    """What a configuration says outside of sections."""
    return loads(text, "site.conf").main.directory


def makeRoute(**variables: str) -> Route:
    """A route to an application, with variables."""
    route = Route(RouteKind.FASTCGI, VirtualHost(), DirectorySettings())
    route.uri = b"/a/b"
    route.environment = {name.encode(): value.encode() for name, value in variables.items()}
    return route
