"""Errors that a user can fix: the command prints their message and exits with code 2, without a traceback."""


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


#: What other libraries' methods are here.
_ELSEWHERE = {
    "zero_grad": "backward overwrites every gradient, so there is nothing to set to 0: leave the call out",
    **dict.fromkeys(("to", "cuda", "cpu"), "handgrad.nn computes with NumPy; for a GPU, train with engine=torch"),
    "step": "the optimizer makes the steps, as in SGD(network, learning_rate=0.1).step()",
}


def hint(owner: object, name: str) -> str:
    """What to say of an attribute that is not there."""
    known = f": {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
    return f"{type(owner).__name__!r} object has no attribute {name!r}{known}"
