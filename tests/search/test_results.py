"""Selection and description of the best combination, and figures and page for up to ten thousand combinations."""

import csv
import io
import math
import tomllib
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from handgrad.figures.search import Point, front
from handgrad.pages import inline
from handgrad.search import Findings, Result, Row, plan_from
from handgrad.search.figures import figures_of, importances, points_of, write_figures
from handgrad.search.page import MAX_ROWS, study_page
from handgrad.search.results import best_of, best_statement, best_toml, summary_lines, to_csv
from handgrad.search.space import grid
from handgrad.training import TrainConfig


def row(number: int, *values: float, state: str = "complete", sign: int = 1) -> Row:
    combination = {"learning_rate": 1.0 / number}
    results = [
        Result(
            f"{number}-{i}", combination, i, state, {"value": v, "seconds": 1.0, "best_step": 10, "test_accuracy": 0.7}
        )
        for i, v in enumerate(values)
    ]
    return Row(number, combination, tuple(results), sign)


def found(*rows: Row, select: str = "validation", seeds: int = 2) -> Findings:
    ranked = sorted(rows, key=lambda r: (-r.score, r.number))
    plan = plan_from({"learning_rate": [1.0 / r.number for r in rows] + [7.0]}, select=select, seeds=seeds)
    return Findings(plan, f"{select}_accuracy", ranked, best_of(ranked))


def test_best_is_said_only_where_it_beats_the_next_by_more_than_the_spread():
    clear = found(row(1, 0.90, 0.91, 0.92), row(2, 0.80, 0.81, 0.82), seeds=3)
    assert [r.number for r in clear.best] == [1]
    assert best_statement(clear) == (
        "Best validation accuracy: 0.9100 ± 0.0100 (3 seeds), ahead of the next by 0.1000, more than their standard "
        "deviation over seeds."
    )
    tie = found(row(1, 0.90, 0.92), row(2, 0.89, 0.93), row(3, 0.5, 0.5))
    assert [r.number for r in tie.best] == [1, 2]
    assert "2 combinations tie for the best validation accuracy, 0.9100 ± 0.0141 (2 seeds)" in best_statement(tie)


def test_nothing_is_claimed_of_two_seeds_or_of_seeds_that_agree():
    assert best_statement(found(row(1, 1.0, 1.0), row(2, 0.993, 0.993))) == (
        "Best validation accuracy: 1.0000 ± 0.0000 (2 seeds), ahead of the next by 0.0070. 2 seeds are too few to tell "
        "whether it is better: train at least 3 (--seeds)."
    )
    assert best_statement(found(row(1, *[1.0] * 4), row(2, *[0.993] * 4), seeds=4)) == (
        "Best validation accuracy: 1.0000 ± 0.0000 (4 seeds), ahead of the next by 0.0070. All seeds gave the same "
        "result, so no test can tell whether it is better."
    )


def test_the_larger_spread_decides():
    """The small variation of the first may be luck, so it does not beat the second, which varies much."""
    assert len(found(row(1, 0.910, 0.911), row(2, 0.80, 0.98)).best) == 2


def test_one_seed_says_nothing_of_the_spread():
    said = best_statement(found(row(1, 0.9), row(2, 0.8), seeds=1))
    assert "ahead of the next by 0.1000. With one seed each, the variation is unknown: see --seeds." in said
    assert "with the same value" in best_statement(found(row(1, 0.9), row(2, 0.9), seeds=1))


def test_small_losses_are_good():
    rows = sorted([row(1, 2.0, sign=-1), row(2, 1.0, sign=-1)], key=lambda r: -r.score)
    assert [r.number for r in best_of(rows)] == [2]


def test_the_test_figure_is_told_of_the_best_alone_unless_it_was_selected_by():
    lines = list(csv.DictReader(io.StringIO(to_csv(found(row(1, 0.9, 0.9), row(2, 0.8, 0.8))))))
    assert [line["test_accuracy"] for line in lines] == ["0.7", "0.7", "", ""]
    lines = list(csv.DictReader(io.StringIO(to_csv(found(row(1, 0.9, 0.9), row(2, 0.8, 0.8), select="test")))))
    assert [line["test_accuracy"] for line in lines] == ["0.7"] * 4
    said = " ".join(summary_lines(found(row(1, 0.9), select="test")))
    assert "Selected on the test set, which is optimistically biased" in said


def test_what_failed_is_counted():
    failed = row(3, 0.0, state="error")
    said = " ".join(
        summary_lines(found(row(1, 0.9), failed, row(4, 0.1, state="pruned"), row(5, 0.1, state="diverged")))
    )
    assert "Of 4 runs 1 were stopped early by the pruner, 1 diverged, 1 failed." in said


def test_nothing_has_finished():
    nothing = found(row(1, 0.1, state="diverged"))
    assert best_toml(nothing) is None
    assert best_statement(nothing) == "No run has finished yet."
    assert figures_of(nothing) == {}


def test_best_toml_names_ties_and_is_a_configuration(tmp_path):
    text = best_toml(found(row(1, 0.90, 0.92), row(2, 0.89, 0.93)))
    assert text is not None
    assert "# ties with it: learning_rate=0.5" in text
    assert TrainConfig.from_settings(tomllib.loads(text)).learning_rate == 1.0


# -- figures ----------------------------------------------------------------------------------------------------------


def study(seeds: int = 1, **settings) -> Findings:
    """A grid with a known best combination; the last setting has no effect."""
    settings = settings or {
        "learning_rate": [1e-1, 1e-2, 1e-3, 1e-4],
        "hidden_units": [[8], [16, 16]],
        "norm": ["none", "batch"],
    }
    plan = plan_from(settings, seeds=seeds)
    rows = []
    for number, combination in enumerate(grid(plan.factors), start=1):
        value = 0.9 - 0.1 * abs(math.log10(combination["learning_rate"]) + 2)
        value += 0.03 * (len(combination.get("hidden_units", [])) - 1) + 1e-5 * (number % 7)
        curve = [[step, value * (1 - 0.5 ** (step / 10))] for step in range(10, 60, 10)]
        figures = {
            "value": value,
            "seconds": 1.0,
            "multiply_adds": 1e9 * (1 + number % 5),
            "best_step": 50,
            "curve": curve,
            "parameters": 10,
        }
        results = [Result(f"{number}-{s}", combination, s, "complete", figures) for s in range(seeds)]
        rows.append(Row(number, combination, tuple(results)))
    rows.sort(key=lambda r: (-r.score, r.number))
    return Findings(plan, "validation_accuracy", rows, best_of(rows))


def test_importance_finds_what_matters():
    values = importances(study())
    assert next(iter(values)) == "learning rate"
    assert values["norm"] < 0.1
    assert sum(values.values()) == pytest.approx(1)
    assert importances(study(learning_rate=[1e-2, 1e-3])) == {}  # two figures say nothing


def test_every_figure_is_written_as_png_and_svg(tmp_path):
    pages, problems = write_figures(study(), tmp_path)
    assert problems == []
    assert {"by-factor", "curves", "cost", "importance"} < set(pages)
    assert sum(name.startswith("heat-") for name in pages) == 3
    for name in pages:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        ElementTree.parse(tmp_path / f"{name}.svg")


def test_a_heat_map_has_the_figures_in_its_cells():
    found = study()
    (make,) = [make for name, (_, make) in figures_of(found).items() if name == "heat-hidden-units-learning-rate"]
    panel = make().axes[0]
    texts = {text.get_text() for text in panel.texts}
    assert len(panel.texts) == 8
    best = {f"{max(p.value for p in points_of(found) if p.levels[:2] == cell):.3f}" for cell in ((1, 1), (0, 0))}
    assert best <= texts


def test_curves_are_of_the_best_ten_and_the_worst():
    _, make = figures_of(study())["curves"]
    labels = [text.get_text() for text in make().legends[0].get_texts()]
    assert len(labels) == 11
    assert labels[0].startswith("1: 0.01 · 16,16")
    assert labels[-1].startswith("worst: 0.0001 · 8")


def test_the_front_is_what_nothing_beats_in_both():
    def point(cost: float, value: float) -> Point:
        return Point((), (), value, None, cost, "")

    points = [point(1, 0.5), point(2, 0.4), point(3, 0.9), point(2, 0.7), point(4, 0.9)]
    assert [(p.cost, p.value) for p in front(points)] == [(1, 0.5), (2, 0.7), (3, 0.9)]
    assert [(p.cost, p.value) for p in front(points, sign=-1)] == [(1, 0.5), (2, 0.4)]


def test_ranges_are_drawn_along_their_numbers(tmp_path):
    plan = plan_from({"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "norm": ["none", "batch"]}, trials=8)
    rows = []
    for number in range(8):
        combination = {"learning_rate": 1e-4 * 10 ** (3 * number / 7), "norm": ["none", "batch"][number % 2]}
        figures = {"value": 0.5 + 0.01 * number, "seconds": 1.0, "best_step": 1}
        rows.append(Row(number, combination, (Result(str(number), combination, 0, "complete", figures),)))
    rows.reverse()
    found = Findings(plan, "validation_accuracy", rows, best_of(rows))
    _, make = figures_of(found)["by-factor"]
    assert make().axes[0].get_xscale() == "log"
    assert write_figures(found, tmp_path)[1] == []


def test_a_figure_that_cannot_be_drawn_is_said(tmp_path, monkeypatch):
    from handgrad.figures import search as draw

    monkeypatch.setattr(draw, "cost", lambda *_, **__: 1 / 0)
    pages, problems = write_figures(study(learning_rate=[1e-2, 1e-3]), tmp_path)
    assert problems == ["cannot draw cost: ZeroDivisionError: division by zero"]
    assert "by-factor" in pages


# -- the page ---------------------------------------------------------------------------------------------------------


_LINKS = ("src", "href", "xlink:href")


class Checked(HTMLParser):
    """Parses HTML, raises an error if tags do not match, and counts elements."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.count: dict[str, int] = {}
        self.outside: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.outside += [v for k, v in attrs if k in _LINKS and v and not v.startswith(("#", "data:"))]
        if tag not in ("meta", "link", "br", "img", "input"):
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.outside += [v for k, v in attrs if k in _LINKS and v and not v.startswith(("#", "data:"))]

    def handle_endtag(self, tag) -> None:
        assert self.stack.pop() == tag


def test_the_page_needs_nothing_else(tmp_path):
    found = study()
    figures, _ = write_figures(found, tmp_path)
    text = study_page("a <study>", found, figures, 'norm = ["none", "<batch>"]\n')
    checked = Checked()
    checked.feed(text)
    assert checked.stack == []
    assert checked.count["svg"] == len(figures)
    assert checked.count["tr"] == 1 + len(found.rows)
    assert checked.outside == []
    assert "@import" not in text
    assert "url(http" not in text
    assert "prefers-color-scheme: dark" in text
    assert "a &lt;study&gt;" in text
    assert "&lt;batch&gt;" in text


def test_an_inlined_figure_takes_the_colour_of_the_page(tmp_path):
    write_figures(study(learning_rate=[1e-2, 1e-3]), tmp_path)
    svg = inline((tmp_path / "by-factor.svg").read_text())
    assert svg.startswith("<svg style=")
    assert "currentColor" in svg
    assert "#1a1b1e" not in svg
    assert "<?xml" not in svg


@pytest.mark.slow
def test_ten_thousand_combinations_stay_usable(tmp_path):
    rates = [1e-4 * 1.1**i for i in range(50)]
    found = study(learning_rate=rates, batch_size=list(range(1, 101)), norm=["none", "batch"])
    assert len(found.rows) == 10_000
    figures, problems = write_figures(found, tmp_path)
    assert problems == []
    for name in figures:
        assert (tmp_path / f"{name}.svg").stat().st_size < 3_000_000, name
    text = study_page("many", found, figures, "")
    assert len(text) < 8_000_000
    assert text.count("<tr") == MAX_ROWS + 1
    assert "The best 1,000 of 10,000; all are in trials.csv." in text
    assert to_csv(found).count("\n") == 10_001
