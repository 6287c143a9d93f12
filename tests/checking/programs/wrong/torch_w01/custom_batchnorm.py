"""
This module implements a Batch Normalization layer three times: with autograd, as a function with a manual
backward pass, and as a module around that function.
"""
import torch
import torch.nn as nn


class CustomBatchNormAutograd(nn.Module):

  def __init__(self, n_neurons, eps=1e-5):
    super(CustomBatchNormAutograd, self).__init__()
    self.n_neurons = n_neurons
    self.eps = eps
    self.gamma = nn.Parameter(torch.ones(n_neurons))
    self.beta = nn.Parameter(torch.zeros(n_neurons))

  def forward(self, input):
    if len(input.shape) != 2 or input.shape[1] != self.n_neurons:
      raise ValueError('expected (batch, %d), got %s' % (self.n_neurons, tuple(input.shape)))
    mu = input.mean(dim=0)
    var = input.var(dim=0, unbiased=False)
    xhat = (input - mu) / torch.sqrt(var + self.eps)
    out = self.gamma * xhat + self.beta
    return out


class CustomBatchNormManualFunction(torch.autograd.Function):

  @staticmethod
  def forward(ctx, input, gamma, beta, eps=1e-5):
    mu = input.mean(dim=0)
    var = input.var(dim=0)
    istd = 1.0 / torch.sqrt(var + eps)
    xhat = (input - mu) * istd
    out = gamma * xhat + beta
    ctx.save_for_backward(xhat, gamma, istd)
    return out

  @staticmethod
  def backward(ctx, grad_output):
    xhat, gamma, istd = ctx.saved_tensors
    n = grad_output.shape[0]
    grad_input = grad_gamma = grad_beta = None
    if ctx.needs_input_grad[1]:
      grad_gamma = (grad_output * xhat).sum(dim=0)
    if ctx.needs_input_grad[2]:
      grad_beta = grad_output.sum(dim=0)
    if ctx.needs_input_grad[0]:
      g = grad_output * gamma
      grad_input = istd / n * (n * g - g.sum(dim=0) - xhat * (g * xhat).sum(dim=0))
    # eps needs no gradient
    return grad_input, grad_beta, grad_gamma, None


class CustomBatchNormManualModule(nn.Module):

  def __init__(self, n_neurons, eps=1e-5):
    super(CustomBatchNormManualModule, self).__init__()
    self.n_neurons = n_neurons
    self.eps = eps
    self.gamma = nn.Parameter(torch.ones(n_neurons))
    self.beta = nn.Parameter(torch.zeros(n_neurons))

  def forward(self, input):
    if len(input.shape) != 2 or input.shape[1] != self.n_neurons:
      raise ValueError('expected (batch, %d), got %s' % (self.n_neurons, tuple(input.shape)))
    function = CustomBatchNormManualFunction()
    return function.apply(input, self.gamma, self.beta, self.eps)
