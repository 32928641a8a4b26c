"""README.rst: what was measured, in words and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.proxies import Proxy, Setup
from bench.scenarios import COMPARISONS, Comparison, Scenario
from bench.turns import Outcome, Turn

__all__ = ["Results", "present", "ratio", "readme", "summary"]

#: What came of each scenario.
Results = Mapping[Scenario, Outcome]


def ratio(outcome: Outcome, over: str, under: str) -> float | None:
    """
    How many times the CPU that one proxy uses another uses: the median of the rounds' ratios.

    :param over: the name of the other.
    :param under: the name of the one.
    :returns: ``None`` when one of both is missing.
    """
    if over not in outcome.turns or under not in outcome.turns:
        return None
    pairs = zip(outcome.turns[over], outcome.turns[under], strict=True)
    return median(theirs.cpu / ours.cpu for theirs, ours in pairs)


@dataclass(frozen=True)
class Table:
    """
    One way to look at a proxy's turns: a row for each scenario, a column for each proxy.

    :ivar ratios: whether the columns of the comparison's ratios follow.
    :ivar goal: whether that of the scenario does.
    """

    title: str
    cell: Callable[[Scenario, Sequence[Turn]], str]
    wanted: Callable[[Scenario], bool]
    ratios: bool = False
    goal: bool = False


def _cpu(scenario: Scenario, turns: Sequence[Turn]) -> str:
    value = median(turn.cpu for turn in turns) * 1e6
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _rate(scenario: Scenario, turns: Sequence[Turn]) -> str:
    return f"{median(turn.rate for turn in turns):,.0f}"


def _latency(scenario: Scenario, turns: Sequence[Turn]) -> str:
    p50 = median(turn.p50 for turn in turns) * 1e3
    p99 = median(turn.p99 for turn in turns) * 1e3
    return f"{p50:.1f} / {p99:.1f}"


def _memory(scenario: Scenario, turns: Sequence[Turn]) -> str:
    peak = median(turn.memory for turn in turns) / 1e6
    growth = median(turn.growth for turn in turns) / 1e6
    return f"{peak:.1f} (+{growth:.1f})"


def _each(scenario: Scenario, turns: Sequence[Turn]) -> str:
    return f"{median(turn.growth for turn in turns) / scenario.connections / 1e3:.1f}"


def _longest(scenario: Scenario, turns: Sequence[Turn]) -> str:
    return f"{max(turn.longest for turn in turns):.2f}"


TABLES = (
    Table(
        "CPU, µs per request (per MB where bodies are 1 MB or more)",
        _cpu, lambda scenario: not scenario.waiting, ratios=True, goal=True,
    ),
    Table(
        "Requests (or MB) per second",
        _rate, lambda scenario: not scenario.waiting,
    ),
    Table(
        "Latency p50 / p99, ms",
        _latency, lambda scenario: not (scenario.waiting or scenario.size),
    ),
    Table("Peak memory (PSS) and how much more it is than before, MB", _memory, lambda s: s.memory),
    Table(
        "What each connection that waits adds to the memory, KB",
        _each, lambda scenario: scenario.waiting and scenario.connections > 1, goal=True,
    ),
    Table("CPU of each connection that waits, µs", _cpu, lambda scenario: scenario.waiting),
    Table("All were answered within, s", _longest, lambda s: s.waiting and not s.idle),
)  # fmt: skip


def _grid(rows: Sequence[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        for number, cell in enumerate(row):
            lines.append(f"   {'*' if not number else ' '} - {cell}".rstrip())
    return "\n".join(lines) + "\n"


def present(comparison: Comparison, all_: Results) -> list[str]:
    """The names of those of a comparison who took part."""
    there = {name for outcome in all_.values() for name in outcome.turns}
    return [kind.name for kind in comparison.kinds if kind.name in there]


def _table(table: Table, comparison: Comparison, all_: Results) -> str:
    scenarios = [s for s in all_ if s.comparison is comparison and table.wanted(s)]
    if not scenarios:
        return ""
    names = present(comparison, all_)
    ratios = [pair for pair in comparison.ratios if table.ratios and set(pair) <= set(names)]
    rows = [["", *names, *map(" : ".join, ratios), *(["Goal"] if table.goal else [])]]
    for scenario in scenarios:
        turns = all_[scenario].turns
        row = [scenario.title]
        row += [table.cell(scenario, turns[name]) if name in turns else "" for name in names]
        for pair in ratios:
            times = ratio(all_[scenario], *pair)
            row.append("" if times is None else f"{times:.2f}")
        rows.append([*row, scenario.goal] if table.goal else row)
    return f"**{table.title}**\n\n{_grid(rows)}"


def summary(scenario: Scenario, outcome: Outcome) -> str:
    """A scenario's outcome for the terminal."""
    lines = [f"{scenario.name}: {scenario.title}"]
    for name, turns in outcome.turns.items():
        cells = [f"{_cpu(scenario, turns):>7} µs", f"{_rate(scenario, turns):>8}/s"]
        cells += [f"{_latency(scenario, turns):>16} ms"]
        if scenario.memory:
            cells += [f"{_memory(scenario, turns):>16} MB"]
        if scenario.waiting and scenario.connections > 1:
            cells += [f"{_each(scenario, turns)} KB each", f"longest {_longest(scenario, turns)} s"]
        lines.append(f"  {name:24}" + "  ".join(cells))
    for over, under in scenario.comparison.ratios:
        times = ratio(outcome, over, under)
        if times is not None:
            lines.append(f"  CPU, {over} : {under} = {times:.2f}")
    return "\n".join(lines + [f"  {trouble}" for trouble in _troubles(outcome)])


def _troubles(outcome: Outcome) -> list[str]:
    return [
        *(f"{name}: left out: {why}" for name, why in outcome.failures.items()),
        *(
            f"{name}: {sum(turn.errors for turn in turns):,} of the requests of all rounds:"
            f" {next(turn.complaint for turn in turns if turn.errors)}"
            for name, turns in outcome.turns.items()
            if any(turn.errors for turn in turns)
        ),
    ]


def _starts(all_: Results) -> str:
    """How each proxy begins, with the plainest configuration."""
    plain = [o.starts for s, o in all_.items() if s.setup == Setup()]
    rows = [["", "Seconds until it accepts", "Memory (PSS), MB", "Resident (RSS), MB"]]
    for comparison in COMPARISONS:
        for name in present(comparison, all_):
            starts = [start[name] for start in plain if name in start]
            if starts:
                seconds = median(start.seconds for start in starts)
                memory = median(start.memory for start in starts) / 1e6
                resident = median(start.resident for start in starts) / 1e6
                rows.append([name, f"{seconds:.2f}", f"{memory:.1f}", f"{resident:.1f}"])
    rows.append(["Goal of ours", "0.5", "", "40"])
    return f"{_heading('Before the first request')}\n{_grid(rows)}"


def _heading(title: str) -> str:
    return f"{title}\n{'-' * len(title)}\n"


def readme(all_: Results, kinds: Sequence[type[Proxy]], circumstances: str) -> str:
    """
    The text of README.rst.

    :param all_: the outcomes of all scenarios.
    :param kinds: the proxies that were there.
    :param circumstances: the date, the machine, the rounds.
    """
    parts = []
    for comparison in COMPARISONS:
        tables = [_table(table, comparison, all_) for table in TABLES]
        if any(tables):
            parts += [_heading(comparison.title), *filter(None, tables)]
    text = "\n".join([*parts, _starts(all_)])
    proxies = "\n".join(f"- {kind.name}: {kind.version()}" for kind in kinds)
    purposes = "\n".join(f"- {scenario.title}: {scenario.purpose}" for scenario in all_)
    troubles: dict[str, list[str]] = {}
    for scenario, outcome in all_.items():
        for trouble in _troubles(outcome):
            troubles.setdefault(trouble, []).append(scenario.title)
    wrong = "\n".join(f"- {'; '.join(where)}: {what}" for what, where in troubles.items())
    return f"""\
What a proxied request costs
============================

``make bench`` wrote this file and measured all of it in one run: each proxy in front of
the same FastCGI responder (``responder.c``: one thread, epoll), the same load
(``loader.c``, over TLS h2load), the proxies in turns, round after round.  Numbers are
medians of the rounds.  CPU is that of the proxy's whole tree of processes, as the
kernel's scheduler accounts it.  A ratio, such as Apache's CPU divided by ours, is the
median of the rounds' own ratios, for the machine's speed varies more from minute to
minute than from turn to turn.

It needs cc, openssl and h2load (Debian: ``nghttp2-client``), and takes those proxies that
are there: the compiled one after ``make native``.

{circumstances}

{proxies}

No proxy writes an access log, limits the requests of a connection or holds bodies back
before it passes them on; all keep idle connections to the application, unless the row
says otherwise.  twisted_fcgi and Apache have the same configuration word for word, but for
``multiplex=on`` and Apache's threads: as many as there are requests at a time, ready
before the first.

.. image:: chart.svg
   :alt: CPU of each proxy in proportion to Apache's

{text}
Requests that were not answered as they should be
-------------------------------------------------

{wrong or "None."}

What each row is for
--------------------

{purposes}
"""
