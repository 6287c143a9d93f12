# ruff: noqa: E501
"""Kinds of code that the checker did not know when it met real hand-ins: right and wrong programs of each.

Each is one of the right hand-ins of `handins/` with a few pieces of text replaced. They were written, and their
expected names set down, before the checker was changed for them; `python -m benchmarks.checker --kinds` counts what
is found.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """One program.

    Arguments:
        name: what it is about.
        base: the folder of `handins/` that it starts from.
        changes: (file, old text, new text), each old text in the file at least once.
        wrong: part -> ids of which one has to be named there; empty for a right program.
        torch: whether it needs PyTorch.
        others: parts that may be wrong too.
    """

    name: str
    base: str
    changes: tuple[tuple[str, str, str], ...]
    wrong: dict[str, tuple[str, ...]] = field(default_factory=dict)
    torch: bool = False
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


LINEAR, NORM, LOSS, ACT = "mytorch/linear.py", "mytorch/batchnorm.py", "mytorch/loss.py", "mytorch/activation.py"
M = "modules.py"
BN, LN = "custom_batchnorm.py", "custom_layernorm.py"
ELU = "out = np.where(x > 0, x, self.alpha * (np.exp(np.minimum(x, 0)) - 1))"
ELU_BACK = "dx = dout * np.where(self.x > 0, 1.0, self.alpha * np.exp(np.minimum(self.x, 0)))"
SOFT_BACK = "dx = s * (dout - np.sum(dout * s, axis=1, keepdims=True))"
SOFT = "out = exps / np.sum(exps, axis=1, keepdims=True)"
LOSS_OUT = "out = -np.mean(np.log(x[np.arange(len(y)), y]))"
LOSS_DX = "dx[rows, y] = -1 / x[rows, y] / len(y)"
CMU_DVAR = "dvar = -0.5 * np.sum(dnorm * (self.x - self.mean), axis=0, keepdims=True) / std**3"
DW = "self.dW = np.dot(self.x.T, delta) / batch"
DB = "self.db = np.sum(delta, axis=0, keepdims=True) / batch"
FUNCTION = "def forward(ctx, input, gamma, beta, eps=1e-5):"


def everywhere(file: str, *pairs: tuple[str, str]) -> tuple[tuple[str, str, str], ...]:
    return tuple((file, old, new) for old, new in pairs)


COLUMN = everywhere(
    BN,
    ("nn.Parameter(torch.ones(n_neurons))", "nn.Parameter(torch.ones(1, n_neurons))"),
    ("nn.Parameter(torch.zeros(n_neurons))", "nn.Parameter(torch.zeros(1, n_neurons))"),
)

KINDS = (
    # shapes that break when things are joined
    Kind(
        "gamma of shape (1, n) around gradients of shape (n,)",
        "uva-norm",
        COLUMN,
        {"CustomBatchNormManualModule, gradients": ("wrong-shape", "shape-clash")},
        torch=True,
    ),
    Kind(
        "gamma of shape (1, n) with gradients of that shape",
        "uva-norm",
        (
            *COLUMN,
            (BN, "(grad_output * norm).sum(dim=0)", "(grad_output * norm).sum(dim=0, keepdim=True)"),
            (BN, "grad_output.sum(dim=0)\n", "grad_output.sum(dim=0, keepdim=True)\n"),
        ),
        torch=True,
    ),
    Kind(
        "a bias (n, 1) beside a gradient (n,)",
        "uva-nov19",
        everywhere(
            M,
            ('"bias": np.zeros(out_features),', '"bias": np.zeros((out_features, 1)),'),
            ('+ self.params["bias"]', '+ self.params["bias"].T'),
        ),
        {"LinearModule.backward": ("wrong-shape",)},
    ),
    Kind(
        "a bias (n, 1) beside a gradient (n, 1)",
        "uva-nov19",
        everywhere(
            M,
            ('"bias": np.zeros(out_features),', '"bias": np.zeros((out_features, 1)),'),
            ('+ self.params["bias"]', '+ self.params["bias"].T'),
            ("np.sum(dout, axis=0)", "np.sum(dout, axis=0)[:, None]"),
        ),
    ),
    Kind(
        "a bias (1, n) beside a gradient (n,)",
        "uva-nov19",
        everywhere(M, ('"bias": np.zeros(out_features),', '"bias": np.zeros((1, out_features)),')),
    ),
    Kind(
        "a row for db is asked for",
        "cmu-2020",
        ((LINEAR, DB, "self.db = delta.mean(axis=0)"),),
        {"Linear.backward": ("wrong-shape",)},
    ),
    Kind(
        "rows for dgamma and dbeta are asked for",
        "cmu-2020",
        everywhere(
            NORM,
            (
                "self.dgamma = np.sum(delta * self.norm, axis=0, keepdims=True)",
                "self.dgamma = (delta * self.norm).sum(0)",
            ),
            ("self.dbeta = np.sum(delta, axis=0, keepdims=True)", "self.dbeta = delta.sum(0)"),
        ),
    ),
    # the edition's labels
    Kind(
        "a loss of one-hot rows where numbers are handed in",
        "uva-2021",
        everywhere(
            M,
            (LOSS_OUT, "out = -np.mean(np.sum(y * np.log(x), axis=1))"),
            (f"dx = np.zeros_like(x)\n        rows = np.arange(len(y))\n        {LOSS_DX}", "dx = -y / x / len(y)"),
        ),
        {
            "CrossEntropyModule.forward": ("labels-one-hot",),
            "CrossEntropyModule.backward": ("labels-one-hot",),
        },
    ),
    Kind(
        "a loss of numbers that makes rows of them",
        "uva-2021",
        everywhere(
            M,
            (LOSS_OUT, "y = np.eye(x.shape[1])[y]\n        out = -np.mean(np.sum(y * np.log(x), axis=1))"),
            (
                f"dx = np.zeros_like(x)\n        rows = np.arange(len(y))\n        {LOSS_DX}",
                "y = np.eye(x.shape[1])[y]\n        dx = -y / x / len(y)",
            ),
        ),
    ),
    Kind(
        "label numbers weigh the label's logarithm",
        "uva-2021",
        everywhere(M, (LOSS_OUT, "out = -np.mean(y * np.log(x[np.arange(len(y)), y]))")),
        {"CrossEntropyModule.forward": ("labels-as-numbers",)},
    ),
    Kind(
        "label numbers weigh the derivative",
        "uva-2021",
        everywhere(M, (LOSS_DX, "dx[rows, y] = -y / x[rows, y] / len(y)")),
        {"CrossEntropyModule.backward": ("labels-as-numbers",)},
    ),
    Kind(
        "the fused gradient with label numbers",
        "uva-2021",
        everywhere(M, (LOSS_DX, "dx = (x - y[:, None]) / len(y)")),
        {"CrossEntropyModule.backward": ("labels-as-numbers", "fused-gradient")},
    ),
    # state
    Kind(
        "ReLU keeps its input as state",
        "cmu-2019",
        (
            (
                "hw1.py",
                "self.state = np.maximum(x, 0)\n        return self.state",
                "self.state = x\n        return np.maximum(x, 0)",
            ),
        ),
        {"ReLU.forward": ("state-not-output",)},
    ),
    Kind(
        "derivative writes its mask over state",
        "cmu-2019",
        (
            (
                "hw1.py",
                "return (self.state > 0).astype(float)",
                "self.state[self.state > 0] = 1.0\n        return self.state",
            ),
        ),
        {"ReLU.derivative": ("state-overwritten",)},
    ),
    Kind(
        "derivative writes its mask over a copy",
        "cmu-2019",
        (
            (
                "hw1.py",
                "return (self.state > 0).astype(float)",
                "d = self.state.copy()\n        d[d > 0] = 1.0\n        return d",
            ),
        ),
    ),
    # arguments nobody passes
    Kind(
        "eps is overwritten by a constant",
        "uva-norm",
        ((LN, "self.eps = eps\n", "self.eps = 1e-5\n"),),
        {"CustomLayerNormAutograd.forward": ("argument-ignored",)},
        torch=True,
        others=("CustomLayerNormManualModule.forward",),
    ),
    Kind(
        "eps is not handed on to the Function",
        "uva-norm",
        ((BN, "apply(input, self.gamma, self.beta, self.eps)", "apply(input, self.gamma, self.beta)"),),
        {"CustomBatchNormManualModule.forward": ("argument-ignored",)},
        torch=True,
    ),
    Kind(
        "eps has another name",
        "uva-norm",
        (
            (BN, "def __init__(self, n_neurons, eps=1e-5):", "def __init__(self, n_neurons, epsilon=1e-5):"),
            (BN, "self.eps = eps\n", "self.eps = epsilon\n"),
        ),
        {"CustomBatchNormAutograd.forward": ("argument-renamed",)},
        torch=True,
        others=("CustomBatchNormManualModule.forward",),
    ),
    Kind(
        "widths are compared with `is`",
        "uva-norm",
        ((LN, "input.shape[1] != self.n_neurons", "input.shape[1] is not self.n_neurons"),),
        {"CustomLayerNormAutograd.forward": ("compared-by-identity",)},
        torch=True,
        others=("CustomLayerNormManualModule.forward",),
    ),
    Kind(
        "an assertion of a tuple",
        "uva-norm",
        (
            (
                LN,
                'if input.dim() != 2 or input.shape[1] != self.n_neurons:\n            raise ValueError("wrong shape")',
                'assert (input.shape[1] == self.n_neurons, "wrong shape")',
            ),
        ),
        {"CustomLayerNormAutograd.forward": ("shape-check-missing",)},
        torch=True,
        others=("CustomLayerNormManualModule.forward",),
    ),
    Kind(
        "an assertion",
        "uva-norm",
        (
            (
                LN,
                'if input.dim() != 2 or input.shape[1] != self.n_neurons:\n            raise ValueError("wrong shape")',
                'assert input.shape[1] == self.n_neurons, "wrong shape"',
            ),
        ),
        torch=True,
    ),
    Kind(
        "evaluation squeezes a batch of one",
        "cmu-2020",
        ((NORM, "return self.gamma * norm + self.beta", "return np.squeeze(self.gamma * norm + self.beta)"),),
        {"BatchNorm.forward (evaluation)": ("batch-of-one",)},
    ),
    Kind(
        "dW accumulates and is divided again",
        "cmu-2020",
        ((LINEAR, DW, "self.dW += np.dot(self.x.T, delta)\n        self.dW /= batch"),),
        {"Linear.backward": ("gradient-accumulates", "state-overwritten", "wrong-at-a-later-pass")},
    ),
    Kind(
        "dW accumulates, and zero_grads clears it",
        "cmu-2020",
        ((LINEAR, DW, "self.dW += np.dot(self.x.T, delta) / batch"),),
    ),
    Kind(
        "output is never set",
        "cmu-2019",
        (
            ("hw1.py", "self.output = out", "self.result = out"),
            ("hw1.py", "self.criterion(self.output, labels)", "self.criterion(self.result, labels)"),
            (
                "hw1.py",
                "    def train(self):",
                "    def error(self, labels):\n        return (np.argmax(self.output, axis=1) != np.argmax(labels, axis=1)).sum()\n\n"
                "    def total_loss(self, labels):\n        return self.criterion(self.output, labels).sum()\n\n    def train(self):",
            ),
        ),
        {"MLP.forward": ("output-not-set",)},
    ),
    Kind(
        "output is set for error and total_loss",
        "cmu-2019",
        (
            (
                "hw1.py",
                "    def train(self):",
                "    def error(self, labels):\n        return (np.argmax(self.output, axis=1) != np.argmax(labels, axis=1)).sum()\n\n"
                "    def total_loss(self, labels):\n        return self.criterion(self.output, labels).sum()\n\n    def train(self):",
            ),
        ),
    ),
    Kind(
        "momentum reads an attribute that does not exist",
        "cmu-2019",
        (
            (
                "hw1.py",
                "    def step(self):\n",
                "    def step(self):\n        if self.momentum:\n            self.W[0] += self.velocities[0]\n",
            ),
        ),
        {"MLP.step with momentum": ("missing-attribute",)},
    ),
    Kind(
        "step and momentum read two attributes that do not exist",
        "cmu-2019",
        (
            (
                "hw1.py",
                "    def step(self):\n",
                "    def step(self):\n        if self.momentum:\n            self.W[0] += self.velocities[0]\n        self.W[0] -= self.lr * self.gradients[0]\n",
            ),
        ),
        {"MLP.step": ("missing-attribute",), "MLP.step with momentum": ("missing-attribute",)},
    ),
    # could not be judged
    Kind(
        "one dict of parameters for all layers",
        "uva-nov19",
        everywhere(
            M,
            ("class LinearModule(object):\n", "class LinearModule(object):\n    params, grads = {}, {}\n\n"),
            ("        self.params = {", "        new = {"),
            ("        self.grads = {", "        self.params.update(new)\n        self.zeros = {"),
        ),
        {"LinearModule.__init__": ("shared-between-objects",)},
    ),
    Kind(
        "weights under other keys",
        "uva-nov19",
        everywhere(M, ('"weight"', '"weights"'), ('"bias"', '"biases"')),
        {"LinearModule.__init__": ("attribute-renamed",)},
    ),
    Kind(
        "W and b under other names",
        "cmu-2019",
        everywhere(
            "hw1.py", ("self.W[", "self.weights["), ("self.W ", "self.weights "), ("in self.W]", "in self.weights]")
        ),
        {"MLP.__init__": ("attribute-renamed",)},
    ),
    # what was unexplained
    Kind(
        "softmax: dy times the row sums of the Jacobian",
        "uva-2021",
        everywhere(
            M,
            (SOFT, "out = exps / np.sum(exps)"),
            (SOFT_BACK, "dx = dout * (s - s * np.sum(s, axis=1, keepdims=True))"),
        ),
        {"SoftMaxModule.backward": ("softmax-jacobian",), "SoftMaxModule.forward": ("softmax-global",)},
    ),
    Kind(
        "softmax: the Jacobian with an identity for the diagonal",
        "uva-2021",
        everywhere(
            M,
            (SOFT_BACK, "dx = np.array([(np.eye(len(r)) - np.outer(r, r)) @ d for r, d in zip(s, dout)])"),
        ),
        {"SoftMaxModule.backward": ("softmax-jacobian",)},
    ),
    Kind(
        "softmax: a row where the diagonal belongs",
        "uva-2021",
        everywhere(M, (SOFT_BACK, "dx = np.array([(r[None, :] - np.outer(r, r)) @ d for r, d in zip(s, dout)])")),
        {"SoftMaxModule.backward": ("softmax-jacobian",)},
    ),
    Kind(
        "softmax: the Jacobian of the samples' sum",
        "uva-2021",
        everywhere(M, (SOFT_BACK, "r = s.sum(axis=0)\n        dx = dout @ (np.diag(r) - np.outer(r, r))")),
        {"SoftMaxModule.backward": ("one-jacobian-for-all",)},
    ),
    Kind(
        "softmax: the whole Jacobian from x",
        "uva-2021",
        everywhere(
            M,
            ("self.out = out", "self.out = x"),
            (SOFT_BACK, "dx = np.array([(np.diag(r) - np.outer(r, r)) @ d for r, d in zip(s, dout)])"),
        ),
        {"SoftMaxModule.backward": ("softmax-at-input",)},
    ),
    Kind(
        "softmax: einsum over the right index",
        "uva-2021",
        everywhere(
            M,
            (
                SOFT_BACK,
                'J = np.einsum("ij,jk->ijk", s, np.eye(s.shape[1])) - np.einsum("ij,ik->ijk", s, s)\n'
                '        dx = np.einsum("ik,ijk->ij", dout, J)',
            ),
        ),
    ),
    Kind(
        "softmax: the shift multiplied back",
        "uva-2021",
        everywhere(
            M, (SOFT, "out = exps / np.sum(exps, axis=1, keepdims=True) * np.exp(np.max(x, axis=1, keepdims=True))")
        ),
        {"SoftMaxModule.forward": ("softmax-shift-undone",)},
    ),
    Kind(
        "softmax: the maximum multiplied back",
        "uva-2021",
        everywhere(M, (SOFT, "out = np.max(x, axis=1, keepdims=True) * exps / np.sum(exps, axis=1, keepdims=True)")),
        {"SoftMaxModule.forward": ("softmax-shift-undone",)},
    ),
    Kind(
        "binary cross-entropy of many classes",
        "uva-2021",
        everywhere(
            M,
            (LOSS_OUT, "t = np.eye(x.shape[1])[y]\n        out = np.mean(-t * np.log(x) - (1 - t) * np.log(1 - x))"),
            (LOSS_DX, "t = np.eye(x.shape[1])[y]\n        dx = -(t / x - (1 - t) / (1 - x)) / t.size"),
        ),
        {
            "CrossEntropyModule.forward": ("binary-crossentropy",),
            "CrossEntropyModule.backward": ("binary-crossentropy",),
        },
    ),
    Kind(
        "binary cross-entropy of label numbers",
        "uva-2021",
        everywhere(M, (LOSS_OUT, "t = y[:, None]\n        out = -np.mean(t * np.log(x) + (1 - t) * np.log(1 - x))")),
        {"CrossEntropyModule.forward": ("binary-crossentropy", "labels-as-numbers")},
    ),
    Kind(
        "eps in the derivative alone",
        "uva-2021",
        everywhere(M, (LOSS_DX, "dx[rows, y] = -1 / (x[rows, y] + 1e-4) / len(y)")),
        {"CrossEntropyModule.backward": ("eps-not-in-loss",)},
    ),
    Kind(
        "a small eps in loss and derivative",
        "uva-2021",
        everywhere(
            M,
            (LOSS_OUT, "out = -np.mean(np.log(x[np.arange(len(y)), y] + 1e-6))"),
            (LOSS_DX, "dx[rows, y] = -1 / (x[rows, y] + 1e-6) / len(y)"),
        ),
    ),
    Kind(
        "eps in the loss alone",
        "uva-2021",
        everywhere(M, (LOSS_OUT, "out = -np.mean(np.log(x[np.arange(len(y)), y] + 1e-4))")),
        {"CrossEntropyModule.forward": ("eps-value",)},
        others=("CrossEntropyModule.backward",),
    ),
    Kind(
        "variance squared under the root",
        "cmu-2019",
        (("hw1.py", "np.sqrt(self.var + self.eps)", "np.sqrt(self.var ** 2 + self.eps)"),),
        {"BatchNorm.forward (training)": ("variance-squared",)},
        others=("BatchNorm.backward",),
    ),
    Kind(
        "mean and variance over the whole array",
        "uva-norm",
        (
            (BN, "mean = input.mean(dim=0)", "mean = input.mean()"),
            (BN, "var = input.var(dim=0, unbiased=False)", "var = input.var(unbiased=False)"),
        ),
        {"CustomBatchNormAutograd.forward": ("reduced-over-wrong-axis",)},
        torch=True,
        others=(
            "CustomBatchNormManualFunction.forward",
            "CustomBatchNormManualFunction.backward",
            "CustomBatchNormManualModule.forward",
            "CustomBatchNormManualModule, gradients",
        ),
    ),
    Kind(
        "variance over the whole array",
        "cmu-2020",
        (
            (
                NORM,
                "self.var = np.mean((x - self.mean) ** 2, axis=0, keepdims=True)",
                "self.var = np.var(x) * np.ones((1, x.shape[1]))",
            ),
        ),
        {"BatchNorm.forward (training)": ("reduced-over-wrong-axis",)},
        others=("BatchNorm.running figures", "BatchNorm.backward"),
    ),
    Kind(
        "the mean to the power of -3/2",
        "cmu-2020",
        ((NORM, CMU_DVAR, CMU_DVAR.replace("std**3", "(self.mean + self.eps) ** 1.5")),),
        {"BatchNorm.backward": ("variance-power",)},
    ),
    Kind(
        "ELU: the exponential of ones",
        "uva-2021",
        everywhere(
            M,
            (
                ELU_BACK,
                "d = np.ones_like(dout)\n        d[self.x < 0] = self.alpha * np.exp(d[self.x < 0])\n        dx = dout * d",
            ),
        ),
        {"ELUModule.backward": ("wrong-derivative",)},
    ),
    Kind(
        "ELU: the derivative by its output",
        "uva-2021",
        everywhere(
            M,
            (ELU, ELU + "\n        self.y = out"),
            (ELU_BACK, "dx = dout * np.where(self.y > 0, 1.0, self.y + self.alpha)"),
        ),
    ),
    Kind(
        "only the last of several layers is normalised",
        "cmu-2019",
        (("hw1.py", "if i < self.num_bn_layers:", "if i == self.num_bn_layers - 1:"),),
        {"MLP.forward with BatchNorm": ("norm-last-layer-only",)},
        others=("MLP.backward with BatchNorm", "MLP.train and eval"),
    ),
    Kind(
        "every layer is normalised that has one to spare",
        "cmu-2019",
        (("hw1.py", "if i < self.num_bn_layers:", "if self.num_bn_layers > i:"),),
    ),
    # false alarms
    Kind(
        "gamma and beta under other names",
        "uva-norm",
        everywhere(BN, ("self.gamma", "self._g"), ("self.beta", "self._b")),
        torch=True,
    ),
    Kind(
        "gamma and beta inside a wrapped layer",
        "uva-norm",
        everywhere(
            LN,
            (
                "class CustomLayerNormManualFunction",
                "class Scale(nn.Module):\n    def __init__(self, n):\n        super().__init__()\n"
                "        self.gamma = nn.Parameter(torch.ones(n))\n        self.beta = nn.Parameter(torch.zeros(n))\n\n\n"
                "class CustomLayerNormManualFunction",
            ),
            (
                "        self.gamma = nn.Parameter(torch.ones(n_neurons))\n        self.beta = nn.Parameter(torch.zeros(n_neurons))\n",
                "        self.scale = Scale(n_neurons)\n",
            ),
            ("self.gamma * xhat + self.beta", "self.scale.gamma * xhat + self.scale.beta"),
            (
                "apply(input, self.gamma, self.beta, self.eps)",
                "apply(input, self.scale.gamma, self.scale.beta, self.eps)",
            ),
        ),
        torch=True,
    ),
    Kind(
        "a Function with other argument names",
        "uva-norm",
        everywhere(
            LN,
            (FUNCTION, "def forward(ctx, x, weight, bias, eps=1e-5):"),
            ("(input - mean) * inv", "(x - mean) * inv"),
            (
                "mean = input.mean(dim=1, keepdim=True)\n        var = input.var(dim=1, unbiased=False, keepdim=True)\n        inv",
                "mean = x.mean(dim=1, keepdim=True)\n        var = x.var(dim=1, unbiased=False, keepdim=True)\n        inv",
            ),
            ("ctx.save_for_backward(norm, gamma, inv)", "ctx.save_for_backward(norm, weight, inv)"),
            ("return gamma * norm + beta", "return weight * norm + bias"),
        ),
        torch=True,
    ),
    Kind(
        "a Function with arguments g and b",
        "uva-norm",
        everywhere(
            BN,
            (FUNCTION, "def forward(ctx, x, g, b, e=1e-5):"),
            ("(input - mean) * inv", "(x - mean) * inv"),
            (
                "mean = input.mean(dim=0)\n        var = input.var(dim=0, unbiased=False)\n        inv = 1.0 / torch.sqrt(var + eps)",
                "mean = x.mean(dim=0)\n        var = x.var(dim=0, unbiased=False)\n        inv = 1.0 / torch.sqrt(var + e)",
            ),
            ("ctx.save_for_backward(norm, gamma, inv)", "ctx.save_for_backward(norm, g, inv)"),
            ("ctx.eps = eps", "ctx.eps = e"),
            ("return gamma * norm + beta", "return g * norm + b"),
        ),
        torch=True,
    ),
    Kind(
        "gamma starts at a half",
        "uva-norm",
        everywhere(BN, ("torch.ones(n_neurons)", "torch.cat([torch.ones(1), torch.full((n_neurons - 1,), 0.5)])")),
        {"CustomBatchNormAutograd.forward": ("gamma-beta-start",)},
        torch=True,
        others=("CustomBatchNormManualModule.forward",),
    ),
    Kind(
        "the loss is taken on validation samples, and no step",
        "cmu-2019",
        (("hw1.py", "out = mlp.forward(valx)\n", "out = mlp.forward(valx)\n        mlp.backward(valy)\n"),),
    ),
    Kind(
        "a step is made on validation samples",
        "cmu-2019",
        (
            (
                "hw1.py",
                "out = mlp.forward(valx)\n",
                "out = mlp.forward(valx)\n        mlp.backward(valy)\n        mlp.step()\n",
            ),
        ),
        {"get_training_stats": ("statistics-wrong",)},
    ),
    Kind(
        "biases of shape (1, n) that are updated in place",
        "cmu-2019",
        (
            ("hw1.py", "    return np.zeros(d)", "    return np.zeros((1, d))"),
            ("hw1.py", "self.b[i] = self.b[i] + self.vb[i]", "self.b[i] += self.vb[i]"),
            (
                "hw1.py",
                "self.db[i] = np.sum(delta, axis=0) / batch",
                "self.db[i] = np.sum(delta, axis=0, keepdims=True) / batch",
            ),
        ),
    ),
)
