import numpy as np


def sgd(w, dw, config=None):
    config = {} if config is None else config
    lr = config.setdefault('learning_rate', 1e-2)
    w -= lr * dw
    return w, config


def sgd_momentum(w, dw, config=None):
    if config is None:
        config = {}
    for key, default in (('learning_rate', 1e-2), ('momentum', 0.9)):
        config.setdefault(key, default)
    v = config.get('velocity', np.zeros(w.shape))
    v = config['momentum'] * v + -config['learning_rate'] * dw
    config['velocity'] = v
    return np.add(w, v), config


def rmsprop(w, dw, config=None):
    config = dict(config or {})
    lr = config.setdefault('learning_rate', 1e-2)
    rho = config.setdefault('decay_rate', 0.99)
    eps = config.setdefault('epsilon', 1e-8)
    cache = config.setdefault('cache', np.zeros_like(w))
    cache = cache + (1 - rho) * (dw ** 2 - cache)
    config['cache'] = cache
    step = dw / (np.sqrt(cache) + eps)
    return w - lr * step, config


def adam(w, dw, config=None):
    if config is None:
        config = {}
    config.setdefault('learning_rate', 1e-3)
    config.setdefault('beta1', 0.9)
    config.setdefault('beta2', 0.999)
    config.setdefault('epsilon', 1e-8)
    config.setdefault('m', np.zeros_like(w))
    config.setdefault('v', np.zeros_like(w))
    config.setdefault('t', 0)
    b1, b2 = config['beta1'], config['beta2']
    config['t'] += 1
    config['m'] = b1 * config['m'] + (1 - b1) * dw
    config['v'] = b2 * config['v'] + (1 - b2) * np.square(dw)
    corr = np.sqrt(1 - b2 ** config['t']) / (1 - b1 ** config['t'])
    mhat = config['m'] / (1 - b1 ** config['t'])
    vhat = config['v'] / (1 - b2 ** config['t'])
    next_w = w - config['learning_rate'] * mhat / (np.sqrt(vhat) + config['epsilon'])
    return next_w, config
