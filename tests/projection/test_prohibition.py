"""Positions that must be 0: the rule that prohibits them owns the whole cut, and no target means no move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from zoo.journals import SOLVE, lines_of, reseal
from zoo.policies import random_case

import pmx
from pmx.errors import InfeasibleError, SolverError
from pmx.projection.moves import moves
from pmx.verify import verify

POSITIONS = {"SP500": 0.14, "NASDAQ": 0.03, "WTI": 0.12, "GLD": 0.12}


def solved(changes: dict, targets: dict | None = None, *, engine: str = "auto", **given) -> pmx.Allocation:
    policy = pmx.load_policy().override(changes)
    return pmx.project_to_feasible(targets or POSITIONS, policy, engine=engine, **given)


@pytest.mark.parametrize("engine", ["newton", "cvxpy"])
def test_a_cap_of_zero_owns_the_whole_cut_beside_a_rule_that_binds_as_well(engine):
    allocation = solved({"barbell.symbol_caps": {"WTI": 0.0}}, engine=engine)
    row = allocation.attribution.loc[("ts_core", "WTI")]
    assert row["symbol.WTI.cap"] == pytest.approx(-0.12, abs=1e-15)
    assert row.drop(["target", "weight", "symbol.WTI.cap"]).eq(0.0).all()
    # The other commodity is still shared by the two rules that stop it at the same place.
    gold = allocation.attribution.loc[("ts_core", "GLD")]
    assert gold["market.commodities.cap"] + gold["symbol.GLD.cap"] == pytest.approx(0.10 - 0.12, abs=1e-15)
    assert "ts_core/WTI wanted 12.00%, gets 0.00%: prohibited by symbol.WTI.cap = 0 (override)" in allocation.explain()


def test_a_cap_of_zero_on_a_symbol_of_two_buckets_is_a_prohibition_too():
    index = pd.MultiIndex.from_tuples([("ts_core", "WTI"), ("ml_secondary", "WTI"), ("ts_core", "GLD")])
    policy = pmx.load_policy().override({"barbell.symbol_caps": {"WTI": 0.0}})
    allocation = pmx.project_to_feasible(pd.Series([0.12, 0.05, 0.12], index=index), policy)
    assert allocation.attribution["symbol.WTI.cap"].tolist() == pytest.approx([-0.12, -0.05, 0.0], abs=1e-15)


def test_a_restriction_says_that_it_prohibits():
    allocation = solved({}, gated={"SP500": "exit"})
    assert allocation.attribution.loc[("ts_core", "SP500"), "gate.SP500"] == pytest.approx(-0.14, abs=1e-15)
    assert "gets 0.00%: prohibited by gate.SP500 (exit)" in allocation.explain()


def test_a_market_without_room_prohibits_its_symbols():
    allocation = solved({"barbell.market_caps.commodities": 0.0})
    told = allocation.explain()
    for symbol in ("WTI", "GLD"):
        row = allocation.attribution.loc[("ts_core", symbol)]
        assert row["market.commodities.cap"] == pytest.approx(-0.12, abs=1e-15)
        assert f"ts_core/{symbol} wanted 12.00%, gets 0.00%: prohibited by market.commodities.cap = 0" in told


def test_a_target_of_zero_has_no_moves_and_there_is_no_column_of_them():
    # The market's cap binds and presses on NASDAQ as well, whose target is 0: a pull and a bound that cancel.
    changes = {"risk_buckets.portfolio.distance": "absolute", "barbell.market_caps.us_equity": 0.10}
    allocation = solved(changes, {"SP500": 0.14, "SPY": 0.12, "NASDAQ": 0.0})
    table = allocation.attribution
    assert allocation.rules.loc["market.us_equity.cap", "shadow_price"] > 0.0
    assert table.loc[("ts_core", "NASDAQ")].eq(0.0).all()
    assert "sign" not in table
    parts = moves(allocation)
    assert set(parts.position.tolist()) == {0, 1}


def test_no_position_without_target_and_weight_moved_in_random_policies():
    idle = forbidden = 0
    for seed in range(150):
        case = random_case(seed)
        try:
            allocation = pmx.solve(case.policy, case.relative, **case.arguments)
        except (InfeasibleError, SolverError):
            continue
        table = allocation.attribution
        rules = table.drop(columns=["target", "weight"])
        still = (table["target"] == 0.0) & (table["weight"] == 0.0)
        assert rules[still.to_numpy()].eq(0.0).all(axis=None)
        scale = 1.0 + rules.abs().sum(axis=1)
        assert (np.abs(table["target"] + rules.sum(axis=1) - table["weight"]) <= 1e-12 * scale).all()
        assert (rules.abs().max() > 1e-15).all()  # a column of nothing is no column
        idle += int(still.sum())
        out = {symbol for symbol, mode in case.arguments.get("gated", {}).items() if mode == "exit"}
        for (bucket, symbol), row in rules.iterrows():
            if symbol in out and table.loc[(bucket, symbol), "weight"] == 0.0:
                moved = row[row != 0.0].index.drop("through_zero", errors="ignore")
                assert len(moved) <= 1
                forbidden += len(moved)
    assert idle > 50
    assert forbidden > 20


def test_the_verifier_accepts_prohibitions_and_refuses_to_share_them(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    index = pd.MultiIndex.from_tuples([("ts_core", symbol) for symbol in (*POSITIONS, "SPY")])
    targets = pd.Series([*POSITIONS.values(), 0.0], index=index)
    policy = pmx.load_policy().override({"barbell.symbol_caps": {"WTI": 0.0}})
    pmx.project_to_feasible(targets, policy, gated={"SP500": "exit"}, journal=path)
    assert verify(path).accepted

    lines = lines_of(path)
    table = lines[SOLVE]["proof"]["attribution"]
    for rule, shift in (("symbol.WTI.cap", 0.04), ("market.commodities.cap", -0.04)):
        table["moves"][rule][2] += shift
        table["totals"][rule] = sum(table["moves"][rule])
    reseal(lines, path)
    verdict = verify(path)
    assert not verdict.accepted
    assert any("symbol.WTI.cap prohibits it" in str(fault) for fault in verdict.findings)


def test_a_cap_of_a_symbol_cites_its_own_line_where_it_is_as_tight_as_the_general_one(tmp_path: Path):
    folder = tmp_path / "policy"
    folder.mkdir()
    for file in Path(pmx.load_policy().origin).glob("*.yml"):
        text = file.read_text(encoding="utf-8")
        if file.name == "barbell.yml":
            text = text.replace("symbol_caps: {}", "symbol_caps:\n  GLD: 0.10\n  SP500: 0.15\n  WTI: 0.02")
        (folder / file.name).write_text(text, encoding="utf-8")
    lines = (folder / "barbell.yml").read_text(encoding="utf-8").splitlines()
    general = next(n for n, text in enumerate(lines, 1) if text == "  max_per_position: 0.10")
    own = next(n for n, text in enumerate(lines, 1) if text == "  GLD: 0.10")
    policy = pmx.load_policy(folder)
    rules = pmx.project_to_feasible(POSITIONS, policy).rules["source"]
    assert rules["symbol.GLD.cap"] == f"barbell.yml:{own}"
    assert rules["symbol.WTI.cap"] == f"barbell.yml:{own + 2}"
    assert rules["symbol.NASDAQ.cap"] == f"barbell.yml:{general}"
    assert rules["symbol.SP500.cap"] == f"barbell.yml:{general} (tighter than symbol_caps, barbell.yml:{own + 1})"
