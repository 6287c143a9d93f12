import torch
from torch import nn


class RMSNormFunction(torch.autograd.Function):
    """y = x / sqrt(mean(x^2) + eps) * w over the last dimension"""

    @staticmethod
    def forward(ctx, x, w, eps):
        inv = torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + eps)
        ctx.save_for_backward(x, w, inv)
        return x * inv * w

    @staticmethod
    def backward(ctx, dy):
        x, w, inv = ctx.saved_tensors
        dx = dw = None
        if ctx.needs_input_grad[0]:
            g = dy * w
            n = x * inv
            dx = inv * (g - n * (g * n).sum(dim=-1, keepdim=True))
        if ctx.needs_input_grad[1]:
            dw = (dy * x * inv).reshape(-1, w.numel()).sum(dim=0)
        return dx, dw, None


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return RMSNormFunction.apply(x, self.weight, self.eps)

    def extra_repr(self):
        return f"dim={self.weight.numel()}, eps={self.eps}"


if __name__ == "__main__":
    m = RMSNorm(8)
    print(m, m(torch.randn(2, 3, 8)).shape)
