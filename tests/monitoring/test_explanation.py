"""The page of a decision: its sums, its prohibitions, and constraints of the user's own."""

from __future__ import annotations

import datetime as dt
import re

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest

import pmx
from pmx.monitoring import explanation_html
from pmx.monitoring.explanation import write_explanation
from pmx.monitoring.tables import rules_table


def summary_of(html: str) -> str:
    found = re.search(r"<p[^>]*>(Over all positions.*?)</p>", html)
    assert found is not None
    return found[1]


def many() -> pmx.Allocation:
    """Sixty positions, of which far more than four rules cut."""
    rng = np.random.default_rng(3)
    caps = {f"S{k}": 0.004 for k in range(30)} | {"S0": 0.0, "S1": 0.0}
    policy = pmx.load_policy().override({"barbell.symbol_caps": caps, "risk_buckets.default_bucket": "ts_core"})
    return pmx.project_to_feasible({f"S{k}": float(w) for k, w in enumerate(rng.uniform(0.0, 0.02, 60))}, policy)


def test_what_rules_took_adds_up_with_the_others_on_one_line():
    allocation = many()
    moves = allocation.attribution.drop(columns=["target", "weight"]).sum()
    assert len(moves) > 10
    told = summary_of(explanation_html(allocation))
    in_all = float(re.search(r"rules took ([\d.]+)%:", told)[1])
    parts = [float(part) for part in re.findall(r" ([\d.]+)%(?:[,.;]|$)", told)]
    cut = float((allocation.target - allocation.positions).sum())
    assert in_all == pytest.approx(100.0 * cut, abs=0.005)
    assert sum(parts) == pytest.approx(in_all, abs=0.005 * (len(parts) + 1))
    assert f"{int((moves < -1e-12).sum()) - 4} others" in told


def test_few_rules_are_all_named():
    told = summary_of(explanation_html(pmx.project_to_feasible({"SP500": 0.14, "WTI": 0.12}, pmx.load_policy())))
    assert told == (
        "Over all positions and in fractions of NAV, rules took 6.00%: symbol.SP500.cap 4.00%, "
        "market.commodities.cap 1.00%, symbol.WTI.cap 1.00%."
    ) or sum(map(float, re.findall(r" ([\d.]+)%[,.]", told))) == pytest.approx(6.0, abs=0.011)


def test_a_prohibition_is_told_by_itself_and_first():
    policy = pmx.load_policy().override({"barbell.symbol_caps": {"WTI": 0.0}})
    html = explanation_html(pmx.project_to_feasible({"SP500": 0.09, "WTI": 0.12, "GLD": 0.12}, policy))
    assert "ts_core/WTI wanted 12.00%, gets 0.00%: prohibited by symbol.WTI.cap = 0 (override)" in html
    rules = html[html.index(">Rules<") :]
    first = re.search(r'<td class="text">([\w.]+)</td>', rules)
    assert first is not None
    assert first[1] == "symbol.WTI.cap"


def test_a_constraint_of_ones_own_shows_its_limit_where_it_has_one():
    index = pd.MultiIndex.from_tuples([("ts_core", "SP500"), ("ts_core", "WTI")])
    projector = pmx.Projector(
        pmx.load_policy(),
        index,
        constraints=lambda w: {
            "tech": w.symbol("SP500") <= 0.05,
            "least": w.symbol("WTI") >= 0.02,
            "norm": cp.norm(w.x) <= 0.3,
            "each": w.x <= 0.2,
        },
    )
    allocation = projector.project(pd.Series([0.10, 0.04], index=index))
    table = rules_table(allocation).set_index("rule")[["bound", "value", "slack", "source"]]
    assert table.loc["custom.tech"].tolist() == ["≤ 0.05", "0.05", "0", "constraints="]
    assert table.loc["custom.least"].tolist() == ["≥ 0.02", "0.04", "0.02", "constraints="]
    assert table.loc["custom.norm", "bound"] == "≤ 0.3"
    assert float(table.loc["custom.norm", "value"]) == pytest.approx(np.hypot(0.05, 0.04), abs=1e-4)
    assert table.loc["custom.each"].tolist() == ["–", "–", "–", "constraints="]
    assert "custom.tech" in explanation_html(allocation)


def test_the_page_names_date_nav_and_policy_as_far_as_they_are_known(tmp_path):
    policy = pmx.load_policy().override({"barbell.symbol_caps": {"WTI": 0.0}})
    allocation = pmx.project_to_feasible({"SP500": 0.14}, policy)
    file = write_explanation(tmp_path / "p.html", allocation, policy=policy, as_of=dt.date(2026, 3, 5), nav=1234567.8)
    html = file.read_text(encoding="utf-8")
    assert "Decision of 05 March 2026, NAV 1,234,567.80 USD." in html
    assert f"{pmx.load_policy().origin}, with barbell.symbol_caps changed. Fingerprint {policy.fingerprint}." in html
    bare = explanation_html(allocation)
    assert "Decision of" not in bare
    assert f"Fingerprint {policy.fingerprint}." in bare  # an allocation knows its policy


def test_changes_that_would_read_nothing_are_one_line():
    policy = pmx.load_policy().override(
        {"risk_buckets.default_bucket": "ts_core", "barbell.risk_bucket.max_weight": 0.2}
    )
    told = pmx.project_to_feasible({f"S{k}": 0.0005 + 0.09 * (k < 2) for k in range(60)}, policy).explain()
    assert "0.00%:" not in told.replace("gets 0.00%:", "")
    assert not re.search(r"[-+]0\.00%", told)
    assert re.search(r"^58 positions changed by less than 0\.01% each, 0\.\d\d% in all\.$", told, re.MULTILINE)
