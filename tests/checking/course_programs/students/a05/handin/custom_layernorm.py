import torch
import torch.nn as nn


class CustomLayerNormAutograd(nn.Module):
  def __init__(self, n_neurons, eps=1e-5):
    super(CustomLayerNormAutograd, self).__init__()
    self.n = n_neurons
    self.epsilon = eps
    self.gamma = nn.Parameter(torch.ones(self.n))
    self.beta = nn.Parameter(torch.zeros(self.n))

  def forward(self, input):
    if len(input.shape) != 2 or input.shape[-1] != self.n:
      raise Exception("Input shape is not correct")
    var, mean = torch.var_mean(input, dim=1, keepdim=True, unbiased=False)
    return (input - mean) / torch.sqrt(var + self.epsilon) * self.gamma + self.beta


class CustomLayerNormManualFunction(torch.autograd.Function):
  @staticmethod
  def forward(ctx, input, gamma, beta, eps=1e-5):
    mu = input.mean(1).unsqueeze(1)
    inv = ((input - mu).pow(2).mean(1) + eps).pow(-0.5).view(-1, 1)
    ctx.save_for_backward(input, gamma, mu, inv)
    return torch.einsum('m,nm->nm', gamma, (input - mu) * inv) + beta

  @staticmethod
  def backward(ctx, grad_output):
    input, gamma, mu, inv = ctx.saved_tensors
    y = (input - mu) * inv
    M = grad_output.size(1)
    gx = gg = gb = None
    if ctx.needs_input_grad[0]:
      g = grad_output * gamma
      gx = inv / M * (M * g - g.sum(1, keepdim=True) - y * (g * y).sum(1, keepdim=True))
    if ctx.needs_input_grad[1]:
      gg = torch.einsum('nm,nm->m', grad_output, y)
    if ctx.needs_input_grad[2]:
      gb = torch.einsum('nm->m', grad_output)
    return gx, gg, gb, None


class CustomLayerNormManualModule(CustomLayerNormAutograd):
  def forward(self, input):
    if input.dim() != 2 or input.size(1) != self.n:
      raise Exception("Input shape is not correct")
    return CustomLayerNormManualFunction.apply(input, self.gamma, self.beta, self.epsilon)
