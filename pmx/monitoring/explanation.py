"""What the rules did to one allocation, as a self-contained HTML page: in words, in pictures, and in tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

import pmx
from pmx.arguments import checked
from pmx.monitoring import charts, tables
from pmx.monitoring.page import (
    SCRIPT,
    cards,
    figure,
    folded,
    heading,
    page,
    paragraph,
    preformatted,
    side_by_side,
    swatches,
    table,
)
from pmx.monitoring.walks import SMALL, Walk, add_up, taken, walk_of
from pmx.monitoring.waterfall import NOT_RULES, draw, key, level, widest
from pmx.policy import Policy
from pmx.projection import RELAXED_ABOVE, Allocation
from pmx.projection.explain import RuleReading
from pmx.projection.prohibition import prohibitions

#: Symbols that are drawn one by one; the others are added up.
SYMBOLS = 12
#: Lines of words, and rules with room left, that are not folded away.
LINES, ROOMY = 24, 12
#: Where rules with room left begin in the order of the table.
ROOM = (3, -np.inf)
#: Rules that the summary names, and the least that is worth it: a basis point.
MENTIONED, WORTH_A_WORD = 4, 1e-4
TITLE = "What the rules did"


@checked
def write_explanation(
    path: str | Path,
    allocation: Allocation,
    *,
    title: str = TITLE,
    notes: Sequence[str] = (),
    policy: Policy | None = None,
    as_of: date | None = None,
    nav: float | None = None,
) -> Path:
    """Write the page of `explanation_html` to a file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    file = Path(path)
    content = explanation_html(allocation, title=title, notes=notes, policy=policy, as_of=as_of, nav=nav)
    file.write_text(content, encoding="utf-8")
    return file


@checked
def explanation_html(
    allocation: Allocation,
    *,
    title: str = TITLE,
    notes: Sequence[str] = (),
    policy: Policy | None = None,
    as_of: date | None = None,
    nav: float | None = None,
) -> str:
    """Return what the rules did to an allocation as one HTML page that loads nothing from elsewhere.

    Parameters
    ----------
    allocation : Allocation
        The answer.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs under the heading.
    policy : Policy, optional
        Whose place and fingerprint are shown; the allocation's own when omitted.
    as_of : date, optional
        Date of the decision.
    nav : float, optional
        NAV that the weights are fractions of, base currency.

    Returns
    -------
    str
        HTML: what was decided when and under which policy, key figures, the explanation in words, waterfalls of each
        bucket and of the symbols that changed most (the others added up), the rules with prohibitions and those that
        bind first, and the certificate.
    """
    policy = allocation.policy if policy is None else policy
    body = [
        *_head(allocation, title, notes, _circumstances(policy, as_of, nav)),
        *_words(allocation),
        *_pictures(allocation),
        *_rules(allocation),
        heading("Certificate"),
        paragraph(f"{_sentence(tables.certificate_line(allocation.certificate))}."),
        f"<footer>pmx {pmx.__version__}{'' if policy is None else f' · policy {policy.fingerprint[:16]}'}</footer>",
    ]
    return page(title, body, [charts.plotly_js(), SCRIPT])


def _circumstances(policy: Policy | None, as_of: date | None, nav: float | None) -> list[str]:
    """Return the date, the NAV and the policy of a decision, as far as they are known."""
    currency = "" if policy is None else f" {policy.risk_buckets.portfolio.base_currency}"
    known = [f"{as_of:%d %B %Y}"] if as_of is not None else []
    known += [f"NAV {nav:,.2f}{currency}"] if nav is not None else []
    lines = [f"Decision of {', '.join(known)}." if as_of is not None else f"{known[0]}."] if known else []
    return lines if policy is None else [*lines, f"Policy: {policy.origin}. Fingerprint {policy.fingerprint}."]


def _head(allocation: Allocation, title: str, notes: Sequence[str], circumstances: Sequence[str]) -> Iterator[str]:
    target, weight = allocation.target, allocation.positions
    changed = int(_changed(allocation).sum())
    verdict = {0: "none was changed", len(target): "all were changed"}.get(changed, f"{changed:,} of them were changed")
    shorts = ", longs and shorts counted alike" if (target < 0.0).any() or (weight < 0.0).any() else ""
    span = (
        f"{_count(len(target), 'position')} asked for {level(float(target.abs().sum()))} of NAV in all and get "
        f"{level(float(weight.abs().sum()))}{shorts}; {verdict}."
    )
    under = "".join(paragraph(line, "soft") for line in (*circumstances, span))
    yield f"<header>{heading(title, 1)}{under}</header>"
    yield from (paragraph(note) for note in notes)
    yield cards(_key_figures(allocation))


def _key_figures(allocation: Allocation) -> list[tuple[str, str, str]]:
    rules = {rule.name: rule for rule in allocation.readings}
    entries = [(str(allocation.status), allocation.status.advice, "")]
    floor = rules.get("barbell.safe.floor")
    if floor is not None:
        # The rule is written over what is at risk.
        label = f"safe weight; the floor is {tables.percent(1.0 - floor.bound)}"
        entries.append((tables.percent(allocation.safe_weight), label, "good"))
    entries.append((tables.percent(allocation.cash), "left in cash", ""))
    if allocation.residual:
        entries.append((tables.percent(allocation.residual), f"left in {allocation.residual_symbol}", ""))
    if rules:
        binding = sum(rule.binding for rule in rules.values())
        entries.append((f"{binding} of {len(rules)}", "rules bind", ""))
        bound = allocation.certificate.distance_bound
        entries.append((f"{bound:.0e}", "of NAV: furthest that any weight can be from the exact optimum", "good"))
    return entries


def _words(allocation: Allocation) -> Iterator[str]:
    yield heading("In words")
    summary = _summary(walk_of(allocation))
    if summary:
        yield paragraph(summary)
    words = allocation.explain()
    count = words.count("\n") + 1
    text = preformatted(words)
    yield text if count <= LINES else folded(f"{count:,} lines, one a position that was changed", text)


def _summary(whole: Walk) -> str:
    """Return what all rules together took from all positions and what they gave, with the largest by name."""
    moves = [(taken(move), name) for step in whole.steps for name, move in step.rules.items()]
    parts = []
    for verb, sign in (("took", 1.0), ("gave", -1.0)):
        sizes = sorted(((sign * size, name) for size, name in moves if sign * size > 0.0), reverse=True)
        in_all = math.fsum(size for size, _ in sizes)
        if in_all < WORTH_A_WORD:
            continue
        named = [(size, name) for size, name in sizes[:MENTIONED] if size >= WORTH_A_WORD]
        rest = [size for size, _ in sizes[len(named) :]]
        listed = [f"{name} {level(size)}" for size, name in named]
        listed += [f"{_count(len(rest), 'other')} {level(math.fsum(rest))}"] if rest else []
        alone = len(listed) == 1
        parts.append(
            f"{sizes[0][1]} {verb} {level(in_all)}" if alone else f"rules {verb} {level(in_all)}: {', '.join(listed)}"
        )
    return f"Over all positions and in fractions of NAV, {'; '.join(parts)}." if parts else ""


def _pictures(allocation: Allocation) -> Iterator[str]:
    rules = {rule.name: rule for rule in allocation.readings}
    changed = _changed(allocation)
    whole, by_bucket, by_symbol = (
        walk_of(allocation),
        _bucket_walks(allocation, changed),
        _symbol_walks(allocation, changed),
    )
    yield heading("From target to weight")
    walks = [whole, *by_bucket, *by_symbol]
    yield paragraph(" ".join(_reading_aids(allocation, walks)))
    names = {name for walk in walks for step in walk.steps for name in step.rules}
    meanings = [f"{name}: {meaning}." for name, meaning in NOT_RULES.items() if name in names]
    if meanings:
        yield paragraph(" ".join(meanings), "soft")
    caption = "All positions together, fractions of NAV. What they do not hold is left in cash"
    residual = allocation.residual_symbol
    caption += f" and {residual}." if residual is not None else "."
    yield figure(charts.as_html(draw(whole, rules), "all"), caption)
    if by_bucket:
        yield heading("By bucket")
        yield from _gallery(by_bucket, rules, "bucket")
        yield from _unchanged(allocation, changed, "bucket")
    if by_symbol:
        yield heading("By symbol")
        if len(by_symbol) > SYMBOLS:
            yield paragraph(f"The {SYMBOLS} symbols that were changed most one by one; all others that were, together.")
        yield from _gallery(by_symbol, rules, "symbol")
        yield from _unchanged(allocation, changed, "symbol")


def _reading_aids(allocation: Allocation, walks: Sequence[Walk]) -> Iterator[str]:
    """Yield what one must know to read these pictures, and no more."""
    if allocation.solved is None:
        yield "The policy layer is switched off, so there are no rules: every position gets its target."
        return
    yield (
        "The grey bar is what was asked for, the blue one what came out, and each bar between them what a rule took or "
        "gave. Rest the pointer on a bar for who set the rule, and its shadow price."
    )
    if (allocation.target < 0.0).any() or (allocation.positions < 0.0).any():
        yield (
            "Weights are signed. Shorts lie left of zero and have a walk of their own: what cuts a short points to the "
            "right."
        )
    if any(step.opposing for walk in walks for step in walk.steps):
        yield (
            "A hatched bar is the sum of rules that pull against each other so hard that one by one they would dwarf "
            "the rest: a soft rule that gives way does so with all of its penalty. What took and what gave stands "
            "beside it."
        )


def _bucket_walks(allocation: Allocation, changed: np.ndarray) -> list[Walk]:
    of = allocation.index.get_level_values("bucket")
    return [walk_of(allocation, bucket=name) for name in dict.fromkeys(of[changed])]


def _symbol_walks(allocation: Allocation, changed: np.ndarray) -> list[Walk]:
    """Return the walks of the symbols that were changed most, and one of all others that were."""
    of = allocation.index.get_level_values("symbol")
    size = (allocation.positions - allocation.target).abs()[changed].groupby(level="symbol", sort=False).sum()
    order = size.sort_values(ascending=False, kind="stable").index.tolist()
    shown = order if len(order) == SYMBOLS + 1 else order[:SYMBOLS]
    walks = [walk_of(allocation, symbol=name) for name in shown]
    rest = order[len(shown) :]
    return [*walks, add_up(allocation, np.asarray(of.isin(rest)), f"{len(rest):,} other symbols")] if rest else walks


def _gallery(walks: Sequence[Walk], rules: Mapping[str, RuleReading], name: str) -> Iterator[str]:
    """Draw walks beside each other, each on a scale of its own."""
    yield swatches(key(walks))
    labels = widest(walks)
    drawn = [draw(walk, rules, legend=False, labels=labels) for walk in walks]
    yield side_by_side(charts.as_html(each, f"{name}-{number}") for number, each in enumerate(drawn))
    yield paragraph("Each picture has a scale of its own.", "soft")


def _unchanged(allocation: Allocation, changed: np.ndarray, what: str) -> Iterator[str]:
    """Say of which buckets or symbols no position was changed."""
    of = allocation.index.get_level_values(what)
    moved = set(of[changed])
    still = [name for name in dict.fromkeys(of) if name not in moved]
    if still:
        names = ", ".join(still[:SYMBOLS]) + (f" and {len(still) - SYMBOLS:,} more" if len(still) > SYMBOLS else "")
        yield paragraph(f"Nothing was changed in {names}.")


def _rules(allocation: Allocation) -> Iterator[str]:
    yield heading("Rules")
    if not allocation.readings:
        yield paragraph("There are none: the policy layer is switched off.")
        return
    readings = allocation.readings
    unsettled = [rule.name for rule in readings if rule.shadow_price > 0.0 and not rule.unique]
    if unsettled:
        yield paragraph(
            f"Other prices would explain these weights as well, and the cuts would be split otherwise among "
            f"{', '.join(unsettled)}. Of all such prices, those with the smallest sum of squares are shown."
        )
    frame = tables.rules_table(allocation)
    frame.insert(6, "only price", [_only(rule) for rule in readings])
    forbids = _forbidding(allocation)
    prominence = [(-1, 0.0) if rule.name in forbids else _prominence(rule) for rule in readings]
    order = sorted(range(len(readings)), key=prominence.__getitem__)
    bites = sum(rank < ROOM for rank in prominence)
    shown = order if len(order) <= bites + ROOMY else order[:bites]
    yield _rules_rows(frame, shown, readings)
    if len(shown) < len(order):
        rest = order[len(shown) :]
        yield folded(f"{len(rest):,} rules with room left", _rules_rows(frame, rest, readings))


def _rules_rows(frame: pd.DataFrame, rows: Sequence[int], readings: Sequence[RuleReading]) -> str:
    marks = ["bites" if _prominence(readings[i]) < ROOM else "" for i in rows]
    return table(frame.iloc[list(rows)], text=("rule", "kind", "binding", "source"), marks=marks)


def _forbidding(allocation: Allocation) -> set[str]:
    """Return the rules that prohibit a position that was asked for."""
    program = allocation.program
    if program is None:
        return set()
    rule = prohibitions(program)
    return {program.rules[i].name for i in rule[(rule >= 0) & (program.target > 0.0)].tolist()}


def _only(rule: RuleReading) -> str:
    if tables.price(rule.shadow_price) == tables.NONE:
        return tables.NONE
    return "yes" if rule.unique else "no"


def _prominence(rule: RuleReading) -> tuple[int, float]:
    """Return where a rule stands in the table: gave way, has a price, binds, has room; the largest first."""
    if rule.violation > RELAXED_ABOVE:
        return 0, -rule.violation
    if rule.shadow_price > 0.0:
        return 1, -rule.shadow_price
    return (2, 0.0) if rule.binding else (3, rule.slack)


def _changed(allocation: Allocation) -> np.ndarray:
    """Return which positions get something else than they asked for, array of bool."""
    return np.asarray((allocation.positions - allocation.target).abs() >= SMALL)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
