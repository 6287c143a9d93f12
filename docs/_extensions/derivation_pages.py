"""Directives of the derivation pages. Each runs what it shows: a step that fails stops the build.

`derivation` shows a derivation step by step; `derivation-list` names them all; `computation-graph` draws one with its
numbers; `published-equations` judges the results of the five documents; `solution` hides its content until asked for.
"""

from __future__ import annotations

from pathlib import Path

from computation_graphs import GRAPHS, draw
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from handgrad import derivations


def _paragraph(*children, classes=()):
    return nodes.paragraph("", "", *children, classes=list(classes))


def _formula(latex: str) -> nodes.math_block:
    block = nodes.math_block(latex, latex, nowrap=False, number=None, label=None)
    block["no-wrap"] = False
    return block


class DerivationDirective(SphinxDirective):
    required_arguments = 1

    def run(self):
        self.env.note_reread()  # what it runs may have changed although the page has not
        derivation = derivations.get(self.arguments[0])
        results = derivation.check()
        if failed := [result for result in results if not result.ok]:
            raise ExtensionError(f"{derivation.name}, step {failed[0].number}: measured error {failed[0].error:.1e}")
        section = nodes.container(classes=["derivation"])
        if derivation.intro:
            section += _paragraph(nodes.Text(derivation.intro))
        for step, result in zip(derivation.steps, results, strict=True):
            shown = nodes.container(classes=["step"])
            shown += _paragraph(nodes.strong("", f"{result.number}. {step.name}"), classes=["step-name"])
            shown += _formula(step.statement)
            shown += _paragraph(nodes.Text(step.why))
            shown += nodes.literal_block(step.source(), step.source(), language="python")
            error = f"{result.error:.0e}" if result.error else "0"
            checked = f"✓ {result.method}: error {error} ({result.at})"
            line = [nodes.Text(checked)]
            if result.link:
                line += [nodes.Text(" · in the code: "), nodes.literal("", result.link)]
            shown += _paragraph(*line, classes=["step-checked"])
            section += shown
        if derivation.source:
            section += _paragraph(nodes.emphasis("", f"Source: {derivation.source}."))
        command = f"handgrad derive {derivation.name}"
        section += _paragraph(nodes.Text("In the terminal: "), nodes.literal("", command))
        return [section]


class DerivationListDirective(SphinxDirective):
    def run(self):
        self.env.note_reread()  # what it runs may have changed although the page has not
        body = nodes.bullet_list()
        for topic, members in derivations.topics().items():
            item = nodes.list_item("", _paragraph(nodes.strong("", topic)))
            inner = nodes.bullet_list()
            for derivation in members:
                steps = f": {derivation.title} ({len(derivation.steps)} steps)"
                inner += nodes.list_item("", _paragraph(nodes.literal("", derivation.name), nodes.Text(steps)))
            item += inner
            body += item
        return [body]


class ComputationGraphDirective(SphinxDirective):
    required_arguments = 1

    def run(self):
        self.env.note_reread()  # what it runs may have changed although the page has not
        name = self.arguments[0]
        if name not in GRAPHS:
            raise ExtensionError(f"there is no computation graph {name!r}")
        folder = Path(self.env.app.outdir) / "_images"
        folder.mkdir(parents=True, exist_ok=True)
        caption = draw(name, folder / f"graph-{name}.png")
        depth = self.env.docname.count("/")
        html = (
            f'<figure class="computation-graph"><img src="{"../" * depth}_images/graph-{name}.png" alt="{caption}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
        return [nodes.raw("", html, format="html")]


def _in_numbers(counterexample) -> str:
    shown = {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in counterexample.items() if v != []}
    words = {"left": "the quantity itself is", "as_written": "the right side as written is", "entry": "at entry"}
    return "In numbers: " + ", ".join(f"{words.get(key, key)} {value}" for key, value in shown.items()) + "."


class PublishedEquationsDirective(SphinxDirective):
    def run(self):
        self.env.note_reread()  # what it runs may have changed although the page has not
        from docs import published

        results = published.evaluate()
        body = []
        for document in dict.fromkeys(result.document for result in results):
            body.append(nodes.rubric("", document))
            for result in (r for r in results if r.document == document):
                entry = nodes.container(classes=["claim", "verdict-" + result.verdict.replace(" ", "-")])
                entry += _paragraph(
                    nodes.strong("", result.place),
                    nodes.Text(": "),
                    nodes.inline("", result.verdict, classes=["verdict"]),
                )
                entry += _formula(result.statement)
                if result.condition:
                    entry += _paragraph(nodes.Text(f"Condition: {result.condition}."))
                if result.explanation:
                    entry += _paragraph(nodes.Text(result.explanation))
                if result.reason:
                    entry += _paragraph(nodes.Text(result.reason))
                if result.correction:
                    conditional = result.verdict == "holds with a condition"
                    entry += _paragraph(nodes.Text("In general:" if conditional else "The right form:"))
                    entry += _formula(result.correction)
                if result.counterexample:
                    entry += _paragraph(nodes.Text(_in_numbers(result.counterexample)), classes=["in-numbers"])
                body.append(entry)
            body.append(_paragraph(nodes.emphasis("", "Not judged, and why")))
            items = [nodes.list_item("", _paragraph(nodes.Text(f"{a}: {b}"))) for a, b in published.LEFT_OUT[document]]
            body.append(nodes.bullet_list("", *items))
        return body


class SolutionDirective(SphinxDirective):
    has_content = True

    def run(self):
        inside = nodes.container()
        self.state.nested_parse(StringList(self.content), self.content_offset, inside)
        return [
            nodes.raw("", "<details class='solution'><summary>Solution</summary>", format="html"),
            *inside.children,
            nodes.raw("", "</details>", format="html"),
        ]


def setup(app):
    app.add_directive("derivation", DerivationDirective)
    app.add_directive("derivation-list", DerivationListDirective)
    app.add_directive("computation-graph", ComputationGraphDirective)
    app.add_directive("published-equations", PublishedEquationsDirective)
    app.add_directive("solution", SolutionDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
