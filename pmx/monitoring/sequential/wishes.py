"""Random wishes for a policy: its own budgets, asked for a little too eagerly."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError
from pmx.policy import Policy

#: Symbols that a bucket spreads its budget over, at most, and names that a pattern such as ``NGX:*`` stands for.
SYMBOLS_OF_A_BUCKET, NAMES_OF_A_PATTERN = 6, 3
#: A bucket asks for its base budget times a factor between one half and two.
EAGERNESS = 2.0
#: Share of positions that are short, in buckets that may go short.
SHORT = 0.25


@checked
def random_wishes(policy: Policy, portfolios: int, seed: int = 0) -> pd.DataFrame:
    """Return wishes near the policy's own budgets, fully invested.

    Each bucket asks for its ``base_nav_frac`` times a log-uniform factor between 1/2 and 2, and spreads that over up to
    six of its symbols, uniformly at random (Dirichlet). Then everything is scaled to a gross exposure of 1. Symbols are
    those that the policy names; three made-up ones stand for a pattern.

    Parameters
    ----------
    policy : Policy
        The policy.
    portfolios : int
        Rows.
    seed : int
        The same seed gives the same wishes.

    Returns
    -------
    DataFrame, shape (portfolios, n_positions), fraction of NAV
        Columns (bucket, symbol); signed only in buckets that may go short.

    Raises
    ------
    DataError
        When ``portfolios`` is below 1, or the policy has no bucket.

    Examples
    --------
    >>> import pmx
    >>> wishes = random_wishes(pmx.load_policy(), portfolios=3, seed=1)
    >>> wishes.shape, wishes.sum(axis=1).round(6).tolist(), wishes.columns[0]
    ((3, 32), [1.0, 1.0, 1.0], ('safe', 'BIL'))
    """
    if portfolios < 1:
        raise DataError(f"{portfolios} portfolios were asked for; ask for at least 1")
    buckets = policy.risk_buckets.buckets
    if not buckets:
        raise DataError("the policy has no buckets to draw wishes from; give wishes of your own")
    rng = np.random.default_rng(seed)
    universe = {name: _symbols(policy, name) for name in buckets}
    columns = pd.MultiIndex.from_tuples([(b, s) for b, symbols in universe.items() for s in symbols])
    rows = np.zeros((portfolios, len(columns)))
    bases = np.array([bucket.base_nav_frac for bucket in buckets.values()])
    bases = bases if bases.any() else np.ones(len(bases))
    for row in rows:
        start = 0
        for (name, symbols), base in zip(universe.items(), bases, strict=True):
            few = min(len(symbols), SYMBOLS_OF_A_BUCKET)
            at = start + rng.choice(len(symbols), few, replace=False)
            short = buckets[name].allow_short & (rng.random(few) < SHORT)
            row[at] = base * EAGERNESS ** rng.uniform(-1.0, 1.0) * rng.dirichlet(np.ones(few)) * np.where(short, -1, 1)
            start += len(symbols)
        row /= np.abs(row).sum()
    return pd.DataFrame(rows, columns=columns.set_names(["bucket", "symbol"]))


def _symbols(policy: Policy, bucket: str) -> list[str]:
    """Return what a bucket may hold, of all symbols that the policy names; made-up ones where it names none."""
    barbell, buckets = policy.barbell, policy.risk_buckets.buckets
    listed = {name: _spelled(each.symbols) for name, each in buckets.items()}
    elsewhere = {symbol for name, symbols in listed.items() if name != bucket for symbol in symbols}
    named = [
        *listed[bucket],
        *(_spelled(barbell.safe_bucket.symbols) if buckets[bucket].role == "safe" else ()),
        *(symbol for patterns in barbell.markets.values() for symbol in _spelled(patterns)),
        *barbell.symbol_caps,
        *(f"{bucket}:{i + 1}" for i in range(NAMES_OF_A_PATTERN)),
    ]
    allowed = [s for s in dict.fromkeys(named) if policy.admits(bucket, s) and s not in elsewhere - {*listed[bucket]}]
    known = [symbol for symbol in allowed if not symbol.startswith(f"{bucket}:")]
    return known or allowed


def _spelled(patterns: tuple[str, ...]) -> list[str]:
    """Return names for patterns: a wildcard becomes a number.

    Examples
    --------
    >>> _spelled(("EEM", "EM:*"))
    ['EEM', 'EM:1', 'EM:2', 'EM:3']
    """
    names = []
    for pattern in patterns:
        if set(pattern) & set("*?"):
            names += [pattern.replace("*", str(i + 1)).replace("?", str(i + 1)) for i in range(NAMES_OF_A_PATTERN)]
        elif "[" not in pattern:
            names.append(pattern)
    return names
