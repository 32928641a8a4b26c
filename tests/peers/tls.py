"""What people put in front of PHP-FPM so that FastCGI crosses a network: stunnel, HAProxy."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.peers.process import Address, Server

__all__ = ["Authority", "HAProxy", "Stunnel", "TLSFront"]

MANUAL = Path(__file__).resolve().parent.parent.parent / "doc" / "tls.rst"

_DAY = datetime.timedelta(days=1)


class Authority:
    """
    Signs certificates.

    :ivar file: its own, in PEM.
    """

    def __init__(self, directory: Path, name: str = "Authority of the tests") -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(
            self._name, self._key, x509.BasicConstraints(ca=True, path_length=None), []
        )
        self.file = directory / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, *names: str, expired: bool = False, file: str = "") -> Path:
        """
        A certificate with its key, in PEM.

        :param names: of hosts, or addresses.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        certificate = self._sign(subject, key, constraints, names, expired)
        path = self._directory / (file or f"{'-'.join(names)}{'-expired' * expired}.pem")
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return path

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        names: Sequence[str],
        expired: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        begin = now - 3 * _DAY
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(now - _DAY if expired else now + 30 * _DAY)
            .add_extension(constraints, critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
            ).add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
        return builder.sign(self._key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class TLSFront(Server):
    """
    Takes TLS connections and passes what is in them to a FastCGI server, as doc/tls.rst says.

    :cvar program: the file of the program.
    :cvar options: its own, before its configuration's file.
    :cvar wanted: what in the configuration asks for clients' certificates.
    :param peer: the address of that server.
    :param certificate: its own.
    :param clients: whose certificates it wants from clients; it wants none without.
    """

    program = ""
    options: tuple[str, ...] = ()
    wanted = ""

    def __init__(
        self,
        directory: Path,
        address: Address,
        peer: Address,
        certificate: Path,
        clients: Path | None = None,
    ) -> None:
        super().__init__(directory, address)
        self.peer = peer
        self.certificate = certificate
        self.clients = clients

    def command(self) -> Sequence[str | Path]:
        text = documented(self.name)
        if self.clients is None:
            text = _replaced(text, self.wanted, "")
        else:
            text = _replaced(text, r"/etc/\w+/ca\.pem", self.clients)
        text = _replaced(text, r"/etc/\w+/php\.example\.org\.pem", self.certificate)
        text = _replaced(text, r"(?<== )9001|:9001", self.address)
        text = _replaced(text, r"(unix@)?/run/php/[\w.-]+", self.peer)
        file = self.directory / "configuration"
        file.write_text(text)
        return [self.program, *self.options, file]


class Stunnel(TLSFront):
    """stunnel."""

    name = "stunnel"
    program = "/usr/bin/stunnel4"
    wanted = "verifyChain = yes\nCAfile = .*\n"


class HAProxy(TLSFront):
    """HAProxy."""

    name = "haproxy"
    program = "/usr/sbin/haproxy"
    options = ("-db", "-f")
    wanted = " ca-file .* verify required"


def documented(program: str) -> str:
    """The configuration of a program that the manual shows."""
    block = re.search(
        rf"(?im)^{program}\n-+\n(?:.*\n)*?\.\. code-block:: .*\n\n((?:(?:   .*)?\n)+)",
        MANUAL.read_text(),
    )
    assert block is not None
    return dedent(block[1])


def _replaced(text: str, pattern: str, new: object) -> str:
    """A text with something else in one place, which is there once."""
    made, number = re.subn(pattern, lambda _: str(new), text)
    assert number == 1, (pattern, text)
    return made
