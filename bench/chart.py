"""chart.svg: what was measured, in bars."""

from __future__ import annotations

from html import escape
from statistics import median

from bench.report import Results, present
from bench.scenarios import COMPARISONS

__all__ = ["chart"]

COLOURS = {
    "twisted_fcgi": "#2b6cb0",
    "compiled": "#63b3ed",
    "Apache": "#c05621",
    "nginx": "#2f855a",
    "HAProxy": "#718096",
    "FastCGIResource": "#2b6cb0",
    "compiled resource": "#63b3ed",
    "twisted.web hello world": "#c05621",
}

#: Places, in pixels.
LEFT, WIDTH, BAR, GAP, HEAD = 370, 400, 13, 16, 34


def chart(all_: Results) -> str:
    """
    The text of chart.svg: each proxy's CPU in proportion to its comparison's base.

    Shorter is better.  What waits is not in it: of that, memory counts.
    """
    parts: list[str] = []
    y = 10
    costs = {
        (scenario, name): median(
            mine.cpu / base.cpu
            for mine, base in zip(turns, outcome.turns[scenario.comparison.base], strict=True)
        )
        for scenario, outcome in all_.items()
        if scenario.comparison.base in outcome.turns and not scenario.waiting
        for name, turns in outcome.turns.items()
    }
    scale = WIDTH / max(costs.values(), default=1)
    for comparison in COMPARISONS:
        names = present(comparison, all_)
        rows = dict.fromkeys(scenario for scenario, _ in costs if scenario.comparison is comparison)
        if not rows:
            continue
        title = f"CPU in proportion to {comparison.base}, shorter is better"
        parts.append(f'<text x="10" y="{y + 12}" font-size="14">{title}</text>')
        x = LEFT
        for name in names:
            parts.append(_box(x, y + 20, 10, 10, name))
            parts.append(f'<text x="{x + 15}" y="{y + 29}">{escape(name)}</text>')
            x += 40 + 7 * len(name)
        y += HEAD + 8
        for scenario in rows:
            middle = y + len(names) * BAR / 2 + 4
            title = escape(scenario.title)
            parts.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{title}</text>')
            for name in names:
                cost = costs.get((scenario, name))
                if cost is not None:
                    end = LEFT + cost * scale
                    parts.append(_box(LEFT, y, cost * scale, BAR - 2, name))
                    parts.append(
                        f'<text x="{end + 4:.1f}" y="{y + 10}" font-size="10">{cost:.2f}</text>'
                    )
                y += BAR
            y += GAP
    size = f'width="{LEFT + WIDTH + 60}" height="{y}"'
    font = 'font-family="sans-serif" font-size="12"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
            '<rect width="100%" height="100%" fill="white"/>',
            *parts,
            "</svg>\n",
        )
    )


def _box(x: float, y: float, width: float, height: float, name: str) -> str:
    colour = COLOURS.get(name, "black")
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'
