"""Reading the pages of reports in tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class ReadTable:
    """A table of a page: its caption, headings, and rows of texts."""

    caption: str = ""
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    best: list[int] = field(default_factory=list)

    def column(self, name: str) -> list[str]:
        at = self.head.index(name)
        return [row[at] for row in self.rows]

    def row(self, first: str) -> dict[str, str]:
        """The row that begins with this text, by heading."""
        (found,) = [row for row in self.rows if row[0] == first]
        return dict(zip(self.head, found, strict=True))


class ReadPage(HTMLParser):
    """A parsed page: its tables, figures and text. Raises an error if tags do not match."""

    _EMPTY = ("meta", "link", "br", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tables: list[ReadTable] = []
        self.headings: list[tuple[int, str]] = []
        self.labels: list[str] = []  # of figures
        self.pictures: list[dict[str, str]] = []
        self.outside: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.stack == []

    def table(self, begins: str) -> ReadTable:
        """The table whose caption begins with this text."""
        (found,) = [table for table in self.tables if table.caption.startswith(begins)]
        return found

    def handle_starttag(self, tag, attrs) -> None:
        given = {name: value or "" for name, value in attrs}
        links = ("src", "href", "xlink:href", "action", "data")
        self.outside += [v for k, v in given.items() if k in links and not v.startswith(("#", "data:"))]
        if tag == "img":
            self.pictures.append(given)
        if tag == "svg":
            self.labels.append(given["aria-label"])
        if tag in self._EMPTY:
            return
        self.stack.append(tag)
        if tag == "table":
            self.tables.append(ReadTable())
        elif tag == "tr" and "tbody" in self.stack:
            table = self.tables[-1]
            if given.get("class") == "best":
                table.best.append(len(table.rows))
            table.rows.append([])
        elif tag in ("th", "td"):
            (self.tables[-1].rows[-1] if "tbody" in self.stack else self.tables[-1].head).append("")
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag, attrs) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self._EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data) -> None:
        if "style" in self.stack or "script" in self.stack:
            return
        self.text += data
        if "caption" in self.stack:
            self.tables[-1].caption += data
        elif "th" in self.stack or "td" in self.stack:
            (self.tables[-1].rows[-1] if "tbody" in self.stack else self.tables[-1].head)[-1] += data
        elif self.stack and self.stack[-1] in ("h1", "h2", "h3", "h4"):
            level, text = self.headings.pop()
            self.headings.append((level, text + data))
