"""Many accounts under one policy: one compiled loop over accounts, on every core, certificates as arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from pmx.arguments import checked, require_count
from pmx.errors import DataError, PmxError
from pmx.policy import CASH
from pmx.projection.allocation import Allocation
from pmx.projection.certificate import DISTANCE_TOLERANCE, HARD_TOLERANCE
from pmx.projection.explain import RELAXED_ABOVE, RuleFigures
from pmx.projection.frame import Frame
from pmx.projection.grouping import equal_columns, sparse_rows
from pmx.projection.kernels import kernel
from pmx.projection.program import Array, Index
from pmx.projection.progress import counting

Errors = Literal["raise", "collect"]
#: Accounts that a worker takes at a time.
CHUNK = 2048
#: A position this small has left its side.
ZERO = 1e-12


@dataclass(frozen=True, eq=False, repr=False)
class AllocationBatch:
    """Answers for many accounts: one row each, with its certificate.

    Attributes
    ----------
    index : MultiIndex (bucket, symbol)
        The columns of ``positions``.
    accounts : Index, length n_accounts
        The labels of the accounts where tables had any, else their numbers.
    positions : array, shape (n_accounts, n), fraction of NAV
        Signed weights; a row of NaN where an account failed.
    primal_residual : array, shape (n_accounts,), fraction of NAV
        Worst violation of a hard rule.
    duality_gap : array, shape (n_accounts,)
        Upper bound on objective minus optimum.
    distance_bound : array, shape (n_accounts,), fraction of NAV
        Euclidean distance to the exact optimum is at most this.
    relaxed : array of bool, shape (n_accounts,)
        Whether a soft rule gave way.
    last_place : array of bool, shape (n_accounts,)
        Whether the proof takes limits within the last place of their sums as met, as a certificate's note would say.
    rounds : array of int, shape (n_accounts,)
        Newton rounds; −1 where another path answered.
    rule_names : tuple of str
        The columns of ``prices``: rules on sums of positions, and the turnover rule.
    prices : array, shape (n_accounts, n_rules)
        Shadow price of each of them. Caps on single positions are in ``rules`` and :meth:`allocation`.
    rules : DataFrame by rule name
        What every rule did over all answered accounts: ``accounts_binding``, ``share_binding``, ``mean_shadow_price``,
        ``accounts_given_way``, ``max_violation``, ``source``.
    fallbacks : array of int
        Accounts that the compiled loop did not answer and that were solved one by one (see their ``certificate.note``).
    failures : mapping of int to PmxError
        Why accounts have no answer; empty unless errors were collected.
    """

    index: pd.MultiIndex
    accounts: pd.Index
    positions: Array
    primal_residual: Array
    duality_gap: Array
    distance_bound: Array
    relaxed: np.ndarray
    last_place: np.ndarray
    rounds: Index
    rule_names: tuple[str, ...]
    prices: Array
    rules: pd.DataFrame
    fallbacks: Index
    failures: dict[int, PmxError]
    one: Callable[[int], Allocation] = field(repr=False)

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        worst = float(np.max(self.distance_bound, initial=0.0, where=np.isfinite(self.distance_bound)))
        return (
            f"AllocationBatch({len(self):,} accounts × {len(self.index)} positions, within {worst:.0e} of their "
            f"optima, {len(self.fallbacks)} fallbacks, {len(self.failures)} failures; see .weights, .rules, "
            ".shadow_prices, .allocation(i))"
        )

    @cached_property
    def cash(self) -> Array:
        """What is in no position, shape (n_accounts,), fraction of NAV; with a residual symbol, what that takes too."""
        return np.asarray(1.0 - self.positions.sum(axis=1))

    @property
    def weights(self) -> pd.DataFrame:
        """Signed weights by symbol, and ``CASH``: one row an account."""
        code, symbols = pd.factorize(self.index.get_level_values("symbol"))
        by_symbol = np.zeros((len(self), len(symbols)))
        for j, column in enumerate(code):
            by_symbol[:, column] += self.positions[:, j]
        frame = pd.DataFrame(by_symbol, index=self.accounts, columns=pd.Index(symbols, name="symbol"))
        frame[CASH] = self.cash
        return frame

    @property
    def shadow_prices(self) -> pd.DataFrame:
        """Shadow prices, one row an account, one column a rule."""
        return pd.DataFrame(self.prices, index=self.accounts, columns=pd.Index(self.rule_names, name="rule"))

    @checked
    def allocation(self, account: int) -> Allocation:
        """Return one account's whole allocation, with rules table and attribution, by its number.

        It is solved again from the arrays that were given, which must not have changed since.

        Raises
        ------
        DataError
            When they have.
        """
        require_count("account", account, least=-len(self.positions), most=len(self.positions) - 1, unit="(its number)")
        answer = self.one(account)
        far = float(np.linalg.norm(answer.signed - self.positions[account]))
        if far > answer.certificate.distance_bound + float(self.distance_bound[account]) + 1e-9:
            raise DataError(
                f"account {account} is now solved {far:.1e} of NAV away: the given arrays have changed since; pass "
                "copies to solve_many if you reuse them"
            )
        return answer


@dataclass(frozen=True, slots=True, eq=False)
class Accounts:
    """What the accounts bring; arrays of one row an account, or of no rows where there is nothing.

    Attributes
    ----------
    wish, held : array, shape (n_accounts, n)
        Signed fractions of NAV.
    clamp : array, shape (n_accounts or 1, n_buckets)
        Bound of each bucket's clamp, inf where there is none.
    room : array, shape (n,)
        Largest trade that liquidity allows with a NAV of 1; empty if nothing is limited.
    nav : array, shape (n_accounts or 1,), base currency
        Net asset values.
    least, most : array, shape (n_accounts or 1, n)
        Bounds on sizes.
    """

    wish: Array
    held: Array | None
    clamp: Array
    room: Array
    nav: Array
    least: Array | None
    most: Array | None

    def limited_by(self, room: Array) -> Accounts:
        """Return the same accounts with the largest trades that liquidity allows."""
        return replace(self, room=room)

    def chunk(self, rows: slice) -> tuple[Array, ...]:
        """Return wish, held, clamp, room, least and most of some accounts, as the compiled loop takes them."""
        wish = _compiled_form(self.wish[rows])
        m = len(wish)

        def spread(array: Array | None) -> Array:
            if array is None:
                return np.zeros((m, 0))
            return _compiled_form(np.broadcast_to(array, (m, array.shape[1])) if len(array) == 1 else array[rows])

        room: Array | None = None
        if len(self.room):
            nav = self.nav if len(self.nav) == 1 else self.nav[rows]
            room = self.room[None, :] / nav[:, None]
        held, most, least = spread(self.held), spread(self.most), spread(self.least)
        return wish, held, spread(self.clamp), np.zeros((m, 0)) if room is None else spread(room), least, most


def _compiled_form(array: Array) -> Array:
    array = np.ascontiguousarray(array, dtype=np.float64)
    return array if array.flags.writeable else array.copy()


def rulebook(frame: Frame, distance: Array, limited: bool) -> tuple[Any, tuple[str, ...]]:
    """Return what all accounts share, as the compiled loop takes it, and the names of the priced rules."""
    from pmx.projection.kernels.accounts import Rulebook

    n = frame.long.shape[1]
    member, heads = equal_columns(np.hstack([frame.long, frame.short]))
    numbers = frame.law.rule_number.tolist()
    column = np.full(len(frame.records), -1, np.intp)
    column[numbers] = np.arange(len(numbers))
    names = [frame.names[i] for i in numbers]
    if frame.law.turnover_rule >= 0:
        column[frame.law.turnover_rule] = len(names)
        names.append("turnover.max")
    book = Rulebook(
        frame.law, frame.long, frame.short, member[:n].copy(), member[n:].copy(), *sparse_rows(heads), distance,
        column, frame.soft, frame.nothing, limited, ZERO, RELAXED_ABOVE, HARD_TOLERANCE, DISTANCE_TOLERANCE,
    )  # fmt: skip
    return book, tuple(names)


def solve_accounts(
    accounts: Accounts,
    book: Any,
    names: tuple[str, ...],
    frame: Frame | None,
    index: pd.MultiIndex,
    labels: pd.Index,
    one: Callable[[int], Allocation],
    *,
    workers: int | None,
    chunk: int | None,
    progress: bool,
    errors: Errors,
) -> AllocationBatch:
    """Solve all accounts in chunks on several threads; then, one by one, those whose certificate does not hold.

    Without a ``book`` (there are cones, which the compiled loop does not take) all are solved one by one.
    """
    from pmx.projection.kernels.accounts import Answers

    solve_compiled = kernel("accounts", "solve_accounts")
    N, n = accounts.wish.shape
    ledger = BatchLedger(() if frame is None else frame.names, () if frame is None else frame.sources, N)
    tally = np.zeros((4, len(ledger.names)))
    answers = Answers(np.empty((N, n)), np.empty((N, 5)), np.empty((N, len(names))), np.empty(N, np.intp), tally)
    size = CHUNK if chunk is None else chunk
    if size < 1:
        raise DataError(f"chunk is {chunk}; give at least 1 account, or None")
    if book is None:
        answers.figures[:] = np.inf

    tallies: dict[int, Array] = {}

    def work(first: int) -> int:
        rows = slice(first, min(first + size, N))
        part = tallies[first] = np.zeros_like(tally)
        out = Answers(answers.positions[rows], answers.figures[rows], answers.prices[rows], answers.rounds[rows], part)
        solve_compiled(book, *accounts.chunk(rows), out)
        return int(min(size, N - first))

    residual, gap, distance, relaxed, last_place = answers.figures.T
    failures: dict[int, PmxError] = {}
    with counting("accounts", N, progress) as advance:
        if book is not None:
            with ThreadPoolExecutor(_workers(workers)) as pool:
                for done in as_completed([pool.submit(work, first) for first in range(0, N, size)]):
                    advance(done.result())
        for _, part in sorted(tallies.items()):
            ledger.add_tally(part)
        missed = np.flatnonzero(~((residual <= HARD_TOLERANCE) & (distance <= DISTANCE_TOLERANCE)))
        for i in missed.tolist():
            answers.rounds[i] = -1
            try:
                allocation = one(i)
                _enter(allocation, i, answers, names)
                ledger.add(allocation.figures)
            except PmxError as error:
                if errors == "raise":
                    error.args = (f"account {labels[i]}: {error}", *error.args[1:])
                    error.add_note("errors='collect' keeps the answers of the other accounts")
                    raise
                for arrays in ("asked", "program"):  # many failures must not keep the arrays of each
                    vars(error).pop(arrays, None)
                failures[i] = error
                answers.positions[i], answers.prices[i] = np.nan, np.nan
                answers.figures[i] = (np.inf, np.inf, np.inf, 0.0, 0.0)
            advance(1 if book is None else 0)
    return AllocationBatch(
        index, labels, answers.positions, residual, gap, distance, relaxed > 0.0, last_place > 0.0, answers.rounds,
        names, answers.prices, ledger.table(), np.setdiff1d(missed, list(failures)), failures, one,
    )  # fmt: skip


class BatchLedger:
    """What each rule did over many accounts."""

    def __init__(self, names: tuple[str, ...], sources: tuple[str, ...], accounts: int) -> None:
        self.names, self.sources, self.accounts = names, list(sources), accounts
        self._row = {name: row for row, name in enumerate(names)}
        self._tally = np.zeros((4, len(names)))

    def add_tally(self, tally: Array) -> None:
        """Take in what the compiled loop has added up."""
        self._tally[:3] += tally[:3]
        np.maximum(self._tally[3], tally[3], out=self._tally[3])

    def add(self, figures: RuleFigures) -> None:
        """Take in one account that was solved by itself."""
        for name, source in zip(figures.names, figures.sources, strict=True):
            if name not in self._row:
                self._row[name] = len(self._row)
                self.sources.append(source)
                self._tally = np.hstack([self._tally, np.zeros((4, 1))])
        at = [self._row[name] for name in figures.names]
        gave_way = figures.violation > RELAXED_ABOVE
        self._tally[:3, at] += (figures.binding, np.nan_to_num(figures.shadow_price), gave_way)
        self._tally[3, at] = np.maximum(self._tally[3, at], figures.violation)

    def table(self) -> pd.DataFrame:
        """Return one row a rule."""
        binding, price, given_way, worst = self._tally
        total = max(self.accounts, 1)
        columns = {
            "accounts_binding": binding.astype(np.int64),
            "share_binding": binding / total,
            "mean_shadow_price": price / total,
            "accounts_given_way": given_way.astype(np.int64),
            "max_violation": worst,
            "source": self.sources,
        }
        return pd.DataFrame(columns, index=pd.Index(list(self._row), name="rule", dtype="str"))


def _enter(allocation: Allocation, i: int, answers: Any, names: tuple[str, ...]) -> None:
    """Put an allocation that was solved by itself into the batch."""
    c = allocation.certificate
    answers.positions[i] = allocation.signed
    moved = "last place" in c.note
    answers.figures[i] = (c.primal_residual, c.duality_gap, c.distance_bound, allocation.status == "relaxed", moved)
    price = {reading.name: reading.shadow_price for reading in allocation.readings}
    answers.prices[i] = [price.get(name, 0.0) for name in names]


def _workers(asked: int | None) -> int:
    if asked is not None:
        if asked < 1:
            raise DataError(f"workers is {asked}; give at least 1, or None for every core")
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
