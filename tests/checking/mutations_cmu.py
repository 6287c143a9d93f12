"""What goes wrong in hw1.py, one replacement each, with the id that names it."""

from tests.checking.mutation import Mutation


def m(ids: str, old: str, new: str, file: str = "hw1.py") -> Mutation:
    return Mutation(tuple(ids.split()), file, old, new)


SIGMOID = "self.state = 1 / (1 + np.exp(-x))"
SIGMOID_D = "return self.state * (1 - self.state)"
TANH_D = "return 1 - self.state**2"
RELU = "self.state = np.maximum(x, 0)"
RELU_D = "return (self.state > 0).astype(float)"
SHIFT = "shifted = x - np.max(x, axis=1, keepdims=True)"
TOTAL = "total = np.sum(exps, axis=1, keepdims=True)"
LOSS = "self.loss = np.sum(y * (np.log(total) - shifted), axis=1)"
LOSS_D = "return self.sm - self.labels"
VAR = "self.var = np.mean((x - self.mean) ** 2, axis=0, keepdims=True)"
MEAN = "self.mean = np.mean(x, axis=0, keepdims=True)"
NORM = "self.norm = (x - self.mean) / np.sqrt(self.var + self.eps)"
OUT = "self.out = self.gamma * self.norm + self.beta"
EVAL_NORM = "norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)"
EVAL_OUT = "return self.gamma * norm + self.beta"
RUN_MEAN = "self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean"
RUN_VAR = "self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var"
DGAMMA = "self.dgamma = np.sum(delta * self.norm, axis=0, keepdims=True)"
DBETA = "self.dbeta = np.sum(delta, axis=0, keepdims=True)"
DNORM = "dnorm = delta * self.gamma"
DVAR = "dvar = -0.5 * np.sum(dnorm * (self.x - self.mean), axis=0, keepdims=True) / std**3"
DMEAN = "dmean = -np.sum(dnorm, axis=0, keepdims=True) / std"
DX = "dx = dnorm / std + dvar * 2 * (self.x - self.mean) / m + dmean / m"
LINEAR = "out = np.dot(out, self.W[i]) + self.b[i]"
BN_CALL = "out = self.bn_layers[i](out, eval=not self.train_mode)"
ACT = "out = self.activations[i](out)"
ACT_D = "delta = delta * self.activations[i].derivative()"
DW = "self.dW[i] = np.dot(self.inputs[i].T, delta) / batch"
DB = "self.db[i] = np.sum(delta, axis=0) / batch"
PASS = "delta = np.dot(delta, self.W[i].T)"
VW = "self.vW[i] = self.momentum * self.vW[i] - self.lr * self.dW[i]"
VB = "self.vb[i] = self.momentum * self.vb[i] - self.lr * self.db[i]"
STEP_W = "self.W[i] = self.W[i] + self.vW[i]"
STEP_GAMMA = "layer.gamma = layer.gamma - self.lr * layer.dgamma"
STEP_BETA = "layer.beta = layer.beta - self.lr * layer.dbeta"

CMU_2019 = (
    # activations
    m("exponent-sign", SIGMOID, "self.state = 1 / (1 + np.exp(x))"),
    m("sign-inside", SIGMOID, "self.state = 1 / (1 - np.exp(-x))"),
    m("wrong-function", SIGMOID, "self.state = np.tanh(x)"),
    m("overflow", SIGMOID, "self.state = np.exp(x) / (1 + np.exp(x))"),
    m("function-for-derivative", SIGMOID_D, "return self.state"),
    m("derivative-missing", SIGMOID_D, "return np.ones_like(self.state)"),
    m("sign-flipped", SIGMOID_D, "return self.state * (self.state - 1)"),
    m("sign-inside", SIGMOID_D, "return self.state * (1 + self.state)"),
    m("derivative-at-output", SIGMOID_D, "s = 1 / (1 + np.exp(-self.state)); return s * (1 - s)"),
    m(
        "derivative-at-input",
        SIGMOID + "\n        return self.state",
        SIGMOID + "\n        y = self.state; self.state = x\n        return y",
    ),
    m("overflow", "self.state = np.tanh(x)", "self.state = (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))"),
    m("square-missing", TANH_D, "return 1 - self.state"),
    m("sign-inside", TANH_D, "return 1 + self.state**2"),
    m("derivative-at-output", TANH_D, "return 1 - np.tanh(self.state) ** 2"),
    m("function-for-derivative", RELU_D, "return self.state"),
    m("boolean-derivative", RELU_D, "return self.state > 0"),
    m("derivative-clipped-output", RELU_D, "return np.minimum(self.state, 1)"),
    m("derivative-missing", RELU_D, "return (self.state >= 0).astype(float)"),
    m("input-changed", RELU, "x[x < 0] = 0; self.state = x"),
    m("output-clipped", RELU, "self.state = np.clip(x, 0, 1)"),
    m("branches-exchanged", RELU, "self.state = np.minimum(x, 0)"),
    m("whole-numbers", RELU, "self.state = np.vectorize(lambda v: v if v > 0 else 0)(x)"),
    m(
        "state-overwritten",
        SIGMOID_D,
        "self.state = self.state * (1 - self.state); return self.state",
    ),
    # loss
    m("softmax-no-shift", SHIFT, "shifted = x"),
    m("softmax-global-shift", SHIFT, "shifted = x - np.max(x)"),
    m("softmax-shift-not-max", SHIFT, "shifted = x - np.mean(x, axis=1, keepdims=True)"),
    m("softmax-shift-not-max", SHIFT, "shifted = x - np.abs(x).max(axis=1, keepdims=True)"),
    m("softmax-axis", TOTAL, "total = np.sum(exps, axis=0, keepdims=True)"),
    m("softmax-global", TOTAL, "total = np.sum(exps)"),
    m("loss-averaged", LOSS, "self.loss = np.mean(np.sum(y * (np.log(total) - shifted), axis=1))"),
    m("loss-summed", LOSS, "self.loss = np.sum(y * (np.log(total) - shifted))"),
    m("sign-flipped", LOSS, "self.loss = -np.sum(y * (np.log(total) - shifted), axis=1)"),
    m("averaged-over-classes", LOSS, "self.loss = np.mean(y * (np.log(total) - shifted), axis=1)"),
    m("log-of-zero", LOSS, "self.loss = -np.sum(y * np.log(self.sm), axis=1)"),
    m("logarithm-base", LOSS, "self.loss = -np.sum(y * np.log2(self.sm + 1e-12), axis=1)"),
    m("logarithm-missing", LOSS, "self.loss = -np.sum(y * self.sm, axis=1)"),
    m("labels-unused", LOSS, "self.loss = np.sum(np.log(total) - shifted, axis=1)"),
    m("reduced-over-wrong-axis", LOSS, "self.loss = np.sum(y * (np.log(total) - shifted), axis=0)"),
    m("batch-mean-unwanted", LOSS_D, "return (self.sm - self.labels) / len(self.labels)"),
    m("batch-mean-unwanted", LOSS_D, "return (self.sm - self.labels) / self.labels.size"),
    m("sign-flipped label-sign", LOSS_D, "return self.labels - self.sm"),
    m("labels-unused", LOSS_D, "return self.sm"),
    m("softmax-jacobian-missing", LOSS_D, "return -self.labels / self.sm"),
    m("softmax-twice", LOSS_D, "e = np.exp(self.sm); return e / e.sum(axis=1, keepdims=True) - self.labels"),
    m("softmax-missing", LOSS_D, "return self.logits - self.labels"),
    m("stale-state", "self.labels = y\n", "self.labels = y if self.labels is None else self.labels\n"),
    # batch normalisation
    m("bessel", VAR, "self.var = np.var(x, axis=0, keepdims=True, ddof=1)"),
    m("reduced-over-wrong-axis shape-clash", MEAN, "self.mean = np.mean(x, axis=1, keepdims=True)"),
    m("eps-ignored", NORM, "self.norm = (x - self.mean) / np.sqrt(self.var)"),
    m("eps-misplaced", NORM, "self.norm = (x - self.mean) / (np.sqrt(self.var) + self.eps)"),
    m("eps-subtracted", NORM, "self.norm = (x - self.mean) / np.sqrt(self.var - self.eps)"),
    m("eps-value", "self.eps = 1e-8", "self.eps = 1e-5"),
    m("root-missing", NORM, "self.norm = (x - self.mean) / (self.var + self.eps)"),
    m("mean-not-subtracted", NORM, "self.norm = x / np.sqrt(self.var + self.eps)"),
    m("gamma-unused", OUT, "self.out = self.norm + self.beta"),
    m("beta-unused", OUT, "self.out = self.gamma * self.norm"),
    m("gamma-beta-exchanged", OUT, "self.out = self.beta * self.norm + self.gamma"),
    m("beta-inside", OUT, "self.out = self.gamma * (self.norm + self.beta)"),
    m(
        "running-figures-in-training",
        NORM,
        "self.norm = (x - self.running_mean) / np.sqrt(self.running_var + self.eps)",
    ),
    m(
        "running-alpha-swapped",
        RUN_MEAN,
        "self.running_mean = (1 - self.alpha) * self.running_mean + self.alpha * self.mean",
    ),
    m(
        "running-alpha-swapped",
        RUN_VAR,
        "self.running_var = (1 - self.alpha) * self.running_var + self.alpha * self.var",
    ),
    m("running-never-updated", RUN_VAR, "pass"),
    m("running-is-last-batch", RUN_MEAN, "self.running_mean = self.mean"),
    m(
        "running-unbiased",
        RUN_VAR,
        "self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var * len(x) / (len(x) - 1)",
    ),
    m(
        "running-standard-deviation",
        RUN_VAR,
        "self.running_var = self.alpha * self.running_var + (1 - self.alpha) * np.sqrt(self.var)",
    ),
    m("running-exchanged", RUN_VAR, "self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.mean"),
    m("evaluation-batch-figures", EVAL_NORM, "norm = (x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + self.eps)"),
    m("evaluation-stale", EVAL_NORM, "norm = (x - self.mean) / np.sqrt(self.var + self.eps)"),
    m(
        "evaluation-stale raises shape-clash",
        EVAL_NORM,
        "norm = (self.x - self.running_mean) / np.sqrt(self.running_var + self.eps)",
    ),
    m(
        "evaluation-updates-running",
        EVAL_NORM,
        EVAL_NORM + "; self.running_mean = 0.9 * self.running_mean + 0.1 * np.mean(x, axis=0, keepdims=True)",
    ),
    m("gamma-unused", EVAL_OUT, "return norm + self.beta"),
    m("eps-ignored", EVAL_NORM, "norm = (x - self.running_mean) / np.sqrt(self.running_var)"),
    m(
        "running-aliased evaluation-updates-running",
        EVAL_NORM,
        "self.mean = self.running_mean; " + EVAL_NORM + "; self.mean *= 0.5",
    ),
    m("norm-parameter-averaged", DGAMMA, "self.dgamma = np.mean(delta * self.norm, axis=0, keepdims=True)"),
    m("norm-parameter-averaged", DBETA, "self.dbeta = np.mean(delta, axis=0, keepdims=True)"),
    m("dgamma-from-input", DGAMMA, "self.dgamma = np.sum(delta * self.x, axis=0, keepdims=True)"),
    m("dgamma-from-output", DGAMMA, "self.dgamma = np.sum(delta * self.out, axis=0, keepdims=True)"),
    m("dgamma-dbeta-exchanged", DGAMMA, "self.dgamma = np.sum(delta, axis=0, keepdims=True)"),
    m("gamma-in-parameter-gradient", DBETA, "self.dbeta = np.sum(delta * self.gamma, axis=0, keepdims=True)"),
    m("parameter-gradient-unsummed", DBETA, "self.dbeta = delta"),
    m("gamma-forgotten", DNORM, "dnorm = delta"),
    m("gamma-twice", DNORM, "dnorm = delta * self.gamma**2"),
    m("norm-variance-constant", DX, "dx = dnorm / std + dmean / m"),
    m("norm-mean-constant", DX, "dx = dnorm / std + dvar * 2 * (self.x - self.mean) / m"),
    m("norm-direct-missing", DX, "dx = dvar * 2 * (self.x - self.mean) / m + dmean / m"),
    m("norm-mean-not-averaged", DX, "dx = dnorm / std + dvar * 2 * (self.x - self.mean) / m + dmean"),
    m("norm-variance-not-averaged", DX, "dx = dnorm / std + dvar * 2 * (self.x - self.mean) + dmean / m"),
    m("batch-mean-unwanted", DX, DX + "; dx = dx / m"),
    m("norm-variance-sign", DVAR, DVAR.replace("-0.5", "0.5")),
    m("norm-variance-factor", DVAR, DVAR.replace("-0.5", "-1.0")),
    m("norm-mean-sign", DMEAN, DMEAN.replace("-np.sum", "np.sum")),
    m("variance-power", DVAR, DVAR.replace("std**3", "std")),
    m("bessel", DX, "dx = dnorm / std + dvar * 2 * (self.x - self.mean) / (m - 1) + dmean / m"),
    # initial values
    m("init-distribution", "return np.random.randn(d0, d1)", "return np.sqrt(12) * (np.random.rand(d0, d1) - 0.5)"),
    m("init-spread", "return np.random.randn(d0, d1)", "return 0.1 * np.random.randn(d0, d1)"),
    m("init-shape", "return np.random.randn(d0, d1)", "return np.random.randn(d1, d0)"),
    m("init-reseeded", "return np.random.randn(d0, d1)", "np.random.seed(0); return np.random.randn(d0, d1)"),
    m("init-not-zero", "return np.zeros(d)", "return np.ones(d)"),
    # the network
    m("bias-unused", LINEAR, "out = np.dot(out, self.W[i])"),
    m("norm-not-applied", BN_CALL, "pass"),
    m(
        "norm-first-layer-only",
        "if i < self.num_bn_layers:\n                out",
        "if i == 0 and self.num_bn_layers:\n                out",
    ),
    m("activation-order", ACT, "out = self.activations[0](out)"),
    m(
        "activation-missing",
        ACT,
        "out = self.activations[i](out) if i < self.nlayers - 1 else (self.activations[i](out), out)[1]",
    ),
    m("evaluation-mode-ignored", BN_CALL, "out = self.bn_layers[i](out)"),
    m("batch-mean-missing", DW, "self.dW[i] = np.dot(self.inputs[i].T, delta)"),
    m("batch-mean-twice", DW, "self.dW[i] = np.dot(self.inputs[i].T, delta) / batch**2"),
    m("batch-size-hard-coded", DW, "self.dW[i] = np.dot(self.inputs[i].T, delta) / 100"),
    m("gradient-transposed", DW, "self.dW[i] = np.dot(delta.T, self.inputs[i]) / batch"),
    m("bias-gradient-not-averaged", DB, "self.db[i] = np.sum(delta, axis=0)"),
    m("batch-mean-twice", DB, "self.db[i] = np.mean(delta, axis=0) / batch"),
    m("bias-gradient-zero", DB, "self.db[i] = np.zeros_like(self.b[i])"),
    m("bias-gradient-unsummed", DB, "self.db[i] = delta / batch"),
    m("reduced-over-wrong-axis", DB, "self.db[i] = np.sum(delta, axis=1) / batch"),
    m("derivative-missing", ACT_D, "pass"),
    m(
        "derivative-missing",
        ACT_D,
        "delta = delta * self.activations[i].derivative() if i < self.nlayers - 1 else delta",
    ),
    m("norm-backward-skipped", "delta = self.bn_layers[i].backward(delta)", "self.bn_layers[i].backward(delta)"),
    m("dx-from-dweight", PASS, "delta = np.dot(delta, self.dW[i].T)"),
    m("delta-averaged", PASS, "delta = np.dot(delta, self.W[i].T) / batch"),
    m("updated-before-passing parameter-changed", PASS, "delta = np.dot(delta, (self.W[i] - self.lr * self.dW[i]).T)"),
    m("sign-flipped label-sign", "delta = self.criterion.derivative()", "delta = -self.criterion.derivative()"),
    m("labels-unused", "delta = self.criterion.derivative()", "delta = self.criterion.derivative() + labels"),
    m("parameter-changed", PASS, PASS + "; self.W[i] = self.W[i] * 0.9"),
    m("momentum-average", VW, "self.vW[i] = self.momentum * self.vW[i] - (1 - self.momentum) * self.lr * self.dW[i]"),
    m("momentum-sign", VW, "self.vW[i] = -self.momentum * self.vW[i] - self.lr * self.dW[i]"),
    m("momentum-ignored", VW, "self.vW[i] = -self.lr * self.dW[i]"),
    m("momentum-factor-missing", VB, "self.vb[i] = self.vb[i] - self.lr * self.db[i]"),
    m("learning-rate-missing", VW, "self.vW[i] = self.momentum * self.vW[i] - self.dW[i]"),
    m("update-sign", STEP_W, "self.W[i] = self.W[i] - self.vW[i]"),
    m("not-updated", STEP_W, "pass"),
    m("batch-mean-twice", VW, "self.vW[i] = self.momentum * self.vW[i] - self.lr * self.dW[i] / len(self.output)"),
    m("gamma-beta-not-updated", STEP_BETA, "pass"),
    m("learning-rate-missing", STEP_GAMMA, "layer.gamma = layer.gamma - layer.dgamma"),
    m(
        "momentum-on-gamma-beta",
        STEP_GAMMA,
        "layer.v = self.momentum * getattr(layer, 'v', 0) - self.lr * "
        "layer.dgamma; layer.gamma = layer.gamma + layer.v",
    ),
    m("update-sign", STEP_BETA, "layer.beta = layer.beta + self.lr * layer.dbeta"),
    m(
        "zero-grads-does-nothing",
        "self.dW[i] = np.zeros_like(self.W[i])\n            self.db[i]",
        "pass\n            self.db[i]",
    ),
    m("stale-state", "self.inputs = []\n        out = x", "self.inputs = self.inputs or []\n        out = x"),
    m(
        "caller-list-changed",
        "sizes = [input_size] + hiddens + [output_size]",
        "sizes = hiddens; sizes.insert(0, input_size); sizes.append(output_size)",
    ),
    m(
        "init-order",
        "self.W = [weight_init_fn(sizes[i], sizes[i + 1]) for i in range(self.nlayers)]",
        "self.W = [weight_init_fn(sizes[i], sizes[i + 1]) for i in reversed(range(self.nlayers))][::-1]",
    ),
)
