"""The configuration: precedence of values, and invalid settings."""

import dataclasses
import tomllib

import pytest

from handgrad.errors import ConfigError
from handgrad.training import TrainConfig, config_from_file, merge_settings, recipe_names, recipe_settings, recipe_title
from handgrad.training.config import GROUPS


def test_every_setting_is_described_and_under_a_heading():
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(set(fields) - {"recipe"})
    assert all(field.metadata["help"] and field.metadata["rule"] for field in fields.values())


def test_flags_go_over_the_file_and_the_file_over_the_recipe(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('recipe = "digits"\nbatch_size = 32\nlearning_rate = 0.5\n')
    merged = merge_settings(file=file, settings={"learning_rate": 0.25})
    assert merged["recipe"] == "digits"
    assert merged["hidden_units"] == recipe_settings("digits")["hidden_units"]
    assert (merged["batch_size"], merged["learning_rate"]) == (32, 0.25)


def test_the_recipe_argument_goes_over_the_recipe_of_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('recipe = "digits"\n')
    assert merge_settings("cmu-mnist", file)["dataset"] == "mnist"


def test_epochs_of_a_higher_layer_replace_the_max_steps_of_a_lower_one():
    merged = merge_settings("digits", settings={"epochs": 3})
    config = TrainConfig.from_settings(merged)
    assert (config.epochs, config.max_steps) == (3, None)
    merged = merge_settings("cmu-mnist", settings={"max_steps": 7})
    config = TrainConfig.from_settings(merged)
    assert (config.epochs, config.max_steps) == (None, 7)


def test_a_saved_configuration_comes_back_whole():
    config = TrainConfig.from_settings(
        {"hidden_units": [30, 20], "learning_rate": 3e-5, "epochs": 2, "optimizer": "sgd", "data_dir": 'a "b" \\ c'}
    )
    assert TrainConfig.from_settings(tomllib.loads(config.to_toml())) == config


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_valid_configuration_with_a_title(name):
    config = TrainConfig.from_settings(merge_settings(name))
    assert config.recipe == name
    assert len(recipe_title(name)) > 20


def test_there_are_the_recipes_that_the_documents_name():
    assert {"digits", "cmu-mnist", "mnist", "uva-numpy-mlp"} <= set(recipe_names())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": -1}, r"learning_rate=-1: expected a number above 0"),
        ({"learning_rate": float("nan")}, r"learning_rate=nan: expected a number above 0"),
        ({"learning_rate": "fast"}, r"learning_rate=fast: expected a number above 0"),
        ({"batch_size": 0}, r"batch_size=0: expected a whole number of at least 1"),
        ({"batch_size": 1.5}, r"batch_size=1.5: expected a whole number"),
        ({"batch_size": True}, r"batch_size=True: expected a whole number"),
        ({"hidden_units": (10, 0)}, r"hidden_units=10,0: expected whole numbers above 0"),
        ({"hidden_units": 10.0}, r"hidden_units=10.0: expected whole numbers above 0"),
        ({"dropout": 1.0}, r"dropout=1.0: expected a number in \[0, 1\)"),
        ({"momentum": 1.5, "optimizer": "sgd"}, r"momentum=1.5: expected a number in \[0, 1\)"),
        ({"nesterov": "yes"}, r"nesterov=yes: expected true or false"),
        ({"activation": "swish"}, r"activation=swish: expected one of relu, "),
        ({"norm": "instance"}, r"norm=instance: expected one of none, batch, layer, group, rms"),
        ({"num_groups": 2}, r"num_groups=2 applies to norm=group, not to none: leave it out"),
        ({"init": "normal"}, r"init=normal: expected kaiming, kaiming_uniform, .*, normal:STD"),
        ({"init": "normal:-1"}, r"init=normal:-1: expected kaiming, "),
        ({"init": "uniform:0"}, r"init=uniform:0: expected .*, uniform:LIMIT \(as in uniform:0.05\), pytorch or zeros"),
        ({"loss": "hinge"}, r"loss=hinge: expected one of cross_entropy, nll, mse"),
        ({"label_smoothing": 1.0}, r"label_smoothing=1.0: expected a number in \[0, 1\)"),
        ({"label_smoothing": 0.1, "loss": "mse"}, r"label_smoothing=0.1 applies to loss=cross_entropy, not to mse"),
        ({"dataset": "imagenet"}, r"dataset=imagenet: expected one of digits, mnist"),
        ({"engine": "jax"}, r"engine=jax: expected one of numpy"),
        ({"preprocessing": "zca"}, r"preprocessing=zca: expected one of mean-image, unit"),
        ({"nesterov": True, "optimizer": "sgd"}, r"nesterov=true needs optimizer=sgd and momentum above 0"),
        ({"momentum": 0.9, "optimizer": "adam"}, r"momentum=0.9 applies to sgd, rmsprop or muon, not to adam"),
        ({"epochs": 3, "max_steps": 3}, r"epochs=3 and max_steps=3 are both set: leave one out"),
        ({"max_steps": None}, r"neither epochs nor max_steps is set: expected one of them"),
        ({"norm": "batch", "batch_size": 1}, r"batch_size=1: norm=batch requires at least 2 samples per step"),
        ({"lerning_rate": 1}, r"unknown setting 'lerning_rate': did you mean 'learning_rate'\?"),
        ({"xyzzy": 1}, r"unknown setting 'xyzzy': handgrad train --help-all lists every setting"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_settings(settings)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none.toml: No such file"):
        merge_settings(file=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(ConfigError, match=r"bad.toml is not a TOML file"):
        merge_settings(file=tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary.toml is not a TOML file"):
        merge_settings(file=tmp_path / "binary.toml")
    (tmp_path / "key.toml").write_text("batchsize = 1")
    with pytest.raises(ConfigError, match=r"key.toml: unknown setting 'batchsize': use batch_size"):
        merge_settings(file=tmp_path / "key.toml")


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match=r"there is no recipe 'digit': did you mean 'digits'\?"):
        merge_settings("digit")
    with pytest.raises(ConfigError, match=r"there is no recipe '../x': known recipes: cmu-mnist"):
        merge_settings("../x")


def test_the_three_seeds_come_from_one_and_can_be_set_apart():
    seeds = TrainConfig(seed=5).seeds()
    assert len(set(seeds.values())) == 3
    assert seeds == TrainConfig(seed=5).seeds() != TrainConfig(seed=6).seeds()
    assert TrainConfig(seed=5, data_seed=1).seeds() == {**seeds, "data_seed": 1}


def test_one_hidden_layer_may_be_a_number():
    assert TrainConfig(hidden_units=64).hidden_units == (64,)
    with pytest.raises(ConfigError, match="hidden_units=0: expected whole numbers above 0"):
        TrainConfig(hidden_units=0)


@pytest.mark.parametrize(("key", "setting"), [("lr", "learning_rate"), ("wd", "weight_decay"), ("gpu", "device")])
def test_what_other_libraries_call_a_setting(key, setting):
    with pytest.raises(ConfigError, match=rf"unknown setting '{key}': use {setting}$"):
        TrainConfig.from_settings({key: 1})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-mark", "utf-16-be-mark"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_files_from_windows(tmp_path, encoding, ends):
    text = f"# größer{ends}hidden_units = [7]{ends}learning_rate = 0.5{ends}"
    if encoding.endswith("-mark"):
        content = ("\ufeff" + text).encode(encoding.removesuffix("-mark"))
    else:
        content = text.encode(encoding)
    (tmp_path / "a.toml").write_bytes(content)
    assert config_from_file(tmp_path / "a.toml") == {"hidden_units": [7], "learning_rate": 0.5}


def test_another_encoding_is_named(tmp_path):
    (tmp_path / "a.toml").write_bytes("# größer\nseed = 1\n".encode("cp1252"))
    with pytest.raises(ConfigError, match=r"a.toml is not a TOML file: it is not UTF-8 text .*; save it as UTF-8"):
        config_from_file(tmp_path / "a.toml")
