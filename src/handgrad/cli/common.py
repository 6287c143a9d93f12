"""What every subcommand shares."""

from collections.abc import Sequence
from typing import Annotated, Any, get_args

from cyclopts import App, Parameter, Token, convert

Json = Annotated[bool, Parameter(name="--json", negative="", help="print JSON", show_default=False)]
Offline = Annotated[bool, Parameter(negative="", help="never download", show_default=False)]
DataDir = Annotated[str | None, Parameter(help="folder of the data [$HANDGRAD_DATA, else the user's cache]")]
Engine = Annotated[str | None, Parameter(help="what computes, numpy or torch [what trained the run]")]
Device = Annotated[str | None, Parameter(help="device of the torch engine: cpu, cuda or mps")]


def whole_numbers(kind: Any, tokens: Sequence[Token]) -> Any:
    """Cyclopts' own conversion, but for fractions where a whole number is meant: those it would round."""
    kinds = {kind, *get_args(kind)}
    for token in tokens if int in kinds and float not in kinds else ():
        if "." in token.value:
            raise ValueError(f"expected a whole number, got {token.value}.")
    return convert(kind, tokens)


def new_app(name: str, help: str) -> App:
    """The application of one subcommand; its help page is plain text and does not list itself."""
    app = App(
        name=f"handgrad {name}",
        help=help,
        help_format="plaintext",
        version_flags=[],
        default_parameter=Parameter(converter=whole_numbers),
    )
    app["--help"].show = False
    return app
