# ruff: noqa: E501
"""Mutations of our models of CMU 11-785 from 2022 on."""

from __future__ import annotations

from tests.checking.mutation import Mutation

MODELS = "models/mlp.py"
MUTATIONS = [
    Mutation((ids,) if isinstance(ids, str) else ids, MODELS, old, new)
    for ids, old, new in (
        ("derivative-missing", "        dLdZ0 = self.f[0].backward(dLdA1)\n", "        dLdZ0 = dLdA1\n"),
        (
            "activation-missing",
            "        A1 = self.f[0].forward(Z0)\n",
            "        self.f[0].forward(Z0)\n        A1 = Z0\n",
        ),
        (
            "wrong-shape",
            "        dLdA0 = self.layers[0].backward(dLdZ0)\n        return dLdA0",
            "        self.layers[0].backward(dLdZ0)\n        return dLdZ0",
        ),
        ("activation-missing", "        for i in range(L):\n", "        for i in range(L - 1):\n"),
        ("activation-missing", "[Linear(2, 3), ReLU(), Linear(3, 2), ReLU()]", "[Linear(2, 3), ReLU(), Linear(3, 2)]"),
        ("raises", "[Linear(2, 3), ReLU(), Linear(3, 2), ReLU()]", "[Linear(2, 3), ReLU(), ReLU()]"),
        (
            ("derivative-missing", "gradient-not-stored"),
            "        for layer in self.layers[::-1]:\n",
            "        for layer in self.layers[-2::-1]:\n",
        ),
        (("shape-clash", "raises"), "        for layer in self.layers[::-1]:\n", "        for layer in self.layers:\n"),
        (
            "derivative-missing",
            "        for layer in reversed(self.layers):\n            dLdA = layer.backward(dLdA)",
            '        for layer in reversed(self.layers):\n            dLdA = layer.backward(dLdA) if hasattr(layer, "W") else dLdA',
        ),
        (
            "activation-missing",
            "            self.layers += [Linear(d, k), ReLU()]",
            "            self.layers += [Linear(d, k), ReLU()] if k > 2 else [Linear(d, k)]",
        ),
        (
            "constant-factor",
            "            dLdA = layer.backward(dLdA)\n            self.dLdA",
            "            dLdA = layer.backward(dLdA) * 2\n            self.dLdA",
        ),
    )
]
