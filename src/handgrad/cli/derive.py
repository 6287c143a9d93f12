"""`handgrad derive`, `handgrad derive NAME`."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from handgrad import derivations
from handgrad.cli.common import Json, default_text, new_app
from handgrad.errors import ConfigError

app = new_app(
    "derive",
    "Print a derivation step by step; each step is checked numerically. Without a name: the list of derivations.",
    """
    handgrad derive
    handgrad derive batchnorm
    handgrad derive softmax --break 2
    """,
)


@app.default
def derive(
    name: Annotated[str | None, Parameter(help="name of a derivation", show_default=default_text("list them"))] = None,
    /,
    *,
    at: Annotated[
        str | None, Parameter(help="sizes to check at, such as N=4,D=3", show_default=default_text("small ones"))
    ] = None,
    seed: Annotated[int, Parameter(help="seed of the random points")] = 0,
    break_: Annotated[
        int | None, Parameter(name="--break", help="change a sign in this step, to see the check fail")
    ] = None,
    latex: Annotated[bool, Parameter(negative="", help="print the statements in LaTeX", show_default=False)] = False,
    json_: Json = False,
) -> int:
    if name is None:
        given = [flag for flag, value in (("--at", at), ("--seed", seed), ("--break", break_)) if value]
        if given:
            raise ConfigError(f"{given[0]} needs the name of a derivation: handgrad derive NAME {given[0]} ...")
        return _print_list(json_)
    derivation = derivations.get(name)
    results = derivation.check(_sizes(at), seed, break_)
    ok = all(result.ok for result in results)
    if json_:
        print(json.dumps({**_summary(derivation), "ok": ok, "steps": [r.to_dict() for r in results]}, indent=2))
    else:
        _print_derivation(derivation, results, latex)
    return 0 if ok else 1


def _summary(derivation: derivations.Derivation) -> dict:
    return {
        "name": derivation.name,
        "topic": derivation.topic,
        "title": derivation.title,
        "intro": derivation.intro,
        "source": derivation.source,
        "sizes": derivation.sizes,
    }


def _sizes(at: str | None) -> dict[str, int] | None:
    if at is None:
        return None
    sizes = {}
    for part in at.split(","):
        name, equals, number = part.partition("=")
        if not equals or not name.strip() or not number.strip().isdecimal():
            raise ConfigError(f"--at {at}: cannot read {part!r}, expected sizes such as N=4,D=3")
        sizes[name.strip()] = int(number)
    return sizes


def _print_list(as_json: bool) -> int:
    topics = derivations.topics()
    if as_json:
        rows = [{**_summary(d), "steps": len(d.steps)} for ds in topics.values() for d in ds]
        print(json.dumps(rows, indent=2))
        return 0
    console = Console(highlight=False)
    width = max(len(d.name) for ds in topics.values() for d in ds)
    for topic, members in topics.items():
        console.print(Text(topic, "bold"))
        for d in members:
            steps = f"({len(d.steps)} steps)"
            line = Text.assemble("  ", (f"{d.name:<{width}}", "cyan"), "  ", d.title, " ", (steps, "dim"))
            console.print(line, soft_wrap=True)
        console.print()
    console.print("handgrad derive NAME       checks every step and prints it", soft_wrap=True)
    return 0


def _print_derivation(derivation: derivations.Derivation, results: list, latex: bool) -> None:
    console = Console(highlight=False)
    console.print(Text(derivation.title, "bold"))
    if derivation.intro:
        console.print(Text(derivation.intro))
    if derivation.source:
        console.print(Text(f"Source: {derivation.source}", "dim"))
    for result in results:
        mark, style = ("✓", "green") if result.ok else ("✗", "bold red")
        console.print()
        console.print(Text.assemble((f"{result.number:>3} ", "bold"), (mark, style), " ", (result.name, "bold")))
        body = [Text(result.statement if latex else result.text, "cyan"), Text(result.why)]
        if result.broken:
            body.append(Text(f"changed: {result.broken}", "red"))
        measured = f"error {result.error:.1e} against {result.method}"
        body.append(Text(measured if result.ok else f"{measured}, at {result.at}", "dim" if result.ok else "red"))
        if result.link:
            body.append(Text(result.link, "dim"))
        for line in body:
            console.print(Padding(line, (0, 0, 0, 6)), soft_wrap=False)
    failed = [result.number for result in results if not result.ok]
    console.print()
    if failed:
        numbers = ", ".join(map(str, failed))
        console.print(Text(f"{len(failed)} of {len(results)} steps failed: {numbers}", "bold red"))
    else:
        console.print(Text(f"All {len(results)} steps hold.", "bold green"))
