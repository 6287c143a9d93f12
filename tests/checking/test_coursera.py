"""Coursera's networks: our own right solution, and wrong forms of it."""

import pytest
from tests.checking import mutation

RIGHT = """
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def propagate(w, b, X, Y):
    m = X.shape[1]
    A = sigmoid(w.T @ X + b)
    cost = np.squeeze(-np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m)
    dw = X @ (A - Y).T / m
    db = np.sum(A - Y) / m
    return {"dw": dw, "db": db}, cost


def forward_propagation(X, parameters):
    Z1 = parameters["W1"] @ X + parameters["b1"]
    A1 = np.tanh(Z1)
    Z2 = parameters["W2"] @ A1 + parameters["b2"]
    A2 = sigmoid(Z2)
    return A2, {"A1": A1, "A2": A2}


def backward_propagation(parameters, cache, X, Y):
    m = X.shape[1]
    A1, A2 = cache["A1"], cache["A2"]
    dZ2 = A2 - Y
    dZ1 = parameters["W2"].T @ dZ2 * (1 - A1**2)
    return {
        "dW1": dZ1 @ X.T / m,
        "db1": np.sum(dZ1, axis=1, keepdims=True) / m,
        "dW2": dZ2 @ A1.T / m,
        "db2": np.sum(dZ2, axis=1, keepdims=True) / m,
    }


def L_model_forward(X, parameters):
    A, caches, L = X, [], len(parameters) // 2
    for l in range(1, L + 1):
        Z = parameters[f"W{l}"] @ A + parameters[f"b{l}"]
        caches.append((A, parameters[f"W{l}"], Z))
        A = np.maximum(Z, 0) if l < L else sigmoid(Z)
    return A, caches


def compute_cost(AL, Y):
    m = Y.shape[1]
    return -(np.dot(Y, np.log(AL).T) + np.dot(1 - Y, np.log(1 - AL).T)).squeeze() / m


def L_model_backward(AL, Y, caches):
    grads, m, L = {}, Y.shape[1], len(caches)
    dZ = AL - Y
    for l in range(L, 0, -1):
        A, W, Z = caches[l - 1]
        grads[f"dW{l}"] = dZ @ A.T / m
        grads[f"db{l}"] = dZ.sum(axis=1, keepdims=True) / m
        dA = W.T @ dZ
        if l > 1:
            dZ = dA * (caches[l - 2][2] > 0)
    return grads


def update_parameters(parameters, grads, learning_rate):
    for l in range(len(parameters) // 2):
        parameters[f"W{l + 1}"] = parameters[f"W{l + 1}"] - learning_rate * grads[f"dW{l + 1}"]
        parameters[f"b{l + 1}"] = parameters[f"b{l + 1}"] - learning_rate * grads[f"db{l + 1}"]
    return parameters
"""
PARTS = (
    *("propagate", "propagate, gradient", "forward_propagation", "backward_propagation"),
    *("L_model_forward", "L_model_backward", "compute_cost", "update_parameters"),
)


def judged(folder, text):
    (folder / "network.py").write_text(text)
    return {part.part: part for part in mutation.judge(folder)}


def test_a_right_solution_is_right(tmp_path):
    parts = judged(tmp_path, RIGHT)
    assert {name: part.verdict for name, part in parts.items()} == dict.fromkeys(parts, "right")
    assert set(parts) == set(PARTS)


@pytest.mark.parametrize(
    ("old", "new", "part", "id"),
    [
        ("np.log(A) + (1 - Y) * np.log(1 - A)) / m)", "np.log(A)) / m)", "propagate", "binary-term-missing"),
        ("dw = X @ (A - Y).T / m", "dw = X @ (A - Y).T", "propagate, gradient", "batch-mean-missing"),
        ("db = np.sum(A - Y) / m", "db = np.sum(A) / m", "propagate, gradient", "labels-unused"),
        ("A1 = np.tanh(Z1)", "A1 = np.maximum(Z1, 0)", "forward_propagation", "wrong-function"),
        ('"dW2": dZ2 @ A1.T / m', '"dW2": dZ2 @ A1.T', "backward_propagation", "batch-mean-missing"),
        ("* (1 - A1**2)", "* (1 - A1)", "backward_propagation", "unexplained"),
        ("for l in range(L, 0, -1):", "for l in range(L, 1, -1):", "L_model_backward", "gradient-not-stored"),
        ("@ A + parameters", "@ A - 0 * parameters", "L_model_forward", "bias-unused"),
        ("np.dot(1 - Y, np.log(1 - AL).T)", "0", "compute_cost", "binary-term-missing"),
        ("squeeze() / m", "squeeze()", "compute_cost", "batch-mean-missing"),
        ("range(len(parameters) // 2)", "range(len(parameters) // 2 - 1)", "update_parameters", "not-updated"),
        ('] - learning_rate * grads[f"db', '] + 0 * grads[f"db', "update_parameters", "not-updated"),
        ("- learning_rate * grads", "+ learning_rate * grads", "update_parameters", "update-sign"),
        ("- learning_rate * grads", "- grads", "update_parameters", "learning-rate-missing"),
    ],
)
def test_a_bug_is_named(tmp_path, old, new, part, id):
    assert old in RIGHT
    parts = judged(tmp_path, RIGHT.replace(old, new))
    assert [bug.id for bug in parts[part].bugs] == [id]
    others = {name for name, each in parts.items() if each.verdict == "wrong"}
    assert others <= {part, part.replace("forward", "backward")}
