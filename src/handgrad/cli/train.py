"""`handgrad train`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from handgrad import training
from handgrad.cli.common import default_text, new_app
from handgrad.cli.examination import print_report, print_watched
from handgrad.cli.reporting import LineReporter, QuietReporter, TerminalReporter, print_result
from handgrad.cli.settings import SHORT_PAGE, given_settings, with_setting_flags
from handgrad.engines.processes import here
from handgrad.errors import ConfigError

app = new_app(
    "train",
    "Train a network, and write a run folder with its settings, metrics, curves and weights. Without arguments: the "
    "recipe digits.",
    """
    handgrad train
    handgrad train --recipe cmu-mnist
    handgrad train --data table.csv --target price
    handgrad train --dataset mnist --hidden-units 256,128 --norm batch --epochs 10
    handgrad train --run-dir runs/digits --resume
    """,
    f"A flag overrides --config, and --config overrides --recipe. {SHORT_PAGE}",
)
_RUN = Group("Run", sort_key=0)
_SWITCH: Any = {"negative": "", "show_default": False}


def train(
    *,
    recipe: Annotated[str | None, Parameter(group=_RUN, help="start from this recipe, see handgrad recipes")] = None,
    config: Annotated[
        Path | None, Parameter(group=_RUN, help="TOML file of settings, such as config.toml of a run")
    ] = None,
    run_dir: Annotated[
        Path | None, Parameter(group=_RUN, help="run folder", show_default=default_text("a new folder in runs/"))
    ] = None,
    resume: Annotated[
        bool, Parameter(group=_RUN, help="resume the run in --run-dir from its last checkpoint", **_SWITCH)
    ] = False,
    quiet: Annotated[bool, Parameter(group=_RUN, help="print only the result", **_SWITCH)] = False,
    doctor: Annotated[
        bool,
        Parameter(group=_RUN, help="check the settings first and watch the run, see handgrad doctor", **_SWITCH),
    ] = False,
    tensorboard: Annotated[
        bool,
        Parameter(
            group=_RUN, help="also write event files for TensorBoard (requires the extra tensorboard)", **_SWITCH
        ),
    ] = False,
    json_: Annotated[bool, Parameter(name="--json", group=_RUN, help="print the summary as JSON", **_SWITCH)] = False,
    **settings: Any,
) -> int:
    settings = given_settings(settings)
    if doctor and here().count > 1:
        raise ConfigError("--doctor supports only one process, and torchrun started several: leave it out")
    inner = _reporter(quiet, json_)
    with _watched(inner, quiet or json_) if doctor else inner as reporter:
        options = {"run_dir": run_dir, "resume": resume, "tensorboard": tensorboard}
        run = training.train(recipe, config_file=config, reporter=reporter, **options, **settings)
    if here().rank > 0:
        return 0  # the first process reports the result
    if json_:
        print(json.dumps({"run_dir": str(run.path), **run.summary}, indent=2))
    else:
        print_result(run)
    if doctor:
        print_watched(reporter, sys.stderr if json_ else sys.stdout)
    return 0


app.default(with_setting_flags(train))


def _reporter(quiet: bool, json_: bool):
    if quiet:
        return QuietReporter()
    if json_ or not sys.stdout.isatty():
        return LineReporter(sys.stderr if json_ else sys.stdout)
    return TerminalReporter()


def _watched(reporter, silent: bool):
    from handgrad.training.doctor import Watch

    return Watch(reporter, begun=lambda report: None if silent else print_report(report))
