"""Noise added to the latents: independent, mean zero, and aware of its own variance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from radogaga.method.training.distributed import random_rows


class Noise(Protocol):
    """Noise as the objective uses it: samples, and their variance and entropy."""

    @property
    def variance(self) -> float:
        """Variance of each coordinate, s2 in the paper."""

    @property
    def entropy(self) -> float:
        """Differential entropy of each coordinate, in nats."""

    def __call__(self, z: Tensor) -> Tensor:
        """Return noise of z's shape, type and device."""

    def scaled(self, factor: float) -> Noise:
        """Return noise of the same kind, wider by a factor."""


@dataclass(frozen=True)
class GaussianNoise:
    """Normal noise, e_j ~ N(0, std^2).

    Examples
    --------
    >>> from radogaga import GaussianNoise
    >>> GaussianNoise(std=0.5).variance
    0.25
    """

    std: float

    @property
    def variance(self) -> float:
        """Variance of each coordinate."""
        return self.std**2

    @property
    def entropy(self) -> float:
        """Differential entropy of each coordinate, log(2 pi e std^2) / 2 nats."""
        return 0.5 * math.log(2 * math.pi * math.e * self.variance)

    def __call__(self, z: Tensor) -> Tensor:
        """Return noise of z's shape, type and device."""
        return random_rows(torch.randn_like, z) * self.std

    def scaled(self, factor: float) -> GaussianNoise:
        """Return noise of the same kind, wider by a factor."""
        return GaussianNoise(factor * self.std)


@dataclass(frozen=True)
class UniformNoise:
    """Uniform noise, e_j ~ U(-width/2, width/2): the error of rounding to multiples of the width.

    Examples
    --------
    >>> from radogaga import UniformNoise
    >>> round(UniformNoise(width=1.0).variance, 4)
    0.0833
    """

    width: float = 1.0

    @property
    def variance(self) -> float:
        """Variance of each coordinate, width^2 / 12."""
        return self.width**2 / 12

    @property
    def entropy(self) -> float:
        """Differential entropy of each coordinate, log(width) nats."""
        return math.log(self.width)

    def __call__(self, z: Tensor) -> Tensor:
        """Return noise of z's shape, type and device."""
        return (random_rows(torch.rand_like, z) - 0.5) * self.width

    def scaled(self, factor: float) -> UniformNoise:
        """Return noise of the same kind, wider by a factor."""
        return UniformNoise(factor * self.width)
