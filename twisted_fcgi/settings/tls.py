"""How a member is spoken to over TLS."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["PROTOCOLS", "TLSSettings", "VerifyPeer"]

#: The versions of TLS that can be asked for, the oldest first.
PROTOCOLS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


class VerifyPeer(enum.Enum):
    """
    ``SSLProxyVerify``: what a member's certificate has to be.

    A server always shows one, so that to httpd, too, ``optional`` is ``require``.
    """

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRE = "require"
    OPTIONAL_NO_CA = "optional_no_ca"


@dataclass(frozen=True)
class TLSSettings:
    """
    TLS to members whose URL begins with ``fcgis:``.

    :ivar authorities: SSLProxyCACertificateFile; with no path either, the system's.
    :ivar authorityPath: SSLProxyCACertificatePath.
    :ivar certificate: SSLProxyMachineCertificateFile: ours, its key, and what leads to its
        authority.
    :ivar verify: SSLProxyVerify.
    :ivar checkName: SSLProxyCheckPeerName.
    :ivar protocols: SSLProxyProtocol, of :data:`PROTOCOLS`.
    :ivar ciphers: SSLProxyCipherSuite, for TLS up to 1.2; empty for OpenSSL's own.
    """

    authorities: str | None = None
    authorityPath: str | None = None
    certificate: str | None = None
    verify: VerifyPeer = VerifyPeer.REQUIRE
    checkName: bool = True
    protocols: frozenset[str] = frozenset({"TLSv1.2", "TLSv1.3"})
    ciphers: str = ""
