"""How isometric an embedding is: Gram matrices, inner products of tangent vectors, variances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad

from radogaga._utils.linalg import pearson
from radogaga.method.jacobians import gram
from radogaga.method.objective import RateDistortion
from radogaga.method.priors.prior import Prior
from radogaga.method.training.data import map_rows

_PAIRS = 10


@dataclass(frozen=True)
class Isometry:
    """How close 2 l2 s2 J' A J is to the identity over a sample of rows, and the diagonal that theory predicts.

    Attributes
    ----------
    diag_mean, diag_sd : float
        Mean and standard deviation of the diagonal over rows and latents.
    off_rms : float
        Root mean square of the entries off the diagonal.
    condition : float
        Median over rows of the Gram matrix's condition number.
    probe_r : float
        Pearson correlation of inner products of random tangent vectors before and after the decoder.
    diagonal : Tensor
        Mean diagonal of each latent, ``(N,)``.
    prediction : Tensor
        Predicted diagonal of each latent, ``(N,)``: v / (v + s2) with the rate at noisy latents, else 1. v is the
        latent's variance where its density is Gaussian; in general it is one over the Fisher information
        E[(d log P / dz_j)^2], which is the variance within a component where a mixture's components are far apart.
    variance : Tensor
        Variance of each latent times its data-space unit, ``(N,)``: importance, as an eigenvalue is in PCA.
    """

    diag_mean: float
    diag_sd: float
    off_rms: float
    condition: float
    probe_r: float
    diagonal: Tensor
    prediction: Tensor
    variance: Tensor


@torch.no_grad()
def measure_isometry(model: RateDistortion, x: Tensor, *, rows: int = 2000, seed: int = 0) -> Isometry:
    """Measure how isometric a model is at randomly chosen rows.

    Parameters
    ----------
    model : RateDistortion
        The model; isometric means isometric under its distortion and weights.
    x : Tensor
        Raw rows, ``(n, M)``, or pictures, ``(n, C, H, W)``.
    rows : int
        Number of them to take the Jacobian at, at most.
    seed : int
        Seed of the choice of rows and of the tangent vectors.

    Examples
    --------
    >>> import torch
    >>> from radogaga import (Autoencoder, GaussianNoise, Normal, RateDistortion, ResidualMLP, Scaling, SquaredError,
    ...                       measure_isometry, initialize_pca)
    >>> x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    >>> autoencoder = Autoencoder(ResidualMLP(4, 2), ResidualMLP(2, 4), latents=2, scaling=Scaling.standard(x))
    >>> initialize_pca(autoencoder, x)
    >>> model = RateDistortion(autoencoder, Normal(2), SquaredError(), GaussianNoise(std=0.1))
    >>> round(measure_isometry(model, x).diag_mean, 4)
    1.0
    """
    generator = torch.Generator().manual_seed(seed)
    latents = map_rows(model.autoencoder.encode, x, model.autoencoder.log_gain.device)
    z = latents[torch.randperm(len(latents), generator=generator)[:rows].to(latents.device)]
    grams = torch.cat([gram(model.autoencoder.decode_scaled, model.distortion, part) for part in z.split(500)])
    variance = latents.var(0)
    prediction = predicted_diagonal(model, z, variance)
    return describe_grams(grams * model.constant, variance / model.constant, prediction, generator)


@torch.no_grad()
def describe_grams(grams: Tensor, variance: Tensor, prediction: Tensor, generator: torch.Generator) -> Isometry:
    """Return the statistics of Gram matrices that should be the identity.

    Parameters
    ----------
    grams : Tensor
        J' A J times the constant at each row, ``(n, N, N)``.
    variance, prediction : Tensor
        Of each latent, ``(N,)``, as in `Isometry`.
    generator : torch.Generator
        Source of the tangent vectors.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.isometry import describe_grams
    >>> grams = torch.eye(2).expand(50, 2, 2)
    >>> describe_grams(grams, torch.ones(2), torch.ones(2), torch.Generator().manual_seed(0)).condition
    1.0
    """
    diagonal = grams.diagonal(dim1=1, dim2=2)
    off = grams - torch.diag_embed(diagonal)
    entries = max(grams.shape[1] * (grams.shape[1] - 1), 1)
    return Isometry(
        diag_mean=float(diagonal.mean()),
        diag_sd=float(diagonal.std()),
        off_rms=float((off.square().sum((1, 2)) / entries).mean().sqrt()),
        condition=float(torch.linalg.cond(grams).median()),
        probe_r=pearson(*probe(grams, generator)),
        diagonal=diagonal.mean(0),
        prediction=prediction,
        variance=variance,
    )


def predicted_diagonal(model: RateDistortion, z: Tensor, variance: Tensor) -> Tensor:
    """Return the predicted diagonal of each latent from some latents and their variance, ``(n, N), (N,) -> (N,)``."""
    if not model.noisy_rate:
        return torch.ones_like(variance)
    local = torch.minimum(_local_variance(model.prior, z), variance)
    return local / (local + model.noise.variance)


def _local_variance(prior: Prior, z: Tensor) -> Tensor:
    """Return one over the Fisher information of each latent, ``(n, N) -> (N,)``.

    By the information inequality it cannot exceed the variance if P is the latents' density. It can where P was fitted
    to noisy latents, so the caller takes the smaller of the two.
    """
    score = grad(lambda points: prior.log_prob(points).sum())(z)
    return 1 / score.square().mean(0)


def probe(grams: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return v'w and (J v)' A (J w) of normal v and w, ten pairs at each row: ``(n, N, N) -> 2 x (10 n,)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.isometry import probe
    >>> before, after = probe(2 * torch.eye(3).expand(4, 3, 3), torch.Generator().manual_seed(0))
    >>> len(before), torch.equal(after, 2 * before)
    (40, True)
    """
    v, w = torch.randn(2, _PAIRS, len(grams), grams.shape[1], generator=generator).to(grams)
    return (v * w).sum(2).flatten(), torch.einsum("pbi,bij,pbj->pb", v, grams, w).flatten()
