"""Our FastCGI server behind other people's web servers."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.peers.client import ask, begin, checksumOfStream
from tests.peers.fixtures import unixOrTcp
from tests.peers.process import Server
from tests.peers.python import Own
from tests.peers.webservers import Apache, Nginx, WebServer

pytestmark = pytest.mark.processes

MEGABYTE = 1 << 20


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id=kind.name, marks=pytest.mark.servers(kind.name))
        for kind in (Apache, Nginx)
    ],
)
def web(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A web server with our FastCGI server behind it."""
    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp("own")
        application = Own(directory, unixOrTcp(directory, unix=False))
        stack.callback(application.stop)
        application.start()
        kind: type[WebServer] = request.param
        server = kind(tmp_path_factory.mktemp(kind.name), application.address)
        stack.callback(server.stop)
        server.start()
        yield server


def test_variables(web: Server) -> None:
    """The application sees the variables, request after request on one connection."""
    for number in range(20):
        answer = ask(web.address, "/x", {"do": "env", "number": number})
        pairs = dict(json.loads(line) for line in answer.body.splitlines())
        assert pairs["REQUEST_METHOD"] == "GET"
        assert pairs["QUERY_STRING"] == f"do=env&number={number}"


def test_upload(web: Server) -> None:
    """A body arrives as it was sent."""
    body = os.urandom(MEGABYTE) * 10
    answer = ask(web.address, "/x", {"do": "count"}, body=body)
    assert (answer.status, answer.body) == (200, b"%d %08x\n" % (len(body), zlib.crc32(body)))


def test_stream(web: Server) -> None:
    """A long response arrives as it was sent."""
    length = 50 * MEGABYTE
    answer = ask(web.address, "/x", {"do": "stream", "bytes": length})
    assert (answer.length, answer.checksum) == (length, checksumOfStream(length))


def test_events(web: Server, tmp_path: Path) -> None:
    """What the application writes goes out at once."""
    do = {"do": "events", "count": 4, "gates": tmp_path}
    connection, response = begin(web.address, "/x", do)
    with closing(connection):
        for number in range(4):
            assert response.readline() == b"data: %d\n" % number
            assert response.readline() == b"\n"
            (tmp_path / str(number + 1)).touch()
        assert response.read() == b""


def test_stderr(web: Server) -> None:
    """What the application says is in the web server's log."""
    said = f"said-{os.urandom(8).hex()}"
    assert ask(web.address, "/x", {"do": "stderr", "text": said}).body == b"said\n"
    assert said in web.log()
