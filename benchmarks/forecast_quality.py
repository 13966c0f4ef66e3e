"""Score the forecasts of the time-series members and of their ensemble, beside a random walk and AutoARIMA.

Run: python benchmarks/forecast_quality.py [--quick]

Everyone walks through the same closes and forecasts the log return of the next ten bars from what is known at each
origin: the shipped ensemble, each of its members alone, a random walk with an exponentially weighted variance, and
AutoARIMA of statsforecast, where that is installed, on the logarithms of the
prices. Forecasts are scored as normal distributions.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from support.measure import machine
from support.report import Goal, Report, duration

import pmx
from pmx.data import load_demo_prices
from pmx.policy.schema import TimeSeriesEngine
from pmx.signals.forecasting.bundle import NORMAL_REACH_90
from pmx.signals.scoring import Forecasts, RandomWalk, walk_forecaster
from pmx.signals.scoring.comparison import FEWEST
from pmx.signals.scoring.forecasts import CALIBRATED, LEVEL
from pmx.signals.time_series import TimeSeriesCore

try:
    from skfolio.datasets import load_sp500_dataset
except ImportError as error:
    raise SystemExit(f"{error.name} is missing; install the peers: pip install 'pmx[bench]'") from error
try:
    from statsforecast.models import AutoARIMA

    WITHOUT = ""
except ImportError:
    WITHOUT = (
        "AutoARIMA is left out: statsforecast is not installed. It needs pandas below 3: give it an environment of "
        "its own."
    )

Array = npt.NDArray[np.float64]

ENSEMBLE, WALK, ARIMA = "ensemble", "random walk", "AutoARIMA"
#: p-value below which a difference is told from chance.
SIGNIFICANT = 0.05
#: Bars of history of each symbol, bars from one forecast to the next, and stocks; of a quick run.
BARS, EVERY, STOCKS = 2500, 10, 20
QUICK_BARS, QUICK_EVERY, QUICK_STOCKS = 1500, 21, 6


@dataclass(frozen=True)
class Walked:
    """One contestant's way through one symbol: its forecasts beside the outcomes, and the ends of its intervals.

    ``believed`` is the mean as far as the engine would act on it.
    """

    forecasts: Forecasts
    low: Array
    high: Array
    believed: Array

    @property
    def coverage(self) -> float:
        """Return the share of outcomes inside the interval."""
        outcome = self.forecasts.outcome
        return float(((self.low <= outcome) & (outcome <= self.high)).mean())


@dataclass(frozen=True)
class Said:
    """What was forecast at one origin, the number of a close."""

    origin: int
    mean: float
    volatility: float
    low: float
    high: float
    believed: float


@dataclass(frozen=True)
class Task:
    """One symbol: its closes, the origins (numbers of closes), and the bars that a forecast covers."""

    prices: pd.DataFrame
    origins: tuple[int, ...]
    every: int
    horizon: int

    @property
    def symbol(self) -> str:
        """Return its name."""
        return str(self.prices.columns[0])

    @property
    def log_prices(self) -> Array:
        """Return the logarithms of the closes."""
        logarithms: Array = np.log(self.prices.iloc[:, 0].to_numpy(dtype=np.float64))
        return logarithms

    def walked(self, name: str, said: Sequence[Said], seconds: float) -> Walked:
        """Join what was said with what came."""
        table = np.array([(s.mean, s.volatility, s.low, s.high, s.believed) for s in said]).reshape(len(said), 5)
        at, log_price = np.array([s.origin for s in said], dtype=np.intp), self.log_prices
        forecasts = Forecasts(
            model=name,
            symbol=self.symbol,
            dates=self.prices.index[at],
            mean=table[:, 0],
            volatility=table[:, 1],
            degrees_of_freedom=np.full(len(said), math.inf),
            outcome=log_price[at + self.horizon] - log_price[at],
            confidence=np.full(len(said), math.nan),
            overlap=-(-self.horizon // self.every),
            seconds=seconds,
        )
        return Walked(forecasts, table[:, 2], table[:, 3], table[:, 4])


def tasks(config: TimeSeriesEngine, *, quick: bool) -> list[Task]:
    """Return the symbols, each with the last of its closes, and the origins after the first fit."""
    n_bars, every, stocks = (QUICK_BARS, QUICK_EVERY, QUICK_STOCKS) if quick else (BARS, EVERY, STOCKS)
    found = []
    for table in (load_demo_prices(), load_sp500_dataset().iloc[:, :stocks]):
        for symbol in table.columns:
            prices = table[[symbol]].dropna().iloc[-n_bars:]
            # a close more than there are returns
            origins = tuple(range(config.min_observations, len(prices) - config.horizon, every))
            found.append(Task(prices, origins, every, config.horizon))
    return found


def by_engine(name: str, task: Task, config: TimeSeriesEngine) -> Walked:
    """Walk the engine: with one member that member's own forecasts, with several those of the ensemble."""
    engine = TimeSeriesCore(config, round_trip_cost=0.0)
    said = []
    began = perf_counter()
    for origin in task.origins:
        engine.signals(task.prices.iloc[: origin + 1])
        bundle = engine.forecasts[task.symbol]
        if bundle.forecast is not None:
            forecast = bundle.forecast
            interval, believed = bundle.interval_90, bundle.believed_mean
            said.append(Said(origin, forecast.total_mean, forecast.total_volatility, *interval, believed))
    return task.walked(name, said, perf_counter() - began)


def by_random_walk(task: Task) -> Walked:
    """Walk the random walk through the same origins."""
    returns = pd.Series(np.diff(task.log_prices), index=task.prices.index[1:], name=task.symbol)
    at = task.prices.index[list(task.origins)]
    forecasts = walk_forecaster(RandomWalk(), returns, task.horizon, every=task.every, at=at)
    reach = NORMAL_REACH_90 * forecasts.volatility
    return Walked(forecasts, forecasts.mean - reach, forecasts.mean + reach, forecasts.mean)


def by_auto_arima(task: Task, window: int) -> Walked:
    """Let AutoARIMA choose and fit a model to the last log prices at every origin, without seasons."""
    said, log_price = [], task.log_prices
    began = perf_counter()
    for origin in task.origins:
        history = log_price[max(origin - window, 0) : origin + 1]
        answer = AutoARIMA(season_length=1).forecast(y=history, h=task.horizon, level=[round(100 * LEVEL)])
        ends = (answer[key] for key in ("mean", f"lo-{LEVEL:.0%}"[:-1], f"hi-{LEVEL:.0%}"[:-1]))
        mean, low, high = (float(np.asarray(values)[-1]) - history[-1] for values in ends)
        if high > low:
            said.append(Said(origin, mean, (high - low) / (2.0 * NORMAL_REACH_90), low, high, mean))
    return task.walked(ARIMA, said, perf_counter() - began)


def walks(found: Sequence[Task], config: TimeSeriesEngine) -> dict[str, dict[str, Walked]]:
    """Walk everyone through every symbol; return what was said by symbol and contestant."""
    by_symbol: dict[str, dict[str, Walked]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task("", total=len(found))
        for task in found:
            walked = by_symbol[task.symbol] = {}
            for name, entrant in entrants(config).items():
                progress.update(bar, description=f"{task.symbol}: {name}")
                walked[name] = entrant(task)
            progress.advance(bar)
    return by_symbol


def entrants(config: TimeSeriesEngine) -> dict[str, Callable[[Task], Walked]]:
    """Return the contestants by name."""
    settings: dict[str, dict[str, Any]] = {ENSEMBLE: {}}
    settings |= {member: {"members": (member,), "evidence": 0.0} for member in config.members}
    found: dict[str, Callable[[Task], Walked]] = {WALK: by_random_walk}
    for name, changes in settings.items():
        found[name] = partial(by_engine, name, config=config.model_copy(update=changes))
    if not WITHOUT:
        found[ARIMA] = partial(by_auto_arima, window=config.window)
    return found


def scores(walked: Walked, baseline: Walked) -> dict[str, float]:
    """Score one contestant on one symbol against the random walk, at the origins at which it spoke."""
    mine = walked.forecasts
    other = baseline.forecasts.only(baseline.forecasts.dates.isin(mine.dates))
    test = mine.against(other)[0] if len(mine) >= max(FEWEST, 2 * mine.overlap) else None
    return {
        "forecasts": len(mine),
        "silent": len(baseline.forecasts) - len(mine),
        "crps": float(mine.crps.mean()),
        "crps_ratio": float(mine.crps.mean() / other.crps.mean()),
        "p_value": test.p_value if test else math.nan,
        "log_score": float(mine.log_score.mean()),
        "log_gain": float((other.log_score - mine.log_score).mean()),
        "directional_accuracy": mine.directional_accuracy,
        "signed": float(((mine.mean != 0.0) & (mine.outcome != 0.0)).sum()),
        "acted": float((walked.believed != 0.0).sum()),
        "acted_right": float(((walked.believed * mine.outcome) > 0.0).sum()),
        "up": float((mine.outcome > 0.0).mean()),
        "coverage": walked.coverage,
        "seconds": mine.seconds,
    }


def together(table: pd.DataFrame) -> dict[str, float]:
    """Return one contestant's scores over all symbols: shares by forecast, the rest by symbol."""
    better, sure = table["crps_ratio"] < 1.0, table["p_value"] < SIGNIFICANT
    signed = float(table["signed"].sum())
    right = float((table["directional_accuracy"].fillna(0.0) * table["signed"]).sum())
    return {
        "forecasts": int(table["forecasts"].sum()),
        "silent": int(table["silent"].sum()),
        "crps": float(table["crps"].mean()),
        "crps_ratio": float(np.exp(np.log(table["crps_ratio"]).mean())),
        "better": int(better.sum()),
        "surely_better": int((better & sure).sum()),
        "surely_worse": int((~better & sure).sum()),
        "log_score": float(table["log_score"].mean()),
        "log_gain": float(table["log_gain"].mean()),
        "directional_accuracy": right / signed if signed else math.nan,
        "signed": int(signed),
        "acted": int(table["acted"].sum()),
        "acted_right": int(table["acted_right"].sum()),
        "up": float(np.average(table["up"], weights=table["forecasts"])),
        "coverage": float(np.average(table["coverage"], weights=table["forecasts"])),
        "seconds": float(table["seconds"].mean()),
    }


def tell(by_symbol: Mapping[str, Mapping[str, Walked]], report: Report) -> None:
    """Print the tables."""
    names = list(next(iter(by_symbol.values())))
    tables = {
        name: pd.DataFrame({s: scores(walked[name], walked[WALK]) for s, walked in by_symbol.items()}).T
        for name in names
    }
    overall = {name: together(table) for name, table in tables.items()}
    report.add(
        f"all {len(by_symbol)} symbols",
        ("", "n", "CRPS", "÷ RW", "better", "p < 0.05", "log score", "gain", "sign", "in 90 %", "a symbol"),
        [overall_row(name, overall[name], len(by_symbol)) for name in names],
        notes=(
            "÷ RW: CRPS to that of the random walk, geometric mean over symbols, below 1 is better. Better: on how",
            "many symbols. p < 0.05: symbols surely better / surely worse (Diebold–Mariano on CRPS). Log score:",
            "negative log density, lower is better. Gain: nats a forecast over the random walk. Sign: right signs;",
            f"{overall[ENSEMBLE]['up']:.1%} of the outcomes rose, which is what always saying up gets right. In 90 %:",
            f"outcomes inside the interval; !: outside {CALIBRATED[0]:.0%} to {CALIBRATED[1]:.0%}. Symbols move",
            "together, so all of this is less sure than n suggests. The shipped engine finds evidence to act on",
            f"{acted(overall[ENSEMBLE])}",
            *([WITHOUT] if WITHOUT else []),
        ),
        figures=overall,
    )
    report.judge(goals(overall))
    shown = [name for name in (ENSEMBLE, ARIMA) if name in names]
    report.add(
        "symbol by symbol: the ensemble" + (f", and {ARIMA}" if ARIMA in shown else ""),
        ("", "n", "up", *(column for name in shown for column in symbol_columns(name)), "RW in 90 %"),
        [symbol_row(symbol, [tables[name] for name in shown], tables[WALK]) for symbol in by_symbol],
        notes=(
            "p: Diebold–Mariano on CRPS against the random walk, two-sided, each test for itself. The share",
            "of 48 outcomes inside a perfect 90 % interval strays by 4 points (one standard error), of 200 by 2.",
        ),
        figures={name: table.to_dict(orient="index") for name, table in tables.items()},
    )


def overall_row(name: str, row: Mapping[str, float], symbols: int) -> tuple[str, ...]:
    """Return a contestant's scores as text."""
    walk = name == WALK
    return (
        name,
        f"{row['forecasts']:,}" + (f" (−{row['silent']})" if row["silent"] else ""),
        f"{row['crps']:.3%}",
        f"{row['crps_ratio']:.3f}",
        "–" if walk else f"{row['better']:.0f} of {symbols}",
        "–" if walk else f"{row['surely_better']:.0f} / {row['surely_worse']:.0f}",
        f"{row['log_score']:.3f}",
        "–" if walk else f"{row['log_gain']:+.3f}",
        directions(row),
        covered(row["coverage"]),
        duration(row["seconds"]),
    )


def goals(overall: Mapping[str, Mapping[str, float]]) -> list[Goal]:
    """Return what an ensemble is for: to be as good as the best member, unknown beforehand, and calibrated."""
    alone = {name: row["crps_ratio"] for name, row in overall.items() if name not in (ENSEMBLE, WALK, ARIMA)}
    best = min(alone, key=alone.__getitem__)
    covered = 100.0 * overall[ENSEMBLE]["coverage"]
    found = [
        Goal(f"CRPS, ensemble ÷ best member alone ({best})", overall[ENSEMBLE]["crps_ratio"] / alone[best], 1.0, False),
        Goal("CRPS, ensemble ÷ random walk", overall[ENSEMBLE]["crps_ratio"], 1.0, False),
        Goal("outcomes in its 90 % interval, at least", covered, 100.0 * CALIBRATED[0], unit="%"),
        Goal("outcomes in its 90 % interval, at most", covered, 100.0 * CALIBRATED[1], False, "%"),
    ]
    if ARIMA in overall:
        against = overall[ENSEMBLE]["crps_ratio"] / overall[ARIMA]["crps_ratio"]
        found.insert(2, Goal("CRPS, ensemble ÷ AutoARIMA", against, 1.0, False))
    return found


def acted(row: Mapping[str, float]) -> str:
    """Say how often the engine would act on its forecast, and how often that had the right sign."""
    share = f"{row['acted']:,.0f} of {row['forecasts']:,.0f} forecasts"
    return (
        f"{share}; of those, {row['acted_right'] / row['acted']:.1%} had the right sign."
        if row["acted"]
        else share + "."
    )


def directions(row: Mapping[str, float]) -> str:
    """Return the share of right signs, and of how many where a contestant did not always take a side."""
    if not row["signed"]:
        return "–"
    few = f" of {row['signed']:.0f}" if row["signed"] < 0.9 * row["forecasts"] else ""
    return f"{row['directional_accuracy']:.1%}{few}"


def covered(share: float) -> str:
    """Return a coverage as text, marked where it is out of range."""
    return f"{share:.1%}" + ("" if CALIBRATED[0] <= share <= CALIBRATED[1] else " !")


def symbol_columns(name: str) -> tuple[str, ...]:
    """Return the columns of one contestant."""
    return f"{name} ÷ RW", "p", "gain", "sign", "in 90 %"


def symbol_row(symbol: str, tables: Sequence[pd.DataFrame], walk: pd.DataFrame) -> tuple[str, ...]:
    """Return one symbol's scores as text."""
    cells = [symbol, f"{tables[0]['forecasts'][symbol]:.0f}", f"{walk['up'][symbol]:.0%}"]
    for table in tables:
        row = table.loc[symbol]
        p_value = "< 0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
        cells += [f"{row['crps_ratio']:.3f}", p_value, f"{row['log_gain']:+.3f}"]
        cells += [f"{row['directional_accuracy']:.0%}", covered(table["coverage"][symbol])]
    return (*cells, covered(walk["coverage"][symbol]))


def warm_up(task: Task, config: TimeSeriesEngine) -> None:
    """Compile and import everything that the walks use."""
    first = Task(task.prices, task.origins[:2], task.every, task.horizon)
    for entrant in entrants(config).values():
        entrant(first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_STOCKS} stocks, shorter histories, fewer forecasts"
    )
    quick = parser.parse_args().quick
    config = pmx.load_policy().signal_routing_config.engines.time_series
    found = tasks(config, quick=quick)
    settings = {
        "symbols": len(found),
        "bars": QUICK_BARS if quick else BARS,
        "every": found[0].every,
        "horizon": config.horizon,
        "window": config.window,
        "refit_every": config.refit_every,
        "weight_bars": config.weight_bars,
        "weight_shrinkage": config.weight_shrinkage,
        "evidence": config.evidence,
        "quick": quick,
    }
    report = Report("forecast_quality", machine(("arch", "skfolio", "statsforecast")), settings)
    warm_up(found[0], config)
    tell(walks(found, config), report)
    report.save()


if __name__ == "__main__":
    main()
