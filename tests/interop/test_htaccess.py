"""``.htaccess`` files of a PHP site, while its server runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.client import Answer, ask
from tests.peers.php import PhpFpm
from tests.peers.process import Server
from tests.peers.proxy import Proxy

pytestmark = [pytest.mark.processes, pytest.mark.servers("php-fpm")]

SHOW = "<?php echo json_encode($_SERVER);"


@pytest.fixture(scope="module")
def php(peerOf: Callable[..., Server]) -> Server:
    """php-fpm on a UNIX socket."""
    return peerOf(PhpFpm, unix=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The documents: everything goes to one script, for who reads their ``.htaccess``."""
    root = tmp_path / "documents"
    root.mkdir()
    (root / "index.php").write_text(SHOW)
    return root


@pytest.fixture
def proxy(proxyOf: Callable[..., Proxy], php: Server, root: Path) -> Proxy:
    """The proxy before it."""
    return proxyOf(f"""\
DocumentRoot "{root}"
<Directory "{root}">
    AllowOverride All
</Directory>
<FilesMatch "\\.php$">
    SetHandler "proxy:unix:{php.address}|fcgi://localhost"
</FilesMatch>
""")


def becomes(proxy: Proxy, target: str, right: Callable[[Answer], bool]) -> Answer:
    """Ask until the answer is right."""
    for _ in range(100):
        answer = ask(proxy.address, target)
        if right(answer):
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{target} still gets {answer.status} {answer.body!r}")


def test_lifeOfAFile(proxy: Proxy, root: Path) -> None:
    """A file counts when it comes, when it changes, when it breaks and when it goes."""
    file = root / ".htaccess"
    assert ask(proxy.address, "/a/page").status == 404
    file.write_text("FallbackResource /index.php\nSetEnv GREETING hello\n")
    answer = becomes(proxy, "/a/page", lambda answer: answer.status == 200)
    told = json.loads(answer.body)
    assert (told["GREETING"], told["REQUEST_URI"]) == ("hello", "/a/page")
    file.write_text("FallbackResource /index.php\nSetEnv GREETING again\n")
    becomes(proxy, "/a/page", lambda answer: b'"again"' in answer.body)
    file.write_text("SetEnv GREETING hello\nProxyPass / fcgi://127.0.0.1:9000/\n")
    becomes(proxy, "/a/page", lambda answer: answer.status == 500)
    assert ask(proxy.address, "/index.php").status == 500
    assert f"{file}:2:1: ProxyPass is not allowed here" in proxy.log()
    file.unlink()
    becomes(proxy, "/a/page", lambda answer: answer.status == 404)
    assert ask(proxy.address, "/index.php").status == 200


def test_otherSockets(proxy: Proxy, root: Path) -> None:
    """A file can send requests to the application of the site, and to no other one."""
    inner = root / "inner"
    inner.mkdir()
    (inner / "page.txt").write_text(SHOW)
    other = inner / ".htaccess"
    other.write_text('SetHandler "proxy:unix:/run/other.sock|fcgi://localhost"\n')
    assert ask(proxy.address, "/inner/page.txt").status == 500
    assert "names no application 'unix:/run/other.sock|fcgi://localhost'" in proxy.log()
