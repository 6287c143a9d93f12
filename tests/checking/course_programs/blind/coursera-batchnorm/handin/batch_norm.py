"""Batch norm as in course 2 week 3 of the Deep Learning specialisation.
Z has shape (n[l], m): one column per example."""
import numpy as np


def initialize_bn(n):
    gamma = np.ones((n, 1))
    beta = np.zeros((n, 1))
    running = {"mu": np.zeros((n, 1)), "sigma2": np.ones((n, 1))}
    return gamma, beta, running


def batchnorm_forward(Z, gamma, beta, epsilon=1e-8):
    """
    Arguments:
    Z -- pre-activations of the layer, (n, m)
    gamma, beta -- (n, 1)

    Returns:
    Z_tilde -- (n, m)
    cache -- values for batchnorm_backward
    """
    mu = np.mean(Z, axis=1, keepdims=True)
    sigma2 = np.var(Z, axis=1, keepdims=True, ddof=1)
    Z_norm = (Z - mu) / np.sqrt(sigma2 + epsilon)
    Z_tilde = gamma * Z_norm + beta
    cache = (Z, Z_norm, mu, sigma2, gamma, epsilon)
    return Z_tilde, cache


def batchnorm_backward(dZ_tilde, cache):
    """
    Returns dZ (n, m), dgamma (n, 1), dbeta (n, 1)
    """
    Z, Z_norm, mu, sigma2, gamma, epsilon = cache
    m = Z.shape[1]
    dbeta = np.sum(dZ_tilde, axis=1, keepdims=True)
    dgamma = np.sum(dZ_tilde * Z_norm, axis=1, keepdims=True)
    dZ_norm = dZ_tilde * gamma
    dsigma2 = np.sum(dZ_norm * (Z - mu), axis=1, keepdims=True) * -0.5 * (sigma2 + epsilon) ** -1.5
    dmu = -np.sum(dZ_norm, axis=1, keepdims=True) / np.sqrt(sigma2 + epsilon)
    dZ = dZ_norm / np.sqrt(sigma2 + epsilon) + dsigma2 * 2 * (Z - mu) / m + dmu / m
    return dZ, dgamma, dbeta


def batchnorm_predict(Z, gamma, beta, running, epsilon=1e-8):
    Z_norm = (Z - running["mu"]) / np.sqrt(running["sigma2"] + epsilon)
    return gamma * Z_norm + beta
