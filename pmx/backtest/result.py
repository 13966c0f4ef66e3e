"""What a backtest returns: one frozen record of tables."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.backtest.contributions import saved_and_cost
from pmx.backtest.metrics import drawdown, performance
from pmx.errors import PmxWarning
from pmx.policy import Policy
from pmx.projection import Allocation


@dataclass(frozen=True, repr=False)
class BacktestResult:
    """The record of a backtest. Dates are closes; all weights are signed fractions of NAV.

    Attributes
    ----------
    policy : Policy
        The policy that was run.
    nav : Series by date
        Net asset value after the day's trading, base currency. Its first value is that of the account as it was opened:
        where decisions trade at their own close, it stands at the date before the first close of the run (the day
        before, if the prices have none).
    weights : DataFrame, date × symbol
        Weights decided at each close, ``CASH`` included; rows sum to 1. They are traded at that close or at the next,
        see :func:`pmx.backtest`.
    positions : DataFrame, date × (bucket, symbol)
        Quantities held after the day's trading, units. What the residual symbol holds in place of cash is of bucket
        ``unassigned``.
    bucket_weights : DataFrame, date × bucket
        What each bucket is worth after the day's trading, and ``CASH``.
    safe_weight : Series by date
        Share of NAV not at risk in each decision.
    safe_weight_held : Series by date
        Share of NAV not at risk in what was held after each close's trading.
    safe_floor : float
        The floor it is held to; 0 when there is none.
    risk_scale : DataFrame, date × bucket
        Scale ``s_b`` used in each decision.
    trades : DataFrame
        One row a symbol and day: date, symbol, quantity, price, value (signed), cost (not signed), and reason,
        ``rebalance`` or ``delisted``.
    delistings : DataFrame
        One row for each time that a symbol missed more than ``execution.max_stale_bars`` sessions while it was held:
        ``date``, ``symbol``, ``treatment`` (``execution.delisting``), ``quantity``, its last ``mark`` and the
        ``mark_date``, the ``haircut``, the ``value`` that was booked before costs (with ``hold``, that it stands at),
        and where it traded again in the run ``traded_again`` and ``price_again``; ``overstated`` is the value booked
        less that of the same quantity then, base currency.
    rules : DataFrame by rule
        ``days`` (decisions in which the rule was written), ``days_binding`` and ``share_binding`` of them,
        ``mean_shadow_price`` over them; what its cuts earned over cash, ``contribution``, and apart the calendar months
        in which they ``saved`` and in which they ``cost`` (contribution = saved − cost, sums of daily fractions of
        NAV); ``days_given_way`` (a soft rule overrun by more than 1e-9), ``max_violation``; of what was held,
        ``days_outside`` (closes at which the rule was exceeded by more than 1e-9) and ``max_excess_held`` (missing for
        rules about trades, of which holdings say nothing); ``source``.
    breaches : DataFrame
        Where what was held was outside a rule, one row a spell of closes and rule: ``rule``, whether it is ``hard``,
        the ``first`` and ``last`` close and how many ``days`` (closes), the ``worst_excess`` (in units of the rule's
        limit: NAV fractions), the ``cause``, the first close inside the rule again, at which it was ``cured`` (missing
        if it never was), and the closes from the first to that one, ``days_to_cure``. A spell ends where its cause
        changes; the next is cured at the same close. Causes: ``drift`` of prices; ``waiting``, orders that would have
        brought what is held inside waited for their symbols' next sessions; ``suspended``, a symbol of such orders
        missed a session; ``lapsed order``, such orders ended with a delisting; ``limit``, a risk scale lowered the
        rule's limit; ``costs``, without the costs of the latest trades nothing would have been exceeded at their close,
        and no more has been since; ``decision``, the decided weights exceed the rule
        themselves, as only soft rules can be.
    contributions : DataFrame, date × cause
        Return of each day over that of cash, before trading costs, by what brought it about, fraction of the NAV a day
        ago: ``target``, what the wishes would have earned; one column for each rule that moved anything, what its cuts
        earned or cost; ``weight``, what was held did. ``target`` and the rules add up to ``weight``. Columns that are
        no rules are those of :attr:`pmx.Allocation.attribution`.
    status : Series by date
        Status of each decision.
    occasion : Series by date
        What each decision was made for: ``targets``, ``signals``, or a ``breach`` of a rule by what was held.
    distance_bound : Series by date
        Certificate of each decision: how far from the exact answer its weights can be at most, fraction of NAV.
    interest : Series by date
        Interest on cash since the close before, base currency.
    gates : DataFrame
        When the gates of validation were shut, one row a spell: ``symbol``, ``mode``, the date of the decision that
        ``shut`` it (or of the first of the run) and of the one that ``opened`` it (missing if none did), and the number
        of ``decisions`` from one to the other.
    signals : DataFrame
        Every signal of the engines, one row each: date, symbol, source, direction, edge, strength, confidence, the
        bucket that was asked, whether it was kept, and why or why not; and that its symbol's gate is shut. Empty when
        targets were given instead.
    budgets : DataFrame
        How much of its budget each bucket was asked to use, one row a decision and bucket with signals, holdings or
        standing weights: date and the fields of :class:`pmx.signals.BudgetUse`. Empty when targets were given instead.
    last : Allocation or None
        The last decision, whole.
    rf : Series or float
        Risk-free simple return of each period, from the cash rate that was run; 0 at the first close.
    periods_per_year : float
        Used by ``metrics``: as given to the run or stated by the policy, or counted by the dates of the run.
    data_warnings : DataFrame
        What in the prices is probably a fault, see :func:`pmx.data.price_findings`: ``kind``, ``symbol``, ``date``,
        ``value``, ``text``.
    corporate_actions : DataFrame
        One row a split or dividend of the run: ``date``, ``symbol``, ``kind`` (``split`` or ``dividend``), ``value``
        (units for one held, or cash for one unit), ``quantity`` held at the close before (of a dividend after a split
        on the same day), and the ``cash`` that it paid, base currency.
    """

    policy: Policy
    nav: pd.Series
    weights: pd.DataFrame
    positions: pd.DataFrame
    bucket_weights: pd.DataFrame
    safe_weight: pd.Series
    safe_weight_held: pd.Series
    safe_floor: float
    risk_scale: pd.DataFrame
    trades: pd.DataFrame
    delistings: pd.DataFrame
    rules: pd.DataFrame
    breaches: pd.DataFrame
    contributions: pd.DataFrame
    status: pd.Series
    occasion: pd.Series
    distance_bound: pd.Series
    interest: pd.Series
    gates: pd.DataFrame
    signals: pd.DataFrame
    budgets: pd.DataFrame
    last: Allocation | None
    rf: pd.Series | float = 0.0
    periods_per_year: float = 252.0
    data_warnings: pd.DataFrame = field(default_factory=pd.DataFrame)
    corporate_actions: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __repr__(self) -> str:
        first, last = (f"{day:%Y-%m-%d}" for day in (self.positions.index[0], self.nav.index[-1]))
        return (
            f"BacktestResult({first} to {last}, {len(self.positions):,} closes, NAV {self.nav.iloc[0]:,.0f} to "
            f"{self.nav.iloc[-1]:,.0f}, {len(self.trades):,} trades; see .metrics, .weights, .rules, .trades, .last)"
        )

    @property
    def drawdown(self) -> pd.Series:
        """Drawdown from the running peak, fraction ≥ 0."""
        return drawdown(self.nav)

    @property
    def returns(self) -> pd.Series:
        """Simple return of each period."""
        returns: pd.Series = self.nav.pct_change().iloc[1:]
        return returns.rename("return")

    @property
    def contributions_by_year(self) -> pd.DataFrame:
        """What each rule cost, and saved, year by year: one row a year and rule that moved anything in the run.

        Columns ``contribution``, ``saved`` and ``cost`` as in ``rules``, over the months of the year.
        """
        years = pd.DatetimeIndex(self.contributions.index).year.to_numpy()
        of = {int(year): saved_and_cost(self.contributions[years == year]) for year in np.unique(years)}
        return pd.concat(of, names=["year"])

    @cached_property
    def metrics(self) -> pd.Series:
        """Performance figures with the run's own cash rate as ``rf``; see :meth:`performance`.

        Adds ``lowest_safe_weight`` (of any decision; NaN where nothing was decided) and ``lowest_safe_weight_held``.
        """
        figures = self.performance(rf=self.rf, periods_per_year=self.periods_per_year)
        figures["lowest_safe_weight"] = float(self.safe_weight.min()) if len(self.safe_weight) else math.nan
        figures["lowest_safe_weight_held"] = float(self.safe_weight_held.min())
        return figures

    @checked
    def performance(self, *, rf: pd.Series | float = 0.0, periods_per_year: float | None = None) -> pd.Series:
        """Return the figures of :func:`pmx.backtest.metrics.performance`, with trading and cost beside them.

        Adds ``turnover`` (½ Σ|trade| ÷ NAV, a year), ``cost`` (Σ paid ÷ NAV, a year), each trade by the NAV after its
        day's trading, and ``trades`` (count). ``periods_per_year`` is the run's when omitted.
        """
        periods_per_year = self.periods_per_year if periods_per_year is None else periods_per_year
        with warnings.catch_warnings():
            if periods_per_year == self.periods_per_year:
                warnings.simplefilter("ignore", PmxWarning)  # the run has said what there is to say of it
            figures = performance(self.nav, rf=rf, periods_per_year=periods_per_year)
        years = (len(self.nav) - 1) / periods_per_year
        nav = self.nav.reindex(self.trades["date"]).to_numpy()
        figures["turnover"] = 0.5 * float((self.trades["value"].abs() / nav).sum()) / years
        figures["cost"] = float((self.trades["cost"] / nav).sum()) / years
        figures["trades"] = float(len(self.trades))
        return figures
