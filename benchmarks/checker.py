"""Measures how well `handgrad check` finds and names bugs: single and paired mutations, and independently written
programs.

`python -m benchmarks.checker [--json] [--quick]`

- **Mutants**: correct hand-ins (`tests/checking/handins`), each broken in one or two places; in pairs, both bugs must
  be named. They run in this process, because there are thousands; the programs run in the sandbox like any hand-in.
- **Programs** (`tests/checking/programs`): written blind, by someone who had not read the diagnosis, and frozen
before it
  was tuned on them. `NAMES` says which ids count as the right name of a bug; it was written from the programs' own
  list of
  bugs, before the checker was run on them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import time
import tomllib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tests.checking import course_programs as course_programs_index
from tests.checking import mutation
from tests.checking.mutations_cmu import CMU_2019
from tests.checking.mutations_cmu_2022 import MUTATIONS as CMU_2022
from tests.checking.mutations_cs231n import CS231N
from tests.checking.mutations_cs231n import PAIRS as CACHED_PAIRS
from tests.checking.mutations_other import CMU_2020, FUNCTION_MUTATIONS, LAYER, UVA_NORM
from tests.checking.mutations_uva import UVA_2020, UVA_2021, UVA_APR19, UVA_NOV19

from handgrad.checking import check

PROGRAMS = Path(__file__).parents[1] / "tests" / "checking" / "programs"

#: Contract -> mutations of its hand-in, and whether they need PyTorch.
MUTANTS: dict[str, tuple[Sequence[mutation.Mutation], bool]] = {
    "cmu-2019": (CMU_2019, False),
    "cmu-2020": (CMU_2020, False),
    "uva-apr19": (UVA_APR19, False),
    "uva-nov19": (UVA_NOV19, False),
    "uva-2020": (UVA_2020, False),
    "uva-2021": (UVA_2021, False),
    "cmu-2022": (CMU_2022, False),
    "cs231n": (CS231N, False),
    "pairs": (CACHED_PAIRS, False),
    "layer": (LAYER, False),
    "function": (FUNCTION_MUTATIONS, False),
    "uva-norm": (UVA_NORM, True),
}

PAIRS = 60
"""Pairs drawn for each contract; `--quick` takes fewer."""

#: What the programs' authors call a bug -> the ids that are the right name for it. Some ids do not exist (yet): such a
#: bug counts as not named.
NAMES: dict[str, tuple[str, ...]] = {
    "activation-after-last-layer": ("activation-at-the-end",),
    "activation-derivative-left-out": ("derivative-missing",),
    "batch-size-hard-coded": ("batch-size-hard-coded",),
    "bias-grad-averaged": ("bias-gradient-averaged", "batch-mean-unwanted"),
    "bias-grad-not-stored": ("bias-gradient-zero", "gradient-not-stored"),
    "bias-unused": ("bias-unused",),
    "bn-activation-order-in-backward": ("backward-order",),
    "bn-alpha-swapped": ("running-alpha-swapped",),
    "bn-dmean-not-divided": ("norm-mean-not-averaged",),
    "bn-dmean-sign": ("norm-mean-sign",),
    "bn-dvar-power": ("variance-power",),
    "bn-eval-batch-stats": ("evaluation-batch-figures",),
    "bn-eval-no-sqrt": ("root-missing",),
    "bn-gamma-forgotten": ("gamma-forgotten",),
    "bn-param-grad-averaged": ("norm-parameter-averaged",),
    "bn-running-var-unbiased": ("running-unbiased", "bessel"),
    "bn-step-without-lr": ("learning-rate-missing",),
    "bn-var-constant": ("norm-variance-constant",),
    "bn-var-unbiased": ("bessel",),
    "ce-averaged-over-classes": ("averaged-over-classes",),
    "ce-backward-needs-forward": ("needs-forward",),
    "ce-backward-not-averaged": ("batch-mean-missing",),
    "ce-fused-gradient": ("fused-gradient",),
    "ce-summed": ("batch-mean-missing",),
    "conv-dx-overwritten": ("overlap-overwritten",),
    "db-not-averaged": ("bias-gradient-not-averaged", "batch-mean-missing"),
    "db-summed-over-features": ("summed-over-everything", "reduced-over-wrong-axis"),
    "derivative-at-input": ("derivative-at-input",),
    "derivative-bool": ("boolean-derivative",),
    "derivative-overwrites-state": ("state-overwritten",),
    "dgamma-dbeta-swapped": ("dgamma-dbeta-exchanged",),
    "dout-changed-in-place": ("input-changed",),
    "dw-averaged-twice": ("batch-mean-twice",),
    "dw-not-averaged": ("batch-mean-missing",),
    "dx-from-weight-gradient": ("dx-from-dweight",),
    "elu-alpha-forgotten": ("alpha-ignored", "alpha-misplaced"),
    "elu-function-as-derivative": ("function-for-derivative",),
    "elu-overflow-nan": ("overflow",),
    "elu-slope-everywhere": ("wrong-derivative",),
    "eps-in-loss-only": ("eps-not-in-derivative", "eps-value"),
    "eps-outside-sqrt": ("eps-misplaced",),
    "float64-constant": ("float32-lost",),
    "gamma-beta-no-parameter": ("not-a-parameter",),
    "gelu-cube-derivative": ("wrong-derivative",),
    "hinge-correct-class-count": ("wrong-derivative",),
    "init-reseeds": ("init-reseeded",),
    "init-uniform": ("init-distribution", "init-spread", "init-mean"),
    "integer-typing-by-first-element": ("whole-numbers",),
    "kaiming-no-square-root": ("init-spread",),
    "leaky-slope-sign": ("slope-sign",),
    "ln-gamma-forgotten": ("gamma-forgotten",),
    "ln-mean-constant": ("norm-mean-constant",),
    "ln-param-grad-averaged": ("norm-parameter-averaged",),
    "ln-wrong-axis": ("reduced-over-wrong-axis",),
    "loss-averaged": ("loss-averaged",),
    "loss-derivative-averaged": ("batch-mean-unwanted",),
    "loss-gradient-not-averaged": ("batch-mean-missing",),
    "lr-twice": ("learning-rate-twice",),
    "maxpool-as-average": ("pooling-spread",),
    "momentum-average": ("momentum-average",),
    "momentum-not-on-bias": ("momentum-ignored",),
    "momentum-on-bn": ("momentum-on-gamma-beta",),
    "momentum-sign": ("update-sign", "momentum-sign"),
    "needs-input-grad-swapped": ("needs-input-grad",),
    "num-bn-layers-ignored": ("norm-first-layer-only",),
    "one-hot-width-from-largest-label": ("one-hot-width",),
    "params-shared-by-class": ("shared-between-objects",),
    "params-updated-in-backward": ("parameter-changed",),
    "product-rule-forgotten": ("wrong-derivative",),
    "projection-sign": ("sign-inside",),
    "relu-in-place": ("input-changed",),
    "relu-slope-min-out-1": ("derivative-clipped-output",),
    "running-stats-aliased": ("running-aliased", "evaluation-updates-running"),
    "second-derivative": ("derivative-twice", "wrong-derivative"),
    "sigmoid-applied-twice": ("derivative-at-output",),
    "sigmoid-derivative-sign": ("sign-inside",),
    "softmax-diagonal-only": ("softmax-jacobian-diagonal",),
    "softmax-global-shift": ("softmax-global-shift",),
    "softmax-jacobian-from-input": ("softmax-at-input",),
    "softmax-jacobian-index": ("softmax-jacobian",),
    "softmax-no-shift": ("softmax-no-shift",),
    "softmax-pass-through": ("softmax-backward-passes-through",),
    "softmax-shift-by-mean": ("softmax-shift-not-max",),
    "softmax-whole-array": ("softmax-global",),
    "softmax-wrong-axis": ("softmax-axis",),
    "stale-cache-list": ("stale-state",),
    "stats-no-shuffle": ("statistics-not-shuffled",),
    "stats-validation-in-train-mode": ("statistics-validation-mode",),
    "tanh-derivative-unsquared": ("square-missing",),
    "tanh-overflow": ("overflow",),
    "upstream-gradient-ignored": ("upstream-missing",),
    "zero-grads-no-op": ("zero-grads-does-nothing",),
}


def torch_or_none(wanted: bool) -> Any:
    if not wanted:
        return None
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    return torch


def bugs_of(parts) -> set[str]:
    return {bug.id for part in parts for bug in part.bugs}


def mutants(quick: bool) -> list[dict[str, Any]]:
    """One row per contract: all single mutations, and random pairs with a fixed seed."""
    rows = []
    for name, (mutations, needs_torch) in MUTANTS.items():
        torch = torch_or_none(needs_torch)
        if needs_torch and torch is None:
            continue
        files = mutation.read(name)
        chosen = list(mutations)
        if quick:
            chosen = random.Random(1).sample(chosen, min(6, len(chosen)))
        detected = named = 0
        missed = []
        for each in chosen:
            changed = mutation.mutate(files, [each])
            assert changed is not None, each.name
            found = bugs_of(mutation.run(changed, torch))
            detected += bool(found)
            named += bool(found & set(each.ids))
            if not found & set(each.ids):
                missed.append({"mutation": each.name, "expected": each.ids, "found": sorted(found)})
        pairs = list(mutation.pairs(mutations))
        pairs = random.Random(2).sample(pairs, min(4 if quick else PAIRS, len(pairs)))
        pair_count = pair_detected = pair_named = 0
        for first, second in pairs:
            changed = mutation.mutate(files, (first, second))
            if changed is None:
                continue
            found = bugs_of(mutation.run(changed, torch))
            pair_count += 1
            pair_detected += bool(found)
            both = bool(found & set(first.ids)) and bool(found & set(second.ids))
            pair_named += both
            if not both:
                missed.append(
                    {"pair": [first.name, second.name], "expected": [first.ids, second.ids], "found": sorted(found)}
                )
        alarms = sum(part.verdict == "wrong" for part in mutation.run(files, torch))
        rows.append(
            {
                "contract": name,
                "mutants": len(chosen),
                "detected": detected,
                "named": named,
                "pairs": pair_count,
                "pairs_detected": pair_detected,
                "pairs_both_named": pair_named,
                "false_alarms": alarms,
                "missed": missed,
            }
        )
        print(f"{name}: {named} of {len(chosen)} named, {pair_named} of {pair_count} pairs", file=sys.stderr)
    return rows


def programs(quick: bool) -> dict[str, Any]:
    """Checks independently written correct and wrong programs in the sandbox, in the order of their index."""
    listed = tomllib.loads((PROGRAMS / "index.toml").read_text())["program"]
    if quick:
        listed = [
            each for position, each in enumerate(listed) if position % 12 == 0 and each["contract"] != "torch-function"
        ]
    reports = {}
    for each in listed:
        gradient = f"{each['function']}:{each['gradient']}" if each["contract"] == "function" else None
        reports[each["path"]] = check(PROGRAMS / each["path"], gradient=gradient).to_dict("none")
        print(f"{each['path']}: {reports[each['path']]['verdict']}", file=sys.stderr)
    return score(listed, reports)


def score(listed: Sequence[dict[str, Any]], reports: dict[str, Any]) -> dict[str, Any]:
    """Detected wrong programs, named bugs, correct programs reported as wrong, and parts that could not be judged."""
    right = [each for each in listed if each["right"]]
    wrong = [each for each in listed if not each["right"]]
    alarms, unjudged, undetected, unnamed = [], [], [], []
    bugs = named = 0
    for each in right:
        report = reports[each["path"]]
        found = [(part["part"], bug["id"]) for part in report["parts"] for bug in part["bugs"]]
        if report["verdict"] == "wrong":
            alarms.append({"path": each["path"], "found": found})
        elif report["verdict"] == "cannot judge":
            unjudged.append(
                {"path": each["path"], "why": [p["reason"] for p in report["parts"] if p["verdict"] == "cannot judge"]}
            )
    for each in wrong:
        report = reports[each["path"]]
        found = {bug["id"] for part in report["parts"] for bug in part["bugs"]}
        if report["verdict"] != "wrong":
            undetected.append(each["path"])
        for key in dict.fromkeys(bug["key"] for bug in each["bug"]):
            bugs += 1
            if found & set(NAMES[key]):
                named += 1
            else:
                unnamed.append({"path": each["path"], "bug": key, "found": sorted(found)})
    return {
        "right": len(right),
        "false_alarms": alarms,
        "cannot_judge": unjudged,
        "wrong": len(wrong),
        "detected": len(wrong) - len(undetected),
        "undetected": undetected,
        "bugs": bugs,
        "named": named,
        "unnamed": unnamed,
    }


def course_programs() -> list[dict[str, Any]]:
    """A row for each course of `tests/checking/course_programs`, in this process: they are ours."""
    rows: dict[str, dict[str, Any]] = {}
    for program in course_programs_index.programs():
        zero = {"right": 0, "wrong": 0, "detected": 0, "named": 0, "false_alarms": 0, "others": 0, "missed": []}
        row = rows.setdefault(program.course, {"course": program.course, **zero})
        found = course_programs_index.compare(program, course_programs_index.judged(program))
        row["right" if program.right else "wrong"] += 1
        row["detected"] += found.detected
        row["named"] += found.named
        row["false_alarms" if program.right else "others"] += len(found.others)
        if not program.right and not found.named:
            row["missed"].append(program.name)
    return list(rows.values())


def share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({100 * part / whole:.1f} %)" if whole else "-"


def _line(row: dict[str, Any]) -> str:
    return (
        f"| {row['contract']} | {share(row['detected'], row['mutants'])} | {share(row['named'], row['mutants'])} "
        f"| {share(row['pairs_detected'], row['pairs'])} | {share(row['pairs_both_named'], row['pairs'])} "
        f"| {row['false_alarms']} |"
    )


def table(rows: Sequence[dict[str, Any]], others: dict[str, Any] | None) -> str:
    lines = [
        "| hand-in | mutants: detected | named | pairs: detected | both named | false alarms |",
        "|---|---|---|---|---|---|",
    ]
    total = dict.fromkeys(
        ("mutants", "detected", "named", "pairs", "pairs_detected", "pairs_both_named", "false_alarms"), 0
    )
    for row in rows:
        for key in total:
            total[key] += row[key]
    lines += [_line(row) for row in [*rows, {"contract": "all", **total}]]
    if others is not None:
        lines += [
            "",
            "| independent programs | |",
            "|---|---|",
            f"| wrong programs detected | {share(others['detected'], others['wrong'])} |",
            f"| bugs named correctly | {share(others['named'], others['bugs'])} |",
            f"| correct programs called wrong | {len(others['false_alarms'])} of {others['right']} |",
            f"| correct programs with a part that cannot be judged | "
            f"{len(others['cannot_judge'])} of {others['right']} |",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument(
        "--quick", action="store_true", help="a few of each, in under 45 seconds; PyTorch's are left out"
    )
    parser.add_argument("--only", choices=("mutants", "programs"), help="one half")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if options.quick:
        MUTANTS.pop("uva-norm")
    begun = time.monotonic()
    rows = mutants(options.quick) if options.only != "programs" else []
    others = programs(options.quick) if options.only != "mutants" and PROGRAMS.is_dir() else None
    courses = course_programs() if options.only != "mutants" and not options.quick else []
    if options.json:
        versions = {"python": platform.python_version(), "numpy": np.__version__}
        left_out = ["uva-norm", "most mutants, pairs and programs"] if options.quick else []
        print(
            json.dumps(
                {
                    "benchmark": "checker",
                    "machine": platform.platform(),
                    "versions": versions,
                    "seconds": round(time.monotonic() - begun, 1),
                    "left_out": left_out,
                    "cases": [{"case": row["contract"], **row} for row in rows],
                    "programs": others,
                    "course_programs": courses,
                }
            )
        )
    else:
        print(table(rows, others))
        for row in courses:
            print(
                f"\n{row['course']}: {share(row['detected'], row['wrong'])} detected, "
                f"{share(row['named'], row['wrong'])} named, {row['false_alarms']} right parts of {row['right']} "
                f"right programs called wrong, {row['others']} other parts of wrong ones; missed: {row['missed']}"
            )
        if options.quick:
            print("\nLeft out by --quick: most mutants, pairs and programs, and everything that needs PyTorch.")


if __name__ == "__main__":
    main()
