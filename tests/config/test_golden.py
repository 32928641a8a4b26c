"""
One file a directive, or a kind of mistake: a configuration, a rule, what becomes of it.

What is below the rule is what :mod:`tests.config.dump` makes of the settings, or the
text of the errors.  ``REWRITE_GOLDEN=1 python -m pytest tests/config/test_golden.py``
writes that anew; ``git diff`` then shows what changed.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from tests.config.dump import dump
from twisted_fcgi.config import loads
from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.errors import ConfigurationErrors

__all__ = ["GoldenTests"]

GOLDEN = Path(__file__).parent / "golden"
RULE = "----------\n"

#: Files below the server root that configurations can name.
FILES = {
    "htdocs/index.html": "home\n",
    "logs/.keep": "",
    "conf.d/10-first.conf": "SetEnv FIRST 1\n",
    "conf.d/20-second.conf": "SetEnv SECOND 2\n",
    "tls/ca.pem": "-----BEGIN CERTIFICATE-----\n",
    "tls/client.pem": "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n",
    "mime.types": "# types\ntext/html html htm\n",
    "conf.d/notes.txt": "SetEnv NOTES 1\n",
    "conf.d/sub/30-third.conf": "SetEnv THIRD 3\n",
    "mistake.conf": "# the second line is wrong\nProxyTimeout never\n",
    "unclosed.conf": "<Location /a>\n",
    "cycle.conf": "SetEnv ROUND 1\nInclude cycle.conf\n",
}

ENVIRONMENT = {"LANG": "C", "PORT": "8080"}


def outcome(text: str, root: str) -> str:
    """What becomes of a configuration."""
    try:
        settings = loads(
            text.replace("@root@", root),
            "site.conf",
            defines=["FLAG", "GREETING=hello there"],
            serverRoot=root,
            environment=ENVIRONMENT,
        )
    except ConfigurationErrors as errors:
        return f"{errors}\n".replace(root, "@root@")
    return dump(settings).replace(root, "@root@")


def resolve(host: str, port: object, **options: object) -> list[tuple[object, ...]]:
    """Look a name up, without the network: there is one, with two addresses."""
    if host != "two.example.org":
        raise socket.gaierror(f"there is no {host}")
    return [(0, 0, 0, "", ("192.0.2.2", 0)), (0, 0, 0, "", ("2001:db8::2", 0, 0, 0))]


def directiveOf(path: Path) -> str:
    """The directive that a file is about: what its name begins with."""
    return path.stem.partition("-")[0]


class GoldenTests(SynchronousTestCase):
    """Each golden file, and that each directive has one."""

    maxDiff = None

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = os.path.realpath(directory.name)
        self.patch(socket, "getaddrinfo", resolve)
        for name, text in FILES.items():
            path = Path(self.root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def test_eachDirectiveHasOne(self) -> None:
        """Each directive that does something has a golden file."""
        covered = {directiveOf(path) for path in GOLDEN.glob("*.conf")}
        names = {row.name.strip("<").lower() for row in REGISTRY if not row.ignored}
        self.assertEqual(set(), names - covered)


def _test(path: Path) -> None:
    """Make the test of a file."""

    def test(self: GoldenTests) -> None:
        text, rule, expected = path.read_text("utf-8").partition(RULE)
        actual = outcome(text, self.root)
        if os.environ.get("REWRITE_GOLDEN"):
            path.write_text(text + RULE + actual, "utf-8")
            return
        self.assertEqual(RULE, rule, f"{path.name} has no rule")
        self.assertEqual(expected, actual)

    test.__doc__ = f"{path.name}: the configuration becomes what stands below the rule."
    name = "test_" + path.stem.replace("-", "_")
    setattr(GoldenTests, name, test)


for _path in sorted(GOLDEN.glob("*.conf")):
    _test(_path)
