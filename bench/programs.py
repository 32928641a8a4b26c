"""The two C programs beside the proxies: the FastCGI responder and the load generator."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Load", "Responder", "build", "freePort", "load"]

HERE = Path(__file__).parent


def build(name: str, into: Path) -> Path:
    """
    Compile one of the C programs.

    :param name: ``responder`` or ``loader``.
    :param into: the directory of the result.
    :raises subprocess.CalledProcessError: without a compiler.
    """
    program = into / name
    subprocess.run(["cc", "-O2", "-o", str(program), str(HERE / f"{name}.c")], check=True)
    return program


def freePort() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Responder:
    """
    The FastCGI application that all proxies ask.

    :ivar port: where it listens on 127.0.0.1.
    """

    def __init__(self, program: Path) -> None:
        self.port = freePort()
        self.process = subprocess.Popen([str(program), str(self.port)], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("the responder does not start")

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


@dataclass(frozen=True)
class Load:
    """
    What a run of the load generator saw.

    :ivar done: requests that were answered as they should be.
    :ivar seconds: from the first to the last.
    :ivar errors: all other requests.
    :ivar complaint: about the first error.
    """

    done: int
    seconds: float
    bytes: int
    p50: float
    p99: float
    longest: float
    errors: int
    complaint: str


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
    fields: tuple[str, ...] = (),
    timeout: float = 30,
) -> Load:
    """Run the load generator; the parameters are its options (see loader.c)."""
    words = [str(program), "-p", str(port), "-u", target, "-c", str(connections)]
    words += ["-t", str(timeout)]
    if seconds is not None:
        words += ["-d", str(seconds)]
    if requests is not None:
        words += ["-n", str(requests)]
    if body:
        words += ["-b", str(body)]
    if rate is not None:
        words += ["-r", str(rate)]
    if fresh:
        words.append("-f")
    for field in fields:
        words += ["-H", field]
    answer = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    numbers, _, complaint = answer.partition(" complaint=")
    seen = dict(pair.split("=") for pair in numbers.split())
    return Load(
        done=int(seen["done"]),
        seconds=float(seen["seconds"]),
        bytes=int(seen["bytes"]),
        p50=int(seen["p50"]) / 1e6,
        p99=int(seen["p99"]) / 1e6,
        longest=int(seen["max"]) / 1e6,
        errors=sum(int(seen[name]) for name in ("status", "broken", "refused", "timeout")),
        complaint=complaint.strip(),
    )
