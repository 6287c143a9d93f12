"""Linear attention:  out_i = phi(q_i) . S / (phi(q_i) . z),
S = sum_j phi(k_j) v_j^T,  z = sum_j phi(k_j),  phi = elu + 1.
Shapes: q (B, T, D), k (B, M, D), v (B, M, E)."""
import torch


def phi(x):
    return torch.where(x > 0, x + 1, torch.exp(x.clamp(max=0)))


def phi_prime(x):
    return torch.where(x > 0, torch.ones_like(x), torch.exp(x.clamp(max=0)))


class LinearAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v):
        fq, fk = phi(q), phi(k)
        S = torch.einsum("bmd,bme->bde", fk, v)
        z = fk.sum(dim=1)
        top = fq @ S
        bottom = torch.einsum("btd,bd->bt", fq, z).unsqueeze(-1)
        out = top / bottom
        # S and z are cheap, they are formed again in backward
        ctx.save_for_backward(q, k, v, out)
        return out

    @staticmethod
    def backward(ctx, g):
        q, k, v, out = ctx.saved_tensors
        gq = gk = gv = None
        fq, fk = phi(q), phi(k)
        z = fk.sum(dim=1)
        bottom = torch.einsum("btd,bd->bt", fq, z).unsqueeze(-1)
        g_top = g / bottom                                             # (B, T, E)
        g_bottom = -(g_top * out).sum(dim=-1)                          # (B, T)
        if ctx.needs_input_grad[0]:
            S = torch.einsum("bmd,bme->bde", fk, v)
            gq = (g_top @ S.transpose(1, 2) + g_bottom.unsqueeze(-1) * z.unsqueeze(1)) * phi_prime(q)
        gS = torch.einsum("btd,bte->bde", fq, g_top)
        if ctx.needs_input_grad[1]:
            gz = torch.einsum("btd,bt->bd", fq, g_bottom)
            gk = (torch.einsum("bme,bde->bmd", v, gS) + gz.unsqueeze(1)) * phi_prime(k)
        if ctx.needs_input_grad[2]:
            gv = fk @ gS
        return gq, gk, gv


class Attention(torch.nn.Module):
    def forward(self, q, k, v):
        return LinearAttention.apply(q, k, v)
