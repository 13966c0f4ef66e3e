"""Draw counterfactual.svg: what a safe floor contributed by year, by the ledger and by a second run without it.

Run it as ``.venv/bin/python docs/figures/counterfactual.py``; it takes a few seconds.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import pmx
from pmx.data import load_demo_cash_rate, load_demo_prices

WIDTH, LEFT, RIGHT, TALL = 880.0, 58.0, 16.0, 150.0
TOPS = (46.0, 262.0)
SAVED, COST, AGAIN = "#2b8a3e", "#b02a2a", "#212529"
FLOOR = "barbell.safe.floor"
PANELS = {
    "Wishes of 22% of NAV, floor of 90%: no other rule is near": {"SP500": 0.08, "NASDAQ": 0.08, "WTI": 0.06},
    "Wishes of 50% of NAV, floor of 90%: caps stand right behind": {"SP500": 0.30, "NASDAQ": 0.10, "WTI": 0.10},
}


def compare(wish: dict[str, float]) -> pd.DataFrame:
    """Return the floor's contribution by year: ``ledger``, and ``again``, the difference to a run without it."""
    prices, cash = load_demo_prices(), load_demo_cash_rate()
    policy = pmx.load_policy().override({"barbell.safe_bucket.min_weight": 0.90, "risk_scaler.enabled": False})
    loose = policy.override({"barbell.safe_bucket.min_weight": 0.70})
    targets = pd.DataFrame(wish, index=prices.index)
    ruled, free = (pmx.backtest(prices, rules, targets=targets, cash_rate=cash) for rules in (policy, loose))
    gained = ruled.contributions["weight"] - free.contributions["weight"]
    ledger = ruled.contributions_by_year["contribution"].xs(FLOOR, level="rule")
    return pd.DataFrame({"ledger": ledger, "again": gained.groupby(gained.index.year).sum()})


def panel(top: float, title: str, years: pd.DataFrame) -> list[str]:
    """Draw a bar a year for the ledger and a mark for the second run."""
    high, low = 1.08 * years.to_numpy().max(), 1.08 * years.to_numpy().min()
    wide = (WIDTH - LEFT - RIGHT) / len(years)

    def y(value: float) -> float:
        return top + TALL * (high - value) / (high - low)

    parts = [f'<text x="{LEFT}" y="{top - 12:.0f}" font-weight="bold">{title}</text>']
    for level in (-0.20, -0.15, -0.10, -0.05, 0.0, 0.05, 0.10, 0.15, 0.20):
        if low < level < high:
            colour, words = ("#868e96", "0%") if level == 0.0 else ("#dee2e6", f"{level:+.0%}")
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}" stroke="{colour}"/>'
                f'<text x="{LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end" fill="#5c646c">{words}</text>'
            )
    for k, (year, line) in enumerate(years.iterrows()):
        x, ledger, again = LEFT + wide * (k + 0.2), float(line["ledger"]), float(line["again"])
        colour = SAVED if ledger > 0.0 else COST
        parts.append(
            f'<rect x="{x:.1f}" y="{y(max(ledger, 0.0)):.1f}" width="{0.6 * wide:.1f}" '
            f'height="{abs(y(ledger) - y(0.0)):.1f}" fill="{colour}"/>'
            f'<line x1="{x - 5:.1f}" x2="{x + 0.6 * wide + 5:.1f}" y1="{y(again):.1f}" y2="{y(again):.1f}" '
            f'stroke="{AGAIN}" stroke-width="2.5"/>'
        )
        if int(year) % 4 == 0:
            parts.append(f'<text x="{x + 0.3 * wide:.1f}" y="{top + TALL + 20:.0f}" text-anchor="middle">{year}</text>')
    return parts


def legend() -> list[str]:
    """Say what bars and marks are."""
    y = TOPS[1] + TALL + 44.0
    return [
        f'<rect x="{LEFT}" y="{y - 11:.0f}" width="14" height="12" fill="{SAVED}"/>'
        f'<rect x="{LEFT + 16}" y="{y - 11:.0f}" width="14" height="12" fill="{COST}"/>'
        f'<text x="{LEFT + 38}" y="{y:.0f}">the floor saved, or cost, by the ledger (NAV fraction over cash)</text>'
        f'<line x1="{LEFT + 450}" x2="{LEFT + 476}" y1="{y - 5:.0f}" y2="{y - 5:.0f}" stroke="{AGAIN}" '
        f'stroke-width="2.5"/><text x="{LEFT + 484}" y="{y:.0f}">this run less one without it</text>'
    ]


if __name__ == "__main__":
    height = TOPS[1] + TALL + 58.0
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#343a40">',
        f'<rect width="{WIDTH:.0f}" height="{height:.0f}" fill="#fff"/>',
    ]
    for at, (words, wish) in zip(TOPS, PANELS.items(), strict=True):
        drawn += panel(at, words, compare(wish))
    target = Path(__file__).with_suffix(".svg")
    target.write_text("\n".join([*drawn, *legend(), "</svg>"]) + "\n", encoding="utf-8")
    print(f"wrote {target}")
