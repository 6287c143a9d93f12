"""Studies in reports."""

import shutil

import pytest
from tests.reports.conftest import SMALL
from tests.reports.reading import ReadPage

from handgrad.reports import make_report

pytest.importorskip("optuna", reason='needs Optuna: pip install "handgrad[search]"')


def test_a_study_beside_a_run(runs, tmp_path):
    from handgrad.search import plan_from, search

    plan = plan_from({**SMALL, "max_steps": 20, "learning_rate": [1e-2, 1e-4]}, seeds=3)
    study, found = search(plan, study_dir=tmp_path / "study", workers=1, figures=False)
    made = make_report([tmp_path / "study", runs["good"][0]])
    page = ReadPage(made.to_html())
    table = page.table("2 combinations, 6 runs, best first")
    assert table.column("learning rate") == ["0.01", "0.0001"]
    assert table.column("validation accuracy") == [f"{row.mean:.4f}" for row in found.rows]
    assert table.column("±") == [f"{row.spread:.4f}" for row in found.rows]
    assert table.best == [0]
    assert f"{study.name}-by-factor" in made.figures
    assert any("Validation accuracy by each factor" in label for label in page.labels)
    assert "The best combination is significantly better than the second best" in page.text
    assert any("The best combination is significantly better" in line for line in made.lead)
    assert page.table("All runs").column("run") == [str(runs["good"][0])]
    assert [t.caption for t in made.tables][-1].startswith("2 combinations")

    for file in (tmp_path / "study").iterdir():
        if file.name != "study.toml":
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    gone = make_report([tmp_path / "study", runs["good"][0]])
    assert any(line.startswith(f"the study {tmp_path / 'study'}: ") for line in gone.left_out)


def test_headline_and_section_of_a_study_with_two_seeds_are_equally_cautious(tmp_path):
    from handgrad.reports.significance import MIN_SEEDS
    from handgrad.search import plan_from, search
    from handgrad.search.results import MIN_SEEDS as OF_STUDIES
    from handgrad.search.results import best_statement

    assert OF_STUDIES == MIN_SEEDS
    plan = plan_from({**SMALL, "max_steps": 20, "learning_rate": [1e-2, 1e-6]}, seeds=2)
    study, found = search(plan, study_dir=tmp_path / "study", workers=1, figures=False)
    made = make_report([study.folder])
    assert made.lead == [f"Study study: {best_statement(found)}"]
    assert "2 seeds are too few to tell whether it is better" in made.lead[0]
    text = ReadPage(made.to_html()).text
    assert "more than their" not in text
    assert "significantly" not in text
