# ruff: noqa: E501
"""Mutations of our mytorch of 2022 and later; and what other editions have, which is as right."""

from __future__ import annotations

from tests.checking.mutation import Mutation

NN = "mytorch/nn/"
MUTATIONS = [
    Mutation((ids,) if isinstance(ids, str) else ids, file, old, new)
    for file, ids, old, new in (
        (NN + "linear.py", "bias-unused", "A @ self.W.T + self.b.T", "A @ self.W.T"),
        (NN + "linear.py", "gradient-transposed", "self.dLdW = dLdZ.T @ self.A", "self.dLdW = self.A.T @ dLdZ"),
        (NN + "linear.py", "wrong-shape", "np.sum(dLdZ, axis=0, keepdims=True).T", "np.sum(dLdZ, axis=0)"),
        (
            NN + "linear.py",
            ("wrong-shape",),
            "np.sum(dLdZ, axis=0, keepdims=True).T",
            "np.sum(dLdZ, axis=0, keepdims=True)",
        ),
        (
            NN + "linear.py",
            "bias-gradient-averaged",
            "np.sum(dLdZ, axis=0, keepdims=True).T",
            "np.mean(dLdZ, axis=0, keepdims=True).T",
        ),
        (NN + "linear.py", "dx-from-dweight", "return dLdZ @ self.W", "return dLdZ @ self.dLdW"),
        (
            NN + "activation.py",
            "upstream-missing",
            "return dLdA * (self.A - self.A * self.A)",
            "return self.A - self.A * self.A",
        ),
        (NN + "activation.py", "square-missing", "return dLdA * (1 - self.A**2)", "return dLdA * (1 - self.A)"),
        (NN + "activation.py", "derivative-missing", "return np.where(self.A > 0, dLdA, 0.0)", "return dLdA"),
        (
            NN + "activation.py",
            "wrong-derivative",
            "return dLdA * (self.phi + self.Z * density)",
            "return dLdA * (self.phi + density)",
        ),
        (
            NN + "activation.py",
            "wrong-derivative",
            "return dLdA * (self.phi + self.Z * density)",
            "return dLdA * self.phi",
        ),
        (NN + "activation.py", "wrong-function", "np.vectorize(math.erf)(Z / np.sqrt(2))", "np.vectorize(math.erf)(Z)"),
        (NN + "activation.py", "softmax-jacobian-sum-missing", "np.diag(a) - np.outer(a, a)", "np.diag(a)"),
        (NN + "activation.py", "softmax-jacobian-sign", "np.diag(a) - np.outer(a, a)", "np.diag(a) + np.outer(a, a)"),
        (
            NN + "activation.py",
            "softmax-axis",
            "self.A = e / e.sum(axis=1, keepdims=True)",
            "self.A = e / e.sum(axis=0, keepdims=True)",
        ),
        (
            NN + "loss.py",
            ("label-sign", "sign-flipped"),
            "return (self.softmax - self.Y) / len(self.Y)",
            "return (self.Y - self.softmax) / len(self.Y)",
        ),
        (NN + "loss.py", "batch-mean-missing", "return crossentropy.mean()", "return crossentropy.sum()"),
        (
            NN + "loss.py",
            ("label-sign", "sign-flipped"),
            "return 2 * (self.A - self.Y)",
            "return 2 * (self.Y - self.A)",
        ),
        (NN + "loss.py", ("wrong-function", "square-missing"), "np.sum((A - Y) ** 2)", "np.sum(np.abs(A - Y))"),
        (NN + "loss.py", "softmax-no-shift", "shifted = A - A.max(axis=1, keepdims=True)", "shifted = A"),
        (
            NN + "batchnorm.py",
            "bessel",
            "self.V = Z.var(axis=0, keepdims=True)",
            "self.V = Z.var(axis=0, keepdims=True, ddof=1)",
        ),
        (
            NN + "batchnorm.py",
            "running-alpha-swapped",
            "self.alpha * self.running_M + (1 - self.alpha) * self.M",
            "(1 - self.alpha) * self.running_M + self.alpha * self.M",
        ),
        (
            NN + "batchnorm.py",
            "evaluation-batch-figures",
            "NZ = (Z - self.running_M) / np.sqrt(self.running_V + self.eps)",
            "NZ = (Z - Z.mean(axis=0)) / np.sqrt(Z.var(axis=0) + self.eps)",
        ),
        (NN + "batchnorm.py", "norm-mean-constant", " + dLdM / N", ""),
        (NN + "batchnorm.py", "gamma-forgotten", "dLdNZ = dLdBZ * self.BW", "dLdNZ = dLdBZ"),
        (
            NN + "batchnorm.py",
            "norm-parameter-averaged",
            "np.sum(dLdBZ, axis=0, keepdims=True)",
            "np.mean(dLdBZ, axis=0, keepdims=True)",
        ),
        (
            "mytorch/optim/sgd.py",
            "update-sign",
            "self.l[i].W -= self.lr * self.v_W[i]\n            self.l[i].b -= self.lr * self.v_b[i]",
            "self.l[i].W += self.lr * self.v_W[i]\n            self.l[i].b += self.lr * self.v_b[i]",
        ),
        (
            "mytorch/optim/sgd.py",
            "momentum-average",
            "self.v_W[i] = self.mu * self.v_W[i] + self.l[i].dLdW\n            self.v_b[i] = self.mu * self.v_b[i] + self.l[i].dLdb",
            "self.v_W[i] = self.mu * self.v_W[i] + (1 - self.mu) * self.l[i].dLdW\n            self.v_b[i] = self.mu * self.v_b[i] + (1 - self.mu) * self.l[i].dLdb",
        ),
    )
]
LINEAR_W, LINEAR_B = "self.dLdW = dLdZ.T @ self.A", "self.dLdb = np.sum(dLdZ, axis=0, keepdims=True).T"
SIGMOID_DX = "return dLdA * (self.A - self.A * self.A)"
GELU_DX = "return dLdA * (self.phi + self.Z * density)"
JACOBIAN = "dLdZ[i] = dLdA[i] @ (np.diag(a) - np.outer(a, a))"
CROSS_DX = "return (self.softmax - self.Y) / len(self.Y)"
RUNNING_M = "self.running_M = self.alpha * self.running_M + (1 - self.alpha) * self.M"
RUNNING_V = "self.running_V = self.alpha * self.running_V + (1 - self.alpha) * self.V"
DLDV = "(self.V + self.eps) ** -1.5"
STEP_B = "            self.l[i].b -= self.lr * self.v_b[i]\n"
MUTATIONS += [
    Mutation((ids,) if isinstance(ids, str) else ids, file, old, new)
    for file, ids, old, new in (
        (NN + "linear.py", "bias-gradient-not-averaged", LINEAR_W, "self.dLdW = dLdZ.T @ self.A / len(dLdZ)"),
        (NN + "linear.py", "bias-gradient-unsummed", LINEAR_B, "self.dLdb = dLdZ.T"),
        (NN + "linear.py", "bias-sign", "A @ self.W.T + self.b.T", "A @ self.W.T - self.b.T"),
        (NN + "linear.py", "all-zero", "return dLdZ @ self.W", "return dLdZ @ self.W * 0 + self.A * 0"),
        (
            NN + "activation.py",
            "derivative-at-output",
            SIGMOID_DX,
            "s = 1 / (1 + np.exp(-self.A))\n        return dLdA * s * (1 - s)",
        ),
        (NN + "activation.py", "function-for-derivative", SIGMOID_DX, "return dLdA * self.A"),
        (NN + "activation.py", "input-changed", "self.A = np.maximum(Z, 0)", "Z[Z < 0] = 0\n        self.A = Z"),
        (
            NN + "activation.py",
            "mask-from-gradient",
            "np.where(self.A > 0, dLdA, 0.0)",
            "np.where(dLdA > 0, dLdA, 0.0)",
        ),
        (NN + "activation.py", "upstream-missing", GELU_DX, "return self.phi + self.Z * density"),
        (NN + "activation.py", "wrong-derivative", "np.sqrt(2 * np.pi)", "np.sqrt(np.pi)"),
        (
            NN + "activation.py",
            "softmax-global-shift",
            "np.exp(Z - Z.max(axis=1, keepdims=True))",
            "np.exp(Z - Z.max())",
        ),
        (NN + "activation.py", "softmax-no-shift", "np.exp(Z - Z.max(axis=1, keepdims=True))", "np.exp(Z)"),
        (NN + "activation.py", "softmax-jacobian-diagonal", JACOBIAN, "dLdZ[i] = dLdA[i] * a * (1 - a)"),
        (NN + "activation.py", "one-jacobian-for-all", "a = self.A[i]", "a = self.A[0]"),
        (NN + "loss.py", "softmax-global-shift", "shifted = A - A.max(axis=1, keepdims=True)", "shifted = A - A.max()"),
        (
            NN + "loss.py",
            "softmax-axis",
            "np.exp(shifted).sum(axis=1, keepdims=True)",
            "np.exp(shifted).sum(axis=0, keepdims=True)",
        ),
        (
            NN + "loss.py",
            "labels-unused",
            "-np.sum(Y * np.log(self.softmax), axis=1)",
            "-np.sum(np.log(self.softmax), axis=1)",
        ),
        (
            NN + "loss.py",
            "averaged-over-classes",
            "return crossentropy.mean()",
            "return crossentropy.mean() / A.shape[1]",
        ),
        (NN + "loss.py", "averaged-over-classes", CROSS_DX, "return (self.softmax - self.Y) / self.Y.size"),
        (NN + "loss.py", "softmax-missing", CROSS_DX, "return (np.log(self.softmax) * 0 - self.Y) / len(self.Y)"),
        (NN + "loss.py", "batch-mean-twice", CROSS_DX, "return (self.softmax - self.Y) / len(self.Y) ** 2"),
        (
            NN + "batchnorm.py",
            "running-unbiased",
            RUNNING_V,
            RUNNING_V.replace("self.V\n", "self.V") + " * len(Z) / (len(Z) - 1)",
        ),
        (NN + "batchnorm.py", "running-never-updated", RUNNING_M, "pass"),
        (NN + "batchnorm.py", "running-is-last-batch", RUNNING_V, "self.running_V = self.V"),
        (
            NN + "batchnorm.py",
            "evaluation-updates-running",
            "        if eval:\n",
            "        if eval:\n            self.running_M = self.running_M * 0.9 + Z.mean(axis=0, keepdims=True) * 0.1\n",
        ),
        (NN + "batchnorm.py", "variance-power", DLDV, "(self.V + self.eps) ** -0.5"),
        (NN + "batchnorm.py", "norm-variance-constant", "dLdV * 2 / N * (self.Z - self.M) + ", ""),
        (
            NN + "batchnorm.py",
            "norm-variance-factor",
            "dLdV * 2 / N * (self.Z - self.M)",
            "dLdV / N * (self.Z - self.M)",
        ),
        (NN + "batchnorm.py", "norm-mean-not-averaged", " + dLdM / N", " + dLdM"),
        (
            NN + "batchnorm.py",
            "dgamma-from-input",
            "np.sum(dLdBZ * self.NZ, axis=0, keepdims=True)",
            "np.sum(dLdBZ * self.Z, axis=0, keepdims=True)",
        ),
        (NN + "batchnorm.py", "gamma-unused", "return self.BW * self.NZ + self.Bb", "return self.NZ + self.Bb"),
        ("mytorch/optim/sgd.py", "not-updated", STEP_B, ""),
        (
            "mytorch/optim/sgd.py",
            "not-updated",
            STEP_B,
            "            if self.mu == 0:\n                self.l[i].b -= self.lr * self.v_b[i]\n",
        ),
        (
            "mytorch/optim/sgd.py",
            "momentum-ignored",
            "self.v_W[i] = self.mu * self.v_W[i] + self.l[i].dLdW\n            self.v_b[i] = self.mu * self.v_b[i] + self.l[i].dLdb",
            "self.v_W[i] = self.l[i].dLdW\n            self.v_b[i] = self.l[i].dLdb",
        ),
        (
            "mytorch/optim/sgd.py",
            "learning-rate-missing",
            "self.l[i].W -= self.lr * self.v_W[i]\n            self.l[i].b -= self.lr * self.v_b[i]",
            "self.l[i].W -= self.v_W[i]\n            self.l[i].b -= self.v_b[i]",
        ),
    )
]
#: As right: (file, old, new).
EDITIONS = {
    "parameters' gradients are means": (
        (NN + "linear.py", "dLdZ.T @ self.A", "dLdZ.T @ self.A / len(dLdZ)"),
        (NN + "linear.py", "np.sum(dLdZ, axis=0, keepdims=True).T", "np.mean(dLdZ, axis=0, keepdims=True).T"),
        (NN + "loss.py", "(self.softmax - self.Y) / len(self.Y)", "self.softmax - self.Y"),
        (NN + "loss.py", "return 2 * (self.A - self.Y) / (self.N * self.C)", "return self.A - self.Y"),
    ),
    "backward takes nothing": (
        (
            NN + "activation.py",
            "    def backward(self, dLdA):\n        return dLdA * (self.A - self.A * self.A)",
            "    def backward(self):\n        return self.A - self.A * self.A",
        ),
        (
            NN + "activation.py",
            "    def backward(self, dLdA):\n        return np.where(self.A > 0, dLdA, 0.0)",
            "    def backward(self):\n        dAdZ = self.A > 0\n        return dAdZ.astype(float)",
        ),
    ),
}
