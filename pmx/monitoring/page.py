"""A printable HTML page from headings, paragraphs, tables and figures; nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

STYLE = """
:root { --ink: #212529; --soft: #5c646c; --rule: #dee2e6; --blue: #14507f; --good: #2b8a3e; --bad: #b02a2a; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 36px 32px 64px; color: var(--ink); background: #fff;
  font: 15px/1.5 Helvetica, Arial, "Liberation Sans", sans-serif; }
header { border-bottom: 3px solid var(--blue); padding-bottom: 14px; margin-bottom: 22px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; color: var(--blue); }
h2 { font-size: 19px; margin: 38px 0 6px; color: var(--blue); }
h3 { font-size: 15px; margin: 22px 0 4px; }
p { margin: 6px 0 10px; max-width: 78ch; }
.soft, figcaption { color: var(--soft); }
figcaption { font-size: 13px; max-width: 90ch; }
header p { max-width: none; }
figure { margin: 10px 0 18px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 2px 20px; align-items: start; }
.pair > div { min-width: 0; }
@media screen and (max-width: 820px) { .pair { grid-template-columns: 1fr; } }
.key { font-size: 13px; color: var(--soft); max-width: none; }
.key span { white-space: nowrap; margin-right: 16px; }
.key i { display: inline-block; width: 11px; height: 11px; margin-right: 6px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 18px 0; }
.card { border: 1px solid var(--rule); border-left: 4px solid var(--blue); padding: 10px 14px; }
.card b { display: block; font-size: 21px; line-height: 1.3; font-weight: 600; }
.card span { font-size: 13px; color: var(--soft); }
.card.good { border-left-color: var(--good); }
.card.bad { border-left-color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%; margin: 8px 0 6px;
  font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; border-bottom: 1.5px solid var(--ink); padding: 4px 9px;
  vertical-align: bottom; }
td { text-align: right; border-bottom: 1px solid var(--rule); padding: 3px 9px; white-space: nowrap; }
th.text, td.text { text-align: left; }
tr.total td { font-weight: 600; background: #f6f8fa; }
tr.bites td { background: #fdf3e7; }
pre { font: 12.5px/1.5 "SFMono-Regular", Consolas, "Liberation Mono", monospace; white-space: pre-wrap;
  background: #f6f8fa; border: 1px solid var(--rule); padding: 10px 14px; margin: 8px 0; }
details > summary { cursor: pointer; color: var(--blue); margin: 8px 0; }
footer { margin-top: 44px; border-top: 1px solid var(--rule); padding-top: 10px; font-size: 13px; color: var(--soft); }
@page { size: A4; margin: 14mm 12mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 9.5pt; }
  h1 { font-size: 17pt; }
  h2 { font-size: 12.5pt; margin-top: 20px; }
  h3 { font-size: 10.5pt; }
  figcaption, .card span, footer { font-size: 8pt; }
  h2, h3, h2 + p, h3 + p, summary { break-after: avoid; }
  figure, .card, .wide, tr, pre, .pair > div { break-inside: avoid; }
  details .wide, details pre { break-inside: auto; }
  .pair { grid-template-columns: 1fr; }
  .cards { grid-template-columns: repeat(5, 1fr); gap: 6px; }
  .card { padding: 5px 8px; }
  .card b { font-size: 13pt; }
  .card span { line-height: 1.3; display: block; }
  table, pre { font-size: 8pt; }
  th, td { padding: 2px 5px; }
  td.text { white-space: normal; overflow-wrap: break-word; }
  .wide { overflow: visible; }
  footer { margin-top: 12px; }
  thead { display: table-header-group; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""

#: Before printing, open what is folded and draw the figures to the measure of the paper.
SCRIPT = """
function fit(width, share) {
  document.querySelectorAll('.plotly-graph-div').forEach(function (plot) {
    plot.onScreen = plot.onScreen || plot.layout.height;
    plot.parentElement.style.height = share * plot.onScreen + 'px';
    Plotly.relayout(plot, { width: width, height: share * plot.onScreen });
  });
}
window.addEventListener('beforeprint', function () {
  document.querySelectorAll('details').forEach(function (part) { part.open = true; });
  fit(700, 0.75);
});
window.addEventListener('afterprint', function () { fit(null, 1); });
"""


def page(title: str, body: Iterable[str], scripts: Iterable[str]) -> str:
    """Return a whole HTML document; ``scripts`` are put into its head as they are."""
    head = "\n".join(f"<script>{script}</script>" for script in scripts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<style>{STYLE}</style>\n{head}\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """Return a heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph, of a style class if one is named."""
    return f"<p{_class(kind)}>{escape(text)}</p>"


def preformatted(text: str) -> str:
    """Return text whose line breaks matter."""
    return f"<pre>{escape(text)}</pre>"


def cards(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return a row of key figures, each (figure, what it is, style class)."""
    boxes = (
        f'<div class="card {kind}"><b>{escape(figure)}</b><span>{escape(label)}</span></div>'
        for figure, label, kind in entries
    )
    return f'<div class="cards">{"".join(boxes)}</div>'


def figure(chart: str, caption: str) -> str:
    """Return a chart, given as HTML, with its caption."""
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def side_by_side(charts: Iterable[str]) -> str:
    """Return charts, given as HTML, two beside each other where there is room."""
    return f'<div class="pair">{"".join(f"<div>{chart}</div>" for chart in charts)}</div>'


def swatches(entries: Iterable[tuple[str, str]]) -> str:
    """Return what colours stand for, each (colour, words)."""
    parts = (f'<span><i style="background:{colour}"></i>{escape(words)}</span>' for colour, words in entries)
    return f'<p class="key">{"".join(parts)}</p>'


def table(frame: pd.DataFrame, text: Sequence[str] = (), marks: Sequence[str] = ()) -> str:
    """Return a table of strings.

    Parameters
    ----------
    frame : DataFrame of str
        The cells; a named index becomes the first column.
    text : sequence of str
        Columns that are set left, as words; the others are set right, as numbers.
    marks : sequence of str
        Style class of each row; none where empty.
    """
    whole = frame.reset_index() if frame.index.name else frame
    words = {*text, frame.index.name}
    head = "".join(f"<th{_class('text' if name in words else '')}>{escape(str(name))}</th>" for name in whole)
    rows = []
    for number, cells in enumerate(whole.itertuples(index=False)):
        mark = marks[number] if number < len(marks) else ""
        tds = (
            f"<td{_class('text' if name in words else '')}>{escape(str(cell))}</td>"
            for name, cell in zip(whole, cells, strict=True)
        )
        rows.append(f"<tr{_class(mark)}>{''.join(tds)}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def folded(summary: str, content: str) -> str:
    """Return content that is folded away on screen and unfolded on paper."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
