"""A PHP site: documents, scripts and php-fpm, with no second web server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.peers.client import Answer, ask
from tests.peers.php import PhpFpm
from tests.peers.process import Server
from tests.peers.proxy import Proxy

pytestmark = [pytest.mark.processes, pytest.mark.servers("php-fpm")]

SHOW = """<?php
header('Content-Type: application/json');
echo json_encode(array_merge(['SELF' => basename(__FILE__)], $_SERVER));
"""


class ShortLived(PhpFpm):
    """php-fpm whose processes end after 3 requests."""

    pool = "pm.max_requests = 3"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents."""
    root = tmp_path_factory.mktemp("documents")
    (root / "index.php").write_text(SHOW)
    (root / "page.php").write_text(SHOW)
    (root / "style.css").write_text("body {}")
    (root / ".env").write_text("SECRET=1")
    (root / "shop").mkdir()
    (root / "shop" / "index.php").write_text(SHOW)
    return root


@pytest.fixture(scope="module")
def php(peerOf: Callable[..., Server]) -> Server:
    """php-fpm on a UNIX socket."""
    return peerOf(PhpFpm, unix=True)


@pytest.fixture(scope="module", params=["configured", "one line"])
def proxy(
    request: pytest.FixtureRequest, proxyOf: Callable[..., Proxy], php: Server, root: Path
) -> Proxy:
    """The proxy before it, told by a file as for Apache, and told by two options."""
    if request.param == "one line":
        return proxyOf(options=["--root", root, "--fastcgi", f"unix:{php.address}"])
    return proxyOf(f"""\
DocumentRoot "{root}"
DirectoryIndex index.php
FallbackResource /index.php
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:{php.address}|fcgi://localhost"
</FilesMatch>
""")


def shown(answer: Answer) -> dict[str, str]:
    """What a script of the site was told."""
    assert answer.status == 200
    found: dict[str, str] = json.loads(answer.body)
    return found


@pytest.mark.parametrize(
    ("target", "script", "pathInfo"),
    [
        ("/", "/index.php", None),
        ("/shop/", "/shop/index.php", None),
        ("/page.php", "/page.php", None),
        ("/page.php/a/b%20c", "/page.php", "/a/b c"),
        ("/blog/a-post?x=1", "/index.php", None),
    ],
)
def test_script(proxy: Proxy, root: Path, target: str, script: str, pathInfo: str | None) -> None:
    """A script is found by its path, as a directory's index, and as the front controller."""
    pairs = shown(ask(proxy.address, target))
    assert pairs["SELF"] == Path(script).name
    assert pairs["SCRIPT_FILENAME"] == str(root) + script
    assert pairs["SCRIPT_NAME"] == script
    assert pairs.get("PATH_INFO") == pathInfo
    assert pairs["REQUEST_URI"] == target
    assert pairs["DOCUMENT_ROOT"] == str(root)


def test_document(proxy: Proxy) -> None:
    """What is no script is served as it is, and not again to who has it."""
    answer = ask(proxy.address, "/style.css")
    assert (answer.status, answer.body) == (200, b"body {}")
    assert answer.headers["Content-Type"].startswith("text/css")
    since = {"If-Modified-Since": answer.headers["Last-Modified"]}
    assert ask(proxy.address, "/style.css", headers=since).status == 304


def test_hidden(proxy: Proxy) -> None:
    """A file whose name begins with a dot is not served."""
    assert b"SECRET" not in ask(proxy.address, "/.env").body


def test_redirectToDirectory(proxy: Proxy) -> None:
    """A directory without its slash is a redirect to the one with it."""
    answer = ask(proxy.address, "/shop")
    assert answer.status == 301
    assert answer.headers["Location"].endswith("/shop/")


def test_recycled(proxyOf: Callable[..., Proxy], peerOf: Callable[..., Server]) -> None:
    """No request fails when kept connections end because php-fpm begins its processes anew."""
    php = peerOf(ShortLived, unix=False)
    proxy = proxyOf(
        f'ProxyPass "/" "fcgi://{php.address}{php.application.parent}/" enablereuse=on max=4'
    )
    do = {"do": "stream", "bytes": 10}
    target = f"/{php.application.name}"
    assert [ask(proxy.address, target, do).status for _ in range(40)] == [200] * 40


@pytest.fixture
def stopped(peerOf: Callable[..., Server]) -> Iterator[Server]:
    """php-fpm that was started and ended."""
    php = peerOf(PhpFpm, unix=False)
    php.stop()
    yield php


def test_down(proxyOf: Callable[..., Proxy], stopped: Server) -> None:
    """While php-fpm is down the answer is 503; once it is up the next request is served."""
    proxy = proxyOf(
        f'ProxyPass "/" "fcgi://{stopped.address}{stopped.application.parent}/" enablereuse=on'
    )
    target, do = f"/{stopped.application.name}", {"do": "stream", "bytes": 10}
    assert ask(proxy.address, target, do).status == 503
    stopped.start()
    assert ask(proxy.address, target, do).status == 200


def test_silent(
    proxyOf: Callable[..., Proxy], peerOf: Callable[..., Server], tmp_path: Path
) -> None:
    """An application that is silent for longer than its timeout is a 504."""
    php = peerOf(PhpFpm, unix=False)
    proxy = proxyOf(f'ProxyPass "/" "fcgi://{php.address}{php.application.parent}/" timeout=1')
    do = {"do": "meet", "count": 2, "place": tmp_path, "name": 0}
    assert ask(proxy.address, f"/{php.application.name}", do).status == 504


def test_missingScript(proxy: Proxy) -> None:
    """A path that no script claims is the front controller's, not php-fpm's "File not found"."""
    assert shown(ask(proxy.address, "/no/such.php"))["SELF"] == "index.php"
