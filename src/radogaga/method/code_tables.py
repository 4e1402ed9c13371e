"""Probabilities of quantized latents, as a range coder takes them."""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from radogaga._utils.batching import rows_in_memory
from radogaga.errors import InputError
from radogaga.method.objective import RateDistortion
from radogaga.method.prior_features import LatentFeatures

# The coder's probabilities are multiples of 2^-24; latents far rarer than that are escaped: written in full.
_TAIL = 24 * math.log(2)
_MAX_BINS = 2**15
_UNIT = 2.0**24


@runtime_checkable
class Independent(Protocol):
    """A prior of independent latents with cumulative distributions c_j, as compression needs it."""

    def cumulative_logit(self, z: Tensor) -> Tensor:
        """Return log c_j(z_j) - log(1 - c_j(z_j)), ``(B, N) -> (B, N)``, exact in both tails."""


@dataclass(frozen=True)
class CodeTables:
    """For each latent the number of its first bin, and the probabilities of the escape symbol and of all bins."""

    first: NDArray[np.int64]
    probabilities: list[NDArray[np.float64]]

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        return iter(self.probabilities)

    def symbols(self, bins: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return 1 + the index of the bin in the latent's table, or 0 for the escape symbol, ``(n, N) -> (n, N)``."""
        index = bins - self.first
        inside = (index >= 0) & (index < [len(table) - 1 for table in self])
        return np.where(inside, index + 1, 0).astype(np.int32)

    def bins(self, symbols: NDArray[np.int32], escaped: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bins of symbols, the inverse of `symbols`."""
        bins = (symbols - 1 + self.first).astype(np.float64)
        bins[symbols == 0] = escaped
        return bins

    def checksum(self) -> int:
        """Return a checksum by which tables of another model, or of another machine, are told."""
        return zlib.crc32(np.concatenate([self.first, *self.probabilities]).tobytes())


def code_tables(model: RateDistortion, step: float) -> CodeTables:
    """Return the code tables of a model's latents in multiples of a step.

    Raises
    ------
    InputError
        If its prior is not one of independent latents.
    """
    prior = _exact_prior(model)
    low, centre, high = (_bin_at(prior, model.autoencoder.latents, step, logit) for logit in (-_TAIL, 0.0, _TAIL))
    low, high = low.maximum(centre - _MAX_BINS // 2), high.minimum(centre + _MAX_BINS // 2)
    counts = (high - low + 1).long()
    bins = low + torch.arange(int(counts.max()), dtype=torch.float64)[:, None]
    parts = bins.split(rows_in_memory(bins.shape[1]))
    inside = torch.cat([_log_probability(prior, part, step).exp() for part in parts])
    # Whole units, so that encoder and decoder agree even if the last bits of their exponentials do not.
    units = (inside.T * _UNIT).round().clamp_min(1).numpy()
    return CodeTables(
        low.long().numpy(),
        [np.concatenate([[1 + max(_UNIT - row[:n].sum(), 0)], row[:n]]) for row, n in zip(units, counts, strict=True)],
    )


def _bin_at(prior: Independent, latents: int, step: float, logit: float) -> Tensor:
    """Return the bin in which each latent's cumulative logit reaches a value, ``(N,)``, by bisection."""
    low, high = torch.full((2, latents), 2.0**40, dtype=torch.float64) * torch.tensor([[-1.0], [1.0]])
    for _ in range(42):
        middle = ((low + high) / 2).floor()
        above = prior.cumulative_logit(((middle + 0.5) * step)[None])[0] > logit
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return high


def _log_probability(prior: Independent, bins: Tensor, step: float) -> Tensor:
    """Return log P(k) of each bin, ``(B, N) -> (B, N)``.

    With the cumulative logits a and b of the bin's two ends, P = sigmoid(b) sigmoid(-a) (1 - exp(a - b)): a product, in
    which nothing cancels even in the far tails.
    """
    a, b = (prior.cumulative_logit((bins + side) * step) for side in (-0.5, 0.5))
    return functional.logsigmoid(b) + functional.logsigmoid(-a) + (-(a - b).expm1()).log()


def _exact_prior(model: RateDistortion) -> Independent:
    """Return the prior in 64 bits on the CPU, where its results are repeatable."""
    prior = copy.deepcopy(model.prior).double().cpu().requires_grad_(requires_grad=False)
    if not isinstance(model.prior_features, LatentFeatures):
        raise InputError("Expected a prior of independent latents; got one that sees the residual, too.")
    if not isinstance(prior, Independent):
        raise InputError(
            f"Expected a prior of independent latents; got {type(prior).__name__}. Train the model with Factorized."
        )
    return prior
