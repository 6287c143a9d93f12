import torch
import torch.nn as nn


def _comprobar(entrada, n):
    """Comprueba que la entrada tenga la forma (lote, neuronas)."""
    if entrada.dim() != 2:
        raise ValueError('se esperaba una entrada 2D, pero tiene {} dimensiones'.format(entrada.dim()))
    if entrada.size(1) != n:
        raise ValueError('se esperaban {} neuronas, hay {}'.format(n, entrada.size(1)))


class CustomBatchNormAutograd(nn.Module):
    """Normalización por lotes; el gradiente lo calcula autograd."""

    def __init__(self, n_neurons, eps=1e-5):
        super().__init__()
        self.n_neurons = n_neurons
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(n_neurons))
        self.beta = nn.Parameter(torch.zeros(n_neurons))

    def forward(self, input):
        _comprobar(input, self.n_neurons)
        media = torch.mean(input, dim=0)
        varianza = torch.mean((input - media).pow(2), dim=0)
        normal = (input - media) / (varianza + self.eps).sqrt()
        return self.gamma * normal + self.beta


class CustomBatchNormManualFunction(torch.autograd.Function):
    """La misma operación con el gradiente derivado a mano."""

    @staticmethod
    def forward(ctx, input, gamma, beta, eps=1e-5):
        media = input.mean(dim=0)
        varianza = input.var(dim=0, unbiased=False)
        inv = 1 / torch.sqrt(varianza + eps)
        normal = (input - media) * inv
        ctx.save_for_backward(gamma, inv, normal)
        return normal * gamma + beta

    @staticmethod
    def backward(ctx, grad_output):
        gamma, inv, normal = ctx.saved_tensors
        lote = grad_output.size(0)
        necesita = ctx.needs_input_grad
        dgamma = (grad_output * normal).sum(dim=0)
        dbeta = grad_output.sum(dim=0)
        grad_input = None
        if necesita[0]:
            grad_input = (gamma * inv / lote) * (lote * grad_output - normal * dgamma - dbeta)
        return (
            grad_input,
            dgamma if necesita[1] else None,
            dbeta if necesita[2] else None,
            None,
        )


class CustomBatchNormManualModule(nn.Module):
    """Módulo que usa la función anterior."""

    def __init__(self, n_neurons, eps=1e-5):
        super().__init__()
        self.n_neurons = n_neurons
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(n_neurons))
        self.beta = nn.Parameter(torch.zeros(n_neurons))

    def forward(self, input):
        _comprobar(input, self.n_neurons)
        bn = CustomBatchNormManualFunction.apply
        return bn(input, self.gamma, self.beta)
