"""Time contestants side by side: each visited in turn, round after round, so that a noisy machine hits all alike."""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

#: A fast contestant repeats within a visit until this much time is spent, in seconds: its data is then in the caches,
#: as it is in a loop over days or accounts.
VISIT = 0.002
#: Fewest measurements that a median is taken of.
FEWEST = 3

#: Variables of the environment that say how many threads libraries use.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(slots=True)
class Contestant:
    """One way of doing the work.

    Attributes
    ----------
    name : str
        What the table calls it.
    load : callable
        Takes the number of the round; readies the input. Not timed.
    run : callable
        Does the work once. Timed.
    check : callable or None
        Called untimed after ``run`` of the first rounds.
    warm_up : int
        Runs before the clock starts: compilation, caches.
    """

    name: str
    load: Callable[[int], object]
    run: Callable[[], object]
    check: Callable[[int], object] | None = None
    warm_up: int = 1


@dataclass(slots=True)
class Timing:
    """Seconds of every timed run of a contestant, and why it stopped, if it failed."""

    seconds: list[float] = field(default_factory=list)
    failure: str = ""

    @property
    def median(self) -> float:
        """Median, in seconds; NaN when nothing was measured."""
        return median(self.seconds) if self.seconds else float("nan")

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        ordered = sorted(self.seconds)
        if len(ordered) < FEWEST:
            return float("nan")
        quarter = len(ordered) // 4
        return 0.5 * (ordered[-1 - quarter] - ordered[quarter]) / self.median


def side_by_side(
    contestants: Sequence[Contestant], *, budget: float, rounds: int = 200, checks: int = 8, title: str = ""
) -> dict[str, Timing]:
    """Time contestants in interleaved rounds.

    Parameters
    ----------
    contestants : sequence of Contestant
        Who takes part.
    budget : float, seconds
        A contestant that has spent this much, and was measured at least three times, takes part no longer.
    rounds : int
        Most rounds.
    checks : int
        How many runs of each are checked.
    title : str
        Label of the progress bar.

    Returns
    -------
    dict of str to Timing
        By name, in the order given. A contestant that raised has its message in ``failure``.
    """
    timings = {c.name: Timing() for c in contestants}
    counts = dict.fromkeys(timings, 0)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection would be charged to whoever happens to run
    try:
        with Progress(*columns, transient=True) as progress:
            bar = progress.add_task(title, total=rounds)
            for i in range(rounds):
                still = [c for c in contestants if _wants_more(timings[c.name], budget)]
                if not still:
                    break
                gc.collect()
                for contestant in still:
                    progress.update(bar, description=f"{title}: {contestant.name}")
                    _visit(contestant, timings[contestant.name], counts, first=i == 0, checks=checks)
                progress.update(bar, completed=i + 1)
    finally:
        gc.enable()
        gc.unfreeze()
    return timings


def _wants_more(timing: Timing, budget: float) -> bool:
    if timing.failure:
        return False
    return len(timing.seconds) < FEWEST or sum(timing.seconds) < budget


def _visit(contestant: Contestant, timing: Timing, counts: dict[str, int], *, first: bool, checks: int) -> None:
    """Run a contestant until the visit is over."""
    try:
        if first:
            for _ in range(contestant.warm_up):
                _once(contestant, counts)
        spent = 0.0
        while spent < VISIT:
            seconds, number = _once(contestant, counts)
            timing.seconds.append(seconds)
            spent += seconds
            if contestant.check is not None and len(timing.seconds) <= checks:
                contestant.check(number)
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way; the table says how
        timing.failure = f"{type(error).__name__}: {error}".splitlines()[0][:120]


def _once(contestant: Contestant, counts: dict[str, int]) -> tuple[float, int]:
    number = counts[contestant.name]
    counts[contestant.name] += 1
    contestant.load(number)
    start = perf_counter()
    contestant.run()
    return perf_counter() - start, number


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold every linear algebra library to one thread, as the kernel is."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def growth_exponent(sizes: Iterable[int], seconds: Iterable[float]) -> float:
    """Return the slope of log time on log size by least squares: 1 is linear."""
    import numpy as np

    return float(np.polyfit(np.log(list(sizes)), np.log(list(seconds)), 1)[0])


def machine(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Describe this machine, its load, its thread settings, and the versions of some packages."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(_memory_gib(), 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "threads": {name: os.environ.get(name, "not set") for name in THREADS},
        "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "packages": {name: _version(name) for name in ("numpy", "scipy", "numba", "pandas", *packages)},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    fields: dict[str, str] = {}
    if info.exists():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    family = f" (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else ""
    return fields["model name"] + family


def _memory_gib() -> float:
    if not hasattr(os, "sysconf"):
        return float("nan")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
