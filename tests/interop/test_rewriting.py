"""Front controllers behind rewrite rules, as WordPress and Laravel come with them, and php-fpm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.client import Answer, ask
from tests.peers.php import PhpFpm
from tests.peers.process import Server
from tests.peers.proxy import Proxy

pytestmark = [pytest.mark.processes, pytest.mark.servers("php-fpm")]

SHOW = """<?php
header('Content-Type: application/json');
echo json_encode(array_merge(['SELF' => __FILE__], $_SERVER));
"""

WORDPRESS = """\
RewriteEngine On
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteBase /
RewriteRule ^index\\.php$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /index.php [L]
"""

LARAVEL = """\
RewriteEngine On
RewriteCond %{HTTP:Authorization} .
RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_URI} (.+)/$
RewriteRule ^ %1 [L,R=301]
RewriteCond %{REQUEST_FILENAME} !-d
RewriteCond %{REQUEST_FILENAME} !-f
RewriteRule ^ index.php [L]
"""


@pytest.fixture(scope="module")
def php(peerOf: Callable[..., Server]) -> Server:
    """php-fpm on a UNIX socket."""
    return peerOf(PhpFpm, unix=True)


@pytest.fixture(
    scope="module",
    params=[
        (name, where) for name in ("wordpress", "laravel") for where in ("<Directory>", ".htaccess")
    ],
    ids=" in ".join,
)
def site(
    request: pytest.FixtureRequest,
    proxyOf: Callable[..., Proxy],
    php: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path, Proxy]:
    """The framework's name, its documents, and the proxy before it."""
    name, where = request.param
    rules = WORDPRESS if name == "wordpress" else LARAVEL
    root = tmp_path_factory.mktemp(name)
    (root / "index.php").write_text(SHOW)
    (root / "login.php").write_text(SHOW)
    (root / "css").mkdir()
    (root / "css" / "app.css").write_text("body {}")
    if where == ".htaccess":
        (root / ".htaccess").write_text(rules)
        rules = "AllowOverride FileInfo\n"
    proxy = proxyOf(f"""\
DocumentRoot "{root}"
DirectoryIndex index.php
<Directory "{root}">
{rules}</Directory>
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:{php.address}|fcgi://localhost"
</FilesMatch>
""")
    return name, root, proxy


def told(answer: Answer) -> dict[str, str]:
    """What a script was told."""
    assert answer.status == 200
    found: dict[str, str] = json.loads(answer.body)
    return found


@pytest.mark.parametrize(
    "target", ["/2024/05/hello-world?page=2", "/users/1", "/a%20b/%C3%A9?x=%2F", "/css/none.css"]
)
def test_frontController(site: tuple[str, Path, Proxy], target: str) -> None:
    """What is no file is the front controller's, which sees the URL as it was sent."""
    _, root, proxy = site
    pairs = told(ask(proxy.address, target))
    path, _, query = target.partition("?")
    assert pairs["SELF"] == str(root / "index.php")
    assert pairs["SCRIPT_FILENAME"] == str(root / "index.php")
    assert pairs["SCRIPT_NAME"] == "/index.php"
    assert pairs["REQUEST_URI"] == target
    assert pairs["QUERY_STRING"] == query
    assert pairs["REDIRECT_STATUS"] == "200"
    assert ("%" in path) or pairs["REDIRECT_URL"] == path


def test_file(site: tuple[str, Path, Proxy]) -> None:
    """A file is served, and a script is run, as if there were no rules."""
    _, root, proxy = site
    assert ask(proxy.address, "/css/app.css").body == b"body {}"
    assert told(ask(proxy.address, "/login.php"))["SELF"] == str(root / "login.php")
    assert told(ask(proxy.address, "/"))["SCRIPT_NAME"] == "/index.php"


def test_authorization(site: tuple[str, Path, Proxy]) -> None:
    """The rule that every framework has for it brings the credentials to the script."""
    answer = ask(site[2].address, "/api", headers={"Authorization": "Bearer secret"})
    pairs = told(answer)
    found = pairs.get("HTTP_AUTHORIZATION") or pairs["REDIRECT_HTTP_AUTHORIZATION"]
    assert found == "Bearer secret"


def test_post(site: tuple[str, Path, Proxy]) -> None:
    """A POST stays one, with its body."""
    answer = ask(site[2].address, "/form", body=b"a=b")
    pairs = told(answer)
    assert (pairs["REQUEST_METHOD"], pairs["CONTENT_LENGTH"]) == ("POST", "3")


def test_slash(site: tuple[str, Path, Proxy]) -> None:
    """Laravel takes a slash at the end away, by a redirect that keeps the query."""
    name, _, proxy = site
    answer = ask(proxy.address, "/users/?page=2")
    if name == "laravel":
        assert answer.status == 301
        assert answer.headers["Location"] == f"http://{proxy.address}/users?page=2"
    else:
        assert told(answer)["SCRIPT_NAME"] == "/index.php"


def test_vary(site: tuple[str, Path, Proxy]) -> None:
    """A condition on a header field makes the response vary with it."""
    name, _, proxy = site
    answer = ask(proxy.address, "/x", headers={"Authorization": "Bearer secret"})
    assert (answer.headers.get("Vary") == "Authorization") is (name == "laravel")
