import torch


class SoftmaxCrossEntropyFunction(torch.autograd.Function):
    """Mean cross-entropy of logits (N, K) against integer labels (N,)."""

    @staticmethod
    def forward(ctx, logits, labels):
        shifted = logits - logits.max(dim=1, keepdim=True).values
        logp = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
        ctx.save_for_backward(logp, labels)
        return -logp[torch.arange(len(labels)), labels].mean()

    @staticmethod
    def backward(ctx, grad_output):
        logp, labels = ctx.saved_tensors
        grad = logp.exp()
        grad[torch.arange(len(labels)), labels] -= 1
        return grad / len(labels), None
