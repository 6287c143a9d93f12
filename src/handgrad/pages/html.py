"""Self-contained HTML pages."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import NamedTuple

from handgrad.figures import FOREGROUND
from handgrad.pages.tables import Cell, Column, Table

#: Minimum scale of a figure in a narrow window; below it, the figure scrolls, because smaller text would be unreadable.
MIN_SCALE = 0.72


class Section(NamedTuple):
    """A section of a page.

    Arguments:
        title: heading of the section.
        body: HTML.
        short: name in the table of contents; default: the title.
    """

    title: str
    body: str
    short: str = ""


def page(title: str, lead: Sequence[str], sections: Sequence[Section], *, footer: str = "") -> str:
    """The page as HTML.

    Arguments:
        lead: introductory paragraphs, as HTML.
        footer: footer, as HTML.
    """
    names = [f"section-{number}" for number in range(1, len(sections) + 1)]
    contents = "".join(
        f'<li><a href="#{name}">{escape(section.short or section.title)}</a></li>'
        for name, section in zip(names, sections, strict=True)
    )
    first, *others = lead or [""]
    body = "\n".join(
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(section.title)}</h2>\n{section.body}\n</section>'
        for name, section in zip(names, sections, strict=True)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_asset('page.css')}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Skip to the content</a>\n'
        f'<header>\n<h1>{escape(title)}</h1>\n<p class="lead">{first}</p>\n'
        + "".join(f"<p>{text}</p>\n" for text in others)
        + (f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n' if len(sections) > 1 else "")
        + f'</header>\n<main id="content">\n{body}\n</main>\n'
        + (f'<footer class="faint">{footer}</footer>\n' if footer else "")
        + f"<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


@functools.cache
def _asset(name: str) -> str:
    return (files("handgrad.pages") / name).read_text(encoding="utf-8")


def table_html(table: Table) -> str:
    """The table as HTML, in a box that scrolls separately, also with the keyboard."""
    name = escape(table.caption, quote=True)
    heads = "".join(_head(column, table.sortable) for column in table.columns)
    rows = []
    for i, row in enumerate(table.rows):
        cells = "".join(_cell(c, column, j == 0) for j, (c, column) in enumerate(zip(row, table.columns, strict=True)))
        rows.append(f"<tr{' class=best' if i in table.best else ''}>{cells}</tr>")
    kind = ' class="sortable"' if table.sortable else ""
    return (
        # the visible caption stays in place while a wide table scrolls
        f'<p class="caption" aria-hidden="true">{escape(table.caption)}</p>'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{name}"><table{kind}>'
        f'<caption class="unseen">{escape(table.caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n'
        "<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )


def _head(column: Column, sortable: bool) -> str:
    text = escape(column.name)
    if sortable:
        text = f'<button type="button">{text}</button>'
    return f"<th scope=col{' class=number' if column.number else ''}>{text}</th>"


def _cell(content: Cell, column: Column, heads_row: bool) -> str:
    tag, scope = ("th", " scope=row") if heads_row else ("td", "")
    kind = " class=number" if column.number else " class=wraps" if column.wraps else ""
    by = "" if content.value is None else f' data-v="{escape(str(content.value), quote=True)}"'
    return f"<{tag}{scope}{kind}{by}>{escape(content.text)}</{tag}>"


def figure_html(svg: str, alt: str, caption: str = "") -> str:
    """A figure with an alternative text.

    Arguments:
        svg: an SVG from `inline`.
        alt: the alternative text, which is not displayed.
        caption: caption below the figure, as HTML.
    """
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt, quote=True)}"', 1)
    return f'<figure><div class="drawing">{svg}</div>{below}</figure>'


def inline(svg: str) -> str:
    """Prepares an SVG for embedding in a page, with text in the colour of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    # ids such as "figure_1" and "axes_1" are the same in every figure, and nothing refers to them
    svg = re.sub(r' id="[A-Za-z]+[A-Za-z0-9]*_\d+"', "", svg)
    width = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    if width:
        pixels = float(width[1]) * 4 / 3
        style = f' style="max-width:{pixels:.0f}px;min-width:{min(pixels, max(300, MIN_SCALE * pixels)):.0f}px"'
        svg = svg.replace("<svg", f"<svg{style}", 1)
    return svg.replace(FOREGROUND, "currentColor")
