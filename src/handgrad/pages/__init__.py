"""Pages and tables for reports: HTML that needs no other file and no network, Markdown, LaTeX.

Nothing here knows what a run is.
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
