"""Tests for :mod:`twisted_fcgi.config.failing`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import hazards, loads, unheard


class FailingTests(SynchronousTestCase):
    """Tests for :func:`failing`, as :func:`hazards` says it, and :func:`unheard`."""

    def notices(self, text: str) -> list[str]:
        """What is said of a configuration."""
        return list(hazards(loads(text, "site.conf")))

    def test_noHandler(self) -> None:
        """A handler that nobody has is told with its line and what such requests get."""
        for line, why in [
            ("SetHandler php7-fcgi", "nobody has this name, and no Action names it"),
            ("AddHandler php7-fcgi .php .php7", "nobody has this name, and no Action names it"),
            ("SetHandler server-status", "no such page"),
            ("SetHandler Balancer-Manager", "no such page"),
            ("AddHandler cgi-script .cgi", "no CGI program is started"),
            ("AddHandler type-map var", "there is no content negotiation"),
        ]:
            name = line.split()[1]
            name = name if line.startswith("Set") else name.lower()
            expected = f'site.conf:2: there is no handler "{name}", such requests get a 500: {why}'
            text = f"<Location /x>\n{line}\n</Location>"
            self.assertEqual([expected], self.notices(text))
            self.assertEqual([expected], self.notices(f"<If true>\n{line}\n</If>"))
            nested = f"<If true>\n<If true>\n{line}\n</If>\n</If>"
            self.assertEqual(1, len(self.notices(nested)))

    def test_proxyMissing(self) -> None:
        """Of an application's URL without ``proxy:`` it is said what is missing."""
        for url in ("unix:/run/x.sock|fcgi://localhost", "fcgi://h:9000", "balancer://b"):
            [notice] = self.notices(f'<Files x.php>\nSetHandler "{url}"\n</Files>')
            self.assertEqual("site.conf:2", notice.partition(": ")[0])
            self.assertTrue(notice.endswith(f'"proxy:" is missing: "proxy:{url}"'), notice)

    def test_handlers(self) -> None:
        """None, what an Action names, wherever it stands, and files as they are, can be meant."""
        for line in [
            "SetHandler none",
            "SetHandler default-handler",
            "AddHandler default-handler .txt",
            "SetHandler My-Type\nAction my-type /run.php",
            "AddHandler x .y\n<VirtualHost *>\n<Location /a>\nAction X /run.php\n"
            "</Location>\n</VirtualHost>",
        ]:
            self.assertEqual([], self.notices(line), line)

    def test_emptyBalancer(self) -> None:
        """A balancer without members, described or not, is told where it is asked."""
        for text in [
            "\nProxyPass /b/ balancer://nope/",
            "<Location /b/>\nProxyPass balancer://nope/\n</Location>",
            '<Files x.php>\nSetHandler "proxy:balancer://nope/"\n</Files>',
            "<Files x.php>\nAddHandler proxy:balancer://nope/ .php\n</Files>",
            "<Proxy balancer://nope>\n</Proxy>\nProxyPass /b/ balancer://nope/",
        ]:
            [notice] = self.notices(text)
            line = 3 if text.startswith("<Proxy ") else 2
            expected = f"site.conf:{line}: balancer://nope has no members, such requests get a 503"
            self.assertTrue(notice.startswith(expected), notice)

    def test_rules(self) -> None:
        """Of a RewriteRule the balancer and the handler are looked at as well."""
        for rule, what in [
            ("RewriteRule ^/b balancer://nope/ [P]", "balancer://nope has no members"),
            ("RewriteRule ^/b - [H=php7-fcgi]", 'there is no handler "php7-fcgi"'),
        ]:
            for text in (f"\n{rule}", f"<Directory /srv>\n{rule}\n</Directory>"):
                [notice] = self.notices(text)
                self.assertTrue(notice.startswith(f"site.conf:2: {what}"), notice)
        for rule in ("^/b - [H=$1]", "^/b - [H=x]\nAction x /run.php", "^/b /c"):
            self.assertEqual([], self.notices(f"RewriteRule {rule}"), rule)

    def test_balancer(self) -> None:
        """One that gets its members later, or from DNS, is none such."""
        for text in [
            "ProxyPass /b/ balancer://b/\n<Proxy balancer://b>\n"
            "BalancerMember fcgi://127.0.0.1\n</Proxy>",
            "ProxyPass /b/ srv+fcgi://_php._tcp.example.org/",
        ]:
            self.assertEqual([], self.notices(text), text)

    def test_portOfRequest(self) -> None:
        """A port that goes on with what can't be a path is told."""
        for pattern, url in [
            ("^/([0-9]+)/", "fcgi://127.0.0.1:9$1/"),
            ("^/p([0-9]+)/", "fcgi://127.0.0.1:9$1"),
            ("^/(.*[.]php)$", "fcgi://[::1]:9000$1"),
            ("^/(a)/(b.*)$", "fcgi://127.0.0.1:$2"),
        ]:
            [notice] = self.notices(f'\nProxyPassMatch "{pattern}" "{url}"')
            expected = f"site.conf:2: the port of {url} must not come from the request"
            self.assertTrue(notice.startswith(expected), notice)

    def test_pathOfRequest(self) -> None:
        """One behind which a path begins is not."""
        for pattern, url in [
            ("^(/.*[.]php)$", "fcgi://127.0.0.1:9000$1"),
            ("^(.*[.]php)$", "fcgi://127.0.0.1:9000$1"),
            ("^/a(/.*[.]php)$", "fcgi://127.0.0.1:9000$1"),
            ("^/a((/.*)?[.]php)$", "fcgi://127.0.0.1:9000$1"),
            ("^/(a.*[.]php)$", "fcgi://127.0.0.1:9000/$1"),
            ("^/.*[.]php$", "fcgi://127.0.0.1:9000$0"),
        ]:
            self.assertEqual([], self.notices(f'ProxyPassMatch "{pattern}" "{url}"'), pattern)

    def test_virtualHostUnheard(self) -> None:
        """An address of a virtual host at which nobody listens is told."""
        text = "{}\n<VirtualHost {}>\nServerName a\n</VirtualHost>"
        for listen, address in [
            ("Listen 80", "*:81"),
            ("Listen 80\nListen 127.0.0.1:8080", "*:81"),
            ("Listen 127.0.0.1:80", "192.0.2.1:80"),
            ('Listen "ssl:443:privateKey=k:certKey=c"', "192.0.2.1:80"),
            ("Listen [::1]:80", "[2001:db8::1]:80"),
        ]:
            port = address.rpartition(":")[2]
            line = listen.count("\n") + 2
            expected = f"site.conf:{line}: nobody listens at {address}: "
            expected += f"there is no Listen {port} for it"
            self.assertEqual([expected], self.notices(text.format(listen, address)))

    def test_virtualHostHeard(self) -> None:
        """One at which somebody does, or may, is not."""
        text = "{}\n<VirtualHost {}>\nServerName a\n</VirtualHost>"
        for listen, address in [
            ("Listen 80", "*:80"),
            ("Listen 80", "*"),
            ("Listen 80", "192.0.2.1:80"),
            ("Listen 192.0.2.1:80", "*:80"),
            ("Listen [::]:80", "192.0.2.1:80"),
            ('Listen "unix:/run/x"', "*:80"),
            ('Listen "systemd:domain=INET:index=0"', "*:80"),
            ('Listen "ssl:port=443:privateKey=k:certKey=c"', "*:443"),
            ("", "*:80"),
        ]:
            self.assertEqual([], self.notices(text.format(listen, address)), listen)

    def test_inherited(self) -> None:
        """What virtual hosts take over is said once."""
        text = "SetHandler php7-fcgi\nListen 80\n" + "<VirtualHost *>\n</VirtualHost>\n" * 2
        self.assertEqual(1, len(self.notices(text)))

    def test_nowhere(self) -> None:
        """That there is nothing to listen at is told, by itself."""
        self.assertEqual((), unheard(loads("Listen 80")))
        [notice] = unheard(loads(""))
        self.assertTrue(notice.startswith("nowhere to listen"), notice)
