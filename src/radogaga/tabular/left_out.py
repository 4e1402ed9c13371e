"""Scores of training rows under a model of all other rows: they scale its parts, and calibrate it if rows are few."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from radogaga.method.density.density import Density
from radogaga.method.density.product import ProductOfExperts, ScaledPrior
from radogaga.method.priors.kernel_density import KernelDensity
from radogaga.method.priors.mixture import Mixture
from radogaga.method.rank_scaling import RankScaling
from radogaga.method.scaling import Scaling
from radogaga.tabular.categorical import CategoricalDensity
from radogaga.tabular.category_table import CategoryTable, Codes
from radogaga.tabular.density_fit import residual_growth
from radogaga.tabular.standardize import Array


@torch.no_grad()
def left_out_log_probs(ranking: ProductOfExperts, s: Tensor, fitted: Tensor, held_out: Tensor | None) -> Tensor:
    """Return each expert's log density of training rows as if it had not been fitted to them, nearly, ``(n, K)``.

    Each row's own part is taken out of the kernel densities and mixtures, and its residual made as large as those of
    new rows are. The autoencoders, the bandwidths and the scalings stay as all rows made them.

    Parameters
    ----------
    ranking : ProductOfExperts
        As `radogaga.tabular.density_fit.fit_densities` gives it.
    s : Tensor
        The first of the training rows, standardised, ``(n, M)``.
    fitted : Tensor
        All training rows as they were fitted to, outliers clipped.
    held_out : Tensor, optional
        The rows that training was stopped by, likewise.
    """
    s, fitted = (rows.to(ranking.centre) for rows in (s, fitted))
    rows = len(fitted) + (0 if held_out is None else len(held_out))
    columns = []
    for expert in ranking.experts:
        if isinstance(expert, ScaledPrior):
            assert isinstance(expert.prior, Mixture)
            scaled = expert.scaling(_left_out(expert.scaling, s, fitted)), expert.scaling(fitted[: len(s)])
            columns.append(expert.prior.left_out_log_prob(*scaled, rows))
            continue
        assert isinstance(expert, Density)
        autoencoder, kernel = expert.model.autoencoder, expert.model.prior
        assert isinstance(kernel, KernelDensity)
        z, residual = expert.project(_left_out(autoencoder.scaling, s, fitted))
        growth = residual_growth(autoencoder, fitted, held_out)
        log_prior = kernel.left_out_log_prob(z, autoencoder.encode(fitted[: len(s)]), rows)
        columns.append(log_prior + expert.residual.log_prob(residual * growth))
    return torch.stack(columns, 1)


def _left_out(scaling: Scaling, s: Tensor, fitted: Tensor) -> Tensor:
    """Return rows that are as extreme to a scaling as if it had not been fitted to them.

    Without its row, the largest value of a column is as far beyond all others as it is now beyond the second largest.
    """
    if not isinstance(scaling, RankScaling) or len(fitted) < 2:
        return s
    low, high = fitted.topk(2, dim=0, largest=False).values, fitted.topk(2, dim=0).values
    s = torch.where(s >= high[0], s + (high[0] - high[1]), s)
    return torch.where(s <= low[0], s - (low[1] - low[0]), s)


@torch.no_grad()
def left_out_codes(
    categorical: CategoricalDensity, codes: Codes, kernel: KernelDensity | None, z: Tensor, rows: int
) -> Array:
    """Return log P(k | z) of training rows' codes with each row's own part taken out of all counts, ``(n, J) -> (n,)``.

    `kernel` is the density of latents that was fitted to `rows` rows, among them z ``(n, N)``; None for no latents.
    """
    if kernel is None:
        return _left_out_codes(categorical, codes, np.zeros((len(codes), 1)), np.ones((len(codes), 1)))
    log_share = kernel.left_out_logits(z, z, rows).log_softmax(1).cpu().numpy()
    return _left_out_codes(categorical, codes, log_share, kernel.responsibility(z).cpu().numpy())


def _left_out_codes(categorical: CategoricalDensity, codes: Codes, log_share: Array, share: Array) -> Array:
    """Return log P(k | z) of training rows' codes ``(n, J)`` with each row's own part taken out of all counts."""
    joint, total = log_share, np.zeros(len(codes))
    for j, table in enumerate(categorical.tables):
        u = codes[:, table.parent] if table.parent >= 0 else np.zeros(len(codes), np.int64)
        probability = _left_out_probability(table, u, codes[:, j], share)
        # The row's value is new if no other row holds it.
        new = table.count[codes[:, j]] == 1
        with np.errstate(divide="ignore"):
            log_probability = np.log(probability) + np.log1p(-1 / categorical.rows)
        if table.is_local:
            joint = joint + np.where(new[:, None], -np.log(categorical.rows), log_probability)
        else:
            total += np.where(new, -np.log(categorical.rows), log_probability)
    return np.asarray(total + np.logaddexp.reduce(joint, axis=1))


def _left_out_probability(table: CategoryTable, u: Codes, v: Codes, share: Array) -> Array:
    """Return P(v | u) of training values without their own row, ``(B,)``, or at each centre, ``(B, C)``."""
    result: Array = (table.count[v] - 1) / max(table.count.sum() - 1, 1)
    place = np.searchsorted(table.pairs, u * len(table.count) + v)
    if np.isfinite(b := table.parent_strength):
        result = (table.pair_count[place] - 1 + b * result) / (table.parent_count[u] - 1 + b)
    if not table.is_local:
        return result
    pairs, parents = table.centre_pairs[place] - share, table.centre_parents[u] - share
    return np.asarray((pairs.clip(0) + table.strength * result[:, None]) / (parents.clip(0) + table.strength))
