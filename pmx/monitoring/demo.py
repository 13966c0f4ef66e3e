"""The demo: one set of signals run with the policy and without it, beside plain buying and holding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from pmx.arguments import checked
from pmx.backtest import BacktestResult, backtest
from pmx.execution import default_engines
from pmx.policy import Policy, load_policy, parse_override
from pmx.signals.tape import SignalTape

#: The three portfolios, in the order in which they are run.
PORTFOLIOS = ("policy portfolio", "same signals, no policy", "buy and hold")

#: One model, believed whatever its forecasts were worth. The shipped engine wants evidence, finds little in the demo's
#: prices and stays out on most days, so that the policy would have little to hold back.
CREDULOUS = (
    "signal_routing_config.engines.time_series.members=[ar_garch]",
    "signal_routing_config.engines.time_series.evidence=0",
)


@checked
def demo_policy(changes: Sequence[str] = ()) -> Policy:
    """Return the shipped policy with an engine that hears one model and always believes it.

    Parameters
    ----------
    changes : sequence of str
        Further ``key=value``, as of ``--set``.

    Examples
    --------
    >>> demo_policy(["barbell.safe_bucket.min_weight=0.8"]).signal_routing_config.engines.time_series.members
    ('ar_garch',)
    """
    return load_policy(None, dict(parse_override(change) for change in (*CREDULOUS, *changes)))


@checked
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


@checked
def switched_off(policy: Policy) -> Policy:
    """Return the policy with every limit off: the router's relative weights become weights of NAV as they are."""
    return policy.override(
        {
            "risk_buckets.enabled": False,
            "barbell.enable_barbell_allocation": False,
            "risk_scaler.enabled": False,
        }
    )
