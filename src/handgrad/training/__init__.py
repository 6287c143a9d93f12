"""Runs: the configuration, the training loop for all engines, the run folder, and resuming."""

from handgrad.training.config import TrainConfig, config_from_file, merge_settings
from handgrad.training.loop import Interrupted, train
from handgrad.training.recipes import recipe_names, recipe_settings, recipe_title
from handgrad.training.reporter import Reporter
from handgrad.training.run import InputWarning, Run, load_run

__all__ = [
    "InputWarning",
    "Interrupted",
    "Reporter",
    "Run",
    "TrainConfig",
    "config_from_file",
    "load_run",
    "merge_settings",
    "recipe_names",
    "recipe_settings",
    "recipe_title",
    "train",
]
