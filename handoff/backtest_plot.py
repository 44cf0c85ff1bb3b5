"""The trade-off of a sweep as an SVG picture: handoffs, questions back and wrong answers.

Written by hand because a plot of three lines needs no plotting library. It is readable on light and
dark grounds: the colours have contrast on both, and text and axes follow the reader's scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 84, 52
_Y_TICKS = 5
_X_TICKS = 8
_LABEL_ROOM = 150  # pixels that an entry of the legend takes

_LINES = (
    ("handoff_share", "handed over", "#2f7ed8", ""),
    ("clarify_share", "asked back", "#d9822b", "7 4"),
    ("wrong_share", "expected wrong", "#c23b6f", "2 4"),
)
"""Key of a point, name, colour (at least 3:1 on white and on #16191d, WCAG 1.4.11), dashes."""

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1d2329}.t{font-size:16px;font-weight:600}"
    ".g{stroke:#1d2329;stroke-opacity:.16}.a{stroke:#1d2329;stroke-opacity:.7}"
    ".b{fill:#fff}.m{paint-order:stroke;stroke:#fff;stroke-width:5px}"
    "@media(prefers-color-scheme:dark){text{fill:#e8eaed}.g,.a{stroke:#e8eaed}.b{fill:#16191d}"
    ".m{stroke:#16191d}}"
)

Place = Callable[[float], float]


def sweep_svg(sweep: Mapping[str, Any], *, title: str) -> str:
    """The picture of `backtest_report.sweep_report`.

    Args:
        sweep: Points with `value` and the shares, `present` and `lowest_cost`.
        title: Above the picture.
    """
    points: Sequence[Mapping[str, Any]] = sweep["points"]
    values = [point["value"] for point in points]
    highest = max((point[key] for point in points for key, *_ in _LINES), default=0.0)
    step = _nice_step(highest or 0.01, _Y_TICKS)
    top = step * max(1, math.ceil(round(highest / step, 9)))
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    x = _scale(low, high, _LEFT, _WIDTH - _RIGHT)
    y = _scale(0.0, top, _HEIGHT - _BOTTOM, _TOP)
    label, middle = escape(title, {'"': "&quot;"}), (_LEFT + _WIDTH - _RIGHT) // 2
    frame = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}"'
    name = f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
        f"<style>{_STYLE}</style>",
        f'<rect class="b" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="t" x="{_LEFT}" y="28">{escape(title)}</text>',
        *_legend(),
        *_grid(y, top, step),
        *_ticks(x, low, high),
        *(part for line in _LINES for part in _line(line, points, x, y)),
        *_marks(sweep, x),
        f"{name}{escape(str(sweep['name']))}</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _scale(low: float, high: float, start: float, end: float) -> Place:
    if high <= low:
        return lambda _value: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _nice_step(span: float, count: int) -> float:
    """A step of 1, 2 or 5 times a power of ten, about `count` of which make the span."""
    raw = span / count
    power: float = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)


def _legend() -> Iterator[str]:
    for number, (_, name, colour, dashes) in enumerate(_LINES):
        left = _LEFT + number * _LABEL_ROOM
        yield (
            f'<line x1="{left}" x2="{left + 26}" y1="50" y2="50" stroke="{colour}" '
            f'stroke-width="3" stroke-dasharray="{dashes}"/>'
        )
        yield f'<text x="{left + 32}" y="54">{name}</text>'
    yield f'<text x="{_LEFT}" y="{_TOP - 10}">share of turns</text>'


def _grid(y: Place, top: float, step: float) -> Iterator[str]:
    decimals = max(0, -math.floor(math.log10(step)) - 2)
    for number in range(round(top / step) + 1):
        value = number * step
        line = f"{y(value):.1f}"
        kind = "g" if number else "a"
        yield f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{line}" y2="{line}"/>'
        yield (
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
            f"{value * 100:.{decimals}f}%</text>"
        )


def _ticks(x: Place, low: float, high: float) -> Iterator[str]:
    base = _HEIGHT - _BOTTOM
    if high <= low:
        ticks = [low]
    else:
        step = _nice_step(high - low, _X_TICKS)
        first = math.ceil(round(low / step, 9))
        last = math.floor(round(high / step, 9))
        ticks = [number * step for number in range(first, last + 1)]
    for value in ticks:
        yield (
            f'<line class="a" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{base}" y2="{base + 5}"/>'
        )
        yield (
            f'<text x="{x(value):.1f}" y="{base + 20}" text-anchor="middle">'
            f"{round(value, 4):g}</text>"
        )


def _marks(sweep: Mapping[str, Any], x: Place) -> Iterator[str]:
    """The present value, and the one of the lowest cost."""
    present, best = sweep["present"], sweep["lowest_cost"]
    marks = [(present, "now", "4 3"), (best, "lowest cost", "1 3")]
    if present is not None and present == best:
        marks = [(present, "now, lowest cost", "4 3")]
    room = _WIDTH - _RIGHT - 90  # a label that begins further right would be cut off
    for number, (value, name, dashes) in enumerate(marks):
        if value is None:
            continue
        place = x(value)
        anchor, shift = ("end", -5) if place > room else ("start", 5)
        yield (
            f'<line class="a" x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" '
            f'y2="{_HEIGHT - _BOTTOM}" stroke-dasharray="{dashes}"/>'
        )
        yield (
            f'<text class="m" x="{place + shift:.1f}" y="{_TOP + 12 + 16 * number}" '
            f'text-anchor="{anchor}">{name} {round(value, 4):g}</text>'
        )


def _line(
    line: tuple[str, str, str, str], points: Sequence[Mapping[str, Any]], x: Place, y: Place
) -> Iterator[str]:
    key, _, colour, dashes = line
    places = [(x(point["value"]), y(point[key])) for point in points]
    path = " ".join(f"{left:.1f},{down:.1f}" for left, down in places)
    yield (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5" '
        f'stroke-dasharray="{dashes}" stroke-linejoin="round"/>'
    )
    for left, down in places:
        yield f'<circle cx="{left:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>'
