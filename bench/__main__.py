"""``python -m bench``: measure, print, and write README.rst and chart.svg."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import report
from bench.measure import proportional
from bench.programs import Responder, build, load
from bench.proxies import PROXIES, Proxy
from bench.scenarios import SCENARIOS, Scenario, Start, Turn, play

HERE = Path(__file__).parent


def options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("-k", metavar="NAME", action="append", help="only this scenario; repeated")
    parser.add_argument("--proxy", metavar="NAME", action="append", help="only this; repeated")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each proxy")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a turn")
    parser.add_argument("--list", action="store_true", help="print the scenarios' names")
    return parser.parse_args(words)


def machine() -> str:
    """The machine in a few words."""
    model = "?"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} CPUs ({model}), Linux {platform.release().partition('-')[0]}"


def measured(
    scenario: Scenario,
    kinds: list[type[Proxy]],
    responder: Responder,
    loader: Path,
    chosen: argparse.Namespace,
    starts: dict[str, list[Start]],
) -> dict[str, list[Turn]]:
    """All rounds of a scenario: the proxies in turns, each warmed up before the first."""
    results: dict[str, list[Turn]] = {}
    with ExitStack() as stack:
        proxies = []
        for kind in kinds:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            directory.chmod(0o755)
            proxy = kind(directory, responder.port, scenario.setup)
            stack.callback(proxy.stop)
            proxy.wait()
            start = Start(proxy.startedIn, proportional(proxy.pid))
            starts.setdefault(proxy.name, []).append(start)
            load(loader, proxy.port, "/bytes/100", connections=16, requests=1000)
            proxies.append(proxy)
        for _ in range(scenario.rounds or chosen.rounds):
            for proxy in proxies:
                turn = play(scenario, proxy, loader, chosen.seconds)
                results.setdefault(proxy.name, []).append(turn)
    return results


def main(words: list[str]) -> int:
    chosen = options(words)
    if chosen.list:
        print("\n".join(f"{scenario.name:10} {scenario.title}" for scenario in SCENARIOS))
        return 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kinds = [
        kind
        for kind in PROXIES
        if kind.program() and (not chosen.proxy or kind.name in chosen.proxy)
    ]
    all_: dict[Scenario, dict[str, list[Turn]]] = {}
    starts: dict[str, list[Start]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, ExitStack() as stack:
        loader = build("loader", Path(directory))
        responder = Responder(build("responder", Path(directory)))
        stack.callback(responder.stop)
        for scenario in SCENARIOS:
            if chosen.k and scenario.name not in chosen.k:
                continue
            able = [kind for kind in kinds if kind.name not in scenario.without]
            all_[scenario] = measured(scenario, able, responder, loader, chosen, starts)
            print(report.summary(scenario, all_[scenario]), flush=True)
    if not chosen.k and not chosen.proxy:
        versions = {kind.name: kind.version() for kind in kinds}
        circumstances = (
            f"{datetime.date.today().isoformat()}, {machine()}, {chosen.rounds} rounds of"
            f" {chosen.seconds:g} s."
        )
        (HERE / "README.rst").write_text(report.readme(all_, starts, versions, circumstances))
        (HERE / "chart.svg").write_text(report.chart(all_, list(versions)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
