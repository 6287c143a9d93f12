"""What every subcommand shares."""

from typing import Annotated

from cyclopts import App, Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="print JSON", show_default=False)]
Offline = Annotated[bool, Parameter(negative="", help="never download", show_default=False)]
DataDir = Annotated[str | None, Parameter(help="folder of the data [$HANDGRAD_DATA, else the user's cache]")]
Engine = Annotated[str | None, Parameter(help="what computes, numpy or torch [what trained the run]")]
Device = Annotated[str | None, Parameter(help="where the torch engine computes: cpu, cuda or mps")]


def new_app(name: str, help: str) -> App:
    """The application of one subcommand; its help page is plain text and does not list itself."""
    app = App(name=f"handgrad {name}", help=help, help_format="plaintext", version_flags=[])
    app["--help"].show = False
    return app
