"""Maps from stated confidence to what came true, and the table that shows the difference."""

import sys

import numpy as np
import pytest

import pmx
from pmx.errors import DataError, PolicyError, SignalError
from pmx.policy.schema import CalibrationRule
from pmx.signals.calibrated_engine import CalibratedEngine
from pmx.signals.scoring import fit_calibration, reliability_table


def statements(n, truth, seed=0):
    rng = np.random.default_rng(seed)
    stated = rng.uniform(0.5, 0.95, n)
    return stated, rng.random(n) < truth(stated)


@pytest.mark.parametrize("method", ["isotonic", "platt"])
@pytest.mark.parametrize(
    "truth",
    [lambda c: c, lambda c: 0.5 + 0.4 * (c - 0.5), lambda c: np.full_like(c, 0.48)],
    ids=["true", "bold", "coin"],
)
def test_the_map_finds_the_truth_out_of_sample(method, truth):
    calibration = fit_calibration(*statements(20_000, truth), method)
    stated, right = statements(20_000, truth, seed=1)
    assert np.abs(calibration(stated) - truth(stated)).mean() < 0.02
    brier, perfect = (np.mean((p - right) ** 2) for p in (calibration(stated), truth(stated)))
    assert brier - perfect < 0.001
    assert (np.diff(calibration(np.linspace(0.0, 1.0, 200))) >= -1e-12).all() or method == "platt"
    assert calibration.observations == 20_000


def test_isotonic_takes_a_shape_that_platt_cannot():
    def step(c):
        return np.where(c < 0.7, 0.5, 0.8)

    stated, right = statements(20_000, step)
    errors = {m: np.abs(fit_calibration(stated, right, m)(stated) - step(stated)).mean() for m in ("isotonic", "platt")}
    assert errors["isotonic"] < 0.5 * errors["platt"]


def test_few_statements_do_not_make_for_certainty():
    """Platt's targets: ten right out of eleven at one confidence give 11/13 rather than anything more extreme."""
    calibration = fit_calibration([0.6] * 11, [True] * 10 + [False], "platt")
    assert float(calibration(0.6)) == pytest.approx((10 * 11 / 12 + 1 / 3) / 11, abs=1e-3)


@pytest.mark.parametrize("method", ["isotonic", "platt"])
@pytest.mark.parametrize("overlap", [1.0, 10.0])
def test_no_map_gives_certainty_however_the_ends_fell(method, overlap):
    """Whoever was right each time above 0.8 and never below 0.55 gets neither 1 nor 0."""
    stated, _ = statements(300, lambda c: c)
    right = (stated > 0.8) | ((stated > 0.55) & (np.random.default_rng(1).random(300) < 0.5))
    calibration = fit_calibration(stated, right, method, overlap=overlap)
    given = calibration(np.linspace(0.0, 1.0, 300))
    assert given.min() > 0.001
    assert given.max() < 0.999
    assert (np.diff(given) >= 0.0).all()
    assert given[-1] - given[0] > 0.3


def test_a_block_of_the_isotonic_map_is_counted_by_hand():
    """Four of 5 and 38 of 40 right, 57 of 100: blocks pulled towards 99/145 by the weight of ten separate outcomes."""
    stated = np.repeat([0.5, 0.6, 0.9], [100, 5, 40])
    right = np.concatenate([np.arange(100) < 57, np.arange(5) < 4, np.arange(40) < 38])
    share = 99 / 145
    for overlap in (1.0, 5.0):
        expected = [(k / overlap + 10 * share) / (n / overlap + 10) for k, n in ((57, 100), (4, 5), (38, 40))]
        calibration = fit_calibration(stated, right, "isotonic", overlap=overlap)
        assert calibration([0.5, 0.6, 0.9]).tolist() == pytest.approx(expected, rel=1e-12)
        assert float(calibration(0.75)) == pytest.approx((expected[1] + expected[2]) / 2, rel=1e-9)


def test_blocks_that_shrinking_puts_out_of_order_are_pooled():
    """One right of one lies above 90 of 100 until it is pulled further: the map must rise all the same."""
    stated = np.repeat([0.5, 0.8, 0.9], [100, 100, 1])
    right = np.concatenate([np.arange(100) < 40, np.arange(100) < 90, [True]])
    low, middle, high = fit_calibration(stated, right, "isotonic")([0.5, 0.8, 0.9])
    assert low < middle == high < 0.9


def test_outcomes_that_overlap_weigh_less():
    """A coin, and ten statements of each outcome: the map that is told so strays less from the coin."""
    errors = {1.0: [], 10.0: []}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        stated, right = np.repeat(rng.uniform(0.5, 0.8, 100), 10), np.repeat(rng.random(100) < 0.5, 10)
        for overlap, found in errors.items():
            found.append(np.mean((fit_calibration(stated, right, "isotonic", overlap=overlap)(stated) - 0.5) ** 2))
    assert np.mean(errors[10.0]) < 0.6 * np.mean(errors[1.0])


@pytest.mark.parametrize("overlap", [0.5, np.nan, np.inf])
def test_an_overlap_below_one_is_refused(overlap):
    with pytest.raises(DataError, match="an overlap of 1"):
        fit_calibration([0.5, 0.6], [True, False], overlap=overlap)


@pytest.mark.parametrize(
    ("confidence", "right", "method", "what"),
    [
        ([0.5, 1.2], [True, False], "platt", "is 1.2"),
        ([0.5, np.nan], [True, False], "platt", "lies in"),
        ([0.5], [True, False], "platt", "one outcome for each"),
        ([], [], "platt", "one outcome for each"),
        ([0.5, 0.6], [True, True], "isotonic", "2 of 2 statements were right"),
        ([0.5, 0.6], [True, False], "magic", "choose one of isotonic, platt"),
    ],
)
def test_what_is_no_ground_is_refused(confidence, right, method, what):
    with pytest.raises(DataError, match=what):
        fit_calibration(confidence, right, method)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    for name in ("sklearn", "sklearn.isotonic", "sklearn.linear_model"):
        monkeypatch.setitem(sys.modules, name, None)  # what an import finds where the package is missing
    with pytest.raises(SignalError, match=r"pip install 'pmx\[ml\]'"):
        fit_calibration([0.5, 0.6], [True, False])


def test_the_policy_switches_it_on_and_refuses_what_can_never_be():
    from pmx.execution import default_engines

    key = "signal_routing_config.calibration"
    policy = pmx.load_policy()
    assert not isinstance(default_engines(policy, ["A"])[0], CalibratedEngine)
    engine = default_engines(policy.override({f"{key}.method": "platt"}), ["A"])[0]
    assert isinstance(engine, CalibratedEngine)
    assert engine.source == "time_series_core"
    with pytest.raises(PolicyError, match=r"min_outcomes: is 100, but of 999 outcomes .* only 99 share no bars"):
        policy.override({f"{key}.method": "platt", f"{key}.window": 999})
    with pytest.raises(SignalError, match="is 'none'"):
        CalibratedEngine(engine, CalibrationRule(), horizon=1)

    class Bare:
        source = "x"

    with pytest.raises(SignalError, match="has no diagnostics"):
        _ = CalibratedEngine(Bare(), CalibrationRule(method="platt"), horizon=1).diagnostics


def test_the_reliability_table_is_counted_by_hand_and_its_intervals_hold():
    rng = np.random.default_rng(2)
    held = []
    for _ in range(200):
        stated = rng.choice([0.55, 0.65, 0.8], 300)
        right = rng.random(300) < stated
        table = reliability_table(stated, right, bins=3)
        assert table["statements"].sum() == 300
        for row in table.itertuples():
            mine = np.isclose(stated, row.stated) if row.statements < 300 else stated > 0
            if mine.sum() == row.statements:
                assert row.right == pytest.approx(right[mine].mean())
        assert table["stated"].is_monotonic_increasing
        held += ((table["low"] <= table["stated"]) & (table["stated"] <= table["high"])).tolist()
    assert 0.92 < np.mean(held) < 0.98
    one = reliability_table([0.6] * 5, [True] * 5, bins=10)
    assert (len(one), one["right"].iloc[0], one["high"].iloc[0]) == (1, 1.0, 1.0)


@pytest.mark.parametrize(("n", "bins"), [(1, 1), (27, 1), (99, 1), (100, 2), (260, 5), (500, 10), (9000, 10)])
def test_the_reliability_table_has_as_many_bins_as_its_points_can_fill(n, bins):
    stated, right = statements(n, lambda c: c)
    table = reliability_table(stated, right)
    assert len(table) == bins
    assert table["statements"].min() >= min(n, 50)
    with pytest.raises(DataError, match="0 bins"):
        reliability_table(stated, right, bins=0)
