"""README.rst and chart.svg: what was measured, in words, tables and bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from bench.scenarios import Scenario, Start, Turn

__all__ = ["Results", "chart", "readme", "summary"]

#: The turns of each proxy, by its name.
Results = Mapping[str, Sequence[Turn]]

REFERENCE = "Apache"
OURS = "twisted_fcgi"
COLOURS = {OURS: "#2b6cb0", "Apache": "#c05621", "nginx": "#2f855a", "HAProxy": "#718096"}


def _middle(turns: Sequence[Turn], value: Callable[[Turn], float]) -> float:
    return median(value(turn) for turn in turns)


def ratio(results: Results, value: Callable[[Turn], float] = lambda turn: turn.cpu) -> float | None:
    """
    How many times what we use Apache uses: the median of the rounds' ratios.

    :returns: ``None`` when one of both is missing.
    """
    if REFERENCE not in results or OURS not in results:
        return None
    pairs = zip(results[REFERENCE], results[OURS], strict=True)
    return median(value(theirs) / value(ours) for theirs, ours in pairs)


@dataclass(frozen=True)
class Column:
    """One way to look at a turn: a table with a cell for each scenario and proxy."""

    title: str
    cell: Callable[[Sequence[Turn]], str]
    wanted: Callable[[Scenario], bool]
    ratio: bool = False


def _cpu(turns: Sequence[Turn]) -> str:
    value = _middle(turns, lambda turn: turn.cpu) * 1e6
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _rate(turns: Sequence[Turn]) -> str:
    return f"{_middle(turns, lambda turn: turn.rate):,.0f}"


def _latency(turns: Sequence[Turn]) -> str:
    p50 = _middle(turns, lambda turn: turn.p50) * 1e3
    p99 = _middle(turns, lambda turn: turn.p99) * 1e3
    return f"{p50:.1f} / {p99:.1f}"


def _memory(turns: Sequence[Turn]) -> str:
    peak = _middle(turns, lambda turn: turn.memory) / 1e6
    growth = _middle(turns, lambda turn: turn.growth) / 1e6
    return f"{peak:.1f} (+{growth:.1f})"


def _longest(turns: Sequence[Turn]) -> str:
    return f"{max(turn.longest for turn in turns):.2f}"


TABLES = (
    Column(
        "CPU, µs per request (per MB where bodies are large)", _cpu, lambda scenario: True, True
    ),
    Column(
        "Requests (or MB) per second", _rate, lambda scenario: scenario.seconds is not None
    ),
    Column(
        "Latency p50 / p99, ms", _latency,
        lambda scenario: scenario.seconds is not None and not scenario.size,
    ),
    Column("Peak memory (PSS) and growth of the resident size, MB", _memory, lambda s: s.memory),
    Column("All answered within, s", _longest, lambda s: s.memory and not s.size),
)  # fmt: skip


def _grid(rows: Sequence[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        for number, cell in enumerate(row):
            lines.append(f"   {'*' if not number else ' '} - {cell}".rstrip())
    return "\n".join(lines)


def _table(column: Column, names: Sequence[str], all_: Mapping[Scenario, Results]) -> str:
    rows = [["", *names, *(["Apache : ours"] if column.ratio else [])]]
    for scenario, results in all_.items():
        if not column.wanted(scenario):
            continue
        row = [scenario.title]
        row += [column.cell(results[name]) if name in results else "" for name in names]
        if column.ratio:
            times = ratio(results)
            row.append(f"{times:.2f}" if times is not None else "")
        rows.append(row)
    if len(rows) == 1:
        return ""
    return f"**{column.title}**\n\n{_grid(rows)}\n"


def summary(scenario: Scenario, results: Results) -> str:
    """A scenario's outcome for the terminal."""
    lines = [scenario.title]
    for name, turns in results.items():
        errors = sum(turn.errors for turn in turns)
        lines.append(
            f"  {name:13} {_cpu(turns):>7} µs  {_rate(turns):>9}/s  {_latency(turns):>16} ms"
            f"  {_memory(turns):>16} MB  longest {_longest(turns)} s  {errors} errors"
        )
        lines += [f"      {turn.complaint}" for turn in turns if turn.errors]
    times = ratio(results)
    if times is not None:
        lines.append(f"  Apache's CPU : ours = {times:.2f}")
    return "\n".join(lines)


def _startsTable(names: Sequence[str], starts: Mapping[str, Sequence[Start]]) -> str:
    seconds = [f"{median(start.seconds for start in starts[name]):.2f}" for name in names]
    memory = [f"{median(start.memory for start in starts[name]) / 1e6:.1f}" for name in names]
    rows = [["", *names], ["Seconds until it accepts", *seconds], ["Memory (PSS), MB", *memory]]
    return f"**Before the first request**\n\n{_grid(rows)}\n"


def _errors(all_: Mapping[Scenario, Results]) -> str:
    lines = [
        f"- {scenario.title}: {name}: {sum(turn.errors for turn in turns)}"
        f" ({next(turn.complaint for turn in turns if turn.errors)})"
        for scenario, results in all_.items()
        for name, turns in results.items()
        if any(turn.errors for turn in turns)
    ]
    return "\n".join(lines) or "None."


def readme(
    all_: Mapping[Scenario, Results],
    starts: Mapping[str, Sequence[Start]],
    versions: Mapping[str, str],
    circumstances: str,
) -> str:
    """
    The text of README.rst.

    :param all_: the results of all scenarios.
    :param starts: of each proxy, by its name.
    :param versions: of each proxy, by its name.
    :param circumstances: the date, the machine, the rounds.
    """
    names = list(versions)
    tables = [_table(column, names, all_) for column in TABLES]
    tables.append(_startsTable(names, starts))
    text = "\n".join(table for table in tables if table)
    proxies = "\n".join(f"- {name}: {version}" for name, version in versions.items())
    return f"""\
What a proxied request costs
============================

``make bench`` wrote this file and measured all of it in one run: each proxy in front of
the same FastCGI responder (``responder.c``: one thread, epoll), the same load
(``loader.c``), the proxies in turns, round after round.  Numbers are medians of the
rounds.  CPU is that of the proxy's whole tree of processes, as the kernel's scheduler
accounts it.  Apache's CPU divided by ours is the median of the rounds' own ratios, for
the machine's speed varies more from minute to minute than from turn to turn.

{circumstances}

{proxies}

.. image:: chart.svg
   :alt: CPU of each proxy in proportion to Apache's

{text}
Requests that were not answered as they should be
-------------------------------------------------

{_errors(all_)}
"""


def chart(all_: Mapping[Scenario, Results], names: Sequence[str]) -> str:
    """
    The text of chart.svg: each proxy's CPU in proportion to Apache's, shorter is better.

    :param names: of the proxies, in the order of their bars.
    """
    rows = {s: results for s, results in all_.items() if REFERENCE in results}
    costs = {
        (scenario, name): median(
            mine.cpu / theirs.cpu
            for mine, theirs in zip(results[name], results[REFERENCE], strict=True)
        )
        for scenario, results in rows.items()
        for name in names
        if name in results
    }
    left, bar, gap, width = 350, 13, 16, 400
    scale = width / max(costs.values(), default=1)
    height = 50 + len(rows) * (len(names) * bar + gap)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="10" y="20" font-size="14">CPU in proportion to Apache httpd, shorter is'
        " better</text>",
    ]
    for number, name in enumerate(names):
        x = left + number * 110
        colour = COLOURS.get(name, "black")
        parts.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="37">{escape(name)}</text>')
    y = 50
    for scenario in rows:
        middle = y + len(names) * bar / 2 + 4
        parts.append(
            f'<text x="{left - 8}" y="{middle:.0f}" text-anchor="end">{escape(scenario.title)}'
            "</text>"
        )
        for name in names:
            cost = costs.get((scenario, name))
            if cost is not None:
                parts.append(
                    f'<rect x="{left}" y="{y}" width="{cost * scale:.1f}" height="{bar - 2}"'
                    f' fill="{COLOURS.get(name, "black")}"/>'
                    f'<text x="{left + cost * scale + 4:.1f}" y="{y + 10}" font-size="10">'
                    f"{cost:.2f}</text>"
                )
            y += bar
        y += gap
    parts.append("</svg>\n")
    return "\n".join(parts)
