"""Distortions D(x, y) and the local metric A(x) that each of them implies.

Near the diagonal a distortion is a quadratic form, D(x, x + d) = d' A(x) d + o(|d|^2). The method only ever needs
A through products u' A(x) v, so the matrix A itself is never built.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad, jvp, vmap


class Distortion(ABC):
    """A per-sample distortion with its local metric."""

    @abstractmethod
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return D(x, y) for each row: ``(B, ...), (B, ...) -> (B,)``."""

    @abstractmethod
    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return u' A(x) v for each row: three tensors of x's shape ``-> (B,)``."""

    def gram(self, x: Tensor, directions: Tensor) -> Tensor:
        """Return u_i' A(x) u_j of some directions for each row: ``(B, ...), (K, B, ...) -> (B, K, K)``.

        A u_j is the gradient of u' A u_j in u: one for each direction, not one inner product for each pair.
        """

        def metric_times(v: Tensor) -> Tensor:
            return grad(lambda u: self.inner(x, u, v).sum())(v)

        return products(directions, vmap(metric_times)(directions))


def products(u: Tensor, v: Tensor) -> Tensor:
    """Return the Euclidean inner products of each row's directions, ``(K, B, ...), (L, B, ...) -> (B, K, L)``."""
    return torch.einsum("ibm,jbm->bij", u.flatten(2), v.flatten(2))


@dataclass(frozen=True)
class SquaredError(Distortion):
    """Squared error, D(x, y) = sum_i (x_i - y_i)^2, whose metric is the identity.

    Examples
    --------
    >>> import torch
    >>> from radogaga import SquaredError
    >>> x, u = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]])
    >>> SquaredError()(x, u), SquaredError().inner(x, u, u)
    (tensor([25.]), tensor([25.]))
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the squared distance of each row."""
        return (x - y).square().flatten(1).sum(1)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return the Euclidean inner product of each row."""
        return (u * v).flatten(1).sum(1)

    def gram(self, x: Tensor, directions: Tensor) -> Tensor:
        """Return the Euclidean inner products of some directions for each row."""
        return products(directions, directions)


@dataclass(frozen=True)
class CrossEntropy(Distortion):
    """Excess cross entropy of independent Bernoulli features, in nats.

    D(x, y) = sum_i x_i log(x_i / y_i) + (1 - x_i) log((1 - x_i) / (1 - y_i)): the binary cross entropy less its
    minimum, so that D(x, x) = 0. Its metric is diagonal, A(x)_ii = 1 / (2 x_i (1 - x_i)).

    Parameters
    ----------
    margin : float
        Features are kept within [margin, 1 - margin], which bounds D and A where x or y touches 0 or 1.

    Examples
    --------
    >>> import torch
    >>> from radogaga import CrossEntropy
    >>> x, u = torch.full((1, 1), 0.5), torch.ones(1, 1)
    >>> CrossEntropy().inner(x, u, u)
    tensor([2.])
    """

    margin: float = 1e-4

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the excess cross entropy of each row."""
        x, y = self._inside(x), self._inside(y)
        return (x * (x / y).log() + (1 - x) * ((1 - x) / (1 - y)).log()).flatten(1).sum(1)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return sum_i u_i v_i / (2 x_i (1 - x_i)) for each row."""
        x = self._inside(x)
        return (u * v / (2 * x * (1 - x))).flatten(1).sum(1)

    def _inside(self, x: Tensor) -> Tensor:
        return x.clamp(self.margin, 1 - self.margin)


@dataclass(frozen=True)
class Autodiff(Distortion):
    """Any twice differentiable function of two batches as a distortion, its metric by automatic differentiation.

    A(x) is half the Hessian of y -> D(x, y) at y = x; u' A(x) v takes one forward-mode derivative of one gradient.

    Parameters
    ----------
    function : callable
        ``(B, ...), (B, ...) -> (B,)``, at its minimum 0 where its arguments are equal, row by row.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autodiff
    >>> quartic = Autodiff(lambda x, y: ((x - y) ** 2 + (x - y) ** 4).sum(1))
    >>> x, u = torch.ones(1, 2), torch.tensor([[3.0, 4.0]])
    >>> quartic.inner(x, u, u)
    tensor([25.])
    """

    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the function's value for each row."""
        return self.function(x, y)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return half of u' H v, H the Hessian in the second argument at x."""

        def gradient(y: Tensor) -> Tensor:
            return grad(lambda point: self.function(x, point).sum())(y)

        hessian_v = jvp(gradient, (x,), (v,))[1]
        return 0.5 * (u * hessian_v).flatten(1).sum(1)
