"""Shared code of the subcommands."""

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from cyclopts import App, Parameter, Token, convert

Json = Annotated[bool, Parameter(name="--json", negative="", help="print JSON", show_default=False)]
Offline = Annotated[bool, Parameter(negative="", help="never download", show_default=False)]
Weights = Parameter(help="weights of the last step, or of the best evaluation")


def default_text(words: str) -> Any:
    """The `show_default` of a flag whose default is None: a description of what is used instead."""
    return lambda _: words


DataDir = Annotated[
    str | None,
    Parameter(help="folder of the built-in data sets", show_default=default_text("$HANDGRAD_DATA or the user's cache")),
]
Engine = Annotated[
    Literal["numpy", "torch"] | None,
    Parameter(help="compute engine", show_default=default_text("the one that trained the run")),
]
Device = Annotated[
    Literal["cpu", "cuda", "mps"] | None, Parameter(help="device of the torch engine", show_default=default_text("cpu"))
]


def help_page(summary: str, examples: str, details: str = "") -> str:
    """The text at the top of a help page: a summary, examples (one per line), and details."""
    lines = "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
    # Not "Examples:", which cyclopts takes for the section of a docstring and omits.
    return "\n\n".join(part for part in (summary, f"For example:\n{lines}", details) if part)


@contextlib.contextmanager
def input_notes(where: object) -> Iterator[None]:
    """Prints each remark about inputs (`InputWarning`) once to stderr, after `where`."""
    from handgrad.training import InputWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        yield
    for note in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"{where}: {note}", file=sys.stderr)


def whole_numbers(kind: Any, tokens: Sequence[Token]) -> Any:
    """The conversion of cyclopts, except that it rejects fractions for whole numbers instead of rounding them."""
    kinds = {kind, *get_args(kind)}
    for token in tokens if int in kinds and float not in kinds else ():
        if "." in token.value:
            raise ValueError(f"expected a whole number, got {token.value}.")
    return convert(kind, tokens)


def new_app(name: str, summary: str, examples: str, details: str = "") -> App:
    """The application of one subcommand; its help page is plain text and does not list itself."""
    app = App(
        name=f"handgrad {name}",
        help=help_page(summary, examples, details),
        help_format="plaintext",
        version_flags=[],
        default_parameter=Parameter(converter=whole_numbers),
    )
    app["--help"].show = False
    return app
