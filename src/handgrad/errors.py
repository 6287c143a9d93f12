"""Errors that a user can fix: the command line prints the message and exits with code 2, without a traceback."""


class HandgradError(Exception):
    """Base class of all errors whose message states what is wrong, what was expected and what to do next."""


class ConfigError(HandgradError, ValueError):
    """An invalid setting (flag, key of a file, or argument): unknown, of the wrong type or out of range."""


class DataError(HandgradError):
    """A data set that is missing, cannot be downloaded, or does not have the structure required by its format."""


class RunError(HandgradError):
    """A run folder that cannot be written, read, resumed or evaluated."""


class NonFiniteError(HandgradError):
    """The loss is not finite; the message names the step, the layer and the likely cause."""


#: Hints for methods of other libraries.
_ELSEWHERE = {
    "zero_grad": "backward overwrites every gradient, so there is nothing to set to 0: remove the call",
    **dict.fromkeys(("to", "cuda", "cpu"), "handgrad.nn computes with NumPy; for a GPU, train with engine=torch"),
    "step": "the optimizer performs the steps, as in SGD(network, learning_rate=0.1).step()",
}


def hint(owner: object, name: str) -> str:
    """The message for a missing attribute."""
    known = f": {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
    return f"{type(owner).__name__!r} object has no attribute {name!r}{known}"
