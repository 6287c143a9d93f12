"""Reports and study.html in a real browser."""

import itertools
import re
from pathlib import Path

import pytest
from tests import browser
from tests.reports.reading import ReadPage

pytest.importorskip("websockets", reason="talks to the browser by it")
pytestmark = pytest.mark.skipif(browser.installed() is None, reason="needs Chromium: apt-get install chromium")

#: Relative luminance and contrast as in WCAG 2.2; the least contrast of each text with the ground that it stands on.
CONTRAST = """
(() => {
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  let least = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("script, style, svg")) continue;
    if (![...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const a = luminance(parse(getComputedStyle(element).color)), b = luminance(ground(element));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < least[0]) least = [contrast, element.outerHTML.slice(0, 120)];
  }
  return least;
})()
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.started(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory) -> Path:
    """The page on two configurations."""
    from handgrad.reports import make_report

    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(make_report([*runs["poor"], *runs["good"]]).to_html(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(chromium, report):
    return chromium.open(report)


def test_it_renders_without_complaint_and_asks_for_nothing(page, report):
    page.look(1200)
    assert page.evaluate("document.readyState") == "complete"
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith("data:")] == [report.as_uri()]
    figures = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(f => [f.clientWidth, f.clientHeight, f.childElementCount])"
    )
    assert len(figures) == len(ReadPage(report.read_text()).labels)
    assert all(width > 150 and height > 30 and parts for width, height, parts in figures)
    broken = "[...document.images].filter(i => !i.complete || i.naturalWidth === 0).length"
    assert page.evaluate(broken) == 0


@pytest.mark.parametrize("width", [400, 800, 1600])
def test_no_width_makes_the_page_itself_scroll_sideways(page, width):
    page.look(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Whatever is wider than the window lies in a box that scrolls.
    out = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 &&"
        " !e.closest('.scroll, .drawing, pre')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert out == []


def test_at_400_pixels_text_is_large_enough(page):
    page.look(400)
    sizes = page.evaluate(
        "[...document.querySelectorAll('p, li, td, th, figcaption')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 13
    # matplotlib's smallest text is 8 points, 10.7 pixels where a figure has its own size
    scales = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(f => f.clientWidth / (f.viewBox.baseVal.width * 4 / 3))"
    )
    assert min(scales) >= 0.7


@pytest.mark.parametrize("dark", [False, True])
def test_contrast(page, dark):
    page.look(1200, dark=dark)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (not dark)
    contrast, where = page.evaluate(CONTRAST)
    assert contrast >= 4.5, where
    # the text of figures has the page's own colour
    color = page.evaluate("getComputedStyle(document.querySelector('figure svg')).color")
    assert color == page.evaluate("getComputedStyle(document.body).color")
    assert "#1a1b1e" not in page.evaluate("document.querySelector('main').innerHTML")


def test_screen_readers_are_told_everything(page):
    page.look(1200)
    nodes = page.accessibility()
    roles = [node["role"] for node in nodes]
    for landmark in ("main", "banner", "navigation", "contentinfo"):
        assert roles.count(landmark) == 1, landmark
    for role in ("image", "table", "region", "button", "link"):
        named = [node["name"] for node in nodes if node["role"] == role]
        assert named, role
        assert all(named), role
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("[...document.images].every(i => i.alt)")
    assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.caption && t.querySelector('tbody th'))")
    links = page.evaluate("[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))")
    assert links
    ids = page.evaluate("[...document.querySelectorAll('main [id^=section]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_a_table_is_sorted_by_keyboard(page):
    page.look(1200)
    page.evaluate(
        "window.sorted = [...document.querySelectorAll('table.sortable')]"
        ".find(t => t.caption.textContent.startsWith('Metrics by class of B')); sorted.querySelector('button').focus()"
    )
    page.press("Tab")  # to the next heading: precision
    assert page.evaluate("document.activeElement.textContent") == "precision"
    values = "[...sorted.tBodies[0].rows].map(r => r.cells[1].textContent)"
    page.press("Enter", "\r")
    falling = page.evaluate(values)
    assert falling == sorted(falling, reverse=True)
    assert page.evaluate("document.activeElement.closest('th').getAttribute('aria-sort')") == "descending"
    page.press(" ", " ")
    assert page.evaluate(values) == sorted(falling)
    assert page.evaluate("[...sorted.querySelectorAll('[aria-sort]')].map(h => h.getAttribute('aria-sort'))") == [
        "ascending"
    ]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_it_prints(page):
    page.look(1200, dark=True)
    printed = page.pdf()
    assert printed.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 20
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflow") == "visible"
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    page.call("Emulation.setEmulatedMedia", media="", features=[])


@pytest.mark.slow
def test_the_page_of_a_study_of_486(chromium, tmp_path, monkeypatch):
    """The study's own page, and the report on it: below 3 MB, and sorted at once."""
    pytest.importorskip("optuna")
    from tests.search.test_results import study as study_of

    from handgrad import search
    from handgrad.reports import make_report
    from handgrad.search.figures import write_figures
    from handgrad.search.page import study_page

    found = study_of(
        learning_rate=[1e-2, 1e-3, 1e-4], batch_size=[16, 32, 64], norm=["none", "batch"], dropout=[0.0, 0.2, 0.5],
        hidden_units=[[100], [200], [100, 100]], weight_decay=[0.0, 1e-3, 1e-2],
    )  # fmt: skip
    assert len(found.rows) == 486
    drawn, _ = write_figures(found, tmp_path)
    (tmp_path / "study.html").write_text(study_page("study", found, drawn, "seeds = 1\n"), encoding="utf-8")

    class Stored:
        name, about = "many", {"plan": {"seeds": 1}}

    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "study.toml").write_text("")
    monkeypatch.setattr(search, "load_study", lambda folder: Stored)
    monkeypatch.setattr(search, "findings", lambda study: found)
    (tmp_path / "report.html").write_text(make_report([tmp_path / "many"]).to_html(), encoding="utf-8")
    for name in ("study.html", "report.html"):
        assert (tmp_path / name).stat().st_size < 3_000_000
        page = chromium.open(tmp_path / name)
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith("data:")] == [(tmp_path / name).as_uri()]
        rows = "[...document.querySelector('table.sortable').tBodies[0].rows].map(r => Number(r.cells[0].textContent))"
        assert page.evaluate(rows) == list(range(1, 487))
        page.evaluate("document.querySelector('table.sortable button').click()")
        assert page.evaluate(rows) == list(range(486, 0, -1))
        page.look(400)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        contrast, where = page.evaluate(CONTRAST)
        assert contrast >= 4.5, where
