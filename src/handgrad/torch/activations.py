"""Activations: y = f(x) elementwise, so dx = dy · f'(x).

If f'(x) can be expressed in terms of y, backward uses the output, which the next layer stores anyway; otherwise it
uses the input. All activations are twice differentiable.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd import Function

from handgrad._typing import Float


class IdentityFunction(Function):
    """y = x, dx = dy."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, dy):
        return dy


class ReLUFunction(Function):
    """y = max(0, x); f'(x) = 1 where x > 0, else 0."""

    @staticmethod
    def forward(ctx, x):
        y = x.clamp(min=0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (y > 0)


class LeakyReLUFunction(Function):
    """y = x where x > 0, else a·x; f'(x) = 1 where x > 0, else a."""

    @staticmethod
    def forward(ctx, x, negative_slope=0.01):
        y = torch.where(x > 0, x, x * negative_slope)
        ctx.negative_slope = negative_slope
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return torch.where(y > 0, dy, dy * ctx.negative_slope), None


class ELUFunction(Function):
    """y = x where x > 0, else α(eˣ - 1); f'(x) = 1 where x > 0, else αeˣ = y + α."""

    @staticmethod
    def forward(ctx, x, alpha=1.0):
        # eˣ is computed only for negative inputs, because it would overflow for positive ones
        y = torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0)))
        ctx.alpha = alpha
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return torch.where(y > 0, dy, dy * (y + ctx.alpha)), None


class SigmoidFunction(Function):
    """y = 1 / (1 + e⁻ˣ); f'(x) = y (1 - y)."""

    @staticmethod
    def forward(ctx, x):
        y = torch.sigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (y * (1 - y))


class TanhFunction(Function):
    """y = tanh x; f'(x) = 1 - y²."""

    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (1 - y * y)


class GELUFunction(Function):
    """y = x Φ(x), Φ the normal cumulative distribution function; f'(x) = Φ(x) + x φ(x).

    Tanh approximation: Φ(x) ≈ g = ½(1 + tanh u) = σ(2u), u = √(2/π) (x + 0.044715 x³); f'(x) = g + x g (1 - g) 2u'(x).

    Source: Hendrycks and Gimpel (2016), Gaussian error linear units, section 2.
    """

    @staticmethod
    def forward(ctx, x, approximate="none"):
        ctx.approximate = approximate
        ctx.save_for_backward(x)
        return x * _normal_distribution(x, approximate)[0]

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        distribution, density = _normal_distribution(x, ctx.approximate)
        return dy * (distribution + x * density), None


def _normal_distribution(x: Tensor, approximate: str) -> tuple[Tensor, Tensor]:
    """Φ(x) and φ(x), or their tanh approximations."""
    if approximate == "none":
        return 0.5 * (1 + torch.erf(x / math.sqrt(2))), torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    x = x.clamp(-22, 22)  # the density is 0 beyond this limit, and x² would overflow
    a, b = math.sqrt(8 / math.pi), math.sqrt(8 / math.pi) * 0.044715
    gate = torch.sigmoid(x * (a + b * x * x))
    return gate, gate * (1 - gate) * (a + 3 * b * x * x)


class SiLUFunction(Function):
    """y = x σ(x); f'(x) = σ(x) (1 + x (1 - σ(x))).

    Source: Hendrycks and Gimpel (2016), Gaussian error linear units; Elfwing, Uchibe, Doya (2018).
    """

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        sigma = torch.sigmoid(x)
        return dy * (sigma * (1 + x * (1 - sigma)))


class SoftplusFunction(Function):
    """y = log(1 + e^(βx)) / β = max(0, x) + log(1 + e^(-|βx|)) / β; f'(x) = σ(βx). Above the threshold of βx: y = x,
    f'(x) = 1.

    Source: Dugas et al. (2001), Incorporating second-order functional knowledge for better option pricing, equation 4.
    """

    @staticmethod
    def forward(ctx, x, beta=1.0, threshold=20.0):
        ctx.beta, ctx.threshold = beta, threshold
        ctx.save_for_backward(x)
        curve = x.clamp(min=0) + torch.log1p(torch.exp(-(beta * x).abs())) / beta
        return torch.where(beta * x > threshold, x, curve)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return torch.where(ctx.beta * x > ctx.threshold, dy, dy * torch.sigmoid(ctx.beta * x)), None, None


class Identity(torch.nn.Module):
    """`IdentityFunction`: y = x."""

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return IdentityFunction.apply(x)


class ReLU(torch.nn.Module):
    """`ReLUFunction`: y = max(0, x)."""

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return ReLUFunction.apply(x)


class LeakyReLU(torch.nn.Module):
    """`LeakyReLUFunction`: ReLU with a slope for negative inputs.

    Arguments:
        negative_slope: a, at least 0 (a negative one would make y ambiguous).
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        if not negative_slope >= 0:
            raise ValueError(f"LeakyReLU got negative_slope={negative_slope}, expected at least 0")
        self.negative_slope = negative_slope

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return LeakyReLUFunction.apply(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(torch.nn.Module):
    """`ELUFunction`: exponential linear unit.

    Arguments:
        alpha: α, above 0.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if not alpha > 0:
            raise ValueError(f"ELU got alpha={alpha}, expected more than 0")
        self.alpha = alpha

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return ELUFunction.apply(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Sigmoid(torch.nn.Module):
    """`SigmoidFunction`: the logistic function."""

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return SigmoidFunction.apply(x)


class Tanh(torch.nn.Module):
    """`TanhFunction`: hyperbolic tangent."""

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return TanhFunction.apply(x)


class GELU(torch.nn.Module):
    """`GELUFunction`: Gaussian error linear unit.

    Arguments:
        approximate: `"none"`, the exact form, or `"tanh"`.
    """

    @staticmethod
    def autograd(approximate: str = "none") -> torch.nn.Module:
        """The equivalent PyTorch module, whose default is the exact form."""
        return torch.nn.GELU(approximate)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("tanh", "none"):
            raise ValueError(f"GELU got approximate={approximate!r}, expected 'tanh' or 'none'")
        self.approximate = approximate

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return GELUFunction.apply(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(torch.nn.Module):
    """`SiLUFunction`: y = x σ(x)."""

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return SiLUFunction.apply(x)


class Softplus(torch.nn.Module):
    """`SoftplusFunction`: a smooth ReLU.

    Arguments:
        beta: β, above 0; larger values are closer to ReLU.
        threshold: value of βx above which the function is treated as linear.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        if not beta > 0:
            raise ValueError(f"Softplus got beta={beta}, expected more than 0")
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        return SoftplusFunction.apply(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"
