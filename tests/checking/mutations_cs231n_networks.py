# ruff: noqa: E501
"""Mutations of our CS231n networks: each breaks one place, and any of its ids names it."""

from __future__ import annotations

from tests.checking.mutation import Mutation

NET = "cs231n/classifiers/fc_net.py"


def _one(file: str, ids: str | tuple[str, ...], old: str, new: str) -> Mutation:
    return Mutation((ids,) if isinstance(ids, str) else ids, file, old, new)


TWO = [
    _one(NET, *each)
    for each in (
        ("regularisation-missing", "        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))\n", ""),
        ("regularisation-wrong", "self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))", "self.reg * np.sum(W1 * W1)"),
        ("regularisation-wrong", "self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))", "self.reg * (np.sum(np.abs(W1)) + np.sum(np.abs(W2)))"),
        ("regularisation-wrong", "self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))", "self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2) + np.sum(b1**2) + np.sum(b2**2))"),
        ("regularisation-missing", '        grads["W2"] += self.reg * W2\n', ""),
        ("regularisation-wrong", 'grads["W1"] += self.reg * W1', 'grads["W1"] += 0.5 * self.reg * W1'),
        ("regularisation-wrong", 'grads["W2"] += self.reg * W2', 'grads["W2"] += self.reg * W2\n        grads["b2"] += self.reg * b2'),
        ("derivative-missing", "        dz = relu_backward(dhidden, mask)", "        dz = dhidden"),
        ("activation-missing", "        hidden, mask = relu_forward(z)", "        hidden, mask = z, z"),
        ("activation-at-the-end", "        scores, second = affine_forward(hidden, W2, b2)", "        scores, second = affine_forward(hidden, W2, b2)\n        scores = np.maximum(scores, 0)"),
        ("bias-unused", 'for name in ("W1", "b1", "W2", "b2"))', 'for name in ("W1", "b1", "W2", "b2"))\n        b1, b2 = 0 * b1, 0 * b2'),
        ("gradient-not-stored", 'dhidden, grads["W2"], grads["b2"] = affine_backward(dscores, second)', 'dhidden, grads["W2"], _ = affine_backward(dscores, second)'),
        ("batch-mean-missing", "affine_backward(dscores, second)", "affine_backward(dscores * len(X), second)"),
        ("softmax-in-forward", "            return scores\n        loss, dscores = softmax_loss(scores, y)\n        loss += 0.5 * self.reg * (", "            return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)\n        loss, dscores = softmax_loss(scores, y)\n        loss += 0.5 * self.reg * ("),
    )
]  # fmt: skip
DEEP = [
    _one(NET, *each)
    for each in (
        ("regularisation-wrong", "        for k in range(1, L + 1):\n            loss +=", "        for k in range(L, L + 1):\n            loss +="),
        ("regularisation-missing", '        grads[f"W{L}"] += self.reg * self.params[f"W{L}"]\n', ""),
        ("derivative-missing", "            dout = relu_backward(dout, mask)\n", ""),
        ("norm-not-applied", "                out, norm = forward(out, gamma, beta, self.bn_params[k - 1])", "                norm = forward(out, gamma, beta, self.bn_params[k - 1])[1]"),
        ("norm-backward-skipped", 'dout, grads[f"gamma{k}"], grads[f"beta{k}"] = backward(dout, norm)', '_, grads[f"gamma{k}"], grads[f"beta{k}"] = backward(dout, norm)'),
        (("unexplained", "wrong-factor", "wrong-derivative", "derivative-missing"), "                dout = dropout_backward(dout, drop)", "                pass"),
        ("bias-unused", 'affine_forward(out, self.params[f"W{L}"], self.params[f"b{L}"])', 'affine_forward(out, self.params[f"W{L}"], 0)'),
        (("backward-order", "unexplained"), "            dout = relu_backward(dout, mask)\n            if self.normalization:", "            if not self.normalization:\n                dout = relu_backward(dout, mask)\n            if self.normalization:"),
        ("sign-flipped", '            dout, grads[f"W{k}"], grads[f"b{k}"] = affine_backward(dout, affine)', '            dout, grads[f"W{k}"], grads[f"b{k}"] = affine_backward(-dout, affine)'),
    )
]  # fmt: skip
OLD = [
    _one("neural_net.py", *each)
    for each in (
        ("derivative-missing", "        dhidden[hidden <= 0] = 0\n", ""),
        ("batch-mean-missing", "        p /= N\n", ""),
        ("softmax-no-shift", "shifted = scores - scores.max(axis=1, keepdims=True)", "shifted = scores"),
        ("regularisation-wrong", "X.T @ dhidden + 2 * reg * W1", "X.T @ dhidden + reg * W1"),
        (("batch-mean-missing",), "np.log(p[np.arange(N), y]).mean()", "np.log(p[np.arange(N), y]).sum()"),
        (("bias-gradient-averaged", "batch-mean-twice"), '"b2": p.sum(axis=0)', '"b2": p.mean(axis=0)'),
        (("reduced-over-wrong-axis", "wrong-shape"), 'grads["b1"] = dhidden.sum(axis=0)', 'grads["b1"] = dhidden.sum(axis=1)'),
        ("dweight-from-preactivation", '"W2": hidden.T @ p', '"W2": (X @ W1 + b1).T @ p'),
        ("labels-unused", "        p[np.arange(N), y] -= 1\n", ""),
    )
]  # fmt: skip
