"""Plots lines as SVG without a library. bench/load writes the plots beside its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["plot"]

WIDTH, HEIGHT, LEFT, EDGE = 720, 380, 64, 48
COLOURS = ("#00798c", "#d1495b", "#edae49", "#66a182")

Line = Sequence[tuple[float, float]]


def plot(
    path: Path, *, title: str, across: str, up: str, lines: Mapping[str, Line], limit: float | None = None
) -> None:
    """Write the plot. Both axes begin at zero; ``limit`` is a dashed line."""
    points = [point for line in lines.values() for point in line]
    high_x = max(x for x, _ in points) or 1.0
    high_y = max([y for _, y in points] + ([limit] if limit else [])) * 1.1 or 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + (WIDTH - LEFT - EDGE) * x / high_x, HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * y / high_y

    right = WIDTH - EDGE
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        'font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="13">{title}</text>',
        f'<text x="{right}" y="{HEIGHT - 12}" text-anchor="end">{across}</text>',
        f'<text x="8" y="{EDGE - 10}">{up}</text>',
    ]
    for y in _ticks(high_y):
        _, height = at(0, y)
        out.append(f'<path d="M{LEFT} {height:.1f}H{right}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in _ticks(high_x):
        out.append(f'<text x="{at(x, 0)[0]:.1f}" y="{HEIGHT - EDGE + 16}" text-anchor="middle">{x:g}</text>')
    if limit is not None:
        _, height = at(0, limit)
        out.append(f'<path d="M{LEFT} {height:.1f}H{right}" stroke="#888" stroke-dasharray="5 4"/>')
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
        out.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in line:
            x, y = at(*point)
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">')
            out.append(f"<title>{name}: {point[0]:g}, {point[1]:.4g}</title></circle>")
        out.append(f'<text x="{LEFT + 10 + 150 * number}" y="{EDGE - 10}" fill="{colour}">{name}</text>')
    path.write_text("\n".join([*out, "</svg>"]) + "\n")


def _ticks(high: float) -> list[float]:
    """Return about five round numbers from zero to ``high``."""
    step = 10.0 ** math.floor(math.log10(high / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if high / (step * factor) <= 6)
    return [step * number for number in range(math.floor(high / step) + 1)]
