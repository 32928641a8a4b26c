"""What the ``.htaccess`` files that come with well-known PHP programs do, as httpd was seen to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from shutil import rmtree

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, read
from twisted_fcgi.message import Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.web.accessfiles import AccessFileCache

__all__ = ["SitesTests"]

#: Front controllers, and what lies beside them.
FILES = (
    *("index.php", "robots.txt", "web.config", "composer.json", "x.inc", "autoload.php"),
    *("a/b/c.txt", "wp-admin/index.php", "core/install.php", "core/modules/x.php"),
    *("css/css_1.css", "css/css_1.css.gz", ".well-known/acme"),
)

WORDPRESS = """\
<IfModule mod_rewrite.c>
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase /
RewriteRule ^index\\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
</IfModule>
"""

LARAVEL = """\
<IfModule mod_rewrite.c>
    <IfModule mod_negotiation.c>
        Options -MultiViews -Indexes
    </IfModule>
    RewriteEngine On
    RewriteCond %{HTTP:Authorization} .
    RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
    RewriteCond %{REQUEST_FILENAME} !-d
    RewriteCond %{REQUEST_URI} (.+)/$
    RewriteRule ^ %1 [L,R=301]
    RewriteCond %{REQUEST_FILENAME} !-d
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteRule ^ index.php [L]
</IfModule>
"""

#: Of Drupal's, one of each kind.
DRUPAL = """\
<FilesMatch "\\.(inc|module|yml)(~|\\.bak)?$|^(composer\\.json|web\\.config)$">
  <IfModule mod_authz_core.c>
    Require all denied
  </IfModule>
  <IfModule !mod_authz_core.c>
    Order allow,deny
  </IfModule>
</FilesMatch>
Options -Indexes
DirectoryIndex index.php index.html index.htm
AddType image/svg+xml svg svgz
AddEncoding gzip svgz
<IfModule mod_php.c>
  php_value assert.active 0
</IfModule>
<IfModule mod_expires.c>
  ExpiresActive On
</IfModule>
<IfModule !mod_rewrite.c>
  FallbackResource /index.php
</IfModule>
<IfModule mod_rewrite.c>
  RewriteEngine on
  RewriteRule ^ - [E=protossl]
  RewriteCond %{HTTPS} on
  RewriteRule ^ - [E=protossl:s]
  RewriteRule "/\\.|^\\.(?!well-known/)" - [F]
  RewriteCond %{REQUEST_URI} ^(.*)?/(install\\.php) [OR]
  RewriteCond %{REQUEST_URI} ^(.*)?/(rebuild\\.php)
  RewriteCond %{REQUEST_URI} !core
  RewriteRule ^ %1/core/%2 [L,QSA,R=301]
  RewriteRule ^core/install\\.php core/install.php?rewrite=ok [QSA,L]
  RewriteCond %{REQUEST_FILENAME} !-f
  RewriteCond %{REQUEST_FILENAME} !-d
  RewriteCond %{REQUEST_URI} !=/favicon.ico
  RewriteRule ^ index.php [L]
  RewriteCond %{REQUEST_URI} !/core/[^/]*\\.php$
  RewriteRule "^(.+/.*|autoload)\\.php($|/)" - [F]
  <IfModule mod_headers.c>
    RewriteCond %{HTTP:Accept-encoding} gzip
    RewriteCond %{REQUEST_FILENAME}\\.gz -s
    RewriteRule ^(.*css_[a-zA-Z0-9-_]+)\\.css$ $1\\.css\\.gz [QSA]
    RewriteRule \\.css\\.gz$ - [T=text/css,E=no-gzip:1]
    <FilesMatch "\\.css\\.gz$">
      Header set Content-Encoding gzip
      Header append Vary Accept-Encoding
    </FilesMatch>
  </IfModule>
</IfModule>
<IfModule mod_headers.c>
  Header always set X-Content-Type-Options nosniff
  RequestHeader unset Proxy
</IfModule>
"""


class SitesTests(SynchronousTestCase):
    """Requests to sites that bring their ``.htaccess`` along."""

    def setUp(self) -> None:
        self.root = Path(os.path.realpath(tempfile.mkdtemp()))
        self.addCleanup(rmtree, self.root)
        for name in FILES:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        settings = read(
            f'DocumentRoot "{self.root}"\n'
            f'<Directory "{self.root}">\nAllowOverride All\n</Directory>\n'
        )
        self.router = Router(settings, AccessFileCache(Clock().seconds))

    def route(self, target: str, *fields: tuple[bytes, bytes]) -> Route:
        """What is decided for a request."""
        return self.router.route(makeRequest(target, *fields))

    def assertAnswers(self, text: str, answers: dict[str, str | int]) -> None:
        """With this file, requests lead to files, to other addresses, or get a status."""
        (self.root / ".htaccess").write_text(text)
        for target, expected in answers.items():
            route = self.route(target)
            found: str | int = route.status
            if route.kind is RouteKind.STATIC:
                found = os.path.relpath(os.fsdecode(route.filename), self.root)
            elif route.kind is RouteKind.REDIRECT:
                found = (route.location or b"").decode()
            self.assertEqual(expected, found, (target, route.reason))

    def test_wordpress(self) -> None:
        """Whatever is neither a file nor a directory goes to index.php."""
        self.assertAnswers(
            "DirectoryIndex index.php\n" + WORDPRESS,
            {
                "/": "index.php",
                "/2024/01/a-post/": "index.php",
                "/feed?x=1": "index.php",
                "/a/b/c.txt": "a/b/c.txt",
                "/wp-admin/": "wp-admin/index.php",
                "/wp-admin": "http://www.test/wp-admin/",
            },
        )
        route = self.route("/a-post/?x=1", (b"Authorization", b"Basic abc"))
        self.assertEqual(b"Basic abc", route.environment[b"REDIRECT_HTTP_AUTHORIZATION"])
        self.assertEqual((b"/index.php", b"x=1"), (route.uri, route.query))

    def test_laravel(self) -> None:
        """The same, and a slash at the end of what is no directory is taken away."""
        self.assertAnswers(
            LARAVEL,
            {
                "/users/1": "index.php",
                "/users/?page=2": "http://www.test/users?page=2",
                "/robots.txt": "robots.txt",
                "/index.php": "index.php",
            },
        )

    def test_drupal(self) -> None:
        """Some files and directories are nobody's business, some scripts have moved."""
        self.assertAnswers(
            DRUPAL,
            {
                "/": "index.php",
                "/node/1": "index.php",
                "/x.inc": 403,
                "/composer.json": 403,
                "/web.config": 403,
                "/.git/config": 403,
                "/autoload.php": 403,
                "/core/modules/x.php": 403,
                "/.well-known/acme": ".well-known/acme",
                "/install.php": "http://www.test/core/install.php",
                "/core/install.php": "core/install.php",
                "/css/css_1.css": "css/css_1.css",
                "/favicon.ico": 404,
            },
        )
        self.assertEqual(b"rewrite=ok", self.route("/core/install.php").query)
        route = self.route("/css/css_1.css", (b"Accept-Encoding", b"gzip"))
        self.assertEqual(os.fsencode(self.root / "css/css_1.css.gz"), route.filename)
