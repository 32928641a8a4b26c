"""
Each real FastCGI server behind the real proxy, from end to end.

A test runs once for each row of :data:`tests.peers.fixtures.SITES`.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.peers.client import ask, begin, checksumOfStream
from tests.peers.fixtures import Site, rows
from tests.peers.process import waitFor

MEGABYTE = 1 << 20
UPLOAD = os.urandom(MEGABYTE) * 10


def pieces(body: bytes) -> Iterator[bytes]:
    """A body in parts of many sizes."""
    at, size = 0, 1
    while at < len(body):
        yield body[at : at + size]
        at += size
        size = size * 3 % 100_003


def test_variables(site: Site) -> None:
    """The application gets the CGI variables of RFC 3875 and the request's fields."""
    do = {"do": "env", "q": "a b+c/d%e"}
    headers = {"X-Some-Field": "one", "Proxy": "evil", "Host": "other.example.test:81"}
    answer = ask(site.proxy.address, site.target, do, headers=headers)
    assert answer.status == 200
    pairs = dict(json.loads(line) for line in answer.body.splitlines())
    expected = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": site.target,
        "REQUEST_URI": f"{site.target}?do=env&q=a+b%2Bc%2Fd%25e",
        "QUERY_STRING": "do=env&q=a+b%2Bc%2Fd%25e",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "other.example.test",
        "SERVER_PORT": "81",
        "SERVER_ADDR": "127.0.0.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "other.example.test:81",
        "HTTP_X_SOME_FIELD": "one",
        "SCRIPT_FILENAME": str(site.peer.application),
    }
    assert {name: pairs.get(name) for name in expected} == expected
    assert "HTTP_PROXY" not in pairs


def test_upload(site: Site) -> None:
    """A body of 10 MB with a Content-Length arrives as it was sent."""
    answer = ask(site.proxy.address, site.target, {"do": "count"}, body=UPLOAD)
    assert (answer.status, answer.body) == (200, b"%d %08x\n" % (len(UPLOAD), zlib.crc32(UPLOAD)))


def test_chunkedUpload(site: Site) -> None:
    """A chunked body arrives as it was sent; the application is told its length."""
    answer = ask(site.proxy.address, site.target, {"do": "count"}, body=pieces(UPLOAD))
    assert (answer.status, answer.body) == (200, b"%d %08x\n" % (len(UPLOAD), zlib.crc32(UPLOAD)))


def test_stream(site: Site) -> None:
    """A response of 300 MB arrives as it was sent, and the proxy never holds much of it."""
    length = 300 * MEGABYTE
    ask(site.proxy.address, site.target, {"do": "stream", "bytes": MEGABYTE})
    before = site.proxy.memory("VmRSS")
    site.proxy.forgetPeak()
    answer = ask(site.proxy.address, site.target, {"do": "stream", "bytes": length})
    assert (answer.status, answer.length) == (200, length)
    assert answer.checksum == checksumOfStream(length)
    assert site.proxy.memory("VmHWM") - before < 16 * MEGABYTE


def test_slowReader(site: Site) -> None:
    """A client that does not read stops the application; the proxy holds little."""
    do = {"do": "stream", "bytes": 100 * MEGABYTE}
    before = site.proxy.memory("VmRSS")
    site.proxy.forgetPeak()
    connection, response = begin(site.proxy.address, site.target, do)
    with closing(connection):
        time.sleep(0.3)
        assert site.proxy.memory("VmHWM") - before < 16 * MEGABYTE
        assert len(response.read()) == 100 * MEGABYTE
    assert site.proxy.memory("VmHWM") - before < 16 * MEGABYTE


@pytest.mark.parametrize("site", rows(lambda kind: kind.peer.sendsStderr), indirect=True)
def test_stderr(site: Site) -> None:
    """What the application says on stderr is a line of the log, and harms no answer."""
    said = f"said-{os.urandom(8).hex()}"
    answer = ask(site.proxy.address, site.target, {"do": "stderr", "text": said})
    assert (answer.status, answer.body) == (200, b"said\n")
    waitFor(lambda: said in site.proxy.log())


def test_exitInTheMiddle(site: Site) -> None:
    """
    When the application dies in the middle of an answer, the client sees that it is
    not whole, and the next request is served.
    """
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        ask(site.proxy.address, site.target, {"do": "exit"})
    answer = ask(site.proxy.address, site.target, {"do": "stream", "bytes": 10})
    assert (answer.status, answer.body) == (200, b"abcdefghij")


def test_events(site: Site, tmp_path: Path) -> None:
    """A server-sent event arrives before the application makes the next one."""
    do = {"do": "events", "count": 4, "gates": tmp_path}
    connection, response = begin(site.proxy.address, site.target, do)
    with closing(connection):
        assert response.headers["Content-Type"].startswith("text/event-stream")
        for number in range(4):
            assert response.readline() == b"data: %d\n" % number
            assert response.readline() == b"\n"
            (tmp_path / str(number + 1)).touch()
        assert response.read() == b""


def test_concurrent(site: Site, tmp_path: Path) -> None:
    """Four requests are in the application at a time."""

    def one(number: int) -> bytes:
        do = {"do": "meet", "count": 4, "place": tmp_path, "name": number}
        return ask(site.proxy.address, site.target, do).body

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == [b"met\n"] * 4


def test_clientGone(site: Site, tmp_path: Path) -> None:
    """When the client leaves, the application can't write any more, and the next one is served."""
    marker = tmp_path / "marker"
    connection, response = begin(
        site.proxy.address, site.target, {"do": "forever", "marker": marker}
    )
    assert response.read(1024)
    connection.close()
    waitFor(marker.exists)
    answer = ask(site.proxy.address, site.target, {"do": "stream", "bytes": 10})
    assert (answer.status, answer.body) == (200, b"abcdefghij")
