"""``fcgi probe`` against php-fpm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.peers.php import PROGRAM, PhpFpm
from tests.peers.process import Server
from twisted_fcgi.scripts.fcgi import main

pytestmark = [pytest.mark.processes, pytest.mark.servers("php-fpm")]

PeerOf = Callable[[type[Server], bool], Server]


@pytest.mark.parametrize("unix", [False, True])
def test_request(peerOf: PeerOf, capfd: pytest.CaptureFixture[str], unix: bool) -> None:
    """A script gets its body and answers; with -v the records of both directions are shown."""
    peer = peerOf(PhpFpm, unix)
    status = main(["probe", str(peer.address), f"{PROGRAM}?do=count", "-d", "a" * 100000, "-v"])
    out, err = capfd.readouterr()
    assert status == 0
    assert out.startswith("200 OK\n")
    assert "\n100000 " in out
    for record in ("> BEGIN_REQUEST", "> STDIN", "< STDOUT", "< END_REQUEST"):
        assert record in err


def test_missingScript(peerOf: PeerOf, capfd: pytest.CaptureFixture[str]) -> None:
    """What php-fpm has to say about a script that is not there is shown."""
    peer = peerOf(PhpFpm, True)
    assert main(["probe", f"unix:{peer.address}|fcgi://php/srv/nowhere", "missing.php"]) == 1
    out, err = capfd.readouterr()
    assert out.startswith("404 Not Found\n")
    assert "stderr: Primary script unknown\n" in err


def test_values(peerOf: PeerOf, capfd: pytest.CaptureFixture[str]) -> None:
    """php-fpm says that it does not multiplex."""
    assert main(["probe", str(peerOf(PhpFpm, True).address), "--values"]) == 0
    assert "FCGI_MPXS_CONNS 0\n" in capfd.readouterr().out
