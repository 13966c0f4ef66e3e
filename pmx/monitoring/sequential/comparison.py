"""Clip-and-rescale in every order, beside the joint projection of the same wishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pmx.arguments import checked
from pmx.errors import DataError, InfeasibleError
from pmx.monitoring.sequential.trial import Trial, with_full_investment
from pmx.policy import Policy
from pmx.projection import Allocation, Projector, by_position
from pmx.projection.progress import counting

#: What is cut stays in cash: the passes want what the policy wants.
LIMITS_ONLY = "limits only"
#: A last pass scales to 100%; the joint projection is asked for full investment too, as one more rule.
FULLY_INVESTED = "fully invested"
AIMS = (LIMITS_ONLY, FULLY_INVESTED)

#: Orders that are tried at most: all of seven passes.
MOST_ORDERS = 5040
#: Limits overrun that are told apart.
MANY = 4
KEYS = ["portfolio", "aim", "sweeps"]


@dataclass(frozen=True, eq=False, repr=False)
class SequentialComparison:
    """What became of wishes in every order of the passes, and in the joint projection.

    Attributes
    ----------
    outcomes : DataFrame
        One row for each portfolio, aim, number of sweeps (1, and the most) and order of passes.

        - ``order``: the passes, in order
        - ``violation``: the worst of any hard rule of the policy, in the unit of its limit, and ``worst_rule``
        - ``uninvested``: how far gross exposure is from full investment, fraction of NAV; 0 where that is no aim
        - ``obeys``: no rule is broken by more than 1e-9; ``works``: and it is fully invested where that is the aim
        - ``distance``: to the wish, in the policy's metric
        - ``lost``: how much further that is than the joint answer, as a fraction of the joint answer's distance
        - ``settled``: one more sweep would change nothing
        - ``swing``: how much the order alone changes the weight of a position, fraction of NAV; the same for all orders
        - ``overrun``: number of limits that the wish itself breaks, those on the same sum counted once; likewise
    broken : DataFrame
        One row for each portfolio, aim, number of sweeps and rule that any order broke: ``share`` of the orders that
        break it, and ``worst``, by how much.
    joint : mapping of (portfolio, aim) to Allocation
        The joint answers. A portfolio that the policy does not allow to be fully invested has none for that aim, and no
        rows in the tables.
    sampled : bool
        Whether there were more orders than were tried.
    forbidden : mapping of portfolio to tuple of str
        The portfolios that the policy does not allow to be fully invested, and the rules that stand against it.
    """

    outcomes: pd.DataFrame
    broken: pd.DataFrame
    joint: Mapping[tuple[Any, str], Allocation]
    sampled: bool
    forbidden: Mapping[Any, tuple[str, ...]] = field(default_factory=dict)

    @property
    def portfolios(self) -> int:
        """Number of portfolios."""
        return len({portfolio for portfolio, _ in self.joint})

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row for each aim and number of sweeps, over all pairs of a portfolio and an order.

        - ``portfolios``, ``tries``: rows of ``outcomes``
        - ``obeys``, ``works``, ``settled``: shares of the pairs; ``stranded``: of portfolios for which no order works
        - ``violation``: the worst; ``worst_rule``: the rule that most pairs break
        - ``median_lost``, ``mean_lost``, ``most_lost``: of the pairs that work
        - ``swing``: the largest
        - ``best_order``: the order that works for most portfolios, and among those loses least; empty where none works.
          ``best_works``, ``best_lost``: the share of portfolios for which it works, and what it loses on average there
        """
        table = self._summarised(["aim", "sweeps"])
        worst = self.rules["share"].groupby(["aim", "sweeps"]).idxmax()
        return table.assign(worst_rule=[worst[key][-1] if key in worst.index else "" for key in table.index])

    @cached_property
    def by_overrun(self) -> pd.DataFrame:
        """The columns of the summary for each number of limits that the wish overruns; 4 stands for 4 and more."""
        return self._summarised(["aim", "sweeps", "overrun"]).sort_index()

    def _summarised(self, by: list[str]) -> pd.DataFrame:
        groups = self.outcomes.assign(overrun=self.outcomes["overrun"].clip(upper=MANY)).groupby(by, sort=False)
        table = pd.DataFrame.from_records([_summary_row(rows) for _, rows in groups])
        return table.set_index(pd.MultiIndex.from_tuples([key for key, _ in groups], names=by))

    @cached_property
    def rules(self) -> pd.DataFrame:
        """For each aim, number of sweeps and rule: ``share`` of the pairs that break it, and the ``worst`` amount."""
        wishes = self.outcomes.groupby(["aim", "sweeps"])["portfolio"].nunique().rename("wishes")
        groups = self.broken.groupby(["aim", "sweeps", "rule"])
        table = pd.DataFrame({"share": groups["share"].sum(), "worst": groups["worst"].max()}).join(wishes)
        return table.assign(share=table["share"] / table["wishes"]).drop(columns="wishes").sort_index()

    def __repr__(self) -> str:
        return f"SequentialComparison({self.portfolios:,} portfolios, {len(self.outcomes):,} outcomes; see .summary)"


def _summary_row(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the summary of some pairs of a portfolio and an order."""
    works = rows[rows["works"]]
    share = rows.groupby("order", sort=False)["works"].mean()
    lost = works.groupby("order", sort=False)["lost"].mean().reindex(share.index)
    best = min(share.index, key=lambda order: (-share[order], np.nan_to_num(lost[order], nan=np.inf)))
    return {
        "portfolios": rows["portfolio"].nunique(),
        "tries": len(rows),
        "obeys": rows["obeys"].mean(),
        "works": rows["works"].mean(),
        "stranded": 1.0 - rows.groupby("portfolio")["works"].any().mean(),
        "settled": rows["settled"].mean(),
        "violation": rows["violation"].max(),
        "median_lost": works["lost"].median(),
        "mean_lost": works["lost"].mean(),
        "most_lost": works["lost"].max(),
        "swing": rows["swing"].max(),
        "best_order": best if share[best] > 0.0 else "",
        "best_works": share[best],
        "best_lost": lost[best],
    }


@checked
def compare_sequential(
    policy: Policy,
    wishes: pd.Series | Mapping[str, float] | pd.DataFrame,
    *,
    relative: bool = False,
    sweeps: int = 100,
    most_orders: int = MOST_ORDERS,
    seed: int = 0,
    progress: bool = False,
    **given: Any,
) -> SequentialComparison:
    """Put wishes through clip-and-rescale passes in every order, and beside that through the joint projection.

    There are two aims, and each is compared with the joint answer of the same aim. With `LIMITS_ONLY` the passes only
    cut, and what they cut stays in cash. With `FULLY_INVESTED` one more pass scales all positions to 100% of what may
    be invested, and the barbell's pass hands to safe positions what it takes from risk.

    Parameters
    ----------
    policy : Policy
        The policy.
    wishes : Series or mapping, or DataFrame of one row a portfolio
        Signed fractions of NAV by symbol or (bucket, symbol). Positions of 0 or NaN are left out.
    relative : bool
        The wishes are shares of their bucket, as the signal router gives them.
    sweeps : int
        How often an order is gone through again, until nothing moves.
    most_orders : int
        Where the passes have more orders than this, as many are drawn at random.
    seed : int
        Of that draw.
    progress : bool
        Show a progress bar, on standard error where that is a terminal.
    **given
        ``risk_scale``, ``previous``, ``gated``, ``covariance``, ``adv``, ``nav`` and ``engine`` as in
        :meth:`pmx.Projector.solve`.

    Returns
    -------
    SequentialComparison
        What the policy's residual symbol would take counts as cash, here and there.

    Raises
    ------
    DataError
        When the policy is switched off, there are no wishes, or ``sweeps`` or ``most_orders`` is below 1.
    InfeasibleError
        When the hard rules of the policy cannot hold together.

    Examples
    --------
    >>> import pandas as pd, pmx
    >>> wish = pd.Series({"SHY": 0.40, "BIL": 0.30, "SP500": 0.20, "WTI": 0.10})
    >>> found = compare_sequential(pmx.load_policy(), wish)
    >>> found.summary[["tries", "obeys", "works"]]
                           tries  obeys  works
    aim            sweeps
    limits only    1         120    1.0    1.0
                   100       120    1.0    1.0
    fully invested 1         120    0.5    0.0
                   100       120    1.0    1.0
    """
    if policy.bypassed:
        raise DataError("the policy is switched off, so there is nothing to compare; switch one of its layers on")
    if sweeps < 1 or most_orders < 1:
        raise DataError(f"sweeps is {sweeps} and most_orders {most_orders}; give at least 1 of each")
    table = wishes if isinstance(wishes, pd.DataFrame) else pd.Series(wishes, dtype="float64").to_frame(0).T
    if not table.size:
        raise DataError("there are no wishes to compare with; give at least one position")
    invested, rule, gross = with_full_investment(policy)
    outcomes, broken, joint, sampled, forbidden = [], [], {}, False, {}
    with counting("portfolios", len(table), progress) as advance:
        for number in range(len(table)):
            portfolio, wish = table.index[number], table.iloc[number]
            for aim, law in ((LIMITS_ONLY, policy), (FULLY_INVESTED, invested)):
                try:
                    allocation = _project(law, wish, relative, given)
                except InfeasibleError as error:
                    if aim == FULLY_INVESTED:
                        forbidden[portfolio] = tuple(name for name in error.rules if name != rule)
                        continue
                    if isinstance(wishes, pd.DataFrame):
                        error.add_note(f"portfolio {portfolio}")
                    raise
                joint[portfolio, aim] = allocation
                trial = Trial(allocation, rule, gross if aim == FULLY_INVESTED else None)
                rows, rules, more = trial.run(sweeps, most_orders, seed)
                outcomes.append(rows.assign(portfolio=portfolio, aim=aim))
                broken.append(rules.assign(portfolio=portfolio, aim=aim))
                sampled = sampled or more
            advance(1)
    return SequentialComparison(
        _gathered(outcomes, [*KEYS, "order"]), _gathered(broken, [*KEYS, "rule"]), joint, sampled, forbidden
    )


def _project(policy: Policy, wish: pd.Series, relative: bool, given: Mapping[str, Any]) -> Allocation:
    wanted = by_position(wish[wish.notna() & (wish != 0.0)], policy)[0]
    index = wanted.index
    if given.get("previous") is not None:
        held = by_position(given["previous"], policy)[0]
        index, given = index.append(held.index).unique(), {**given, "previous": held}
    projector = Projector(policy, index.tolist())
    return projector.solve(wanted, **given) if relative else projector.project(wanted, **given)


def _gathered(parts: list[pd.DataFrame], first: list[str]) -> pd.DataFrame:
    table = pd.concat(parts, ignore_index=True)
    return table[[*first, *(column for column in table if column not in first)]]
