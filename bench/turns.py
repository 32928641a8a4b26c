"""One turn of a proxy in a scenario, and what it used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import measure
from bench.programs import Load, load, loadTLS
from bench.proxies import Proxy
from bench.scenarios import MEGABYTE, Scenario

__all__ = ["Outcome", "Start", "Turn", "play", "start"]


@dataclass(frozen=True)
class Turn:
    """
    What one proxy did and used in one turn of a scenario.

    :ivar cpu: seconds of CPU per request, or per MB where the scenario has a size.
    :ivar rate: requests or MB per second.
    :ivar errors: requests that were not answered as they should be.
    :ivar memory: most bytes of memory in proportion.
    :ivar growth: by how many bytes that is more than before.
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
    :ivar resident: bytes of its processes, what they share counted for each.
    """

    seconds: float
    memory: int
    resident: int


def start(proxy: Proxy, scenario: Scenario, loader: Path) -> Start:
    """
    Wait for a proxy, and warm it up.

    :param loader: the load generator's program.
    :raises RuntimeError: when it does not start, or answers wrongly.
    """
    proxy.wait()
    time.sleep(0.1)  # for those who accept before all of their processes are there
    began = Start(proxy.startedIn, measure.proportional(proxy.pid), measure.resident(proxy.pid))
    small = not (scenario.size or scenario.waiting)
    warm = replace(
        scenario,
        target=scenario.target if small else "/bytes/100",
        seconds=None,
        requests=500 + 2 * scenario.setup.members,
        body=0,
        rate=None,
        idle=None,
    )
    for connections in (1, 8):  # one at first, for whoever asks what he may multiplex
        seen = _load(replace(warm, connections=connections), proxy, loader, 1)
        if seen.errors:
            raise RuntimeError(f"answers wrongly: {seen.complaint}")
    return began


def play(scenario: Scenario, proxy: Proxy, loader: Path, seconds: float) -> Turn:
    """
    Let a proxy do its work once.

    :param loader: the load generator's program.
    :param seconds: how long a turn of ``seconds=1.0`` lasts.
    :raises RuntimeError: when the proxy ended, or not a single request was answered.
    """
    memory = measure.proportional(proxy.pid)
    before = measure.cpuSeconds(proxy.pid)
    with measure.MemoryWatch(proxy.pid, 0.1 if scenario.memory else None) as watch:
        seen = _load(scenario, proxy, loader, seconds)
        time.sleep(0.05)  # what the proxy still does for connections that were closed
    used = measure.cpuSeconds(proxy.pid) - before
    if proxy.process.poll() is not None:
        raise RuntimeError("ended")
    if not seen.done:
        raise RuntimeError(f"no answer: {seen.complaint}")
    units = seen.done * (scenario.size / MEGABYTE if scenario.size else 1)
    return Turn(
        cpu=used / units,
        rate=units / seen.seconds,
        p50=seen.p50,
        p99=seen.p99,
        longest=seen.longest,
        errors=seen.errors,
        complaint=seen.complaint,
        memory=watch.peak,
        growth=max(0, watch.peak - memory),
    )


def _load(scenario: Scenario, proxy: Proxy, loader: Path, seconds: float) -> Load:
    lasting = None if scenario.seconds is None else scenario.seconds * seconds
    if scenario.setup.tls:
        return loadTLS(
            proxy.directory,
            proxy.port,
            scenario.target,
            connections=scenario.connections,
            streams=scenario.streams,
            requests=int((scenario.requests or 0) * (lasting or 1)),
        )
    return load(
        loader,
        proxy.port,
        scenario.target,
        connections=scenario.connections,
        seconds=lasting,
        requests=scenario.requests,
        body=scenario.body,
        fresh=scenario.fresh,
        rate=scenario.rate,
        idle=scenario.idle,
        fields=scenario.fields,
    )


@dataclass
class Outcome:
    """
    What came of a scenario, by the proxies' names.

    :ivar failures: why a proxy has no turns.
    """

    turns: dict[str, list[Turn]] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def watched(self, proxy: Proxy) -> Iterator[None]:
        """A proxy that fails in this block leaves the scenario; the others go on."""
        try:
            yield
        except RuntimeError as error:
            self.turns.pop(proxy.name, None)
            self.failures[proxy.name] = f"{error} {proxy.said()}".strip()
