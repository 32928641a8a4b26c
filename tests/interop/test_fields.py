"""Header and RequestHeader before php-fpm, as security guides have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.client import ask
from tests.peers.php import PhpFpm
from tests.peers.process import Server
from tests.peers.proxy import Proxy

pytestmark = [pytest.mark.processes, pytest.mark.servers("php-fpm")]

SHOW = """<?php
header('X-Powered-By: PHP');
setcookie('sid', '1');
echo $_SERVER['HTTP_X_FORWARDED_PROTO'], ' ', $_SERVER['HTTP_X_DEBUG'] ?? 'none';
"""


@pytest.fixture(scope="module")
def php(peerOf: Callable[..., Server]) -> Server:
    """php-fpm on a UNIX socket."""
    return peerOf(PhpFpm, unix=True)


@pytest.fixture(scope="module")
def proxy(
    proxyOf: Callable[..., Proxy], php: Server, tmp_path_factory: pytest.TempPathFactory
) -> Proxy:
    """The proxy before it."""
    root: Path = tmp_path_factory.mktemp("documents")
    (root / "index.php").write_text(SHOW)
    (root / "app.css").write_text("body {}")
    return proxyOf(f"""\
DocumentRoot "{root}"
Header always set X-Frame-Options DENY
Header always unset X-Powered-By
Header always edit Set-Cookie "^(.*)$" "$1; Secure"
Header set X-Url "%{{REQUEST_URI}}e"
RequestHeader set X-Forwarded-Proto https
RequestHeader unset X-Debug early
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:{php.address}|fcgi://localhost"
</FilesMatch>
""")


def test_script(proxy: Proxy) -> None:
    """A script is told of the changed request, and its answer's fields are changed."""
    answer = ask(proxy.address, "/index.php", headers={"X-Debug": "1"})
    assert answer.body == b"https none"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Powered-By"] is None
    assert answer.headers["Set-Cookie"] == "sid=1; Secure"
    assert answer.headers["X-Url"] == "/index.php"


def test_file(proxy: Proxy) -> None:
    """A file's answer has what both kinds of lines add."""
    answer = ask(proxy.address, "/app.css")
    assert answer.body == b"body {}"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Url"] == "(null)"


def test_error(proxy: Proxy) -> None:
    """A page about an error has what lines with always add."""
    answer = ask(proxy.address, "/none")
    assert answer.status == 404
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Url"] is None
