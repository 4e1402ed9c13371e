"""Generalized divisive normalization as one operation, which on a CPU reads its input once instead of ten times."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Numbers of one part, few enough for a core's cache.
_PART_SIZE = 2**17


def normalize(x: Tensor, gamma: Tensor, beta: Tensor, *, inverse: bool) -> Tensor:
    """Return x_i / sqrt(beta_i + sum_j gamma_ij x_j^2) at each pixel, or x_i times that with `inverse`.

    It supports backward and forward mode of any order and the transforms of `torch.func`.

    Parameters
    ----------
    x : Tensor
        Channels, ``(B, channels, H, W)``.
    gamma : Tensor
        Weights, ``(channels, channels)``.
    beta : Tensor
        Constants, ``(channels,)``.
    inverse : bool
        Whether to multiply instead of divide.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.networks.gdn import normalize
    >>> normalize(torch.full((1, 1, 1, 2), 3.0), torch.ones(1, 1), torch.tensor([16.0]), inverse=False)
    tensor([[[[0.6000, 0.6000]]]])
    """
    power = 0.5 if inverse else -0.5
    by_parts = x.device.type == "cpu" and x.dtype == gamma.dtype and x.is_contiguous() and x.numel() > 0
    if by_parts and not torch.compiler.is_compiling():
        y: Tensor = _Normalize.apply(x, gamma, beta, power)[0]
        return y
    return _plain(x, gamma, beta, power)


def _plain(x: Tensor, gamma: Tensor, beta: Tensor, power: float) -> Tensor:
    """Return x energy^power, with the energy beta_i + sum_j gamma_ij x_j^2 and a power of 1/2 or -1/2."""
    # On a GPU automatic mixed precision takes roots in 32 bits; the next layer is to read no more than x has.
    return x * _root(_mix(x * x, gamma, beta), power).to(x.dtype)


def _mix(x: Tensor, gamma: Tensor, beta: Tensor | None = None) -> Tensor:
    return functional.conv2d(x, gamma[:, :, None, None], beta)


def _root(energy: Tensor, power: float) -> Tensor:
    return energy.sqrt() if power > 0 else energy.rsqrt()


class _Normalize(torch.autograd.Function):
    """Normalization of a few pictures at a time, forward and backward, which keeps the roots for the backward pass."""

    @staticmethod
    def forward(x: Tensor, gamma: Tensor, beta: Tensor, power: float) -> tuple[Tensor, Tensor]:
        y, roots = torch.empty_like(x), torch.empty_like(x)
        size = _size(x)
        squares = x.new_empty(size, x.shape[1], x[0, 0].numel())
        weights = gamma.expand(size, -1, -1)
        for part, root, out in zip(*(_parts(t, size) for t in (x, roots, y)), strict=True):
            n = len(part)
            torch.baddbmm(beta[:, None], weights[:n], torch.mul(part, part, out=squares[:n]), out=root)
            torch.mul(part, root.sqrt_() if power > 0 else root.rsqrt_(), out=out)
        return y, roots

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, float], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.power = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*tensors, output[1])
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, Tensor, None]:
        x, gamma, beta, roots = ctx.saved_tensors
        if torch.is_grad_enabled():  # for derivatives of the gradient
            back = torch.func.vjp(partial(_plain, power=ctx.power), x, gamma, beta)[1]
            return (*back(grad), None)
        return (*_backward(x, gamma, roots, grad.contiguous(), ctx.power), None)

    @staticmethod
    def jvp(
        ctx: Any, x_dot: Tensor | None, gamma_dot: Tensor | None, beta_dot: Tensor | None, _: None
    ) -> tuple[Tensor, None]:
        x, gamma, beta = ctx.saved_tensors[:3]
        root = _root(_mix(x * x, gamma, beta), ctx.power)
        # The root's derivative in the energy, e^(1/2) / (2 e) or -e^(-1/2) / (2 e), times x.
        slope = x * (0.5 / root if ctx.power > 0 else -0.5 * root**3)
        moved = torch.zeros_like(x)
        if x_dot is not None:
            moved = moved + x_dot * root + slope * _mix(2 * x * x_dot, gamma)
        if gamma_dot is not None:
            moved = moved + slope * _mix(x * x, gamma_dot)
        return (moved if beta_dot is None else moved + slope * beta_dot[:, None, None]), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        y: Tensor = torch.vmap(_plain, in_dims)(*inputs)
        return (y, y.detach()), (0, 0)  # the plain form has a backward pass of its own


def _backward(x: Tensor, gamma: Tensor, roots: Tensor, grad: Tensor, power: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients in x, gamma and beta.

    With t = dL/d(root) d(root)/d(energy) without its constant factor, the power,

        dL/dx = grad root + 2 x gamma' t,    dL/dgamma = sum over pixels of t (x^2)',    dL/dbeta = sum of t.
    """
    x_grad, gamma_grad, beta_grad = torch.empty_like(x), torch.zeros_like(gamma), gamma.new_zeros(len(gamma))
    size = _size(x)
    back = (2 * power * gamma.T).expand(size, -1, -1)
    # Buffers that all parts share stay in the cache.
    first, second = x.new_empty(2, size, x.shape[1], x[0, 0].numel())
    for part, root, above, out in zip(*(_parts(t, size) for t in (x, roots, grad, x_grad)), strict=True):
        n = len(part)
        t = torch.mul(above, part, out=first[:n])
        if power > 0:
            t.div_(root)
        else:
            t.mul_(torch.mul(root, root, out=second[:n])).mul_(root)
        beta_grad.add_(t.sum((0, 2)))
        gamma_grad.addbmm_(t, torch.mul(part, part, out=second[:n]).transpose(1, 2))
        torch.mul(above, root, out=out).addcmul_(torch.bmm(back[:n], t, out=second[:n]), part)
    return x_grad, power * gamma_grad, power * beta_grad


def _size(x: Tensor) -> int:
    return min(max(_PART_SIZE // x[0].numel(), 1), len(x))


def _parts(x: Tensor, size: int) -> tuple[Tensor, ...]:
    """Return views of a few pictures each, ``(k, channels, H W)``."""
    return x.flatten(2).split(size)


class GDN(nn.Module):
    """Generalized divisive normalization across channels, or the multiplication that decoders use instead.

    y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2) at each pixel; with `inverse`, y_i = x_i sqrt(...).

    The parameters are square roots, so that gamma >= 0 and beta >= 10^-6 always.

    Parameters
    ----------
    channels : int
        Number of channels.
    inverse : bool
        Whether to multiply instead of divide.

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

    _MIN_BETA = 1e-6
    # Entries off the diagonal do not start at 0, where the gradient of a square vanishes.
    _MIN_ROOT = 2.0**-18

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.inverse = inverse
        self.root_beta = nn.Parameter(torch.ones(channels))
        self.root_gamma = nn.Parameter((0.1 * torch.eye(channels)).sqrt().clamp_min(self._MIN_ROOT))

    @property
    def beta(self) -> Tensor:
        """The constants, ``(channels,)``."""
        return self.root_beta.square() + self._MIN_BETA

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
