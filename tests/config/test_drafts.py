"""Tests for :mod:`twisted_fcgi.config.drafts`: what virtual hosts take over."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import loads

__all__ = ["VirtualHostTests"]

MAIN = """
ServerAdmin main@example.org
ProxyPass /a/ fcgi://h:9000/
ProxyPass /b/ fcgi://h:9001/
<Files x>
    SetHandler proxy:fcgi://h:9000
</Files>
SetEnvIf Host x A
LimitRequestLine 1000
<Proxy balancer://c>
    BalancerMember fcgi://h:9002
</Proxy>
"""


class VirtualHostTests(SynchronousTestCase):
    """What a virtual host has from the main server."""

    def test_same(self) -> None:
        """What nothing changes is the same object in all hosts, however many there are."""
        settings = loads(MAIN + "<VirtualHost *>\nServerName x\n</VirtualHost>\n" * 2)
        main = settings.main
        for host in settings.hosts:
            for one, other in zip(main.mappings + main.sections, host.mappings + host.sections):
                self.assertIs(one, other)
            self.assertIs(main.balancers[0], host.balancers[0])
            self.assertEqual(main.conditions, host.conditions)
            self.assertEqual(main.limits, host.limits)

    def test_order(self) -> None:
        """The main server's mappings, sections, conditions and members come first."""
        own = "ProxyPass /c/ fcgi://h:9003/\n<Files y>\n</Files>\nSetEnvIf Host y B\n"
        [host] = loads(f"{MAIN}<VirtualHost *>\n{own}</VirtualHost>").hosts
        self.assertEqual([b"/a/", b"/b/", b"/c/"], [mapping.path for mapping in host.mappings])
        self.assertEqual([b"x", b"balancer://c", b"y"], [section.path for section in host.sections])
        self.assertEqual(2, len(host.conditions))
        self.assertEqual(3, len(host.members))

    def test_ownMember(self) -> None:
        """A member of its own serves what the main server's mappings send there."""
        own = "<Proxy fcgi://h:9001/sub/ timeout=5>\n</Proxy>\n"
        settings = loads(f"{MAIN}<VirtualHost *>\n{own}</VirtualHost>")
        [host] = settings.hosts
        self.assertEqual(["fcgi://h:9001/sub/"], [m.url for m in host.mappings[1].candidates])
        self.assertEqual((), settings.main.mappings[1].candidates)
        self.assertIs(settings.main.mappings[0], host.mappings[0])

    def test_balancers(self) -> None:
        """Of two balancers of one name the main server's counts, if it has members."""
        own = "<Proxy balancer://c>\nBalancerMember fcgi://h:1\n</Proxy>\nProxyPass /c balancer://c"
        [host] = loads(f"{MAIN}<VirtualHost *>\n{own}\n</VirtualHost>").hosts
        balancer = host.mappings[-1].balancer
        assert balancer is not None
        self.assertEqual(["fcgi://h:9002"], [member.url for member in balancer.members])
        text = f"ProxyPass /a balancer://c\n<VirtualHost *>\n{own}\n</VirtualHost>"
        balancer = loads(text).hosts[0].mappings[0].balancer
        assert balancer is not None
        self.assertEqual(["fcgi://h:1"], [member.url for member in balancer.members])

    def test_ownValues(self) -> None:
        """A host's own values go over the main server's, a limit at a time."""
        own = "ServerAdmin own@example.org\nLimitRequestFields 7\n"
        [host] = loads(f"{MAIN}<VirtualHost *>\n{own}</VirtualHost>").hosts
        self.assertEqual("own@example.org", host.admin)
        self.assertEqual((1000, 7), (host.limits.line, host.limits.fields))
