import torch
import torch.nn as nn

"""
The modules/function here implement custom versions of layer normalization in PyTorch.
"""


######################################################################################
# Code for Question 3.2 a)
######################################################################################

class CustomLayerNormAutograd(nn.Module):
  def __init__(self, n_neurons, eps=1e-5):
    super(CustomLayerNormAutograd, self).__init__()
    self.n_neurons = n_neurons
    self.eps = eps
    self.gamma = nn.Parameter(torch.ones(n_neurons))
    self.beta = nn.Parameter(torch.zeros(n_neurons))

  def forward(self, input):
    if len(input.shape) != 2 or input.shape[1] != self.n_neurons:
      raise ValueError(f"input must be (n_batch, {self.n_neurons}), is {tuple(input.shape)}")
    mean = input.mean(1, keepdim=True)
    var = input.var(1, unbiased=False, keepdim=True)
    out = self.gamma * (input - mean) / torch.sqrt(var + self.eps) + self.beta
    return out


######################################################################################
# Code for Question 3.2 b)
######################################################################################

class CustomLayerNormManualFunction(torch.autograd.Function):

  @staticmethod
  def forward(ctx, input, gamma, beta, eps=1e-5):
    mean = input.mean(1, keepdim=True)
    centered = input - mean
    var = (centered ** 2).mean(1, keepdim=True)
    inv_std = torch.rsqrt(var + eps)
    x_hat = centered * inv_std
    ctx.save_for_backward(x_hat, inv_std, gamma)
    ctx.eps = eps
    return gamma * x_hat + beta

  @staticmethod
  def backward(ctx, grad_output):
    x_hat, inv_std, gamma = ctx.saved_tensors
    grad_input = grad_gamma = grad_beta = None

    if ctx.needs_input_grad[0]:
      m = grad_output.shape[1]
      inner = m * grad_output - grad_output.sum(1, keepdim=True) - x_hat * (grad_output * x_hat).sum(1, keepdim=True)
      grad_input = gamma * inv_std * inner / m
    if ctx.needs_input_grad[1]:
      grad_gamma = (grad_output * x_hat).sum(0)
    if ctx.needs_input_grad[2]:
      grad_beta = grad_output.sum(0)

    # return gradients of the three tensor inputs and None for the constant eps
    return grad_input, grad_gamma, grad_beta, None


######################################################################################
# Code for Question 3.2 c)
######################################################################################

class CustomLayerNormManualModule(nn.Module):
  def __init__(self, n_neurons, eps=1e-5):
    super(CustomLayerNormManualModule, self).__init__()
    self.n_neurons = n_neurons
    self.eps = eps
    self.gamma = nn.Parameter(torch.ones(n_neurons))
    self.beta = nn.Parameter(torch.zeros(n_neurons))

  def forward(self, input):
    assert input.dim() == 2, 'need 2 dimensions'
    assert input.size(1) == self.n_neurons, 'wrong number of neurons'
    return CustomLayerNormManualFunction.apply(input, self.gamma, self.beta, self.eps)
