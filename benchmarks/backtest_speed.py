"""Time one day of a backtest, against cvxportfolio's single-period optimisation on the same 20 stocks and days.

Run: python benchmarks/backtest_speed.py [--quick]

The problem is the same for both, and so is the answer: the weights nearest to given targets, under caps on each name,
each market, each bucket and all of them together, a floor of cash, and a cap on turnover. cvxportfolio states it as
least tracking error against the targets as its benchmark, with equal variances. It is also given easier problems of its
own kind, and every solver it can drive; its fastest configuration counts.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from statistics import median
from time import perf_counter
from types import FunctionType
from typing import Any

import pandas as pd
from support.drawing import bars, blank
from support.measure import Contestant, Timing, machine, side_by_side
from support.report import Goal, Report, duration, small, times

import pmx

try:
    import cvxportfolio as cvx
    import cvxpy as cp
    from skfolio.datasets import load_sp500_dataset
except ImportError as error:
    raise SystemExit(f"{error.name} is missing; install the peers: pip install 'pmx[bench]'") from error

MARKETS = {
    "technology": ["AAPL", "AMD", "MSFT"],
    "health": ["JNJ", "LLY", "MRK", "PFE", "UNH"],
    "staples": ["KO", "PEP", "PG", "WMT"],
    "energy": ["CVX", "RRC", "XOM"],
    "finance": ["BAC", "JPM"],
    "industry": ["BBY", "GE", "HD"],
}
BUCKETS = {
    "defensive": [*MARKETS["health"], *MARKETS["staples"]],
    "cyclical": [*MARKETS["technology"], *MARKETS["energy"], *MARKETS["finance"], *MARKETS["industry"]],
}
BUCKET_CAPS = {"defensive": 0.40, "cyclical": 0.45}
RISK_CAP, MARKET_CAP, NAME_CAP, TURNOVER_CAP = 0.70, 0.20, 0.08, 0.05

#: Solvers of quadratic programs that cvxportfolio reaches through cvxpy. HiGHS is left out: on some days its method for
#: quadratic programs runs for minutes.
SOLVERS = ("OSQP", "CLARABEL", "SCS", "PIQP", "PROXQP", "DAQP", "QOCO", "ECOS")
#: How many of them take part: the fastest of a trial.
FINALISTS, TRIAL_DAYS, TRIAL_ROUNDS = 3, 41, 5

PLAIN, SCALED, ENGINES = "pmx", "pmx + risk scaling", "pmx + risk scaling + signals"
SAME, MARKOWITZ, SIMPLE = "same problem", "Markowitz", "Markowitz, few rules"
WORK = (
    ("weights under the caps on names, markets, buckets, risk, turnover", "yes", "yes"),
    ("cash, holdings, trades, value", "yes", "yes"),
    ("profit kept apart by bucket", "yes", "no"),
    ("proof of how far the weights are from the exact ones", "yes", "no"),
    ("shadow price, slack and days binding of every rule", "yes", "no"),
    ("a record of the time that each part took", "no", "yes"),
    ("volatility (GARCH) and drawdown of buckets, budgets scaled by them", "“+ risk scaling”", "no"),
    ("forecasts from prices (AR mean and GARCH by stock)", "“+ signals”", "no: given"),
    ("covariance estimates, trading costs, download of data", "no", "no"),
)


@dataclass(frozen=True)
class Year:
    """Prices, targets and the days to live through."""

    prices: pd.DataFrame
    targets: pd.DataFrame
    days: pd.DatetimeIndex


def year(n_days: int) -> Year:
    """Return the last days before 2020 of the 20 stocks, with five years of history before them.

    The targets follow a simple rule: stocks that rose over half a year, in proportion to that rise over volatility.
    """
    prices = load_sp500_dataset().loc["2014":"2019"]
    rise, volatility = prices.pct_change(126), prices.pct_change().rolling(63).std()
    score = (rise / volatility).clip(lower=0.0)
    targets = score.div(score.sum(axis=1), axis=0).fillna(0.0)
    # one close more for the last day's return, and one more since cvxportfolio has no return for that close
    return Year(prices, targets, pd.DatetimeIndex(prices.index[-n_days - 2 : -2]))


def policy(*, scaled: bool) -> pmx.Policy:
    """Return the rules as a policy; ``scaled`` adds risk scaling, and the route of the engine's signals.

    Volatility is fitted every quarter as in the shipped policy, but from the first quarter on, so that a year holds as
    many fits as any later year would. The turnover cap gives way where a budget falls faster than it lets weights fall.
    """
    buckets: dict[str, Any] = {"safe": {"role": "safe", "base_nav_frac": 1.0 - RISK_CAP, "symbols": ["BIL"]}}
    for name, cap in BUCKET_CAPS.items():
        buckets[name] = {"role": "risk", "base_nav_frac": cap, "max_nav_frac": cap, "symbols": BUCKETS[name]}
    rules: dict[str, Any] = {
        "risk_buckets": {"portfolio": {"distance": "absolute"}, "buckets": buckets},
        "barbell": {
            "safe_bucket": {
                "symbols": ["BIL"],
                "min_weight": 1.0 - RISK_CAP,
                "max_weight": None,
                "max_per_position": None,
            },
            "risk_bucket": {"max_weight": RISK_CAP, "max_per_position": NAME_CAP},
            "markets": MARKETS,
            "market_caps": dict.fromkeys(MARKETS, MARKET_CAP),
        },
        "execution": {
            "turnover": {"max": TURNOVER_CAP, "hard": not scaled},
            "costs": {"commission_bps": 0.0, "half_spread_bps": 0.0},
        },
    }
    if scaled:
        scalers = {name: {"target_vol": 0.15} for name in BUCKET_CAPS}
        rules["risk_scaler"] = {"volatility": {"refit_every": 63, "min_observations": 63}, "buckets": scalers}
        route = {"bucket": "cyclical", "priority": 1, "market_buckets": {"health": "defensive", "staples": "defensive"}}
        rules["signal_routing_config"] = {"sources": {"time_series_core": route}, "default_full_conviction": 0.2}
    return pmx.Policy.from_mapping(rules)


def pmx_runs(data: Year) -> dict[str, Callable[[int], Any]]:
    """Return pmx's ways through the first n days, by name; each decision trades at the close it was made on."""
    plain, scaled = policy(scaled=False), policy(scaled=True)

    def run(rules: pmx.Policy, targets: pd.DataFrame | None, n: int) -> pmx.BacktestResult:
        span = {"start": data.days[0], "end": data.days[n - 1]}
        return pmx.backtest(data.prices, rules, targets=targets, trade_at="close", **span)

    return {
        PLAIN: lambda n: run(plain, data.targets, n),
        SCALED: lambda n: run(scaled, data.targets, n),
        ENGINES: lambda n: run(scaled, None, n),
    }


class Cvxportfolio:
    """The same days in cvxportfolio: user-provided returns, no costs, no rounding, one process.

    Parameters
    ----------
    data : Year
        What pmx is given too.
    folder : path
        Where cvxportfolio keeps its cache.
    """

    def __init__(self, data: Year, folder: Path) -> None:
        self.data, self.symbols = data, data.prices.columns
        returns = (data.prices.shift(-1) / data.prices - 1.0).iloc[:-1].assign(cash=0.0)
        market = cvx.UserProvidedMarketData(
            returns=returns, cash_key="cash", min_history=pd.Timedelta(0), base_location=folder
        )
        self.simulator = cvx.MarketSimulator(market_data=market, costs=[], base_location=folder)
        self.variance = pd.Series(1.0, index=self.symbols)
        groups = {"risk": list(self.symbols)} | BUCKETS | MARKETS
        self.membership = pd.DataFrame({g: self.symbols.isin(m).astype(float) for g, m in groups.items()}, self.symbols)
        self.caps = pd.Series({"risk": RISK_CAP} | BUCKET_CAPS | dict.fromkeys(MARKETS, MARKET_CAP))

    def optimisation(self, problem: str, solver: str) -> cvx.SinglePeriodOptimization:
        """Return the policy of a problem, in the fewest and cheapest terms that state it."""
        names = [cvx.LongOnly(), cvx.MaxWeights(NAME_CAP)]
        sums = [cvx.FactorMaxLimit(self.membership, self.caps)]
        options = {"include_cash_return": False, "solver": solver}
        if problem == SAME:
            benchmark = self.data.targets.assign(cash=1.0 - self.data.targets.sum(axis=1))
            rules = [*names, *sums, cvx.TurnoverLimit(TURNOVER_CAP)]
            return cvx.SinglePeriodOptimization(
                -cvx.DiagonalCovariance(self.variance), rules, benchmark=benchmark, **options
            )
        gain = cvx.ReturnsForecast(0.01 * self.data.targets) - 5.0 * cvx.DiagonalCovariance(1e-4 * self.variance)
        rules = [*names, cvx.LeverageLimit(1.0)] if problem == SIMPLE else [*names, *sums]
        return cvx.SinglePeriodOptimization(gain, rules, **options)

    def run(self, problem: str, solver: str, n: int) -> Any:
        """Live through the first n days; the day after them is where it values the last trades."""
        calendar = self.data.prices.index
        end = calendar[calendar.get_loc(self.data.days[n - 1]) + 1]
        return self.simulator.backtest(self.optimisation(problem, solver), start_time=self.data.days[0], end_time=end)

    def finalists(self) -> list[str]:
        """Return the solvers that are fastest on the same problem over a few days."""
        installed = [solver for solver in SOLVERS if solver in cp.installed_solvers()]
        runs = {solver: lambda n, solver=solver: self.run(SAME, solver, n) for solver in installed}
        trial = measure(runs, TRIAL_DAYS, TRIAL_ROUNDS)
        for solver in installed:
            if trial[solver].failure:
                print(f"{solver} does not take part: {trial[solver].failure}")
        finished = [solver for solver in installed if not trial[solver].failure]
        return sorted(finished, key=lambda solver: per_day(trial, solver, TRIAL_DAYS))[:FINALISTS]


@contextmanager
def time_inside(owner: type) -> Iterator[list[float]]:
    """Collect the seconds spent inside a class's methods, each outermost call once; construction does not count."""
    spent, methods = [0.0], {k: v for k, v in vars(owner).items() if isinstance(v, FunctionType) and k != "__init__"}
    depth = 0

    def timed(method: FunctionType) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal depth
            depth += 1
            start = perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                depth -= 1
                if depth == 0:
                    spent[0] += perf_counter() - start

        return call

    for name, method in methods.items():
        setattr(owner, name, timed(method))
    try:
        yield spent
    finally:
        for name, method in methods.items():
            setattr(owner, name, method)


def projection_share(run: Callable[[int], Any], n_days: int, repeats: int = 5) -> float:
    """Return the share of a run's time that is spent in the projector, a median."""
    shares = []
    for _ in range(repeats):
        with time_inside(pmx.Projector) as inside:
            start = perf_counter()
            run(n_days)
            shares.append(inside[0] / (perf_counter() - start))
    return median(shares)


def per_day(timings: dict[str, Timing], name: str, n_days: int) -> float:
    """Return the median seconds of one day: a run of n days less one of a single day, which is mostly set-up."""
    return (timings[name].median - timings[f"{name}, one day"].median) / (n_days - 1)


def measure(runs: dict[str, Callable[[int], Any]], n_days: int, rounds: int) -> dict[str, Timing]:
    """Time every run over all days and over one day, in turn."""
    entrants: list[Contestant] = []
    for name, run in runs.items():
        for label, days in ((name, n_days), (f"{name}, one day", 1)):
            entrants.append(Contestant(label, lambda _: None, lambda run=run, days=days: run(days), warm_up=1))
    return side_by_side(entrants, budget=float("inf"), rounds=rounds, title="backtests")


def accuracy(own: pmx.BacktestResult, other: Any) -> float:
    """Return the largest difference between the weights after trading, over all days and stocks."""
    weights = other.w_plus.reindex(own.weights.index).drop(columns="cash")
    return float((weights - own.weights[weights.columns]).abs().to_numpy().max())


def goals(seconds: dict[str, float], other: dict[str, tuple[str, str]]) -> list[Goal]:
    """Return what is to be reached: against the fastest that solves the same problem, and the fastest of all."""
    nothing = float("nan")
    fastest = min((seconds[name] for name in other if name in seconds), default=nothing)
    same = min((seconds[name] for name in other if name in seconds and other[name][0] == SAME), default=nothing)
    return [
        Goal("a day, cvxportfolio ÷ pmx: the same problem, its fastest solver", same / seconds[PLAIN], 50.0),
        Goal("a day, cvxportfolio ÷ pmx: its fastest configuration of all", fastest / seconds[PLAIN], 50.0),
    ]


def compare(data: Year, theirs: Cvxportfolio, rounds: int, report: Report) -> None:
    """Measure, tabulate and save."""
    n_days, own, solvers = len(data.days), pmx_runs(data), theirs.finalists()
    entries = [(problem, solver) for problem in (SAME, MARKOWITZ, SIMPLE) for solver in solvers]
    other = {f"cvxportfolio {solver}: {problem}": (problem, solver) for problem, solver in entries}
    runs = own | {name: lambda n, entry=entry: theirs.run(*entry, n) for name, entry in other.items()}
    timings = measure(runs, n_days, rounds)
    seconds = {name: per_day(timings, name, n_days) for name in runs}
    answers = {name: run(n_days) for name, run in own.items()}
    rows: list[Sequence[str]] = []
    figures: list[dict[str, Any]] = []
    for name in runs:
        figure = {"name": name, "seconds_per_day": seconds[name], "ratio": seconds[name] / seconds[PLAIN]}
        figure |= {"spread": timings[name].spread, "failure": timings[name].failure}
        exact, share = timings[name].failure or "another problem", "–"
        if name in own:
            figure["worst_distance_bound"] = float(answers[name].distance_bound.max())
            figure["projection_share"] = projection_share(own[name], n_days)
            exact, share = f"proven to {small(figure['worst_distance_bound'])}", f"{figure['projection_share']:.0%}"
        elif other[name][0] == SAME and not timings[name].failure:
            figure["worst_difference"] = accuracy(answers[PLAIN], theirs.run(*other[name], n_days))
            exact = f"pmx's to {small(figure['worst_difference'])}"
        figures.append(figure)
        rows.append((name, duration(seconds[name]), times(figure["ratio"]), share, exact))
    notes = (
        f"Medians of {rounds} interleaved runs over {n_days} days, less a run of one day (set-up).",
        "Markowitz: given forecasts, diagonal risk, the same rules but turnover; few rules: caps on names, leverage.",
        f"Solvers: the {FINALISTS} fastest on the same problem of those installed.",
        "projecting: share of the time in Projector's own methods. Plain days are lived in one compiled loop, which "
        "projects within itself.",
    )
    report.add(
        "one day of a backtest", ("", "a day", "÷ pmx", "projecting", "weights"), rows, notes=notes, figures=figures
    )
    report.add("what is done every day", ("", "pmx", "cvxportfolio"), WORK)
    finished = {name: value for name, value in seconds.items() if not timings[name].failure}
    report.judge(goals(finished, other))
    figure, axes = blank(f"One day of a backtest: 20 stocks, {n_days} days, medians", "seconds a day", "")
    bars(axes, finished, own=list(own), label=duration)
    axes.set_xlim(left=min(finished.values()) / 10.0)
    report.save(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer days and rounds: figures are rougher")
    quick = parser.parse_args().quick
    logging.disable(logging.INFO)  # cvxportfolio logs every step; without that it is a little faster
    data = year(126 if quick else 252)
    settings = {"days": len(data.days), "first": str(data.days[0].date()), "last": str(data.days[-1].date())}
    packages = ("cvxportfolio", "cvxpy", "osqp", "clarabel", "scs", "skfolio", "arch")
    report = Report("backtest_speed", machine(packages), settings | {"quick": quick})
    with tempfile.TemporaryDirectory() as folder:
        compare(data, Cvxportfolio(data, Path(folder)), 3 if quick else 9, report)


if __name__ == "__main__":
    main()
