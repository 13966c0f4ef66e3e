"""The ledger of rules: what it adds up is what a plain loop over the decisions adds up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pmx.backtest.ledger import GIVEN_WAY, RuleLedger
from pmx.projection.explain import RuleFigures


def figures(rng: np.random.Generator, names: tuple[str, ...]) -> RuleFigures:
    price = np.where(rng.random(len(names)) < 0.1, math.nan, rng.random(len(names)))
    overrun = np.where(rng.random(len(names)) < 0.5, 0.0, rng.random(len(names)))
    sources = tuple(f"{name}.yml:1" for name in names)
    return RuleFigures(names, sources, rng.random(len(names)) < 0.5, price, overrun, False)


def test_rules_that_come_and_go_are_counted_over_the_days_on_which_they_were_written() -> None:
    rng = np.random.default_rng(0)
    sets = [["b", "a"], ["b", "clamp", "a"], ["gate", "b", "a"]]
    days = [figures(rng, tuple(sets[k])) for k in rng.integers(3, size=60)]
    ledger = RuleLedger()
    for day in days:
        ledger.add(day)
    table = ledger.table()

    lines: dict[str, list[tuple[bool, float, float]]] = {}
    for day in days:
        for line in zip(day.names, day.binding, day.shadow_price, day.violation, strict=True):
            lines.setdefault(line[0], []).append(line[1:])
    assert table.index.tolist() == list(lines)
    for name, seen in lines.items():
        binding, price, overrun = (np.array(column) for column in zip(*seen, strict=True))
        line = table.loc[name]
        assert (line["days"], line["days_binding"]) == (len(seen), binding.sum())
        assert line["share_binding"] == binding.sum() / len(seen)
        assert line["mean_shadow_price"] == pytest.approx(price.sum() / len(seen), rel=1e-12, nan_ok=True)
        assert line["days_given_way"] == (overrun > GIVEN_WAY).sum()
        assert line["max_violation"] == overrun.max()
        assert line["source"] == f"{name}.yml:1"


def test_a_ledger_without_decisions_is_an_empty_table() -> None:
    table = RuleLedger().table()
    assert (len(table), table.index.name) == (0, "rule")
    assert list(table.columns)[-1] == "source"
