"""A plot of latency against offered load as SVG, readable on light and dark pages and without colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tests.bench.curve import Curve, Point

WIDTH, HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 32, 76, 56
_STYLE = """
  svg { font: 13px system-ui, sans-serif; --ink: #1f2430; --soft: #5d6675; --grid: #dfe3ea; --page: #ffffff;
    --line0: #2f7d4f; --line1: #b4551d; --line2: #2456c4; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e8ebf1; --soft: #a3acbb; --grid: #343b47; --page: #14181f;
      --line0: #6cc492; --line1: #f0965a; --line2: #83a8ff; }
  }
  .page { fill: var(--page); } text { fill: var(--ink); } .soft { fill: var(--soft); }
  .grid { stroke: var(--grid); } .axis { stroke: var(--soft); }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round; } .p50 { stroke-dasharray: 5 4; }
  .of0 { stroke: var(--line0); } .of1 { stroke: var(--line1); } .of2 { stroke: var(--line2); }
  .dot0 { fill: var(--line0); } .dot1 { fill: var(--line1); } .dot2 { fill: var(--line2); }
"""
# A shape for each line, so that it can be told without its colour.
_MARKS = (
    '<circle class="dot{0}" cx="{1}" cy="{2}" r="4"/>',
    '<rect class="dot{0}" x="{3}" y="{4}" width="8" height="8"/>',
    '<path class="dot{0}" d="M{1} {5}l5 9h-10z"/>',
)


class _Frame:
    """Where values come to stand: rates on a linear axis, milliseconds on a logarithmic one."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.most = _ceiling(max(point.rate for point in points))
        self.decades = range(
            math.floor(math.log10(max(min(point.p50_ms for point in points), 0.01))),
            math.ceil(math.log10(max(*(point.p99_ms for point in points), 0.1))) + 1,
        )

    def x(self, rate: float) -> float:
        return round(_LEFT + rate / self.most * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, milliseconds: float) -> float:
        low, high = self.decades[0], self.decades[-1]
        part = (math.log10(max(milliseconds, 10.0**low)) - low) / max(high - low, 1)
        return round(HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM), 1)


def svg(curves: Sequence[Curve], about: str) -> str:
    """Draw p99 (whole lines) and p50 (dashed) of up to three contenders; ``about`` is what the reader must know."""
    drawn = [curve for curve in curves if curve.points][: len(_MARKS)]
    frame = _Frame([point for curve in drawn for point in curve.points])
    title = "Latency against offered load"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">',
        f'<title id="t">{title}</title>',
        f'<desc id="d">{escape(" ".join(_told(curve) for curve in drawn))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        f'<text x="{_LEFT}" y="22" font-weight="600">{title}</text>',
        f'<text class="soft" x="{_LEFT}" y="40" font-size="11">{escape(about)}</text>',
        *_grid(frame),
        *(part for number, curve in enumerate(drawn) for part in _line(frame, number, curve)),
        *_legend(drawn),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _told(curve: Curve) -> str:
    last = curve.points[-1]
    return f"{_plain(curve.what)}: p99 {last.p99_ms:.1f} ms, median {last.p50_ms:.1f} ms at {last.rate:,} requests/s."


def _grid(frame: _Frame) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for decade in frame.decades:
        y = frame.y(10.0**decade)
        parts.append(f'<path class="grid" d="M{_LEFT} {y}H{right}"/>')
        parts.append(f'<text class="soft" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{10.0**decade:g}</text>')
    step = frame.most // 6
    for number in range(7):
        x = frame.x(number * step)
        parts.append(f'<path class="grid" d="M{x} {_TOP}V{bottom}"/>')
        parts.append(f'<text class="soft" x="{x}" y="{bottom + 18}" text-anchor="middle">{number * step:,}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{right}"/>')
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">offered requests per second, one core</text>'
    )
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 8}" text-anchor="end">ms</text>')
    return parts


def _line(frame: _Frame, number: int, curve: Curve) -> list[str]:
    parts = []
    for name in ("p50", "p99"):
        places = [(frame.x(point.rate), frame.y(getattr(point, f"{name}_ms"))) for point in curve.points]
        path = "M" + "L".join(f"{x} {y}" for x, y in places)
        parts.append(f'<path class="line {name} of{number}" d="{path}"/>')
        if name == "p99":
            parts += [_mark(number, x, y) for x, y in places]
    return parts


def _mark(number: int, x: float, y: float) -> str:
    return _MARKS[number].format(number, x, y, round(x - 4, 1), round(y - 4, 1), round(y - 5, 1))


def _legend(curves: Sequence[Curve]) -> list[str]:
    parts, x = [], float(_LEFT)
    for number, curve in enumerate(curves):
        parts.append(_mark(number, x + 5, 54))
        parts.append(f'<text x="{x + 16}" y="58">{escape(_short(curve))}</text>')
        x += 30 + 7.2 * len(_short(curve))
    parts.append(f'<text class="soft" x="{WIDTH - _RIGHT}" y="58" text-anchor="end">whole: p99, dashed: median</text>')
    return parts


def _short(curve: Curve) -> str:
    return _plain(curve.what).partition(",")[0]


def _plain(text: str) -> str:
    return text.replace("`", "")


def _ceiling(rate: int) -> int:
    """Return a round number, not below ``rate``, that six steps divide."""
    step = next(each for each in (100, 200, 250, 500, 1000, 2000, 2500, 5000, 10_000) if each * 6 >= rate)
    return step * 6
