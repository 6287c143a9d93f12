"""Errors that a user can mend: the command prints their message and exits with code 2, without a traceback."""


class HandgradError(Exception):
    """Base of every error whose message says what is wrong, what was expected and what to do next."""


class ConfigError(HandgradError, ValueError):
    """A setting (flag, key of a file, or argument) that cannot be: unknown, of the wrong type or out of range."""


class DataError(HandgradError):
    """A data set that is missing, cannot be downloaded, or does not have the structure its format asks for."""


class RunError(HandgradError):
    """A run folder that cannot be written, read, continued or evaluated."""


class NonFiniteError(HandgradError):
    """Training met a loss that is not a finite number; the message names step, layer and the likely cause."""
