"""The command `handgrad`: one file per subcommand, without logic.

This file imports nothing that takes time, so that `handgrad --help` responds at once; the requested subcommand is
imported by name.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import sys

from handgrad.cli import output

#: Every subcommand, which is the name of the file in this folder with its `app`, and its description.
COMMANDS = {
    "train": "train a network; writes a run folder with metrics and weights",
    "evaluate": "evaluate a run on its data or on new data",
    "predict": "predict the class, or the targets, of each input in a file",
    "search": "train many combinations of settings and report the best",
    "report": "write runs and studies as one HTML page, or as tables for a paper",
    "reproduce": "reproduce published tables, figures and claims",
    "export": "write a network as Python, ONNX, PyTorch or safetensors",
    "import": "make a run from weights that were trained elsewhere",
    "compare": "compare two runs: at which step and layer they diverge",
    "doctor": "find out why a network does not learn",
    "check-run": "check that the files of a run are intact",
    "show": "show a network's layers, shapes and parameters",
    "recipes": "list the recipes: complete configurations by name",
    "data": "list, download and check data sets; check your own data",
    "check": "check hand-written layers and name each bug",
    "derive": "print a derivation, each step checked numerically",
    "speech": "prepare recordings, classify and label them frame by frame",
    "courses": "working files for the assignments of two courses",
}

_PAGE = """\
{bold}handgrad{reset}  neural networks whose every gradient is derived by hand

{bold}Get started{reset}
  handgrad train                        digits, a few seconds, no download
  handgrad train --recipe cmu-mnist     one of the recipes
  handgrad train --data table.csv --target COLUMN
  handgrad train --dataset mnist --hidden-units 256,128 --norm batch --epochs 10

{bold}Commands{reset}
{commands}

{bold}More{reset}
  handgrad COMMAND --help               examples and the usual flags
  handgrad COMMAND --help-all           all flags
  handgrad --version                    versions, for a bug report
  handgrad --install-completion bash    shell completion; also zsh, fish

Each run writes a folder in runs/ with its curves, metrics and weights. After
Ctrl-C or a crash, --run-dir FOLDER --resume continues it, bit for bit.
"""


#: Commands that write their results to files: if stdout cannot be written to, they report it, continue and succeed.
_LEAVE_FILES = ("train", "search", "reproduce", "doctor", "courses", "speech", "report")
#: Subcommands of these that print their results.
_ANSWER = (["search", "show"], ["speech", "evaluate"])


def main(argv: list[str] | None = None) -> int:
    """Runs the command with these arguments (by default the process's own) and returns its exit code.

    0: success. 1: the loss of a run is no longer finite. 2: invalid input, or the result could not be written to
    stdout; one line on stderr says what is wrong. 130: interrupted, everything is saved.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    answers = "--json" in arguments or "--format" in arguments or arguments[:2] in _ANSWER
    asks = {"--help", "-h", "--help-all"} & {*arguments}
    leaves_files = bool(arguments) and arguments[0] in _LEAVE_FILES and not answers and not asks

    def stdout_lost(stdout: output.Stream) -> None:
        if "--watch" in arguments:  # it would run forever: end it like Ctrl-C does
            raise KeyboardInterrupt
        if leaves_files:
            print(f"handgrad: {stdout.why_lost}; the command continues without it", file=sys.stderr)

    with output.safe_streams(stdout_lost) as stdout:
        code = _main(arguments)
        with contextlib.suppress(KeyboardInterrupt):
            stdout.flush()
        if code == 0 and not leaves_files and stdout.lost is not None and not stdout.closed_by_reader:
            return _complain(f"{stdout.why_lost}. Free some space or write to a different place")
        return code


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_page(), end="")
        return 0
    if arguments[0] == "--version":
        from handgrad import __version__

        print(f"handgrad {__version__}")
        print(_versions())
        return 0
    if arguments[0] == "--install-completion":
        return _install_completion(arguments[1:])
    if (place := _empty(arguments)) is not None:
        return _complain(f"{place} is empty: expected a value; is a variable of your shell not set?")
    name, *rest = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else "see handgrad --help"
        return _complain(f"there is no command {name!r}: {hint}")
    try:
        return _run(name, rest)
    except KeyboardInterrupt:
        return _complain("interrupted before there was anything to save", 130)


def _run(name: str, arguments: list[str]) -> int:
    from cyclopts import CycloptsError, UnknownOptionError

    from handgrad.errors import HandgradError, NonFiniteError

    app = _app(name)
    arguments = ["--help" if argument == "--help-all" else argument for argument in arguments]
    trust = contextlib.nullcontext()
    if "--trust" in arguments:
        from handgrad.training.checksums import trusted

        arguments.remove("--trust")
        trust = trusted()
    try:
        with trust:
            result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        return result or 0
    except UnknownOptionError as error:
        flag = error.token.keyword or error.token.value
        known = _meant(flag, error.argument_collection)
        said = f"there is no {flag}: {known}." if known else " ".join(str(error).split())
        return _complain(f"{said} See handgrad {name} --help-all")
    except CycloptsError as error:
        return _complain(f"{' '.join(str(error).split())} See handgrad {name} --help")
    except NonFiniteError as error:
        return _complain(str(error), 1)
    except HandgradError as error:
        return _complain(str(error), getattr(error, "exit_code", 2))
    except OSError as error:
        if error.filename is None:
            raise
        return _complain(f"{error.filename}: {error.strerror}. Choose another file or folder")
    except MemoryError:
        return _complain("not enough memory: try a smaller --batch-size, data set or network")


def _meant(flag: str, arguments) -> str | None:
    """A suggestion for a flag of other libraries, if this command has a counterpart."""
    from handgrad.training.synonyms import ELSEWHERE, NO_SETTING, plain

    names = {name for argument in arguments for name in argument.names}
    name = plain(flag)
    if name in NO_SETTING and "--learning-rate" in names:
        return NO_SETTING[name]
    meant = "--" + ELSEWHERE.get(name, name).replace("_", "-")
    return f"use {meant}" if meant in names else None


def _versions() -> str:
    """Information for a bug report: Python, the system, and the installed libraries, which are not imported."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    lines = [f"Python {platform.python_version()} on {platform.platform()}"]
    for library in (
        "numpy",
        "numba",
        "torch",
        "matplotlib",
        "safetensors",
        "cyclopts",
        "rich",
        "pillow",
        "scikit-learn",
    ):
        with contextlib.suppress(PackageNotFoundError):
            lines.append(f"{library} {version(library)}")
    return "\n".join(lines)


def _install_completion(arguments: list[str]) -> int:
    """Writes a completion script for the given shell, by default the current one."""
    from cyclopts import App

    shell = arguments[0] if arguments else os.path.basename(os.environ.get("SHELL", ""))  # noqa: PTH119
    if shell not in ("bash", "zsh", "fish"):
        return _complain(
            f"--install-completion: shell={shell!r}: name one of bash, zsh, fish, as --install-completion bash"
        )
    sys.argv.append("--help-all")  # complete every setting
    whole = App(name="handgrad", help=_PAGE.splitlines()[0], help_format="plaintext")
    for name in COMMANDS:
        whole.command(_app(name), name=name)
    path = whole.install_completion(shell=shell)
    print(f"completion for {shell} is in {path}; open a new shell to use it")
    return 0


def _app(name: str):
    """The application of a subcommand."""
    return importlib.import_module(f"handgrad.cli.{name.replace('-', '_')}").app


def _empty(arguments: list[str]) -> str | None:
    """A description of an empty argument, if any; as the name of a folder, '' would mean the current one."""
    for i, argument in enumerate(arguments):
        flag = arguments[i - 1] if i and arguments[i - 1].startswith("--") else f"argument {i}"
        if argument.startswith("--") and argument.endswith("="):
            flag, argument = argument[:-1], ""
        if not argument and flag != "--hidden-units":
            return flag
    return None


def _complain(message: str, code: int = 2) -> int:
    red, reset = ("\033[31m", "\033[0m") if _colored(sys.stderr) else ("", "")
    print(f"{red}handgrad: {'error: ' if code != 130 else ''}{reset}{message}", file=sys.stderr)
    return code


def _page() -> str:
    bold, reset = ("\033[1m", "\033[0m") if _colored(sys.stdout) else ("", "")
    commands = "\n".join(f"  {name:<11}{text}" for name, text in COMMANDS.items())
    return _PAGE.format(bold=bold, reset=reset, commands=commands)


def _colored(stream) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
