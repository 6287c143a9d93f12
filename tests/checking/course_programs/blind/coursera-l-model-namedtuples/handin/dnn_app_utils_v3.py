import typing as t

import numpy as np

Array = np.ndarray


class LinearCache(t.NamedTuple):
    A: Array
    W: Array
    b: Array


class LayerCache(t.NamedTuple):
    linear_cache: LinearCache
    activation_cache: Array


def sigmoid(Z: Array):
    A = 0.5 * (1 + np.tanh(0.5 * Z))
    return A, Z


def relu(Z: Array):
    return Z.clip(min=0), Z


def sigmoid_backward(dA: Array, cache: Array) -> Array:
    s, _ = sigmoid(cache)
    return dA * (s - s * s)


def relu_backward(dA: Array, cache: Array) -> Array:
    dZ = np.zeros_like(dA)
    np.copyto(dZ, dA, where=cache > 0)
    return dZ


ACTIVATIONS = {"sigmoid": (sigmoid, sigmoid_backward), "relu": (relu, relu_backward)}


def linear_forward(A: Array, W: Array, b: Array):
    return np.matmul(W, A) + b, LinearCache(A, W, b)


def linear_activation_forward(A_prev, W, b, activation: str):
    Z, lin = linear_forward(A_prev, W, b)
    A, act = ACTIVATIONS[activation][0](Z)
    return A, LayerCache(lin, act)


def L_model_forward(X: Array, parameters: t.Dict[str, Array]):
    L = len(parameters) // 2
    caches = []
    for l, kind in enumerate(["relu"] * (L - 1) + ["sigmoid"], start=1):
        X, cache = linear_activation_forward(X, parameters[f"W{l}"], parameters[f"b{l}"], kind)
        caches.append(cache)
    return X, caches


def compute_cost(AL: Array, Y: Array):
    Y = Y.reshape(AL.shape)
    # only one of the two logs counts for a label of 0 or 1, but soft labels work as well
    return -np.mean(Y * np.log(AL) + (1 - Y) * np.log(1 - AL))


def linear_backward(dZ: Array, cache):
    A_prev, W, b = cache
    m = A_prev.shape[1]
    return W.T @ dZ, (dZ @ A_prev.T) / m, dZ.mean(axis=1, keepdims=True)


def linear_activation_backward(dA: Array, cache, activation: str):
    dZ = ACTIVATIONS[activation][1](dA, cache[1])
    return linear_backward(dZ, cache[0])


def L_model_backward(AL: Array, Y: Array, caches):
    """
    The sigmoid and the cross-entropy are taken together: dZ[L] = AL - Y, so
    there is no division by AL, which is what blew up on my machine.
    The keys are those of the notebook: dA0..dA{L-1}, dW1..dWL, db1..dbL.
    """
    Y = Y.reshape(AL.shape)
    grads: t.Dict[str, Array] = {}
    L = len(caches)

    def store(l: int, triple) -> Array:
        grads[f"dA{l - 1}"], grads[f"dW{l}"], grads[f"db{l}"] = triple
        return triple[0]

    upstream = store(L, linear_backward(AL - Y, caches[-1].linear_cache))
    for l in range(L - 1, 0, -1):
        upstream = store(l, linear_activation_backward(upstream, caches[l - 1], "relu"))
    return grads


def update_parameters(params, grads, learning_rate):
    new = dict(params)
    for l in range(len(params) // 2):
        for letter in "Wb":
            name = f"{letter}{l + 1}"
            new[name] = params[name] - learning_rate * grads["d" + name]
    return new
