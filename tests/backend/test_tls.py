"""Tests for :mod:`twisted_fcgi.backend.tls`, both ends in memory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.peers.tls import Authority
from twisted_fcgi.backend.endpoints import memberEndpoint
from twisted_fcgi.backend.tls import SESSION_LIFE, TLSContext, TLSEndpoint, expectedName
from twisted_fcgi.errors import PeerRefused
from twisted_fcgi.settings import MemberSettings, TLSSettings, VerifyPeer

__all__ = ["ExpectedNameTests", "TLSEndpointTests"]

HOST = "app.example"


class Recorder(Protocol):
    """Records what it is told."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:
        self.lost = reason


@implementer(IOpenSSLServerConnectionCreator)
class Serving:
    """Makes the server's side of TLS."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context, None)


@implementer(IStreamClientEndpoint)
class Memory:
    """
    Connects to a server that is in memory, or to one that speaks no TLS.

    :param context: the server's.
    :ivar servers: its ends of all connections.
    """

    def __init__(self, context: SSL.Context | None) -> None:
        self.context = context
        self.servers: list[Any] = []

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        server: Any = Recorder()
        if self.context is not None:
            factory = TLSMemoryBIOFactory(
                Serving(self.context), False, Factory.forProtocol(Recorder)
            )
            server = factory.buildProtocol(None)
        client = protocolFactory.buildProtocol(None)
        self.servers.append(server)
        self.pump = connect(
            server,
            FakeTransport(server, True),
            client,
            FakeTransport(client, False),
            greet=False,
        )
        return succeed(client)


class ExpectedNameTests(SynchronousTestCase):
    """Tests for :func:`expectedName`."""

    def test_names(self) -> None:
        """It is what the configuration says, whatever DNS makes of it."""
        cases = (
            (("fcgis://app.example", "app.example"), "", "app.example"),
            (("fcgis://[2001:db8::1]", "[2001:db8::1]"), "", "2001:db8::1"),
            (("fcgis://192.0.2.1", "192.0.2.1"), "app.example", "app.example"),
            (("fcgis://192.0.2.1", "192.0.2.1"), "_php._tcp.app.example", "app.example"),
        )
        for place, origin, wanted in cases:
            self.assertEqual(wanted, expectedName(MemberSettings(*place, origin=origin)))


class TLSEndpointTests(SynchronousTestCase):
    """
    Tests for :class:`TLSEndpoint`.

    :ivar ours: the authority that is trusted.
    """

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.ours = Authority(self.directory)
        self.clock = Clock()
        self.built = 0

    def context(self, *names: str, clients: bool = False) -> SSL.Context:
        """A server's, with a certificate of ours."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        own = str(self.ours.issue(*(names or (HOST,))))
        context.use_certificate_chain_file(own)
        context.use_privatekey_file(own)
        context.set_session_id(b"tests")
        if clients:
            context.load_verify_locations(str(self.ours.file))
            mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
            context.set_verify(mode, lambda *ok: bool(ok[-1]))
        return context

    def endpoint(self, context: SSL.Context | None, host: str = HOST, **tls: Any) -> TLSEndpoint:
        self.memory = Memory(context)
        tls.setdefault("authorities", str(self.ours.file))
        settings = MemberSettings(f"fcgis://{host}", host, 9000, tls=TLSSettings(**tls))
        return TLSEndpoint(self.memory, settings, self.clock)

    def build(self) -> Recorder:
        self.built += 1
        return Recorder()

    def connect(self, endpoint: TLSEndpoint) -> Deferred[Any]:
        factory = Factory()
        factory.protocol = self.build
        connecting = endpoint.connect(factory)
        self.memory.pump.flush()
        return connecting

    def connected(self, endpoint: TLSEndpoint) -> Any:
        return self.successResultOf(self.connect(endpoint))

    def refused(self, endpoint: TLSEndpoint) -> str:
        """Why there is no connection; none of its protocols was made."""
        built = self.built
        error = self.failureResultOf(self.connect(endpoint), PeerRefused).value
        self.assertEqual((502, True, built), (error.status, error.retryable, self.built))
        self.memory.pump.flush()
        return str(error)

    def test_bytes(self) -> None:
        """Bytes pass in both directions, in secret."""
        endpoint = self.endpoint(self.context())
        verifyObject(IStreamClientEndpoint, endpoint)
        self.assertIn(HOST, repr(endpoint))
        protocol = self.connected(endpoint)
        protocol.transport.writeSequence([b"there", b" "])
        self.memory.pump.flush()
        (server,) = self.memory.servers
        served = server.wrappedProtocol
        server.write(b"back" * 50_000)
        self.memory.pump.flush()
        self.assertEqual(b"there ", served.received)
        self.assertEqual(b"back" * 50_000, protocol.received)
        protocol.transport.loseConnection()
        self.memory.pump.flush()
        self.assertIsNotNone(protocol.lost)
        self.assertIsNotNone(served.lost)

    def test_greeting(self) -> None:
        """The server is told the host's name, and no protocol of ours; an address is no name."""
        for host, wanted in ((HOST, HOST.encode()), ("192.0.2.1", None)):
            self.connected(self.endpoint(self.context(host), host))
            handle = self.memory.servers[0].getHandle()
            self.assertEqual(wanted, handle.get_servername())
            self.assertEqual(b"", handle.get_alpn_proto_negotiated())

    def test_names(self) -> None:
        """A certificate has to have the name, or the address, that the configuration says."""
        cases: tuple[tuple[str, tuple[str, ...], str], ...] = (
            (HOST, ("other.example", "x.example"), "is for other.example, x.example"),
            (HOST, ("192.0.2.1",), "is for 192.0.2.1"),
            ("192.0.2.1", ("192.0.2.2", HOST), "is for "),
            (HOST, tuple(f"{n}.example" for n in range(99)), "7.example, ..."),
        )
        for host, names, wanted in cases:
            context = self.context(names[0], *names[1:]) if len(names) < 9 else self.many(names)
            said = self.refused(self.endpoint(context, host))
            self.assertIn(f"no TLS with {host}:9000, expected to be {host}: its certificate", said)
            self.assertIn(wanted, said)

    def many(self, names: tuple[str, ...]) -> SSL.Context:
        """A certificate with very many names."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        own = str(self.ours.issue(*names, file="many.pem"))
        context.use_certificate_chain_file(own)
        context.use_privatekey_file(own)
        return context

    def test_wildcard(self) -> None:
        """An asterisk stands for one label."""
        self.connected(self.endpoint(self.context("*.app.example"), "a.app.example"))
        self.refused(self.endpoint(self.context("*.app.example"), "b.a.app.example"))

    def test_authority(self) -> None:
        """The authority has to be a trusted one, unless that is not asked for."""
        theirs = Authority(self.directory, "Somebody else")
        said = self.refused(self.endpoint(self.context(), authorities=str(theirs.file)))
        self.assertIn("unknown CA", said)
        for verify in (VerifyPeer.NONE, VerifyPeer.OPTIONAL_NO_CA):
            endpoint = self.endpoint(self.context(), authorities=str(theirs.file), verify=verify)
            self.connected(endpoint)
        self.refused(self.endpoint(self.context("x.example"), verify=VerifyPeer.NONE))

    def test_systemAuthorities(self) -> None:
        """Where none are named, the system's are those that are trusted."""
        self.refused(self.endpoint(self.context(), authorities=None))

    def test_protocols(self) -> None:
        """No version is spoken that was not chosen."""
        context = self.context()
        context.set_options(SSL.OP_NO_TLSv1_3)
        self.connected(self.endpoint(context))
        said = self.refused(self.endpoint(context, protocols=frozenset({"TLSv1.3"})))
        self.assertIn("protocol version", said)

    def test_ciphers(self) -> None:
        """No cipher is used that was not chosen; a name that is none is an error."""
        self.connected(self.endpoint(self.context(), ciphers="ECDHE+AESGCM:!aNULL"))
        endpoint = self.endpoint(self.context(), ciphers="NONSENSE")
        self.assertIn("NONSENSE", self.later(endpoint))

    def later(self, endpoint: TLSEndpoint) -> str:
        """Why it did not even try; that is told in a later turn."""
        connecting = endpoint.connect(Factory.forProtocol(Recorder))
        self.assertNoResult(connecting)
        self.clock.advance(0)
        self.assertEqual([], self.memory.servers)
        return str(self.failureResultOf(connecting, PeerRefused).value)

    def test_noTLS(self) -> None:
        """A server that closes, or says something else, does not speak TLS."""
        for said in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"):
            endpoint = self.endpoint(None)
            connecting = endpoint.connect(Factory.forProtocol(Recorder))
            (server,) = self.memory.servers
            server.transport.write(said)
            server.transport.loseConnection()
            self.memory.pump.flush()
            error = self.failureResultOf(connecting, PeerRefused).value
            self.assertIn("speak TLS", str(error))

    def test_ourCertificate(self) -> None:
        """One that is wanted is shown; without, the failure of the connection says so."""
        context = self.context(clients=True)
        own = str(self.ours.issue("gateway.example", file="own.pem"))
        self.connected(self.endpoint(context, certificate=own))
        protocol = self.connected(self.endpoint(context))
        self.memory.pump.flush()
        self.assertIn("wants a certificate of ours", protocol.lost.getErrorMessage())
        self.assertIsNotNone(protocol.lost.check(PeerRefused))

    def test_files(self) -> None:
        """Files that can't be used are a failure with their name, without a question for words."""
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        locked = self.directory / "locked.pem"
        locked.write_bytes(self.ours.issue("x.example").read_bytes().partition(b"-----BEGIN P")[0])
        locked.write_bytes(locked.read_bytes() + key)
        for tls in ({"certificate": str(locked)}, {"authorities": str(self.directory / "none")}):
            said = self.later(self.endpoint(self.context(), **tls))
            self.assertIn(str(self.directory), said)
        self.assertIn("pass phrase", self.later(self.endpoint(None, certificate=str(locked))))

    def test_changedFiles(self) -> None:
        """A certificate that is replaced is used from then on; a mistake in it changes nothing."""
        theirs = Authority(self.directory, "Somebody else")
        own = theirs.issue("gateway.example", file="own.pem")
        endpoint = self.endpoint(self.context(clients=True), certificate=str(own))
        self.memory.pump = None  # type: ignore[assignment]

        def works() -> bool:
            protocol = self.connected(endpoint)
            self.memory.pump.flush()
            return protocol.lost is None

        self.assertFalse(works())
        own.write_bytes(self.ours.issue("gateway.example", file="new.pem").read_bytes())
        self.assertTrue(works())
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        own.write_bytes(b"nonsense")
        self.assertTrue(works())
        self.assertTrue(works())
        self.assertEqual(1, len([e for e in events if e["log_level"].name == "error"]))

    def test_resumption(self) -> None:
        """A session is resumed, without certificates, though not for ever; its name is held to."""
        verified = []
        verify = TLSContext._verified

        def seen(*arguments: Any) -> bool:
            verified.append(arguments[4])
            return verify(*arguments)

        self.patch(TLSContext, "_verified", seen)
        for versions in ({"TLSv1.2"}, {"TLSv1.3"}):
            endpoint = self.endpoint(self.context(), protocols=frozenset(versions))

            def shown() -> bool:
                verified.clear()
                protocol = self.connected(endpoint)  # noqa: B023
                self.memory.pump.flush()
                protocol.transport.loseConnection()
                self.memory.pump.flush()
                return bool(verified)

            self.assertEqual([True, False, False], [shown(), shown(), shown()])
            self.clock.advance(SESSION_LIFE)
            self.assertEqual([True, False], [shown(), shown()])
            endpoint._name = "other.example"
            self.refused(endpoint)

    def test_cancelled(self) -> None:
        """A connect that is given up during the handshake is given up."""
        connecting = self.endpoint(self.context()).connect(Factory.forProtocol(self.never))
        served = self.memory.servers[0].wrappedProtocol
        connecting.cancel()
        self.failureResultOf(connecting)
        self.memory.pump.flush()
        self.assertIsNotNone(served.lost)

    def never(self) -> Recorder:
        raise AssertionError("a protocol is made")

    def test_bufferSize(self) -> None:
        """How much is read at once is the socket's to know."""
        protocol = self.connected(self.endpoint(self.context()))
        protocol.transport.bufferSize = 12345
        self.assertEqual(12345, protocol.transport.transport.bufferSize)
        self.assertEqual(12345, protocol.transport.bufferSize)

    def test_member(self) -> None:
        """A member with TLS has such an endpoint, before that of a plain one."""
        settings = MemberSettings("fcgis://192.0.2.1", "192.0.2.1", tls=TLSSettings())
        reactor: Any = Clock()
        self.assertIsInstance(memberEndpoint(settings, reactor), TLSEndpoint)
