"""Scores of training rows under the density of all other rows: where rows are few, these calibrate, too."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from radogaga.method.density.density import Projection
from radogaga.method.density.two_scale import TwoScaleDensity
from radogaga.method.priors.kernel_density import KernelDensity
from radogaga.tabular.categorical import CategoricalDensity
from radogaga.tabular.category_table import CategoryTable, Codes
from radogaga.tabular.density_fit import coarse_prior, residual_growth
from radogaga.tabular.model import TabularModel
from radogaga.tabular.standardize import Array


class _Centres(NamedTuple):
    """What the centres of a kernel density are to some rows.

    Attributes
    ----------
    log_prob : Tensor
        Log density of each row's latents under the other rows, ``(B,)``.
    log_share : Tensor
        Log share of each centre in it, ``(B, C)``.
    share : Tensor
        Share of each centre in the density of all rows, ``(B, C)``.
    """

    log_prob: Tensor
    log_share: Tensor
    share: Tensor


@torch.no_grad()
def left_out_scores(model: TabularModel, rows: Array, clipped: Tensor, held_out: Tensor | None) -> Array:
    """Return the scores that training rows would have if they had not been trained on, nearly, ``(n,)``.

    Each row's own part in the kernel density and in the counts of categories is taken out, and its residual made as
    large as those of new rows are. The autoencoder, the bandwidth and the mixtures stay as all rows made them.

    Parameters
    ----------
    model : TabularModel
        A model without calibration.
    rows : ndarray
        The first of its training rows, numbers and codes side by side.
    clipped : Tensor
        All training rows as they were trained on, standardised and outliers clipped.
    held_out : Tensor, optional
        The rows that training was stopped by, likewise.
    """
    x, codes = model.unpack(rows)
    score, log_share, share = np.zeros(len(x)), np.zeros((len(x), 1)), np.ones((len(x), 1))
    if (density := model.density) is not None:
        coarse = density.coarse if isinstance(density, TwoScaleDensity) else density
        kernel, autoencoder = coarse_prior(density), coarse.model.autoencoder
        assert kernel is not None
        s = torch.as_tensor(model.standardizer.transform(x)).to(density.device)
        place = autoencoder.encode(clipped[: len(x)].to(s))
        z, residual = coarse.project(s)
        growth = residual_growth(autoencoder, clipped.to(s), held_out, is_pca=not model.history.step)
        rows_seen = len(clipped) + (0 if held_out is None else len(held_out))
        centres = _without_own(kernel, z, place, rows_seen)
        joint = density.log_joint(Projection(z, residual * growth), known={kernel: centres.log_prob})
        joint = joint + coarse.log_volume(z, "isometric") + autoencoder.scaling.log_volume(s)
        score = joint.cpu().numpy() + model.standardizer.log_volume
        log_share, share = centres.log_share.cpu().numpy(), centres.share.cpu().numpy()
    if model.categorical is None:
        return score
    return score + _left_out_codes(model.categorical, codes, log_share, share)


def _without_own(kernel: KernelDensity, z: Tensor, place: Tensor, rows: int) -> _Centres:
    """Return the centres for latents z of rows that were fitted to `rows` latents, among them `place`.

    A centre is the mean of a cluster. Taking a row out of its cluster moves the mean and narrows the variance; a row
    that was alone leaves no centre.
    """
    centres, variance = kernel.centres, kernel.bandwidth.square() + kernel.within_variance
    logits = _logits(z, centres, variance, kernel.log_weights)
    own = torch.cdist(place, centres).argmin(1)
    count = kernel.log_weights.exp()[own] * rows
    left = (count - 1).round().clamp_min(0)  # whole numbers, but for rounding
    off = place - centres[own]
    moved = centres[own] - off / left.clamp_min(1)[:, None]
    within = (kernel.within_variance[own] - off.square().mean(1) / left.clamp_min(1)).clamp_min(0) * count / left
    narrowed = kernel.bandwidth.square() + torch.where(left > 0, within, torch.zeros_like(within))
    own_logit = _log_normal((z - moved).square().sum(1), narrowed, kernel.latents) + (left / rows).log()
    others = logits.scatter(1, own[:, None], own_logit[:, None])
    log_prob = others.logsumexp(1)
    return _Centres(log_prob - math.log1p(-1 / rows), others - log_prob[:, None], logits.softmax(1))


def _logits(z: Tensor, centres: Tensor, variance: Tensor, log_weights: Tensor) -> Tensor:
    squares = torch.cdist(z, centres, compute_mode="donot_use_mm_for_euclid_dist").square()
    return _log_normal(squares, variance, z.shape[1]) + log_weights


def _log_normal(squares: Tensor, variance: Tensor, latents: int) -> Tensor:
    return -0.5 * (squares / variance + latents * (2 * math.pi * variance).log())


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
