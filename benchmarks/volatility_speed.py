"""Time the volatility state of 100 symbols over ten years of days, against plain loops of arch.

Run: python benchmarks/volatility_speed.py [--quick]

Everyone models the same simulated returns by a zero-mean GARCH(1, 1) with normal shocks, refits it every quarter on the
trailing 1,000 days, and says at every close what the next day's volatility will be. The arch loops differ in how the
days between two fits are done; one of them refits on every day instead, and is measured on a sample of the days.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from arch import arch_model
from numpy.typing import NDArray
from rich.progress import track
from support.drawing import bars, blank
from support.measure import Contestant, Timing, machine, side_by_side
from support.report import Report, duration, small, times

import pmx
from pmx.risk import fit_arch

Array = NDArray[np.float64]

SYMBOLS, YEARS, DAYS_A_YEAR, SEED = 100, 10, 252, 20
WINDOW, REFIT_EVERY, MIN_OBSERVATIONS = 1000, 63, 250
#: Days on which the loop that refits daily is measured, evenly spaced over a symbol's history.
SAMPLED_DAYS = 12
#: arch wants returns of about this many times their size.
PERCENT = 100.0
#: Simulated days that are thrown away, so that the start value of the variance does not show.
BURN_IN = 500

PMX = "pmx.GarchVolatility"
#: The ways: pmx; arch filtering whole quarters at once; arch asked every day; arch fitted every day.
PMX, BLOCK, DAILY, REFIT = "pmx.GarchVolatility", "arch, by quarter", "arch, by day", "arch, a fit a day"


def simulated_returns(symbols: int, n_days: int) -> Array:
    """Return GARCH(1, 1) returns with parameters as stocks show them, shape (n_symbols, n_days)."""
    rng = np.random.default_rng(SEED)
    alpha, persistence = rng.uniform(0.04, 0.12, symbols), rng.uniform(0.95, 0.99, symbols)
    long_run = (rng.uniform(0.15, 0.45, symbols) ** 2) / DAYS_A_YEAR
    shocks = rng.standard_normal((symbols, BURN_IN + n_days))
    returns, variance = np.empty_like(shocks), long_run.copy()
    for day in range(shocks.shape[1]):
        returns[:, day] = np.sqrt(variance) * shocks[:, day]
        variance = long_run * (1.0 - persistence) + alpha * returns[:, day] ** 2 + (persistence - alpha) * variance
    return returns[:, BURN_IN:]


def by_pmx(returns: Array) -> Array:
    """Return next-day volatilities at every close from the first fit on: one update and one forecast a day."""
    model = pmx.GarchVolatility(window=WINDOW, refit_every=REFIT_EVERY, min_observations=MIN_OBSERVATIONS)
    volatilities = []
    for value in returns.tolist():
        model.update(value)
        volatilities.append(model.forecast().volatility)
    return np.array(volatilities[MIN_OBSERVATIONS - 1 :])


def garch(returns: Array) -> Any:
    """Return arch's model of some returns."""
    return arch_model(PERCENT * returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False)


def next_volatility(result: Any) -> float:
    """Return the volatility that arch forecasts for the day after the last."""
    return float(np.sqrt(result.forecast(horizon=1).variance.to_numpy()[-1, 0])) / PERCENT


def by_daily_forecast(returns: Array) -> Array:
    """Fit every quarter; on the days between, hand arch the trailing window with the parameters fixed."""
    volatilities, result = [], None
    for day in range(MIN_OBSERVATIONS, len(returns) + 1):
        model = garch(returns[max(day - WINDOW, 0) : day])
        if (day - MIN_OBSERVATIONS) % REFIT_EVERY == 0:
            result = model.fit(disp="off", show_warning=False)
            volatilities.append(next_volatility(result))
        else:
            volatilities.append(next_volatility(model.fix(result.params)))
    return np.array(volatilities)


def by_block(returns: Array) -> Array:
    """Fit every quarter, and let arch filter the whole quarter to come in one call: for a past that is known whole."""
    blocks = []
    for day in range(MIN_OBSERVATIONS, len(returns) + 1, REFIT_EVERY):
        start = max(day - WINDOW, 0)
        model = garch(returns[start : day + REFIT_EVERY - 1])
        result = model.fit(last_obs=day - start, disp="off", show_warning=False)
        forecast = result.forecast(horizon=1, start=day - start - 1)
        blocks.append(np.sqrt(forecast.variance.to_numpy()[:, 0]) / PERCENT)
    return np.concatenate(blocks)


def by_daily_fit(returns: Array) -> Array:
    """Fit on a sample of the days, evenly spaced."""
    days = np.linspace(MIN_OBSERVATIONS, len(returns), SAMPLED_DAYS).astype(int)
    fits = [garch(returns[max(day - WINDOW, 0) : day]).fit(disp="off", show_warning=False) for day in days]
    return np.array([next_volatility(fit) for fit in fits])


@dataclass
class Loop:
    """One way through a symbol's history, and what it answered.

    Attributes
    ----------
    way : callable
        Returns to volatilities.
    answers : dict of int to array
        By symbol.
    """

    way: Callable[[Array], Array]
    answers: dict[int, Array] = field(default_factory=dict)

    def contestant(self, name: str, returns: Array) -> Contestant:
        """Return it as a contestant that takes one symbol after another, from the second on; the first warms it up."""
        state: dict[str, Any] = {}

        def load(number: int) -> None:
            state["symbol"] = number % len(returns)

        def run() -> None:
            self.answers[state["symbol"]] = self.way(returns[state["symbol"]])

        return Contestant(name, load, run, warm_up=1)

    def differences(self, other: Loop) -> Array:
        """Return the relative differences between the volatilities of two loops, over the symbols that both have."""
        shared = sorted(self.answers.keys() & other.answers.keys())
        return np.concatenate([np.abs(self.answers[i] / other.answers[i] - 1.0) for i in shared])


def same_parameters(returns: Array) -> float:
    """Return the largest relative difference over the first quarter where arch is given pmx's own parameters."""
    model = pmx.GarchVolatility(window=WINDOW, refit_every=REFIT_EVERY, min_observations=MIN_OBSERVATIONS)
    worst = 0.0
    for day, value in enumerate(returns[: MIN_OBSERVATIONS + REFIT_EVERY - 1].tolist(), start=1):
        model.update(value)
        if model.process is not None:
            p = model.process
            fixed = garch(returns[:day]).fix([p.omega * PERCENT**2, p.alpha, p.beta])
            worst = max(worst, abs(model.forecast().volatility / next_volatility(fixed) - 1.0))
    return worst


def compare(returns: Array, rounds: int, report: Report) -> dict[str, float]:
    """Time the loops symbol by symbol, in turn; return the seconds of a symbol by loop."""
    n_days = returns.shape[1] - MIN_OBSERVATIONS + 1
    ways = {PMX: by_pmx, BLOCK: by_block, DAILY: by_daily_forecast, REFIT: by_daily_fit}
    loops = {name: Loop(way) for name, way in ways.items()}
    entrants = [loop.contestant(name, returns) for name, loop in loops.items()]
    timings: dict[str, Timing] = side_by_side(entrants, budget=float("inf"), rounds=rounds, title="volatility")
    seconds = {name: timing.median for name, timing in timings.items()}
    seconds[REFIT] *= n_days / SAMPLED_DAYS
    exact = same_parameters(returns[0])
    rows, figures = [], []
    for name, loop in loops.items():
        figure: dict[str, Any] = {
            "name": name,
            "seconds_per_symbol": seconds[name],
            "ratio": seconds[name] / seconds[PMX],
        }
        figure["failure"], worst, typical = timings[name].failure, "–", "–"
        if name in (BLOCK, DAILY):
            difference = loop.differences(loops[PMX])
            figure |= {"worst_difference": float(difference.max()), "median_difference": float(np.median(difference))}
            worst, typical = small(figure["worst_difference"]), small(figure["median_difference"])
        figures.append(figure)
        row = (name, duration(seconds[name]), duration(SYMBOLS * seconds[name]), times(figure["ratio"]), worst, typical)
        rows.append(row)
    report.add(
        f"next-day volatility at each of {n_days:,} closes, a fit every {REFIT_EVERY}",
        ("", "a symbol", f"{SYMBOLS} symbols", "÷ pmx", "worst diff.", "median"),
        rows,
        notes=(
            f"Medians over {rounds} symbols in turn; {SYMBOLS} symbols are {SYMBOLS} times that.",
            "By quarter: one call filters the quarter to come, which only a known past allows. By day: one call a day,",
            f"parameters kept. A fit a day: measured on {SAMPLED_DAYS} days of a symbol, extrapolated to {n_days:,}.",
            "Differences: relative, from pmx's volatilities. Two optimisers stop at different points within tolerance;",
            f"given pmx's parameters, arch's largest is {exact:.0e} (first symbol, first quarter).",
        ),
        figures={"loops": figures, "worst_difference_given_the_parameters": exact},
    )
    return seconds


def parts(report: Report) -> None:
    """Time what the loops are made of: a fit, and a day between two fits."""
    window = simulated_returns(1, WINDOW)[0]
    state = pmx.GarchVolatility(window=WINDOW, refit_every=10**9, min_observations=WINDOW).fit(window)
    if state.process is None:
        raise RuntimeError(f"pmx took no fit: {state.forecast().fallback_reason}")
    params = garch(window).fit(disp="off", show_warning=False).params

    def day() -> None:
        state.update(0.01)
        state.forecast()

    entrants = {
        "a fit: pmx": lambda: fit_arch(window, "GARCH", "normal"),
        "a fit: arch": lambda: garch(window).fit(disp="off", show_warning=False),
        "a day between fits: pmx": day,
        "a day between fits: arch": lambda: next_volatility(garch(window).fix(params)),
    }
    contestants = [Contestant(name, lambda _: None, run) for name, run in entrants.items()]
    timings = side_by_side(contestants, budget=2.0, rounds=100, title="parts")
    rows = [(name, duration(timing.median)) for name, timing in timings.items()]
    report.add("what it is made of", ("", "once"), rows, figures={k: t.median for k, t in timings.items()})


def whole(returns: Array, report: Report) -> None:
    """Measure pmx over every symbol, once, in place of an extrapolation."""
    start = perf_counter()
    for symbol in track(returns, description="all symbols", transient=True):
        by_pmx(symbol)
    seconds = perf_counter() - start
    report.add("all symbols, measured once", ("", "seconds"), [(PMX, duration(seconds))], figures={PMX: seconds})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three years and three symbols: figures are rougher")
    quick = parser.parse_args().quick
    returns = simulated_returns(SYMBOLS, (3 if quick else YEARS) * DAYS_A_YEAR)
    settings = {"symbols": SYMBOLS, "days": returns.shape[1], "seed": SEED, "window": WINDOW, "quick": quick}
    report = Report("volatility_speed", machine(("arch",)), settings)
    parts(report)
    seconds = compare(returns, 3 if quick else 7, report)
    if not quick:
        whole(returns, report)
    figure, axes = blank(
        f"Next-day volatility, a history of {returns.shape[1]:,} days, medians", "seconds a symbol", ""
    )
    bars(axes, seconds, own=[PMX], label=duration)
    axes.set_xlim(left=min(seconds.values()) / 10.0)
    report.save(figure)


if __name__ == "__main__":
    main()
