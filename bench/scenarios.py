"""
What the proxies are given to do, and one turn of it.

The responder and the load generator do the same for all of them; see their
sources for the targets.  A row here is a scenario; nothing else knows them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import measure
from bench.programs import load
from bench.proxies import Proxy, Setup

__all__ = ["SCENARIOS", "Scenario", "Start", "Turn", "play"]

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30

#: What a browser sends, and what sites add to it, up to 50 fields with Host.
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.8,de;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=5b1c0f3e9a6d4c2db0a7f1e28c3d4e5f; theme=dark; consent=1",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
)
FIFTY = BROWSER + tuple(
    f"X-Field-Number-{number}: value-{number}-0123456789abcdef" for number in range(40)
)


@dataclass(frozen=True)
class Scenario:
    """
    One kind of work.

    :ivar name: short, for the command line.
    :ivar title: for the tables.
    :ivar size: bytes of a body, in either direction: cost is then told per MB; 0 for
        cost per request.
    :ivar seconds: how long a turn lasts, as a part of the bench's own duration, or
        ``None`` when ``requests`` ends it.
    :ivar rate: connections begun in a second; ``None`` for all at once.
    :ivar rounds: turns of each proxy; ``None`` for the bench's own number.
    :ivar memory: whether memory is what this is about.
    :ivar without: proxies that can't do it.
    """

    name: str
    title: str
    target: str
    connections: int = 32
    seconds: float | None = 1.0
    requests: int | None = None
    body: int = 0
    size: int = 0
    fresh: bool = False
    rate: float | None = None
    fields: tuple[str, ...] = ()
    setup: Setup = field(default_factory=Setup)
    rounds: int | None = None
    memory: bool = False
    without: tuple[str, ...] = ()


SCENARIOS = (
    Scenario("small", "GET, 100 bytes, keep-alive on both sides", "/bytes/100"),
    Scenario("browser", "the same with a browser's 10 header fields", "/bytes/100", fields=BROWSER),
    Scenario("fifty", "the same with 50 header fields", "/bytes/100", fields=FIFTY),
    Scenario(
        "routes", "GET, 100 bytes, behind 1,000 ProxyPass lines", "/bytes/100",
        setup=Setup(routes=1000), without=("HAProxy",),
    ),
    Scenario(
        "hosts", "GET, 100 bytes, the last of 200 virtual hosts", "/bytes/100",
        setup=Setup(hosts=199), without=("HAProxy",),
    ),
    Scenario(
        "two", "GET, 100 bytes, a balancer of 2", "/bytes/100", setup=Setup(members=2),
    ),
    Scenario(
        "thousand", "GET, 100 bytes, a balancer of 1,000", "/bytes/100",
        setup=Setup(members=1000),
    ),
    Scenario(
        "noreuse", "GET, 100 bytes, a connection to the application each", "/bytes/100",
        setup=Setup(reuse=False),
    ),
    Scenario(
        "fresh", "GET, 100 bytes, fresh connections on both sides", "/bytes/100",
        fresh=True, setup=Setup(reuse=False),
    ),
    Scenario(
        "down", "GET, 1 MB", f"/bytes/{MEGABYTE}", connections=8, size=MEGABYTE,
    ),
    Scenario(
        "down8k", "GET, 1 MB in records of 8 KB, as PHP writes them",
        f"/bytes/{MEGABYTE}?record=8184", connections=8, size=MEGABYTE,
    ),
    Scenario(
        "up", "POST, 1 MB", "/upload", connections=8, body=MEGABYTE, size=MEGABYTE,
    ),
    Scenario(
        "down1g", "GET, 1 GB", f"/bytes/{GIGABYTE}", connections=1, seconds=None, requests=1,
        size=GIGABYTE, rounds=2, memory=True,
    ),
    Scenario(
        "up1g", "POST, 1 GB", "/upload", connections=1, seconds=None, requests=1,
        body=GIGABYTE, size=GIGABYTE, rounds=2, memory=True,
    ),
    Scenario(
        "slow", "1,000 requests at a time that take 1 s each", "/delay/1000", connections=1000,
        seconds=None, requests=1000, setup=Setup(concurrency=1000), rounds=2, memory=True,
    ),
    Scenario(
        "slow9k", "9,000 requests at a time that take 5 s each", "/delay/5000",
        connections=9000, seconds=None, requests=9000, setup=Setup(concurrency=9000),
        rate=3000, rounds=1, memory=True, without=("Apache",),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """
    What one proxy did and used in one turn of a scenario.

    :ivar cpu: seconds of CPU per request, or per MB where the scenario has a size.
    :ivar rate: requests or MB per second.
    :ivar errors: requests that were not answered as they should be.
    :ivar memory: most bytes of memory in proportion.
    :ivar growth: by how many bytes the resident size rose.
    """

    cpu: float
    rate: float
    p50: float
    p99: float
    longest: float
    errors: int
    complaint: str
    memory: int
    growth: int


@dataclass(frozen=True)
class Start:
    """
    How a proxy began.

    :ivar seconds: until it accepted.
    :ivar memory: bytes in proportion, before the first request.
    """

    seconds: float
    memory: int


def play(scenario: Scenario, proxy: Proxy, loader: Path, seconds: float) -> Turn:
    """
    Let a proxy do its work once.

    :param loader: the load generator's program.
    :param seconds: how long a turn of ``seconds=1.0`` lasts.
    :raises RuntimeError: when not a single request was answered.
    """
    resident = measure.resetPeak(proxy.pid)
    before = measure.cpuSeconds(proxy.pid)
    with measure.MemoryWatch(proxy.pid, 0.2 if scenario.memory else 60) as memory:
        seen = load(
            loader,
            proxy.port,
            scenario.target,
            connections=scenario.connections,
            seconds=None if scenario.seconds is None else scenario.seconds * seconds,
            requests=scenario.requests,
            body=scenario.body,
            fresh=scenario.fresh,
            rate=scenario.rate,
            fields=scenario.fields,
        )
        time.sleep(0.05)  # what the proxy still does for connections that were closed
    used = measure.cpuSeconds(proxy.pid) - before
    if not seen.done:
        raise RuntimeError(f"{proxy.name}, {scenario.name}: no answer: {seen.complaint}")
    units = seen.done * (scenario.size / MEGABYTE if scenario.size else 1)
    return Turn(
        cpu=used / units,
        rate=units / seen.seconds,
        p50=seen.p50,
        p99=seen.p99,
        longest=seen.longest,
        errors=seen.errors,
        complaint=seen.complaint,
        memory=max(memory.peak, measure.proportional(proxy.pid)),
        growth=max(0, measure.residentPeak(proxy.pid) - resident),
    )
