"""``python -m bench``: measure, print, and write README.rst and chart.svg."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import report
from bench.chart import chart
from bench.programs import Programs, Responder
from bench.proxies import Proxy
from bench.scenarios import COMPARISONS, SCENARIOS, Scenario, fitted
from bench.turns import Outcome, play, start

HERE = Path(__file__).parent

#: Open files of a process; with a larger limit some servers prepare themselves for as many.
MOST_FILES = 1 << 16

KINDS = [kind for comparison in COMPARISONS for kind in comparison.kinds]


def options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        *("-k", "--scenario"), metavar="NAME", action="append", help="only this; repeated",
        choices=[scenario.name for scenario in SCENARIOS],
    )  # fmt: skip
    parser.add_argument(
        "--proxy", metavar="NAME", action="append", help="only this; repeated",
        choices=[kind.name for kind in KINDS],
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, help="turns of each proxy")
    parser.add_argument("--seconds", type=float, default=0.8, help="of a turn")
    parser.add_argument(
        "--into", type=Path, default=HERE, help="the directory of README.rst and chart.svg"
    )
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


def directory(stack: ExitStack) -> Path:
    """A directory that is there until the end, and that servers of other users can enter."""
    made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    made.chmod(0o755)
    return made


def measured(
    scenario: Scenario, kinds: list[type[Proxy]], programs: Programs, chosen: argparse.Namespace
) -> Outcome:
    """All rounds of a scenario: the proxies in turns, each warmed up before the first."""
    outcome = Outcome()
    with ExitStack() as stack:
        proxies = []
        for kind in kinds:
            own = directory(stack)
            responder = Responder(programs.responder, own)
            stack.callback(responder.stop)
            proxy = kind(own, responder, programs.certificate, scenario.setup)
            stack.callback(proxy.stop)
            proxies.append(proxy)
            with outcome.watched(proxy):
                outcome.starts[proxy.name] = start(proxy, scenario, programs.loader)
        for _ in range(scenario.rounds or chosen.rounds):
            for proxy in proxies:
                if proxy.name not in outcome.failures:
                    with outcome.watched(proxy):
                        turn = play(scenario, proxy, programs.loader, chosen.seconds)
                        outcome.turns.setdefault(proxy.name, []).append(turn)
    return outcome


def main(words: list[str]) -> int:
    chosen = options(words)
    began = time.monotonic()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    if chosen.list:
        print("\n".join(f"{row.name:12} {fitted(row, files).title}" for row in SCENARIOS))
        return 0
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))  # those we start inherit it
    kinds = [kind for kind in KINDS if kind.program()]
    all_: dict[Scenario, Outcome] = {}
    with ExitStack() as stack:
        programs = Programs.made(directory(stack))
        for row in SCENARIOS:
            if chosen.scenario and row.name not in chosen.scenario:
                continue
            if row.setup.tls and not shutil.which("h2load"):
                print(f"{row.name} is left out: there is no h2load (Debian: nghttp2-client)")
                continue
            scenario = fitted(row, files)
            if scenario.connections < row.connections:
                print(
                    f"{row.name}: {scenario.connections:,} in place of {row.connections:,}: a"
                    f" process may open {files:,} files (ulimit -Hn)"
                )
            able = [
                kind
                for kind in scenario.comparison.kinds
                if kind in kinds and kind.name not in scenario.without
                if not chosen.proxy or kind.name in chosen.proxy
            ]
            all_[scenario] = measured(scenario, able, programs, chosen)
            print(report.summary(scenario, all_[scenario]), flush=True)
    if chosen.into != HERE or not (chosen.scenario or chosen.proxy):
        took = (time.monotonic() - began) / 60
        circumstances = (
            f"{datetime.date.today().isoformat()}, {machine()}, {chosen.rounds} rounds of"
            f" {chosen.seconds:g} s, {took:.0f} minutes in all."
        )
        chosen.into.mkdir(parents=True, exist_ok=True)
        (chosen.into / "README.rst").write_text(report.readme(all_, kinds, circumstances))
        (chosen.into / "chart.svg").write_text(chart(all_))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
