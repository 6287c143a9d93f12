"""`handgrad train`."""

import dataclasses
import inspect
import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from handgrad import training
from handgrad.cli.common import new_app
from handgrad.cli.reporting import LineReporter, QuietReporter, TerminalReporter, print_result
from handgrad.errors import ConfigError
from handgrad.training.config import GROUPS, TrainConfig

app = new_app(
    "train",
    "Train a network with hand-derived gradients.\n\nWithout arguments: the recipe digits. "
    "Flags go over --config, --config goes over --recipe.",
)
_RUN = Group("Run", sort_key=0)
_SWITCH: Any = {"negative": "", "show_default": False}


def train(
    *,
    recipe: Annotated[str | None, Parameter(group=_RUN, help="a recipe by name, see handgrad recipes")] = None,
    config: Annotated[
        Path | None, Parameter(group=_RUN, help="a TOML file of settings, like config.toml of a run")
    ] = None,
    run_dir: Annotated[Path | None, Parameter(group=_RUN, help="the run folder [a new one in runs/]")] = None,
    resume: Annotated[bool, Parameter(group=_RUN, help="go on with the run in --run-dir", **_SWITCH)] = False,
    quiet: Annotated[bool, Parameter(group=_RUN, help="print the result only", **_SWITCH)] = False,
    json_: Annotated[bool, Parameter(name="--json", group=_RUN, help="print the summary as JSON", **_SWITCH)] = False,
    **settings: Any,
) -> int:
    settings = {name: value for name, value in settings.items() if value is not None}
    if "hidden_units" in settings:
        settings["hidden_units"] = _units(settings["hidden_units"])
    with _reporter(quiet, json_) as reporter:
        run = training.train(recipe, config_file=config, run_dir=run_dir, resume=resume, reporter=reporter, **settings)
    if json_:
        print(json.dumps({"run_dir": str(run.path), **run.summary}, indent=2))
    else:
        print_result(run)
    return 0


def _setting_flags() -> list[inspect.Parameter]:
    """A flag for each setting of `TrainConfig`, None where it is not given."""
    types = {"int": int, "float": float, "bool": bool}
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    flags = []
    for order, (heading, names) in enumerate(GROUPS.items(), start=1):
        for name in names:
            field = fields[name]
            shown = f" [{_shown(field.default)}]" if field.default is not None else ""
            kind = types.get(str(field.type).removesuffix(" | None"), str)
            how = Parameter(help=field.metadata["help"] + shown, group=Group(heading, sort_key=order))
            flags.append(
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, how]
                )
            )
    return flags


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _with_setting_flags(function):
    """The function with `**settings` spelled out in its signature, which is what the help and the parser go by."""
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *_setting_flags()])
    return function


app.default(_with_setting_flags(train))


def _units(text: str) -> tuple[int, ...]:
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"hidden_units={text}: expected whole numbers above 0, as 100,50, or none") from None


def _reporter(quiet: bool, json_: bool):
    if quiet:
        return QuietReporter()
    if json_ or not sys.stdout.isatty():
        return LineReporter(sys.stderr if json_ else sys.stdout)
    return TerminalReporter()
