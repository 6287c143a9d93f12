"""Tables for papers: the contents of every cell are preserved in Markdown and LaTeX."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handgrad.pages import Cell, Column, Table, cell, table_html, to_latex, to_markdown

HOSTILE = [
    "a|b",
    "50% & more",
    "_under_ *star* `tick`",
    "<b>x</b>",
    'a "quote"',
    "\\frac{1}{2}",
    "$x^2$ #1 ~",
    "[link](x) ![i](y)",
    "{}",
]
HOSTILE += ["two\nlines", "R² ± 0.1 − ×", "[0]", "--flag", "a -- b", "1. list", "&amp;", "http://example.org"]


def table(texts: list[str]) -> Table:
    return Table(
        "A caption | with_marks", [Column("name_%", False), Column("value")], [[Cell(t), cell(1)] for t in texts]
    )


def read_markdown(text: str) -> list[list[str]]:
    """The cells of a Markdown table as displayed; no markup may remain."""
    tokens = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table").parse(text)
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and rows:
            kinds = {child.type for child in token.children} - {"text", "text_special", "strong_open", "strong_close"}
            assert not kinds, kinds
            rows[-1].append("".join(child.content for child in token.children))
    return rows


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown(text):
    rows = read_markdown(to_markdown(table([text])))
    assert rows == [["name_%", "value"], [" ".join(text.split()), "1.0000"]]


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=20))
def test_any_text_in_markdown(text):
    rows = read_markdown(to_markdown(table([text])))
    assert rows[1][0] == " ".join(text.split())


_WORDS = {
    **{r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<"},
    **{r"\textgreater{}": ">", r"\textbar{}": "|", r"\char34{}": '"', r"$\pm$": "±", "$-$": "−"},
    **{r"$\times$": "×", "$^2$": "²", r"$\cdot$": "·", r"\ldots{}": "…", "{}": ""},
    **{"\\" + c: c for c in "&%$#_{}"},
}


def read_latex(text: str) -> str:
    """The output of LaTeX for escaped text; no command may remain."""
    pattern = "|".join(re.escape(word) for word in sorted(_WORDS, key=len, reverse=True))
    rest = re.sub(pattern, "", text)
    assert not set(rest) & set("\\&%$#_{}~^"), rest
    return re.sub(pattern, lambda found: _WORDS[found[0]], text)


@pytest.mark.parametrize("text", HOSTILE)
def test_latex(text):
    lines = to_latex(table([text])).splitlines()
    assert lines[:2] == [r"\begin{table}[htbp]", r"\centering"]
    assert r"\begin{tabular}{lr}" in lines
    row = lines[lines.index(r"\midrule") + 1]
    assert row.endswith(r" & 1.0000 \\")
    escaped = row.removesuffix(r" & 1.0000 \\")
    assert read_latex(escaped) == " ".join(text.split())
    assert not escaped.startswith("[")  # \\ would take it as its argument
    assert "--" not in escaped  # would be a dash


def test_the_best_rows_are_bold_and_numbers_have_a_real_minus():
    made = Table(
        "c", [Column("n", False), Column("v")], [[Cell("a"), cell(-0.5)], [Cell("b"), cell(None)]], frozenset({0})
    )
    assert "| **a** | **−0.5000** |" in to_markdown(made)
    assert "| b |  |" in to_markdown(made)
    assert r"\textbf{a} & \textbf{$-$0.5000} \\" in to_latex(made)


def test_html_escapes_and_keeps_what_it_is_sorted_by():
    made = Table('c "<', [Column("<n>", False), Column("v")], [[Cell("<b>&"), cell(1e-9)]], sortable=True)
    text = table_html(made)
    assert '<th scope=row>&lt;b&gt;&amp;</th><td class=number data-v="1e-09">0.0000</td>' in text
    assert '<th scope=col><button type="button">&lt;n&gt;</button></th>' in text
    assert 'aria-label="c &quot;&lt;"' in text
