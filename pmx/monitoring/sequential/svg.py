"""The few shapes that the picture of a comparison is made of, as SVG text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

INK, SOFT, GRID, GREEN = "#343a40", "#5c646c", "#e9ecef", "#2b8a3e"


def document(wide: float, high: float, parts: Iterable[str]) -> str:
    """Return a whole picture on white ground."""
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">'
    )
    return "\n".join([opening, rect(0.0, 0.0, wide, high, "#fff"), *parts, "</svg>"]) + "\n"


def text(
    x: float, y: float, words: str, *, anchor: str = "start", colour: str = "", bold: bool = False, size: int = 0
) -> str:
    """Return words; ``anchor`` says whether x is their start, middle or end."""
    style = {
        "text-anchor": "" if anchor == "start" else anchor,
        "fill": colour,
        "font-weight": "bold" if bold else "",
        "font-size": size or "",
    }
    given = "".join(f' {name}="{value}"' for name, value in style.items() if value)
    return f'<text x="{x:.1f}" y="{y:.1f}"{given}>{escape(words)}</text>'


def upright(x: float, y: float, words: str) -> str:
    """Return words that run from bottom to top, with their middle at (x, y)."""
    return f'<text transform="translate({x:.1f},{y:.1f}) rotate(-90)" text-anchor="middle">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "") -> str:
    """Return a straight line."""
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'


def path(points: Iterable[tuple[float, float]], colour: str) -> str:
    """Return a line through points."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2.4" stroke-linejoin="round"/>'


def rect(x: float, y: float, wide: float, high: float, colour: str) -> str:
    """Return a filled rectangle."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{colour}"/>'


def dot(x: float, y: float, radius: float, colour: str, *, hollow: bool = False) -> str:
    """Return a dot, filled or hollow."""
    paint = f'fill="#fff" fill-opacity="0.6" stroke="{colour}"' if hollow else f'fill="{colour}" fill-opacity="0.72"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {paint}/>'


def star(x: float, y: float) -> str:
    """Return the star that stands for the joint answer."""
    turns = [k * math.pi / 5.0 for k in range(10)]
    radii = (11.0, 4.6) * 5
    points = [(x + r * math.sin(turn), y - r * math.cos(turn)) for turn, r in zip(turns, radii, strict=True)]
    corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f'<polygon points="{corners}" fill="{GREEN}" stroke="#fff" stroke-width="1.4"/>'
