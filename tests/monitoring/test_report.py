import re
from html.parser import HTMLParser

import pandas as pd
import pytest

import pmx
from pmx.errors import DataError
from pmx.monitoring import cuts_table, metrics_table, report_html, write_report, years_table
from pmx.monitoring.page import table
from pmx.monitoring.tables import largest_contributions, percent

#: Elements that have no end tag.
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects what a test asks about: unclosed elements, addresses, headings, cells."""

    def __init__(self, html):
        super().__init__()
        self.open, self.addresses, self.words, self.ids, self.scripts = [], [], [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.addresses += [values[key] for key in ("src", "href") if key in values]
        self.ids += [values["id"]] if "id" in values else []
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(text.strip())


@pytest.fixture(scope="module")
def html(runs):
    return report_html(runs, title="A <title> & more", notes=["What to know."])


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_page_is_well_formed_and_escaped(page, html):
    assert page.open == []
    assert page.words.count("A <title> & more") == 2
    assert "What to know." in page.words
    assert html.startswith("<!DOCTYPE html>")


def test_nothing_is_loaded_from_elsewhere(page, html):
    assert page.addresses == ["data:,"]
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", html.split("</style>")[0])


def test_plotly_is_there_once(html):
    from plotly.offline import get_plotlyjs

    assert html.count(get_plotlyjs()[:2000]) == 1


def test_every_chart_and_every_figure_of_the_metrics_is_there(page, runs):
    assert {"growth", "buckets", "safety", "scales", "contributions"} <= set(page.ids)
    for column in metrics_table(runs).to_numpy().T:
        assert set(column) <= set(page.words)


def test_rules_certificate_and_sources_are_there(page, runs):
    run = next(iter(runs.values()))
    assert set(run.rules.index) <= set(page.words)
    assert set(run.last.rules["source"]) <= set(page.words)
    assert any(f"{run.last.certificate.distance_bound:.1e} of NAV" in text for text in page.words)
    assert run.policy.source("barbell.safe_bucket.min_weight") in page.words
    assert "signal_routing_config.engines.time_series.window" in page.words
    assert "override" in page.words
    assert any(run.policy.fingerprint in text for text in page.words)


def test_what_the_cuts_earned_is_there(page, runs):
    run = next(iter(runs.values()))
    for shown in (cuts_table(run), years_table(run)):
        assert set(shown.to_numpy().ravel()) <= set(page.words)
    name = largest_contributions(run).columns[0]
    year = run.nav.index[-1].year
    line = run.contributions_by_year.loc[(year, name)]
    saved, cost, earned = (percent(line[key]) for key in ("saved", "cost", "contribution"))
    assert f"In {year}, {name} saved {saved} of NAV and cost {cost}: {earned} in all." in page.words


def test_a_rule_that_gave_way_is_explained(page):
    assert any(text.startswith("Gave way: barbell.safe.cap on ") for text in page.words)
    assert any("reports only" in text for text in page.words)


def test_one_run_with_given_weights_and_no_policy_makes_a_report():
    dates = pd.bdate_range("2020-01-01", periods=5)
    prices = pd.DataFrame({"SPY": [1.0, 1.1, 1.0, 1.2, 1.1]}, index=dates)
    targets = pd.DataFrame({"SPY": [0.5]}, index=dates[:1])
    policy = pmx.load_policy(overrides={"risk_buckets.enabled": False, "barbell.enable_barbell_allocation": False})
    page = Page(report_html({"mine": pmx.backtest(prices, policy, targets=targets)}))
    assert page.open == []
    assert any(text.startswith("No rule was in force") for text in page.words)
    assert "scales" not in page.ids
    assert "contributions" not in page.ids


def test_an_empty_report_is_refused():
    with pytest.raises(DataError, match="at least one backtest"):
        report_html({})


def test_writing_it_gives_the_same_page(runs, tmp_path):
    first = dict([next(iter(runs.items()))])
    file = write_report(tmp_path / "report.html", first, title="One")
    assert file.read_text(encoding="utf-8") == report_html(first, title="One")


def test_cells_are_escaped_and_marked():
    frame = pd.DataFrame({"name": ["<b>", "c"], "value": ["1", "2"]})
    html = table(frame, text=["name"], marks=["", "total"])
    assert '<td class="text">&lt;b&gt;</td><td>1</td>' in html
    assert '<tr class="total">' in html
