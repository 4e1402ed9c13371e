"""The Gram matrix J' A J of a decoder's Jacobian under a distortion's metric: whole, or along some directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from radogaga._utils.batching import rows_in_memory
from radogaga.method.distortions.distortion import Distortion, products
from radogaga.method.training.distributed import random_rows

_MIN_SQUARE = 1e-30


def jacobian(decode: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Return decoded rows ``(B, ...)`` and the decoder's Jacobian columns J e_j, ``(N, B, ...)``.

    One forward-mode derivative for each latent, all in one batch: no row's derivative depends on another's.
    """
    basis = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    tangents = vmap(lambda direction: jvp(decode, (z,), (direction.expand_as(z),))[1])(basis)
    return decode(z), tangents


def gram(decode: Callable[[Tensor], Tensor], distortion: Distortion, z: Tensor, *, max_numbers: int = 2**24) -> Tensor:
    """Return J' A J, A at the decoded point: ``(B, N) -> (B, N, N)``.

    A J e_j is the gradient of u' A J e_j in u: one for each latent, not one inner product for each pair of latents.

    Parameters
    ----------
    decode : callable
        ``(B, N) -> (B, ...)``.
    distortion : Distortion
        The metric A.
    z : Tensor
        Latents.
    max_numbers : int
        Numbers in the Jacobians of one step: a long batch is split, so that Jacobians of pictures fit into memory.

    Examples
    --------
    >>> import torch
    >>> from radogaga import SquaredError, gram
    >>> gram(lambda z: 2 * z, SquaredError(), torch.zeros(1, 2))
    tensor([[[4., 0.],
             [0., 4.]]])
    """
    numbers = z.shape[1] * decode(z[:1]).numel()
    parts = z.split(rows_in_memory(numbers, budget=max_numbers))
    return torch.cat([distortion.gram(*jacobian(decode, part)) for part in parts])


def isometry_penalty(
    decode: Callable[[Tensor], Tensor], distortion: Distortion, z: Tensor, constant: float = 1.0, *, directions: int = 4
) -> Tensor:
    """Return how far the Gram matrix is from isometry along K random directions at each latent, ``(B, N) -> (B,)``.

    With E = c J' A J - I and independent normal v_i it is the mean of (v_i' E v_j)^2 over all pairs, a direction with
    itself included. Its expectation is (1 + 1 / K) |E|^2 + (tr E)^2 / K: the squared Frobenius norm, and the squared
    error of log det of c J' A J, a density's volume factor. It takes one forward-mode derivative for each direction
    instead of one for each latent, and is differentiable.

    Parameters
    ----------
    decode : callable
        ``(B, N) -> (B, ...)``.
    distortion : Distortion
        The metric A.
    z : Tensor
        Latents.
    constant : float
        c: J' A J times this is the identity of an isometry.
    directions : int
        K, sampled from torch's global random state.

    Examples
    --------
    >>> import torch
    >>> from radogaga import SquaredError
    >>> from radogaga.method.jacobians import isometry_penalty
    >>> _ = torch.manual_seed(0)
    >>> isometry_penalty(lambda z: 2 * z, SquaredError(), torch.zeros(2, 3), constant=0.25)
    tensor([0., 0.])
    """
    v = random_rows(torch.randn_like, z.new_empty(directions, *z.shape), dim=1)

    def push(direction: Tensor) -> Any:
        return jvp(decode, (z,), (direction,))

    decoded, tangents = vmap(push, out_dims=(None, 0), randomness="same")(v)  # type: ignore[arg-type]
    # Under mixed precision only the networks compute in 16 bits.
    with torch.autocast(z.device.type, enabled=False):
        grams = distortion.gram(decoded.to(z.dtype), tangents.to(z.dtype))
        return (constant * grams - products(v, v)).square().mean((1, 2))


def gauss_newton_step(decode: Callable[[Tensor], Tensor], s: Tensor, z: Tensor) -> Tensor:
    """Return latents one Gauss-Newton step nearer to given rows, ``(B, ...), (B, N) -> (B, N)``.

    With the descent direction d = J' (s - g(z)) it is z + d |d|^2 / |J d|^2, the best step for a linear decoder. Where
    J' J is a multiple of the identity, as under isometry with squared error, this is the full Gauss-Newton step: the
    projection onto the decoder's tangent space.

    Parameters
    ----------
    decode : callable
        g, ``(B, N) -> (B, ...)``.
    s : Tensor
        Rows.
    z : Tensor
        Their latents, as an encoder gives them.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.jacobians import gauss_newton_step
    >>> gauss_newton_step(lambda z: 3 * z, torch.tensor([[3.0, 6.0]]), torch.zeros(1, 2))
    tensor([[1., 2.]])
    """
    decoded, pull = vjp(decode, z)  # type: ignore[misc]
    (descent,) = pull((s - decoded).to(decoded.dtype))
    along = jvp(decode, (z,), (descent,))[1].flatten(1).square().sum(1)
    moves = along > _MIN_SQUARE  # the others have converged
    step = torch.where(moves, descent.square().sum(1) / along.where(moves, torch.ones_like(along)), 0)
    return z + step[:, None] * descent
