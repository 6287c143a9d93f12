"""One of several outputs."""


def value(function, position):
    """A function that gives one of the several things another gives: the output without its cache."""

    def of(*args, **kwargs):
        found = function(*args, **kwargs)
        return found[position] if isinstance(found, (tuple, list)) else found

    return of
