"""Small helpers shared by modules.py and custom_batchnorm.py (no torch in here)."""
import functools


def remembers(method):
    """Decorator: stores the first argument of forward as `self.memo['x']` and the result as `self.memo['out']`."""

    @functools.wraps(method)
    def wrapper(self, x, *rest):
        out = method(self, x, *rest)
        self.memo = dict(x=x, out=out)
        return out

    return wrapper


def chain(modules, value, method):
    for module in modules:
        value = getattr(module, method)(value)
    return value
