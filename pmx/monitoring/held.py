"""What was held beside what was decided: for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pmx.arguments import checked
from pmx.backtest import BacktestResult
from pmx.backtest.breaches import COSTS, by_cause
from pmx.monitoring.page import heading, paragraph, table
from pmx.monitoring.tables import NONE, excess_text, percent
from pmx.projection.certificate import HARD_TOLERANCE

SAFE_FLOOR = "barbell.safe.floor"


def lowest_held(result: BacktestResult) -> tuple[str, str, str]:
    """Return the card of the lowest safe weight that was held; it is good only where that kept the floor."""
    lowest, floor = float(result.safe_weight_held.min()), result.safe_floor
    label = f"lowest safe weight held after a close's trades; the floor is {percent(floor)}"
    if lowest >= floor - HARD_TOLERANCE:
        return percent(lowest), label, "good"
    closes = int((result.safe_weight_held < floor - HARD_TOLERANCE).sum())
    causes = causes_below_floor(result)
    by = excess_text(floor - lowest)
    label += f"; below it by up to {by} on {closes:,} of {len(result.positions):,} closes ({', '.join(causes)})"
    within = all(cause.startswith(f"{COSTS} ") for cause in causes)
    return percent(lowest), label, "" if within else "bad"


def held_outside(result: BacktestResult) -> Iterator[str]:
    """Say where what was held was outside the rules, and why."""
    yield heading("Held outside the rules", 3)
    cures = int((result.occasion == "breach").sum())
    kept = (
        f"Decisions obey every hard rule; what is held drifts from them. Schedule: "
        f"{result.policy.execution.rebalance.schedule}. {cures:,} decisions were made to bring holdings back inside."
    )
    if result.breaches.empty:
        yield paragraph(f"{kept} After every close's trades, what was held was inside every rule.")
        return
    yield paragraph(
        f"{kept} Closes after whose trades a rule was exceeded, by cause. Drift: prices moved what is held. Waiting: "
        "orders that would have brought it inside waited for their symbols' next sessions. Suspended: a symbol of such "
        "orders missed one. Lapsed order: such orders ended with a delisting. Limit: a risk scale lowered the rule's "
        "limit. Costs: the costs of the latest trades alone, at their close and until more is exceeded. Decision: the "
        "decided weights exceed a soft rule themselves."
    )
    yield table(breaches_table(result), text=("rule", "kind", "cause"))
    worst = worst_breaches_table(result)
    if len(worst):
        yield paragraph("The worst spells outside a hard rule, costs apart:")
        yield table(worst, text=("rule", "cause"))


@checked
def breaches_table(result: BacktestResult) -> pd.DataFrame:
    """Return one row a rule and cause: how often what was held was outside the rule, how far, and until when."""
    lines = [
        (
            str(row["rule"]),
            "hard" if row["hard"] else "soft",
            str(row["cause"]),
            f"{row['spells']:,}",
            f"{row['days']:,}",
            excess_text(row["worst_excess"]),
            NONE if pd.isna(row["longest_to_cure"]) else f"{row['longest_to_cure']:,}",
        )
        for row in by_cause(result.breaches).reset_index().to_dict("records")
    ]
    columns = ["rule", "kind", "cause", "spells", "closes", "worst excess", "longest until cured"]
    return pd.DataFrame(lines, columns=columns)


def worst_breaches_table(result: BacktestResult, most: int = 10) -> pd.DataFrame:
    """Return the worst spells outside hard rules, those within the costs of trading apart."""
    spells = result.breaches[result.breaches["hard"] & (result.breaches["cause"] != COSTS)]
    worst = spells.sort_values("worst_excess", ascending=False, kind="stable").head(most)
    return pd.DataFrame(
        {
            "rule": worst["rule"],
            "cause": worst["cause"],
            "first": [f"{day:%Y-%m-%d}" for day in worst["first"]],
            "last": [f"{day:%Y-%m-%d}" for day in worst["last"]],
            "closes": worst["days"].map("{:,}".format),
            "worst excess": worst["worst_excess"].map(excess_text),
            "cured": [NONE if pd.isna(day) else f"{day:%Y-%m-%d}" for day in worst["cured"]],
        }
    )


@checked
def safe_weight_line(result: BacktestResult, *, held: bool = False) -> str:
    """Return the lowest safe weight beside its floor: over all decisions, or of what was ``held`` after each close.

    Returns
    -------
    str
        Such as ``"0.8172 ≥ 0.7000, on 2004-03-11"``; where it is below the floor, by how much and why.
    """
    safe, floor = result.safe_weight_held if held else result.safe_weight, result.safe_floor
    lowest, day = float(safe.min()), safe.idxmin()
    if floor <= 0.0:
        return f"{lowest:.4f}, on {day:%Y-%m-%d}; there is no floor"
    if lowest >= floor - HARD_TOLERANCE:
        return f"{lowest:.4f} ≥ {floor:.4f}, on {day:%Y-%m-%d}"
    why = ", ".join(causes_below_floor(result)) if held else "decided so"
    return f"{lowest:.4f} < {floor:.4f} by {excess_text(floor - lowest)}, on {day:%Y-%m-%d} ({why})"


def causes_below_floor(result: BacktestResult) -> list[str]:
    """Return why the safe weight held was below its floor, with the closes of each cause, such as ``"drift 12"``."""
    spells = result.breaches[result.breaches["rule"] == SAFE_FLOOR]
    days = spells.groupby("cause", sort=False)["days"].sum()
    return [f"{cause} {count:,}" for cause, count in days.items()]
