"""What goes wrong in modules.py and mlp_numpy.py, one replacement each, with the id that names it."""

from tests.checking.mutation import Mutation


def m(ids: str, old: str, new: str, file: str = "modules.py") -> Mutation:
    return Mutation(tuple(ids.split()), file, old, new)


WEIGHT = "np.random.normal(loc=0.0, scale=0.0001, size=(out_features, in_features))"
BIAS = '"bias": np.zeros(out_features),\n        }\n'
GRADS = 'self.grads = {"weight": np.zeros((out_features, in_features)), "bias": np.zeros(out_features)}'
LINEAR = 'out = np.dot(x, self.params["weight"].T) + self.params["bias"]'
LINEAR_DX = 'dx = np.dot(dout, self.params["weight"])'
DW = 'self.grads["weight"] = np.dot(dout.T, self.x)'
DB = 'self.grads["bias"] = np.sum(dout, axis=0)'
LEAKY = "out = np.where(x > 0, x, self.neg_slope * x)"
LEAKY_DX = "dx = dout * np.where(self.x > 0, 1.0, self.neg_slope)"
SHIFT = "shifted = x - np.max(x, axis=1, keepdims=True)"
SOFTMAX = "out = exps / np.sum(exps, axis=1, keepdims=True)"
SOFTMAX_DX = "dx = s * (dout - np.sum(dout * s, axis=1, keepdims=True))"
LOSS = "out = np.mean(-np.sum(y * np.log(x), axis=1))"
LOSS_DX = "dx = -y / x / x.shape[0]"
MLP = "mlp_numpy.py"

LINEAR_MUTATIONS = (
    m("init-spread", WEIGHT, WEIGHT.replace("0.0001", "0.01")),
    m("init-constant", WEIGHT, "np.zeros((out_features, in_features))"),
    m("init-distribution", WEIGHT, "0.0001 * np.sqrt(3) * np.random.uniform(-1, 1, (out_features, in_features))"),
    m("init-mean", WEIGHT, WEIGHT.replace("loc=0.0", "loc=0.001")),
    m("init-not-zero", BIAS, BIAS.replace("np.zeros", "np.ones")),
    m("init-reseeded", WEIGHT, "np.random.RandomState(0).normal(0, 0.0001, (out_features, in_features))"),
    m(
        "shared-between-objects",
        GRADS,
        GRADS + "; LinearModule.kept = getattr(LinearModule, 'kept', {}); LinearModule.kept.update(self.params); "
        "self.params = LinearModule.kept",
    ),
    m("bias-unused", LINEAR, 'out = np.dot(x, self.params["weight"].T)'),
    m("bias-sign", LINEAR, 'out = np.dot(x, self.params["weight"].T) - self.params["bias"]'),
    m("weight-transposed shape-clash", LINEAR, 'out = np.dot(x, self.params["weight"]) + self.params["bias"]'),
    m("sign-flipped weight-sign", LINEAR, 'out = -np.dot(x, self.params["weight"].T) + self.params["bias"]'),
    m("weight-transposed shape-clash", LINEAR_DX, 'dx = np.dot(dout, self.params["weight"].T)'),
    m("dx-from-dweight", LINEAR_DX, "dx = np.dot(dout, np.dot(dout.T, self.x))"),
    m("upstream-passed-on wrong-shape", LINEAR_DX, "dx = dout"),
    m("batch-mean-unwanted", LINEAR_DX, 'dx = np.dot(dout, self.params["weight"]) / len(dout)'),
    m("batch-mean-unwanted", DW, 'self.grads["weight"] = np.dot(dout.T, self.x) / len(dout)'),
    m(
        "batch-size-hard-coded",
        DW,
        'self.grads["weight"] = np.dot(dout.T, self.x) / (len(dout) * 200) * len(dout) ** 2',
    ),
    m("constant-factor", DW, 'self.grads["weight"] = np.dot(dout.T, self.x) * 2'),
    m("gradient-transposed", DW, 'self.grads["weight"] = np.dot(self.x.T, dout)'),
    m("sign-flipped", DW, 'self.grads["weight"] = -np.dot(dout.T, self.x)'),
    m("upstream-missing", DW, 'self.grads["weight"] = np.dot(np.ones_like(dout).T, self.x)'),
    m("gradient-not-stored all-zero", DW, "dw = np.dot(dout.T, self.x)"),
    m("gradient-accumulates", DW, 'self.grads["weight"] = self.grads["weight"] + np.dot(dout.T, self.x)'),
    m("bias-gradient-averaged", DB, 'self.grads["bias"] = np.mean(dout, axis=0)'),
    m("bias-gradient-unsummed", DB, 'self.grads["bias"] = dout'),
    m("bias-gradient-zero", DB, 'self.grads["bias"] = np.zeros_like(self.params["bias"])'),
    m("reduced-over-wrong-axis", DB, 'self.grads["bias"] = np.sum(dout, axis=1)'),
    m("summed-over-everything", DB, 'self.grads["bias"] = np.sum(dout)'),
    m("bias-gradient-first-sample", DB, 'self.grads["bias"] = dout[0]'),
    m("upstream-missing", DB, 'self.grads["bias"] = np.ones_like(self.params["bias"])'),
    m("parameter-changed", DB, DB + '; self.params["bias"] = self.params["bias"] - 0.1 * self.grads["bias"]'),
    m("stale-state", "self.x = x\n        out = np.dot", 'self.x = getattr(self, "x", x)\n        out = np.dot'),
    m("input-changed", LINEAR, LINEAR + "; x *= 2"),
    m("batch-of-one", "self.x = x\n        out = np.dot", "self.x = np.squeeze(x)\n        out = np.dot"),
    m(
        "memory-layout",
        "self.x = x\n        out = np.dot",
        "self.x = x.ravel(order='K').reshape(x.shape)\n        out = np.dot",
    ),
)
LEAKY_MUTATIONS = (
    m("slope-sign", LEAKY, "out = np.where(x > 0, x, -self.neg_slope * x)"),
    m("slope-ignored", LEAKY, "out = np.maximum(x, 0)"),
    m("slope-ignored", LEAKY, "out = np.where(x > 0, x, 0.01 * x)"),
    m("branches-exchanged", LEAKY, "out = np.where(x < 0, x, self.neg_slope * x)"),
    m("wrong-function", LEAKY, "out = np.maximum(x, 0) + self.neg_slope * x"),
    m("input-changed", LEAKY, "x[x < 0] *= self.neg_slope; out = x"),
    m("slope-sign", LEAKY_DX, "dx = dout * np.where(self.x > 0, 1.0, -self.neg_slope)"),
    m("slope-ignored", LEAKY_DX, "dx = dout * (self.x > 0)"),
    m("branches-exchanged", LEAKY_DX, "dx = dout * np.where(self.x < 0, 1.0, self.neg_slope)"),
    m("function-for-derivative", LEAKY_DX, "dx = dout * np.where(self.x > 0, self.x, self.neg_slope * self.x)"),
    m("derivative-missing", LEAKY_DX, "dx = dout"),
    m("upstream-missing", LEAKY_DX, "dx = np.where(self.x > 0, 1.0, self.neg_slope)"),
    m(
        "whole-numbers slope-ignored",
        LEAKY_DX,
        "d = np.ones(self.x.shape, dtype=int); d[self.x < 0] = self.neg_slope; dx = dout * d",
    ),
    m("input-changed", LEAKY_DX, "dout[self.x < 0] *= self.neg_slope; dx = dout"),
    m("mask-from-gradient", LEAKY_DX, "dx = np.where(dout > 0, dout, self.neg_slope * dout)"),
)
SOFTMAX_MUTATIONS = (
    m("softmax-no-shift", SHIFT, "shifted = x"),
    m("softmax-global-shift", SHIFT, "shifted = x - np.max(x)"),
    m("softmax-shift-not-max", SHIFT, "shifted = x - np.median(x, axis=1, keepdims=True)"),
    m("softmax-shift-not-max", SHIFT, "shifted = x - np.min(x, axis=1, keepdims=True)"),
    m("softmax-shift-axis", SHIFT, "shifted = x - np.max(x, axis=0, keepdims=True)"),
    m("softmax-no-shift", SOFTMAX, "exps = np.exp(shifted) * np.exp(np.max(x, axis=1, keepdims=True)); " + SOFTMAX),
    m("softmax-axis", SOFTMAX, "out = exps / np.sum(exps, axis=0, keepdims=True)"),
    m("softmax-global", SOFTMAX, "out = exps / np.sum(exps)"),
    m("softmax-not-normalised", SOFTMAX, "out = exps"),
    m("exponential-missing", SOFTMAX, "out = x / np.sum(x, axis=1, keepdims=True)"),
    m("softmax-twice", SOFTMAX, SOFTMAX + "; out = np.exp(out) / np.sum(np.exp(out), axis=1, keepdims=True)"),
    m("softmax-jacobian-diagonal", SOFTMAX_DX, "dx = dout * s * (1 - s)"),
    m("softmax-jacobian-sign", SOFTMAX_DX, "dx = s * (dout + np.sum(dout * s, axis=1, keepdims=True))"),
    m("softmax-jacobian-sum-missing", SOFTMAX_DX, "dx = s * dout"),
    m("softmax-backward-passes-through", SOFTMAX_DX, "dx = dout"),
    m("softmax-jacobian", SOFTMAX_DX, "dx = s * (dout - np.sum(dout, axis=1, keepdims=True))"),
    m("softmax-jacobian", SOFTMAX_DX, "dx = s * (dout - np.mean(dout * s, axis=1, keepdims=True))"),
    m("reduced-over-wrong-axis", SOFTMAX_DX, "dx = s * (dout - np.sum(dout * s, axis=0, keepdims=True))"),
    m("fused-gradient", SOFTMAX_DX, "dx = s - dout"),
    m("one-jacobian-for-all", SOFTMAX_DX, "dx = np.dot(dout, np.diag(s[0]) - np.outer(s[0], s[0]))"),
    m("sign-flipped softmax-jacobian-sign", SOFTMAX_DX, "dx = -s * (dout - np.sum(dout * s, axis=1, keepdims=True))"),
    m("batch-mean-unwanted", SOFTMAX_DX, SOFTMAX_DX + " / len(s)"),
    m("softmax-at-input", "self.out = out\n", "self.out = x\n"),
)
LOSS_MUTATIONS = (
    m("batch-mean-missing", LOSS, "out = -np.sum(y * np.log(x))"),
    m("averaged-over-classes", LOSS, "out = -np.mean(y * np.log(x))"),
    m("sign-flipped", LOSS, "out = np.mean(np.sum(y * np.log(x), axis=1))"),
    m("not-averaged", LOSS, "out = -np.sum(y * np.log(x), axis=1)"),
    m("logarithm-base", LOSS, "out = np.mean(-np.sum(y * np.log10(x), axis=1))"),
    m("logarithm-missing", LOSS, "out = np.mean(-np.sum(y * x, axis=1))"),
    m("labels-unused", LOSS, "out = np.mean(-np.sum(np.log(x), axis=1))"),
    m("arguments-exchanged", LOSS, "out = np.mean(-np.sum(x * np.log(y), axis=1))"),
    m("arguments-exchanged", LOSS, "out = np.mean(-np.sum(x * np.log(y + 1e-8), axis=1))"),
    m("binary-crossentropy", LOSS, "out = np.mean(-np.sum(y * np.log(x) + (1 - y) * np.log(1 - x), axis=1))"),
    m("softmax-twice", LOSS, "x = np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True); " + LOSS),
    m("eps-not-in-derivative", LOSS, "out = np.mean(-np.sum(y * np.log(x + 1e-8), axis=1))"),
    m("batch-mean-missing", LOSS_DX, "dx = -y / x"),
    m("averaged-over-classes", LOSS_DX, "dx = -y / x / x.size"),
    m("batch-mean-twice", LOSS_DX, "dx = -y / x / x.shape[0] ** 2"),
    m("batch-size-hard-coded", LOSS_DX, "dx = -y / x / 200"),
    m("sign-flipped", LOSS_DX, "dx = y / x / x.shape[0]"),
    m("fused-gradient", LOSS_DX, "dx = (x - y) / x.shape[0]"),
    m("labels-unused", LOSS_DX, "dx = -1 / x / x.shape[0]"),
    m("division-missing", LOSS_DX, "dx = -y * x / x.shape[0]"),
    m("loss-for-derivative", LOSS_DX, "dx = -y * np.log(x) / x.shape[0]"),
    m("arguments-exchanged", LOSS_DX, "dx = -x / y / x.shape[0]"),
    m(
        "needs-forward",
        LOSS + "\n        return out\n\n    def backward(self, x, y):\n        " + LOSS_DX,
        "self.n = len(x)\n        "
        + LOSS
        + "\n        return out\n\n    def backward(self, x, y):\n        dx = -y / x / self.n",
    ),
    m("one-hot-width shape-clash", LOSS_DX, "y = np.eye(y.argmax(axis=1).max() + 1)[y.argmax(axis=1)]; " + LOSS_DX),
)
MLP_MUTATIONS = (
    m("softmax-missing", "self.layers.append(SoftMaxModule())", "pass", MLP),
    m("softmax-twice", "self.layers.append(SoftMaxModule())", "self.layers += [SoftMaxModule(), SoftMaxModule()]", MLP),
    m("activation-at-the-end", "if i < len(sizes) - 2:", "if True:", MLP),
    m("activation-missing", "if i < len(sizes) - 2:", "if False:", MLP),
    m(
        "layers-missing",
        "sizes = [n_inputs] + n_hidden + [n_classes]",
        "sizes = [n_inputs] + n_hidden[:1] + [n_classes]",
        MLP,
    ),
    m(
        "caller-list-changed",
        "sizes = [n_inputs] + n_hidden + [n_classes]",
        "sizes = n_hidden; sizes.insert(0, n_inputs); sizes.append(n_classes)",
        MLP,
    ),
    m(
        "raises",
        "sizes = [n_inputs] + n_hidden + [n_classes]",
        "sizes = [n_inputs, n_hidden[0]] + n_hidden[1:] + [n_classes]",
        MLP,
    ),
    m("softmax-backward-skipped", "in reversed(self.layers):", "in reversed(self.layers[:-1]):", MLP),
    m(
        "derivative-missing",
        "dout = layer.backward(dout)",
        "dout = dout if isinstance(layer, LeakyReLUModule) else layer.backward(dout)",
        MLP,
    ),
    m("raises shape-clash", "in reversed(self.layers):", "in self.layers:", MLP),
    m("slope-ignored unexplained", "LeakyReLUModule(neg_slope)", "LeakyReLUModule(0.01)", MLP),
)

UVA_NOV19 = LINEAR_MUTATIONS + LEAKY_MUTATIONS + SOFTMAX_MUTATIONS + LOSS_MUTATIONS + MLP_MUTATIONS

# the other editions: the same linear layer, softmax and network, other activations and labels
RELU, RELU_DX = "out = x * self.mask", "dx = dout * self.mask"
RELU_MUTATIONS = (
    m("input-changed", RELU, "x[x < 0] = 0; out = x"),
    m("wrong-function", RELU, "out = np.abs(x)"),
    m("output-clipped", RELU, "out = np.clip(x, 0, 1)"),
    m("branches-exchanged", RELU_DX, "dx = dout * ~self.mask"),
    m("derivative-missing", RELU_DX, "dx = dout"),
    m("upstream-missing", RELU_DX, "dx = self.mask * 1.0"),
    m("mask-from-gradient", RELU_DX, "dx = dout * (dout > 0)"),
)
ELU = "out = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)"
ELU_DX = "dx = dout * np.where(self.x > 0, 1.0, np.exp(np.minimum(self.x, 0)))"
ELU_MUTATIONS = (
    m("elu-minus-one-missing", ELU, "out = np.where(x > 0, x, np.exp(np.minimum(x, 0)))"),
    m("overflow", ELU, "out = x * (x > 0) + (np.exp(x) - 1) * (x <= 0)"),
    m("exponent-sign", ELU, "out = np.where(x > 0, x, np.exp(-np.minimum(x, 0)) - 1)"),
    m("branches-exchanged", ELU, "out = np.where(x < 0, x, np.exp(np.minimum(x, 50)) - 1)"),
    m("function-for-derivative", ELU_DX, "dx = dout * np.where(self.x > 0, 1.0, np.exp(np.minimum(self.x, 0)) - 1)"),
    m("derivative-missing", ELU_DX, "dx = dout"),
    m("wrong-derivative", ELU_DX, "dx = dout * np.exp(self.x)"),
    m("sign-inside", ELU_DX, "dx = dout * np.where(self.x > 0, 1.0, -np.exp(np.minimum(self.x, 0)))"),
)
ELU_ALPHA = "out = np.where(x > 0, x, self.alpha * (np.exp(np.minimum(x, 0)) - 1))"
ELU_ALPHA_DX = "dx = dout * np.where(self.x > 0, 1.0, self.alpha * np.exp(np.minimum(self.x, 0)))"
LATER_LOSS = "out = -np.mean(np.log(x[np.arange(len(y)), y]))"
LATER_LOSS_DX = "dx[rows, y] = -1 / x[rows, y] / len(y)"
LATER_MUTATIONS = (
    m("alpha-ignored", ELU_ALPHA, "out = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)"),
    m("alpha-misplaced", ELU_ALPHA, "out = np.where(x > 0, x, self.alpha * np.exp(np.minimum(x, 0)) - 1)"),
    m("alpha-ignored", ELU_ALPHA_DX, "dx = dout * np.where(self.x > 0, 1.0, np.exp(np.minimum(self.x, 0)))"),
    m(
        "function-for-derivative",
        ELU_ALPHA_DX,
        "dx = dout * np.where(self.x > 0, 1.0, self.alpha * (np.exp(np.minimum(self.x, 0)) - 1))",
    ),
    m("batch-mean-missing", LATER_LOSS, "out = -np.sum(np.log(x[np.arange(len(y)), y]))"),
    m("sign-flipped", LATER_LOSS, "out = np.mean(np.log(x[np.arange(len(y)), y]))"),
    m("logarithm-missing", LATER_LOSS, "out = -np.mean(x[np.arange(len(y)), y])"),
    m("batch-mean-missing", LATER_LOSS_DX, "dx[rows, y] = -1 / x[rows, y]"),
    m("sign-flipped", LATER_LOSS_DX, "dx[rows, y] = 1 / x[rows, y] / len(y)"),
    m("division-missing", LATER_LOSS_DX, "dx[rows, y] = -1 / len(y)"),
    m("averaged-over-classes", LATER_LOSS_DX, "dx[rows, y] = -1 / x[rows, y] / x.size"),
    m("one-hot-width shape-clash", LATER_LOSS_DX, "dx = -np.eye(y.max() + 1)[y] / x / len(y)"),
    m("init-spread", "np.sqrt(gain / in_features)", "gain / in_features"),
    m("init-spread", "gain = 1 if input_layer else 2", "gain = 2"),
    m("init-spread", "np.sqrt(gain / in_features)", "np.sqrt(gain / out_features)"),
)
_COMMON = tuple(each for each in LINEAR_MUTATIONS if each.old != WEIGHT) + SOFTMAX_MUTATIONS
_NETWORK = tuple(each for each in MLP_MUTATIONS if "Leaky" not in each.old + each.new)
UVA_APR19 = _COMMON + RELU_MUTATIONS + LOSS_MUTATIONS + _NETWORK
UVA_2020 = _COMMON + ELU_MUTATIONS + LOSS_MUTATIONS + _NETWORK
UVA_2021 = _COMMON + LATER_MUTATIONS + _NETWORK
