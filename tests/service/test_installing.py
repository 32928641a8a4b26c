"""What a process of twistd's loads, and what it can do without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twisted_fcgi import config
from twisted_fcgi.service.installing import speaksTLS

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]

#: What twistd does with its options, and what is loaded then.
PROGRAM = """
import gc, sys
from twisted.scripts.twistd import ServerOptions
options = ServerOptions()
options.parseOptions(["fcgiproxy", "--config", sys.argv[1]])
before = gc.get_freeze_count()  # Python 3.12 has some of its own
options.loadedPlugins["fcgiproxy"].makeService(options.subOptions)
print(*sorted(name for name, module in sys.modules.items() if module is not None))
from twisted.internet import tcp
print(hasattr(tcp.Connection, "startTLS"))
assert gc.get_freeze_count() > before + 1000
"""

PLAIN = """
    Listen 127.0.0.1:81
    Listen "unix:/nonexistent/socket"
    DocumentRoot /
    <Proxy balancer://app>
        BalancerMember fcgi://127.0.0.1:9000 enablereuse=on
        BalancerMember fcgi://php.example.test:9000
    </Proxy>
    ProxyPass /app balancer://app
    <FilesMatch \\.php$>
        SetHandler "proxy:unix:/nonexistent/php.sock|fcgi://localhost"
    </FilesMatch>
"""

SECURE = "Listen 81\nProxyPass / fcgis://app.example.test:9000\n"


def loaded(folder: Path, text: str) -> tuple[set[str], bool]:
    """The modules that a configuration takes, and whether connections can go on in TLS."""
    file = folder / "site.conf"
    file.write_text(text)
    done = subprocess.run(
        (sys.executable, "-c", PROGRAM, str(file)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    modules, secure = done.stdout.splitlines()
    return set(modules.split()), secure == "True"


def test_plain(tmp_path: Path) -> None:
    """Who speaks no TLS loads no OpenSSL; nor DNS of our own, the demo, or twisted.web."""
    modules, secure = loaded(tmp_path, PLAIN)
    unneeded = {"OpenSSL", "cryptography", "service_identity", "h2", "twisted.names.dns",
                "twisted.names.client", "twisted.web", "twisted_fcgi.service.demo",
                "twisted_fcgi.backend.application", "twisted_fcgi.scripts"}  # fmt: skip
    assert modules & unneeded == set()
    assert not secure
    assert "twisted_fcgi.web.gateway" in modules


def test_secure(tmp_path: Path) -> None:
    """Who speaks TLS to a member has all of it."""
    modules, secure = loaded(tmp_path, SECURE)
    assert "OpenSSL" in modules
    assert secure


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, False),
        (SECURE, True),
        ("Listen 127.0.0.1:81\n", False),
        ('Listen "ssl:443:privateKey=key.pem"\n', True),
        ('Listen 81\nListen "tls:443:/certificates"\n', True),
        ('Listen "haproxy:tcp:81"\n', True),
        ("Listen 81\n<VirtualHost *>\nProxyPass / fcgis://app.test\n</VirtualHost>\n", True),
    ],
)
def test_speaksTLS(text: str, expected: bool) -> None:
    """TLS is what an endpoint of an unknown kind may speak, or any member."""
    assert speaksTLS(config.loads(text, "site.conf")) is expected
