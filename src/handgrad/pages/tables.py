"""Tables as data, and their conversion to Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Cell(NamedTuple):
    """A cell of a table.

    Arguments:
        text: displayed text.
        value: sort key; None to sort by the text.
    """

    text: str
    value: float | str | None = None


class Column(NamedTuple):
    """A column of a table.

    Arguments:
        name: heading of the column.
        number: whether it contains numbers, which are right-aligned.
        wraps: whether long text may wrap.
    """

    name: str
    number: bool = True
    wraps: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Arguments:
        caption: caption, in one sentence.
        columns: the columns; the first one identifies the row.
        rows: the rows, with one cell per column.
        best: indices of the highlighted rows.
        sortable: whether the reader can sort it.
        label: short name, such as `results`.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    best: frozenset[int] = frozenset()
    sortable: bool = False
    label: str = "table"


def cell(value: float | None, form: str = ".4f") -> Cell:
    """A number as a cell; None as an empty cell, which is sorted last."""
    return Cell("", "") if value is None else Cell(format(value, form).replace("-", "\N{MINUS SIGN}"), value)


# -- Markdown ---------------------------------------------------------------------------------------------------------

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~$&#!^])")


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def to_markdown(table: Table) -> str:
    """The table in GitHub-flavoured Markdown, with the caption above and the best rows in bold."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def shown(text: str, best: bool) -> str:
        text = _markdown(text)
        return f"**{text}**" if best and text else text

    lines = [_markdown(table.caption), "", line([_markdown(column.name) for column in table.columns])]
    lines.append(line(["---:" if column.number else "---" for column in table.columns]))
    lines += [line([shown(c.text, i in table.best) for c in row]) for i, row in enumerate(table.rows)]
    return "\n".join(lines) + "\n"


# -- LaTeX ------------------------------------------------------------------------------------------------------------

_LATEX = {
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{character: "\\" + character for character in "&%$#_{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char34{}"},
    **{"±": r"$\pm$", "\N{MINUS SIGN}": "$-$", "×": r"$\times$", "²": "$^2$", "·": r"$\cdot$", "…": r"\ldots{}"},
    **{"≥": r"$\geq$", "≤": r"$\leq$", "–": "--", "—": "---", "β": r"$\beta$", "ε": r"$\varepsilon$"},
}


def _latex(text: str) -> str:
    # pairs of ` or ', and of hyphens, would become other characters
    text = " ".join(text.split())
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return escaped.replace("--", "-{}-") if "--" in text else escaped


def to_latex(table: Table) -> str:
    r"""The table for a LaTeX document with `\usepackage{booktabs}`, with the best rows in bold.

    Text in other scripts than Latin is not changed: such a document requires XeLaTeX or LuaLaTeX.
    """
    columns = "".join("r" if column.number else "l" for column in table.columns)

    def line(cells: Sequence[str]) -> str:
        return " & ".join(cells) + r" \\"

    def shown(text: str, best: bool) -> str:
        text = _latex(text)
        return rf"\textbf{{{text}}}" if best and text else text

    lines = [
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{_latex(table.caption)}}}",
        rf"\label{{tab:{table.label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        line([_latex(column.name) for column in table.columns]),
        r"\midrule",
        # a row that begins with [ would be read as an argument of the \\ before it
        *(
            line(
                [
                    "{}" + shown(c.text, i in table.best)
                    if j == 0 and c.text.startswith(("[", "*"))
                    else shown(c.text, i in table.best)
                    for j, c in enumerate(row)
                ]
            )
            for i, row in enumerate(table.rows)
        ),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
