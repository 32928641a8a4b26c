"""Tests for :mod:`twisted_fcgi.config.hazards`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import hazards, loads


class HazardsTests(SynchronousTestCase):
    """Tests for :func:`hazards`."""

    def places(self, text: str) -> list[str]:
        """What each notice begins with."""
        return [notice.partition(" is ")[0] for notice in hazards(loads(text, "site.conf"))]

    def test_remote(self) -> None:
        """Members on other machines are named once, where others than this machine can ask."""
        text = (
            "{}\nProxyPass /a/ fcgi://192.0.2.1:9000/\nProxyPass /c/ fcgi://192.0.2.1:9000/\n"
            "<Proxy balancer://two>\nBalancerMember fcgi://[2001:db8::1]:9000\n</Proxy>\n"
            'ProxyPass /b/ balancer://two/\n<FilesMatch "\\.php$">\n'
            'SetHandler "proxy:fcgi://php:9000"\n</FilesMatch>\n'
        )
        expected = ["plain FastCGI", "192.0.2.1:9000, 2001:db8::1:9000, php:9000"]
        for listen in ("Listen 80", "Listen 192.0.2.9:80", 'Listen "ssl:443"', "Listen [::]:80"):
            [notice] = hazards(loads(text.format(listen)))
            self.assertEqual(expected, notice.partition(" for anybody")[0].split(" is spoken to "))
        for listen in ("", "Listen 127.0.0.1:80", "Listen [::1]:80", 'Listen "unix:/run/x"'):
            self.assertEqual((), hazards(loads(text.format(listen))), listen)

    def test_many(self) -> None:
        """Of many members some are named."""
        lines = [f"ProxyPass /{i}/ fcgi://192.0.2.{i}/" for i in range(1, 10)]
        [notice] = hazards(loads("\n".join(["Listen 80", *lines])))
        self.assertIn(" 192.0.2.5:8000 and 4 more for anybody", notice)

    def test_local(self) -> None:
        """What is on this machine is no hazard."""
        for url in ("fcgi://127.9.9.9:9000/", "fcgi://[::1]/", "unix:/run/x|fcgi://h/"):
            self.assertEqual((), hazards(loads(f"Listen 80\nProxyPass / {url}")))

    def test_restricted(self) -> None:
        """Require says who may ask, unless it is for all or none."""
        text = "Listen 80\nProxyPass / fcgi://h:9000/\n<Location />\nRequire {}\n</Location>"
        self.assertEqual((), hazards(loads(text.format("ip 192.0.2.0/24"))))
        for word in ("all granted", "all denied"):
            self.assertEqual(1, len(hazards(loads(text.format(word)))))

    def test_anyFile(self) -> None:
        """A mapping of every path to files is one, in the line where it stands."""
        for line in [
            'ProxyPassMatch "^/(.*)$" "fcgi://127.0.0.1:9000/var/www/$1"',
            'ProxyPassMatch "^/(a/.*)$" "unix:/run/x|fcgi://localhost/var/www/$1"',
            'ProxyPassMatch "^/" "fcgi://127.0.0.1:9000/var/www"',
            'ProxyPass "/app/" "fcgi://127.0.0.1:9000/var/www/app/"',
        ]:
            expected = "site.conf:2: fcgi://"
            [found] = self.places("ProxyTimeout 5\n" + line)
            self.assertTrue(found.startswith(expected), found)

    def test_scripts(self) -> None:
        """One that is for scripts, for one script, or for what has no files, is none."""
        for line in [
            'ProxyPassMatch "^/(.*\\.php(/.*)?)$" "fcgi://127.0.0.1:9000/var/www/$1"',
            'ProxyPassMatch "^/(.*\\.php)$" "unix:/run/x|fcgi://localhost/var/www/"',
            'ProxyPassMatch "^/(.*)$" "fcgi://127.0.0.1:9000/var/www/index.php/$1"',
            'ProxyPassMatch "^/app/.*$" "fcgi://127.0.0.1:9000/var/www/index.php?x=$1"',
            'ProxyPass "/" "fcgi://127.0.0.1:9000/"',
            'ProxyPass "/app/" "fcgi://127.0.0.1:9000/app/"',
            'ProxyPass "/uploads/" "!"',
            'ProxyFCGIBackendType GENERIC\nProxyPass "/" "fcgi://127.0.0.1:9000/srv/app/"',
        ]:
            self.assertEqual([], self.places(line), line)

    def test_handler(self) -> None:
        """A handler for all files is one, outside of sections and in those that are for all."""
        line = 'SetHandler "proxy:fcgi://127.0.0.1:9000"\n'
        for start, end in [
            ("", ""),
            ("<Directory /srv/www>\n", "</Directory>"),
            ("<Location />\n", "</Location>"),
            ('<LocationMatch "^/.*/photo">\n', "</LocationMatch>"),
            ('<FilesMatch ".">\n', "</FilesMatch>"),
            ("<VirtualHost *>\n<Location /a/>\n", "</Location>\n</VirtualHost>"),
        ]:
            self.assertEqual(1, len(self.places(start + line + end)), start)

    def test_handlerForSome(self) -> None:
        """One for scripts, or for a page of the application's own, is none."""
        for section in [
            'FilesMatch "\\.php$"',
            "Files index.php",
            'LocationMatch "^/(ping|status)$"',
            "Location /status",
            'LocationMatch "\\.php$"',
        ]:
            text = f'<{section}>\nSetHandler "proxy:fcgi://127.0.0.1:9000"\n</{section.split()[0]}>'
            self.assertEqual([], self.places(text), section)

    def test_inherited(self) -> None:
        """What virtual hosts take over is said once."""
        host = "<VirtualHost *>\nServerName a\n</VirtualHost>"
        text = f"ProxyPass / fcgi://127.0.0.1/srv/www/\n{host}"
        self.assertEqual(1, len(self.places(text)))

    def test_checks(self) -> None:
        """A health check that can't be, or can't be passed, is one."""
        text = (
            "<Proxy balancer://b>\nBalancerMember fcgi://h:1/srv hcmethod={}\n</Proxy>\n"
            "<Proxy fcgi://h:2>\nProxySet hcmethod=TCP\n</Proxy>"
        )
        alone = "site.conf:4: fcgi://h:2"
        script = "site.conf:2: the check of fcgi://h:1/srv asks for no script, and php-fpm has none"
        self.assertEqual([alone], self.places(text.format("TCP")))
        self.assertEqual([alone], self.places(text.format("GET hcuri=/ping")))
        found = self.places(text.format("GET"))
        self.assertEqual([alone, script], [notice[: len(script)] for notice in found])

    def test_heartbeats(self) -> None:
        """Heartbeats that nobody listens for, and members of whom nobody can hear, are told."""
        text = (
            "<Proxy balancer://b>\nProxySet lbmethod=heartbeat\n"
            "BalancerMember fcgi://192.0.2.1\nBalancerMember fcgi://php\n"
            "BalancerMember unix:/run/x|fcgi://192.0.2.3\n</Proxy>\n"
        )
        self.assertEqual(["site.conf:1: balancer://b"], self.places(text))
        self.assertEqual(
            ["site.conf:4: fcgi://php", "site.conf:5: fcgi://192.0.2.3"],
            self.places(text + "HeartbeatListen 239.0.0.1:27999\n"),
        )
