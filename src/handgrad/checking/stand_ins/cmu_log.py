"""The hand-in's own MLP with a log of all calls. The first column of x identifies the sample."""

import numpy as np

log = []


def recorded(base):
    def forward(self, x, *args, **kwargs):
        y = base.forward(self, x, *args, **kwargs)
        log.append(["forward", np.array(x)[:, 0], np.array(y), 1.0 if getattr(self, "train_mode", True) else 0.0])
        return y

    def backward(self, labels, *args, **kwargs):
        log.append(["backward", np.array(labels).argmax(axis=1) * 1.0, np.zeros(1), 0.0])
        return base.backward(self, labels, *args, **kwargs)

    def step(self, *args, **kwargs):
        log.append(["step", np.zeros(1), np.zeros(1), 0.0])
        return base.step(self, *args, **kwargs)

    def zero_grads(self, *args, **kwargs):
        log.append(["zero", np.zeros(1), np.zeros(1), 0.0])
        return base.zero_grads(self, *args, **kwargs)

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    members = {"forward": forward, "backward": backward, "step": step, "zero_grads": zero_grads, "__call__": __call__}
    members = {name: member for name, member in members.items() if hasattr(base, name)}
    for name, member in members.items():  # error messages should name the class of the hand-in
        member.__qualname__ = base.__qualname__ + "." + name
    return type(base.__name__, (base,), members)


def biases(own, row):
    # the hand-in's own function, if there is one
    if own is not None:
        return own
    return lambda d: np.zeros((1, d) if row else d)


def flat(what):
    return [np.concatenate([np.ravel(entry[what]) for entry in log])] if log else []


def names():
    return ",".join(entry[0][0] for entry in log)


def lengths(what):
    return np.array([np.size(entry[what]) for entry in log])


def modes():
    return np.array([entry[3] for entry in log])
