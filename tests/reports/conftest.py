"""Small runs for the tests of reports."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Seconds of one run on a quiet core: a tenth.
SMALL = {"dataset": "digits", "max_steps": 60, "eval_freq": 20, "hidden_units": [16]}


def train(folder: Path, **settings) -> Path:
    import handgrad

    handgrad.train(run_dir=folder, **settings)
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, list[Path]]:
    """Three seeds each of two configurations, "good" and "poor"."""
    folder = tmp_path_factory.mktemp("runs")
    rates = {"good": 1e-2, "poor": 3e-4}
    return {
        name: [train(folder / f"{name}-{seed}", **SMALL, learning_rate=rate, seed=seed) for seed in range(3)]
        for name, rate in rates.items()
    }


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    """A table with names, missing values and text with special characters of markup."""
    import random

    rng = random.Random(0)
    lines = ["age,city,income <k&>,sum_|_a,other,kind"]
    for _ in range(200):
        age, city = rng.randint(18, 90), rng.choice(["Oslo", "Rome", ""])
        income = rng.choice(["", round(rng.gauss(3, 1), 3)])
        noisy = age + rng.gauss(0, 12)
        kind = "old & wise" if noisy > 50 else "young_<1>"
        lines.append(f"{age},{city},{income},{2 * age + rng.gauss(0, 3):.3f},{rng.random():.4f},{kind}")
    path = tmp_path_factory.mktemp("table") / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
