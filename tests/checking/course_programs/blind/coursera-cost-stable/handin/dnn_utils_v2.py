# -*- coding: utf-8 -*-
import numpy as np


def sigmoid(Z):
    """sigmoïde stable : jamais d'exponentielle d'un nombre positif"""
    e = np.exp(-np.abs(Z))
    A = np.where(Z >= 0, 1, e) / (1 + e)
    return A, Z


def relu(Z):
    A = (np.abs(Z) + Z) / 2
    return A, Z


def sigmoid_backward(dA, cache):
    # s(1 - s) = e / (1 + e)^2 avec e = exp(-|z|), paire en z
    e = np.exp(-np.abs(cache))
    return dA * (e / np.square(1 + e))


def relu_backward(dA, cache):
    return np.multiply(dA, np.heaviside(cache, 0).astype(cache.dtype))


def linear_forward(A, W, b):
    assert W.shape[1] == A.shape[0] and b.shape == (W.shape[0], 1)
    Z = np.einsum("ij,jm->im", W, A)
    Z += b
    return Z, (A, W, b)


def linear_backward(dZ, cache):
    A_prev, W, b = cache
    moyenne = np.full((dZ.shape[1], 1), 1 / dZ.shape[1], dtype=dZ.dtype)
    db = dZ @ moyenne                         # (n, m) @ (m, 1)
    dW = (dZ * moyenne.T) @ A_prev.T
    dA_prev = (dZ.T @ W).T
    return dA_prev, dW, db


def linear_activation_forward(A_prev, W, b, activation):
    Z, cache_lin = linear_forward(A_prev, W, b)
    fonction = globals()[activation]          # "relu" ou "sigmoid"
    A, cache_act = fonction(Z)
    return A, (cache_lin, cache_act)


def linear_activation_backward(dA, cache, activation):
    cache_lin, cache_act = cache
    dZ = globals()[activation + "_backward"](dA, cache_act)
    return linear_backward(dZ, cache_lin)


def compute_cost(AL, Y):
    """coût moyen ; renvoie un scalaire, pas [[17]]"""
    m = Y.shape[1]
    cout = -(np.vdot(Y, np.log(AL)) + np.vdot(1 - Y, np.log1p(-AL))) / m
    return np.squeeze(cout)


def update_parameters(parameters, grads, learning_rate):
    pas = learning_rate
    return {nom: valeur - pas * grads["d" + nom] for nom, valeur in parameters.items()}
