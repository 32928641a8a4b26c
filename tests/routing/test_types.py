"""
Tests for AddHandler, Action, Script, mod_dir and the core's options.

What is expected is what httpd 2.4 answered.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeFiles, makeRequest, read
from twisted_fcgi.cgi.params import variables
from twisted_fcgi.message import Request, Route, RouteKind
from twisted_fcgi.routing import Router

__all__ = [
    "ActionTests",
    "AddHandlerTests",
    "DirectoryTests",
    "LinkTests",
    "MethodTests",
    "SetHandlerTests",
]

FILES = (
    "index.html app.php m/a.html m/a.php m/b.foo m/x.php.txt m/x.txt.php m/x.PHP m/x.foo.php.bar "
    "m/php php/index.php php/app.php app/index.php static/file.txt"
).split()

PHP = '<FilesMatch "\\.php$">\nSetHandler "proxy:fcgi://h:9000"\n</FilesMatch>\n'


class Routing(SynchronousTestCase):
    """What is decided where there are files."""

    def setUp(self) -> None:
        self.root = makeFiles(self, dict.fromkeys(FILES, "x"))

    def route(self, text: str, request: Request | str) -> Route:
        """The route for a request; ``@`` in a configuration is the tree."""
        asked = makeRequest(request) if isinstance(request, str) else request
        text = text.replace("@", self.root)
        return Router(read(f"DocumentRoot {self.root}\n{text}")).route(asked)

    def outcome(self, text: str, request: Request | str) -> str:
        """``static``, a status, or who is asked for which script, below the tree."""
        route = self.route(text, request)
        if route.kind == RouteKind.FASTCGI:
            name = os.fsdecode(route.filename.partition(os.fsencode(self.root))[2])
            return f"{route.members[0].host}:{name} {os.fsdecode(route.pathInfo or b'')}".rstrip()
        if route.kind == RouteKind.STATIC:
            return "static"
        return f"{route.status} {os.fsdecode(route.location)}".rstrip()

    def told(self, text: str, request: Request | str) -> dict[str, str]:
        """The application's variables."""
        asked = makeRequest(request) if isinstance(request, str) else request
        route = self.route(text, asked)
        pairs = variables(route.request or asked, route, route.members[0])
        return {os.fsdecode(n): os.fsdecode(v).replace(self.root, "@") for n, v in pairs}


class AddHandlerTests(Routing):
    """AddHandler with an application's URL."""

    def test_extensions(self) -> None:
        """An extension counts wherever it stands in a name, in any case, also of a missing file."""
        text = 'AddHandler "proxy:fcgi://h:9000" .PHP\n'
        for target, outcome in (
            ("/m/a.php", "h:/m/a.php"),
            ("/m/a.php/i?q", "h:/m/a.php /i"),
            ("/m/x.php.txt", "h:/m/x.php.txt"),
            ("/m/x.txt.php", "h:/m/x.txt.php"),
            ("/m/x.PHP", "h:/m/x.PHP"),
            ("/m/x.foo.php.bar", "h:/m/x.foo.php.bar"),
            ("/m/php", "static"),
            ("/m/none.php", "h:/m/none.php"),
            ("/m/none.php/x", "h:/m/none.php /x"),
        ):
            self.assertEqual(self.outcome(text, target), outcome, target)

    def test_setHandler(self) -> None:
        """SetHandler comes before it, but not SetHandler None."""
        text = (
            'AddHandler "proxy:fcgi://h:9000" .php\n'
            '<Location /m>\nSetHandler "proxy:fcgi://i:9000"\n</Location>\n'
            "<Location /m/a.php>\nSetHandler None\n</Location>\n"
            "<Location /m/x.txt.php>\nSetHandler default-handler\n</Location>\n"
        )
        self.assertEqual(self.outcome(text, "/m/a.php"), "h:/m/a.php")
        self.assertEqual(self.outcome(text, "/m/b.foo"), "i:/m/b.foo")
        self.assertEqual(self.outcome(text, "/m/x.txt.php"), "static")

    def test_sections(self) -> None:
        """A section replaces and removes what outer ones say; what it removes wins over its own."""
        text = (
            'AddHandler "proxy:fcgi://h:9000" .php .foo\n'
            "<Directory @/m>\nRemoveHandler .php\nAddHandler default-handler .php\n</Directory>\n"
            '<Directory @/php>\nAddHandler "proxy:fcgi://i:9000" .php\n</Directory>\n'
        )
        self.assertEqual(self.outcome(text, "/m/a.php"), "static")
        self.assertEqual(self.outcome(text, "/m/b.foo"), "h:/m/b.foo")
        self.assertEqual(self.outcome(text, "/php/app.php"), "i:/php/app.php")

    def test_proxyPass(self) -> None:
        """What a ProxyPass claims has no other handler."""
        text = 'AddHandler "proxy:fcgi://h:9000" .php\nProxyPass /p/ "fcgi://i:1@/"\n'
        self.assertEqual(self.outcome(text, "/p/a.php"), "i:/a.php")

    def test_index(self) -> None:
        """DirectoryIndex finds a script that has one; FallbackResource is not for missing ones."""
        text = 'AddHandler "proxy:fcgi://h:9000" .php\nDirectoryIndex none.txt index.php\n'
        self.assertEqual(self.outcome(text, "/php/"), "h:/php/index.php")
        text += "FallbackResource /app/index.php\n"
        self.assertEqual(self.outcome(text, "/none.php"), "h:/none.php")
        self.assertEqual(self.outcome(text, "/none.txt"), "h:/app/index.php")

    def test_programsAreNotShown(self) -> None:
        """A file that somebody else was to run is never sent as it is."""
        for text in (
            "AddHandler php-script .php\n",
            "AddType application/x-httpd-php .php\n",
            "<Location /m>\nForceType application/x-httpd-php\n</Location>\n",
        ):
            self.assertEqual(self.outcome(text, "/m/a.php"), "500", text)


class SetHandlerTests(Routing):
    """SetHandler with variables."""

    config = (
        '<Proxy "fcgi://a.test:9000/">\nProxySet timeout=5\n</Proxy>\n'
        '<Proxy "unix:/run/b.sock|fcgi://b">\nProxySet timeout=5\n</Proxy>\n'
        "SetEnvIf X-Pool ^(.*)$ POOL=$1\n"
    )

    def pool(self, handler: str, name: bytes) -> str:
        """Who serves a script where a header field has its part in the handler."""
        text = f'{self.config}<Files "app.php">\nSetHandler "{handler}"\n</Files>\n'
        return self.outcome(text, makeRequest("/app.php", (b"X-Pool", name)))

    def test_defined(self) -> None:
        """An application that is defined is asked, no other: the client can't name one."""
        handler = "proxy:fcgi://%{reqenv:POOL}:9000"
        self.assertEqual(self.pool(handler, b"A.test"), "a.test:/app.php")
        self.assertEqual(self.pool(handler, b"evil.test"), "403")

    def test_socket(self) -> None:
        """Of a UNIX socket, the path has to be the defined one."""
        handler = "proxy:unix:/run/%{reqenv:POOL}.sock|fcgi://b"
        self.assertEqual(self.pool(handler, b"b"), "b:/app.php")
        self.assertEqual(self.pool(handler, b"../tmp/evil"), "403")

    def test_none(self) -> None:
        """It may make none, or the name of nobody."""
        self.assertEqual(self.pool("%{reqenv:POOL}", b"None"), "static")
        self.assertEqual(self.pool("%{reqenv:POOL}", b"nobody"), "500")


class ActionTests(Routing):
    """Action and Script."""

    config = (
        "Action x-app /virtual virtual\nAddHandler x-app .foo\n"
        '<Location "/virtual">\nSetHandler "proxy:fcgi://h:9000"\n</Location>\n'
    )

    def test_variables(self) -> None:
        """The script gets the URL as PATH_INFO, and the first request's variables renamed."""
        told = self.told("SetEnv A b\n" + self.config, "/m/b.foo/p%20q?q=1")
        expected = {
            "SCRIPT_NAME": "/virtual",
            "PATH_INFO": "/m/b.foo/p q",
            "PATH_TRANSLATED": "@/m/b.foo/p q",
            "QUERY_STRING": "q=1",
            "REQUEST_URI": "/m/b.foo/p%20q?q=1",
            "REDIRECT_HANDLER": "x-app",
            "REDIRECT_STATUS": "200",
            "REDIRECT_URL": "/m/b.foo/p q",
            "REDIRECT_QUERY_STRING": "q=1",
            "REDIRECT_A": "b",
            "A": "b",
        }
        self.assertEqual({name: told.get(name) for name in expected}, expected)
        self.assertNotIn("HANDLER", told)

    def test_virtual(self) -> None:
        """There need be no file when it is virtual; else a missing one is a 404."""
        self.assertEqual(self.outcome(self.config, "/m/none.foo"), "h:/virtual /m/none.foo")
        text = self.config.replace(" virtual\n", "\n", 1)
        self.assertEqual(self.outcome(text, "/m/none.foo"), "404")
        self.assertEqual(self.outcome(text, "/m/b.foo"), "h:/virtual /m/b.foo")

    def test_method(self) -> None:
        """The script gets the request's method."""
        request = makeRequest("/m/b.foo", method=b"PUT")
        self.assertEqual(self.told(self.config, request)["REQUEST_METHOD"], "PUT")

    def test_type(self) -> None:
        """Without a handler it goes by the type, without its parameters."""
        text = f"Action text/html /app/index.php\nAddCharset utf-8 .utf8\n{PHP}"
        self.assertEqual(self.outcome(text, "/m/a.html"), "h:/app/index.php /m/a.html")
        text = f"Action application/x-httpd-php /app/index.php\n{PHP}"
        text += "AddType application/x-httpd-php .foo\n"
        self.assertEqual(self.outcome(text, "/m/b.foo/i"), "h:/app/index.php /m/b.foo/i")

    def test_loop(self) -> None:
        """One that leads to itself ends with an error."""
        self.assertEqual(
            self.outcome("Action x /a.foo virtual\nAddHandler x .foo\n", "/m/b.foo"), "500"
        )

    def test_script(self) -> None:
        """Script serves a method, GET only with a query; Action comes before it."""
        text = (
            "Script PUT /app/index.php\nScript GET /php/app.php\nScript FOO /php/app.php\n"
            f"Action x /app.php\nAddHandler x .foo\n{PHP}"
        )
        for method, target, outcome in (
            (b"GET", "/m/a.html", "static"),
            (b"GET", "/m/a.html?x", "h:/php/app.php /m/a.html"),
            (b"HEAD", "/m/a.html?x", "h:/php/app.php /m/a.html"),
            (b"PUT", "/m/none", "h:/app/index.php /m/none"),
            (b"FOO", "/m/none", "h:/php/app.php /m/none"),
            (b"DELETE", "/m/none", "405"),
            (b"PUT", "/m/b.foo", "h:/app.php /m/b.foo"),
        ):
            self.assertEqual(self.outcome(text, makeRequest(target, method=method)), outcome)


class DirectoryTests(Routing):
    """mod_dir's options, and what is told of the request."""

    def test_slash(self) -> None:
        """Without DirectorySlash a directory is an application's, or not served at all."""
        text = '<Directory @/php>\nSetHandler "proxy:fcgi://h:9000"\n</Directory>\n'
        self.assertEqual(self.outcome(text, "/php"), "301 http://www.test/php/")
        self.assertEqual(self.outcome("DirectorySlash Off\n" + text, "/php"), "h:/php")
        self.assertEqual(self.outcome("DirectorySlash Off\n", "/php"), "404")

    def test_indexRedirect(self) -> None:
        """DirectoryIndexRedirect sends clients to the index, without their query."""
        for word, status in (("On", 302), ("permanent", 301), ("seeother", 303), ("307", 307)):
            text = f"DirectoryIndexRedirect {word}\nDirectoryIndex none index.php index.html\n"
            location = "http://www.test/php/index.php"
            self.assertEqual(self.outcome(text + PHP, "/php/?a=b"), f"{status} {location}")
        self.assertEqual(self.outcome(PHP, "/"), "static")

    def test_handlerBeforeIndex(self) -> None:
        """With DirectoryCheckHandler a directory's handler comes before its index."""
        text = (
            'DirectoryIndex index.php\n<Location /php>\nSetHandler "proxy:fcgi://h:9000"\n'
            "</Location>\n"
        )
        self.assertEqual(self.outcome(text, "/php/"), "h:/php/index.php")
        self.assertEqual(self.outcome("DirectoryCheckHandler On\n" + text, "/php/"), "h:/php/")

    def test_acceptPathInfo(self) -> None:
        """AcceptPathInfo On is for files; applications get theirs whatever it says."""
        self.assertEqual(self.outcome("AcceptPathInfo On\n", "/m/a.html/x"), "static")
        for word in ("Off", "Default"):
            text = f"AcceptPathInfo {word}\n{PHP}"
            self.assertEqual(self.outcome(text, "/m/a.html/x"), "404")
            self.assertEqual(self.outcome(text, "/m/a.php/x"), "h:/m/a.php /x")

    def test_currentUri(self) -> None:
        """CGIVar REQUEST_URI current-uri tells what the request led to, decoded."""
        text = f"CGIVar REQUEST_URI current-uri\nDirectoryIndex index.php\n{PHP}"
        told = self.told(text, "/php/app.php/%41%20b?x")
        self.assertEqual(told["REQUEST_URI"], "/php/app.php/A b")
        self.assertEqual(self.told(text, "/php/?x")["REQUEST_URI"], "/php/index.php")

    def test_physicalPort(self) -> None:
        """UseCanonicalPhysicalPort tells the port that is listened on, where none is asked for."""
        text = f"UseCanonicalPhysicalPort On\n{PHP}"
        self.assertEqual(self.told(text, "/app.php")["SERVER_PORT"], "8080")
        request = makeRequest("/app.php", host=b"o:81")
        self.assertEqual(self.told(text, request)["SERVER_PORT"], "81")
        text = f"UseCanonicalName On\nServerName s.test:82\n{text}"
        self.assertEqual(self.told(text, request)["SERVER_PORT"], "82")


class LinkTests(Routing):
    """Options FollowSymLinks and SymLinksIfOwnerMatch."""

    def setUp(self) -> None:
        super().setUp()
        os.symlink("index.html", os.path.join(self.root, "link.html"))
        os.symlink("php", os.path.join(self.root, "linked"))

    def test_followed(self) -> None:
        """They are followed unless options say otherwise."""
        for text in ("", "Options FollowSymLinks\n", "Options All\n", "Options -Indexes\n"):
            self.assertEqual(self.outcome(text, "/link.html"), "static", text)

    def test_notFollowed(self) -> None:
        """Without the option a link is refused, also one to a directory above a script."""
        for text in ("Options None\n", "Options Indexes\n", "Options -FollowSymLinks\n"):
            self.assertEqual(self.outcome(text, "/link.html"), "403", text)
            self.assertEqual(self.outcome(text + PHP, "/linked/app.php"), "403", text)
            self.assertEqual(self.outcome(text, "/index.html"), "static", text)

    def test_directory(self) -> None:
        """What counts is what the sections of the link's directory say."""
        text = "<Directory @/php>\nOptions None\n</Directory>\n"
        self.assertEqual(self.outcome(text, "/link.html"), "static")
        self.assertEqual(self.outcome(text + PHP, "/linked/app.php"), "h:/linked/app.php")
        text = "Options None\n<Directory @>\nOptions FollowSymLinks\n</Directory>\n"
        self.assertEqual(self.outcome(text, "/link.html"), "static")

    def test_owner(self) -> None:
        """SymLinksIfOwnerMatch follows those that belong to whom their targets belong to."""
        self.assertEqual(self.outcome("Options SymLinksIfOwnerMatch\n", "/link.html"), "static")


class MethodTests(Routing):
    """AllowMethods, registered methods, and StrictHostCheck."""

    def test_allowed(self) -> None:
        """AllowMethods refuses all others with 405; HEAD goes with GET; reset allows all."""
        text = (
            "<Location /m>\nAllowMethods GET POST\n</Location>\n"
            "<Location /m/a.php>\nAllowMethods reset\n</Location>\n"
            "ProxyPass /p/ fcgi://h:9000/\n<Location /p/>\nAllowMethods GET\n</Location>\n"
        )
        for method, target, status in (
            (b"GET", "/m/a.html", 0),
            (b"HEAD", "/m/a.html", 0),
            (b"PUT", "/m/a.html", 405),
            (b"OPTIONS", "/m/a.html", 405),
            (b"OPTIONS", "/m/a.php", 200),
            (b"GET", "/p/x", 0),
            (b"POST", "/p/x", 405),
            (b"FOO", "/p/x", 405),
        ):
            route = self.route(text, makeRequest(target, method=method))
            self.assertEqual(route.status, status, (method, target))
        self.assertEqual(
            self.route(text, makeRequest("/p/x", method=b"POST")).fields,
            ((b"Allow", b"GET, HEAD"),),
        )

    def test_registered(self) -> None:
        """With RegisteredMethods only known methods are served."""
        text = (
            "HttpProtocolOptions RegisteredMethods\nRegisterHttpMethod FOO\n"
            "ProxyPass /p/ fcgi://h:9000/\n"
        )
        for method, status in ((b"GET", 0), (b"FOO", 0), (b"PATCH", 0), (b"BAZ", 501)):
            route = self.route(text, makeRequest("/p/x", method=method))
            self.assertEqual(route.status, status, method)

    def test_strictHost(self) -> None:
        """With StrictHostCheck a host that is no server's name is refused."""
        text = (
            "StrictHostCheck On\n<VirtualHost *>\nServerName www.test\nServerAlias *.alias.test\n"
            "</VirtualHost>\n"
        )
        for host, status in ((b"www.test", 0), (b"x.alias.test", 0), (b"other.test", 400)):
            route = self.route(text, makeRequest("/index.html", host=host))
            self.assertEqual(route.status, status, host)
