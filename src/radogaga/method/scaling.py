"""Scaling as the first layer of a model, so that what is saved, exported and served takes raw rows."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn


class Scaling(nn.Module):
    """A linear map of each feature, s = (x - shift) / factor.

    A new scaling is the identity; the class methods fit shift and factor to training rows.

    Parameters
    ----------
    features : int
        Number of features.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Scaling
    >>> x = torch.tensor([[0.0, 10.0], [2.0, 30.0]])
    >>> Scaling.min_max(x)(x)
    tensor([[0., 0.],
            [1., 1.]])
    >>> scaling = Scaling.root_mean_square(x)
    >>> torch.allclose(scaling.inverse(scaling(x)), x)
    True
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("shift", torch.zeros(features))
        self.register_buffer("factor", torch.ones(features))

    @classmethod
    def root_mean_square(cls, x: Tensor) -> Self:
        """Centre each feature and divide all by one number, the rows' root mean square distance from the centre."""
        centre = x.mean(0)
        return cls._from_parameters(centre, (x - centre).square().sum(1).mean().sqrt().expand(x.shape[1]))

    @classmethod
    def standard(cls, x: Tensor) -> Self:
        """Centre each feature and divide it by its standard deviation; a constant feature is only centred."""
        return cls._from_parameters(x.mean(0), x.std(0, correction=0))

    @classmethod
    def min_max(cls, x: Tensor) -> Self:
        """Map each feature's range to [0, 1]; a constant feature becomes 0."""
        low, high = x.aminmax(dim=0)
        return cls._from_parameters(low, high - low)

    @classmethod
    def ranges(cls, x: Tensor) -> Self:
        """Centre each feature, divide it by its range, and all by one number that makes their mean variance 1.

        Features with long tails get less weight than if divided by their standard deviations.
        """
        low, high = x.aminmax(dim=0)
        spans = high - low
        in_spans = x.std(0, correction=0)[spans > 0] / spans[spans > 0]
        return cls._from_parameters(x.mean(0), spans * in_spans.square().mean().sqrt().nan_to_num(1.0))

    @classmethod
    def global_min_max(cls, x: Tensor) -> Self:
        """Map the range of all features together to [0, 1], by one shift and one factor."""
        low, high = x.aminmax()
        return cls._from_parameters(low.expand(x.shape[1]), (high - low).expand(x.shape[1]))

    @classmethod
    def _from_parameters(cls, shift: Tensor, factor: Tensor) -> Self:
        scaling = cls(len(shift))
        scaling.shift.copy_(shift)
        scaling.factor.copy_(torch.where(factor > 0, factor, torch.ones_like(factor)))
        return scaling

    @property
    def uniform(self) -> bool:
        """Whether all features share one factor, so that the map preserves angles."""
        return bool((self.factor == self.factor[0]).all())

    def forward(self, x: Tensor) -> Tensor:
        """Return scaled rows, ``(B, M) -> (B, M)``, in the model's precision."""
        return (x.to(self.shift.dtype) - self.shift) / self.factor

    def inverse(self, s: Tensor) -> Tensor:
        """Return rows in their own units, ``(B, M) -> (B, M)``."""
        return s * self.factor + self.shift

    def log_volume(self, x: Tensor) -> Tensor:
        """Return log |det ds/dx| of raw rows, ``(B, M) -> (B,)``: log p(x) = log p(s) + log |det ds/dx|."""
        return -self.factor.log().sum().expand(len(x))


class AsinhScaling(Scaling):
    """A map of each feature that shortens long tails, s = asinh((x - shift) / factor) / spread.

    asinh is about linear within one factor of the shift, and logarithmic beyond.

    Parameters
    ----------
    features : int
        Number of features.

    Examples
    --------
    >>> import torch
    >>> from radogaga import AsinhScaling
    >>> x = torch.tensor([[0.0], [1.0], [2.0], [1e6]])
    >>> scaling = AsinhScaling.standard(x)
    >>> bool(scaling(x).max() < 2), torch.allclose(scaling.inverse(scaling(x)), x, atol=0.1)
    (True, True)
    """

    spread: Tensor

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.register_buffer("spread", torch.ones(features))

    @classmethod
    def standard(cls, x: Tensor) -> Self:
        """Standardise each feature, apply asinh, and divide by the standard deviation of the result."""
        scaling = super().standard(x)
        spread = scaling(x).std(0, correction=0)
        scaling.spread.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))
        return scaling

    @property
    def uniform(self) -> bool:
        """False: the map is not linear."""
        return False

    def forward(self, x: Tensor) -> Tensor:
        """Return scaled rows, ``(B, M) -> (B, M)``, in the model's precision."""
        return super().forward(x).asinh() / self.spread

    def inverse(self, s: Tensor) -> Tensor:
        """Return rows in their own units, ``(B, M) -> (B, M)``."""
        return super().inverse((s * self.spread).sinh())

    def log_volume(self, x: Tensor) -> Tensor:
        """Return log |det ds/dx| of raw rows, ``(B, M) -> (B,)``: log p(x) = log p(s) + log |det ds/dx|."""
        s = super().forward(x)
        # The derivative of asinh is 1 / sqrt(1 + s^2); hypot does not overflow where s^2 would.
        return super().log_volume(x) - self.spread.log().sum() - torch.hypot(s, torch.ones_like(s)).log().sum(1)
