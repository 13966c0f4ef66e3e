"""Project very many accounts at once: accounts per second on one core and on all, proven answers, peak memory.

Run it as ``python benchmarks/projection_many.py [--quick] [--accounts 1000000] [--positions 50] [--workers 1 2]``.
Each run is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from time import perf_counter
from typing import Any

import numpy as np
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from support.cases import market_case
from support.drawing import bars, blank
from support.measure import machine
from support.report import Goal, Report, duration, small, times

from pmx.projection import Projector
from pmx.projection.certificate import DISTANCE_TOLERANCE, HARD_TOLERANCE
from pmx.projection.program import Array

#: Accounts of the untimed run that loads the compiled kernels.
FIRST = 1_000
SEED = 0


def wishes(base: Array, accounts: int) -> Array:
    """Return wishes of many accounts: each mixes its own taste, lognormal, into a common view; signs stay."""
    rng = np.random.default_rng(SEED)
    targets = rng.standard_normal((accounts, len(base)), dtype=np.float64)
    targets *= 0.3
    np.exp(targets, out=targets)
    targets *= base
    return targets


def one_run(accounts: int, positions: int, workers: int) -> dict[str, Any]:
    """Project all accounts once in this process; return what was measured."""
    case = market_case(positions, SEED)
    projector = Projector(case.policy, case.positions)
    targets = wishes(case.targets[0], accounts)
    projector.solve_many(targets[:FIRST], workers=workers)
    before = peak_gib()
    start = perf_counter()
    batch = projector.solve_many(targets, workers=workers)
    seconds, peak = perf_counter() - start, peak_gib()
    proven = (batch.primal_residual <= HARD_TOLERANCE) & (batch.distance_bound <= DISTANCE_TOLERANCE)
    cut = np.abs(batch.positions).sum(axis=1) < np.abs(targets).sum(axis=1) - 1e-9
    return {
        "workers": workers,
        "seconds": seconds,
        "proven": int(proven.sum()),
        "residual": float(batch.primal_residual.max()),
        "bound": float(batch.distance_bound.max()),
        "fallbacks": int(np.size(batch.fallbacks)),
        "cut": int(cut.sum()),
        "peak_gib": peak,
        "peak_before_gib": before,
        "data_gib": targets.nbytes / 2**30,
    }


def peak_gib() -> float:
    """Return the largest memory that this process has held, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def apart(accounts: int, positions: int, workers: int) -> dict[str, Any]:
    """Do one run in a process of its own."""
    arguments = ["--accounts", str(accounts), "--positions", str(positions), "--workers", str(workers), "--one-run"]
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def floor_seconds(accounts: int, positions: int) -> float:
    """Return the time of one compiled pass over as much data: read wish and two bounds, write the answer."""
    from support.kernel import one_pass

    target = np.full(accounts * positions, 0.01)
    lower, upper, u = np.zeros_like(target), np.ones_like(target), np.zeros_like(target)
    one_pass(target[:1], lower[:1], upper[:1], u[:1])
    found = []
    for _ in range(3):
        start = perf_counter()
        one_pass(target, lower, upper, u)
        found.append(perf_counter() - start)
    return sorted(found)[1]


def measure(accounts: int, positions: int, workers: list[int], repeats: int) -> list[list[dict[str, Any]]]:
    """Return the runs by number of workers, fastest first; repeats are interleaved."""
    runs: list[list[dict[str, Any]]] = [[] for _ in workers]
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task("", total=None)
        for i in range(repeats):
            for number, found in zip(workers, runs, strict=True):
                progress.update(bar, description=f"{accounts:,} accounts, {number} workers, run {i + 1} of {repeats}")
                found.append(apart(accounts, positions, number))
    return [sorted(found, key=lambda run: run["seconds"]) for found in runs]


def show(report: Report, accounts: int, positions: int, runs: list[list[dict[str, Any]]], floor: float) -> None:
    """Add the table."""
    rows = []
    first = runs[0][len(runs[0]) // 2]["seconds"]
    for found in runs:
        run = found[len(found) // 2]
        seconds = run["seconds"]
        rows.append(
            (
                _workers(run),
                duration(seconds),
                f"{accounts / seconds:,.0f}",
                duration(seconds / accounts),
                times(first / seconds),
                times(seconds / floor),
                f"{run['proven'] / accounts:.4%}",
                small(max(r["residual"] for r in found)),
                small(max(r["bound"] for r in found)),
                f"{run['fallbacks']:,}",
                f"{max(r['peak_gib'] for r in found):.2f} GiB",
            )
        )
    columns = ("", "time", "accounts/s", "an account", "speed-up", "÷ floor", "proven")
    columns += ("residual", "bound", "fallbacks", "peak memory")
    run = runs[0][0]
    notes = (
        f"proven: residual ≤ {HARD_TOLERANCE:.0e} and distance bound ≤ {DISTANCE_TOLERANCE:.0e} of NAV, each account. "
        f"The rules cut {run['cut'] / accounts:.1%} of the accounts.",
        f"floor: one compiled pass over as much data on one core, {duration(floor)}. "
        f"Peak memory is of the whole process; wishes and answers are {2 * run['data_gib']:.2f} GiB of it.",
    )
    title = (
        f"{accounts:,} accounts × {positions} positions, median of {len(runs[0])} run{'s' if len(runs[0]) > 1 else ''}"
    )
    report.add(title, columns, rows, notes=notes, figures=runs)


def _workers(run: dict[str, Any]) -> str:
    return f"{run['workers']} worker{'s' if run['workers'] > 1 else ''}"


def goals(accounts: int, positions: int, runs: list[list[dict[str, Any]]]) -> list[Goal]:
    """Return the speeds to reach, if as many accounts were projected."""
    if accounts < 1_000_000 or positions < 50:
        return []
    best = min(runs, key=lambda found: found[len(found) // 2]["seconds"])
    middle = best[len(best) // 2]
    return [
        Goal(f"{accounts:,} accounts × {positions} positions", middle["seconds"], 30, at_least=False, unit="s"),
        Goal("accounts proven", 100.0 * middle["proven"] / accounts, 100, unit="%"),
        Goal("peak memory", max(run["peak_gib"] for found in runs for run in found), 4, at_least=False, unit="GiB"),
    ]


def main() -> None:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--accounts", type=int, help="number of accounts (1,000,000; with --quick 20,000)")
    parser.add_argument("--positions", type=int, default=50, help="positions of each, at least 20")
    parser.add_argument("--workers", type=int, nargs="+", default=sorted({1, 2, cores} & set(range(1, cores + 1))))
    parser.add_argument("--quick", action="store_true", help="few accounts, one run")
    parser.add_argument("--one-run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    accounts = options.accounts or (20_000 if options.quick else 1_000_000)
    if options.one_run:
        print(json.dumps(one_run(accounts, options.positions, options.workers[0])))
        return
    repeats = 1 if options.quick else 3
    settings = {"accounts": accounts, "positions": options.positions, "repeats": repeats, "seed": SEED}
    report = Report("projection_many", machine(), settings)
    runs = measure(accounts, options.positions, options.workers, repeats)
    floor = floor_seconds(accounts, options.positions)
    show(report, accounts, options.positions, runs, floor)
    report.judge(goals(accounts, options.positions, runs))
    figure, axes = blank(f"{accounts:,} accounts × {options.positions} positions, proven", "seconds", "", height=2.6)
    seconds = {_workers(found[0]): found[len(found) // 2]["seconds"] for found in runs}
    bars(axes, seconds | {"one pass over the data": floor}, tuple(seconds), duration)
    report.save(figure)


if __name__ == "__main__":
    main()
