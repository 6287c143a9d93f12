import torch
import torch.nn as nn


class CustomLayerNormAutograd(nn.Module):
  def __init__(self, n_neurons, eps=1e-5):
    super(CustomLayerNormAutograd, self).__init__()
    self.n_neurons = n_neurons
    self.eps = eps
    self.gamma = nn.Parameter(torch.ones(n_neurons))
    self.beta = nn.Parameter(torch.zeros(n_neurons))

  def forward(self, input):
    assert len(input.shape) == 2 and input.shape[1] == self.n_neurons, "wrong shape"
    rows = []
    for row in input:
      mu = row.mean()
      var = ((row - mu) ** 2).mean()
      rows.append(self.gamma * (row - mu) / torch.sqrt(var + self.eps) + self.beta)
    return torch.stack(rows)


class CustomLayerNormManualFunction(torch.autograd.Function):
  @staticmethod
  def forward(ctx, input, gamma, beta, eps=1e-5):
    mu = input.mean(dim=1).unsqueeze(1)
    var = input.var(dim=1, unbiased=False).unsqueeze(1)
    std = (var + eps).sqrt()
    norm = (input - mu) / std
    ctx.save_for_backward(norm, std, gamma)
    return gamma * norm + beta

  @staticmethod
  def backward(ctx, grad_output):
    norm, std, gamma = ctx.saved_tensors
    N, D = grad_output.shape
    grad_input, grad_gamma, grad_beta = None, None, None
    if ctx.needs_input_grad[0]:
      grad_input = torch.zeros_like(grad_output)
      for n in range(N):
        # jacobian of one row, D x D
        J = torch.eye(D, dtype=torch.float64) - 1.0 / D - torch.ger(norm[n], norm[n]) / D
        J = J / std[n]
        grad_input[n] = J.t().matmul(gamma * grad_output[n])
    if ctx.needs_input_grad[1]:
      grad_gamma = (norm * grad_output).mean(0)
    if ctx.needs_input_grad[2]:
      grad_beta = grad_output.sum(0)
    return grad_input, grad_gamma, grad_beta, None


class CustomLayerNormManualModule(nn.Module):
  def __init__(self, n_neurons, eps=1e-5):
    super(CustomLayerNormManualModule, self).__init__()
    self.n_neurons = n_neurons
    self.eps = eps
    self.gamma = nn.Parameter(torch.ones(n_neurons))
    self.beta = nn.Parameter(torch.zeros(n_neurons))

  def forward(self, input):
    assert len(input.shape) == 2 and input.shape[1] == self.n_neurons, "wrong shape"
    return CustomLayerNormManualFunction.apply(input, self.gamma, self.beta, self.eps)
