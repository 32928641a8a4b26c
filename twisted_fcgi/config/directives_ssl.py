"""
Directives of mod_ssl for its client's side: TLS to members whose URL begins with ``fcgis:``.

Different to httpd, a member's certificate is verified unless SSLProxyVerify says otherwise,
against the system's authorities where no others are named.
"""

from __future__ import annotations

import os
import re

from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.values import addressPort, pathError
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import PROTOCOLS, VerifyPeer

__all__ = ["extensions", "rows"]

rows = Rows("mod_ssl")
extensions = Rows("extension")

_REACHING = Context.SERVER | Context.PROXY

#: What SSLProxyProtocol can name; SSLv2 and SSLv3 only to be taken away.
_PROTOCOLS = {
    "all": frozenset(PROTOCOLS),
    **{protocol.lower(): frozenset({protocol}) for protocol in PROTOCOLS},
    "sslv2": frozenset[str](),
    "sslv3": frozenset[str](),
}

#: Servers that are asked for names.
MAX_RESOLVERS = 3

#: A numeric address; what it is in detail is known by now.
_ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")

_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_KEY = "PRIVATE KEY-----"


def pem(scope: Scope, word: Word, *parts: str) -> str:
    """
    A file's path.

    :param parts: what has to be in it.
    :raises ConfigurationError: when it can't be read, or is another one.
    """
    path = scope.path(word)
    try:
        with open(path, encoding="latin-1") as file:
            text = file.read()
    except OSError as error:
        raise pathError(word, f"{path}: {error.strerror}") from None
    for part in parts:
        if part not in text:
            needs = " and ".join(f'"{part}"' for part in parts)
            raise word.error(f"{path} is no PEM file of the kind that is needed", f"with {needs}")
    return path


@rows.directive(
    "SSLProxyEngine",
    Shape.FLAG,
    _REACHING,
    syntax="On|Off",
    default="On",
    example="SSLProxyEngine On",
)
def sslProxyEngine(scope: Scope, on: bool) -> None:
    """No effect: ``fcgis://`` is TLS, and ``fcgi://`` is not."""
    if not on:
        scope.warn(scope.node.name, "SSLProxyEngine Off has no effect: fcgis:// is always TLS")


@rows.directive(
    "SSLProxyCACertificateFile",
    Shape.TAKE1,
    _REACHING,
    syntax="file",
    default="the system's authorities",
    example='SSLProxyCACertificateFile "tls/ca.pem"',
)
def sslProxyCaCertificateFile(scope: Scope, word: Word) -> None:
    """The authorities, in PEM, of whom one has to have signed for an ``fcgis://`` member."""
    scope.section.tls["authorities"] = pem(scope, word, _CERTIFICATE)


@rows.directive(
    "SSLProxyCACertificatePath",
    Shape.TAKE1,
    _REACHING,
    syntax="directory",
    example='SSLProxyCACertificatePath "tls"',
)
def sslProxyCaCertificatePath(scope: Scope, word: Word) -> None:
    """As SSLProxyCACertificateFile: a directory whose files ``openssl rehash`` has named."""
    path = scope.path(word)
    if not os.path.isdir(path):
        raise pathError(word, f"{path} is no directory")
    scope.section.tls["authorityPath"] = path


@rows.directive(
    "SSLProxyMachineCertificateFile",
    Shape.TAKE1,
    _REACHING,
    syntax="file",
    example='SSLProxyMachineCertificateFile "tls/client.pem"',
)
def sslProxyMachineCertificateFile(scope: Scope, word: Word) -> None:
    """
    Our certificate, for members that want one, and its key, without a pass phrase, in PEM.

    Certificates that lead to its authority may follow it.  The file is read again when it
    changes.
    """
    scope.section.tls["certificate"] = pem(scope, word, _CERTIFICATE, _KEY)


@rows.directive(
    "SSLProxyVerify",
    Shape.TAKE1,
    _REACHING,
    syntax="require|optional|optional_no_ca|none",
    default="require",
    example="SSLProxyVerify require",
)
def sslProxyVerify(scope: Scope, word: Word) -> None:
    """
    What the certificate of an ``fcgis://`` member has to be.

    It must be valid and lead to an authority that is trusted.  ``optional`` is the same,
    since a server always shows one; with ``optional_no_ca`` anybody may have signed it, and
    with ``none`` nothing is verified: whoever gets in between reads and changes everything.
    httpd's default is ``none``.
    """
    choices = {verify.value: verify for verify in VerifyPeer}
    verify = choices.get(word.lower())
    if verify is None:
        raise word.error(f"{str(word)!r} is none of its words", "one of " + ", ".join(choices))
    if verify is VerifyPeer.OPTIONAL:
        scope.warn(word, "optional is the same as require: a server always shows a certificate")
    elif verify is not VerifyPeer.REQUIRE:
        scope.warn(word, "UNSAFE: anybody can pretend to be a member, and read all requests")
    scope.section.tls["verify"] = verify


@rows.directive(
    "SSLProxyCheckPeerName",
    Shape.FLAG,
    _REACHING,
    syntax="On|Off",
    default="On",
    example="SSLProxyCheckPeerName On",
)
def sslProxyCheckPeerName(scope: Scope, on: bool) -> None:
    """Whether the certificate of an ``fcgis://`` member has to be for its host."""
    if not on:
        scope.warn(
            scope.node.name, "UNSAFE: whoever has a certificate can pretend to be any member"
        )
    scope.section.tls["checkName"] = on


@rows.directive(
    "SSLProxyProtocol",
    Shape.WORDS,
    _REACHING,
    syntax="[+|-]protocol ...",
    default="TLSv1.2 TLSv1.3",
    example="SSLProxyProtocol all -TLSv1 -TLSv1.1",
)
def sslProxyProtocol(scope: Scope, words: list[Word]) -> None:
    """
    The versions of TLS that are spoken with ``fcgis://`` members.

    ``TLSv1``, ``TLSv1.1``, ``TLSv1.2``, ``TLSv1.3`` or ``all``; a sign adds or takes away.
    OpenSSL as it is usually set up refuses the first two in any case.
    """
    chosen: frozenset[str] = frozenset()
    for word in words:
        sign, name = (word[0], word[1:]) if word[:1] in ("+", "-") else ("", str(word))
        protocols = _PROTOCOLS.get(name.lower())
        if protocols is None or (sign != "-" and not protocols):
            raise word.error(f"{name!r} is not spoken", "all, " + ", ".join(PROTOCOLS))
        if sign == "-":
            chosen -= protocols
        else:
            chosen = chosen | protocols if sign else protocols
    if not chosen:
        raise scope.error("SSLProxyProtocol leaves no version", "SSLProxyProtocol TLSv1.3")
    scope.section.tls["protocols"] = chosen


@rows.directive(
    "SSLProxyCipherSuite",
    Shape.TAKE12,
    _REACHING,
    syntax="[SSL] ciphers",
    default="OpenSSL's",
    example='SSLProxyCipherSuite "HIGH"',
)
def sslProxyCipherSuite(scope: Scope, first: Word, second: Word | None) -> None:
    """The ciphers, in OpenSSL's language, for members that speak TLS 1.2 or an older one."""
    if second is not None and first.upper() != "SSL":
        raise first.error(
            "only the ciphers of TLS up to 1.2 can be chosen", "SSLProxyCipherSuite HIGH"
        )
    word = first if second is None else second
    if not word.isascii():
        raise word.error("names of ciphers have none of these characters")
    # As httpd has it, what protects nobody is never among them.
    scope.section.tls["ciphers"] = f"{word}:!aNULL:!eNULL:!EXP"


@extensions.directive(
    "FcgiResolver",
    Shape.WORDS,
    Context.SERVER,
    syntax="address[:port] ...",
    default="the system's",
    example="FcgiResolver 127.0.0.1:5353",
)
def fcgiResolver(scope: Scope, words: list[Word]) -> None:
    """
    The DNS servers, at most 3, that are asked for the names of members.

    Then a name is looked up as often as its answer's TTL says, but within ``addressttl``;
    /etc/hosts and the search list of /etc/resolv.conf are not heeded, save for ``localhost``.
    Without it, names are looked up as the system does for any program, which tells no TTL;
    the servers of /etc/resolv.conf are asked for services (``srv+fcgi:``).
    """
    if not 0 < len(words) <= MAX_RESOLVERS:
        raise scope.error(f"FcgiResolver needs 1 to {MAX_RESOLVERS} addresses")
    servers = []
    for word in words:
        place = addressPort(word)
        host = "" if place is None else place.host or ""
        if place is None or not _ADDRESS.fullmatch(host):
            raise word.error(f"{str(word)!r} is no address", "192.0.2.53 or [2001:db8::53]:5353")
        servers.append(
            f"[{host}]:{place.port or 53}" if ":" in host else f"{host}:{place.port or 53}"
        )
    scope.server.resolver = tuple(servers)
