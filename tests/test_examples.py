"""The scripts in examples/ and docs/figures/ run, and show what they say they show."""

import math
import re
import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import pmx
from pmx.data import load_demo_cash_rate, load_demo_prices
from pmx.monitoring import demo_runs

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def output(capsys):
    def run(name):
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_every_example_has_its_test():
    tested = {
        "solve_weights.py", "backtest_targets.py", "custom_constraint.py", "live_cycle.py", "many_accounts.py",
        "signal_health.py",
    }  # fmt: skip
    assert {file.name for file in EXAMPLES} == tested


def test_solve_weights(output):
    text = output("solve_weights.py")
    assert "SP500     10.00%" in text
    assert "symbol.SP500.cap" in text
    assert "Proof: " in text


def test_backtest_targets(output):
    lines = output("backtest_targets.py").splitlines()
    floors = [line.split() for line in lines if "lowest safe weight" in line]
    assert len(floors) == 2
    for words in floors:
        assert float(words[-3].rstrip(",")) >= float(words[-1]) - 1e-9


def test_live_cycle(output):
    text = output("live_cycle.py")
    assert "NAV " in text
    assert "ts_core" in text
    assert "Allocation(" in text
    assert any(side in text for side in ("BUY", "SELL"))


def test_signal_health(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = output("signal_health.py")
    counts = re.search(r"^(\S+) signals into \S+: (\S+) PASS, (\S+) FAIL, (\S+) UNPROVEN", text, re.MULTILINE)
    signals, passed, failed, unproven = (int(count.replace(",", "")) for count in counts.groups())
    assert signals == passed + failed + unproven > 1_000
    assert re.search(r"Of the latest 500 that passed or failed: \S+% FAIL, healthy$", text, re.MULTILINE)
    shut, opened = re.search(r"^TURNING exit (\S+) (\S+) +\d+$", text, re.MULTILINE).groups()
    assert "2022-01-26" < shut < opened  # the edge turned on row 540
    assert re.search(r"^gate\.TURNING +\d+", text, re.MULTILINE)
    assert (tmp_path / "out" / "signal_audit.jsonl").exists()


def test_many_accounts(output):
    text = output("many_accounts.py")
    assert "10,000 accounts × 20 positions" in text
    assert "0 failures" in text
    bound = re.search(r"worst distance bound (\S+) of NAV", text)
    assert float(bound[1]) <= 1e-6
    shares = {name: float(share) for name, share in re.findall(r"^(\S+) +(\S+)%$", text, re.MULTILINE)}
    assert {"turnover.max", "clamp.em_risk", "barbell.risk.cap"} <= set(shares)
    assert all(0.0 < share < 100.0 for share in shares.values())
    assert "liquidity.NGX:" in text
    assert "Proof: " in text


def test_custom_constraint(output):
    rows = [line.split()[-5:] for line in output("custom_constraint.py").splitlines()]
    weights = {row[0]: float(row[-1]) for row in rows if row and row[0] in ("SP500", "NASDAQ", "WTI")}
    assert weights["WTI"] == pytest.approx(0.5 * (weights["SP500"] + weights["NASDAQ"]), abs=1e-4)
    risk = math.hypot(0.19 * weights["SP500"], 0.25 * weights["NASDAQ"], 0.38 * weights["WTI"])
    assert risk == pytest.approx(0.02, abs=1e-4)


def test_the_picture_of_the_readme_is_drawn_from_the_demo():
    script = runpy.run_path(str(ROOT / "docs" / "figures" / "demo.py"))
    runs = dict(demo_runs(pmx.load_policy(), load_demo_prices().iloc[:300], load_demo_cash_rate()))
    picture = ElementTree.fromstring(script["draw"](runs))
    lines = [part for part in picture if part.tag.endswith("polyline")]
    assert len(lines) == 4  # three portfolios and the safe weight
    assert {len(line.get("points").split()) for line in lines} == {60}
    words = [part.text for part in picture if part.tag.endswith("text")]
    assert set(runs) <= set(words)
    assert "floor 70%" in words
