"""Docstrings of the house, turned into what Sphinx reads.

The house writes what a thing means, then sections: `Formula:`, `Arguments:` (or `Args:`), `Returns:`, `Raises:`,
`Attributes:`, `Source:`. A section's text follows its heading on the same line, or indented below it. Here every
section becomes a field. A formula over several lines keeps its lines, as does any block that is indented on its own.
Everything else is plain text: `|`, `*` and `_` mean themselves, and `name` in single backticks is code (and a link,
where the reference has such a name).
"""

from __future__ import annotations

import re
import textwrap

HEADING = re.compile(r"(Formula|Arguments|Args|Returns|Raises|Attributes|Source)((?:,| of )[^:]*)?:(?:\s+(.*))?$")
ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*):(?:\s+(.*))?$")
ITEM = re.compile(r"(- |\d+\. )")
NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*$")


def setup(app):
    app.connect("autodoc-process-docstring", lambda app, kind, name, it, options, lines: replace(lines))
    return {"parallel_read_safe": True}


def replace(lines: list[str]) -> None:
    """Rewrites a docstring in place, as `autodoc-process-docstring` wants it."""
    lines[:] = convert("\n".join(lines)).splitlines()


def convert(docstring: str) -> str:
    """The docstring as reStructuredText."""
    blocks: list[str] = []
    lines = docstring.strip("\n").splitlines()
    while lines:
        if heading := HEADING.match(lines[0]):
            taken = _section(lines, tail=bool(heading[3]))
            blocks.append(_field(heading, taken))
        else:
            taken = next((i for i, line in enumerate(lines) if i and HEADING.match(line)), len(lines))
            blocks.append(_text(lines[:taken]))
            del lines[:taken]
    return "\n\n".join(block for block in blocks if block.strip())


def _section(lines: list[str], tail: bool) -> list[str]:
    """Takes a section's own lines off the front: the indented ones, and those that carry its sentence on."""
    end = 1
    while end < len(lines) and not HEADING.match(lines[end]):
        indented = lines[end][:1].isspace()
        if not lines[end].strip():
            following = next((line for line in lines[end:] if line.strip()), "")
            if not following[:1].isspace():
                break
        elif not indented and not tail:
            break
        end += 1
    section, lines[:] = lines[1:end], lines[end:]
    return section


def _field(heading: re.Match[str], body: list[str]) -> str:
    name, more, tail = heading[1], heading[2] or "", heading[3] or ""
    name = "Arguments" if name == "Args" else name
    if name == "Formula":
        return _with_body(f":Formula{escape(more)}:", _formula(tail, body))
    if name in ("Returns", "Source") or (tail and name != "Raises"):
        text = textwrap.dedent("\n".join(body))
        return _with_body(f":{'returns' if name == 'Returns' else name}:", _text(f"{tail}\n{text}".splitlines()))
    if tail:  # Raises: ConfigError for an unknown kind; DataError where ...
        return _with_body(":Raises:", _text([tail, *(line.strip() for line in body)]))
    if more:
        return _with_body(f":{name}{escape(more)}:", "\n".join(_entries(body, "{}")))
    kind = {"Arguments": ":param {}:", "Attributes": ":ivar {}:", "Raises": ":raises {}:"}[name]
    return "\n".join(_entries(body, kind))


def _formula(tail: str, body: list[str]) -> str:
    """A block whose lines are kept, unless the formula is one sentence."""
    code = textwrap.dedent("\n".join(body)).strip("\n")
    if not tail:
        return _literal(code)
    if not body:
        return escape(tail)
    if not body[0][:1].isspace():  # one sentence over several lines
        return escape(" ".join([tail, *body]))
    if tail.endswith(":"):
        return f"{escape(tail)}\n\n{_literal(code)}"
    return _literal("\n".join([tail, *(line.strip() for line in body)]))


def _entries(body: list[str], form: str) -> list[str]:
    """One field for each `name: text` at the section's own indentation."""
    fields: list[tuple[str, list[str]]] = []
    for line in textwrap.dedent("\n".join(body)).splitlines():
        entry = None if line[:1].isspace() else ENTRY.match(line)
        if entry:
            fields.append((entry[1], [entry[2] or ""]))
        elif fields:
            fields[-1][1].append(line)
        else:
            raise ValueError(f"expected `name: text` in a docstring's section, got {line!r}")
    made = []
    for name, (first, *rest) in fields:
        text = _text([first, *textwrap.dedent("\n".join(rest)).splitlines()])
        if form == "{}":
            made.append(f"``{name}``\n{textwrap.indent(text, '    ')}")
        else:
            made.append(_with_body(form.format(escape(name)), text))
    return [part for field in made for part in ([*field.splitlines(), ""] if form == "{}" else [field])]


def _text(lines: list[str]) -> str:
    """Paragraphs, lists and doctests; a paragraph that stands indented becomes a literal block."""
    parts, paragraph = [], list[str]()
    in_list = False
    for line in [*textwrap.dedent("\n".join(lines)).splitlines(), ""]:
        if line.strip():
            paragraph.append(line)
            continue
        if paragraph:
            first = paragraph[0]
            if first.lstrip().startswith(">>>"):
                parts.append("\n".join(paragraph))
            elif first[:1].isspace() and not in_list and not ITEM.match(first.lstrip()):
                parts.append(_literal(textwrap.dedent("\n".join(paragraph))))
            else:
                parts.append(escape("\n".join(paragraph)))
            in_list = bool(ITEM.match(first.lstrip())) or (in_list and first[:1].isspace())
            paragraph = []
    return "\n\n".join(parts)


def _literal(code: str) -> str:
    return f".. code-block:: text\n\n{textwrap.indent(code, '    ')}"


def _with_body(field: str, text: str) -> str:
    """A field with its text, which may go on over several paragraphs."""
    first, _, rest = text.strip("\n").partition("\n")
    if first.startswith(".. "):
        return f"{field}\n{textwrap.indent(text, '    ')}"
    return f"{field} {first}" + (f"\n{textwrap.indent(rest, '    ')}" if rest else "")


def escape(text: str) -> str:
    """Plain text as reStructuredText, code in backticks."""
    pieces = re.split(r"(``.+?``|`[^`]+`)", text, flags=re.DOTALL)
    text = "".join(_code(piece) if piece.startswith("`") else re.sub(r"([\\*|_])", r"\\\1", piece) for piece in pieces)
    return re.sub(r"^(\s*\(?)([A-Za-z]+[.)](?:\s|$))", r"\1\\\2", text, flags=re.MULTILINE)  # "D." is no list item


def _code(piece: str) -> str:
    inner = " ".join(piece.strip("`").split())
    return f":py:obj:`{inner}`" if NAME.match(inner) else f"``{inner}``"
