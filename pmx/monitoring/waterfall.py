"""The picture of a walk from wish to weight: a bar for what was asked for, one for each rule, one for what is held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape, unescape
from typing import TYPE_CHECKING

import numpy as np

from pmx.arguments import checked
from pmx.monitoring import charts
from pmx.monitoring.tables import percent, price
from pmx.monitoring.walks import RESIDUAL, THROUGH_ZERO, Step, Walk, taken, walk_of
from pmx.projection import Allocation
from pmx.projection.explain import SIGN, UNEXPLAINED, RuleReading
from pmx.projection.program import Array

if TYPE_CHECKING:
    import plotly.graph_objects as go

TARGET, WEIGHT = "#868e96", charts.LINES[0]
#: What a rule is about, by the first part of its name.
ABOUT = {
    "barbell": "safe floor, all risk",
    "bucket": "bucket",
    "clamp": "bucket",
    "market": "market, symbol",
    "symbol": "market, symbol",
    "cash": "whole portfolio",
    "leverage": "whole portfolio",
    "volatility": "whole portfolio",
    "turnover": "trading",
    "liquidity": "trading",
    "gate": "trading",
    "custom": "your own",
}
NO_RULE, SEVERAL = "no rule", "several rules"
COLOURS = {
    "safe floor, all risk": charts.FLOOR,
    "bucket": "#c96f14",
    "market, symbol": "#5f3dc4",
    "whole portfolio": "#2b8a3e",
    "trading": "#8a6d3b",
    "your own": "#1098ad",
    SEVERAL: "#adb5bd",
    NO_RULE: "#ced4da",
}
HATCHED = {"shape": "/", "bgcolor": COLOURS[SEVERAL], "fgcolor": "white", "size": 6, "solidity": 0.35}
#: Columns of an attribution that are not rules.
NOT_RULES = {
    SIGN: "the position stops at zero, since a wish never changes its sign",
    THROUGH_ZERO: "the wish is on the other side of zero; rules on trading did not let the position get there",
    UNEXPLAINED: "what the prices do not account for, since they are not sharp",
    RESIDUAL: "the residual symbol takes what the rules leave above the minimum of cash",
    "turnover.cost": "the cost of trading in the objective",
}
#: Pixels of a bar with the gap to the next, of the axis and title around them, and of a letter.
ROW, AROUND, LEGEND, LETTER = 27, 68, 30, 6.3
#: Rules that are told one by one where the pointer rests on a bar.
TOLD = 10


@checked
def waterfall(allocation: Allocation, symbol: str | None = None, bucket: str | None = None) -> go.Figure:
    """Draw how the rules led from what was asked for to what is held.

    One bar is the wish, one the weight, and each one between them what a rule took or gave; with the wish they add up
    to the weight. All are signed fractions of NAV. Where longs and shorts are added up they are drawn on either side of
    zero, each with its own walk. Rules that moved less than a twentieth of a basis point are one bar together, and so
    are rules that pull against each other much harder than the wish is large.

    Parameters
    ----------
    allocation : Allocation
        The answer.
    symbol : str, optional
        Draw this symbol, over all its buckets or in ``bucket`` alone.
    bucket : str, optional
        Draw this bucket. Without either, all positions are drawn together.

    Returns
    -------
    plotly.graph_objects.Figure
        Resting on a bar tells its rules: who set them, their shadow prices, and whether these are the only ones.

    Raises
    ------
    DataError
        When the allocation has no such position.

    Examples
    --------
    >>> import pandas as pd, pmx
    >>> from pmx.monitoring import waterfall
    >>> answer = pmx.project_to_feasible({"SP500": 0.30, "WTI": 0.05}, pmx.load_policy())
    >>> waterfall(answer, symbol="SP500").layout.yaxis.ticktext
    ('target', 'symbol.SP500.cap', 'weight')
    """
    return draw(walk_of(allocation, symbol, bucket), {rule.name: rule for rule in allocation.readings})


def draw(
    walk: Walk, rules: Mapping[str, RuleReading], *, legend: bool = True, labels: float | None = None
) -> go.Figure:
    """Draw a walk.

    Parameters
    ----------
    walk : Walk
        What happened.
    rules : mapping of str to RuleReading
        The rules by name.
    legend : bool
        Whether to say which colour is what.
    labels : float, optional
        Pixels for the names at the left; as many as they need if omitted.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    sides = [side for side in (0, 1) if _used(walk, side)] or [0]
    for side in sides:
        _draw_side(figure, walk, side, rules)
    legend = legend and bool(walk.steps)
    for colour, kind in key([walk]) if legend else ():
        figure.add_bar(y=[None], x=[None], name=kind, marker={"color": colour}, orientation="h")
    names = [label(walk, row) for row in range(len(walk.steps) + 2)]
    below = LEGEND if legend else 0
    left = widest([walk]) if labels is None else labels
    figure.update_layout(
        **charts.LOOK,
        height=AROUND + ROW * len(names) + below,
        margin={"l": left, "r": 14, "t": 40, "b": 28 + below},
        title={"text": title(walk), "font": {"size": 13}, "x": 0.0, "xanchor": "left", "xref": "container",
               "y": 1.0, "yanchor": "top", "yref": "container", "pad": {"l": 8, "t": 12}},
        legend={"orientation": "h", "x": 0.0, "y": 0.0, "yref": "container", "yanchor": "bottom"},
        hovermode="closest",
        hoverlabel={"bgcolor": "white", "bordercolor": "#868e96", "align": "left", "font": {"color": "#343a40"}},
        barmode="overlay",
        showlegend=legend,
    )  # fmt: skip
    low, high = _range(walk, sides)
    figure.update_xaxes(
        range=[low, high],
        tickformat=_ticks(high - low),
        nticks=10 if legend else 6,
        gridcolor="#e9ecef",
        zeroline=False,
    )
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.5], tickvals=list(range(len(names))), ticktext=names, showgrid=False, zeroline=False
    )
    figure.add_vline(x=0.0, line={"color": "#495057", "width": 1}, layer="above")
    return figure


def _draw_side(figure: go.Figure, walk: Walk, side: int, rules: Mapping[str, RuleReading]) -> None:
    for row, colour, start, move, told, hatched in _bars(walk, side, rules):
        figure.add_bar(
            y=[row], x=[move], base=[start], orientation="h", showlegend=False, hovertext=[told],
            hovertemplate="%{hovertext}<extra></extra>", width=0.66,
            marker={"color": colour, "line": {"color": colour, "width": 1}, "pattern": HATCHED if hatched else {}},
        )  # fmt: skip
    _connect(figure, walk, side)
    _write(figure, walk, side)


def label(walk: Walk, row: int) -> str:
    """Return the name beside a bar, as plotly's HTML."""
    if row == 0:
        return "target"
    if row > len(walk.steps):
        return "weight"
    step = walk.steps[row - 1]
    return "<br>".join(map(escape, opposed(step) if step.opposing else [step.name]))


def opposed(step: Step) -> list[str]:
    """Return what rules that pull against each other took, and what they gave."""
    lines = []
    for verb, sign in (("took", 1.0), ("gave", -1.0)):
        side = {rule: sign * taken(move) for rule, move in step.rules.items() if sign * taken(move) > 0.0}
        if side:
            name = next(iter(side)) if len(side) == 1 else f"{len(side)} rules"
            lines.append(f"{name} {verb} {level(sum(side.values()))}")
    return lines or [step.name]


def title(walk: Walk) -> str:
    """Return what was asked for and what is held, as plotly's HTML."""
    sides = [side for side in (0, 1) if _used(walk, side)] or [0]
    words = ("long ", "short ") if len(sides) > 1 else ("", "")
    parts = [f"{words[side]}{level(walk.target[side])} → {level(walk.weight[side])}" for side in sides]
    nothing = "the policy layer is switched off: there are no rules" if walk.bypassed else "no rule moved anything"
    said = "" if walk.steps else f"   <i>{nothing}</i>"
    return f"<b>{escape(walk.name)}</b>   {', '.join(parts)}{said}"


def key(walks: Sequence[Walk]) -> list[tuple[str, str]]:
    """Return the colours in some pictures and what they stand for, as (colour, words)."""
    kinds = dict.fromkeys(kind_of(step) for walk in walks for step in walk.steps)
    return [(COLOURS[kind], kind) for kind in COLOURS if kind in kinds]


def widest(walks: Sequence[Walk]) -> float:
    """Return how many pixels the names beside the bars of some walks need."""
    names = (label(walk, row) for walk in walks for row in range(len(walk.steps) + 2))
    return 16.0 + LETTER * max(len(unescape(line)) for name in names for line in name.split("<br>"))


def level(value: float) -> str:
    """Return a weight in percent, in basis points where it is small.

    Examples
    --------
    >>> level(0.1234), level(0.00004), level(-1e-12), level(0.0)
    ('12.34%', '0.4 bp', '≈ 0', '0.00%')
    """
    if 0.0 < abs(value) < 5e-4:
        return f"{1e4 * value:.2g} bp" if abs(value) > 1e-7 else "≈ 0"
    return f"{100.0 * value:,.0f}%" if abs(value) >= 10.0 else percent(value)


def signed(move: float) -> str:
    """Return a move with its sign, in percent, in basis points where it is small.

    Examples
    --------
    >>> signed(-0.0123), signed(0.00004), signed(-128.2)
    ('-1.23%', '+0.4 bp', '-12,820%')
    """
    if 0.0 < abs(move) < 5e-4:
        return f"{1e4 * move:+.2g} bp" if abs(move) > 1e-7 else "≈ 0"
    return f"{100.0 * move:+,.0f}%" if abs(move) >= 10.0 else f"{round(100.0 * move, 2) + 0.0:+.2f}%"


def _used(walk: Walk, side: int) -> bool:
    return bool(walk.target[side] or walk.weight[side] or any(step.move[side] for step in walk.steps))


def _bars(
    walk: Walk, side: int, rules: Mapping[str, RuleReading]
) -> Iterator[tuple[int, str, float, float, str, bool]]:
    """Yield row, colour, start, length, what is told, and whether it is hatched, for each bar of one side."""
    target, weight = float(walk.target[side]), float(walk.weight[side])
    yield 0, TARGET, 0.0, target, f"<b>target</b> {level(target)}{_of(walk)}", False
    for row, (step, start) in enumerate(zip(walk.steps, walk.levels[:, side].tolist(), strict=False), start=1):
        told = "<br>".join(_told(step, rules))
        yield row, COLOURS[kind_of(step)], start, float(step.move[side]), told, step.opposing
    yield len(walk.steps) + 1, WEIGHT, 0.0, weight, f"<b>weight</b> {level(weight)}{_of(walk)}", False


def _of(walk: Walk) -> str:
    return f", {walk.positions:,} positions" if walk.positions > 1 else ""


def _told(step: Step, rules: Mapping[str, RuleReading]) -> Iterator[str]:
    """Yield lines on the rules of a step, the ones that moved most first."""
    if len(step.rules) > 1:
        yield f"<b>{escape(step.name)}</b> {_moved(step.move)} in all"
    order = sorted(step.rules.items(), key=lambda item: -float(np.abs(item[1]).sum()))
    for name, move in order[:TOLD]:
        yield f"<b>{escape(name)}</b> {_moved(move)}"
        if name in rules:
            yield f"  {escape(_about(rules[name]))}"
        elif name in NOT_RULES:
            yield f"  {NOT_RULES[name]}"
    if len(order) > TOLD:
        yield f"and {len(order) - TOLD} more"


def _moved(move: Array) -> str:
    return f"longs {signed(move[0])}, shorts {signed(move[1])}" if move.all() else signed(move.sum())


def _about(rule: RuleReading) -> str:
    words = [rule.source, "hard" if rule.hard else "soft"]
    if rule.side != "max":
        words.append(f"{'at least' if rule.side == 'min' else 'exactly'} {level(rule.bound)}")
    if rule.shadow_price > 0.0:
        words.append(f"shadow price {price(rule.shadow_price)}" + ("" if rule.unique else ", one of several"))
    if rule.violation > 0.0 and not rule.hard:
        words.append(f"gave way by {level(rule.violation)}")
    return " · ".join(words)


def kind_of(step: Step) -> str:
    """Return what the rules of a step are about, as in `COLOURS`."""
    kinds = {NO_RULE if name in (SIGN, THROUGH_ZERO, UNEXPLAINED, RESIDUAL) else
             ABOUT.get(name.split(".")[0], "your own") for name in step.rules}  # fmt: skip
    return kinds.pop() if len(kinds) == 1 else SEVERAL


def _connect(figure: go.Figure, walk: Walk, side: int) -> None:
    """Lead a thin line from the end of each bar to the next."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, at in enumerate(walk.levels[:, side].tolist()):
        x += [at, at, None]
        y += [row + 0.33, row + 0.67, None]
    line = {"color": "#adb5bd", "width": 1}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)


def _write(figure: go.Figure, walk: Walk, side: int) -> None:
    """Write what each bar amounts to beside it, away from zero."""
    ends = _ends(walk, side)
    amounts = [level(float(walk.target[side])), *(signed(float(step.move[side])) for step in walk.steps)]
    amounts.append(level(float(walk.weight[side])))
    left = bool(side)
    for row, text in enumerate(amounts):
        moved = 0 < row <= len(walk.steps)
        if moved and not walk.steps[row - 1].move[side]:
            continue
        figure.add_annotation(
            x=float(ends[row, 0 if left else 1]), y=row, text=text if moved else f"<b>{text}</b>", showarrow=False,
            xanchor="right" if left else "left", xshift=-4 if left else 4, font={"size": 11.5}, borderpad=0,
            bgcolor="rgba(255,255,255,0.75)",
        )  # fmt: skip


def _ends(walk: Walk, side: int) -> Array:
    """Return the left and right end of each bar of one side, shape (rows, 2)."""
    levels = np.concatenate([walk.levels[:, side], [0.0]])
    before = np.concatenate([[0.0], levels[:-1]])
    levels[-1] = walk.weight[side]
    before[-1] = 0.0
    return np.sort(np.array([before, levels]).T, axis=1)


def _range(walk: Walk, sides: list[int]) -> tuple[float, float]:
    """Return an axis with room for what is written beside the bars."""
    ends = np.array([_ends(walk, side) for side in sides])
    low, high = min(float(ends.min()), 0.0), max(float(ends.max()), 0.0)
    span = max(high - low, 1e-6)
    return low - (0.24 if 1 in sides else 0.03) * span, high + (0.24 if 0 in sides else 0.03) * span


def _ticks(span: float) -> str:
    return ".0%" if span > 0.06 else ".1%" if span > 0.006 else ".2%" if span > 0.0006 else ".3%"
