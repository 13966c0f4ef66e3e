"""Many accounts at once: the same answers as one by one, whatever the threads, and nothing lost when one fails."""

import numpy as np
import pandas as pd
import pytest
from zoo.policies import random_case

import pmx
from pmx.errors import DataError, InfeasibleError
from pmx.policy import Policy
from pmx.projection import Projector

ACCOUNTS = 12


def random_accounts(seed):
    """A random policy with accounts whose wishes, holdings, scales, NAV and bounds differ."""
    case = random_case(seed)
    rng = np.random.default_rng(seed)
    projector = Projector(case.policy, case.relative.index)
    shape = (ACCOUNTS, len(projector.index))
    wishes = rng.normal(0.02, 0.06, shape) * (rng.random(shape) < 0.8)
    given = {key: case.arguments[key] for key in ("gated", "covariance", "adv") if key in case.arguments}
    if "adv" in given:
        given["nav"] = rng.uniform(2e5, 2e6, ACCOUNTS)
    if rng.random() < 0.6:
        given["previous"] = rng.normal(0.02, 0.05, shape) * (rng.random(shape) < 0.7)
    if rng.random() < 0.6:
        given["risk_scale"] = rng.uniform(0.2, 1.4, (ACCOUNTS, len(case.policy.risk_buckets.buckets))).round(3)
    if rng.random() < 0.4:
        given["upper"] = rng.uniform(0.0, 0.1, shape).round(3)
    return projector, wishes, given


def of_account(given, i):
    rows = {"nav", "previous", "risk_scale", "upper"}
    one = {key: value[i] if key in rows else value for key, value in given.items()}
    return one | ({"nav": float(one["nav"])} if "nav" in one else {})


def test_every_account_gets_what_it_would_get_alone():
    seen = set()
    for seed in range(120):
        projector, wishes, given = random_accounts(seed)
        if projector.policy.bypassed:
            continue
        batch = projector.solve_many(wishes, **given, chunk=5, workers=2)
        seen |= set(given)
        for i in range(ACCOUNTS):
            alone = projector.project(wishes[i], **of_account(given, i))
            reach = alone.certificate.distance_bound + batch.distance_bound[i]
            assert float(np.linalg.norm(alone.signed - batch.positions[i])) <= reach + 1e-12, (seed, i)
            assert batch.relaxed[i] == (alone.status == "relaxed"), (seed, i)
            assert batch.primal_residual[i] <= 1e-9
            assert batch.distance_bound[i] <= 1e-6
    assert seen == {"gated", "covariance", "adv", "nav", "previous", "risk_scale", "upper"}


def test_threads_and_chunks_do_not_change_a_bit():
    for seed in range(8):
        projector, wishes, given = random_accounts(seed)
        base = projector.solve_many(wishes, **given, workers=1)
        for how in ({"workers": 2, "chunk": 1}, {"workers": 7, "chunk": 5}, {"workers": 1, "chunk": 3}):
            other = projector.solve_many(wishes, **given, **how)
            for name in ("positions", "distance_bound", "duality_gap", "prices", "rounds"):
                assert getattr(base, name).tobytes() == getattr(other, name).tobytes(), (seed, how, name)


def test_the_order_of_accounts_does_not_change_a_bit():
    projector, wishes, given = random_accounts(3)
    base = projector.solve_many(wishes, **given)
    turned = {key: value[::-1] if isinstance(value, np.ndarray) and len(value) == ACCOUNTS else value
              for key, value in given.items()}  # fmt: skip
    back = projector.solve_many(wishes[::-1], **turned)
    assert base.positions.tobytes() == np.ascontiguousarray(back.positions[::-1]).tobytes()


@pytest.fixture
def two():
    return Projector(pmx.load_policy(), [("ts_core", "A"), ("ml_secondary", "B")])


def test_tables_and_prices_are_those_of_a_single_solve(two):
    wishes = pd.DataFrame([[0.30, 0.10], [0.02, 0.01]], columns=two.index)
    batch = two.solve_many(wishes[wishes.columns[::-1]])
    alone = two.project(wishes.iloc[0])
    assert batch.weights.iloc[0].to_dict() == pytest.approx(alone.weights.to_dict(), abs=1e-12)
    assert batch.weights.sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-12)
    prices = alone.rules["shadow_price"]
    for rule, price in batch.shadow_prices.iloc[0].items():
        assert price == pytest.approx(prices.get(rule, 0.0), abs=1e-9), rule
    assert batch.allocation(0).rules["shadow_price"].to_dict() == prices.to_dict()
    assert len(batch) == 2
    assert "2 accounts × 2 positions" in repr(batch)
    assert (batch.shadow_prices.iloc[1] == 0.0).all()


def test_an_account_without_an_answer_does_not_take_the_others_with_it(two):
    wishes = np.full((4, 2), 0.05)
    least = np.zeros((4, 2))
    least[2, 0] = 0.6
    with pytest.raises(InfeasibleError) as refusal:
        two.solve_many(wishes, lower=least)
    assert "account.bounds" in refusal.value.rules
    assert str(refusal.value).startswith("account 2: these hard rules cannot hold together")
    assert refusal.value.__notes__ == ["errors='collect' keeps the answers of the other accounts"]
    batch = two.solve_many(wishes, lower=least, errors="collect")
    assert list(batch.failures) == [2]
    assert batch.fallbacks.tolist() == []
    assert "within 0e+00 of their optima, 0 fallbacks, 1 failures" in repr(batch)
    assert isinstance(batch.failures[2], InfeasibleError)
    assert np.isnan(batch.positions[2]).all()
    assert batch.distance_bound[2] == np.inf
    alone = two.project(wishes[0])
    assert np.array_equal(batch.positions[[0, 1, 3]], np.tile(alone.signed, (3, 1)))


def test_cones_are_solved_one_by_one_and_say_so():
    policy = pmx.load_policy().override({"risk_buckets.portfolio.volatility_max": 0.01})
    projector = Projector(policy, [("ts_core", "A"), ("ts_core", "B")])
    covariance = np.array([[0.04, 0.01], [0.01, 0.09]])
    batch = projector.solve_many(np.array([[0.1, 0.1], [0.01, 0.0]]), covariance=covariance)
    assert batch.fallbacks.tolist() == [0, 1]
    assert float(np.sqrt(batch.positions[0] @ covariance @ batch.positions[0])) == pytest.approx(0.01, abs=1e-9)
    assert "takes no cones" in batch.allocation(0).certificate.note


def test_with_the_layer_off_wishes_come_back_unchanged():
    off = {"risk_buckets": {"enabled": False}, "barbell": {"enable_barbell_allocation": False}}
    projector = Projector(Policy.from_mapping(off), [("x", "A"), ("y", "B")])
    wishes = np.array([[0.7, 0.9], [-3.0, 0.1]])
    assert np.array_equal(projector.solve_many(wishes).positions, wishes)


def test_bounds_with_labels_find_their_positions(two):
    wishes = np.full((2, 2), 0.05)
    most = pd.DataFrame({("ml_secondary", "B"): [0.01, 0.02]})
    batch = two.solve_many(wishes, upper=most)
    assert batch.positions.tolist() == [[0.05, 0.01], [0.05, 0.02]]
    paired = most.set_axis(pd.Index(most.columns.to_list(), tupleize_cols=False), axis=1)
    assert two.solve_many(wishes, upper=paired).positions.tolist() == batch.positions.tolist()
    with pytest.raises(DataError, match="upper is a Series"):
        two.solve_many(wishes, upper=most.iloc[0])


def test_what_every_rule_did_is_the_sum_over_single_solves():
    for seed in (1, 4, 9, 17, 30, 44):
        projector, wishes, given = random_accounts(seed)
        if projector.policy.bypassed:
            continue
        table = projector.solve_many(wishes, **given, chunk=5).rules
        binding, price, given_way, worst = (dict.fromkeys(table.index, 0.0) for _ in range(4))
        for i in range(ACCOUNTS):
            for name, rule in projector.project(wishes[i], **of_account(given, i)).rules.iterrows():
                binding[name] += rule["binding"]
                price[name] += rule["shadow_price"]
                given_way[name] += rule["violation"] > 1e-9
                worst[name] = max(worst[name], rule["violation"])
        assert table["accounts_binding"].to_dict() == binding, seed
        assert table["share_binding"].to_dict() == {name: count / ACCOUNTS for name, count in binding.items()}
        assert table["accounts_given_way"].to_dict() == given_way, seed
        assert table["max_violation"].to_dict() == pytest.approx(worst, abs=1e-12), seed
        single = [name for name in table.index if name.startswith(("symbol.", "liquidity.", "gate.", "account."))]
        mean = {name: price[name] / ACCOUNTS for name in single}
        assert table["mean_shadow_price"][single].to_dict() == pytest.approx(mean, rel=1e-6, abs=1e-9), seed


def test_rows_with_labels_must_name_the_same_accounts(two):
    names = pd.Index(["acc1", "acc2"], name="account")
    wishes = pd.DataFrame([[0.05, 0.02], [0.01, 0.03]], index=names, columns=two.index)
    held = wishes * 0.5
    batch = two.solve_many(wishes, previous=held)
    assert batch.weights.index.equals(names)
    assert batch.shadow_prices.index.equals(names)
    with pytest.raises(DataError, match="previous does not name the same accounts in the same order"):
        two.solve_many(wishes, previous=held[::-1])


def test_gates_that_can_be_read_once_hold_everywhere(two):
    wishes = np.full((3, 2), 0.05)
    batch = two.solve_many(wishes, gated=(symbol for symbol in ["A"]))
    assert batch.positions.tolist() == [[0.0, 0.05]] * 3
    assert batch.allocation(0).signed.tolist() == [0.0, 0.05]
    assert two.project(wishes[0], gated=pd.Series({"A": "exit"})).signed.tolist() == [0.0, 0.05]


def test_an_array_that_changed_since_is_noticed(two):
    wishes = np.full((3, 2), 0.05)
    batch = two.solve_many(wishes, upper=np.array([np.inf, 0.04]))
    assert batch.allocation(0).signed.tolist() == [0.05, 0.04]
    wishes[0] = 0.01
    with pytest.raises(DataError, match=r"account 0 is now solved .* the given arrays have changed"):
        batch.allocation(0)


def test_liquidity_needs_each_accounts_nav():
    policy = pmx.load_policy().override({"execution.liquidity.participation": 0.1})
    thin = Projector(policy, [("ts_core", "A"), ("ml_secondary", "B")])
    adv = {"A": 1e5, "B": 1e6}
    wishes, held = np.full((2, 2), 0.08), np.zeros((2, 2))
    batch = thin.solve_many(wishes, previous=held, adv=adv, nav=np.array([1e6, 1e5]))
    assert batch.positions == pytest.approx(np.array([[0.01, 0.08], [0.08, 0.08]]))
    for nav, wrong in ((None, "account 0 is nan"), (np.array([1.0, 0.0]), "account 1 is 0.0"), (np.ones(3), "shape")):
        with pytest.raises(DataError, match=f"nav .*{wrong}"):
            thin.solve_many(wishes, previous=held, adv=adv, nav=nav)


def test_no_accounts_are_no_trouble(two):
    assert len(two.solve_many(np.zeros((0, 2)))) == 0


WISHES = np.full((3, 2), 0.05)
NAN = WISHES.copy()
NAN[1, 1] = np.nan


@pytest.mark.parametrize(
    ("targets", "given", "message"),
    [
        (NAN, {}, r"targets of account 1, position \('ml_secondary', 'B'\), is not a finite number"),
        (WISHES[:, :1], {}, r"targets has shape \(3, 1\); it must be \(accounts, 2\)"),
        (WISHES, {"previous": WISHES[:2]}, "previous has 2 accounts, targets have 3"),
        (WISHES, {"lower": -WISHES}, "lower of account 0.*is not a size"),
        (WISHES, {"upper": NAN}, "upper of account 1.*is not a size"),
        (WISHES, {"upper": WISHES[:2]}, r"upper has shape \(2, 2\)"),
        (WISHES, {"risk_scale": {"nowhere": 0.5}}, "no bucket 'nowhere'"),
        (WISHES, {"risk_scale": np.ones(3)}, r"risk_scale has shape \(3,\)"),
        (WISHES, {"risk_scale": {"ts_core": -1.0}}, r"account 0, bucket ts_core, is -1\.0.*finite and ≥ 0"),
        (WISHES, {"risk_scale": [1.0, 1.0]}, r"risk_scale has shape \(2,\)"),
        (WISHES * 1j, {}, "targets must hold real numbers"),
        (WISHES, {"workers": 0}, "workers is 0"),
        (WISHES, {"chunk": 0}, "chunk is 0"),
        (WISHES, {"errors": "ignore"}, "errors is 'ignore'"),
        (pd.DataFrame(WISHES, columns=["A", "B"]), {}, "targets has the column A, which is no position"),
    ],
)
def test_a_bad_input_is_named(two, targets, given, message):
    with pytest.raises(DataError, match=message):
        two.solve_many(targets, **given)
