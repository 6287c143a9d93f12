import torch
import torch.nn as nn

# custom batch norm. first autograd version, after manual version

class CustomBatchNormAutograd(nn.Module):
    def __init__(self, n_neurons, eps=1e-5):
        super().__init__()
        self.n_neurons = n_neurons
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(1, n_neurons))
        self.beta = nn.Parameter(torch.zeros(1, n_neurons))

    def forward(self, input):
        shape = input.size()
        if len(shape) == 1:
            input = input.view(1, -1)
            shape = input.size()
        if shape[1] != self.n_neurons:
            raise Exception("input size not correct")
        mean = torch.sum(input, 0) / shape[0]
        # var = input.var(0)     # this one is with n-1, wrong!!
        var = torch.sum((input - mean) ** 2, 0) / shape[0]
        norm = (input - mean) * (var + self.eps) ** -0.5
        return norm * self.gamma + self.beta


class CustomBatchNormManualFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, gamma, beta, eps=1e-5):
        N = input.size(0)
        mean = torch.sum(input, 0) / N
        x_mu = input - mean
        var = torch.sum(x_mu ** 2, 0) / N
        std = torch.sqrt(var + eps)
        norm = x_mu / std
        ctx.save_for_backward(x_mu, std, norm, gamma)
        ctx.N = N
        return norm * gamma + beta

    @staticmethod
    def backward(ctx, grad_output):
        x_mu, std, norm, gamma = ctx.saved_tensors
        N = ctx.N
        # step by step from paper
        dgamma = torch.sum(grad_output * norm, 0).view(gamma.shape)
        dbeta = torch.sum(grad_output, 0).view(gamma.shape)
        dnorm = grad_output * gamma
        dvar = torch.sum(dnorm * x_mu * (-0.5) * std ** (-3), 0)
        dmu = torch.sum(-dnorm / std, 0) + dvar * torch.mean(-2 * x_mu, 0)
        dx = dnorm / std + dvar * 2 * x_mu / N + dmu / N
        dx = dx if ctx.needs_input_grad[0] else None
        dgamma = dgamma if ctx.needs_input_grad[1] else None
        dbeta = dbeta if ctx.needs_input_grad[2] else None
        return dx, dgamma, dbeta, None


class CustomBatchNormManualModule(nn.Module):
    def __init__(self, n_neurons, eps=1e-5):
        super().__init__()
        self.n_neurons = n_neurons
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(1, n_neurons))
        self.beta = nn.Parameter(torch.zeros(1, n_neurons))

    def forward(self, input):
        if input.size(1) != self.n_neurons:
            raise Exception("input size not correct")
        return CustomBatchNormManualFunction.apply(input, self.gamma, self.beta, self.eps)
