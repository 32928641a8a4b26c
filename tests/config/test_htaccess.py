"""Tests for :mod:`twisted_fcgi.config.htaccess` and :mod:`twisted_fcgi.config.overriding`."""

from __future__ import annotations

from unittest import mock

import pcre2
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi import pcre
from twisted_fcgi.config import htaccess, loads
from twisted_fcgi.errors import ConfigurationErrors
from twisted_fcgi.pcre import effort
from twisted_fcgi.settings import AllowOverride, Override, Section, SectionKind

__all__ = ["AccessFileReaderTests", "ApplicationTests", "OverridingTests"]

ALL = AllowOverride(Override.ANY)

#: Asks for ``.htaccess`` files somewhere.
ASKS = '<Directory "/">\n    AllowOverride All\n</Directory>\n'

SITE = (
    ASKS + "ProxyPass /app/ fcgi://127.0.0.1:9000/ enablereuse=on\n"
    '<Files "*.php">\n    SetHandler "proxy:unix:/run/php.sock|fcgi://localhost"\n</Files>\n'
    "<Proxy balancer://pool>\n    BalancerMember fcgi://127.0.0.1:9001\n</Proxy>\n"
)


class Reading(SynchronousTestCase):
    """Reads ``.htaccess`` files of a configuration."""

    def setUp(self) -> None:
        self.configured(SITE)

    def configured(self, text: str) -> None:
        """Read a configuration."""
        self.host = loads(text, serverRoot="/", environment={"HOME": "/home"}).main
        assert self.host.readAccessFile is not None
        self.reader = self.host.readAccessFile

    def read(self, text: str, allow: AllowOverride = ALL, *directives: str) -> Section:
        """What a file becomes; its notices are in ``notices``."""
        section, self.notices = self.reader(
            self.host, text, "/srv/.htaccess", b"/srv", allow, frozenset(directives)
        )
        assert isinstance(section, Section)
        return section

    def variables(self, section: Section) -> dict[bytes, bytes | None]:
        """Those that a section sets."""
        return {change.name: change.value for change in section.settings.environment or ()}

    def mistakes(self, text: str, allow: AllowOverride = ALL, *directives: str) -> list[str]:
        """The first line of each mistake."""
        errors = self.assertRaises(ConfigurationErrors, self.read, text, allow, *directives)
        return [str(error).partition("\n")[0] for error in errors.errors]


class AccessFileReaderTests(Reading):
    """Tests for :class:`AccessFileReader`: a file's text to a section."""

    def test_section(self) -> None:
        """A file is a section for its directory, with the sections for files in it."""
        section = self.read('SetEnv A 1\n<Files "x">\nSetEnv B 2\n</Files>\n')
        self.assertEqual(
            (SectionKind.DIRECTORY, b"/srv", "/srv/.htaccess"),
            (section.kind, section.path, section.place),
        )
        self.assertEqual({b"A": b"1"}, self.variables(section))
        (inner,) = section.sections
        self.assertEqual((SectionKind.FILES, b"x"), (inner.kind, inner.path))
        self.assertEqual({b"B": b"2"}, self.variables(inner))

    def test_nobodyAsks(self) -> None:
        """Without an AllowOverride that asks for files there is nothing that reads them."""
        for text in ("", '<Directory "/">\nAllowOverride None\n</Directory>\n'):
            self.assertIsNone(loads(text).main.readAccessFile)

    def test_configured(self) -> None:
        """What the configuration defined is there, in virtual hosts as well."""
        self.configured(
            "Define WHO me\n" + ASKS + "<VirtualHost *:1>\n    ServerName v\n</VirtualHost>\n"
        )
        text = "<IfDefine WHO>\nSetEnv WHO ${WHO}\nSetEnv HOME ${HOME}\n</IfDefine>\n"
        self.assertEqual({b"WHO": b"me", b"HOME": b"/home"}, self.variables(self.read(text)))
        settings = loads(ASKS + "<VirtualHost *:1>\n    ServerName v\n</VirtualHost>\n")
        self.assertIsNotNone(settings.hosts[0].readAccessFile)

    def test_mistakes(self) -> None:
        """All mistakes are found, with their places."""
        self.assertEqual(
            [
                "/srv/.htaccess:1:1: Bogus is no directive",
                "/srv/.htaccess:2:7: SetEnv takes 1-2 arguments",
                "/srv/.htaccess:3:1: <Files> is not closed",
            ],
            self.mistakes("Bogus\nSetEnv\n<Files x>\n"),
        )

    def test_tooLong(self) -> None:
        """A file with too many lines is refused before it is read."""
        self.patch(htaccess, "MAX_LINES", 3)
        self.read("\n" * 3)
        self.assertEqual(
            ["/srv/.htaccess:4:1: there are more than 3 lines"], self.mistakes("\n" * 4)
        )

    def test_expressions(self) -> None:
        """What those of a file may cost together is bounded, wherever in it they stand."""
        self.addCleanup(effort.begin)
        with mock.patch.object(pcre, "MAX_SECONDS", -1):
            effort.begin()
        section = self.read(
            "RedirectMatch ^/a /b\nRewriteEngine On\nRewriteCond a a\nRewriteRule ^a -\n"
            'Header edit A a b\n<FilesMatch "a">\n</FilesMatch>\nSetEnvIf X a B\n'
        )
        settings = section.settings
        assert settings.rewriting is not None
        (rule,) = settings.rewriting.rules
        for pattern in (
            (settings.redirects or ())[0].pattern,
            rule.pattern,
            rule.conditions[0].pattern,
            (settings.responseFields or ())[0].pattern,
            section.sections[0].pattern,
            (settings.conditions or ())[0].pattern,
        ):
            assert pattern is not None
            self.assertRaises(pcre2.LibraryError, pattern.search, b"a")

    def test_tooDeep(self) -> None:
        """Sections without end in each other are a mistake like others."""
        for opened in ("<IfModule mod_env.c>\n", "<Files x>\n"):
            text = opened * 2000 + ("</" + opened[1:].split()[0] + ">\n") * 2000
            self.assertEqual(
                ["/srv/.htaccess:1:1: sections or an expression are nested too deep"],
                self.mistakes(text),
            )


class OverridingTests(Reading):
    """Tests for :class:`Overriding`: which directives may stand in a file."""

    def test_kinds(self) -> None:
        """A directive needs the kind of its row, also inside of sections."""
        indexes = AllowOverride(Override.INDEXES)
        self.read("DirectoryIndex x\n<Files x>\nDirectoryIndex y\n</Files>\n", indexes)
        self.assertEqual(
            [
                "/srv/.htaccess:1:1: SetEnv is not allowed here",
                "/srv/.htaccess:3:1: SetEnv is not allowed here",
                "/srv/.htaccess:6:1: SetEnv is not allowed here",
            ],
            self.mistakes(
                "SetEnv A 1\n<Files x>\nSetEnv A 1\n</Files>\n"
                "<IfModule mod_env.c>\nSetEnv A 1\n</IfModule>\n",
                indexes,
            ),
        )

    def test_any(self) -> None:
        """What any kind allows is not allowed by none."""
        for kind in (Override.AUTH_CONFIG, Override.LIMIT):
            self.read("LimitRequestBody 10\nServerSignature Off\n", AllowOverride(kind))
        nothing = AllowOverride(skipsUnknown=True)
        self.assertEqual(
            ["/srv/.htaccess:1:1: LimitRequestBody is not allowed here"],
            self.mistakes("LimitRequestBody 10\n", nothing),
        )

    def test_never(self) -> None:
        """What acts on the server or on other files can't stand there, whatever is allowed."""
        for text in (
            "ProxyPass / fcgi://127.0.0.1:9000/",
            "Include /etc/hosts",
            "IncludeOptional /etc/hosts",
            "Define A",
            "UnDefine A",
            "LoadModule a b",
            "ServerRoot /",
            "DocumentRoot /",
            "Listen 80",
            "AllowOverride All",
            "AllowOverrideList SetEnv",
            "AccessFileName x",
            "AllowOverrideProxy Any",
            "ErrorLog x",
            "UseCanonicalName On",
            "<Directory />\n</Directory>",
            "<Location />\n</Location>",
            "<Proxy *>\n</Proxy>",
            "<VirtualHost *>\n</VirtualHost>",
        ):
            name = text.partition(" ")[0] + (">" if text.startswith("<") else "")
            self.assertEqual(
                [f"/srv/.htaccess:1:1: {name} is not allowed here"], self.mistakes(text), text
            )

    def test_files(self) -> None:
        """No expression of one reads a file, whatever it stands in (CVE-2026-44119)."""
        for line in (
            'Header set A "expr=%{file:/etc/passwd}"',
            "RequestHeader set A x \"expr=filesize('/etc/passwd') -gt 0\"",
            'ErrorDocument 404 "%{FILE:/etc/passwd}"',
            "Require expr file('/etc/passwd') =~ /root/",
            "SetEnvIfExpr \"tolower(file('/etc/passwd')) =~ /(.*)/\" A=$1",
            "<If \"file('/etc/passwd') =~ /root/\">\n</If>",
            "RewriteCond expr \"filesize('/etc/passwd') -gt 0\"\nRewriteRule ^ -",
        ):
            with self.subTest(line):
                mistakes = self.mistakes(line)
                self.assertRegex("".join(mistakes), r"file(size)?\(\) is not for whom")

    def test_list(self) -> None:
        """AllowOverrideList adds directives, but not what is around them."""
        none = AllowOverride()
        section = self.read("SetEnv A 1\n", none, "setenv")
        self.assertEqual({b"A": b"1"}, self.variables(section))
        self.read("<Files x>\nSetEnv A 1\n</Files>\n", none, "setenv", "<files")
        self.assertEqual(
            ["/srv/.htaccess:1:1: <Files> is not allowed here"],
            self.mistakes("<Files x>\nSetEnv A 1\n</Files>\n", none, "setenv"),
        )

    def test_options(self) -> None:
        """``Options=`` names those of Options; without it they are all but two."""
        for written, right, wrong in [
            ("Options", ("All", "Indexes", "+Includes -ExecCGI", "None"), ("MultiViews",)),
            ("Options=Indexes,IncludesNOEXEC", ("Indexes", "IncludesNOEXEC"), ("All", "Includes")),
            ("Options=None", ("None",), ("+Indexes",)),
            ("All", ("All", "MultiViews", "SymLinksIfOwnerMatch"), ()),
        ]:
            settings = loads(f'<Directory "/">\nAllowOverride {written}\n</Directory>\n').main
            allow = settings.sections[0].settings.allowOverride
            assert allow is not None
            for names in right:
                self.read(f"Options {names}\n", allow)
            for names in wrong:
                (mistake,) = self.mistakes(f"Options {names}\n", allow)
                self.assertIn("is not allowed here", mistake)

    def test_nonfatalOverride(self) -> None:
        """With Nonfatal=Override what is not allowed is passed over, sections as a whole."""
        allow = AllowOverride(Override.FILE_INFO, skipsForbidden=True)
        section = self.read(
            "DirectoryIndex x\nSetEnv A 1\nInclude /etc/hosts\n<Location />\nSetEnv B 1\n"
            "</Location>\n",
            allow,
        )
        self.assertEqual({b"A": b"1"}, self.variables(section))
        self.assertIsNone(section.settings.directoryIndex)
        self.assertEqual(
            [
                "/srv/.htaccess:1:1: DirectoryIndex is not allowed here",
                "/srv/.htaccess:3:1: Include is not allowed here",
                "/srv/.htaccess:4:1: <Location> is not allowed here",
            ],
            sorted(self.notices),
        )
        only = AllowOverride(skipsForbidden=True)
        section = self.read("<IfModule mod_env.c>\nSetEnv A 1\n</IfModule>\n", only)
        self.assertEqual({}, self.variables(section))
        self.assertEqual(["/srv/.htaccess:1:1: Bogus is no directive"], self.mistakes("Bogus"))

    def test_nonfatalUnknown(self) -> None:
        """With Nonfatal=Unknown what does not exist is passed over, sections as a whole."""
        allow = AllowOverride(Override.FILE_INFO, skipsUnknown=True)
        section = self.read("Bogus\n<Bogus>\nSetEnv A 1\n</Bogus>\nSetEnv B 1\n", allow)
        self.assertEqual({b"B": b"1"}, self.variables(section))
        self.assertEqual(2, len(self.notices))
        self.assertEqual(
            ["/srv/.htaccess:1:1: DirectoryIndex is not allowed here"],
            self.mistakes("DirectoryIndex x\n", allow),
        )


class ApplicationTests(Reading):
    """Which applications a file may name."""

    def test_known(self) -> None:
        """Those that the configuration names, in whatever way, with its settings."""
        section = self.read('SetHandler "proxy:fcgi://127.0.0.1:9000/"\n')
        self.assertIs(self.host.members[0], section.settings.member)
        section = self.read('SetHandler "proxy:unix:/run/php.sock|fcgi://localhost/"\n')
        assert section.settings.member is not None
        self.assertEqual("/run/php.sock", section.settings.member.socket)
        section = self.read("SetHandler proxy:balancer://pool\n")
        self.assertIs(self.host.balancers[0], section.settings.balancer)
        self.read("SetHandler proxy:fcgi://127.0.0.1:9001\n")
        for line in (
            "AddHandler proxy:fcgi://127.0.0.1:9005 .x",
            'RewriteRule "^/x" "fcgi://127.0.0.1:9005/x" [P]',
            '<If "true">\nSetHandler proxy:fcgi://127.0.0.1:9005\n</If>',
        ):
            self.configured(f"{ASKS}{line}\n")
            self.read("SetHandler proxy:fcgi://127.0.0.1:9005\n")

    def test_unknown(self) -> None:
        """Any other address, socket or balancer is a mistake."""
        for url in (
            "fcgi://127.0.0.1:22",
            "fcgi://localhost:9000",
            "fcgis://127.0.0.1:9000",
            "unix:/run/other.sock|fcgi://127.0.0.1:9000",
            "unix:/run/php.sock.|fcgi://localhost",
            "balancer://other",
            "http://127.0.0.1/",
        ):
            (mistake,) = self.mistakes(f"<Files x>\nSetHandler proxy:{url}\n</Files>\n")
            self.assertIn(f"names no application {url!r}", mistake)

    def test_notInPlainText(self) -> None:
        """An application that is spoken to over TLS is not spoken to in any other way."""
        self.configured(f"{ASKS}SetHandler proxy:fcgis://app.example:9001\n")
        self.read("SetHandler proxy:fcgis://app.example:9001\n")
        (mistake,) = self.mistakes("SetHandler proxy:fcgi://app.example:9001\n")
        self.assertIn("names no application", mistake)

    def test_everyWay(self) -> None:
        """In whatever way a file names it."""
        for line in (
            "AddHandler proxy:{} .x",
            "RewriteRule ^ {}/x [P]",
            "RewriteRule ^ {}/x%{{REQUEST_URI}} [P]",
            "RewriteRule ^ - [H=proxy:{}]",
            '<If "true">\nSetHandler proxy:{}\n</If>',
        ):
            self.read(line.format("fcgi://127.0.0.1:9000") + "\n")
            self.read(line.format("balancer://pool") + "\n")
            for url in ("fcgi://127.0.0.1:22", "unix:/run/x|fcgi://127.0.0.1:9000", "balancer://b"):
                (mistake,) = self.mistakes(line.format(url) + "\n")
                self.assertIn("names no application", mistake)

    def test_any(self) -> None:
        """AllowOverrideProxy Any lets it name all."""
        self.configured(SITE + "AllowOverrideProxy Any\n")
        section = self.read("SetHandler proxy:fcgi://127.0.0.1:22\n")
        assert section.settings.member is not None
        self.assertEqual(22, section.settings.member.port)

    def test_otherHost(self) -> None:
        """What only another virtual host names is unknown."""
        settings = loads(
            ASKS + "<VirtualHost *:1>\nProxyPass / fcgi://127.0.0.1:9000/\n</VirtualHost>\n"
            "<VirtualHost *:2>\n</VirtualHost>\n"
        )
        for host, fits in zip(settings.hosts, (True, False)):
            assert host.readAccessFile is not None
            self.host, self.reader = host, host.readAccessFile
            if fits:
                self.read("SetHandler proxy:fcgi://127.0.0.1:9000\n")
            else:
                self.mistakes("SetHandler proxy:fcgi://127.0.0.1:9000\n")

    def test_same(self) -> None:
        """An application that is named again is the same object: connections are kept by it."""
        text = 'SetHandler "proxy:unix:/run/php.sock|fcgi://localhost/"\n'
        first, second = (self.read(text).settings.member for _ in range(2))
        self.assertIs(first, second)

    def test_tooMany(self) -> None:
        """The number of URLs that files may give to applications, in all, is bounded."""
        self.patch(htaccess, "MAX_APPLICATIONS", 2)
        self.configured(SITE)
        one = "SetHandler proxy:unix:/run/php.sock|fcgi://a\n"
        self.read(one)
        self.read(one.replace("//a", "//b"))
        (mistake,) = self.mistakes(one.replace("//a", "//c"))
        self.assertIn("more than 2 applications' URLs", mistake)
        self.read(one)
