"""Time one projection against other ways to solve the same quadratic program, from 20 to 100,000 positions.

Run it as ``python benchmarks/projection_speed.py [--quick] [--sizes 20 500 ...]``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from support.cases import TARGETS, Case, market_case
from support.contestants import (
    CALL_COLD,
    CALL_SERIES,
    CALL_WARM,
    COLD,
    COMPILED,
    FLOOR,
    OWN,
    PACKAGES,
    PIQP,
    WARM,
    Entry,
    entries,
)
from support.drawing import blank, log_lines
from support.kernel import Kernel, with_target
from support.measure import Contestant, Timing, growth_exponent, machine, one_thread, side_by_side
from support.report import Goal, Report, duration, small, times

from pmx.projection import Point, certify
from pmx.projection.program import Array

SIZES = (20, 100, 500, 2_000, 20_000, 100_000)
NAN = float("nan")
NOTES = (
    "residual: worst violation of a hard rule. bound: proven distance to the exact answer. "
    "distance: to the kernel's answer. Worst of the first solves, Euclidean, fractions of NAV.",
    "–: PyPortfolioOpt and skfolio give no prices, so nothing can be proven of their answers; "
    "the public call renews the metric with the target, so it has no common answer to be distant from.",
)


@dataclass
class Line:
    """One contestant at one size: its times, and the worst that was found of its answers."""

    timing: Timing = field(default_factory=Timing)
    residual: float = NAN
    bound: float = NAN
    distance: float = NAN

    def see(self, residual: float, bound: float, distance: float) -> None:
        """Take in one answer."""
        self.residual = float(np.fmax(self.residual, residual))
        self.bound = float(np.fmax(self.bound, bound))
        self.distance = float(np.fmax(self.distance, distance))


Sizes = dict[int, dict[str, Line]]


def race(case: Case, field_: Sequence[Entry], budget: float) -> dict[str, Line]:
    """Time everyone over one case."""
    lines = {entry.name: Line() for entry in field_}
    exact = _answers(case)
    contestants = []
    for entry in field_:
        try:
            runner = entry.build(case)
        except Exception as error:  # noqa: BLE001 - a peer that is missing or fails is named in the table
            lines[entry.name].timing.failure = f"{type(error).__name__}: {error}".splitlines()[0][:120]
            continue
        load = partial(_load, runner, case)
        check = None if entry.name == FLOOR else partial(_check, runner, case, lines[entry.name], exact)
        contestants.append(Contestant(entry.name, load, runner.solve, check))
    timings = side_by_side(contestants, budget=budget, title=f"{len(case.positions):,} positions")
    for name, timing in timings.items():
        lines[name].timing = timing
    return lines


def _load(runner: Any, case: Case, number: int) -> None:
    runner.load(case.targets[number % TARGETS])


def _answers(case: Case) -> list[Array]:
    kernel = Kernel(case.program, warm=False)
    answers = []
    for target in case.targets:
        kernel.load(target)
        kernel.solve()
        answers.append(kernel.point().u)
    return answers


def _check(runner: Any, case: Case, line: Line, exact: list[Array], number: int) -> None:
    if hasattr(runner, "allocation"):
        certificate = runner.allocation.certificate
        line.see(certificate.primal_residual, certificate.distance_bound, NAN)
        return
    point = runner.point()
    program = with_target(case.program, case.targets[number % TARGETS])
    proven = bool(np.isfinite(point.rows).all())
    judged = certify(program, point if proven else Point(point.u, np.zeros(len(point.rows))), "")
    distance = float(np.linalg.norm(point.u - exact[number % TARGETS]))
    line.see(judged.primal_residual, judged.distance_bound if proven else NAN, distance)


def expected(entry: Entry, measured: Sizes, n: int) -> float:
    """Return how long one solve should take at a size, judged by the sizes before; 0 before the first."""
    known = [(size, lines[entry.name].timing.median) for size, lines in measured.items() if entry.name in lines]
    known = [(size, seconds) for size, seconds in known if seconds == seconds]
    if not known:
        return 0.0
    size, seconds = known[-1]
    least = entry.order if size >= 500 else 1.0  # below, what is dense hides behind what every call costs
    order = max(least, growth_exponent(*zip(*known[-2:], strict=True)) if len(known) > 1 else 0.0)
    return float(seconds * (n / size) ** order)


def shape_of(case: Case) -> str:
    """Say how many rules there are and how many bind."""
    kernel = Kernel(case.program, warm=False)
    kernel.solve()
    at_bound = int(((kernel.u <= kernel.at.lower) | (kernel.u >= kernel.at.upper)).sum())
    binding = int((kernel.prices > 1e-12).sum())
    return f"{len(case.program.A)} rules, {binding} of them bind, {at_bound:,} positions at a bound"


def show(report: Report, case: Case, lines: dict[str, Line], skipped: dict[str, str]) -> None:
    """Add the table of one size."""
    n = len(case.positions)
    warm, cold = lines[WARM].timing.median, lines[COLD].timing.median
    rows = []
    for name, line in lines.items():
        failed = bool(line.timing.failure)
        time = NAN if failed else line.timing.median
        spread = "–" if failed or len(line.timing.seconds) < 4 else f"± {line.timing.spread:.0%}"
        accuracy = [small(value) for value in (line.residual, line.bound, line.distance)]
        rows.append(
            (name, "failed" if failed else duration(time), spread, times(time / warm), times(time / cold), *accuracy)
        )
    rows += [(name, "skipped", *("–",) * 6) for name in skipped]
    troubles = [f"{name}: {line.timing.failure}" for name, line in lines.items() if line.timing.failure]
    troubles += [f"{name}: skipped, {why}" for name, why in skipped.items()]
    columns = ("", "median", "spread", "÷ warm", "÷ cold", "residual", "bound", "distance")
    figures = {name: _figures(line) for name, line in lines.items()}
    title = f"{n:,} positions: {shape_of(case)}"
    report.add(title, columns, rows, notes=(*NOTES, *troubles), figures=figures, on_page=n == 500)


def _figures(line: Line) -> dict[str, Any]:
    timing = line.timing
    return {
        "median_s": timing.median,
        "best_s": min(timing.seconds, default=NAN),
        "spread": timing.spread,
        "runs": len(timing.seconds),
        "failure": timing.failure,
        "residual": line.residual,
        "bound": line.bound,
        "distance": line.distance,
    }


def summarise(report: Report, measured: Sizes) -> None:
    """Add the table of medians by size, and the distance to the floor."""
    names = list(dict.fromkeys(name for lines in measured.values() for name in lines))
    rows = []
    for name in names:
        medians = [lines[name].timing.median if name in lines else NAN for lines in measured.values()]
        rows.append((name, *map(duration, medians)))
    report.add("median time of one solve, by number of positions", ("", *(f"{n:,}" for n in measured)), rows)
    rows = []
    for n, lines in measured.items():
        floor, warm, cold = (lines[name].timing.median for name in (FLOOR, WARM, COLD))
        per_position = f"{warm / n * 1e9:.3g} ns"
        rows.append((f"{n:,}", duration(floor), duration(warm), times(warm / floor), per_position, times(cold / floor)))
    columns = ("positions", "floor", "warm", "warm ÷ floor", "warm, a position", "cold ÷ floor")
    report.add("distance to the floor, one pass over the data", columns, rows)


def goals(measured: Sizes) -> list[Goal]:
    """Return the speeds to reach; those of 500 positions only if that size was measured."""
    found = []
    if 500 in measured:
        lines = measured[500]
        time = {name: line.timing.median for name, line in lines.items()}
        piqp = _fastest(time, PIQP, "1e-10")
        compiled = _fastest(time, COMPILED)
        found += [
            Goal("500 positions, warm: against PIQP in place at 1e-10", piqp / time[WARM], 25),
            Goal("500 positions, cold: against PIQP in place at 1e-10", piqp / time[COLD], 12),
            Goal("500 positions, warm: against the fastest compiled cvxpy", compiled / time[WARM], 100),
            Goal("500 positions, warm: certified call from Python ÷ kernel", time[CALL_WARM] / time[WARM], 5, False),
            Goal("500 positions, cold: certified call from Python ÷ kernel", time[CALL_COLD] / time[COLD], 5, False),
            Goal("500 positions: primal residual of the kernel", lines[WARM].residual, 1e-9, False, ""),
        ]
    large = [(n, lines[WARM].timing.median) for n, lines in measured.items() if 500 <= n <= 100_000]
    if len(large) > 1:
        sizes, seconds = zip(*large, strict=True)
        name = f"growth exponent of the warm kernel, {sizes[0]:,} to {sizes[-1]:,} positions"
        found.append(Goal(name, growth_exponent(sizes, seconds), 1.1, False, ""))
    return found


def _fastest(time: dict[str, float], *parts: str) -> float:
    found = [seconds for name, seconds in time.items() if all(part in name for part in parts) and seconds == seconds]
    return min(found, default=NAN)


def draw(measured: Sizes) -> Any:
    """Draw medians against sizes: our own, and the best of each kind of peer at 500 positions or nearest to it."""
    at = min(measured, key=lambda n: abs(n - 500))
    time = {name: line.timing.median for name, line in measured[at].items() if line.timing.seconds}
    kinds = (PIQP, "OSQP in place", COMPILED, "cvxpy built", "PyPortfolioOpt", "skfolio")
    best = [min((name for name in time if name.startswith(kind)), key=time.__getitem__, default="") for kind in kinds]
    chosen = [name for name in (*(own for own in OWN if own not in (CALL_COLD, CALL_SERIES)), *best) if name in time]
    lines = {
        name: [
            (n, all_[name].timing.median) for n, all_ in measured.items() if name in all_ and all_[name].timing.seconds
        ]
        for name in chosen
    }
    figure, axes = blank("One projection: median time of one solve", "positions", "seconds", width=9.0, height=5.4)
    log_lines(axes, lines, OWN)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of positions, at least 20")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, and no peer that needs over 2 s a solve")
    options = parser.parse_args()
    budget, limit = (0.1, 2.0) if options.quick else (1.5, 20.0)
    settings = {"sizes": options.sizes, "quick": options.quick, "seed": 0, "threads": "one for each contestant"}
    report = Report("projection_speed", machine(PACKAGES), settings)
    measured: Sizes = {}
    everyone = entries()
    with one_thread():
        for n in sorted(options.sizes):
            case = market_case(n)
            forecast = {entry.name: expected(entry, measured, n) for entry in everyone}
            taking_part = [entry for entry in everyone if forecast[entry.name] <= limit]
            skipped = {
                name: f"about {duration(seconds)} a solve expected"
                for name, seconds in forecast.items()
                if seconds > limit
            }
            measured[n] = race(case, taking_part, budget)
            show(report, case, measured[n], skipped)
    summarise(report, measured)
    report.judge(goals(measured))
    report.save(draw(measured))


if __name__ == "__main__":
    main()
