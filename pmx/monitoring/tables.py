"""Results as tables of text, for the terminal and for the report alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from pmx.arguments import checked
from pmx.backtest import BacktestResult
from pmx.data.dates import day
from pmx.projection import Allocation, Certificate
from pmx.projection.certificate import HARD_TOLERANCE
from pmx.projection.explain import RuleReading

#: Rules that are named where what their cuts earned is shown; the others are taken together.
CAUSES = 6
#: What reads as more than 0.00 %.
LEAST = 5e-5
#: What is said of a rule's cuts, in this order.
EARNED = ("saved", "cost", "contribution")
#: What a cell says where there is no number.
NONE = "–"
#: How a limit of each side is written.
RELATION = {"max": "≤", "min": "≥", "both": "="}

Format = Callable[[float], str]


def percent(value: float) -> str:
    """Return a fraction as a percentage with two decimals.

    Examples
    --------
    >>> percent(0.70125), percent(-1e-12), percent(float("nan"))
    ('70.12%', '0.00%', '–')
    """
    return NONE if not math.isfinite(value) else f"{round(100.0 * value, 2) + 0.0:.2f}%"


def ratio(value: float) -> str:
    """Return a plain number with two decimals."""
    return NONE if not math.isfinite(value) else f"{value:.2f}"


def price(value: float) -> str:
    """Return a shadow price with three digits, or nothing where the rule is free."""
    return NONE if not math.isfinite(value) or abs(value) < 5e-7 else f"{value:.3g}"


#: Key of a metric, what it is called, how it is written.
METRICS: tuple[tuple[str, str, Format], ...] = (
    ("total_return", "Total return", percent),
    ("annualized_return", "Annualised return", percent),
    ("annualized_volatility", "Annualised volatility", percent),
    ("sharpe_ratio", "Sharpe ratio", ratio),
    ("sortino_ratio", "Sortino ratio", ratio),
    ("max_drawdown", "Maximum drawdown", percent),
    ("calmar_ratio", "Calmar ratio", ratio),
    ("cvar", "CVaR, worst 5% of periods", percent),
    ("worst_period", "Worst period", percent),
    ("turnover", "Turnover, × NAV a year", ratio),
    ("cost", "Trading cost a year", percent),
    ("rf_annual", "Risk-free rate in the ratios", percent),
)


@checked
def metrics_table(runs: Mapping[str, BacktestResult]) -> pd.DataFrame:
    """Return one row a performance figure and one column a run."""
    columns = {name: [form(float(run.metrics[key])) for key, _, form in METRICS] for name, run in runs.items()}
    return pd.DataFrame(columns, index=pd.Index([label for _, label, _ in METRICS], name="figure"))


def delistings_table(result: BacktestResult) -> pd.DataFrame:
    """Return what became of what was held without prices, one row each time."""
    found = result.delistings
    shown = {
        "symbol": found["symbol"],
        "on": [day(date) for date in found["date"]],
        "quantity": [f"{number:,.6g}" for number in found["quantity"]],
        "mark": [f"{number:,.6g}" for number in found["mark"]],
        "mark of": [day(date) for date in found["mark_date"]],
        "haircut": [percent(number) for number in found["haircut"]],
        "value": [f"{number:,.2f}" for number in found["value"]],
        "traded again": [NONE if pd.isna(date) else day(date) for date in found["traded_again"]],
        "at": [NONE if pd.isna(number) else f"{number:,.6g}" for number in found["price_again"]],
        "overstated by": [NONE if pd.isna(number) else f"{number:,.2f}" for number in found["overstated"]],
    }
    return pd.DataFrame(shown)


@checked
def positions_table(allocation: Allocation) -> pd.DataFrame:
    """Return what each position wished for and got, bucket by bucket, and what is left in cash."""
    frame = pd.DataFrame({"t": allocation.target, "w": allocation.positions})
    lines: list[tuple[object, ...]] = []
    for bucket, members in frame.groupby(level="bucket", sort=False):
        rows = list(zip(members.index.get_level_values("symbol"), members["t"], members["w"], strict=True))
        if len(rows) > 1:
            rows.append(("all", members["t"].sum(), members["w"].sum()))
        lines += [(bucket, symbol, percent(t), percent(w), _change(w - t)) for symbol, t, w in rows]
    if allocation.residual_symbol is not None:
        lines.append(("residual", allocation.residual_symbol, NONE, percent(allocation.residual), NONE))
    lines.append(("cash", "CASH", NONE, percent(allocation.cash), NONE))
    return pd.DataFrame(lines, columns=["bucket", "symbol", "target", "weight", "change"])


@checked
def rules_table(allocation: Allocation) -> pd.DataFrame:
    """Return one row a rule: its limit, where the allocation stands, what it costs, and who set it."""
    lines, own = [], own_limits(allocation)
    for reading in allocation.readings:
        lines.append(
            (
                reading.name,
                "hard" if reading.hard else "soft",
                *(own[reading.name] if reading.name in own else _limit(reading)),
                price(reading.shadow_price),
                _state(reading.binding, reading.violation),
                reading.source,
            )
        )
    columns = ["rule", "kind", "bound", "value", "slack", "shadow price", "binding", "source"]
    return pd.DataFrame(lines, columns=columns)


def actions_table(actions: pd.DataFrame) -> pd.DataFrame:
    """Return splits and dividends, one row each."""
    dividend = actions["kind"] == "dividend"
    shown = {
        "date": actions["date"].dt.strftime("%Y-%m-%d"),
        "symbol": actions["symbol"],
        "kind": actions["kind"],
        "units or cash for one": actions["value"].map("{:,.6g}".format),
        "units held": actions["quantity"].map("{:,.6g}".format),
        "cash paid": actions["cash"].map("{:,.2f}".format).where(dividend, NONE),
    }
    return pd.DataFrame(shown)


def data_table(findings: pd.DataFrame) -> pd.DataFrame:
    """Return what in the prices is probably a fault, one row a finding."""
    shown = {
        "kind": findings["kind"],
        "symbol": findings["symbol"],
        "date": findings["date"].dt.strftime("%Y-%m-%d"),
        "what": findings["text"],
    }
    return pd.DataFrame(shown)


def _limit(reading: RuleReading) -> tuple[str, str, str]:
    """Return bound, value and slack of a rule."""
    return f"{RELATION[reading.side]} {percent(reading.bound)}", percent(reading.value), percent(reading.slack)


def own_limits(allocation: Allocation) -> dict[str, tuple[str, str, str]]:
    """Return bound, value and slack of each constraint written in cvxpy, in its own unit.

    A comparison with one number has a bound and a value. Of any other only the room is left, which has no unit.
    """
    cells = {}
    for rule, (relation, bound, value) in allocation.own_limits().items():
        known = math.isfinite(bound)
        slack = bound - value if relation == "≤" else value - bound if relation == "≥" else -abs(value - bound)
        cells[rule] = (f"{relation} {bound:.4g}", f"{value:.4g}", f"{slack + 0.0:.4g}") if known else (NONE, NONE, NONE)
    return cells


def gates_table(result: BacktestResult) -> pd.DataFrame:
    """Return one row for each time that a gate of validation was shut."""
    gates = result.gates
    return pd.DataFrame(
        {
            "symbol": gates["symbol"],
            "mode": gates["mode"],
            "shut": [f"{day:%Y-%m-%d}" for day in gates["shut"]],
            "opened": [NONE if pd.isna(day) else f"{day:%Y-%m-%d}" for day in gates["opened"]],
            "decisions": gates["decisions"].map("{:,}".format),
        }
    )


def budgets_table(result: BacktestResult) -> pd.DataFrame:
    """Return one row a bucket: how much of its budget its signals asked for, over the decisions in which it had any."""
    lines = []
    for name, uses in result.budgets[result.budgets["used"] > 0.0].groupby("bucket", sort=False):
        short = (uses["conviction"] < uses["full_conviction"]) & (uses["used"] < 1.0 - 1e-9)
        reached = f"{uses['conviction'].median():.2g} of {uses['full_conviction'].iloc[-1]:.2g}"
        lines.append(
            (
                str(name),
                f"{len(uses):,}",
                reached,
                percent(uses["used"].mean()),
                f"{short.sum():,}",
                percent(short.mean()),
            )
        )
    columns = ["bucket", "decisions", "median conviction", "mean use of budget", "short of conviction", "share"]
    return pd.DataFrame(lines, columns=columns)


@checked
def ledger_table(result: BacktestResult) -> pd.DataFrame:
    """Return one row a rule: on how many days it was in force and binding, and what it cost on average."""
    lines = [
        (
            str(name),
            f"{rule['days']:,}",
            f"{rule['days_binding']:,}",
            percent(rule["share_binding"]),
            price(rule["mean_shadow_price"]),
            f"{rule['days_given_way']:,}" if rule["days_given_way"] else NONE,
            percent(rule["max_violation"]) if rule["days_given_way"] else NONE,
            *_held_outside(rule["days_outside"], rule["max_excess_held"]),
            rule["source"],
        )
        for name, rule in result.rules.iterrows()
    ]
    columns = [
        "rule",
        "days",
        "binding",
        "share",
        "mean price",
        "gave way",
        "by at most",
        "held outside",
        "over by",
        "source",
    ]
    return pd.DataFrame(lines, columns=columns)


def _held_outside(days: Any, excess: float) -> tuple[str, str]:
    """Return on how many closes a rule was exceeded by what was held, and by how much at most."""
    return (NONE, NONE) if pd.isna(days) or not days else (f"{days:,}", excess_text(excess))


def excess_text(value: float) -> str:
    """Return by how much a limit was exceeded, with enough digits to be seen.

    Examples
    --------
    >>> excess_text(0.0173), excess_text(3.2e-6)
    ('1.73%', '0.00032%')
    """
    return percent(value) if value >= 1e-4 else f"{100.0 * value:.2g}%"


@checked
def cuts_table(result: BacktestResult) -> pd.DataFrame:
    """Return one row a rule that was binding or moved something: its price, and what its cuts saved, cost and earned.

    Rules that moved most come first.
    """
    moved = result.rules["saved"] + result.rules["cost"]
    rules = result.rules[(result.rules["days_binding"] > 0) | (moved >= LEAST)]
    order = (rules["saved"] + rules["cost"]).sort_values(ascending=False, kind="stable").index
    lines = [
        (
            str(name),
            f"{rule['days_binding']:,} of {rule['days']:,}",
            price(rule["mean_shadow_price"]),
            *(percent(rule[key]) if rule["saved"] + rule["cost"] >= LEAST else NONE for key in EARNED),
        )
        for name, rule in rules.loc[order].iterrows()
    ]
    columns = ["rule", "days binding", "mean price", *EARNED]
    return pd.DataFrame(lines, columns=columns)


def largest_contributions(result: BacktestResult) -> pd.DataFrame:
    """Return the daily contributions of the rules that moved most, `CAUSES` of them, and of all others together.

    Causes whose contributions would read 0.00 % over the whole run are left out.
    """
    rules = result.contributions.drop(columns=["target", "weight"])
    size = rules.abs().sum().sort_values(ascending=False, kind="stable")
    largest = size.index[size >= LEAST] if (size >= LEAST).any() else size.index
    shown, rest = rules[largest[:CAUSES]], rules[largest[CAUSES:]]
    return shown.assign(**{f"{len(rest.columns)} others": rest.sum(axis=1)}) if len(rest.columns) else shown


@checked
def years_table(result: BacktestResult) -> pd.DataFrame:
    """Return one row a year: what the wishes earned over cash, what the cuts of each rule did, and what was held."""
    daily = result.contributions
    table = pd.concat([daily["target"], largest_contributions(result), daily["weight"]], axis=1)
    table = table.rename(columns={"target": "wished", "weight": "held"})
    years = table.groupby(pd.DatetimeIndex(daily.index).year.astype("str")).sum()
    whole = table.sum().to_frame("all").T
    return pd.concat([years, whole]).map(percent).rename_axis("year")


@checked
def certificate_line(certificate: Certificate) -> str:
    """Return the certificate of one answer in a sentence."""
    c = certificate
    how = f", {c.note}" if c.note else ""
    return (
        f"worst violation of a hard rule {c.primal_residual:.1e}, duality gap {c.duality_gap:.1e}, at most "
        f"{c.distance_bound:.1e} of NAV from the exact optimum ({c.engine}{how})"
    )


def _change(move: float) -> str:
    return NONE if abs(move) < 5e-5 else f"{100.0 * move:+.2f}%"


def _state(binding: bool, violation: float) -> str:
    if violation > HARD_TOLERANCE:
        return "gave way"
    return "yes" if binding else NONE
