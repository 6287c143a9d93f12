"""`handgrad search`."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from handgrad.cli.common import Json, default_text, help_page, new_app
from handgrad.cli.settings import SHORT_PAGE, given_settings, with_setting_flags
from handgrad.errors import ConfigError

app = new_app(
    "search",
    "Train many combinations of settings, and report which is best and which settings mattered.",
    """
    handgrad search --recipe digits --vary learning_rate=1e-2,1e-3 --seeds 3
    handgrad search --vary learning_rate=1e-4..1e-1:log --trials 30
    handgrad search study.toml --workers 4
    handgrad search studies/study --resume
    handgrad search show studies/study
    """,
    "STUDY is a TOML file of settings, each of which may be a list or a range {low, high, log}; the name of a study "
    "that comes with handgrad, uva-apr19-table-3 or uva-apr19-grid; or the folder of a study. --vary does the same on "
    f'the command line. Requires pip install "handgrad[search]". {SHORT_PAGE}',
)
_STUDY = Group("Study", sort_key=0)
_SWITCH: Any = {"negative": "", "show_default": False}


def _option(help: str, default: str = "", **more: Any) -> Parameter:
    if default:
        more["show_default"] = default_text(default)
    return Parameter(group=_STUDY, help=help, **more)


def search(
    study: Annotated[
        Path | None, _option("study file, name of a study that comes with handgrad, or folder of a study")
    ] = None,
    /,
    *,
    recipe: Annotated[str | None, _option("start from this recipe, see handgrad recipes")] = None,
    vary: Annotated[
        list[str] | None,
        _option(
            "values of one setting, learning_rate=1e-3,1e-4 or hidden_units='100;200,200', or a range, dropout=0..0.5; "
            "a range ending in :log is sampled on a logarithmic scale; repeat --vary for each setting",
            negative="",
        ),
    ] = None,
    seeds: Annotated[int | None, _option("runs of each combination, with different seeds", "1")] = None,
    sampler: Annotated[
        Literal["grid", "random", "tpe"] | None,
        _option("how combinations are chosen", "grid; tpe if there is a range"),
    ] = None,
    pruner: Annotated[
        Literal["none", "median", "asha"] | None, _option("how unpromising runs are stopped early", "none")
    ] = None,
    trials: Annotated[
        int | None, _option("number of combinations to try", "the whole grid; 50 if there is none")
    ] = None,
    timeout: Annotated[float | None, _option("stop after this many seconds; --resume resumes the search")] = None,
    select: Annotated[
        Literal["validation", "test"] | None, _option("split whose metrics select the best combination", "validation")
    ] = None,
    impossible: Annotated[
        Literal["refuse", "skip"] | None, _option("what to do with combinations that cannot be trained", "refuse")
    ] = None,
    workers: Annotated[int | None, _option("number of processes on this machine", "one per core")] = None,
    stack: Annotated[
        Literal["auto", "off"] | None, _option("train runs of equal shape together as one network", "auto")
    ] = None,
    study_dir: Annotated[Path | None, _option("folder of the study", "studies/NAME")] = None,
    join: Annotated[
        str | None,
        _option(
            "share the study with other machines: a folder that all can access, or postgresql://USER@HOST/DATABASE"
        ),
    ] = None,
    name: Annotated[
        str | None, _option("name of the study, if a database contains several", "that of the study file")
    ] = None,
    resume: Annotated[bool, _option("resume a study, also with more trials, seeds or values", **_SWITCH)] = False,
    quiet: Annotated[bool, _option("print only the result", **_SWITCH)] = False,
    json_: Annotated[bool, _option("print the result as JSON", name="--json", **_SWITCH)] = False,
    **settings: Any,
) -> int:
    from handgrad.search import plan_from, search
    from handgrad.search.space import varied

    settings = given_settings(settings)
    for text in vary or []:
        field, values = varied(text)
        settings[field] = values
    options = {
        "sampler": sampler,
        "pruner": pruner,
        "trials": trials,
        "seeds": seeds,
        "select": select,
        "impossible": impossible,
    }
    given = bool(recipe or settings or any(value is not None for value in options.values()))
    file, study_dir, name = _where(study, study_dir, name)
    if join is not None and file is None and not given:
        plan = None
    elif file is None and not given:
        raise ConfigError(
            "nothing to search: give a study file, or --vary learning_rate=1e-3,1e-4, or --join an existing study"
        )
    else:
        plan = plan_from(file, recipe=recipe, settings=settings, **options)
    with _watcher(quiet, json_) as watcher:
        made, found = search(
            plan,
            name=name,
            study_dir=study_dir,
            join_at=join,
            resume=resume,
            workers=workers,
            timeout=timeout,
            stack=stack != "off",
            watcher=watcher,
        )
    _show(made, found, json_)
    return 0


app.default(with_setting_flags(search))


@app.command(
    name="show",
    help=help_page(
        "Show the results of a study: its combinations, best first, and where its figures are.",
        """
        handgrad search show studies/study
        handgrad search show studies/study --rows 0 --json
        """,
    ),
)
def show(
    study: Annotated[Path, Parameter(help="folder of a study, or its study file")],
    /,
    *,
    rows: Annotated[int, Parameter(help="number of combinations to print; 0 for all")] = 20,
    json_: Json = False,
) -> int:
    from handgrad.search import leave_results, load_study

    loaded = load_study(_where(study, None, None)[1] or study)
    found = leave_results(loaded)
    _show(loaded, found, json_, rows)
    return 0


def _where(study: Path | None, study_dir: Path | None, name: str | None) -> tuple[Path | None, Path | None, str | None]:
    """The study file, the folder and the name that an argument STUDY refers to."""
    from handgrad.search import shipped

    if study is None:
        return None, study_dir, name
    if not study.exists() and str(study) in shipped():
        name = name or str(study)
        return shipped()[str(study)], study_dir or Path("studies") / name, name
    if study.is_dir():
        if not (study / "study.toml").exists():
            raise ConfigError(
                f"{study} contains no study: expected a study file, or a folder that handgrad search has created"
            )
        return study / "study.toml", study_dir or study, name or study.resolve().name
    name = name or study.stem
    return study, study_dir or Path("studies") / name, name


# -- progress --------------------------------------------------------------------------------------------------------


def _watcher(quiet: bool, json_: bool):
    from handgrad.search import Watcher

    class Quiet(Watcher):
        def __enter__(self):
            return self

        def __exit__(self, *_) -> None: ...

        def note(self, text: str) -> None:
            print(text, file=sys.stderr, flush=True)

    class Lines(Quiet):
        """One line per run."""

        def started(self, study, workers, progress) -> None:
            self._print(_opening(study, workers, progress))

        def ended(self, run, how, value, progress) -> None:
            figure = f"{value:.4f}" if value is not None else how
            self._print(f"{_counted(progress)}   {run} {figure}   best {progress.best or '-'}   {_left(progress)}")

        def _print(self, text: str) -> None:
            print(text, file=sys.stderr if json_ else sys.stdout, flush=True)

    class Terminal(Quiet):
        """A progress bar, refreshed only by the parent, because a refreshing thread would not survive a fork."""

        progress: Progress | None = None

        def started(self, study, workers, progress) -> None:
            self.console = Console()
            self.console.print(_opening(study, workers, progress), style="bold", highlight=False)
            columns = (BarColumn(bar_width=32), MofNCompleteColumn(), TextColumn("{task.description}"))
            self.progress = Progress(*columns, TimeElapsedColumn(), console=self.console, auto_refresh=False)
            self.progress.start()
            self.task = self.progress.add_task("", total=progress.total)
            self.progressed(progress)

        def ended(self, run, how, value, progress) -> None:
            self.progressed(progress)

        def progressed(self, progress) -> None:
            if self.progress is not None:
                best = f"best {progress.best}   " if progress.best else ""
                said = f"{best}{progress.running} running   {_left(progress)}"
                self.progress.update(self.task, total=progress.total, completed=progress.finished, description=said)
                self.progress.refresh()

        def __exit__(self, *_) -> None:
            if self.progress is not None:
                self.progress.stop()

    if quiet:
        return Quiet()
    return Terminal() if sys.stdout.isatty() and not json_ else Lines()


def _opening(study, workers: int, progress) -> str:
    plan = study.plan
    wanted = f"{progress.total:,} runs" if progress.total is not None else "runs until the timeout"
    there = f", {progress.finished:,} already finished" if progress.finished else ""
    factors = ", ".join(factor.name for factor in plan.factors)
    processes = f"{workers} worker{'s' if workers > 1 else ''}"
    return f"{plan.sampler} over {factors}: {wanted}{there}, {processes} -> {study.folder}"


def _counted(progress) -> str:
    total = f"/{progress.total}" if progress.total is not None else ""
    return f"{progress.finished}{total}, {progress.running} running"


def _left(progress) -> str:
    if progress.seconds_left is None:
        return ""
    return f"{time.strftime('%H:%M:%S', time.gmtime(progress.seconds_left))} left"


# -- results ---------------------------------------------------------------------------------------------------------


def _show(study, found, json_: bool, rows: int = 20) -> None:
    if json_:
        print(json.dumps(_as_json(study, found), indent=2))
        return
    console = Console(highlight=False)
    console.print(_table(study, found, rows, console.width))
    from handgrad.search.results import summary_lines

    for line in summary_lines(found):
        console.print(line, soft_wrap=True)
    for file in ("study.html", "best.toml", "trials.csv"):
        if (study.folder / file).exists():
            console.print(str(study.folder / file), soft_wrap=True)
    console.print(f"together with runs: handgrad report {shlex.quote(str(study.folder))} RUN...", soft_wrap=True)


def _table(study, found, rows: int, width: int) -> Table:
    """The combinations, best first, in a table without truncated numbers at this width of the terminal: if necessary,
    headings are folded, then seconds and steps are omitted, then all settings are listed in one column."""
    from handgrad.search.space import shown

    listed = found.rows[:rows] if rows else found.rows
    test = f"test_{found.figure.partition('_')[2]}"
    ranks = {"": [str(rank) if row.mean is not None else "" for rank, row in enumerate(listed, start=1)]}
    names = [factor.name for factor in found.plan.factors]
    settings = {n.replace("_", " "): [shown(row.combination[n]) for row in listed] for n in names}
    value = found.figure.replace("_", " ")
    figures = {value: [_number(row.mean) or row.state for row in listed]}
    if found.plan.seeds > 1:
        figures["±"] = [_number(row.spread) for row in listed]
    if found.plan.select != "test" and any(found.shows_test(row) for row in found.rows):
        figures[test.replace("_", " ")] = [
            _number(row.average(test)) if found.shows_test(row) else "" for row in listed
        ]
    steps = {"step": [_number(row.average("best_step"), ",.0f") for row in listed]}
    seconds = {"seconds": [_number(row.average("seconds"), ".1f") for row in listed]}

    columns = {**ranks, **settings, **figures, **steps, **seconds}
    for left_out in ("seconds", "step"):
        if _width(columns, folded=True) > width:
            del columns[left_out]
    folded = _width(columns, folded=False) > width
    in_one = _width(columns, folded=True) > width
    if in_one:
        together = zip(*([f"{name} {cell}" for cell in cells] for name, cells in settings.items()), strict=True)
        lines = [",\n".join(texts) for texts in together]
        needed = max(len(line) for text in lines for line in text.split("\n"))
        columns = {**ranks, **figures}
        while len(columns) > 2 and _width(columns, folded=True) + needed + 3 > width:
            columns.popitem()  # the test result, then the standard deviation
        columns = {**ranks, "settings": lines, **{n: cells for n, cells in columns.items() if n}}

    table = Table(title=study.name, title_justify="left")
    for name, cells in columns.items():
        fixed = None if in_one and name == "settings" else _column_width(name, cells, folded=folded)
        style = "bold" if name == value else ""
        justify = "left" if name == "settings" else "right"
        table.add_column(name, justify=justify, style=style, overflow="fold", width=fixed)
    for row, cells in zip(listed, zip(*columns.values(), strict=True), strict=True):
        table.add_row(*cells, style="green" if row in found.best else "dim" if row.mean is None else "")
    if len(found.rows) > len(listed):
        table.caption = f"the best {len(listed)} of {len(found.rows):,} combinations; all are in trials.csv"
    return table


def _width(columns: dict[str, list[str]], *, folded: bool) -> int:
    """The width of a table of these columns, with a space on either side of each and lines between them."""
    return sum(_column_width(name, cells, folded=folded) + 3 for name, cells in columns.items()) + 1


def _column_width(name: str, cells: list[str], *, folded: bool) -> int:
    """The minimum width without truncated cells.

    Arguments:
        folded: whether each word of the heading is on a separate line.
    """
    return max(map(len, [*(name.split() if folded else [name]), *cells]), default=0)


def _number(value: float | None, form: str = ".4f") -> str:
    return format(value, form) if value is not None else ""


def _as_json(study, found) -> dict[str, Any]:
    def row(r) -> dict[str, Any]:
        values = {"combination": r.combination, "mean": r.mean, "spread": r.spread, "state": r.state}
        runs = [
            {"run": x.run, "seed": x.seed, "state": x.state, "value": x.value, "message": x.message} for x in r.results
        ]
        return {**values, "runs": runs}

    return {
        "study_dir": str(study.folder),
        "figure": found.figure,
        "best": [r.combination for r in found.best],
        "rows": [row(r) for r in found.rows],
    }
