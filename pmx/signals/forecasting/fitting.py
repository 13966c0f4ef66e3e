"""Fits of many series, one after the other or in several processes: the same numbers either way."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pmx.arguments import checked
from pmx.errors import SignalError
from pmx.signals.forecasting.types import FittedForecaster, Forecast, Forecaster, RefittableForecaster

FloatArray = npt.NDArray[np.float64]

_LOG = logging.getLogger(__name__)

#: Fits from which on a progress bar is worth its trouble.
_LONG_WORK = 20


class Fit(NamedTuple):
    """What one member made of one history: itself brought up to it, or the reason why it leaves."""

    model: FittedForecaster | None
    reason: str


@checked
def fit_members(members: Sequence[Forecaster], returns: FloatArray) -> tuple[Fit, ...]:
    """Fit every member to ``returns``; one that fails takes nobody with it.

    Parameters
    ----------
    members : sequence of Forecaster
        Those without ``fit`` are asked afresh at each bar.
    returns : ndarray, shape (T,)
        Log returns per bar.

    Returns
    -------
    tuple of Fit
        In the order of the members.

    Examples
    --------
    >>> from pmx.signals.forecasting import Theta
    >>> fit_members([Theta()], np.zeros(100))
    (Fit(model=None, reason='no variation'),)
    """
    return tuple(_fit(member, returns) for member in members)


def _fit(member: Forecaster, returns: FloatArray) -> Fit:
    if not isinstance(member, RefittableForecaster):
        return Fit(AskedAfresh(member, returns), "")
    try:
        return Fit(member.fit(returns), "")
    except Exception as error:  # noqa: BLE001  a member may be anybody's code: whatever it raises is its reason
        return Fit(None, reason_of(error))


def reason_of(error: Exception) -> str:
    """Say in one line why a member left.

    Examples
    --------
    >>> reason_of(SignalError("too short")), reason_of(ValueError("odd"))
    ('too short', 'ValueError: odd')
    """
    if isinstance(error, SignalError):
        return str(error)
    return f"{type(error).__name__}: {error}"


class AskedAfresh:
    """A forecaster that cannot be brought forward: it is given its window again at each bar.

    Parameters
    ----------
    forecaster : Forecaster
        Who is asked.
    returns : ndarray, shape (T,)
        The window. Its length is kept.
    """

    def __init__(self, forecaster: Forecaster, returns: FloatArray) -> None:
        self._forecaster = forecaster
        self._returns = np.array(returns)

    def update(self, value: float) -> None:
        """Take in the log return of one more bar."""
        self._returns = np.append(self._returns[1:], value)

    def forecast(self, horizon: int) -> Forecast:
        """Ask for the bars after the last return."""
        return self._forecaster.forecast(self._returns.copy(), horizon)


class Fitter:
    """Fit members to many histories.

    Processes that end before their work, or members that cannot travel to them (a class of the main script, say), cost
    time and nothing else: a warning is logged, and what is left is fitted in this process from then on.

    Parameters
    ----------
    members : sequence of Forecaster
        What is fitted.
    workers : int
        Processes. 1 fits in this one; more are started when they are first needed and end with this object. They
        begin as fresh interpreters, so a script that uses them keeps its work under ``if __name__ == "__main__"``.
    progress : bool
        Show a progress bar for long work, on standard error where that is a terminal.
    """

    @checked
    def __init__(self, members: Sequence[Forecaster], workers: int = 1, progress: bool = False) -> None:
        self._members = tuple(members)
        self._workers = workers
        self._progress = progress
        self._pool: Executor | None = None

    @checked
    def fit(self, histories: Sequence[FloatArray]) -> list[tuple[Fit, ...]]:
        """Return what the members made of each history, in their order."""
        done: Iterable[tuple[Fit, ...]]
        if self._workers == 1 or len(histories) < 2:
            done = (fit_members(self._members, history) for history in histories)
        else:
            done = self._shared(histories)
        return list(self._shown(done, len(histories)))

    def _shared(self, histories: Sequence[FloatArray]) -> Iterator[tuple[Fit, ...]]:
        done = 0
        try:
            for fits in self._processes().map(fit_members, [self._members] * len(histories), histories):
                yield fits
                done += 1
        except Exception as error:  # noqa: BLE001  a member's own failure is its reason, so this is the processes'
            _LOG.warning("fits go on in one process, for others cannot be used: %s", reason_of(error))
            self._workers, self._pool = 1, None
            yield from (fit_members(self._members, history) for history in histories[done:])

    def _processes(self) -> Executor:
        if self._pool is None:
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor

            # a fork of a process that runs threads may hang
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, mp_context=context)
            weakref.finalize(self, self._pool.shutdown)
        return self._pool

    def _shown(self, done: Iterable[tuple[Fit, ...]], total: int) -> Iterator[tuple[Fit, ...]]:
        if not self._progress or total < _LONG_WORK:
            yield from done
            return
        from rich.console import Console
        from rich.progress import track

        console = Console(stderr=True)
        yield from track(
            done, "forecasts", total=total, console=console, transient=True, disable=not console.is_terminal
        )
