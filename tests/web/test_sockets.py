"""Tests for our HTTP/1.1 front on real sockets: what no transport in memory can show."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from struct import pack
from typing import Any

import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.threads import deferToThread

from tests.peers.process import LIMIT
from tests.web.channels import ScriptedGateway, Served, get
from twisted_fcgi.settings import Limits
from twisted_fcgi.web.factory import HTTPFactory

#: More than all buffers between a client and us hold.
UPLOAD = 12_000_000


@asynccontextmanager
async def serving(
    script: Callable[[Served], object], description: str = "tcp:0:interface=127.0.0.1"
) -> AsyncIterator[Any]:
    """A port behind which requests are served by a script."""
    factory = HTTPFactory(ScriptedGateway(script), Limits(), reactor)  # type: ignore[arg-type]
    port = await serverFromString(reactor, description).listen(factory)
    try:
        yield port.getHost()
    finally:
        await port.stopListening()
        await factory.drain().addTimeout(LIMIT, reactor)  # type: ignore[arg-type]


def exchange(client: socket.socket, *parts: bytes, end: bool = False) -> bytes:
    """Send all, then read all: in a thread."""
    with client:
        client.settimeout(LIMIT)
        for part in parts:
            client.sendall(part)
        if end:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(65536):
            answer += data
        return answer


def refuse(served: Served) -> None:
    served.body.discard()
    served.answer(b"no", status=404)


@pytest_twisted.ensureDeferred
async def test_refusedUpload() -> None:
    """A client that sends all of a refused upload before it reads gets its answer."""
    head = get(b"/", b"Content-Length: %d" % UPLOAD, method=b"POST")
    async with serving(refuse) as address:
        client = socket.create_connection(("127.0.0.1", address.port))
        answer = await deferToThread(exchange, client, head, b"x" * UPLOAD)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"\r\n\r\nno")


@pytest_twisted.ensureDeferred
async def test_refusedUploadUnix(tmp_path: Path) -> None:
    """So it is over a UNIX socket."""
    head = get(b"/", b"Content-Length: %d" % UPLOAD, method=b"POST")
    path = str(tmp_path / "socket")
    async with serving(refuse, f"unix:{path}"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        answer = await deferToThread(exchange, client, head, b"x" * UPLOAD)
    assert answer.endswith(b"\r\n\r\nno")


@pytest_twisted.ensureDeferred
async def test_halfClosed() -> None:
    """A client that closes its side gets the answers to what it asked before."""

    def later(served: Served) -> None:
        reactor.callLater(0.05, served.answer)  # type: ignore[attr-defined]

    async with serving(later) as address:
        client = socket.create_connection(("127.0.0.1", address.port))
        answer = await deferToThread(exchange, client, get() + get(), end=True)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.endswith(b"ok")


@pytest_twisted.ensureDeferred
async def test_largeLastResponse() -> None:
    """A large response that is the last of its connection arrives whole."""
    body = b"x" * UPLOAD

    async with serving(lambda served: served.answer(body, length=False)) as address:
        client = socket.create_connection(("127.0.0.1", address.port))
        answer = await deferToThread(exchange, client, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n" + body)


@pytest_twisted.ensureDeferred
async def test_reset() -> None:
    """A client that goes away while it waits is noticed."""
    gone: Deferred[None] = Deferred()
    begun: Deferred[None] = Deferred()

    def wait(served: Served) -> None:
        served.clientGone = lambda: gone.callback(None)  # type: ignore[method-assign]
        begun.callback(None)

    async with serving(wait) as address:
        client = socket.create_connection(("127.0.0.1", address.port))
        client.sendall(get())
        await begun
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        client.close()
        await gone.addTimeout(LIMIT, reactor)  # type: ignore[arg-type]


@pytest_twisted.ensureDeferred
async def test_tls(tmp_path: Path) -> None:
    """Over TLS requests are secure, HTTP/1.1 is agreed on, and the end loses nothing."""
    certificate(tmp_path / "both.pem")
    context = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    secure = []

    def script(served: Served) -> None:
        secure.append(served.request.secure)
        served.answer(b"x" * 1_000_000)

    def ask(port: int) -> tuple[str | None, bytes]:
        plain = socket.create_connection(("127.0.0.1", port))
        client = context.wrap_socket(plain, server_hostname="localhost")
        return client.selected_alpn_protocol(), exchange(client, get(b"/", b"Connection: close"))

    both = str(tmp_path / "both.pem")
    description = f"ssl:0:interface=127.0.0.1:privateKey={both}:certKey={both}"
    async with serving(script, description) as address:
        protocol, answer = await deferToThread(ask, address.port)
    assert protocol == "http/1.1"
    assert answer.endswith(b"\r\n\r\n" + b"x" * 1_000_000)
    assert secure == [True]


def certificate(path: Path) -> None:
    """Write a key and a certificate for ``localhost``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
