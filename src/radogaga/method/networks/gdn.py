"""Generalized divisive normalization as one operation, which on a CPU goes over the memory once and not ten times."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Few enough for all that a part needs to stay in a core's cache.
_NUMBERS = 2**17


def normalize(x: Tensor, gamma: Tensor, beta: Tensor, *, inverse: bool) -> Tensor:
    """Return x_i / sqrt(beta_i + sum_j gamma_ij x_j^2) at each pixel, or x_i times that with `inverse`.

    Backward and forward mode, of any order, and the transforms of `torch.func` go through it.

    Parameters
    ----------
    x : Tensor
        Channels, ``(B, channels, H, W)``.
    gamma : Tensor
        Weights, ``(channels, channels)``.
    beta : Tensor
        Constants, ``(channels,)``.
    inverse : bool
        Whether to multiply.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.networks.gdn import normalize
    >>> normalize(torch.full((1, 1, 1, 2), 3.0), torch.ones(1, 1), torch.tensor([16.0]), inverse=False)
    tensor([[[[0.6000, 0.6000]]]])
    """
    by_parts = x.device.type == "cpu" and x.dtype == gamma.dtype and x.is_contiguous() and x.numel() > 0
    if by_parts and not torch.compiler.is_compiling():
        y: Tensor = _Normalize.apply(x, gamma, beta, inverse)[0]
        return y
    return _plain(x, gamma, beta, inverse)


def _plain(x: Tensor, gamma: Tensor, beta: Tensor, inverse: bool) -> Tensor:
    return x * _root(_mix(x * x, gamma, beta), inverse)


def _mix(x: Tensor, gamma: Tensor, beta: Tensor | None = None) -> Tensor:
    return functional.conv2d(x, gamma[:, :, None, None], beta)


def _root(energy: Tensor, inverse: bool) -> Tensor:
    return energy.sqrt() if inverse else energy.rsqrt()


class _Normalize(torch.autograd.Function):
    """The same by parts of a few pictures, and the root for backward, whose first order is by parts too."""

    @staticmethod
    def forward(x: Tensor, gamma: Tensor, beta: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        y, roots = torch.empty_like(x), torch.empty_like(x)
        size = _size(x)
        squares = x.new_empty(size, x.shape[1], x[0, 0].numel())
        weights = gamma.expand(size, -1, -1)
        for part, root, out in zip(*(_parts(t, size) for t in (x, roots, y)), strict=True):
            n = len(part)
            torch.baddbmm(beta[:, None], weights[:n], torch.mul(part, part, out=squares[:n]), out=root)
            torch.mul(part, root.sqrt_() if inverse else root.rsqrt_(), out=out)
        return y, roots

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, bool], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.inverse = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*tensors, output[1])
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, Tensor, None]:
        x, gamma, beta, roots = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated in its turn
            back = torch.func.vjp(partial(_plain, inverse=ctx.inverse), x, gamma, beta)[1]
            return (*back(grad), None)
        return (*_backward(x, gamma, roots, grad.contiguous(), ctx.inverse), None)

    @staticmethod
    def jvp(
        ctx: Any, x_dot: Tensor | None, gamma_dot: Tensor | None, beta_dot: Tensor | None, _: None
    ) -> tuple[Tensor, None]:
        x, gamma, beta = ctx.saved_tensors[:3]
        root = _root(_mix(x * x, gamma, beta), ctx.inverse)
        # The root's derivative in the energy, e^(1/2) / (2 e) or -e^(-1/2) / (2 e), times x.
        slope = x * (0.5 / root if ctx.inverse else -0.5 * root**3)
        moved = torch.zeros_like(x)
        if x_dot is not None:
            moved = moved + x_dot * root + slope * _mix(2 * x * x_dot, gamma)
        if gamma_dot is not None:
            moved = moved + slope * _mix(x * x, gamma_dot)
        return (moved if beta_dot is None else moved + slope * beta_dot[:, None, None]), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        y: Tensor = torch.vmap(_plain, in_dims)(*inputs)
        return (y, y.detach()), (0, 0)  # the root is for a backward that does not come: the plain form has its own


def _backward(x: Tensor, gamma: Tensor, roots: Tensor, grad: Tensor, inverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients in x, gamma and beta.

    With t = dL/d(root) d(root)/d(energy), of which the constant factor is left to the end,

        dL/dx = grad root + 2 x gamma' t,    dL/dgamma = sum over pixels of t (x^2)',    dL/dbeta = sum of t.
    """
    x_grad, gamma_grad, beta_grad = torch.empty_like(x), torch.zeros_like(gamma), gamma.new_zeros(len(gamma))
    half, size = 0.5 if inverse else -0.5, _size(x)
    back = (2 * half * gamma.T).expand(size, -1, -1)
    # What the parts need stays where it is, in the cache.
    first, second = x.new_empty(2, size, x.shape[1], x[0, 0].numel())
    for part, root, above, out in zip(*(_parts(t, size) for t in (x, roots, grad, x_grad)), strict=True):
        n = len(part)
        t = torch.mul(above, part, out=first[:n])
        if inverse:
            t.div_(root)
        else:
            t.mul_(torch.mul(root, root, out=second[:n])).mul_(root)
        beta_grad.add_(t.sum((0, 2)))
        gamma_grad.addbmm_(t, torch.mul(part, part, out=second[:n]).transpose(1, 2))
        torch.mul(above, root, out=out).addcmul_(torch.bmm(back[:n], t, out=second[:n]), part)
    return x_grad, half * gamma_grad, half * beta_grad


def _size(x: Tensor) -> int:
    return min(max(_NUMBERS // x[0].numel(), 1), len(x))


def _parts(x: Tensor, size: int) -> tuple[Tensor, ...]:
    """Return views of a few pictures each, ``(k, channels, H W)``."""
    return x.flatten(2).split(size)


class GDN(nn.Module):
    """Generalized divisive normalization across channels, or the multiplication that decoders have in its place.

    y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2) at each pixel; with `inverse`, y_i = x_i sqrt(...).

    The learned parameters are square roots, so that gamma >= 0 and beta >= 10^-6 whatever the optimizer does.

    Parameters
    ----------
    channels : int
        Number of channels.
    inverse : bool
        Whether to multiply.

    References
    ----------
    Ballé, Laparra, Simoncelli, "Density modeling of images using a generalized normalization transformation",
    ICLR 2016.

    Examples
    --------
    >>> import torch
    >>> from radogaga import GDN
    >>> GDN(1)(torch.tensor([[[[0.0, 1.0, 10.0]]]])).detach()
    tensor([[[[0.0000, 0.9535, 3.0151]]]])
    """

    _LEAST_BETA = 1e-6
    # Gradients of a square vanish at 0: entries off the diagonal start beside it.
    _BESIDE_ZERO = 2.0**-18

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.inverse = inverse
        self.root_beta = nn.Parameter(torch.ones(channels))
        self.root_gamma = nn.Parameter((0.1 * torch.eye(channels)).sqrt().clamp_min(self._BESIDE_ZERO))

    @property
    def beta(self) -> Tensor:
        """The constants, ``(channels,)``."""
        return self.root_beta.square() + self._LEAST_BETA

    @property
    def gamma(self) -> Tensor:
        """The weights of each channel's (row's) neighbours, ``(channels, channels)``."""
        return self.root_gamma.square()

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized channels, ``(B, channels, H, W)`` to the same, in the same memory format."""
        return normalize(x, self.gamma, self.beta, inverse=self.inverse)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.channels}, inverse=True" if self.inverse else f"{self.channels}"

