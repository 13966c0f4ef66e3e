"""No wrong verdict: thousands of programs and policies, infeasible or feasible by construction, by as little as 1e-7.

All that an error says is checked in rational arithmetic that shares nothing with the package: the proof, that without
any one of the rules the others can hold, and that the relaxation is enough.
"""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from zoo.clashes import (
    ALLOWANCE,
    contradicted_program,
    demanding_policy,
    least_excess,
    limits_of,
    obeys,
    point_within,
)
from zoo.programs import random_program

from pmx.errors import InfeasibleError
from pmx.projection.infeasibility import require_feasible

#: No planted margin is smaller than this.
SMALLEST = Fraction(1, 10**7)


def check_refusal(seed, error, program, limits):
    """Hold an error against the limits of a program; return how many rules clash."""
    known = {(limit.rule, limit.side, limit.position, limit.bound): limit for limit in limits}
    weighted = [
        (known[limit.rule, limit.side, limit.position, limit.bound], limit.multiplier) for limit in error.limits
    ]
    assert error.proven_minimal
    assert set(error.rules) == {limit.rule for limit in error.limits} == set(error.multipliers)
    assert len(set(error.rules)) == len(error.rules)
    assert set(error.sources) == {*error.rules, *error.relaxation}
    assert all(multiplier > 0 for _, multiplier in weighted)
    excess = least_excess(program, weighted)
    assert excess is not None, seed
    assert excess > 0, seed
    for dropped in error.rules:
        rest = [limit for limit in limits if limit.rule in error.rules and limit.rule != dropped]
        assert obeys(program, point_within(program, rest), rest), (seed, dropped)
    assert min(error.relaxation.values()) > 0
    assert obeys(program, point_within(program, limits, error.relaxation), limits, error.relaxation), seed
    # Weighted by the proof, what the rules of the clash give makes up for what they fall short by.
    given = sum(
        m * (Fraction(error.relaxation.get(limit.rule, 0.0)) + ALLOWANCE * Fraction(limit.unit))
        for limit, m in weighted
    )
    assert given >= excess, seed
    return len(error.rules)


def refused_program(seed):
    program, margin = contradicted_program(seed)
    assert margin >= SMALLEST, (seed, float(margin))
    with pytest.raises(InfeasibleError) as refusal:
        require_feasible(program)
    return check_refusal(seed, refusal.value, program, limits_of(program))


def refused_policy(seed):
    demand = demanding_policy(seed, feasible=False)
    assert demand.margin >= SMALLEST, (seed, float(demand.margin))
    with pytest.raises(InfeasibleError) as refusal:
        demand.projector.solve(demand.relative, **demand.arguments)
    names = demand.projector.index.tolist()
    limits = [
        limit if limit.position is None else replace(limit, position=names[limit.position]) for limit in demand.limits
    ]
    return check_refusal(seed, refusal.value, demand.program, limits)


def met_policy(seed):
    """A policy that asks for a little less than it allows is answered."""
    demand = demanding_policy(seed, feasible=True)
    assert demand.margin == 0, seed
    assert demand.projector.solve(demand.relative, **demand.arguments).certificate.accepted, seed


def test_infeasible_programs_are_refused_with_proof():
    assert Counter(refused_program(seed) for seed in range(120)).keys() >= {1, 2, 3, 4}


def test_infeasible_policies_are_refused_with_proof():
    assert Counter(refused_policy(seed) for seed in range(80)).keys() >= {2, 3, 4}


def test_feasible_policies_are_answered():
    for seed in range(80):
        met_policy(seed)


def test_feasible_programs_are_not_refused():
    for seed in range(300):
        require_feasible(random_program(seed))


@pytest.mark.fuzz
def test_five_thousand_infeasible_programs():
    print(sorted(Counter(refused_program(seed) for seed in range(10_000, 15_000)).items()))


@pytest.mark.fuzz
def test_five_thousand_infeasible_policies():
    print(sorted(Counter(refused_policy(seed) for seed in range(10_000, 15_000)).items()))


@pytest.mark.fuzz
def test_five_thousand_feasible_policies():
    for seed in range(10_000, 15_000):
        met_policy(seed)


@pytest.mark.fuzz
def test_five_thousand_feasible_programs():
    for seed in range(10_000, 15_000):
        require_feasible(random_program(seed))
