"""
TLS to a member.

:class:`TLSEndpoint` wraps the endpoint of a plain member: whoever connects gets a
protocol when TLS is up and the member is known to be who it should be, so that not a byte
of a request leaves before; all that comes after, the pool, its queue and its health, is
that of plain members.

- The certificate has to lead to an authority that is trusted, be valid now, and have the
  name of the host, or its address (RFC 6125, by service-identity).  A member that DNS
  gave for a service (``srv+fcgis:``) is held to the name of the configuration: what an
  unsigned answer says proves nothing.
- Each failure says whom we wanted, and whom we met: :class:`~twisted_fcgi.errors.PeerRefused`.
- With TLS 1.3 a member judges our certificate only after the handshake; that failure is
  the first thing that we read, and is told in the same words.
- Certificates are read again when their files change; a mistake in them then leaves those
  in use that were there before.
- A session is resumed for an hour at most, so that a certificate that expired or was
  taken away does not live on.
"""

from __future__ import annotations

import os
import re
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.errors import PeerRefused
from twisted_fcgi.settings import PROTOCOLS, MemberSettings, TLSSettings, VerifyPeer

__all__ = ["SESSION_LIFE", "TLSContext", "TLSEndpoint", "contextOf", "expectedName"]

log = Logger()

#: Seconds for which a session is resumed.
SESSION_LIFE = 3600.0

#: Names of a certificate that are told, and the length of each.
TOLD_NAMES = 8
TOLD_LENGTH = 80

#: What is wrong with a certificate, by OpenSSL's number (x509_vfy.h).
_REASONS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself, and is none of the authorities",
    19: "leads to an authority that is not trusted (unknown CA)",
    20: "leads to an authority that is not trusted (unknown CA)",
    21: "leads to an authority that is not trusted (unknown CA)",
    23: "was revoked",
    24: "is signed by what is no authority",
    26: "is not for servers",
}

#: Those that ``optional_no_ca`` lets pass (httpd: ``ssl_verify_error_is_optional``).
_NO_AUTHORITY = frozenset({18, 19, 20, 21, 27})

_OPTIONS = {
    "TLSv1": SSL.OP_NO_TLSv1,
    "TLSv1.1": SSL.OP_NO_TLSv1_1,
    "TLSv1.2": SSL.OP_NO_TLSv1_2,
    "TLSv1.3": SSL.OP_NO_TLSv1_3,
}

#: What says that the peer does not speak TLS: of OpenSSL 1.1, and of 3.
_NO_TLS = re.compile("wrong version number|packet length too long|record layer failure")


def expectedName(settings: MemberSettings) -> str:
    """The name that a member's certificate must have, or its address."""
    if settings.origin:
        return re.sub(r"\A(?:_[^.]*\.)+", "", settings.origin)
    return settings.host.strip("[]")


class TLSContext:
    """
    What the settings make of OpenSSL's, with files that change.

    :raises PeerRefused: when a file can't be used.
    """

    def __init__(self, settings: TLSSettings) -> None:
        self._settings = settings
        self._stamp = self._stampNow()
        self._context = self._make()

    def current(self) -> SSL.Context:
        """With what the files hold now."""
        stamp = self._stampNow()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._context = self._make()
            except PeerRefused as error:
                log.error("{reason}; what was there before is used", reason=error.reason)
        return self._context

    def _stampNow(self) -> tuple[Any, ...]:
        settings = self._settings
        stamp = []
        for name in (settings.authorities, settings.certificate):
            try:
                status = os.stat(name) if name else None
            except OSError:
                status = None
            stamp.append(status and (status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(stamp)

    def _make(self) -> SSL.Context:
        settings = self._settings
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_options(SSL.OP_NO_SSLv3 | SSL.OP_NO_COMPRESSION)
        for protocol in PROTOCOLS:
            if protocol not in settings.protocols:
                context.set_options(_OPTIONS[protocol])
        at = settings.ciphers
        try:
            if settings.ciphers:
                context.set_cipher_list(settings.ciphers.encode("ascii"))
            if settings.authorities or settings.authorityPath:
                at = settings.authorities or settings.authorityPath or ""
                context.load_verify_locations(settings.authorities, settings.authorityPath)
            else:
                context.set_default_verify_paths()
            if settings.certificate:
                at = settings.certificate
                with open(at, "rb") as file:
                    if b"ENCRYPTED" in file.read():  # OpenSSL would ask at the terminal
                        raise PeerRefused(f"{at}: its key has a pass phrase")
                context.use_certificate_chain_file(at)
                context.use_privatekey_file(at)
                context.check_privatekey()
        except (SSL.Error, OSError, UnicodeError) as error:
            raise PeerRefused(f"{at}: {_told(error)}") from None
        context.set_session_cache_mode(SSL.SESS_CACHE_CLIENT)
        if settings.verify is VerifyPeer.NONE:
            context.set_verify(SSL.VERIFY_NONE)
        else:
            context.set_verify(SSL.VERIFY_PEER, self._verified)
        return context

    def _verified(self, connection: Any, _: Any, code: int, depth: int, ok: int) -> bool:
        """OpenSSL's judgement of one certificate of the chain."""
        if ok:
            return True
        if self._settings.verify is VerifyPeer.OPTIONAL_NO_CA and code in _NO_AUTHORITY:
            return True
        reason = _REASONS.get(code, f"does not hold (error {code} of OpenSSL)")
        whose = "its certificate" if not depth else "the certificate of its authority"
        connection.get_app_data().greeting.verdict = f"{whose} {reason}"
        return False


#: For equal settings one is enough.
_contexts: dict[TLSSettings, TLSContext] = {}


def contextOf(settings: TLSSettings) -> TLSContext:
    """
    The context of settings, made when it is first asked for.

    :raises PeerRefused: when a file can't be used.
    """
    context = _contexts.get(settings)
    if context is None:
        context = _contexts[settings] = TLSContext(settings)
    return context


class TLSTransport(TLSMemoryBIOProtocol):
    """
    A connection's encryption, as its protocol's transport.

    :ivar greeting: what waits for the handshake.
    :ivar until: when its session is not to be resumed any more.
    """

    greeting: _Greeting
    until = 0.0

    @property
    def bufferSize(self) -> int:
        """Bytes that are read at once."""
        size: int = self.transport.bufferSize  # type: ignore[union-attr]
        return size

    @bufferSize.setter
    def bufferSize(self, size: int) -> None:
        self.transport.bufferSize = size  # type: ignore[union-attr]

    def loseConnection(self) -> None:
        """
        Say that it ends, and end it.

        FastCGI says by itself what is whole, so that the peer's word need not be awaited.
        """
        super().loseConnection()
        if not self._appSendBuffer and self._producer is None:
            self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The transport is gone; the words of OpenSSL are no help to anybody."""
        endpoint = self.greeting.endpoint
        if self._handshakeDone:
            endpoint.keepSession(self)
        ended: Any = self._reason or reason
        if ended.check(SSL.Error):
            self._reason = Failure(endpoint.refused(_told(ended.value)))
        super().connectionLost(reason)


@implementer(IHandshakeListener)
class _Greeting(Protocol):
    """
    The first protocol of a connection: waits for TLS, and makes way for the real one.

    :ivar verdict: what is wrong with the peer's certificate.
    :ivar done: fires with the real protocol.
    """

    transport: Any

    def __init__(self, endpoint: TLSEndpoint, factory: IProtocolFactory, address: Any) -> None:
        self.endpoint = endpoint
        self.verdict = ""
        self.done: Deferred[IProtocol] = Deferred(self._cancelled)
        self._factory = factory
        self._address = address

    def makeConnection(self, transport: Any) -> None:
        # TLS is not up: the real protocol is told when it is.
        self.transport = transport
        transport.greeting = self

    def handshakeCompleted(self) -> None:
        """See ``IHandshakeListener``."""
        if self.done.called:
            return
        tls = self.transport
        refusal = self.endpoint.misnamed(tls.getHandle())
        if refusal is not None:
            self.done.errback(refusal)
            tls.abortConnection()
            return
        protocol: Any = self._factory.buildProtocol(self._address)
        tls.wrappedProtocol = protocol
        protocol.makeConnection(tls)
        self.done.callback(protocol)

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:
        if self.done.called:
            return
        if self.verdict:
            self.done.errback(self.endpoint.refused(self.verdict))
        elif reason.check(PeerRefused):
            self.done.errback(reason)
        else:
            why = "it closed the connection during the handshake; does it speak TLS?"
            self.done.errback(self.endpoint.refused(why))

    def _cancelled(self, done: Deferred[Any]) -> None:
        self.transport.abortConnection()


@implementer(IStreamClientEndpoint, IOpenSSLClientConnectionCreator)
class TLSEndpoint:
    """
    A member that speaks FastCGI over TLS.

    :param endpoint: that of the plain member.
    :param settings: the member's, with ``tls``.
    """

    def __init__(
        self, endpoint: IStreamClientEndpoint, settings: MemberSettings, reactor: Any
    ) -> None:
        assert settings.tls is not None
        self.reactor = reactor
        self._endpoint = endpoint
        self._tls = settings.tls
        self._name = expectedName(settings)
        self._address = settings.address
        self._numeric = isIPAddress(self._name) or isIPv6Address(self._name)
        self._greetedAs = b"" if self._numeric else _hostName(self._name)
        self._context: SSL.Context | None = None
        self._session: Any = None
        self._sessionUntil = 0.0

    def __repr__(self) -> str:
        return f"<TLSEndpoint {self._name} {self._endpoint}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :meth:`twisted.internet.interfaces.IStreamClientEndpoint.connect`."""
        try:
            self._context = self._current()
        except PeerRefused as error:
            failed: Deferred[Any] = Deferred(lambda _: call.cancel())
            call = self.reactor.callLater(0, failed.errback, error)
            return failed
        wrapper = TLSMemoryBIOFactory(self, True, _Greetings(self, protocolFactory))
        wrapper.protocol = TLSTransport  # one that writes at once
        wrapper.noisy = False
        connecting: Deferred[Any] = self._endpoint.connect(wrapper)
        return connecting.addCallback(lambda tls: tls.greeting.done)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See ``IOpenSSLClientConnectionCreator``."""
        assert self._context is not None
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        if self._greetedAs:
            connection.set_tlsext_host_name(self._greetedAs)
        tlsProtocol.until = self._sessionUntil
        if self._session is not None:
            connection.set_session(self._session)
        else:
            tlsProtocol.until = self.reactor.seconds() + SESSION_LIFE
        return connection

    def _current(self) -> SSL.Context:
        """The context of a new connection, and whether a session may be resumed on it."""
        context = contextOf(self._tls).current()
        if context is not self._context or self.reactor.seconds() >= self._sessionUntil:
            self._session = None
        return context

    def misnamed(self, connection: SSL.Connection) -> PeerRefused | None:
        """Why the peer is not the one that we want, or ``None``."""
        if not self._tls.checkName:
            return None
        try:
            (verify_ip_address if self._numeric else verify_hostname)(connection, self._name)
        except (VerificationError, CertificateError, ValueError):
            return self.refused(f"its certificate is for {_namesOf(connection)}")
        return None

    def refused(self, why: str) -> PeerRefused:
        """The error of a connection."""
        return PeerRefused(f"no TLS with {self._address}, expected to be {self._name}: {why}")

    def keepSession(self, transport: TLSTransport) -> None:
        """A connection ends: its session may be resumed, as long as the one that it resumed."""
        connection = transport.getHandle()
        if connection.get_context() is self._context and transport.until >= self._sessionUntil:
            self._session = connection.get_session()  # that of TLS 1.3 is for one use
            self._sessionUntil = transport.until


def _hostName(name: str) -> bytes:
    """A name as SNI takes it (RFC 6066, 3); empty when it can't."""
    try:
        return name.encode("idna")
    except UnicodeError:
        return b""


class _Greetings(Factory):
    """A greeting for each connection that comes about."""

    noisy = False

    def __init__(self, endpoint: TLSEndpoint, factory: IProtocolFactory) -> None:
        self._endpoint = endpoint
        self._factory = factory

    def buildProtocol(self, address: Any) -> _Greeting:
        return _Greeting(self._endpoint, self._factory, address)


def _namesOf(connection: SSL.Connection) -> str:
    """The names in the peer's certificate, for people."""
    shown = connection.get_peer_certificate()
    if shown is None:
        return "nobody"
    certificate = shown.to_cryptography()
    try:
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        known = x509.SubjectAlternativeName([])
    names = [
        _printable(str(name.value))
        for name in known
        if isinstance(name, x509.DNSName | x509.IPAddress)
    ]
    if not names:
        return f"no name of a host ({_printable(certificate.subject.rfc4514_string())})"
    more = "" if len(names) <= TOLD_NAMES else ", ..."
    return ", ".join(names[:TOLD_NAMES]) + more


def _printable(text: str) -> str:
    return repr(text[:TOLD_LENGTH])[1:-1]


def _told(error: BaseException) -> str:
    """What OpenSSL says of an error, in words for people."""
    reasons = [row[-1] for row in (error.args[0] if error.args else ()) if isinstance(row, tuple)]
    text = "; ".join(filter(None, dict.fromkeys(reasons))) or str(error) or type(error).__name__
    if _NO_TLS.search(text):
        return f"it does not speak TLS ({text})"
    if "alert certificate required" in text or "alert handshake failure" in text:
        return f"it wants a certificate of ours, or none of its ciphers suits ({text})"
    if "alert" in text:
        return f"it refused us ({text})"
    return text
