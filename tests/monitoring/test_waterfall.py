"""Waterfalls: bars lead from target to weight, nothing is lost on the way, and the page says what it leaves out."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from zoo.bare import bare_policy
from zoo.policies import position_series, random_case

import pmx
from pmx.errors import DataError
from pmx.monitoring import explanation_html, waterfall, write_explanation
from pmx.monitoring.explanation import SYMBOLS
from pmx.monitoring.walks import MOST, REACH, SMALL, walk_of
from pmx.policy import Policy

A, B, TWIN, T = ("core", "A"), ("core", "B"), ("tilt", "A"), ("safe", "T")
OFF = {"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False}


def policy(**changes) -> Policy:
    plain = bare_policy(
        {
            "risk_buckets": {
                "buckets": {
                    "safe": {"role": "safe", "base_nav_frac": 0.5, "symbols": ["T"]},
                    "core": {"role": "risk", "base_nav_frac": 0.5, "allow_short": True},
                    "tilt": {"role": "risk", "base_nav_frac": 0.5, "allow_short": True},
                },
                "portfolio": {"distance": "absolute", "cash_min": None, "gross_max": None},
            },
            "barbell": {
                "safe_bucket": {"min_weight": 0.0, "max_weight": None, "symbols": ["T"]},
                "risk_bucket": {"max_weight": None},
            },
        }
    )
    return plain.override({key.replace("__", "."): value for key, value in changes.items()})


def project(rules: Policy, wish: dict, previous: dict | None = None, **arguments) -> pmx.Allocation:
    held = None if previous is None else position_series(previous)
    return pmx.Projector(rules, list(wish)).project(position_series(wish), previous=held, **arguments)


def names(walk) -> list[str]:
    return [step.name for step in walk.steps]


def bars(figure) -> list[tuple[int, float, float]]:
    """Return row, start and end of each bar that is drawn."""
    drawn = [trace for trace in figure.data if trace.type == "bar" and trace.x[0] is not None]
    return [(trace.y[0], trace.base[0], trace.base[0] + trace.x[0]) for trace in drawn]


def labels(figure) -> list[str]:
    return list(figure.layout.yaxis.ticktext)


# --- nothing is lost ----------------------------------------------------------------------------------------


def selections(allocation):
    """Yield what can be drawn of an allocation, and which positions that is."""
    buckets, symbols = (np.asarray(allocation.index.get_level_values(i)) for i in (0, 1))
    yield {}, np.ones(len(buckets), dtype=bool)
    yield from (({"bucket": bucket}, buckets == bucket) for bucket in dict.fromkeys(buckets))
    yield from (({"symbol": symbol}, symbols == symbol) for symbol in dict.fromkeys(symbols))
    bucket, symbol = allocation.index[0]
    yield {"bucket": bucket, "symbol": symbol}, (buckets == bucket) & (symbols == symbol)


def check(allocation):
    table = allocation.attribution
    for chosen, rows in selections(allocation):
        walk, part = walk_of(allocation, **chosen), table[rows]
        pulls = part.drop(columns=["target", "weight"])
        rounding = 1e-12 * (1.0 + float(pulls.abs().to_numpy().sum()))
        assert walk.levels[-1] == pytest.approx(walk.weight, abs=rounding)
        assert walk.target.sum() == pytest.approx(part["target"].sum(), abs=1e-12)
        assert walk.weight.sum() == pytest.approx(part["weight"].sum(), abs=1e-12)
        told = {rule: move.sum() for step in walk.steps for rule, move in step.rules.items()}
        for rule, column in pulls.items():
            assert told.get(rule, 0.0) == pytest.approx(column.sum(), abs=rounding)
        for step in walk.steps:
            assert step.move == pytest.approx(sum(step.rules.values()), abs=rounding)
        assert len(walk.steps) <= MOST
        assert sum(len(step.rules) for step in walk.steps) == len(told)
        assert walk.positions == rows.sum()


@pytest.mark.parametrize("seed", range(40))
def test_every_walk_leads_from_target_to_weight(seed):
    case = random_case(seed)
    check(pmx.solve(case.policy, case.relative, **case.arguments))


@pytest.mark.parametrize("seed", [3, 8])
def test_with_a_cone_too(seed):
    case = random_case(seed, volatility=True)
    check(pmx.solve(case.policy, case.relative, **case.arguments))


@pytest.mark.fuzz
def test_every_walk_leads_from_target_to_weight_many_times():
    for seed in range(3000):
        case = random_case(seed)
        check(pmx.solve(case.policy, case.relative, **case.arguments))


@pytest.mark.parametrize("seed", [0, 7, 20, 53])
def test_each_bar_starts_where_the_last_one_ended(seed):
    case = random_case(seed)
    allocation = pmx.solve(case.policy, case.relative, **case.arguments)
    for chosen, _ in list(selections(allocation))[:8]:
        figure, walk = waterfall(allocation, **chosen), walk_of(allocation, **chosen)
        drawn = bars(figure)
        rows = len(walk.steps) + 2
        assert len(labels(figure)) == rows
        for one_side in (drawn[i : i + rows] for i in range(0, len(drawn), rows)):
            assert [row for row, _, _ in one_side] == list(range(rows))
            assert one_side[0][1] == one_side[-1][1] == 0.0
            starts, ends = [start for _, start, _ in one_side[1:-1]], [end for _, _, end in one_side[:-2]]
            assert starts == pytest.approx(ends, abs=1e-9)
            assert one_side[-2][2] == pytest.approx(one_side[-1][2], abs=1e-9)


# --- what is drawn as one -----------------------------------------------------------------------------------


def test_the_largest_cut_comes_first():
    rules = policy(barbell__risk_bucket__max_weight=0.6, barbell__symbol_caps={"A": 0.35})
    walk = walk_of(project(rules, {A: 0.5, B: 0.3, T: 0.2}), symbol="A")
    assert names(walk) == ["symbol.A.cap", "barbell.risk.cap"]
    assert [float(step.move[0]) for step in walk.steps] == pytest.approx([-0.1, -0.05], abs=1e-12)


def test_longs_and_shorts_do_not_cancel():
    allocation = project(policy(risk_buckets__portfolio__gross_max=0.6), {A: 0.5, B: -0.3})
    walk = walk_of(allocation)
    assert walk.target.tolist() == [0.5, -0.3]
    assert walk.steps[0].move == pytest.approx([-0.1, 0.1], abs=1e-12)
    assert walk.steps[0].taken == pytest.approx(0.2, abs=1e-12)
    figure = waterfall(allocation)
    assert "long 50.00% → 40.00%, short -30.00% → -20.00%" in figure.layout.title.text
    assert len(bars(figure)) == 6
    assert "longs -10.00%, shorts +10.00%" in figure.data[1].hovertext[0]


def test_a_position_that_cannot_turn_goes_to_zero_on_the_side_of_its_wish():
    rules = policy(execution__turnover__max=0.02)
    allocation = project(rules, {A: 0.3, B: -0.2}, previous={A: 0.3, B: 0.1})
    walk = walk_of(allocation, bucket="core")
    assert walk.target.tolist() == [0.3, -0.2]
    assert walk.steps[0].name == "through_zero"
    assert walk.steps[0].move.tolist() == [0.0, 0.2]
    assert walk.weight[0] == pytest.approx(float(allocation.positions.sum()))
    alone = walk_of(allocation, symbol="B")
    assert alone.target.tolist() == [0.0, -0.2]
    assert alone.weight.tolist() == [0.0, float(allocation.positions[B])]


def test_rules_that_dwarf_the_rest_are_one_bar():
    """The soft rule asks for more than the cap lets A have, so it gives way and pulls with its whole penalty."""
    wanting = {"more": {"symbols": {"A": 1.0}, "min": 0.4, "hard": False, "penalty": 100.0}}
    rules = policy(risk_buckets__custom_rules=wanting, barbell__symbol_caps={"A": 0.1})
    allocation = project(rules, {A: 0.2, B: 0.1})
    pull = float(allocation.attribution.loc[A, "custom.more"])
    assert pull > 10.0
    walk = walk_of(allocation, symbol="A")
    assert [step.opposing for step in walk.steps] == [True]
    assert walk.steps[0].move[0] == pytest.approx(-0.1, abs=1e-9)
    assert {name: float(move[0]) for name, move in walk.steps[0].rules.items()} == pytest.approx(
        {"custom.more": pull, "symbol.A.cap": -pull - 0.1}
    )
    figure = waterfall(allocation, symbol="A")
    assert labels(figure)[1] == f"symbol.A.cap took {pull + 0.1:,.0%}<br>custom.more gave {pull:,.0%}"
    assert max(abs(end) for _, _, end in bars(figure)) <= REACH * 0.2
    assert "dwarf" in explanation_html(allocation)


def test_what_hardly_moves_is_one_bar():
    caps = {"A": 0.1 - 2e-6, "B": 0.1 - 3e-6, "C": 0.1 - 4e-6, "D": 0.05}
    allocation = project(policy(barbell__symbol_caps=caps), {("core", symbol): 0.1 for symbol in caps})
    walk = walk_of(allocation)
    assert names(walk) == ["symbol.D.cap", "3 others"]
    assert walk.steps[1].move[0] == pytest.approx(-9e-6, abs=1e-12)
    assert all(abs(move[0]) < SMALL for move in walk.steps[1].rules.values())


def test_rules_of_many_symbols_are_one_bar():
    caps = {f"S.{i}": 0.01 + 1e-4 * i for i in range(15)}
    allocation = project(policy(barbell__symbol_caps=caps), {("core", symbol): 0.03 for symbol in caps})
    walk = walk_of(allocation, bucket="core")
    assert names(walk) == ["symbol.*.cap (15 rules)"]
    assert set(walk.steps[0].rules) == {f"symbol.{symbol}.cap" for symbol in caps}
    assert "and 5 more" in waterfall(allocation, bucket="core").data[1].hovertext[0]


def test_the_smallest_of_too_many_rules_are_one_bar():
    caps = {f"cap{i}": {"symbols": {f"S{i}": 1.0}, "max": 0.02 - 0.001 * i} for i in range(MOST + 4)}
    wish = {("core", f"S{i}"): 0.02 + 1e-4 for i in range(MOST + 4)}
    allocation = project(policy(risk_buckets__custom_rules=caps), wish)
    check(allocation)
    walk = walk_of(allocation)
    assert names(walk) == [*(f"custom.cap{i}" for i in range(MOST + 3, 4, -1)), "5 others"]
    assert set(walk.steps[-1].rules) == {f"custom.cap{i}" for i in range(5)}


def test_a_symbol_is_added_up_over_its_buckets():
    allocation = project(policy(barbell__symbol_caps={"A": 0.3}), {A: 0.3, TWIN: 0.1, B: 0.1})
    walk = walk_of(allocation, symbol="A")
    assert walk.positions == 2
    assert walk.target[0] == pytest.approx(0.4)
    assert walk.weight[0] == pytest.approx(0.3)
    assert walk_of(allocation, symbol="A", bucket="tilt").name == "tilt / A"
    assert walk_of(allocation, symbol="A", bucket="tilt").target[0] == pytest.approx(0.1)


def test_the_residual_symbol_takes_what_is_left():
    rules = policy(risk_buckets__portfolio__residual_symbol="T", barbell__symbol_caps={"A": 0.3})
    allocation = project(rules, {A: 0.5, T: 0.2})
    walk = walk_of(allocation, symbol="T")
    assert names(walk) == ["residual"]
    assert walk.weight[0] == pytest.approx(float(allocation.weights["T"]), abs=1e-12)
    assert walk_of(allocation, bucket="safe").weight[0] == pytest.approx(0.2, abs=1e-12)
    alone = project(rules, {A: 0.5})
    assert walk_of(alone, symbol="T").target[0] == 0.0
    assert walk_of(alone, symbol="T").weight[0] == pytest.approx(float(alone.weights["T"]), abs=1e-12)


# --- what is told -------------------------------------------------------------------------------------------


def test_resting_on_a_bar_tells_who_set_the_rule_and_its_price():
    allocation = pmx.project_to_feasible({"SP500": 0.3, "WTI": 0.05}, pmx.load_policy())
    rule = allocation.rules.loc["symbol.SP500.cap"]
    told = waterfall(allocation, symbol="SP500").data[1].hovertext[0]
    assert told.startswith("<b>symbol.SP500.cap</b> -20.00%")
    assert rule["source"] in told
    assert f"shadow price {rule['shadow_price']:.3g}" in told
    assert "one of several" not in told


def test_a_price_that_is_not_the_only_one_says_so():
    twins = {name: {"symbols": {"A": 1.0, "B": 1.0}, "max": 0.3} for name in ("one", "two")}
    twins["two"]["symbols"] = {"A": 2.0, "B": 2.0}
    twins["two"]["max"] = 0.6
    allocation = project(policy(risk_buckets__custom_rules=twins), {A: 0.3, B: 0.2})
    assert not allocation.unique
    assert any("one of several" in trace.hovertext[0] for trace in waterfall(allocation).data if trace.hovertext)
    assert "Other prices would explain these weights as well" in explanation_html(allocation)


def test_names_are_escaped():
    allocation = project(policy(barbell__symbol_caps={"A<b>&": 0.1}), {("core", "A<b>&"): 0.2})
    figure = waterfall(allocation)
    assert labels(figure)[1] == "symbol.A&lt;b&gt;&amp;.cap"
    assert "A<b>&" not in explanation_html(allocation)


def test_nothing_moved_and_no_rules_are_told_apart():
    still = waterfall(pmx.project_to_feasible({"SP500": 0.05}, pmx.load_policy()))
    assert labels(still) == ["target", "weight"]
    assert "no rule moved anything" in still.layout.title.text
    off = waterfall(pmx.project_to_feasible({"SP500": 0.5}, pmx.load_policy(overrides=OFF)), symbol="SP500")
    assert labels(off) == ["target", "weight"]
    assert "the policy layer is switched off: there are no rules" in off.layout.title.text


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"symbol": "SP50"}, r"there is no symbol 'SP50' in this allocation; did you mean SP500\?"),
        ({"symbol": "zzz"}, r"there is no symbol 'zzz' in this allocation; it has SP500, WTI$"),
        ({"bucket": "ts_cor"}, r"there is no bucket 'ts_cor' in this allocation; did you mean ts_core\?"),
        ({"symbol": "CASH"}, "cash has no wish"),
    ],
)
def test_what_is_not_there_is_refused(chosen, message):
    allocation = pmx.project_to_feasible({"SP500": 0.3, "WTI": 0.05}, pmx.load_policy())
    with pytest.raises(DataError, match=message):
        waterfall(allocation, **chosen)


def test_a_symbol_of_another_bucket_is_refused():
    allocation = project(policy(), {A: 0.1, ("tilt", "C"): 0.1})
    with pytest.raises(DataError, match="'C' has no position in bucket 'core'; it has one in tilt"):
        waterfall(allocation, symbol="C", bucket="core")


# --- the page -----------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Collects addresses, words, and the names of charts; unclosed elements are an error."""

    def __init__(self, html):
        super().__init__()
        self.open, self.addresses, self.words, self.ids = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.addresses += [values[key] for key in ("src", "href") if key in values]
        self.ids += [values["id"]] if "id" in values else []
        self.open += [tag] if tag not in ("meta", "link") else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(text.strip())


def crowd(count: int) -> pmx.Allocation:
    caps = {f"S{i}": 0.001 + 1e-5 * i for i in range(count)}
    wish = {("core", symbol): 0.002 + 1e-5 * i * i for i, symbol in enumerate(caps)}
    return project(policy(barbell__symbol_caps=caps), {**wish, ("tilt", "still"): 0.01})


def test_the_page_loads_nothing_from_elsewhere():
    html = explanation_html(crowd(3), title="A <title> & more", notes=["What to know."])
    page = Page(html)
    assert page.addresses == ["data:,"]
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", html.split("</style>")[0])
    assert page.words.count("A <title> & more") == 2
    assert "What to know." in page.words
    from plotly.offline import get_plotlyjs

    assert html.count(get_plotlyjs()[:2000]) == 1


def test_the_page_says_it_in_words_pictures_and_tables():
    allocation = crowd(3)
    page = Page(explanation_html(allocation))
    assert allocation.explain() in page.words
    assert {"all", "bucket-0", "symbol-0", "symbol-1", "symbol-2"} <= set(page.ids)
    assert set(allocation.rules.index) <= set(page.words)
    assert "Nothing was changed in tilt." in page.words
    assert "Nothing was changed in still." in page.words
    assert any(f"{allocation.certificate.distance_bound:.1e} of NAV" in text for text in page.words)


def test_rules_that_bind_come_first():
    page = Page(explanation_html(crowd(3)))
    rules = [text for text in page.words[page.words.index("Rules") :] if text.startswith(("symbol.", "bucket."))]
    assert set(rules[:3]) == {"symbol.S0.cap", "symbol.S1.cap", "symbol.S2.cap"}


def test_of_many_symbols_the_rest_is_added_up():
    allocation = crowd(SYMBOLS + 8)
    html = explanation_html(allocation)
    page = Page(html)
    assert sum(name.startswith("symbol-") for name in page.ids) == SYMBOLS + 1
    assert "8 other symbols" in html
    cut = (allocation.target - allocation.positions).sort_values(ascending=False)
    rest = cut.iloc[SYMBOLS:]
    assert f"{100 * allocation.target[rest.index[:8]].sum():.2f}%" in html


def test_a_page_without_rules_says_so(tmp_path):
    allocation = pmx.project_to_feasible({"SP500": 0.5, "WTI": 0.1}, pmx.load_policy(overrides=OFF))
    file = write_explanation(tmp_path / "page.html", allocation)
    page = Page(file.read_text(encoding="utf-8"))
    assert "There are none: the policy layer is switched off." in page.words
    assert [name for name in page.ids if name.startswith(("bucket", "symbol"))] == []


def test_walks_of_a_table_of_many_positions_are_still_few_bars():
    rng = np.random.default_rng(5)
    index = pd.MultiIndex.from_tuples([("core", f"S{i}") for i in range(300)], names=["bucket", "symbol"])
    caps = {f"S{i}": 0.001 for i in range(200)}
    rules = policy(barbell__symbol_caps=caps, barbell__risk_bucket__max_weight=0.2)
    wish = pd.Series(rng.exponential(0.003, 300), index=index)
    allocation = pmx.Projector(rules, list(index)).project(wish)
    assert len(names(walk_of(allocation))) <= 4
    assert "symbol.*.cap" in " ".join(names(walk_of(allocation)))
