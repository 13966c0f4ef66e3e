"""A comparison as tables of text and as a page, for the terminal and for reading alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

import pmx
from pmx.arguments import checked
from pmx.monitoring.page import figure, heading, page, paragraph, table
from pmx.monitoring.sequential.comparison import AIMS, FULLY_INVESTED, LIMITS_ONLY, SequentialComparison
from pmx.monitoring.sequential.picture import comparison_svg
from pmx.monitoring.sequential.wording import basis_points, further, limits_overrun, share
from pmx.monitoring.tables import NONE

#: Columns that hold words.
WORDS = ("passes", "rule", "best order")
WHAT_IT_IS = (
    "Each limit of the policy is written as a pass that minds this limit alone: positions are clipped to their caps, "
    "groups scaled down to theirs. A try is one wish put through the passes in one order. Under “limits only” what is "
    "cut stays in cash; under “fully invested” the barbell's pass hands to safe positions what it takes from risk, and "
    "one more pass rescales everything to 100%. A try works when it breaks no rule and, where that is the aim, is "
    "fully invested. Each is compared with the joint answer of the same aim; the rules of the policy judge both."
)


@checked
def summary_table(comparison: SequentialComparison) -> pd.DataFrame:
    """Return one column for each aim and number of sweeps: what fails, and what the rest loses."""
    rows = _records(comparison.summary, comparison)
    lines = {
        "tries": [f"{row['tries']:,}" for row in rows],
        "break a rule": [share(1.0 - row["obeys"]) for row in rows],
        "fail: or miss full investment": [share(1.0 - row["works"]) for row in rows],
        "wishes where every order fails": [share(row["stranded"]) for row in rows],
        "worst breach of a rule": [basis_points(row["violation"]) for row in rows],
        "rule that most tries break": [row["worst_rule"] or NONE for row in rows],
        "lost by those that work: median": [further(row["median_lost"]) for row in rows],
        "lost by those that work: mean": [further(row["mean_lost"]) for row in rows],
        "lost by those that work: most": [further(row["most_lost"]) for row in rows],
        "order alone moves a position by": [basis_points(row["swing"]) for row in rows],
    }
    return pd.DataFrame(lines, index=[_column(row) for row in rows]).T.rename_axis("figure")


@checked
def orders_table(comparison: SequentialComparison) -> pd.DataFrame:
    """Return the best order of each aim and number of sweeps."""
    rows = [
        (
            _column(row),
            row["best_order"] or NONE,
            share(row["best_works"]),
            further(row["best_lost"]),
        )
        for row in _records(comparison.summary, comparison)
    ]
    return pd.DataFrame(rows, columns=["passes", "best order", "works for", "mean lost"])


@checked
def broken_table(comparison: SequentialComparison, most: int = 12) -> pd.DataFrame:
    """Return the rules that most tries break."""
    rows = [
        (row["rule"], _column(row), share(row["share"]), basis_points(row["worst"]))
        for row in _records(comparison.rules.sort_values("share", ascending=False).head(most), comparison, by_aim=False)
    ]
    return pd.DataFrame(rows, columns=["rule", "passes", "share of tries", "worst"])


@checked
def overrun_table(comparison: SequentialComparison) -> pd.DataFrame:
    """Return how tries fare by the number of limits that the wish overruns."""
    rows = [
        (
            _column(row),
            limits_overrun(row["overrun"]),
            f"{row['portfolios']:,}",
            share(1.0 - row["obeys"]),
            share(1.0 - row["works"]),
            share(row["stranded"]),
            further(row["mean_lost"]),
            further(row["most_lost"]),
        )
        for row in _records(comparison.by_overrun, comparison)
    ]
    columns = ["passes", "limits overrun", "wishes", "break a rule", "fail", "no order works", "mean lost", "most lost"]
    return pd.DataFrame(rows, columns=columns)


@checked
def verdict(comparison: SequentialComparison) -> str:
    """Return the comparison in a few sentences."""
    rows = {(row["aim"], row["sweeps"]): row for row in comparison.summary.reset_index().to_dict("records")}
    last = max(sweeps for _, sweeps in rows)
    words = []
    if (FULLY_INVESTED, 1) in rows:
        once, after = rows[FULLY_INVESTED, 1], rows[FULLY_INVESTED, last]
        most_often = f", most often {once['worst_rule']}, the worst by {basis_points(once['violation'])}"
        words += [
            f"Rescaled to 100% in one sweep, {share(1.0 - once['obeys'])} of the tries break a rule"
            + (most_often if once["worst_rule"] else ""),
            f"{share(1.0 - once['works'])} fail"
            + (
                f", and for {share(once['stranded'])} of the wishes every order does"
                if comparison.portfolios > 1
                else ""
            ),
        ]
        if last > 1:
            words.append(f"After up to {last} sweeps {share(after['works'])} work, {_losses(after)}")
    cut = rows[LIMITS_ONLY, 1]
    swings = [f"{basis_points(cut['swing'])} of NAV where it only cuts"]
    if (FULLY_INVESTED, 1) in rows:
        swings.append(f"{basis_points(rows[FULLY_INVESTED, 1]['swing'])} where it rescales to 100%")
    words += [
        f"Only cutting, {share(1.0 - cut['obeys'])} break a rule, and those that work are {_losses(cut)}",
        f"In one sweep, the order alone moves a position by up to {', and by up to '.join(swings)}",
    ]
    if comparison.forbidden:
        words.append(not_rescaled(comparison))
    return ". ".join(words) + "."


@checked
def not_rescaled(comparison: SequentialComparison, most: int = 3) -> str:
    """Return why wishes have no fully invested half, and the rules that most often stand against it; else nothing."""
    left_out = comparison.forbidden
    if not left_out:
        return ""
    of_all = f"{len(left_out):,} of the {comparison.portfolios:,} wishes"
    whose = "this wish" if comparison.portfolios == 1 else of_all
    rules = Counter(name for names in left_out.values() for name in names)
    listed = ", ".join(name for name, _ in rules.most_common(most)) + (" and others" if len(rules) > most else "")
    against = f": {listed} {'stands' if len(rules) == 1 else 'stand'} against it" if rules else ""
    return f"Rescaling to 100% was not tried where the policy does not allow full investment, for {whose}{against}"


def _losses(row: Mapping[Any, Any]) -> str:
    mean, most = further(row["mean_lost"]), further(row["most_lost"])
    return f"on average {mean} and at worst {most} further from the wish than the joint answer"


@checked
def comparison_html(comparison: SequentialComparison, title: str) -> str:
    """Return a comparison as one HTML page that loads nothing from elsewhere."""
    body = [
        f"<header>{heading(title, 1)}{paragraph(verdict(comparison), 'soft')}</header>",
        figure(comparison_svg(comparison), WHAT_IT_IS),
        *_section("What fails, and what the rest loses", summary_table(comparison)),
        *_section("By the number of limits that the wish overruns", overrun_table(comparison)),
        *_section("Which rules are broken", broken_table(comparison)),
        *_section("The best order", orders_table(comparison)),
        f"<footer>pmx {pmx.__version__}</footer>",
    ]
    return page(title, body, ())


def _section(title: str, rows: pd.DataFrame, words: Sequence[str] = WORDS) -> tuple[str, ...]:
    return () if rows.empty else (heading(title), table(rows, words))


def _records(frame: pd.DataFrame, comparison: SequentialComparison, *, by_aim: bool = True) -> list[dict[str, Any]]:
    """Return the rows of a table by aim and sweeps, without those of further sweeps that change nothing."""
    idle = {
        aim for aim in AIMS if (aim, 1) in comparison.summary.index and comparison.summary.loc[(aim, 1), "settled"] == 1
    }
    rows = [{str(name): value for name, value in row.items()} for row in frame.reset_index().to_dict("records")]
    shown = [row for row in rows if row["sweeps"] == 1 or row["aim"] not in idle]
    return sorted(shown, key=lambda row: AIMS.index(row["aim"])) if by_aim else shown


def _column(row: Mapping[str, Any]) -> str:
    sweeps = row["sweeps"]
    return f"{row['aim']}, {'one sweep' if sweeps == 1 else f'{sweeps:,} sweeps'}"
