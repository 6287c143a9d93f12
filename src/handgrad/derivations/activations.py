"""Activations: y = f(x) elementwise, so the Jacobian is diagonal and dx = dy · f'(x)."""

# Each derivation has its own y and slope.
# ruff: noqa: F811
# pyright: reportRedeclaration=false

from __future__ import annotations

import math

import numpy as np

from handgrad import nn
from handgrad.derivations.derivation import CENTRAL_DIFFERENCES, D, Derivation, Link
from handgrad.derivations.running import run_layer
from handgrad.special import logistic as logistic_function

TOPIC = "Activations"
_DIAGONAL = D("y", "x", take="ndnd->nd")
_DIFFERENCES = D("y", "x", take="ndnd->nd", method=CENTRAL_DIFFERENCES)


def _point(rng, N, D):
    x = rng.normal(size=(N, D))
    x += 0.05 * np.sign(x)  # not near 0, where central differences would reach the other branch
    x[0, 0] = -abs(x[0, 0])  # both signs in every point, so that both branches are covered
    x[-1, -1] = abs(x[-1, -1])
    if x.size > 2:
        x.flat[1] = (
            0  # and the kink, where the complex step gives the slope of the branch that the definition uses there
        )
    return {"x": x, "dy": rng.normal(size=(N, D)), "a": 0.02, "alpha": 1.3}


def _activation(name: str, title: str, intro: str, source: str) -> Derivation:
    derivation = Derivation(name, TOPIC, title, {"N": 4, "D": 3}, _point, intro=intro, source=source)

    @derivation.given
    def L(dy, y):
        return (dy * y).sum()

    return derivation


def _chain_rule(derivation: Derivation, method: str) -> None:
    """The two steps that all activations share: the full chain rule, and its simplification for a diagonal Jacobian."""

    @derivation.step(
        "the chain rule",
        r"\frac{\partial L}{\partial x_{nj}} = \sum_i \frac{\partial L}{\partial y_{ni}} \delta_{ij} f'(x_{nj})",
        "∂L/∂xₙⱼ = Σᵢ dyₙᵢ δᵢⱼ f′(xₙⱼ)",
        "yᵢ depends only on xᵢ, so the Jacobian of a sample is diag(f′(x)).",
        derivative=D("L", "x", method=method),
    )
    def dx_sum(dy, slope):
        return np.einsum("ni,ij,nj->nj", dy, np.eye(dy.shape[1]), slope)

    @derivation.step(
        "the vectorised formula",
        r"dx = dy \odot f'(x)",
        "dx = dy ⊙ f′(x)",
        "A product with a diagonal matrix is an elementwise product. The same holds for a batch.",
        same=True,
    )
    def dx(dy, slope):
        return dy * slope


def _what_nn_computes(
    derivation: Derivation, make, statement: str, text: str, snippet: str, why: str = "", method: str = "derivative"
) -> None:
    """The last step: `make(a, alpha)` returns the layer of nn, whose `method` contains the snippet."""
    kind = type(make(0.02, 1.3))

    @derivation.step(
        "what nn computes",
        statement,
        text,
        why or f"nn.{kind.__name__} computes the slope from y, which the network stores anyway.",
        same=True,
        link=Link(getattr(kind, method), snippet),
    )
    def dx_nn(x, dy, a, alpha):
        return run_layer(make(a, alpha), x, dy).dx


# -- ReLU -------------------------------------------------------------------------------------------------------------

relu = _activation(
    "relu",
    "Rectified linear unit",
    "At x = 0 there is a kink and no derivative. By convention, nn uses the left slope, 0, as most libraries do. "
    "Every step is also checked at x = 0.",
    "UvA reports A and B, April 2019: question 1.1 a) iii",
)


@relu.step(
    "definition",
    r"y = \max(0, x)",
    "y = max(0, x)",
    "Negative inputs are set to 0.",
    direct=lambda x: np.maximum(x, 0),
    direct_label="np.maximum",
)
def y(x):
    return np.where(x.real > 0, x, 0)


@relu.step(
    "the slope",
    r"f'(x) = \mathbb 1(x > 0)",
    "f′(x) = 1 where x > 0, else 0",
    "Slope 1 on the right, 0 on the left.",
    derivative=_DIAGONAL,
)
def slope(x):
    return np.where(x > 0, 1.0, 0.0)


@relu.step(
    "from the output",
    r"f'(x) = \mathbb 1(y > 0)",
    "f′(x) = 1 where y > 0, else 0",
    "y > 0 if and only if x > 0, so x does not have to be stored.",
    same=True,
)
def from_y(y):
    return np.where(y > 0, 1.0, 0.0)


_chain_rule(relu, "complex step")
_what_nn_computes(
    relu,
    lambda a, alpha: nn.ReLU(),
    r"dx = dy \odot \mathbb 1(y > 0)",
    "dx = dy ⊙ (y > 0)",
    "y > 0",
)

# -- LeakyReLU --------------------------------------------------------------------------------------------------------

leaky_relu = _activation(
    "leaky-relu",
    "ReLU with a slope for negative inputs",
    "a is the slope for negative inputs (0.02 in the course) and, by convention, at the kink x = 0.",
    "UvA report, November 2019: question 1.1a iii and 1.1b ii; Maas, Hannun, Ng (2013)",
)


@leaky_relu.step(
    "definition",
    r"y = \max(0, x) + a \min(0, x)",
    "y = max(0, x) + a min(0, x)",
    "One of the two terms is 0.",
    direct=lambda x, a: nn.LeakyReLU(a).forward(x),
    direct_label="nn.LeakyReLU",
)
def y(x, a):
    return np.where(x.real > 0, x, 0) + a * np.where(x.real > 0, 0, x)


@leaky_relu.step(
    "the slope",
    r"f'(x) = \mathbb 1(x > 0) + a\, \mathbb 1(x \le 0)",
    "f′(x) = 1 where x > 0, else a",
    "Each branch is a straight line.",
    derivative=_DIAGONAL,
)
def slope(x, a):
    return (x > 0) + a * (x <= 0)


_chain_rule(leaky_relu, "complex step")
_what_nn_computes(
    leaky_relu,
    lambda a, alpha: nn.LeakyReLU(a),
    r"dx = dy \odot (x > 0\ ?\ 1 : a)",
    "dx = dy ⊙ (1 where x > 0, else a)",
    "np.maximum(positive, a)",
)

# -- ELU --------------------------------------------------------------------------------------------------------------

elu = _activation(
    "elu",
    "Exponential linear unit",
    "For negative inputs, y approaches −α. At x = 0, the slope is by convention the left one, α.",
    "Clevert, Unterthiner, Hochreiter (2016), equations 15 and 16; UvA report, 2020",
)


@elu.step(
    "definition",
    r"y = x \text{ where } x > 0, \text{ else } \alpha (e^x - 1)",
    "y = x where x > 0, else α (e^x − 1)",
    "The branches meet at 0, with equal slopes if α = 1.",
    direct=lambda x, alpha: nn.ELU(alpha).forward(x),
    direct_label="nn.ELU",
)
def y(x, alpha):
    return np.where(x.real > 0, x, alpha * (np.exp(x) - 1))


@elu.step(
    "the slope",
    r"f'(x) = 1 \text{ where } x > 0, \text{ else } \alpha e^x",
    "f′(x) = 1 where x > 0, else α e^x",
    "The exponential is its own derivative.",
    derivative=_DIAGONAL,
)
def slope(x, alpha):
    return np.where(x > 0, 1, alpha * np.exp(x))


@elu.step(
    "from the output",
    r"\alpha e^x = y + \alpha",
    "α e^x = y + α",
    "y = α e^x − α for negative inputs, so no second exponential is needed.",
    same=True,
)
def from_y(x, y, alpha):
    return np.where(x > 0, 1, y + alpha)


_chain_rule(elu, "complex step")
_what_nn_computes(
    elu,
    lambda a, alpha: nn.ELU(alpha),
    r"dx = dy \odot (x > 0\ ?\ 1 : y + \alpha)",
    "dx = dy ⊙ (1 where x > 0, else y + α)",
    "np.minimum(y, 0) + self.alpha",
)

# -- Sigmoid ----------------------------------------------------------------------------------------------------------

sigmoid = _activation(
    "sigmoid",
    "Logistic function",
    "",
    "CMU 11-785 Fall 2019, homework 1 handout, problem 1",
)


@sigmoid.step(
    "definition",
    r"y = \frac{1}{1 + e^{-x}}",
    "y = 1 / (1 + e^(−x))",
    "Maps a score to a probability.",
    direct=lambda x: nn.Sigmoid().forward(x),
    direct_label="nn.Sigmoid",
)
def y(x):
    return 1 / (1 + np.exp(-x))


@sigmoid.step(
    "multiplied by e^x",
    r"y = \frac{e^x}{1 + e^x}",
    "y = e^x / (1 + e^x)",
    "Multiply numerator and denominator by e^x. There is no cancellation for very negative x, so nn computes this "
    "form. For large x, where y is 1 to the last digit, e^x would overflow, so nn clips x first.",
    same=True,
    link=Link(logistic_function, "e /= 1 + e"),
)
def by_exponential(x):
    return np.exp(x) / (1 + np.exp(x))


@sigmoid.step(
    "the slope",
    r"f'(x) = \frac{e^{-x}}{(1 + e^{-x})^2}",
    "f′(x) = e^(−x) / (1 + e^(−x))²",
    "Chain rule: −1/u² times −e^(−x).",
    derivative=_DIAGONAL,
)
def slope(x):
    return np.exp(-x) / (1 + np.exp(-x)) ** 2


@sigmoid.step(
    "from the output",
    r"f'(x) = y (1 - y)",
    "f′(x) = y (1 − y)",
    "e^(−x) / (1 + e^(−x)) is 1 − y.",
    same=True,
)
def from_y(y):
    return y * (1 - y)


_chain_rule(sigmoid, "complex step")
_what_nn_computes(
    sigmoid, lambda a, alpha: nn.Sigmoid(), r"dx = dy \odot y (1 - y)", "dx = dy ⊙ y (1 − y)", "y * (1 - y)"
)

# -- Tanh -------------------------------------------------------------------------------------------------------------

tanh = _activation(
    "tanh",
    "Hyperbolic tangent",
    "",
    "CMU 11-785 Fall 2019, homework 1 handout, problem 1",
)


@tanh.step(
    "definition",
    r"y = \frac{e^x - e^{-x}}{e^x + e^{-x}}",
    "y = (e^x − e^(−x)) / (e^x + e^(−x))",
    "The quotient overflows for large x; np.tanh does not.",
    direct=lambda x: np.tanh(x),
    direct_label="np.tanh",
)
def y(x):
    return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


@tanh.step(
    "the slope by the quotient rule",
    r"f'(x) = \frac{(e^x + e^{-x})^2 - (e^x - e^{-x})^2}{(e^x + e^{-x})^2}",
    "f′(x) = ((e^x + e^(−x))² − (e^x − e^(−x))²) / (e^x + e^(−x))²",
    "The numerator and the denominator are each other's derivatives.",
    derivative=_DIAGONAL,
)
def slope(x):
    total, difference = np.exp(x) + np.exp(-x), np.exp(x) - np.exp(-x)
    return (total**2 - difference**2) / total**2


@tanh.step(
    "from the output",
    r"f'(x) = 1 - y^2",
    "f′(x) = 1 − y²",
    "Divided out.",
    same=True,
)
def from_y(y):
    return 1 - y**2


_chain_rule(tanh, "complex step")
_what_nn_computes(
    tanh,
    lambda a, alpha: nn.Tanh(),
    r"dx = dy \odot (1 - y^2)",
    "dx = dy ⊙ (1 − y²)",
    "1 - y * y",
)

# -- GELU -------------------------------------------------------------------------------------------------------------

gelu = _activation(
    "gelu",
    "Gaussian error linear unit, exact",
    "Φ is the cumulative distribution function of the normal distribution, φ its density. erf does not support "
    "complex numbers here, so the independent derivative uses central differences.",
    "Hendrycks and Gimpel (2016), Gaussian error linear units",
)

_erf = np.vectorize(math.erf, otypes=[float])


@gelu.step(
    "definition",
    r"y = x\, \Phi(x) = \frac x2 \big(1 + \operatorname{erf}(x / \sqrt 2)\big)",
    "y = x Φ(x) = x/2 (1 + erf(x/√2))",
    "The input times the probability that a standard normal variable is below it.",
    direct=lambda x: x - x * 0.5 * np.vectorize(math.erfc, otypes=[float])(x / math.sqrt(2)),
    direct_label="math.erfc",
)
def y(x):
    return 0.5 * x * (1 + _erf(x / np.sqrt(2)))


@gelu.step(
    "the slope",
    r"f'(x) = \Phi(x) + x\, \varphi(x), \quad \varphi(x) = \frac{e^{-x^2/2}}{\sqrt{2\pi}}",
    "f′(x) = Φ(x) + x φ(x), φ(x) = e^(−x²/2) / √(2π)",
    "Product rule; Φ′ = φ.",
    derivative=_DIFFERENCES,
)
def slope(x):
    return 0.5 * (1 + _erf(x / np.sqrt(2))) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


_chain_rule(gelu, CENTRAL_DIFFERENCES)
_what_nn_computes(
    gelu,
    lambda a, alpha: nn.GELU(),
    r"dx = dy \odot (g + x\, g'), \quad g = \Phi(x),\ g' = \varphi(x)",
    "dx = dy ⊙ (g + x g′), g = Φ(x), g′ = φ(x)",
    "np.exp(-x * x / 2)",
    "The erf is implemented in special.py, because NumPy does not have one.",
    "gate_slope",
)

# -- GELU, tanh form --------------------------------------------------------------------------------------------------

gelu_tanh = _activation(
    "gelu-tanh",
    "Gaussian error linear unit, tanh approximation",
    "An approximation of GELU to within 5e-4, from a time when erf was slow. Some published networks were trained "
    "with it.",
    "Hendrycks and Gimpel (2016), section 2",
)

_C, _CUBE = math.sqrt(2 / math.pi), 0.044715
_GRID = np.linspace(-5, 5, 2001)


@gelu_tanh.step(
    "definition",
    r"y = \frac x2 (1 + \tanh u), \quad u = \sqrt{2/\pi}\, (x + 0.044715\, x^3)",
    "y = x/2 (1 + tanh u), u = √(2/π) (x + 0.044715 x³)",
    "Φ is replaced by a logistic function of a cubic polynomial.",
    direct=lambda x: x / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    direct_label="x · sigmoid(2u)",
)
def y(x):
    return 0.5 * x * (1 + np.tanh(_C * (x + _CUBE * x**3)))


@gelu_tanh.step(
    "close to the exact form",
    r"\max_x \big|y - x\, \Phi(x)\big| = 0.000473",
    "max |y − x Φ(x)| = 0.000473 over all x",
    "Rounded to six places. Outside a grid from −5 to 5, the differences are tiny. They are largest near ±2.3.",
    direct=lambda: 0.000473,
    direct_label="the number as stated",
)
def close():
    x = _GRID
    y = 0.5 * x * (1 + np.tanh(_C * (x + _CUBE * x**3)))
    return np.round(np.abs(y - 0.5 * x * (1 + _erf(x / np.sqrt(2)))).max(), 6)


@gelu_tanh.step(
    "the slope",
    r"f'(x) = \tfrac12 (1 + \tanh u) + \tfrac x2 (1 - \tanh^2 u)\, u', \quad u' = \sqrt{2/\pi}\, (1 + 0.134145\, x^2)",
    "f′(x) = ½ (1 + tanh u) + x/2 (1 − tanh² u) u′, u′ = √(2/π) (1 + 0.134145 x²)",
    "Product rule, then the chain rule through u.",
    derivative=_DIAGONAL,
)
def slope(x):
    t = np.tanh(_C * (x + _CUBE * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * _C * (1 + 3 * _CUBE * x**2)


@gelu_tanh.step(
    "from the gate",
    r"f'(x) = g + x \cdot 2 g (1 - g)\, u', \quad g = \tfrac12 (1 + \tanh u)",
    "f′(x) = g + x · 2 g (1 − g) u′, g = ½ (1 + tanh u)",
    "1 − tanh² u = (1 + tanh u)(1 − tanh u) = 4 g (1 − g).",
    same=True,
)
def from_gate(x):
    g = 0.5 * (1 + np.tanh(_C * (x + _CUBE * x**3)))
    return g + x * 2 * g * (1 - g) * _C * (1 + 3 * _CUBE * x**2)


_chain_rule(gelu_tanh, "complex step")
_what_nn_computes(
    gelu_tanh,
    lambda a, alpha: nn.GELU("tanh"),
    r"dx = dy \odot (g + x\, g'), \quad g' = g (1 - g) \cdot 2u'",
    "dx = dy ⊙ (g + x g′), g′ = g (1 − g) · 2u′",
    "gate * (1 - gate) * (A + 3 * B * x * x)",
    "2u′ = a + 3b x², and the gate ½ (1 + tanh u) is the logistic function of 2u. Large |x| are clipped first, "
    "because x² would overflow; the slope of the gate is 0 there anyway.",
    "gate_slope",
)

# -- SiLU -------------------------------------------------------------------------------------------------------------

silu = _activation(
    "silu",
    "Sigmoid linear unit (swish)",
    "s is the logistic function of x.",
    "Elfwing, Uchibe, Doya (2018); Ramachandran, Zoph, Le (2017)",
)


@silu.step(
    "definition",
    r"y = x\, s(x) = \frac{x}{1 + e^{-x}}",
    "y = x s(x) = x / (1 + e^(−x))",
    "The input times its own gate.",
    direct=lambda x: x * nn.Sigmoid().forward(x),
    direct_label="x · nn.Sigmoid",
)
def y(x):
    return x / (1 + np.exp(-x))


@silu.step(
    "the slope",
    r"f'(x) = s + x\, s (1 - s)",
    "f′(x) = s + x s (1 − s)",
    "Product rule, with the slope of the logistic function.",
    derivative=_DIAGONAL,
)
def slope(x):
    s = 1 / (1 + np.exp(-x))
    return s + x * s * (1 - s)


@silu.step(
    "from the output",
    r"f'(x) = y + s (1 - y)",
    "f′(x) = y + s (1 − y)",
    "x s is y.",
    same=True,
)
def from_y(x, y):
    s = 1 / (1 + np.exp(-x))
    return y + s * (1 - y)


_chain_rule(silu, "complex step")
_what_nn_computes(
    silu,
    lambda a, alpha: nn.SiLU(),
    r"dx = dy \odot (s + x\, s (1 - s))",
    "dx = dy ⊙ (s + x s (1 − s))",
    "gate * (1 - gate)",
    "The slope requires x and the gate: y alone does not determine on which side of the minimum x is.",
    "gate_slope",
)

# -- Softplus ---------------------------------------------------------------------------------------------------------

softplus = _activation(
    "softplus",
    "Softplus, a smooth ReLU",
    "alpha is β in the formulas and determines the sharpness of the bend.",
    "Dugas et al. (2001), Incorporating second-order functional knowledge for better option pricing",
)


@softplus.step(
    "definition",
    r"y = \frac1\beta \log(1 + e^{\beta x})",
    "y = 1/β log(1 + e^(βx))",
    "The antiderivative of the logistic function. In this form, it overflows for large x.",
    direct=lambda x, alpha: np.logaddexp(0, alpha * x) / alpha,
    direct_label="np.logaddexp",
)
def y(x, alpha):
    return np.log(1 + np.exp(alpha * x)) / alpha


@softplus.step(
    "without overflow",
    r"y = \max(0, x) + \frac1\beta \log(1 + e^{-\beta |x|})",
    "y = max(0, x) + 1/β log(1 + e^(−β|x|))",
    "For x > 0, factor e^(βx) out of the logarithm: log(1 + e^(βx)) = βx + log(e^(−βx) + 1).",
    same=True,
)
def stable(x, alpha):
    return np.maximum(x, 0) + np.log1p(np.exp(-alpha * np.abs(x))) / alpha


@softplus.step(
    "the slope by the chain rule",
    r"f'(x) = \frac{e^{\beta x}}{1 + e^{\beta x}}",
    "f′(x) = e^(βx) / (1 + e^(βx))",
    "The β of the inner derivative cancels with 1/β.",
    derivative=_DIAGONAL,
)
def slope(x, alpha):
    return np.exp(alpha * x) / (1 + np.exp(alpha * x))


@softplus.step(
    "a logistic function",
    r"f'(x) = \frac{1}{1 + e^{-\beta x}} = s(\beta x)",
    "f′(x) = 1 / (1 + e^(−βx)) = s(βx)",
    "Divide by e^(βx); s is the logistic function.",
    same=True,
)
def logistic(x, alpha):
    return 1 / (1 + np.exp(-alpha * x))


_chain_rule(softplus, "complex step")
_what_nn_computes(
    softplus,
    lambda a, alpha: nn.Softplus(alpha),
    r"dx = dy \odot s(\beta x)",
    "dx = dy ⊙ s(βx)",
    "logistic(self.beta * x)",
    "nn.Softplus stores x. If βx is above a threshold (20), it uses y = x and a slope of 1, as PyTorch does.",
)

DERIVATIONS = [relu, leaky_relu, elu, sigmoid, tanh, gelu, gelu_tanh, silu, softplus]
