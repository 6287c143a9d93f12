"""A report on runs and studies: an HTML page, tables for papers, and figures."""

from __future__ import annotations

import base64
import io
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import handgrad
from handgrad.data import Dataset
from handgrad.errors import HandgradError
from handgrad.figures import report as draw
from handgrad.figures import save_png, save_svg
from handgrad.pages import Cell, Column, Section, Table, cell, figure_html, inline, page, table_html
from handgrad.pages import to_latex as latex_of
from handgrad.pages import to_markdown as markdown_of
from handgrad.reports import comparing, samples, words
from handgrad.reports.configurations import Configuration, Group, Sources, read_sources
from handgrad.reports.significance import compare
from handgrad.training import Run
from handgrad.training.config import GROUPS
from handgrad.training.run import load_dataset, replacing, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Largest number of configurations with a section each; of more, the best ones get one.
MAX_DETAILED = 6
#: Largest number of configurations in one plot of learning curves; of more, the best ones are plotted.
MAX_CURVES = 8
#: Largest number of mistakes shown per configuration, as pictures and as table rows, and columns of these rows.
MAX_PICTURES, MAX_ROWS, MAX_COLUMNS = 24, 15, 24
#: Largest number of pictures of weights, and largest side of a picture of a mistake; larger ones are scaled down.
MAX_WEIGHTS, MAX_SIDE = 64, 96
#: Largest number of regression targets whose predictions are plotted.
MAX_TARGETS = 4
#: Largest number of combinations of a study in Markdown and LaTeX; the page has up to 1,000.
MAX_IN_PAPER = 40

Progress = Callable[[str], Any]

_PLACE = re.compile(r"<!-- figure (.*?) -->")


@dataclass
class Report:
    """A report that can be written as HTML, Markdown, LaTeX and figures.

    Attributes:
        title: title of the page.
        lead: introductory paragraphs, one or two sentences each.
        sections: sections of the page, in order.
        tables: tables for papers, in order.
        figures: figures by file name without extension.
        left_out: what the report omits, and why.
    """

    title: str
    lead: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _captions: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)  # of each figure: alt and caption

    def to_html(self) -> str:
        """The report as a self-contained HTML page."""
        sections = [section._replace(body=_PLACE.sub(self._drawn, section.body)) for section in self.sections]
        if self.left_out:
            items = "".join(f"<li>{escape(text)}</li>" for text in self.left_out)
            sections.append(Section("Not shown", f"<ul>{items}</ul>"))
        written = f"Written by handgrad {handgrad.__version__}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}."
        return page(self.title, [escape(text) for text in self.lead], sections, footer=f"<p>{escape(written)}</p>")

    def to_markdown(self) -> str:
        """The tables in GitHub-flavoured Markdown."""
        return "\n".join(markdown_of(table) for table in self.tables)

    def to_latex(self) -> str:
        r"""The tables for a LaTeX document with `\usepackage{booktabs}`."""
        return "\n".join(latex_of(table) for table in self.tables)

    def write_figures(self, folder: str | Path) -> list[Path]:
        """Writes every figure as PNG (200 dpi) and as SVG.

        Returns: paths of the written files.
        Raises: RunError if a file cannot be written.
        """
        written = []
        for name, figure in self.figures.items():
            for suffix, save in ((".png", lambda f, p: save_png(f, p, dpi=200)), (".svg", save_svg)):
                path = Path(folder) / (name + suffix)
                with replacing(path, advice="Free some space or choose another --figures") as temporary:
                    save(figure, temporary)
                written.append(path)
        return written

    # -- used while making the report --------------------------------------------------------------------------------

    def figure(self, name: str, figure: Figure, alt: str, caption: str = "") -> str:
        """Adds a figure and returns a placeholder for it; `to_html` replaces the placeholder with the drawing."""
        self.figures[name] = figure
        self._captions[name] = alt, caption
        return f"<!-- figure {name} -->"

    def _drawn(self, place: re.Match[str]) -> str:
        name = place[1]
        alt, caption = self._captions[name]
        file = io.BytesIO()
        save_svg(self.figures[name], file, salt=name)
        return figure_html(inline(file.getvalue().decode()), alt, escape(caption))

    def table(self, table: Table, *, paper: bool = True) -> str:
        """Adds a table and returns its HTML."""
        if paper:
            self.tables.append(table)
        return table_html(table)


def make_report(
    paths: Sequence[str | Path],
    *,
    data_dir: str | None = None,
    title: str | None = None,
    progress: Progress = lambda text: None,
) -> Report:
    """Makes a report on runs and studies. Runs that differ only in their seeds form one configuration.

    Mistakes, calibration and activations need the data set. If it is not available, the report omits them and says so.
    It never downloads data.

    Arguments:
        paths: folders of runs and of studies.
        data_dir: folder of the built-in data sets, if it has moved.
        title: title of the page.
        progress: called with a progress message before each step that takes long.

    Raises:
        ConfigError: a path is neither a run nor a study.
        RunError: a run cannot be read.
    """
    sources = read_sources(paths)
    report = Report(title or _title(sources), left_out=list(sources.left_out))
    data = _Data(data_dir)
    if sources.groups:
        _lead(report, sources)
        _say_what_was_trained(report, sources, data)
        for group in sources.groups:
            if group.ranked:
                _compare(report, sources, group)
        _draw_curves(report, sources)
        for configuration in _chosen(report, sources):
            progress(f"looking into {configuration.label}")
            _look_into(report, configuration, data, alone=len(sources.configurations) == 1)
        _list_runs(report, sources)
    for folder in sources.studies:
        progress(f"reading the study {folder}")
        _add_study(report, folder, alone=len(paths) == 1)
    return report


def write_report(paths: Sequence[str | Path], out: str | Path = "report.html", **options: Any) -> Report:
    """Makes a report with `make_report` and writes it as an HTML page.

    Raises: RunError if the page cannot be written.
    """
    report = make_report(paths, **options)
    write_text(Path(out), report.to_html(), advice="Free some space or choose another --out")
    return report


class _Data:
    """Loads data sets on request. It caches the last one, because configurations often share it."""

    def __init__(self, data_dir: str | None) -> None:
        self._data_dir = data_dir
        self._key, self._kept = "", None

    def of(self, run: Run) -> Dataset:
        """The data set of a run. Raises HandgradError if it is not available."""
        config = run.config
        names = [*GROUPS["Data"], *GROUPS["Your own data"], "seed", "data_seed", "class_weight"]
        key = repr([getattr(config, name) for name in names])
        if self._kept is None or key != self._key:
            self._kept = load_dataset(config, data_dir=self._data_dir, offline=True)
            self._key = key
        return self._kept


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _title(sources: Sources) -> str:
    names = [group.data for group in sources.groups] + [folder.resolve().name for folder in sources.studies]
    names = list(dict.fromkeys(names))
    configurations = sources.configurations
    if len(configurations) == 1 and not sources.studies:
        return configurations[0].config.recipe or names[0]
    compared = f": {len(configurations)} configurations compared" if len(configurations) > 1 else ""
    return words.listed(names, 4) + compared


def _lead(report: Report, sources: Sources) -> None:
    runs = sum(len(c.all_runs) for c in sources.configurations)
    what = words.listed([group.data for group in sources.groups])
    for group in sources.groups:
        report.lead.append(comparing.headline(group))
    report.lead.append(f"{_count(runs, 'run')} of {_count(len(sources.configurations), 'configuration')}, on {what}.")


# -- the sections -----------------------------------------------------------------------------------------------------


def _say_what_was_trained(report: Report, sources: Sources, data: _Data) -> None:
    everything = sources.configurations
    items = []
    for c in everything:
        try:
            dataset = data.of(c.first)
        except HandgradError:
            dataset = None  # _look_into reports it
        said = " ".join(words.described(c, dataset))
        if len(everything) == 1:
            items.append(f"<p>{escape(said)}</p>")
        else:
            style = f"background:{draw.color_of(everything.index(c))}"
            chip = f'<span class="chip" style="{style}"></span>'
            items.append(f"<dt>{chip}{escape(c.letter)}</dt><dd><strong>{escape(c.name)}.</strong> {escape(said)}</dd>")
    body = "\n".join(items) if len(everything) == 1 else f"<dl>{''.join(items)}</dl>"
    differences = comparing.settings_table(everything)
    if differences is not None:
        body += report.table(differences)
    report.sections.append(Section("Training setup", body, "Setup"))


def _compare(report: Report, sources: Sources, group: Group) -> None:
    several = len(sources.groups) > 1
    styles = {c.letter: i for i, c in enumerate(sources.configurations)}
    parts = [report.table(comparing.results_table(group))]
    figure = comparing.figure_name(group.figure)
    if len(group.ranked) > 1 or len(group.ranked[0].runs) > 1:
        points = [
            (c.label, styles[c.letter], c.values(group.figure), comparing.interval_of(c, group.figure))
            for c in group.ranked[: 2 * MAX_DETAILED]
        ]
        said = "; ".join(f"{label}: {comparing.with_spread(values, group.figure)}" for label, _, values, _ in points)
        drawn = draw.seeds(points, quantity=figure)
        caption = "Each dot is a run. The line is the mean, the band its 95% confidence interval."
        name = f"seeds-{group.file}" if several else "seeds"
        parts.append(report.figure(name, drawn, f"{figure} of every run. {said}.", caption))
    table = comparing.comparison_table(group)
    if table is not None:
        parts.append("<h3>Statistical comparison</h3>")
        parts.append(report.table(table))
        notes = "".join(f"<li>{escape(note)}</li>" for note in comparing.comparison_notes(group, _test_samples(group)))
        parts.append(f'<ul class="faint">{notes}</ul>')
    if group.figure.startswith("test_") and group.first.first.summary["selected_by"].startswith("test_"):
        parts.append(
            '<p class="faint">There was no validation split. If settings were chosen by these test results, the '
            "results are biased upwards.</p>"
        )
    title = f"Results on {group.data}" if several else "Results"
    report.sections.append(Section(title, "\n".join(parts)))


def _test_samples(group: Group) -> int | None:
    for c in group.ranked:
        classes = _details(c.first).get("classes")
        if classes and group.figure.startswith("test_"):
            return sum(row["support"] for row in classes.values())
    return None


def _draw_curves(report: Report, sources: Sources) -> None:
    parts = []
    for group in sources.groups:
        known = [c for c in group.configurations if any(run.metrics for run in c.all_runs)]
        if not known:
            continue
        order = {id(c): i for i, c in enumerate([*group.ranked, *known])}
        drawn = sorted(known, key=lambda c: order.get(id(c), len(order)))[:MAX_CURVES]
        drawn = [c for c in group.configurations if c in drawn]
        more = len(known) - len(drawn)
        panels = []
        for measure in dict.fromkeys((group.first.measure, "loss")):
            lines = []
            split = group.figure.partition("_")[0] or "test"
            for c in drawn:
                style = sources.configurations.index(c)
                for which, faint in ((split, False), ("train", True)):
                    curves = [_curve(run, f"{which}_{measure}") for run in c.all_runs]
                    lines.append(draw.Line(c.label, style, [curve for curve in curves if curve], faint))
            name = "RMSE, in the unit of the target" if measure == "rmse" else measure
            alt = f"{name} on the {split} set against steps. " + "; ".join(
                f"{line.label}: {_from_to(line, f'{split}_{measure}')}"
                for line in lines
                if not line.faint and line.runs
            )
            figure = draw.several_curves(lines, quantity=f"{split} {name} (thin: train)", legend=measure != "loss")
            file = f"curves-{measure}" if len(sources.groups) == 1 else f"curves-{group.file}-{measure}"
            panels.append(report.figure(file, figure, alt))
        parts.append(f'<div class="side-by-side">{"".join(panels)}</div>')
        if more:
            parts.append(f'<p class="faint">Only the best {len(drawn)} of {len(known)} configurations are shown.</p>')
        if any(len(c.runs) > 1 for c in drawn):
            parts.append('<p class="faint">Lines are means over seeds, bands are ± one standard deviation.</p>')
    if parts:
        report.sections.append(Section("Learning curves", "\n".join(parts), "Curves"))


def _curve(run: Run, figure: str) -> list[tuple[float, float]]:
    return [(record["step"], record[figure]) for record in run.metrics if record.get(figure) is not None]


def _from_to(line: draw.Line, figure: str) -> str:
    points = draw.mean_and_spread(line.runs)
    if not points:
        return "no evaluations"
    (first, start, _), (last, end, _) = points[0], points[-1]
    shown = comparing.shown
    return f"{shown(start, figure)} at step {first:,} and {shown(end, figure)} at step {last:,}"


def _chosen(report: Report, sources: Sources) -> list[Configuration]:
    """The configurations that get a section each."""
    everything = [c for c in sources.configurations if c.runs]
    if len(everything) <= MAX_DETAILED:
        return everything
    best = [c for group in sources.groups for c in group.ranked][:MAX_DETAILED]
    report.left_out.append(
        f"{len(everything) - MAX_DETAILED} of {len(everything)} configurations have no section of their network, only "
        f"the best {MAX_DETAILED} do: report on the others separately to see them"
    )
    return best


# -- one configuration ------------------------------------------------------------------------------------------------


def _look_into(report: Report, c: Configuration, data: _Data, *, alone: bool) -> None:
    at = "" if alone else f"{c.letter.lower()}-"
    parts = _by_class(report, c, at)
    dataset = judged = None
    try:
        dataset = data.of(c.first)
        split = c.judged_by.partition("_")[0]
        judged = samples.judge(c.first, dataset, split if split in dataset.splits else "train")
    except HandgradError as error:
        report.left_out.append(
            f"{c.label}: mistakes, {'calibration, ' if c.task == 'classification' else 'predictions, '}activations and "
            f"gradients need the data set and a network that runs on this machine ({error})"
        )
    which = f"the run with seed {c.first.config.seed}" if len(c.runs) > 1 else "the run"
    if dataset is not None and judged is not None:
        some = (
            f" ({len(judged.indices):,} of {judged.of:,}, drawn at random)" if len(judged.indices) < judged.of else ""
        )
        about = f"Computed for {which} on its {judged.split} samples{some}, with the weights of the last step."
        parts += _mistakes(dataset, judged, about)
        parts += _calibration(report, c, judged, about, at)
    parts += _first_layer(report, c, which, at)
    if dataset is not None:
        parts += _inside(report, c, dataset, which, at)
    parts.append(_settings(c))
    title = "The trained network" if alone else f"{c.letter}: {c.name}"
    report.sections.append(Section(title, "\n".join(parts), "The network" if alone else f"Network {c.letter}"))


def _details(run: Run) -> dict[str, Any]:
    """The metrics of each class or target in a run's last evaluation, on the test set if there is one, otherwise on the
    validation set."""
    found = run.summary.get("details", {}).get("last", {})
    return next((found[split] for split in ("test", "validation") if found.get(split)), {})


def _by_class(report: Report, c: Configuration, at: str) -> list[str]:
    found = [details for run in c.runs if (details := _details(run))]
    if not found:
        return []
    split = next((s for s in ("test", "validation") if c.first.summary["details"]["last"].get(s)), "test")
    seeds = f", mean over {len(found)} seeds" if len(found) > 1 else ""
    name = "" if at == "" else f" of {c.letter}"
    if "targets" in found[0]:
        rows = []
        for target in found[0]["targets"]:
            means = {m: statistics.fmean(d["targets"][target][m] for d in found) for m in ("rmse", "mae", "r2")}
            rows.append([Cell(target), cell(means["rmse"], ".4g"), cell(means["mae"], ".4g"), cell(means["r2"])])
        columns = [Column("target", False), Column("RMSE"), Column("MAE"), Column("R²")]
        table = Table(
            f"Metrics by target{name}, {split} set{seeds}", columns, rows, sortable=True, label=f"{at}targets"
        )
        return ["<h3>Metrics by target</h3>", report.table(table)]
    if not found[0].get("classes"):
        return []
    classes = list(found[0]["classes"])
    found = [details for details in found if list(details["classes"]) == classes]
    columns = [Column("class", False), *(Column(m) for m in ("precision", "recall", "F1", "support"))]
    rows = []
    for k in classes:
        means = [statistics.fmean(d["classes"][k][m] for d in found) for m in ("precision", "recall", "f1")]
        rows.append([Cell(k), *(cell(mean) for mean in means), cell(found[0]["classes"][k]["support"], ",d")])
    table = Table(f"Metrics by class{name}, {split} set{seeds}", columns, rows, sortable=True, label=f"{at}classes")
    confusion = np.sum([details["confusion"] for details in found], axis=0)
    drawn = report.figure(
        f"{at}confusion",
        draw.confusion_shares(confusion, classes),
        f"Confusion matrix{name}. {_most_confused(confusion, classes)}",
        f"True and predicted class, {split} set"
        + (f", summed over {len(found)} seeds" if len(found) > 1 else "")
        + f". {_most_confused(confusion, classes)}",
    )
    figures = f'<div class="side-by-side"><figure>{report.table(table)}</figure>{drawn}</div>'
    return ["<h3>Metrics by class, and confusion matrix</h3>", figures]


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _most_confused(table: np.ndarray, names: Sequence[str]) -> str:
    off = table * (1 - np.eye(len(table), dtype=np.int64))
    if not off.any():
        return "There are no confusions."
    places = np.argsort(-off, axis=None, kind="stable")[:3]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(places, off.shape), strict=True) if off[i, j]]
    said = [f"{names[i]} as {names[j]} ({_times(int(off[i, j]))})" for i, j in pairs]
    return f"Most frequent confusions: {words.listed(said)}."


def _mistakes(dataset: Dataset, judged: samples.Judged, about: str) -> list[str]:
    regression = dataset.task == "regression"
    heading = "<h3>Largest errors</h3>" if regression else "<h3>Most confident mistakes</h3>"
    if regression:
        count = f"{len(judged.indices):,} samples"
    else:
        wrong = int((~judged.right).sum())
        share = words.percent(wrong / len(judged.right))
        count = f"{wrong:,} of {len(judged.right):,} samples are misclassified ({share})"
        if not wrong:
            return [heading, f"<p>{escape(about)} All {len(judged.right):,} samples are classified correctly.</p>"]
    said = f"<p>{escape(about)} {escape(count)}; the worst are shown.</p>"
    pictured = samples.picture(dataset, int(judged.indices[0])) is not None
    rows = samples.worst(judged, MAX_PICTURES if pictured else MAX_ROWS)
    if pictured:
        return [heading, said, _as_pictures(dataset, judged, rows)]
    return [heading, said, table_html(_as_table(dataset, judged, rows))]


def _said(dataset: Dataset, judged: samples.Judged, row: int) -> tuple[str, str]:
    """The true and the predicted class of a sample, or its true and predicted targets."""
    if dataset.task == "regression":
        names = dataset.classes if len(dataset.classes) > 1 else ("",)
        true = [f"{n} {v:.5g}".strip() for n, v in zip(names, judged.truth[row], strict=True)]
        given = [f"{n} {v:.5g}".strip() for n, v in zip(names, judged.outputs[row], strict=True)]
        return ", ".join(true), ", ".join(given)
    return (
        dataset.classes[int(judged.truth[row])],
        f"{dataset.classes[int(judged.given[row])]} ({words.percent(float(judged.confidence[row]))})",
    )


def _as_pictures(dataset: Dataset, judged: samples.Judged, rows: np.ndarray) -> str:
    items = []
    for row in rows.tolist():
        index = int(judged.indices[row])
        pixels = samples.picture(dataset, index)
        assert pixels is not None  # like the first one
        true, given = _said(dataset, judged, row)
        where = samples.place(dataset, index)
        alt = f"{where or f'Sample {index:,}'}: {true}, predicted as {given}"
        shown = f"<strong>{escape(true)}</strong><br>predicted as {escape(given)}"
        if dataset.task == "regression":
            alt, shown = f"Sample {index:,}: {true}, predicted {given}", f"{escape(true)}<br>predicted {escape(given)}"
        if where:
            shown += f'<br><span class="faint">{escape(where)}</span>'
        items.append(
            f'<li><img src="{_png(pixels)}" alt="{escape(alt, quote=True)}" loading="eager"><span>{shown}</span></li>'
        )
    return f'<ul class="samples">{"".join(items)}</ul>'


def _png(pixels: np.ndarray) -> str:
    from PIL import Image

    image = Image.fromarray(pixels)
    if max(image.size) > MAX_SIDE:
        image.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _as_table(dataset: Dataset, judged: samples.Judged, rows: np.ndarray) -> Table:
    encoder = dataset.encoder
    if encoder is not None:
        names = [column.name for column in encoder.columns]
    else:
        names = [f"x{i}" for i in range(int(np.prod(dataset.input_shape)))]
    made = []
    for row in rows.tolist():
        raw = np.asarray(samples.raw_sample(dataset, int(judged.indices[row])))
        if encoder is not None:
            cells = samples.decoded(encoder, raw)
        else:
            cells = [f"{value:.5g}" for value in raw.ravel()[:MAX_COLUMNS]]
        made.append([*_true_and_given(dataset, judged, row), *(Cell(text) for text in cells[:MAX_COLUMNS])])
    if dataset.task == "regression":
        columns = [Column(f"{what} {name}") for name in dataset.classes[:MAX_TARGETS] for what in ("true", "predicted")]
    else:
        columns = [Column("true", False), Column("predicted", False)]
    columns += [Column(name, False) for name in names[:MAX_COLUMNS]]
    more = f", the first {MAX_COLUMNS} of {len(names):,} columns" if len(names) > MAX_COLUMNS else ""
    return Table(f"The worst {len(made)} samples{more}", columns, made, label="mistakes")


def _true_and_given(dataset: Dataset, judged: samples.Judged, row: int) -> list[Cell]:
    """The true and the predicted class of a sample as cells; for regression, two cells for each target."""
    if dataset.task == "regression":
        pairs = zip(judged.truth[row, :MAX_TARGETS], judged.outputs[row, :MAX_TARGETS], strict=True)
        return [cell(float(value), ".5g") for pair in pairs for value in pair]
    true, given = _said(dataset, judged, row)
    return [Cell(true), Cell(given)]


def _calibration(report: Report, c: Configuration, judged: samples.Judged, about: str, at: str) -> list[str]:
    if judged.truth.ndim > 1:
        panels = []
        for k, name in enumerate(c.first.classes[:MAX_TARGETS]):
            predicted, true = judged.outputs[:, k], judged.truth[:, k]
            figure = draw.predicted_and_true(predicted, true, name=name)
            alt = f"Predicted against true {name}, {len(true):,} samples; correlation {_correlation(predicted, true)}."
            panels.append(report.figure(f"{at}predicted-{k + 1}", figure, alt))
        return [
            "<h3>Predicted and true values</h3>",
            f"<p>{escape(about)} On the dashed line, the prediction equals the true value.</p>",
            f'<div class="side-by-side">{"".join(panels)}</div>',
        ]
    found = samples.reliability(judged.confidence, judged.right)
    sure = float(judged.confidence.mean())
    lean = "overconfident" if sure > judged.accuracy else "underconfident"
    said = (
        f"Expected calibration error {found.error:.4f} ({samples.BINS} bins). The mean confidence is "
        f"{words.percent(sure)} and the accuracy {words.percent(judged.accuracy)}, so the network is {lean}."
    )
    figure = draw.reliability(found.edges, found.count, found.accuracy, found.confidence, error=found.error)
    alt = f"Reliability diagram: accuracy against confidence. {said}"
    return [
        "<h3>Calibration</h3>",
        f"<p>{escape(about)} {escape(said)}</p>",
        report.figure(f"{at}reliability", figure, alt),
    ]


def _correlation(one: np.ndarray, other: np.ndarray) -> str:
    if len(one) < 2 or not one.std() or not other.std():
        return "undefined"
    return f"{np.corrcoef(one, other)[0, 1]:.3f}"


def _first_layer(report: Report, c: Configuration, which: str, at: str) -> list[str]:
    run = c.first
    state, _ = run.folder.arrays("model.safetensors")
    found = next(((name, value) for name, value in state.items() if value.ndim in (2, 4)), None)
    if found is None:
        return []
    name, weight = found
    weight = np.asarray(weight, np.float64)
    heading = "<h3>First-layer weights</h3>"
    units = len(weight)
    shape = run.input_shape
    if weight.ndim == 2 and len(shape) == 1:
        features = list(run.encoder.features) if run.encoder is not None else [f"x{i}" for i in range(shape[0])]
        strongest = np.abs(weight).mean(axis=0)
        top = [features[i] for i in np.argsort(-strongest, kind="stable")[:3]]
        said = f"{name} of {which}: {units} units by {len(features)} features. "
        said += f"The largest weights are on {words.listed(top)}."
        figure = draw.feature_weights(weight, features)
        return [heading, report.figure(f"{at}first-layer", figure, said, said)]
    tiles = weight if weight.ndim == 4 else weight.reshape(units, *_picture_shape(shape))
    order = np.argsort(-np.square(tiles).sum(axis=(1, 2, 3)), kind="stable")[:MAX_WEIGHTS]
    scale = np.abs(tiles).max(axis=(1, 2, 3), keepdims=True)
    pixels = np.rint(255 * (0.5 + 0.5 * tiles / np.where(scale > 0, scale, 1))).astype(np.uint8)[order]
    color = pixels.shape[1] == 3
    if not color and pixels.shape[1] > 1:  # a picture for each channel
        pixels = pixels.reshape(-1, 1, *pixels.shape[2:])[:MAX_WEIGHTS]
    pixels = np.moveaxis(pixels, 1, -1) if color else pixels[:, 0]
    shown = f"the {len(order)} largest of {units}" if len(order) < units else f"all {units}"
    what = "filters" if weight.ndim == 4 else "units"
    axes = "; horizontal: time, vertical: frequency band, lowest at the bottom" if run.config.on_frames else ""
    said = f"{name} of {which}: {shown} {what}, sorted by decreasing norm and scaled separately; " + (
        "grey is zero, the colours are the weights of the three channels"
        if color
        else "black is negative, grey is zero, white is positive"
    )
    figure = draw.pictures(pixels)
    return [heading, report.figure(f"{at}first-layer", figure, f"Pictures of weights. {said}{axes}.", f"{said}{axes}.")]


def _picture_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a unit's weights as a picture: channels, height, width."""
    return shape if len(shape) == 3 else (1, *shape)


def _inside(report: Report, c: Configuration, dataset: Dataset, which: str, at: str) -> list[str]:
    try:
        found = samples.look_inside(c.first, dataset)
    except HandgradError as error:
        report.left_out.append(f"{c.label}: activations and gradients by layer ({error})")
        return []
    rows = found.rows()
    panels = []
    quantities = {
        "activation": ("activation", "standard deviation of the activations", None),
        "gradient": ("gradient", "RMS gradient of a sample's loss", None),
        "update": ("update", "ratio of update to weight", draw.USUAL_UPDATE),
    }
    for key, (name, title, usual) in quantities.items():
        known = [row for row in rows if row.get(key, 0) > 0]
        if not known:
            continue
        said = ", ".join(f"{row['name']} {row['kind']} {row[key]:.2g}" for row in known)
        figure = draw.by_layer(rows, key, title=title, usual=usual)
        panels.append(report.figure(f"{at}layers-{name}", figure, f"{title} by layer: {said}."))
    rate = f", at a learning rate of {found.learning_rate:.3g}" if found.learning_rate is not None else ""
    said = (
        f"Computed for {which} on {found.samples:,} training samples, with the weights of the last step: the standard "
        "deviation of each layer's output over samples, and the root mean square of the incoming gradient."
        + (
            f" The update is the size of the next step{rate} relative to its weight. The dotted line is a usual ratio."
            if rate
            else ""
        )
    )
    columns = [
        Column("layer", False),
        Column("kind", False),
        Column("activation"),
        Column("gradient"),
        Column("update"),
    ]
    columns.append(Column("dead units"))
    cells = [
        [
            Cell(row["name"]),
            Cell(row["kind"]),
            *(cell(row.get(key), ".3g") for key in quantities),
            Cell(words.percent(row["dead"]), row["dead"]) if "dead" in row else Cell("", ""),
        ]
        for row in rows
    ]
    name = "" if at == "" else f" of {c.letter}"
    table = Table(f"Activations, gradients and updates{name} by layer", columns, cells, label=f"{at}layers")
    return [
        "<h3>Activations and gradients by layer</h3>",
        f"<p>{escape(said)}</p>",
        f'<div class="side-by-side">{"".join(panels)}</div>',
        report.table(table),
    ]


def _settings(c: Configuration) -> str:
    command = f"handgrad train --config {c.first.path}/config.toml"
    return (
        f"<h3>Repeat the run</h3>\n<p><code>{escape(command)}</code> repeats the run. Add <code>--seed N</code> for "
        f"a different seed.</p>\n<details><summary>All settings</summary>\n<pre tabindex=0><code>"
        f"{escape(c.config.to_toml())}</code></pre></details>"
    )


# -- all runs ---------------------------------------------------------------------------------------------------------


def _list_runs(report: Report, sources: Sources) -> None:
    rows, machines = [], {}
    for c in sources.configurations:
        figure = c.judged_by
        for run in c.all_runs:
            summary = run.folder.json("summary.json")
            start = [Cell(str(run.path)), *([Cell(c.letter)] if c.letter else []), cell(run.config.seed, "d")]
            if summary is None:
                step = run.metrics[-1]["step"] if run.metrics else 0
                rows.append([*start, cell(step, ",d"), *[Cell("", "")] * 5, Cell("not finished", "")])
                continue
            value = (summary.get("last") or {}).get(figure)
            inside = summary["seconds"] - summary["seconds_outside_steps"]
            rows.append(
                [
                    *start,
                    cell(summary["steps"], ",d"),
                    cell(value, comparing.form_of(figure)),
                    Cell(words.duration(summary["seconds"]), summary["seconds"]),
                    cell(inside, ".1f"),
                    cell(summary["samples_per_second"], ",.0f"),
                    cell(summary.get("threads"), "d"),
                    Cell("finished"),
                ]
            )
            versions = summary.get("versions", {})
            machine = versions.get("machine", "unknown machine")
            libraries = ", ".join(f"{name} {version}" for name, version in versions.items() if name != "machine")
            machines.setdefault(f"{machine}: {libraries}", []).append(run)
    figures = {c.judged_by for c in sources.configurations}
    name = comparing.figure_name(figures.pop()) if len(figures) == 1 else "metric"
    columns = [Column("run", False), Column("seed"), Column("steps"), Column(name)]
    if len(sources.configurations) > 1:
        columns.insert(1, Column("configuration", False))
    columns += [Column("time"), Column("seconds in steps and evaluations"), Column("training samples per second")]
    columns += [Column("threads"), Column("state", False)]
    table = Table("All runs", columns, rows, sortable=len(rows) > 1, label="runs")
    said = "".join(f"<li>{escape(machine)} ({_count(len(runs), 'run')})</li>" for machine, runs in machines.items())
    report.sections.append(
        Section("Runs and timings", report.table(table) + (f'<ul class="faint">{said}</ul>' if said else ""), "Runs")
    )


# -- studies ----------------------------------------------------------------------------------------------------------


def _add_study(report: Report, folder: Path, *, alone: bool) -> None:
    import tomli_w

    from handgrad.search import findings, load_study
    from handgrad.search.figures import figures_of
    from handgrad.search.page import described, study_sections, study_table
    from handgrad.search.results import summary_lines

    try:
        study = load_study(folder)
        found = findings(study)
    except HandgradError as error:
        if alone:
            raise
        report.left_out.append(f"the study {folder}: {error}")
        return
    name = study.name
    drawn = {
        title: report.figure(f"{name}-{file}", make(), described(title, found))
        for file, (title, make) in figures_of(found).items()
    }
    lines = summary_lines(found)
    if (more := _best_of_study(found)) is not None:
        lines.append(more)
    report.lead += [f"Study {name}: {' '.join([lines[0], *([more] if more is not None else [])])}"]
    report.tables.append(study_table(found, MAX_IN_PAPER))
    body = "".join(f"<p>{escape(line)}</p>" for line in lines)
    for section in study_sections(found, drawn, tomli_w.dumps(study.about["plan"])):
        body += f"\n<h3>{escape(section.title)}</h3>\n{section.body.replace('<h3>', '<h4>').replace('</h3>', '</h4>')}"
    report.sections.append(Section(f"Study {name}", body))


def _best_of_study(found: Any) -> str | None:
    """Whether the best combination is significantly better than the second best, by the test that compares
    configurations; None if their seeds allow no test."""
    ranked = [row for row in found.rows if row.mean is not None]
    if len(ranked) < 2 or found.plan.seeds < 2:
        return None
    first, second = ranked[:2]
    less = first.sign < 0
    judged = compare(first.values, second.values, less_is_better=less, comparisons=len(ranked) * (len(ranked) - 1) // 2)
    if judged.winner == 0:
        return (
            "The best combination is significantly better than the second best (Welch's t-test, corrected for all "
            "pairs of combinations)."
        )
    if judged.why:
        return None  # the summary of the study says it
    would = (
        f" About {judged.needed:,} seeds per combination would detect a difference of this size."
        if judged.needed
        else ""
    )
    return (
        "The best combination is not significantly better than the second best (Welch's t-test, corrected for all "
        f"pairs of combinations).{would}"
    )
