"""What a process of twistd's loads, and what it can do without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twisted_fcgi import config, versionText
from twisted_fcgi.service.installing import speaksTLS

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]

#: What twistd does with its options; what is loaded then, what of the language that
#: configurations are written in is left, and how much memory is taken.
PROGRAM = """
import gc, sys, types
from twisted.scripts.twistd import ServerOptions
options = ServerOptions()
before = gc.get_freeze_count()  # Python 3.12 has some of its own
options.parseOptions(["fcgiproxy", "--config", sys.argv[1]])
options.loadedPlugins["fcgiproxy"].makeService(options.subOptions)
print(*sorted(name for name, module in sys.modules.items() if module is not None))
from twisted.internet import tcp
print(hasattr(tcp.Connection, "startTLS"))
assert gc.get_freeze_count() > before + 1000
gc.unfreeze()
modules = [str(o.__module__) for o in gc.get_objects() if type(o) is types.FunctionType]
print(sum(name.startswith("twisted_fcgi.config") for name in modules))
"""

#: What Twisted itself takes.
FLOOR = """
import sys
sys.modules["OpenSSL"] = None
from twisted.scripts.twistd import ServerOptions
ServerOptions().parseOptions(["portforward"])
import twisted.internet.endpoints, twisted.internet.reactor
"""

MEMORY = """
with open("/proc/self/status") as status:
    print(*(line.split()[1] for line in status if line.startswith("VmRSS:")))
"""

#: Kilobytes that we add to it where there are only sources, and what is compiled beside them.
MOST = 6500
MOST_COMPILED = 4000

SMALL = "Listen 127.0.0.1:81\nProxyPass / fcgi://127.0.0.1:9000/\n"

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


def printed(folder: Path, program: str, *arguments: str) -> list[str]:
    """What a program prints, by lines."""
    done = subprocess.run(
        (sys.executable, "-c", program, *arguments),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def loaded(folder: Path, text: str) -> tuple[set[str], bool, int]:
    """
    What a configuration takes.

    :returns: the modules; whether connections can go on in TLS; how many of the functions
        that read are still there.
    """
    file = folder / "site.conf"
    file.write_text(text)
    modules, secure, functions = printed(folder, PROGRAM, str(file))
    return set(modules.split()), secure == "True", int(functions)


def test_plain(tmp_path: Path) -> None:
    """Who speaks no TLS loads no OpenSSL; nor DNS of our own, the demo, or twisted.web."""
    modules, secure, _ = loaded(tmp_path, PLAIN)
    unneeded = {"OpenSSL", "cryptography", "service_identity", "h2", "twisted.names.dns",
                "twisted.names.client", "twisted.web", "twisted_fcgi.service.demo",
                "twisted_fcgi.backend.application", "twisted_fcgi.scripts"}  # fmt: skip
    assert modules & unneeded == set()
    assert not secure
    assert "twisted_fcgi.web.gateway" in modules


def test_secure(tmp_path: Path) -> None:
    """Who speaks TLS to a member has all of it."""
    modules, secure, _ = loaded(tmp_path, SECURE)
    assert "OpenSSL" in modules
    assert secure


def test_forgotten(tmp_path: Path) -> None:
    """What reads a configuration is gone when it is read; who needs no expression has no PCRE2."""
    modules, _, functions = loaded(tmp_path, SMALL)
    assert modules & {"pcre2", "twisted_fcgi.config", "twisted_fcgi.config.build",
                      "twisted_fcgi.expr.parser"} == set()  # fmt: skip
    assert functions == 0


def test_balancing(tmp_path: Path) -> None:
    """Who has no balancer loads nothing of balancers, and no look-ups without a name."""
    few = {"twisted_fcgi.web.balancing", "twisted_fcgi.web.attempts", "twisted_fcgi.balance",
           "twisted_fcgi.backend.checks", "twisted_fcgi.backend.probes",
           "twisted_fcgi.backend.discovery", "twisted_fcgi.backend.names",
           "twisted_fcgi.backend.resolver", "twisted_fcgi.service.heartbeats"}  # fmt: skip
    modules, *_ = loaded(tmp_path, SMALL)
    assert modules & few == set()
    modules, *_ = loaded(tmp_path, PLAIN)
    assert "twisted_fcgi.web.balancing" in modules


def test_accessFiles(tmp_path: Path) -> None:
    """Where there may be .htaccess files, what reads them stays."""
    text = 'Listen 127.0.0.1:81\nDocumentRoot /\n<Directory "/">\nAllowOverride All\n</Directory>\n'
    modules, _, functions = loaded(tmp_path, text)
    assert "twisted_fcgi.config.htaccess" in modules
    assert functions > 500


def test_memory(tmp_path: Path) -> None:
    """A small site takes little more memory than an empty twistd."""
    file = tmp_path / "site.conf"
    file.write_text(SMALL)
    *_, whole = printed(tmp_path, PROGRAM.partition("print")[0] + MEMORY, str(file))
    [floor] = printed(tmp_path, FLOOR + MEMORY)
    compiled = MOST_COMPILED if "compiled" in versionText() else 0
    assert int(whole) - int(floor) < MOST + compiled


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
