"""Tests for :mod:`twisted_fcgi.config.reaching`, and what TLS needs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config.test_targets import targetOf
from twisted_fcgi.config import loads, scope
from twisted_fcgi.config.reaching import Reaching, Secured
from twisted_fcgi.errors import ConfigurationErrors
from twisted_fcgi.pcre import compilePattern
from twisted_fcgi.settings import TLSSettings, VerifyPeer

__all__ = ["NeedsTests", "ReachingTests", "SecuredTests"]


class SecuredTests(SynchronousTestCase):
    """Tests for :class:`Secured`."""

    def test_path(self) -> None:
        """A section holds for members whose URL is its own, or is below it."""
        for path, url, holds in (
            ("fcgis://h", "fcgis://h", True),
            ("fcgis://h", "fcgis://h/a", True),
            ("fcgis://h/", "fcgis://h", True),
            ("fcgis://h:9", "fcgis://h:90", False),
            ("fcgis://h/a", "fcgis://h/ab", False),
            ("fcgis://h/a", "fcgis://h", False),
            ("balancer://app", "balancer://app", True),
            ("balancer://app", "balancer://apple", False),
        ):
            self.assertIs(holds, Secured(path.encode(), None, {}).holdsFor(url), (path, url))

    def test_pattern(self) -> None:
        """One with an expression holds for those that match."""
        section = Secured(None, compilePattern(b"^fcgis://[ab]/"), {})
        self.assertEqual(
            [True, False], [section.holdsFor(f"fcgis://{host}/x") for host in ("a", "c")]
        )


class ReachingTests(SynchronousTestCase):
    """Tests for :class:`Reaching`."""

    def test_plain(self) -> None:
        """A plain member has no TLS, whatever is said of it."""
        reaching = Reaching(None, {"checkName": False})
        self.assertEqual({}, reaching.fields(targetOf("fcgi://h")))

    def test_always(self) -> None:
        """One with TLS has it also when nothing is said of it, and then all is verified."""
        for url in ("fcgis://h", "srv+fcgis://_php._tcp.h"):
            self.assertEqual({"tls": TLSSettings()}, Reaching().fields(targetOf(url)))

    def test_order(self) -> None:
        """Sections go over what stands outside, later ones over earlier ones, member by member."""
        reaching = Reaching(
            None,
            {"ciphers": "A", "checkName": False},
            [
                Secured(b"balancer://app", None, {"ciphers": "B", "verify": VerifyPeer.NONE}),
                Secured(b"fcgis://h", None, {"ciphers": "C"}),
            ],
        )
        for url, balancer, wanted in (
            ("fcgis://x", None, TLSSettings(ciphers="A", checkName=False)),
            ("fcgis://h", None, TLSSettings(ciphers="C", checkName=False)),
            (
                "fcgis://h",
                "balancer://app",
                TLSSettings(ciphers="C", checkName=False, verify=VerifyPeer.NONE),
            ),
        ):
            self.assertEqual({"tls": wanted}, reaching.fields(targetOf(url), balancer))

    def test_resolver(self) -> None:
        """Members with a name have the resolver; a socket has no use for one."""
        reaching = Reaching(("127.0.0.1:53",))
        self.assertEqual({"resolver": ("127.0.0.1:53",)}, reaching.fields(targetOf("fcgi://h")))
        self.assertEqual({}, reaching.fields(targetOf("unix:/s|fcgi://h")))


class NeedsTests(SynchronousTestCase):
    """Where pyOpenSSL is not installed."""

    TEXTS = (
        'ProxyPass "/" "fcgis://h/"',
        'ProxyPass "/" "srv+fcgis://_php._tcp.h/"',
        '<Proxy "balancer://b">\nBalancerMember "fcgis://h"\n</Proxy>',
        '<Proxy "fcgis://h">\nProxySet max=1\n</Proxy>',
        '<Location "/">\nSetHandler "proxy:fcgis://h"\n</Location>',
    )

    def test_missing(self) -> None:
        """Each way to name a member with TLS is a mistake that says what to install."""
        self.patch(scope, "find_spec", lambda name: None)
        for text in self.TEXTS:
            error = self.assertRaises(ConfigurationErrors, loads, text)
            self.assertIn("twisted_fcgi[tls]", str(error), text)

    def test_notNeeded(self) -> None:
        """Plain members need nothing."""
        self.patch(scope, "find_spec", lambda name: None)
        for text in self.TEXTS:
            loads(text.replace("fcgis:", "fcgi:"))
