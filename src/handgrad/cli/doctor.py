"""`handgrad doctor`."""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter
from rich.console import Console

from handgrad.cli.common import default_text, new_app
from handgrad.cli.examination import print_report
from handgrad.cli.settings import SHORT_PAGE, given_settings, with_setting_flags
from handgrad.errors import ConfigError, RunError
from handgrad.training import TrainConfig, doctor, load_run, merge_settings
from handgrad.training.run import is_folder

app = new_app(
    "doctor",
    "Find out why a network does not learn: checks with their evidence, and which setting to change.",
    """
    handgrad doctor runs/digits
    handgrad doctor digits --learning-rate 10
    handgrad doctor --config mine.toml --budget 500
    """,
    "Examines a recipe, settings as for handgrad train, or a run, whose folder is not changed. The report goes to "
    f"RUN/doctor/ or doctor/NAME/. {SHORT_PAGE}\n\n"
    "Exit code 0: nothing is wrong, or there are only warnings. 1: something is wrong. 2: nothing could be examined.",
)
_DOCTOR = Group("Doctor", sort_key=0)


def examine(
    what: Annotated[
        str | None,
        Parameter(name="RECIPE|RUN", group=_DOCTOR, help="recipe or run folder", show_default=default_text("digits")),
    ] = None,
    /,
    *,
    config: Annotated[Path | None, Parameter(group=_DOCTOR, help="TOML file of settings")] = None,
    out: Annotated[
        Path | None,
        Parameter(group=_DOCTOR, help="folder of the report", show_default=default_text("RUN/doctor or doctor/NAME")),
    ] = None,
    budget: Annotated[
        int | None,
        Parameter(
            group=_DOCTOR,
            help="training steps in all checks together",
            show_default=default_text("2000, fewer for large networks"),
        ),
    ] = None,
    json_: Annotated[
        bool, Parameter(name="--json", group=_DOCTOR, negative="", show_default=False, help="print JSON")
    ] = False,
    **settings: Any,
) -> int:
    if budget is not None and budget < 1:
        raise ConfigError(f"budget={budget}: expected a whole number of at least 1")
    settings = given_settings(settings)
    run = None
    folder: Path | None
    if what is not None and is_folder(what):
        run = load_run(what)
        given = merge_settings(None, config, settings)
        wanted = TrainConfig.from_settings(_over(run.config.to_dict(), given))
        name, folder = str(run.path), out or run.path / "doctor"
    else:
        given = merge_settings(what, config, settings)
        if not given.keys() & {"recipe", "dataset", "data"} and config is None:
            given = merge_settings("digits", None, settings)
        wanted = TrainConfig.from_settings(given)
        name = wanted.recipe or f"{wanted.dataset}-{wanted.model}"
        folder = out or Path("doctor") / name
    with _working(json_) as status:
        progress = status.update if status is not None else lambda part: None
        if run is not None:
            report = doctor.examine_run(run, config=wanted, budget=budget, progress=progress)
        else:
            report = doctor.examine(wanted, subject=name, budget=budget, progress=progress)
    failure = None
    try:
        failed = doctor.write_report(report, folder)
    except RunError as error:  # the findings are printed anyway
        failed, failure, folder = [], error, None
    if json_:
        print(json.dumps({**report.to_dict(), "folder": None if folder is None else str(folder)}, indent=2))
    else:
        print_report(report, folder)
    for line in failed:
        print(line, file=sys.stderr)
    if failure is not None:
        if out is not None:
            raise failure
        print(f"the report could not be saved: {failure}", file=sys.stderr)
    return 1 if report.verdict == doctor.PROBLEM else 0


def _over(settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run, overridden by the given ones; max_steps and epochs exclude each other."""
    if "epochs" in given:
        settings.pop("max_steps", None)
    if "max_steps" in given:
        settings.pop("epochs", None)
    return {**settings, **given}


def _working(json_: bool) -> AbstractContextManager:
    console = Console(stderr=True)
    return nullcontext() if json_ or not console.is_terminal else console.status("")


app.default(with_setting_flags(examine))
