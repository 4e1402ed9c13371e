"""Fully connected networks; any `torch.nn.Module` from ``(B, M)`` to ``(B, N)`` can take their place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from radogaga.method.training.distributed import is_shared, random_rows


class Dropout(nn.Dropout):
    """Dropout that drops the same of a batch however many workers share it."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a batch without a share of its numbers, in training mode."""
        if not (self.training and is_shared()):
            return super().forward(x)
        return x * random_rows(lambda rows: dropout(torch.ones_like(rows), self.p), x)


class MLP(nn.Sequential):
    """Fully connected layers with an activation between them and none after the last.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input, of each hidden layer and of the output.
    activation : type
        Class of the activation, called without arguments for each layer.
    dropout : float
        Share of the activations that is dropped in training, after each activation.

    Examples
    --------
    >>> from radogaga import MLP
    >>> MLP([16, 8, 3])
    MLP(
      (0): Linear(in_features=16, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=3, bias=True)
    )
    """

    def __init__(self, sizes: Sequence[int], activation: type[nn.Module] = nn.Tanh, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for width, following in pairwise(sizes):
            layers.append(nn.Linear(width, following))
            layers.append(activation())
            if dropout:
                layers.append(Dropout(dropout))
        super().__init__(*layers[: -2 if dropout else -1])
        self.sizes = list(sizes)
        self.activation = activation
        self.dropout = dropout


class ResidualMLP(nn.Module):
    """A linear map plus fully connected layers that start at zero, W x + b + h(x).

    A pair of these that starts as PCA is exactly isometric on the principal subspace before the first step.

    Parameters
    ----------
    inputs, outputs : int
        Width of the input and of the output.
    hidden : sequence of int
        Widths of the hidden layers of h.
    activation : type
        Class of h's activation.
    dropout : float
        Share of h's activations that is dropped in training.

    Examples
    --------
    >>> import torch
    >>> from radogaga import ResidualMLP
    >>> layer = ResidualMLP(16, 3)
    >>> x = torch.ones(1, 16)
    >>> torch.equal(layer(x), layer.linear(x))
    True
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (128, 128),
        activation: type[nn.Module] = nn.SiLU,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.hidden = list(hidden)
        self.activation = activation
        self.dropout = dropout
        self.linear = nn.Linear(inputs, outputs)
        self.correction = MLP([inputs, *hidden, outputs], activation, dropout)
        last = self.correction[-1]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    @property
    def is_linear(self) -> bool:
        """Whether h is zero, as before training."""
        last = self.correction[-1]
        return not any(parameter.any() for parameter in last.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b + h(x), ``(B, inputs) -> (B, outputs)``."""
        out: Tensor = self.linear(x) + self.correction(x)
        return out
