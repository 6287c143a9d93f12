"""Factors: what can be varied, and the errors for what cannot."""

import pytest

from handgrad.errors import ConfigError
from handgrad.search import plan_from
from handgrad.search.space import Factor, Range, grid, size, split, varied


def test_lists_and_ranges_are_factors_and_the_rest_is_fixed():
    fixed, factors = split(
        {
            "learning_rate": [1e-3, 1],
            "hidden_units": [[], [100], [20, 10]],
            "dropout": {"low": 0, "high": 0.5},
            "width": 8,
        }
    )
    assert fixed == {"width": 8}
    assert factors == [
        Factor("learning_rate", (1e-3, 1.0)),
        Factor("hidden_units", ([], [100], [20, 10])),
        Factor("dropout", range=Range(0.0, 0.5)),
    ]
    assert size(factors) is None


def test_one_list_for_a_setting_that_is_a_list_is_one_value():
    assert split({"hidden_units": [100, 50], "norm": ["none", "batch"]})[0] == {"hidden_units": [100, 50]}


def test_a_grid_is_every_combination_the_last_factor_changing_quickest():
    _, factors = split({"batch_size": [1, 2], "momentum": ["none", 0.9]})
    assert [tuple(c.values()) for c in grid(factors)] == [(1, None), (1, 0.9), (2, None), (2, 0.9)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("learning_rate=1e-3,1e-4", ("learning_rate", [1e-3, 1e-4])),
        ("learning-rate=1e-3, 1e-4", ("learning_rate", [1e-3, 1e-4])),
        ("hidden_units=100;200,200;none", ("hidden_units", [[100], [200, 200], []])),
        ("batch_size=32,64", ("batch_size", [32, 64])),
        ("nesterov=true,false", ("nesterov", [True, False])),
        ("norm=none,batch", ("norm", ["none", "batch"])),
        ("learning_rate=1e-5..1e-2:log", ("learning_rate", {"low": 1e-5, "high": 1e-2, "log": True})),
        ("batch_size=16..64", ("batch_size", {"low": 16, "high": 64, "log": False})),
    ],
)
def test_vary_reads(text, found):
    assert varied(text) == found


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("learning_rate", r"--vary learning_rate: expected SETTING=VALUE,VALUE, as learning_rate=1e-3,1e-4"),
        ("learning_rate=", r"learning_rate=\[\]: expected at least one value in the list"),
        ("learning_rat=1,2", r"--vary: unknown setting 'learning_rat': did you mean 'learning_rate'\?"),
        ("lr=1,2", r"unknown setting 'lr': use learning_rate"),
        ("learning_rate=fast,slow", r"learning_rate=fast: expected a number"),
        ("batch_size=1.5,2", r"batch_size=1.5: expected a whole number"),
        ("nesterov=perhaps", r"nesterov=perhaps: expected true or false"),
        ("hidden_units=100,200", r"that is one value; separate the values of hidden_units with semicolons"),
        ("hidden_units=100;x", r"hidden_units=x: expected a whole number"),
        ("learning_rate=1..2:cubic", r"expected LOW..HIGH or LOW..HIGH:log"),
    ],
)
def test_vary_refuses(text, match):
    with pytest.raises(ConfigError, match=match):
        varied(text)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"learning_rate": []},
            r"learning_rate=\[\]: expected at least one value in the list; leave learning_rate out",
        ),
        ({"learning_rates": [1]}, r"unknown setting 'learning_rates': did you mean 'learning_rate'\?"),
        ({"learning_rate": [1e-3, -1]}, r"learning_rate=-1: expected a number above 0"),
        ({"learning_rate": [1e-3, 0.001]}, r"learning_rate=0.001 is listed twice: leave one out"),
        (
            {"learning_rate": {"low": 1e-2, "high": 1e-4}},
            r"low=0.01 high=0.0001: expected low below high; exchange them",
        ),
        ({"learning_rate": {"low": 1, "high": 1}}, r"low=1 high=1: expected low below high"),
        ({"learning_rate": {"low": 1e-2}}, r"its range has no high: expected \{low, high\}"),
        ({"learning_rate": {"low": 1e-2, "hgih": 1}}, r"unknown key 'hgih' of a range: did you mean 'high'\?"),
        ({"dropout": {"low": 0, "high": 0.5, "log": True}}, r"dropout: low=0 with log=true: expected low above 0"),
        ({"dropout": {"low": 0.1, "high": 0.5, "log": 1}}, r"dropout: log=1: expected true or false"),
        ({"dropout": {"low": 0, "high": 2}}, r"dropout=2: expected a number in \[0, 1\)"),
        ({"norm": {"low": 1, "high": 2}}, r"norm cannot have a range, which is for numbers"),
        ({"dataset": ["mnist", "digits"]}, r"dataset cannot be varied"),
        ({"seed": [1, 2]}, r"seed cannot be varied: seeds=N \(--seeds N\) repeats every combination"),
        ({"hidden_units": [[10], [0]]}, r"hidden_units=0: expected whole numbers above 0"),
        ({"norm": ["batch", "bach"]}, r"norm=bach: expected one of"),
    ],
)
def test_factors_refuse(settings, match):
    with pytest.raises(ConfigError, match=match):
        split(settings)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sampler": "annealing"}, r"sampler=annealing: expected one of grid, random, tpe"),
        ({"pruner": "secateurs"}, r"pruner=secateurs: expected one of none, median, asha"),
        ({"select": "train"}, r"select=train: expected one of validation, test"),
        ({"seeds": 0}, r"seeds=0: expected a whole number of at least 1"),
        ({"trials": 0}, r"trials=0: expected a whole number of at least 1"),
        ({"impossible": "hide"}, r"impossible=hide: expected one of refuse, skip"),
    ],
)
def test_options_refuse(options, match):
    with pytest.raises(ConfigError, match=match):
        plan_from({"learning_rate": [1e-3, 1e-4]}, **options)


def test_a_grid_takes_no_range():
    with pytest.raises(
        ConfigError, match=r"sampler=grid takes lists, and learning_rate has a range: .*--sampler random"
    ):
        plan_from({"learning_rate": {"low": 1e-4, "high": 1e-2}}, sampler="grid")


def test_nothing_varied_is_refused():
    with pytest.raises(ConfigError, match="nothing is varied: give a setting several values, as --vary learning_rate="):
        plan_from({"learning_rate": 1e-3})


def test_a_file_with_its_own_options_and_a_recipe_below_it(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text('recipe = "digits"\nepochs = [1, 2]\ndropout = 0.1\n[search]\nseeds = 3\npruner = "asha"\n')
    plan = plan_from(file, settings={"dropout": 0.2}, seeds=2)
    assert plan.factors == (Factor("epochs", (1, 2)),)
    assert plan.fixed["dropout"] == 0.2  # a flag over the file, the file over the recipe
    assert plan.fixed["norm"] == "batch"
    assert "max_steps" not in plan.fixed
    assert (plan.seeds, plan.pruner, plan.sampler) == (2, "asha", "grid")
    assert plan_from(plan.to_toml()) == plan
    assert plan.config({"epochs": 2}, seed=1).seed == 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[search]\nsampling = 'grid'\n", r"s.toml: unknown key 'sampling' in \[search\]: expected sampler, pruner"),
        ("search = 3\n", r"search=3: expected a table, \[search\]"),
        ("learning_rate = []\n", r"s.toml: learning_rate=\[\]: expected at least one value"),
        ("learning_rate = [", r"s.toml is not a TOML file"),
    ],
)
def test_files_refuse(tmp_path, text, match):
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=match):
        plan_from(file)
