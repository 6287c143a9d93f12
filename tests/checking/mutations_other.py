"""What goes wrong in 2020's mytorch, in PyTorch's normalisation exercises, in classes of no course, and in a
function."""

from tests.checking.mutation import Mutation


def m(file: str, ids: str, old: str, new: str) -> Mutation:
    return Mutation(tuple(ids.split()), file, old, new)


L, B, O, H = "mytorch/linear.py", "mytorch/batchnorm.py", "mytorch/loss.py", "hw1/hw1.py"
CMU_2020 = (
    m(L, "bias-unused", "return np.dot(x, self.W) + self.b", "return np.dot(x, self.W)"),
    m(L, "batch-mean-missing", "self.dW = np.dot(self.x.T, delta) / batch", "self.dW = np.dot(self.x.T, delta)"),
    m(
        L,
        "bias-gradient-not-averaged",
        "self.db = np.sum(delta, axis=0, keepdims=True) / batch",
        "self.db = np.sum(delta, axis=0, keepdims=True)",
    ),
    m(L, "bias-gradient-unsummed", "self.db = np.sum(delta, axis=0, keepdims=True) / batch", "self.db = delta / batch"),
    m(L, "dx-from-dweight", "return np.dot(delta, self.W.T)", "return np.dot(delta, self.dW.T)"),
    m(L, "batch-mean-unwanted", "return np.dot(delta, self.W.T)", "return np.dot(delta, self.W.T) / batch"),
    m(
        L,
        "parameter-changed",
        "return np.dot(delta, self.W.T)",
        "self.W -= 0.1 * self.dW; return np.dot(delta, self.W.T)",
    ),
    m(L, "input-changed", "self.x = x\n", "x += 1; self.x = x\n"),
    m(L, "stale-state", "self.x = x\n", "self.x = getattr(self, 'x', x)\n"),
    m(O, "softmax-no-shift", "shifted = x - np.max(x, axis=1, keepdims=True)", "shifted = x"),
    m(O, "batch-mean-unwanted", "return self.sm - self.labels", "return (self.sm - self.labels) / len(self.sm)"),
    m(
        B,
        "bessel",
        "self.var = np.mean((x - self.mean) ** 2, axis=0, keepdims=True)",
        "self.var = np.var(x, axis=0, keepdims=True, ddof=1)",
    ),
    m(
        B,
        "norm-variance-constant",
        "dx = dnorm / std + dvar * 2 * (self.x - self.mean) / m + dmean / m",
        "dx = dnorm / std + dmean / m",
    ),
    m(B, "gamma-forgotten", "dnorm = delta * self.gamma", "dnorm = delta"),
    m(
        H,
        "norm-first-layer-only",
        "if i < self.num_bn_layers:\n                x =",
        "if i < min(self.num_bn_layers, 1):\n                x =",
    ),
    m(H, "evaluation-mode-ignored", "x = self.bn_layers[i](x, eval=not self.train_mode)", "x = self.bn_layers[i](x)"),
    m(H, "norm-backward-skipped", "delta = self.bn_layers[i].backward(delta)", "self.bn_layers[i].backward(delta)"),
    m(H, "derivative-missing", "delta = self.activations[i].derivative() * delta", "pass"),
    m(
        H,
        "momentum-average",
        "layer.momentum_W = self.momentum * layer.momentum_W - self.lr * layer.dW",
        "layer.momentum_W = self.momentum * layer.momentum_W - self.lr * (1 - self.momentum) * layer.dW",
    ),
    m(H, "update-sign", "layer.W = layer.W + layer.momentum_W", "layer.W = layer.W - layer.momentum_W"),
    m(H, "gamma-beta-not-updated", "layer.gamma = layer.gamma - self.lr * layer.dgamma", "pass"),
    m(H, "zero-grads-does-nothing", "layer.dW.fill(0.0)", "pass"),
)

N = "custom_batchnorm.py"
FUNCTION = "norm = (input - mean) * inv"
INPUT = "grad_input = inv * (d - d.mean(dim=0) - norm * (d * norm).mean(dim=0))"
GAMMA = "grad_gamma = (grad_output * norm).sum(dim=0)"
BETA = "grad_beta = grad_output.sum(dim=0)"
UVA_NORM = (
    m(N, "norm-variance-constant", INPUT, "grad_input = inv * (d - d.mean(dim=0))"),
    m(N, "norm-mean-constant", INPUT, "grad_input = inv * (d - norm * (d * norm).mean(dim=0))"),
    m(N, "norm-mean-constant norm-variance-constant", INPUT, "grad_input = inv * d"),
    m(N, "norm-variance-sign", INPUT, INPUT.replace("- norm", "+ norm")),
    m(N, "norm-mean-not-averaged", INPUT, INPUT.replace("d.mean(dim=0) - norm", "d.sum(dim=0) - norm")),
    m(
        N,
        "reduced-over-wrong-axis",
        INPUT,
        "grad_input = inv * (d - d.mean(dim=1, keepdim=True) - norm * (d * norm).mean(dim=1, keepdim=True))",
    ),
    m(N, "gamma-forgotten", "d = grad_output * gamma", "d = grad_output"),
    m(N, "batch-mean-unwanted", INPUT, INPUT + " / len(norm)"),
    m(N, "norm-parameter-averaged", GAMMA, GAMMA.replace("sum", "mean")),
    m(N, "norm-parameter-averaged", BETA, BETA.replace("sum", "mean")),
    m(
        N,
        "dgamma-dbeta-exchanged",
        "return grad_input, grad_gamma, grad_beta, None",
        "return grad_input, grad_beta, grad_gamma, None",
    ),
    m(N, "gamma-in-parameter-gradient", BETA, "grad_beta = (grad_output * gamma).sum(dim=0)"),
    m(N, "needs-input-grad", "if ctx.needs_input_grad[1]:", "if ctx.needs_input_grad[2]:"),
    m(N, "eps-ignored", "inv = 1.0 / torch.sqrt(var + eps)", "inv = 1.0 / torch.sqrt(var)"),
    m(N, "eps-misplaced", "inv = 1.0 / torch.sqrt(var + eps)", "inv = 1.0 / (torch.sqrt(var) + eps)"),
    m(
        N,
        "bessel",
        "xhat = (input - mean) / torch.sqrt(var + self.eps)",
        "xhat = (input - mean) / torch.sqrt(input.var(dim=0) + self.eps)",
    ),
    m(N, "eps-value", "inv = 1.0 / torch.sqrt(var + eps)", "inv = 1.0 / torch.sqrt(var + 1e-8)"),
    m(N, "gamma-unused", "return self.gamma * xhat + self.beta", "return xhat + self.beta"),
    m(N, "beta-unused", "return self.gamma * xhat + self.beta", "return self.gamma * xhat"),
    m(N, "gamma-beta-exchanged", "return gamma * norm + beta", "return beta * norm + gamma"),
    m(
        N,
        "autograd-not-used",
        "xhat = (input - mean) / torch.sqrt(var + self.eps)\n        return self.gamma * xhat + self.beta",
        "xhat = (input - mean) / torch.sqrt(var + self.eps)\n        return (self.gamma * xhat + self.beta).detach()",
    ),
    m(N, "input-changed", FUNCTION, "input.sub_(mean); norm = input * inv"),
    m(N, "raises", "ctx.save_for_backward(norm, gamma, inv)", "ctx.save_for_backward(norm, gamma)"),
)

Y = "mylayers.py"
LAYER = (
    m(Y, "bias-unused", "return x @ self.W + self.b", "return x @ self.W"),
    m(Y, "gradient-transposed", "self.dW = self.x.T @ grad", "self.dW = grad.T @ self.x"),
    m(Y, "bias-gradient-unsummed", "self.db = grad.sum(axis=0)", "self.db = grad"),
    m(Y, "constant-factor", "self.dW = self.x.T @ grad", "self.dW = 2 * self.x.T @ grad"),
    m(Y, "dx-from-dweight", "return grad @ self.W.T", "return grad @ self.dW.T"),
    m(Y, "derivative-missing", "return dy * self.y * (1 - self.y)", "return dy"),
    m(Y, "function-for-derivative", "return dy * self.y * (1 - self.y)", "return dy * self.y"),
    m(Y, "sign-inside", "return dy * self.y * (1 - self.y)", "return dy * self.y * (1 + self.y)"),
    m(
        Y,
        "softmax-jacobian-diagonal",
        "return self.y * (dy - (dy * self.y).sum(axis=1, keepdims=True))",
        "return dy * self.y * (1 - self.y)",
    ),
    m(Y, "softmax-no-shift", "e = np.exp(x - x.max(axis=1, keepdims=True))", "e = np.exp(x)"),
    m(
        Y,
        "norm-variance-constant",
        " - self.xhat * (d * self.xhat).mean(axis=1, keepdims=True)) / self.std",
        ") / self.std",
    ),
    m(Y, "norm-mean-constant", "return (d - d.mean(axis=1, keepdims=True) - self.xhat", "return (d - self.xhat"),
    m(Y, "gamma-forgotten", "d = dy * self.gamma", "d = dy"),
    m(Y, "wrong-derivative", "return dy * (s + self.x * s * (1 - s))", "return dy * (s + self.x * s)"),
    m(Y, "upstream-missing", "return dy * (s + self.x * s * (1 - s))", "return s + self.x * s * (1 - s)"),
    m(
        Y,
        "unexplained jacobian-transposed",
        "return np.cumsum(dy[:, ::-1], axis=1)[:, ::-1] * np.cos(self.x)",
        "return np.cumsum(dy, axis=1) * np.cos(self.x)",
    ),
    m(
        Y,
        "gradient-diagonal-only",
        "return np.cumsum(dy[:, ::-1], axis=1)[:, ::-1] * np.cos(self.x)",
        "return dy * np.cos(self.x)",
    ),
    m(Y, "batch-mean-missing", "return 2 * (self.x - self.target) / len(self.x)", "return 2 * (self.x - self.target)"),
    m(
        Y,
        "constant-factor",
        "return 2 * (self.x - self.target) / len(self.x)",
        "return (self.x - self.target) / len(self.x)",
    ),
    m(
        Y,
        "sign-flipped",
        "return 2 * (self.x - self.target) / len(self.x)",
        "return 2 * (self.target - self.x) / len(self.x)",
    ),
)

F = "energy.py"
FUNCTION_MUTATIONS = (
    m(F, "constant-factor", "d = 2 * t * (1 - t**2)", "d = t * (1 - t**2)"),
    m(F, "sign-flipped", "d = 2 * t * (1 - t**2)", "d = -2 * t * (1 - t**2)"),
    m(F, "unexplained", "d = 2 * t * (1 - t**2)", "d = 2 * t"),
    m(F, "batch-mean-unwanted batch-mean-twice", "x.T @ d", "x.T @ d / len(x)"),
    m(F, "all-zero", "x.T @ d", "0 * w"),
    m(F, "wrong-shape", "x.T @ d", "d.T @ x"),
)
