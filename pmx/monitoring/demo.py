"""The demo: one set of signals run with the policy and without it, beside plain buying and holding."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pmx.backtest import BacktestResult, backtest
from pmx.execution import default_engines
from pmx.policy import Policy
from pmx.signals.tape import SignalTape

#: The three portfolios, in the order in which they are run.
PORTFOLIOS = ("policy portfolio", "same signals, no policy", "buy and hold")


def demo_runs(
    policy: Policy, prices: pd.DataFrame, cash_rate: pd.Series, *, progress: bool = False
) -> Iterator[tuple[str, BacktestResult]]:
    """Run the three portfolios of the demo, one after the other.

    Parameters
    ----------
    policy : Policy
        The policy of the first portfolio; its engines and costs serve all three.
    prices : DataFrame, date × symbol
        Closes.
    cash_rate : Series by date
        Simple rate a calendar day.
    progress : bool
        Show a progress bar for each run.

    Yields
    ------
    tuple of str and BacktestResult
        Name, one of `PORTFOLIOS`, and result. The signals are computed in the first run only.

    Examples
    --------
    >>> from pmx.data import load_demo_cash_rate, load_demo_prices
    >>> from pmx.policy import load_policy
    >>> prices = load_demo_prices().loc["1999":"1999-03"]
    >>> runs = dict(demo_runs(load_policy(), prices, load_demo_cash_rate()))
    >>> {name: round(float(run.nav.iloc[-1]) / 1e6, 2) for name, run in runs.items()}
    {'policy portfolio': 1.01, 'same signals, no policy': 1.01, 'buy and hold': 1.17}
    """
    symbols = [str(symbol) for symbol in prices.columns]
    engines = [SignalTape(engine) for engine in default_engines(policy, symbols)]
    free = switched_off(policy)
    equal = pd.DataFrame(1.0 / len(symbols), index=prices.index[:1], columns=symbols)

    ruled, unruled, held = PORTFOLIOS
    yield ruled, backtest(prices, policy, engines=engines, cash_rate=cash_rate, progress=progress)
    yield unruled, backtest(prices, free, engines=engines, cash_rate=cash_rate, progress=progress)
    yield held, backtest(prices, free, targets=equal, cash_rate=cash_rate, progress=progress)


def switched_off(policy: Policy) -> Policy:
    """Return the policy with every limit off: the router's relative weights become weights of NAV as they are."""
    return policy.override(
        {
            "risk_buckets.enabled": False,
            "barbell.enable_barbell_allocation": False,
            "risk_scaler.enabled": False,
        }
    )
