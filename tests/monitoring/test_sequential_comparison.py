"""Clip-and-rescale beside the joint answer: judged alike, and never better without breaking something."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from zoo.policies import exact_violation, random_case

import pmx
from pmx import DataError, InfeasibleError
from pmx.monitoring.sequential import (
    FULLY_INVESTED,
    LIMITS_ONLY,
    compare_sequential,
    comparison_html,
    comparison_svg,
    not_rescaled,
    random_wishes,
    summary_table,
    verdict,
)
from pmx.monitoring.sequential.judging import distances, limits_overrun, violations
from pmx.monitoring.sequential.orders import orders_of, run_orders
from pmx.monitoring.sequential.passes import passes_of
from pmx.monitoring.sequential.trial import with_full_investment

WISH = pd.Series({"SHY": 0.40, "BIL": 0.30, "SP500": 0.20, "WTI": 0.10})


@pytest.fixture(scope="module")
def some():
    return compare_sequential(pmx.load_policy(), random_wishes(pmx.load_policy(), 12, seed=5), sweeps=30)


def cases(count, start=0):
    """Yield random problems that have an answer, with it; every fifth has a volatility cap."""
    for seed in range(start, start + count):
        case = random_case(seed, volatility=seed % 5 == 0)
        if not case.policy.bypassed:
            yield case, pmx.solve(case.policy, case.relative, **case.arguments)


def tries(allocation, most, seed):
    """Return where the wish, random orders of the passes, and the joint answer end; shape (m, n)."""
    program = allocation.program
    passes = passes_of(program)
    ends = run_orders(passes, orders_of(len(passes), most, seed), program.target, 5)
    return np.vstack([program.target, ends.once, ends.repeated, allocation.point.u])


def check_judges_agree(count, start=0):
    """The judge of many says what the allocation's own does and, where all limits are linear, what fractions say."""
    broken = 0
    for case, allocation in cases(count, start):
        U = tries(allocation, 6, seed=start)
        amounts = violations(allocation.program, U)
        for i in (0, 1, len(U) - 2, len(U) - 1):
            weights = pd.Series(allocation.program.sign * U[i], index=allocation.index)
            mine = {name: amount[i] for name, amount in amounts.items() if amount[i] > 1e-9}
            assert mine == pytest.approx(allocation.violations(weights).to_dict(), abs=1e-12)
            broken += bool(mine)
            covered = "previous" in case.arguments or "gated" not in case.arguments
            if covered and "sign" not in mine and case.policy.risk_buckets.portfolio.volatility_max is None:
                exact = float(exact_violation(case, weights)[0])
                assert exact == pytest.approx(max(mine.values(), default=0.0), abs=2e-9), mine
    return broken


def check_nothing_beats_the_joint_answer(count, start=0):
    """No try that obeys every rule is nearer the wish than the joint answer, by more than that one's own proof leaves.

    A price says how much objective a breach gains, so what the tolerance of 1e-9 may gain is allowed for.
    """
    compared = ties = 0
    for _, allocation in cases(count, start):
        if any(np.isnan(rule.shadow_price) for rule in allocation.readings):
            continue
        U = tries(allocation, 24, seed=start)
        program, certificate = allocation.program, allocation.certificate
        amounts = violations(program, U)
        obeys = np.max(list(amounts.values()), axis=0) <= 1e-9
        assert obeys[-1], "the joint answer itself"
        objective = 0.5 * distances(program, U) ** 2
        price = sum(rule.shadow_price for rule in allocation.readings)
        slack = certificate.duality_gap + 1e-8 * price + 1e-12 * max(1.0, objective[-1])
        assert (objective[obeys] >= objective[-1] - slack).all()
        compared += int(obeys.sum()) - 1
        ties += int((objective[obeys] <= objective[-1] + slack).sum()) - 1
    return compared, ties


def test_the_judge_of_many_is_the_judge_of_one():
    assert check_judges_agree(40) > 30


def test_no_try_that_obeys_beats_the_joint_answer():
    compared, ties = check_nothing_beats_the_joint_answer(60)
    assert compared > 400
    assert ties < compared


@pytest.mark.fuzz
def test_the_judge_of_many_is_the_judge_of_one_at_length():
    assert check_judges_agree(2000, start=10_000) > 1000


@pytest.mark.fuzz
def test_no_try_that_obeys_beats_the_joint_answer_at_length():
    compared, _ = check_nothing_beats_the_joint_answer(2000, start=20_000)
    assert compared > 10_000


def test_a_better_answer_would_be_seen():
    """The comparison above can fail: a point between the joint answer and the wish is nearer, and breaks a rule."""
    allocation = pmx.project_to_feasible(WISH, pmx.load_policy())
    program, u = allocation.program, allocation.point.u
    between = np.vstack([u, 0.9 * u + 0.1 * program.target])
    near = distances(program, between)
    assert near[1] < near[0]
    worst = np.max(list(violations(program, between).values()), axis=0)
    assert worst[0] <= 1e-9 < worst[1]


def test_the_distance_is_what_the_joint_answer_minimises():
    """Costs of trading and prices of soft rules count: the optimum of the certificate's objective is no tie by luck."""
    policy = pmx.load_policy().override(
        {
            "execution.turnover": {"max": 0.05, "cost": 0.02, "penalty": 0.3},
            "barbell.safe_bucket.max_weight_penalty": 0.4,
        }
    )
    allocation = pmx.project_to_feasible(WISH, policy, previous={"SP500": 0.02, "BIL": 0.5})
    program, u = allocation.program, allocation.point.u
    rng = np.random.default_rng(3)
    around = np.maximum(u + 0.02 * rng.normal(size=(4000, len(u))), 0.0)
    obeys = np.max(list(violations(program, around).values()), axis=0) <= 1e-9
    assert obeys.sum() > 100
    assert (distances(program, around[obeys]) > distances(program, u[None, :])[0]).all()
    by_hand = program.distance @ (u - program.target) ** 2 + 2 * (
        program.cost @ np.abs(u - program.previous)
        + program.turnover_penalty * max(0.5 * np.abs(u - program.previous).sum() - 0.05, 0.0)
        + sum(
            program.penalty[k] * max(program.lo[k] - program.A[k] @ u, 0.0)
            for k in range(len(program.lo))
            if 0.0 < program.penalty[k] < np.inf
        )
    )
    assert distances(program, u[None, :])[0] == pytest.approx(np.sqrt(by_hand), rel=1e-12)


def test_joint_answers_break_nothing_and_lose_nothing(some):
    for allocation in some.joint.values():
        assert max(amount[0] for amount in violations(allocation.program, allocation.point.u[None, :]).values()) <= 1e-9
    works = some.outcomes[some.outcomes["works"]]
    assert len(works) > 1000
    assert works["lost"].min() > -1e-6
    assert some.outcomes["lost"].min() < -0.1  # by breaking rules


def test_passes_that_only_cut_break_no_upper_limit(some):
    assert some.summary.loc[(LIMITS_ONLY, 1), ["obeys", "settled"]].tolist() == [1.0, 1.0]


def test_where_the_wish_overruns_no_limit_nothing_happens_and_one_limit_alone_is_cut_exactly():
    policy = pmx.load_policy()
    fine = compare_sequential(policy, {"SHY": 0.40, "BIL": 0.40, "SP500": 0.10, "WTI": 0.10} | {"GLD": 0.0})
    assert fine.outcomes["overrun"].unique().tolist() == [0]
    assert fine.outcomes["lost"].tolist() == [0.0] * len(fine.outcomes)
    one = compare_sequential(policy, {"SHY": 0.40, "BIL": 0.40, "SP500": 0.14})
    cut = one.outcomes.query("aim == @LIMITS_ONLY")
    assert cut["overrun"].unique().tolist() == [1]
    assert cut["lost"].abs().max() < 1e-9
    assert one.joint[0, LIMITS_ONLY].weights["SP500"] == pytest.approx(0.10)


def test_limits_on_separate_positions_are_cut_exactly_in_any_order():
    wish = {"BIL": 0.40, "SP500": 0.15, "VIXY": 0.04, "NGX:A": 0.04, "NGX:B": 0.02}
    cut = compare_sequential(pmx.load_policy(), wish).outcomes.query("aim == @LIMITS_ONLY")
    assert cut["overrun"].unique().tolist() == [3]
    assert cut["lost"].abs().max() < 1e-9
    assert cut["swing"].max() < 1e-12


def test_a_limit_within_another_is_cut_exactly_from_the_inside_alone():
    cut = compare_sequential(pmx.load_policy(), WISH, sweeps=1).outcomes.query("aim == @LIMITS_ONLY")
    inside = cut["order"].map(lambda order: order.index("symbol caps"))
    outside = cut["order"].map(lambda order: min(order.index("bucket limits"), order.index("barbell")))
    assert cut.loc[inside < outside, "lost"].abs().max() < 1e-9
    assert cut.loc[inside > outside, "lost"].min() > 0.02
    # SP500 first at 20% of 30%, scaled to 25% and then clipped to 10%: WTI was cut from 10% for nothing.
    assert cut["swing"].max() == pytest.approx(0.10 - 0.10 * 0.25 / 0.30)


def test_limits_on_one_sum_are_overrun_together():
    allocation = pmx.project_to_feasible({"NGX:A": 0.04, "NGX:B": 0.03}, pmx.load_policy())
    program = allocation.program
    broken = violations(program, program.target[None, :])
    assert {name for name, amount in broken.items() if amount[0] > 1e-9} == {"bucket.ngx_risk.max", "market.ngx.cap"}
    assert limits_overrun(program, program.target) == 1
    assert limits_overrun(program, allocation.point.u) == 0


def test_what_each_order_of_the_example_breaks():
    found = compare_sequential(pmx.load_policy(), WISH, sweeps=1)
    rows = found.outcomes.set_index(["aim", "order"])
    last = rows.loc[(FULLY_INVESTED, "symbol caps › market caps › bucket limits › barbell › rescale to 100%")]
    assert last["violation"] == pytest.approx(0.1 / 0.9 - 0.1)
    assert last["uninvested"] == pytest.approx(0.0, abs=1e-12)
    first = rows.loc[(FULLY_INVESTED, "rescale to 100% › symbol caps › market caps › bucket limits › barbell")]
    assert (first["obeys"], first["works"]) == (True, False)
    assert first["uninvested"] == pytest.approx(0.1)
    row = found.summary.loc[(FULLY_INVESTED, 1)]
    assert row["stranded"] == 1.0
    assert np.isnan(row["mean_lost"])
    assert set(found.broken["rule"]) == {"symbol.SP500.cap", "symbol.WTI.cap", "market.commodities.cap"}


def test_the_summary_adds_up(some):
    rows = some.outcomes.query("aim == @FULLY_INVESTED and sweeps == 1")
    row = some.summary.loc[(FULLY_INVESTED, 1)]
    assert row["tries"] == len(rows) == 12 * 120
    assert row["works"] == (rows["obeys"] & (rows["uninvested"] <= 1e-9)).mean()
    assert row["violation"] == rows["violation"].max()
    parts = some.by_overrun.loc[(FULLY_INVESTED, 1)]
    assert parts["portfolios"].sum() == 12
    assert parts["works"] @ parts["tries"] == pytest.approx(row["works"] * row["tries"])
    share = some.rules.loc[(FULLY_INVESTED, 1)]["share"]
    assert share.max() <= 1.0 - row["obeys"] <= share.sum() + 1e-12
    assert share[row["worst_rule"]] == share.max()
    best = rows[rows["order"] == row["best_order"]]
    assert best["works"].mean() == row["best_works"] == rows.groupby("order")["works"].mean().max()


def test_full_investment_is_a_rule_of_the_joint_answer_too(some):
    for (_, aim), allocation in some.joint.items():
        if aim == FULLY_INVESTED:
            assert allocation.cash == pytest.approx(0.0, abs=1e-9)


def test_a_portfolio_that_may_not_be_fully_invested_is_compared_under_limits_alone():
    found = compare_sequential(pmx.load_policy(), {"SP500": 0.6, "BIL": 0.4})
    assert found.outcomes["aim"].unique().tolist() == [LIMITS_ONLY]
    assert list(found.joint) == [(0, LIMITS_ONLY)]
    assert set(found.forbidden) == {0}
    assert found.forbidden[0]
    assert not any(name.startswith("custom.fully_invested") for name in found.forbidden[0])


def test_what_was_not_rescaled_is_said_and_nothing_is_drawn_of_it():
    policy, wish = pmx.load_policy(), {"SP500": 0.30, "NASDAQ": 0.20, "BIL": 0.31}
    found = compare_sequential(policy, wish)
    assert set(found.forbidden[0]) == {"symbol.SP500.cap", "symbol.NASDAQ.cap", "symbol.BIL.cap"}
    assert not_rescaled(found).startswith("Rescaling to 100% was not tried where the policy does not allow full")
    assert "symbol.BIL.cap" in not_rescaled(found)
    picture = comparison_svg(found)
    assert "rescaled to 100%" not in picture
    assert "the rule broken worst" not in picture
    assert "Not rescaled: it may not be fully invested." in picture
    assert not_rescaled(found) in verdict(found)
    assert not_rescaled(found) in comparison_html(found, "title")
    both = compare_sequential(policy, pd.DataFrame([wish, WISH.to_dict()]).fillna(0.0), sweeps=1)
    assert "for 1 of the 2 wishes" in verdict(both)
    for words in ("rescaled to 100%", "the rule broken worst", "Not rescaled: 1 may not be fully invested."):
        assert words in comparison_svg(both)


def test_nothing_is_said_where_all_was_rescaled(some):
    assert not_rescaled(some) == ""
    assert "Not rescaled" not in comparison_svg(some)
    swing = some.summary["swing"]
    text = f"{1e4 * swing[LIMITS_ONLY, 1]:,.0f} bp of NAV where it only cuts, and by up to "
    assert f"{text}{1e4 * swing[FULLY_INVESTED, 1]:,.0f} bp where it rescales to 100%" in verdict(some)


def test_there_is_no_best_order_where_none_works():
    found = compare_sequential(pmx.load_policy(), WISH, sweeps=1)
    assert found.summary["best_works"].tolist() == [1.0, 0.0]
    assert found.summary.loc[(FULLY_INVESTED, 1), "best_order"] == ""
    assert "Only cutting" in verdict(found)
    assert ElementTree.fromstring(comparison_svg(found)).tag.endswith("svg")


def test_the_rule_of_full_investment_gives_way_to_a_name_that_is_taken():
    taken = {"fully_invested": {"symbols": {"SP500": 1.0}, "max": 0.05}}
    policy = pmx.load_policy().override({"risk_buckets.custom_rules": taken, "risk_buckets.portfolio.cash_min": 0.1})
    invested, name, gross = with_full_investment(policy)
    assert name == "custom.fully_invested_"
    assert gross == 0.9
    assert invested.risk_buckets.custom_rules["fully_invested"] == policy.risk_buckets.custom_rules["fully_invested"]
    rules = set(compare_sequential(policy, WISH, sweeps=1).broken["rule"])
    assert "custom.fully_invested" in rules
    assert name not in rules


def test_scales_holdings_and_gates_reach_both():
    held = pd.Series({"SP500": 0.15, "QQQ": 0.05})
    given = {"previous": held, "gated": {"WTI": "exit"}, "risk_scale": {"ts_core": 0.5}}
    policy = pmx.load_policy().override({"execution.turnover.max": 0.10, "execution.turnover.hard": True})
    found = compare_sequential(policy, WISH, sweeps=2, **given)
    joint = found.joint[0, LIMITS_ONLY]
    expected = pmx.project_to_feasible(WISH, policy, previous=held, gated={"WTI": "exit"})
    assert joint.weights["WTI"] == expected.weights["WTI"] == 0.0
    passes = set(found.outcomes["order"].iloc[0].split(" › "))
    assert {"gates", "turnover", "bucket limits"} <= passes
    assert not found.outcomes.query("aim == @LIMITS_ONLY")["obeys"].all()  # a partial trade keeps what a cap forbids


def test_orders_are_sampled_where_there_are_too_many():
    found = compare_sequential(pmx.load_policy(), WISH, most_orders=40, sweeps=1, seed=2)
    assert found.sampled
    assert found.summary["tries"].tolist() == [40, 40]
    again = compare_sequential(pmx.load_policy(), WISH, most_orders=40, sweeps=1, seed=2)
    pd.testing.assert_frame_equal(found.outcomes, again.outcomes)
    assert "a sample of 40 orders" in comparison_svg(found)


def test_labels_and_order_of_columns_do_not_matter():
    policy = pmx.load_policy()
    wishes = random_wishes(policy, 3, seed=9)
    labelled = wishes.set_axis(["a", "b", "c"])
    turned = labelled.loc[:, wishes.columns[::-1]]
    one, two = (compare_sequential(policy, table, sweeps=3) for table in (labelled, turned))
    assert one.outcomes["portfolio"].unique().tolist() == ["a", "b", "c"]
    columns = ["portfolio", "aim", "sweeps", "order", "violation", "uninvested", "distance"]
    key = columns[:4]
    left, right = (each.outcomes[columns].sort_values(key, ignore_index=True) for each in (one, two))
    pd.testing.assert_frame_equal(left, right, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}, {}, "switched off"),
        ({}, {"sweeps": 0}, "at least 1"),
        ({}, {"most_orders": 0}, "at least 1"),
        ({}, {"wishes": pd.DataFrame()}, "no wishes"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, arguments, message):
    policy = pmx.load_policy().override(changes)
    with pytest.raises(DataError, match=message):
        compare_sequential(policy, **({"wishes": WISH} | arguments))


def test_an_impossible_policy_names_the_portfolio():
    rules = {"more": {"symbols": {"SP500": 1.0}, "min": 0.2}}
    policy = pmx.load_policy().override({"risk_buckets.custom_rules": rules})
    with pytest.raises(InfeasibleError) as caught:
        compare_sequential(policy, WISH.to_frame("mine").T)
    assert caught.value.__notes__ == ["portfolio mine"]
    with pytest.raises(InfeasibleError) as caught:
        compare_sequential(policy, WISH)
    assert not hasattr(caught.value, "__notes__")


def test_random_wishes_are_near_the_budgets_and_admitted():
    policy = pmx.load_policy()
    wishes = random_wishes(policy, 50, seed=4)
    assert wishes.sum(axis=1).to_numpy() == pytest.approx(np.ones(50))
    assert (wishes.to_numpy() >= 0.0).all()
    assert all(policy.admits(bucket, symbol) for bucket, symbol in wishes.columns)
    assert set(wishes.columns.get_level_values("bucket")) == set(policy.risk_buckets.buckets)
    pd.testing.assert_frame_equal(wishes, random_wishes(policy, 50, seed=4))
    assert not wishes.equals(random_wishes(policy, 50, seed=5))
    short = policy.override({"risk_buckets.buckets.ts_core.allow_short": True})
    drawn = random_wishes(short, 50, seed=4)
    assert (drawn["ts_core"].to_numpy() < 0.0).any()
    assert (drawn.drop(columns="ts_core", level="bucket").to_numpy() >= 0.0).all()
    assert drawn.abs().sum(axis=1).to_numpy() == pytest.approx(np.ones(50))


def test_random_wishes_of_a_policy_that_names_no_symbol():
    core = {"role": "risk", "base_nav_frac": 0.0}
    policy = pmx.Policy.from_mapping({"risk_buckets": {"buckets": {"core": core}}})
    assert random_wishes(policy, 2).columns.tolist() == [("core", "core:1"), ("core", "core:2"), ("core", "core:3")]
    with pytest.raises(DataError, match="no buckets"):
        random_wishes(pmx.Policy(), 2)
    with pytest.raises(DataError, match="at least 1"):
        random_wishes(policy, 0)


def test_picture_and_page_say_what_the_summary_says(some):
    picture = comparison_svg(some)
    root = ElementTree.fromstring(picture)
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    row = some.summary.loc[(FULLY_INVESTED, 1)]
    assert f"One sweep: {1 - row['obeys']:.0%} of the rescaled tries break a rule, {1 - row['works']:.0%} fail" in words
    assert len([element for element in root.iter() if element.tag.endswith("circle")]) > 20
    for element in root.iter():
        for name in ("cx", "cy", "x", "y"):
            assert -1.0 <= float(element.get(name, 0.0)) <= 960.0
    html = comparison_html(some, "A title & more")
    assert "A title &amp; more" in html
    assert picture in html
    for cell in summary_table(some).to_numpy().ravel():
        assert f">{cell}<" in html
