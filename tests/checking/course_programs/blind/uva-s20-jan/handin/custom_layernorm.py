import torch
import torch.nn as nn


class CustomLayerNormAutograd(nn.Module):
  """ Laagnormalisatie met autograd. """

  def __init__(self, n_neurons, eps=1e-5):
    super().__init__()
    self.n_neurons = n_neurons
    self.eps = eps
    self.gamma = nn.Parameter(torch.ones(1, n_neurons))
    self.beta = nn.Parameter(torch.zeros(1, n_neurons))

  def forward(self, input):
    B, M = input.shape
    assert M == self.n_neurons, 'verkeerd aantal neuronen: %d' % M
    var, mu = torch.var_mean(input, dim=1, unbiased=False)
    genormaliseerd = ((input.t() - mu) / (var + self.eps).sqrt()).t()
    return genormaliseerd * self.gamma + self.beta


class CustomLayerNormManualFunction(torch.autograd.Function):
  """ Elke tussenstap een eigen naam, en dezelfde stappen terug. """

  @staticmethod
  def forward(ctx, input, gamma, beta, eps=1e-5):
    ctx.gamma_vorm, ctx.beta_vorm = gamma.shape, beta.shape
    mu = input.mean(dim=-1, keepdim=True)
    c = input - mu
    kwadraat = c * c
    var = kwadraat.mean(dim=-1, keepdim=True)
    std = torch.sqrt(var + eps)
    inv = 1 / std
    x_hat = c * inv
    ctx.save_for_backward(c, std, inv, x_hat, gamma)
    return x_hat * gamma + beta

  @staticmethod
  def backward(ctx, grad_output):
    c, std, inv, x_hat, gamma = ctx.saved_tensors
    M = c.shape[-1]
    grad_input = grad_gamma = grad_beta = None

    if ctx.needs_input_grad[1]:
      grad_gamma = (grad_output * x_hat).sum(dim=0).reshape(ctx.gamma_vorm)
    if ctx.needs_input_grad[2]:
      grad_beta = grad_output.sum(dim=0).reshape(ctx.beta_vorm)
    if ctx.needs_input_grad[0]:
      dx_hat = grad_output * gamma
      # x_hat = c * inv
      dc = dx_hat * inv
      dinv = (dx_hat * c).sum(dim=-1, keepdim=True)
      # inv = 1 / std, std = sqrt(var + eps)
      dstd = -dinv / (std * std)
      dvar = dstd / (2 * std)
      # var = mean(c * c)
      dc = dc + 2 * c * dvar.expand_as(c) / M
      # c = input - mu, mu = mean(input)
      grad_input = dc - dc.mean(dim=-1, keepdim=True)
    return grad_input, grad_gamma, grad_beta, None


class CustomLayerNormManualModule(CustomLayerNormAutograd):
  """ Zelfde parameters en controle, andere berekening. """

  def forward(self, input):
    B, M = input.shape
    assert M == self.n_neurons, 'verkeerd aantal neuronen: %d' % M
    return CustomLayerNormManualFunction.apply(input, self.gamma, self.beta, self.eps)
