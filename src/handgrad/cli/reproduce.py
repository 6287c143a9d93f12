"""`handgrad reproduce`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from handgrad.cli.common import DataDir, Device, Json, Offline, default_text, new_app

app = new_app(
    "reproduce",
    "Reproduce the tables, figures and claims of five published documents, and our records.",
    """
    handgrad reproduce
    handgrad reproduce uva-apr19-a/table-1
    handgrad reproduce uva-apr19-b --budget 1 --out reproduced
    """,
    "Without a name, the list. A name is an entry such as uva-apr19-a/table-4, or a document such as uva-apr19-a for "
    "all of its entries. The pages show the document's results, ours, and a verdict. If a command is interrupted, the "
    "same command continues where it stopped.",
)

_OUT, _RUNS_DIR = Path("reproduced"), Path("runs/reproduce")


@app.default
def reproduce(
    *names: Annotated[str, Parameter(name="NAME", help="table, figure, claim, record or document")],
    budget: Annotated[
        float | None,
        Parameter(help="minutes per entry: reduces seeds, steps and cases; the verdict is then only indicative"),
    ] = None,
    seeds: Annotated[
        int | None, Parameter(help="runs per case", show_default=default_text("the entry's own number"))
    ] = None,
    out: Annotated[Path, Parameter(help="folder for the pages")] = _OUT,
    runs_dir: Annotated[Path, Parameter(help="folder for the runs and their checkpoints")] = _RUNS_DIR,
    index: Annotated[
        bool, Parameter(negative="", help="write an index.md of the pages in --out", show_default=False)
    ] = False,
    threads: Annotated[int | None, Parameter(help="threads per step", show_default=default_text("all"))] = None,
    workers: Annotated[
        int | None,
        Parameter(help="worker processes, if a search trains the cases", show_default=default_text("one per core")),
    ] = None,
    engine: Annotated[
        Literal["numpy", "torch"] | None, Parameter(help="compute engine", show_default=default_text("numpy"))
    ] = None,
    device: Device = None,
    data_dir: DataDir = None,
    offline: Offline = False,
    json_: Json = False,
) -> int:
    from handgrad.reproduce import chosen_entries, reproduce, write_index, write_page
    from handgrad.reproduce.pages import as_json, check_out
    from handgrad.training import Interrupted

    chosen = chosen_entries(names)
    if not chosen and not index:
        _list(out, json_)
        return 0
    check_out(out)
    given = {"threads": threads, "engine": engine, "device": device, "data_dir": data_dir, "offline": offline or None}
    settings = {name: value for name, value in given.items() if value is not None}
    found = []
    for entry in chosen:
        try:
            with _watcher(json_) as watcher:
                outcome = reproduce(
                    entry,
                    runs_dir=runs_dir,
                    budget=budget,
                    seeds=seeds,
                    settings=settings,
                    workers=workers,
                    watcher=watcher,
                )
        except Interrupted as stopped:
            options = {"budget": budget, "seeds": seeds, "out": out, "runs_dir": runs_dir, "index": index}
            command = _command(names, {**options, **settings, "workers": workers, "json": json_})
            raise Interrupted(f"{stopped}. Resume with: {command}") from None
        path, problems = write_page(outcome, out)
        for problem in problems:
            print(problem, file=sys.stderr)
        found.append({**as_json(outcome), "page": str(path)})
        if not json_:
            _show(outcome, path)
    if index:
        path = write_index(out)
        print(path, file=sys.stderr if json_ else sys.stdout)
    if json_:
        print(json.dumps(found, indent=2))
    return 0


def _command(names: tuple[str, ...], options: dict[str, Any]) -> str:
    """The command with these options, without those that have their default."""
    words = ["handgrad", "reproduce", *names]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value not in (None, False, _OUT, _RUNS_DIR):
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def _list(out: Path, json_: bool) -> None:
    from handgrad.reproduce import DOCUMENTS, all_entries, read_results

    entries, results = all_entries(), read_results(out)
    if json_:
        rows = [
            {
                "name": e.name,
                "kind": e.kind,
                "title": e.title,
                "cases": len(e.cases),
                "seeds": e.seeds,
                "verdict": results.get(e.name, {}).get("verdict"),
            }
            for e in entries.values()
        ]
        print(json.dumps(rows, indent=2))
        return
    console = Console(highlight=False)
    for document, title in DOCUMENTS.items():
        console.print(Text(f"{title}\n", style="bold"))
        for entry in entries.values():
            if entry.document == document:
                runs = len(entry.cases) * entry.seeds
                counted = f"{runs:,} run{'s' * (runs > 1)}" if entry.trains else ""
                verdict = results.get(entry.name, {}).get("verdict", "")
                said = [Text(entry.name), Text(counted), Text(verdict, style=_STYLES.get(verdict, ""))]
                console.print(Padding(Text("   ").join(text for text in said if text), (0, 0, 0, 2), expand=False))
                console.print(Padding(Text(entry.title, style="dim"), (0, 0, 0, 6), expand=False))
        console.print()
    console.print("handgrad reproduce NAME runs one; --budget MINUTES scales it down.")


_STYLES = {
    "reproduced": "green",
    "reached": "green",
    "contradicted": "red",
    "missed": "red",
    "above": "yellow",
    "below": "yellow",
}


def _show(outcome: Any, path: Path) -> None:
    from handgrad.reproduce.pages import statement_rows, table_rows, verdict_line

    console = Console(highlight=False)
    for head, rows in (
        (("case", "metric", "document", "here", "allowance", "verdict"), list(table_rows(outcome))),
        (("statement", "here", "difference", "pairs", "verdict"), list(statement_rows(outcome))),
    ):
        if rows:
            table = Table(title=outcome.entry.name, title_justify="left")
            for name in head:
                numbers = name in ("document", "here", "allowance", "difference", "pairs")
                table.add_column(name, justify="right" if numbers else "left")
            for row in rows:
                table.add_row(*row[:-1], Text(row[-1], style=_STYLES.get(row[-1], "")))
            console.print(table)
    console.print(Text(f"{outcome.entry.name}: {verdict_line(outcome)}", style="bold"), soft_wrap=True)
    console.print(str(path), soft_wrap=True)


def _watcher(json_: bool):
    from handgrad.cli.reporting import TerminalReporter
    from handgrad.reproduce import Watcher

    lines = json_ or not sys.stdout.isatty()
    stream = sys.stderr if json_ else sys.stdout

    class Shown(Watcher):
        """One line per run; on a terminal also the progress bar of the current run."""

        bar: TerminalReporter | None = None

        def __enter__(self):
            return self

        def __exit__(self, *_) -> None:
            if self.bar is not None:
                self.bar.__exit__(*_)

        def began(self, case, seed, number, runs) -> None:
            self.__exit__(None, None, None)
            self.bar = None if lines else TerminalReporter()
            print(f"run {number} of {runs}: {case}, seed {seed}", file=stream, flush=True)

        def started(self, *about) -> None:
            if self.bar is not None:
                self.bar.started(*about)

        def stepped(self, step, loss) -> None:
            if self.bar is not None:
                self.bar.stepped(step, loss)

        def note(self, text) -> None:
            print(text, file=sys.stderr, flush=True)

    return Shown()
