"""Pages and tables for reports: self-contained HTML, Markdown, LaTeX.

This package is independent of runs and training.
"""

from handgrad.pages.html import Section, figure_html, inline, page, table_html
from handgrad.pages.tables import Cell, Column, Table, cell, to_latex, to_markdown

__all__ = [
    "Cell",
    "Column",
    "Section",
    "Table",
    "cell",
    "figure_html",
    "inline",
    "page",
    "table_html",
    "to_latex",
    "to_markdown",
]
