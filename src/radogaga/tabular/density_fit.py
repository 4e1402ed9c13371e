"""The last step of a fit: the distributions of latents and residual that make a trained model a density of rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from radogaga._utils.batching import rows_in_memory
from radogaga._utils.linalg import pca
from radogaga._utils.random import isolated_seed
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.density.density import Density
from radogaga.method.density.residuals import GaussianResidual, MultiscaleResidual
from radogaga.method.density.two_scale import TwoScaleDensity
from radogaga.method.priors.kernel_density import KernelDensity
from radogaga.method.priors.mixture import Mixture
from radogaga.method.priors.prior import Prior
from radogaga.method.priors.stacked import StackedPrior, cross_validated_log_prob
from radogaga.method.training.loop import encode_distinct
from radogaga.tabular import defaults
from radogaga.tabular.training import Smoothness, TrainedModel

_BUDGET = 2**24

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def fit_density(
    trained: TrainedModel, x: Tensor, held_out: Tensor | None, smoothness: Smoothness, *, seed: int
) -> Density | TwoScaleDensity:
    """Return a model's density, with its final prior and its residual's distribution, in float64.

    Parameters
    ----------
    trained : TrainedModel
        A model, trained or still PCA.
    x : Tensor
        Training rows in a random order, ``(n, M)``.
    held_out : Tensor, optional
        Rows that the model has not seen.
    smoothness : "two-scale", "coarse" or "fine"
        Coarse: a kernel density of the latents, and one variance for all of the residual, no less than the kernel's. A
        unit of latent space is a unit of data space: off the manifold nothing is known finer than along it. Fine: the
        kernel density is stacked with Gaussian mixtures, and the residual has fine and coarse scales in each direction.
        Two-scale: one density of the two, see `TwoScaleDensity`.
    seed : int
        Draws all that is random.
    """
    model = trained.model
    autoencoder, features = model.autoencoder, x.shape[1]
    z = encode_distinct(model, x if held_out is None else torch.cat([x, held_out]))
    kernel = _fit_kernel(z, seed=seed)
    bandwidth, directions = float(kernel.bandwidth), features - autoencoder.latents
    model.prior = kernel
    residual = GaussianResidual(directions).to(x.device)
    residual.fit(_pca_residual(autoencoder, x) if held_out is None else autoencoder.residual(held_out))
    residual.variance.clamp_(min=bandwidth**2)
    coarse = Density(model, features, residual)
    if smoothness == "coarse":
        return _finished(coarse)
    distinct = _Distinct.of(z, seed)
    fits = _mixture_fits(len(distinct.first), bandwidth, seed)
    # The kernel density is cross-validated once, for the weights of the stack and for the gate.
    log_prob = cross_validated_log_prob(distinct.z, [partial(_fit_kernel, seed=seed), *fits]) if fits else None
    prior = StackedPrior.fit(z, lambda _: kernel, fits, log_prob)
    fine_residual = MultiscaleResidual(features, directions).to(x.device)
    unseen = _unseen_residual(autoencoder, x, held_out, is_pca=not trained.history.step)
    fine_residual.fit(unseen, coarsest=bandwidth**2)
    if smoothness == "fine":
        return _finished(Density(model.with_prior(prior), features, fine_residual))
    density = _finished(TwoScaleDensity(coarse, prior, fine_residual).to(x.device))
    if log_prob is not None:
        _fit_gate(density, distinct, log_prob[:, 0].double(), unseen, seed)
    return density


def coarse_prior(density: Density | TwoScaleDensity) -> KernelDensity | None:
    """Return the kernel density of the latents that a density is made of, if it is."""
    prior = density.model.prior
    candidates = prior.components if isinstance(prior, StackedPrior) else [prior]
    return next((part for part in candidates if isinstance(part, KernelDensity)), None)


def residual_growth(autoencoder: Autoencoder, x: Tensor, held_out: Tensor | None, *, is_pca: bool) -> Tensor:
    """Return how many times larger residuals of new rows are than those of training rows ``(n, M)``."""
    x = x[: defaults.MAX_ROWS_TO_CROSS_VALIDATE]
    held_out = None if held_out is None else held_out.to(x)
    unseen = _unseen_residual(autoencoder, x, held_out, is_pca=is_pca)[: len(x)]
    return (unseen.square().mean() / autoencoder.residual(x).square().mean().clamp_min(1e-12)).sqrt().clamp(1, 10)


class _Distinct(NamedTuple):
    """Some of the distinct latents in a random order: a copy of a latent is not held out where another is trained on.

    Attributes
    ----------
    z : Tensor
        Distinct latents, ``(m, N)``.
    first : Tensor
        The place of each in all latents, ``(m,)``.
    repeats : Tensor
        How often each comes, ``(m,)``.
    """

    z: Tensor
    first: Tensor
    repeats: Tensor

    @classmethod
    def of(cls, z: Tensor, seed: int) -> Self:
        distinct, place, count = z.unique(dim=0, return_inverse=True, return_counts=True)
        places = torch.arange(len(z), device=z.device)
        first = torch.full_like(count, len(z)).scatter_reduce(0, place, places, "amin")
        order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).to(z.device)
        order = order[: defaults.MAX_ROWS_TO_CROSS_VALIDATE]
        return cls(distinct[order], first[order], count[order])


def _fit_gate(density: TwoScaleDensity, distinct: _Distinct, log_prior: Tensor, unseen: Tensor, seed: int) -> None:
    """Fit a density's gate by log densities of held-out latents under the coarse prior, and residuals of those rows.

    Few rows do not tell what is usual: there the coarse density stays alone.
    """
    measured = distinct.first < len(unseen)
    if int(measured.sum()) < defaults.MIN_ROWS_FOR_GATE:
        return
    residual = unseen[distinct.first[measured]].double()
    held_out = log_prior[measured] + density.coarse.residual.log_prob(residual)
    numbers = density.features * density.model.autoencoder.latents
    rows = max(rows_in_memory(numbers, at_most=defaults.MAX_ROWS_DRAWN, budget=_BUDGET), defaults.MIN_ROWS_DRAWN)
    with isolated_seed(seed, density.device):  # not what training has left: equal models are to have equal gates
        drawn = density.coarse_log_prob(density.fine.sample(rows, include_residual=True))
    density.fit_gate(held_out.repeat_interleave(distinct.repeats[measured]), drawn)


def _finished(density: Model) -> Model:
    # Trained in single precision, used in double: then a score does not depend on the rows that are scored beside it.
    return density.double().eval().requires_grad_(requires_grad=False)


def _fit_kernel(z: Tensor, seed: int) -> KernelDensity:
    return KernelDensity.fit(z, max_centres=defaults.MAX_CENTRES, seed=seed)


def _fit_mixture(z: Tensor, components: int, seed: int, floor: float) -> Prior:
    prior = Mixture(z.shape[1], components).to(z)
    return prior.fit(z[: defaults.MAX_ROWS_FOR_EM], seed=seed, floor=floor, restarts=3)


def _mixture_fits(distinct_rows: int, bandwidth: float, seed: int) -> list[Callable[[Tensor], Prior]]:
    """Return the mixtures that there are rows enough for."""
    sizes = [k for k in defaults.MIXTURE_SIZES if distinct_rows >= defaults.ROWS_PER_COMPONENT * k]
    floor = defaults.MIN_MIXTURE_VARIANCE * bandwidth**2
    return [partial(_fit_mixture, components=k, seed=seed, floor=floor) for k in sizes]


def _unseen_residual(autoencoder: Autoencoder, x: Tensor, held_out: Tensor | None, *, is_pca: bool) -> Tensor:
    """Return residuals of rows, as large as those of new rows: one distribution for each of many directions takes more
    rows than are held out.
    """
    most = defaults.MAX_ROWS_FOR_RESIDUAL
    if is_pca:
        seen = x if held_out is None else torch.cat([x, held_out])
        s = autoencoder.scaling(seen[:most])
        crossed, axes = _crossed_residual(s, autoencoder.latents), pca(s, autoencoder.latents)[1]
        return crossed - crossed @ axes.T @ axes
    residual = autoencoder.residual(x[:most])
    if held_out is None:
        return residual
    square, unseen = (rows.square().mean().clamp_min(1e-12) for rows in (residual, autoencoder.residual(held_out)))
    return residual * (unseen / square).sqrt()


def _pca_residual(autoencoder: Autoencoder, x: Tensor) -> Tensor:
    return _crossed_residual(autoencoder.scaling(x), autoencoder.latents)


def _crossed_residual(s: Tensor, latents: int) -> Tensor:
    """Return what PCA of the other folds leaves of each scaled row: few rows leave none out to measure it on."""
    parts, folds = [], defaults.RESIDUAL_FOLDS
    for fold in range(min(folds, len(s))):
        chosen = torch.arange(len(s), device=s.device) % folds == fold
        centre, axes, _ = pca(s[~chosen], latents)
        off = s[chosen] - centre
        parts.append(off - off @ axes.T @ axes)
    return torch.cat(parts)
