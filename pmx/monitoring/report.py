"""One backtest, or several side by side, as a self-contained HTML report that can be printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import pmx
from pmx.arguments import checked
from pmx.backtest import BacktestResult
from pmx.data.quality import messages
from pmx.errors import DataError
from pmx.monitoring import charts, tables
from pmx.monitoring.held import held_outside, lowest_held
from pmx.monitoring.page import (
    SCRIPT,
    cards,
    figure,
    folded,
    heading,
    page,
    paragraph,
    preformatted,
    table,
)
from pmx.policy import CASH, Policy
from pmx.projection import Allocation
from pmx.projection.certificate import HARD_TOLERANCE

#: Findings in the prices that the report lists.
LISTED = 50


@checked
def write_report(
    path: str | Path, runs: Mapping[str, BacktestResult], *, title: str = "Backtest", notes: Sequence[str] = ()
) -> Path:
    """Write the report of `report_html` to a file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If ``runs`` is empty.
    OSError
        If the file cannot be written.
    """
    file = Path(path)
    file.write_text(report_html(runs, title=title, notes=notes), encoding="utf-8")
    return file


@checked
def report_html(runs: Mapping[str, BacktestResult], *, title: str = "Backtest", notes: Sequence[str] = ()) -> str:
    """Return a report as one HTML page that loads nothing from elsewhere.

    Parameters
    ----------
    runs : mapping of str to BacktestResult
        By name. The first is reported on in full; the others are compared with it.
    title : str
        Heading of the page.
    notes : sequence of str
        Paragraphs under the heading: what the reader must know of the data.

    Returns
    -------
    str
        HTML: performance, growth and drawdown, bucket weights, safe weight and risk scales, the rule ledger, the
        last decision with its rules and certificate, and the policy with the source of each value.

    Raises
    ------
    DataError
        If ``runs`` is empty.
    """
    if not runs:
        raise DataError("a report needs at least one backtest; run one and pass {name: result}")
    name, result = next(iter(runs.items()))
    body = [
        *_head(title, name, result, notes),
        *_performance(runs),
        *_exposure(result),
        *_budgets(result),
        *_delistings(result),
        *_rules(result),
        *_cuts(result),
        *_last_decision(result),
        *_data(result),
        *_policy(result.policy),
        f"<footer>pmx {pmx.__version__} · policy {result.policy.fingerprint[:16]}</footer>",
    ]
    return page(title, body, [charts.plotly_js(), SCRIPT])


def _head(title: str, name: str, result: BacktestResult, notes: Sequence[str]) -> Iterator[str]:
    nav, first = result.nav, result.positions.index[0]
    currency = result.policy.risk_buckets.portfolio.base_currency
    closes = f"{len(result.positions):,} closes"
    span = (
        f"{name[:1].upper()}{name[1:]}, {first:%d %B %Y} to {nav.index[-1]:%d %B %Y}: {closes}. "
        f"NAV went from {nav.iloc[0]:,.0f} to {nav.iloc[-1]:,.0f} {currency}."
    )
    yield f"<header>{heading(title, 1)}{paragraph(span, 'soft')}</header>"
    yield from (paragraph(note) for note in notes)
    yield cards(_key_figures(result))


def _key_figures(result: BacktestResult) -> list[tuple[str, str, str]]:
    entries = []
    if len(result.safe_weight) and result.safe_floor > 0:
        entries.append(lowest_held(result))
        lowest, floor = float(result.safe_weight.min()), result.safe_floor
        decided = lowest >= floor - HARD_TOLERANCE
        label = f"lowest safe weight of any decision; the floor is {tables.percent(floor)}"
        entries.append((tables.percent(lowest), label, "good" if decided else "bad"))
    if len(result.distance_bound):
        worst = float(result.distance_bound.max())
        label = f"of NAV: furthest that any of {len(result.status):,} decisions can be from the exact optimum"
        entries.append((f"{worst:.0e}", label, "good"))
    entries.append((tables.percent(float(result.metrics["max_drawdown"])), "maximum drawdown", ""))
    entries.append((tables.percent(float(result.metrics["annualized_return"])), "annualised return", ""))
    entries.append((tables.ratio(float(result.metrics["sharpe_ratio"])), "Sharpe ratio over the cash rate", ""))
    return entries


def _performance(runs: Mapping[str, BacktestResult]) -> Iterator[str]:
    yield heading("Performance")
    yield table(tables.metrics_table(runs))
    caption = (
        "What one unit of money became after costs, on a logarithmic scale, and how far below its earlier peak it "
        "stood."
    )
    yield figure(charts.as_html(charts.growth(runs), "growth"), caption)


def _exposure(result: BacktestResult) -> Iterator[str]:
    yield heading("Where the money was")
    caption = "Value of each bucket as a share of NAV after the day's trading. Pale: cash and safe buckets."
    yield figure(charts.as_html(charts.buckets(result), "buckets"), caption)
    if len(result.safe_weight):
        caption = (
            "Safe weight, one less all risk positions: of every decision, which hard rules keep above the floor, and "
            "of what was held after each close's trades."
        )
        yield figure(charts.as_html(charts.safety(result), "safety"), caption)
    scaled = charts.scales(result)
    if scaled is not None:
        caption = (
            "Factor on each bucket's budget, from its forecast volatility and its drawdown. Buckets that were never "
            "scaled are left out."
        )
        yield figure(charts.as_html(scaled, "scales"), caption)


def _budgets(result: BacktestResult) -> Iterator[str]:
    lines = tables.budgets_table(result)
    if lines.empty:
        return
    yield heading("Use of budgets")
    yield table(lines, text=("bucket",))
    yield paragraph(
        "A bucket whose signals add up to less than its full conviction uses only that share of its budget, and the "
        "rest stays in cash. Counted are the decisions in which a bucket was asked to hold anything.",
        "soft",
    )


def _delistings(result: BacktestResult) -> Iterator[str]:
    if result.delistings.empty:
        return
    yield heading("Held without prices")
    yield paragraph(
        f"Symbols that missed more than {result.policy.execution.max_stale_bars} of their sessions while they were "
        f"held, and what became of them: execution.delisting is {result.policy.execution.delisting}. Nobody may trade "
        "at a mark that old; the last column says by how much the value booked exceeds what the same quantity was "
        "worth when the symbol traded again."
    )
    yield table(tables.delistings_table(result), text=("symbol", "on", "mark of", "traded again"))


def _rules(result: BacktestResult) -> Iterator[str]:
    yield heading("Rules over the whole run")
    if result.rules.empty:
        yield paragraph("No rule was in force: the policy layer is switched off, or nothing was decided.")
        return
    states = result.status.value_counts()
    counts = ", ".join(f"{count:,} {status}" for status, count in states.items())
    yield paragraph(
        f"{len(result.status):,} decisions: {counts}. Optimal: every rule held. Relaxed: every hard rule held, and a "
        "soft one gave way. The mean price is how much the objective would fall for each unit of NAV by which the rule "
        "is relaxed, averaged over all its days; the rules that cost most stand out."
    )
    yield from (paragraph(line) for line in _gave_way(result))
    ledger = tables.ledger_table(result)
    marks = ["bites" if cell != tables.NONE else "" for cell in ledger["mean price"]]
    yield table(ledger, text=("rule", "source"), marks=marks)
    yield from held_outside(result)
    if len(result.gates):
        yield heading("Gates of validation", 3)
        yield paragraph(
            "A gate shuts on a symbol whose signals kept failing, and opens when they have been right again, or when "
            "nothing has been heard of them for long. The dates are those of the decisions that did it."
        )
        yield table(tables.gates_table(result), text=("symbol", "mode", "shut", "opened"))


def _cuts(result: BacktestResult) -> Iterator[str]:
    """Say what the rules cost, and what they saved."""
    drawn = charts.contributions(result)
    if drawn is None:
        return
    yield heading("What the cuts earned")
    yield paragraph(
        "Each decision is its wish plus what every rule took or gave. Held beside the positions at the same prices, "
        "each part earned or lost something over cash, day by day, as a fraction of NAV: a rule saved in the months "
        "when what it had cut lost, and cost in those when that gained. Wishes and cuts add up to what was held, "
        "before trading costs. It is a first-order account: it does not ask what other rules would have cut instead."
    )
    yield paragraph(_this_year(result))
    yield table(tables.cuts_table(result), text=("rule",))
    caption = (
        "Above: what each rule's cuts added up to, sums of daily fractions of NAV. Below: the months in which they "
        "saved (right) and those in which they cost (left)."
    )
    yield figure(charts.as_html(drawn, "contributions"), caption)
    yield heading("Year by year", 3)
    yield paragraph("Sums of daily fractions of NAV over cash, before trading costs; they are not compounded.", "soft")
    years = tables.years_table(result)
    yield table(years, marks=["total" if year == "all" else "" for year in years.index])


def _this_year(result: BacktestResult) -> str:
    """Say what the rule that moved most saved and cost in the last year."""
    name = tables.largest_contributions(result).columns[0]
    year = result.contributions.index[-1].year
    line = result.contributions_by_year.loc[(year, name)]
    saved, cost, earned = (tables.percent(line[key]) for key in tables.EARNED)
    return f"In {year}, {name} saved {saved} of NAV and cost {cost}: {earned} in all."


def _gave_way(result: BacktestResult) -> Iterator[str]:
    """Say which soft rules gave way, and why the barbell's cap is no alarm."""
    given = result.rules[result.rules["days_given_way"] > 0]
    if given.empty:
        return
    days = [f"{name} on {count:,} days" for name, count in given["days_given_way"].items()]
    yield f"Gave way: {', '.join(days)}."
    safe = result.policy.barbell.safe_bucket
    if "barbell.safe.cap" in given.index and safe.max_weight is not None and safe.max_weight_penalty == 0.0:
        yield (
            f"barbell.safe.cap reports only (its penalty is 0): more than {tables.percent(safe.max_weight)} safe means "
            "that little was at risk, which is always allowed."
        )


def _data(result: BacktestResult) -> Iterator[str]:
    """List splits and dividends, and what in the prices is probably a fault."""
    if len(result.corporate_actions):
        yield heading("Splits and dividends")
        yield paragraph("What the prices do not show, on the units held at the close before. Dividends are in the NAV.")
        shown = tables.actions_table(result.corporate_actions[:LISTED])
        yield table(shown, text=("date", "symbol", "kind"))
        if len(result.corporate_actions) > LISTED:
            yield paragraph(f"The first {LISTED} of {len(result.corporate_actions):,}.", "soft")
    if result.data_warnings.empty:
        return
    yield heading("Prices to check")
    yield paragraph(
        "Figures above rest on these prices as they were given. A crash may look like a fault, and be none."
    )
    yield from (
        paragraph(f"{text[:1].upper()}{text[1:]}; {remedy}.") for _, text, remedy in messages(result.data_warnings)
    )
    if len(result.data_warnings) > LISTED:
        yield paragraph(f"The first {LISTED} of {len(result.data_warnings):,} findings:", "soft")
    yield table(tables.data_table(result.data_warnings[:LISTED]), text=("kind", "symbol", "date", "what"))


def _last_decision(result: BacktestResult) -> Iterator[str]:
    if result.last is None:
        return
    day = result.status.index[-1]
    currency = result.policy.risk_buckets.portfolio.base_currency
    yield heading(f"The last decision, {day:%d %B %Y}")
    yield paragraph(f"NAV {result.nav.loc[day]:,.2f} {currency} after that day's trading.", "soft")
    yield table(tables.positions_table(result.last), text=("bucket", "symbol"), marks=_totals(result.last))
    if result.last.readings:
        yield heading("Its rules", 3)
        if result.safe_floor > 0:
            floor, most = tables.percent(result.safe_floor), tables.percent(1.0 - result.safe_floor)
            hint = f"The floor of the safe weight is written over the risk positions: {floor} safe is {most} risk."
            yield paragraph(hint, "soft")
        rules = tables.rules_table(result.last)
        marks = ["bites" if cell != tables.NONE else "" for cell in rules["shadow price"]]
        yield table(rules, text=("rule", "kind", "binding", "source"), marks=marks)
    yield heading("In words", 3)
    yield preformatted(result.last.explain())
    yield heading("Certificate", 3)
    line = tables.certificate_line(result.last.certificate)
    yield paragraph(f"{line[:1].upper()}{line[1:]}.")


def _totals(allocation: Allocation) -> list[str]:
    rows = tables.positions_table(allocation)
    return ["total" if symbol in ("all", CASH) else "" for symbol in rows["symbol"]]


def _policy(policy: Policy) -> Iterator[str]:
    yield heading("The policy that was run")
    yield paragraph(
        f"Fingerprint {policy.fingerprint}. Each value below with the file and line, or the override, that set it."
    )
    for section, content in policy.to_mapping().items():
        lines = [(key, _shown(value), policy.source(key)) for key, value in _leaves(content, section)]
        frame = pd.DataFrame(lines, columns=["key", "value", "source"])
        yield folded(f"{section}.yml ({len(lines)} values)", table(frame, text=("key", "value", "source")))


def _leaves(content: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(content, Mapping) and content:
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}")
    else:
        yield key, content


def _shown(value: Any) -> str:
    if value is None:
        return "no limit"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "(none)"
    if isinstance(value, Mapping):
        return "(none)"
    return str(value)
