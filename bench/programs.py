"""What stands around the proxies: the FastCGI responder, a certificate, the load generators."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "Programs", "Responder", "freePort", "load", "loadTLS"]

HERE = Path(__file__).parent

#: The cipher of all connections over TLS.
CIPHER = "TLS_AES_128_GCM_SHA256"


@dataclass(frozen=True)
class Programs:
    """
    What is made once, before the first scenario.

    :ivar responder: the program of that name.
    :ivar loader: the program of that name.
    :ivar certificate: for 127.0.0.1, signed by itself, with its key in the same file (P-256).
    """

    responder: Path
    loader: Path
    certificate: Path

    @classmethod
    def made(cls, into: Path) -> Programs:
        """
        Compile the programs, and make the certificate.

        :param into: the directory of the results.
        :raises subprocess.CalledProcessError: when there is no C compiler or no openssl.
        """
        made = cls(into / "responder", into / "loader", into / "certificate.pem")
        for program in (made.responder, made.loader):
            source = HERE / f"{program.name}.c"
            subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
        key = into / "key.pem"
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        words += ["ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        words += ["-keyout", str(key), "-out", str(made.certificate)]
        subprocess.run(words, check=True, capture_output=True)
        made.certificate.write_text(key.read_text() + made.certificate.read_text())
        return made


def freePort() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Responder:
    """
    The FastCGI application that a proxy asks.

    Each proxy has its own: connections to one and the same port would run out of
    ports of their own.

    :param program: as it was built.
    :param directory: of its socket.
    :ivar port: where it listens on 127.0.0.1.
    :ivar socket: the path where it listens, too.
    """

    def __init__(self, program: Path, directory: Path) -> None:
        self.port = freePort()
        self.socket = directory / "responder.sock"
        words = [str(program), str(self.port), str(self.socket)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("the responder does not start")
        self.socket.chmod(0o777)  # who serves for root may be somebody else

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


@dataclass(frozen=True)
class Load:
    """
    What a run of a load generator saw.

    :ivar done: requests that were answered as they should be.
    :ivar seconds: from the first to the last.
    :ivar errors: all other requests.
    :ivar complaint: about the first error.
    """

    done: int
    seconds: float
    p50: float
    p99: float
    longest: float
    errors: int
    complaint: str


def _outputOf(words: list[str], patience: float) -> str:
    try:
        run = subprocess.run(words, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{Path(words[0]).name} was not done after {patience:g} s") from None
    if run.returncode:
        raise RuntimeError(f"{Path(words[0]).name} failed: {(run.stderr or run.stdout)[-300:]}")
    return run.stdout


def load(
    program: Path,
    port: int,
    target: str,
    *,
    connections: int,
    seconds: float | None = None,
    requests: int | None = None,
    body: int = 0,
    fresh: bool = False,
    rate: float | None = None,
    idle: float | None = None,
    fields: tuple[str, ...] = (),
    timeout: float = 15,
) -> Load:
    """
    Run the load generator; the parameters are its options (see loader.c).

    :raises RuntimeError: when it did not come to its end.
    """
    words = [str(program), "-p", str(port), "-u", target, "-c", str(connections)]
    words += ["-t", str(timeout)]
    for option, value in (("-d", seconds), ("-n", requests), ("-r", rate), ("-i", idle)):
        if value is not None:
            words += [option, str(value)]
    if body:
        words += ["-b", str(body)]
    if fresh:
        words.append("-f")
    for field in fields:
        words += ["-H", field]
    answer = _outputOf(words, 60 + (seconds or 0) + (idle or 0))
    numbers, _, complaint = answer.partition(" complaint=")
    seen = dict(pair.split("=") for pair in numbers.split())
    return Load(
        done=int(seen["done"]),
        seconds=float(seen["seconds"]),
        p50=int(seen["p50"]) / 1e6,
        p99=int(seen["p99"]) / 1e6,
        longest=int(seen["max"]) / 1e6,
        errors=sum(int(seen[name]) for name in ("status", "broken", "refused", "timeout")),
        complaint=complaint.strip(),
    )


def loadTLS(
    directory: Path, port: int, target: str, *, connections: int, streams: int, requests: int
) -> Load:
    """
    Run h2load, of the nghttp2 project, over TLS.

    It is told how many requests, for it may never end when it is told how many seconds
    and its connections are not made by then.

    :param directory: for its log.
    :param connections: made at once and kept.
    :param streams: of HTTP/2, at a time on each connection; 0 for HTTP/1.1.
    :raises RuntimeError: when it did not come to its end, or speaks something else.
    """
    log = directory / "h2load.log"
    log.unlink(missing_ok=True)
    words = [shutil.which("h2load") or "h2load", f"--tls13-ciphers={CIPHER}", "-N", "15"]
    words += ["-c", str(connections), "-n", str(requests), f"--log-file={log}"]
    words += ["-m", str(streams)] if streams else ["--h1"]
    answer = _outputOf([*words, f"https://127.0.0.1:{port}{target}"], 60)
    for said in (f"Cipher: {CIPHER}", f"protocol: {'h2' if streams else 'http/1.1'}"):
        if said not in answer:
            raise RuntimeError(f"h2load does not say {said!r}: {answer[-300:]}")
    rows = [tuple(map(int, row.split())) for row in log.read_text().splitlines()]
    times = sorted(taken / 1e6 for _, status, taken in rows if status == 200) or [0.0]
    counts = re.search("^status codes:.*", answer, re.MULTILINE)
    done = sum(status == 200 for _, status, _ in rows)
    begin = min((at for at, _, _ in rows), default=0)
    end = max((at + taken for at, _, taken in rows), default=0)
    return Load(
        done=done,
        seconds=(end - begin) / 1e6,
        p50=times[len(times) // 2],
        p99=times[len(times) * 99 // 100],
        longest=times[-1],
        errors=requests - done,
        complaint=counts[0] if counts and done < requests else "",
    )
