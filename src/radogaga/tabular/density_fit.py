"""The last step of a fit: from a trained model to a density of rows, and to the product of densities that ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from radogaga._utils.em import fit_mixture_weights
from radogaga._utils.linalg import pca
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.density.density import Density
from radogaga.method.density.product import ProductOfExperts, ScaledPrior
from radogaga.method.density.residuals import GaussianResidual, MultiscaleResidual
from radogaga.method.distortions.distortion import SquaredError
from radogaga.method.initialization import initialize_pca
from radogaga.method.networks.mlp import ResidualMLP
from radogaga.method.noise import GaussianNoise
from radogaga.method.objective import RateDistortion
from radogaga.method.priors.kernel_density import KernelDensity
from radogaga.method.priors.mixture import Mixture
from radogaga.method.priors.stacked import StackedPrior
from radogaga.method.rank_scaling import RankScaling
from radogaga.method.training.loop import encode_distinct
from radogaga.tabular import defaults
from radogaga.tabular.training import TrainedModel, latent_count

Model = TypeVar("Model", bound=nn.Module)


class FittedDensities(NamedTuple):
    """What is fitted to standardised rows.

    Attributes
    ----------
    density : Density
        Normalised; what rows are drawn from.
    ranking : ProductOfExperts
        What ranks rows; its first expert shares the autoencoder and the kernel density.
    """

    density: Density
    ranking: ProductOfExperts


@torch.no_grad()
def fit_densities(trained: TrainedModel, x: Tensor, held_out: Tensor | None, *, seed: int) -> FittedDensities:
    """Return the density of rows under a trained model, and the product that ranks them, in float64.

    The ranking has four experts of equal weight. Two have an isometric embedding and an adaptive kernel density of its
    latents, with one variance for all of the residual: the trained autoencoder of columns scaled by their ranges, and
    PCA of columns made normal by rank. Two are Gaussian mixtures of all scaled columns, in both scales: they know
    near-exact relations between columns. The scale of `product.fit_scale` is left to the caller.

    The density is that of the trained autoencoder alone, with a stack of the kernel density, one with one bandwidth
    and a Gaussian mixture of the latents, and several scales in each direction of the residual.

    Parameters
    ----------
    trained : TrainedModel
        A model, trained or still PCA.
    x : Tensor
        Training rows in a random order, ``(n, M)``.
    held_out : Tensor, optional
        Rows that the model has not seen.
    seed : int
        Draws all that is random.
    """
    seen = x if held_out is None else torch.cat([x, held_out])
    ranges = _kernel_expert(trained.model, x, held_out, seed)
    ranks = _kernel_expert(_rank_pca(seen), x, held_out, seed)
    experts: list[nn.Module] = [ranges, ranks]
    if x.shape[1] <= defaults.MAX_COLUMNS_OF_MIXTURE:
        in_ranges, in_ranks = (expert.model.autoencoder.scaling for expert in (ranges, ranks))
        mixture = _fit_mixture(in_ranges(seen), defaults.MIXTURE_SIZES, seed)
        same_size = _fit_mixture(in_ranks(seen), (mixture.components,), seed)
        experts += [ScaledPrior(in_ranges, mixture), ScaledPrior(in_ranks, same_size)]
    density = _stacked_density(ranges, x, held_out, seed)
    return FittedDensities(_finished(density), _finished(ProductOfExperts(experts)))


def unseen_residual(autoencoder: Autoencoder, x: Tensor, held_out: Tensor | None) -> Tensor:
    """Return residuals of rows, as large as those of new rows: one distribution for each of many directions takes more
    rows than are held out.
    """
    most = defaults.MAX_ROWS_FOR_RESIDUAL
    if _is_pca(autoencoder):
        seen = x if held_out is None else torch.cat([x, held_out])
        s = autoencoder.scaling(seen[:most])
        crossed, axes = _crossed_residual(s, autoencoder.latents), pca(s, autoencoder.latents)[1]
        return crossed - crossed @ axes.T @ axes
    residual = autoencoder.residual(x[:most])
    if held_out is None:
        return residual
    square, unseen = (rows.square().mean().clamp_min(1e-12) for rows in (residual, autoencoder.residual(held_out)))
    return residual * (unseen / square).sqrt()


def residual_growth(autoencoder: Autoencoder, x: Tensor, held_out: Tensor | None) -> Tensor:
    """Return how many times larger residuals of new rows are than those of training rows ``(n, M)``."""
    x = x[: defaults.MAX_ROWS_TO_LEAVE_OUT]
    held_out = None if held_out is None else held_out.to(x)
    unseen = unseen_residual(autoencoder, x, held_out)[: len(x)]
    return (unseen.square().mean() / autoencoder.residual(x).square().mean().clamp_min(1e-12)).sqrt().clamp(1, 10)


def _is_pca(autoencoder: Autoencoder) -> bool:
    networks = (autoencoder.encoder, autoencoder.decoder)
    return all(isinstance(network, ResidualMLP) and network.is_linear for network in networks)


def _rank_pca(x: Tensor) -> RateDistortion:
    """Return PCA of rows by rank, as a model."""
    scaling, features = RankScaling.fit(x, defaults.MAX_RANK_KNOTS), x.shape[1]
    latents = latent_count(scaling(x), "auto")
    encoder, decoder = ResidualMLP(features, latents, ()), ResidualMLP(latents, features, ())
    autoencoder = Autoencoder(encoder, decoder, latents, scaling).to(x.device)
    initialize_pca(autoencoder, x)
    return RateDistortion(autoencoder, KernelDensity(latents, 1), SquaredError(), GaussianNoise(1.0))


def _kernel_expert(model: RateDistortion, x: Tensor, held_out: Tensor | None, seed: int) -> Density:
    """Return a model's density with an adaptive kernel density of its latents, and one variance off the manifold."""
    z = encode_distinct(model, x if held_out is None else torch.cat([x, held_out]))
    kernel = KernelDensity.fit_adaptive(
        z.double(), neighbours=defaults.NEIGHBOURS, max_centres=defaults.MAX_CENTRES, seed=seed
    )
    residual = GaussianResidual(x.shape[1] - model.autoencoder.latents).to(x.device)
    unseen = unseen_residual(model.autoencoder, x, None) if held_out is None else model.autoencoder.residual(held_out)
    residual.fit(unseen)
    residual.variance.clamp_(min=defaults.MIN_RESIDUAL_VARIANCE)
    return Density(model.with_prior(kernel), x.shape[1], residual)


def _fit_mixture(z: Tensor, sizes: Sequence[int], seed: int) -> Mixture:
    some = z[: defaults.MAX_ROWS_FOR_EM].double()
    return Mixture.fit_bic(some, sizes, seed=seed, floor=defaults.MIN_MIXTURE_VARIANCE)


def _stacked_density(expert: Density, x: Tensor, held_out: Tensor | None, seed: int) -> Density:
    """Return the density of greatest likelihood for new rows, of the autoencoder and kernel density of an expert."""
    model, kernel = expert.model, expert.model.prior
    assert isinstance(kernel, KernelDensity)
    z = encode_distinct(model, x if held_out is None else torch.cat([x, held_out])).double()
    one_bandwidth = kernel.with_one_bandwidth(z, seed=seed)
    parts = (kernel, one_bandwidth, _fit_mixture(z, defaults.MIXTURE_SIZES, seed))
    some = z[: defaults.MAX_ROWS_TO_LEAVE_OUT]
    prior = StackedPrior(parts).to(z)
    log_prob = torch.stack([part.left_out_log_prob(some, some, len(z)) for part in parts], 1)
    prior.log_weights.copy_(fit_mixture_weights(log_prob, iterations=defaults.WEIGHT_ITERATIONS))
    residual = MultiscaleResidual(x.shape[1], x.shape[1] - model.autoencoder.latents).to(x.device)
    residual.fit(unseen_residual(model.autoencoder, x, held_out), coarsest=float(one_bandwidth.bandwidth.square()))
    return Density(model.with_prior(prior), x.shape[1], residual)


def _finished(module: Model) -> Model:
    # Trained in single precision, used in double: then a score does not depend on the rows that are scored beside it.
    return module.double().eval().requires_grad_(requires_grad=False)


def _crossed_residual(s: Tensor, latents: int) -> Tensor:
    """Return what PCA of the other folds leaves of each scaled row: few rows leave none out to measure it on."""
    parts, folds = [], defaults.RESIDUAL_FOLDS
    for fold in range(min(folds, len(s))):
        chosen = torch.arange(len(s), device=s.device) % folds == fold
        centre, axes, _ = pca(s[~chosen], latents)
        off = s[chosen] - centre
        parts.append(off - off @ axes.T @ axes)
    return torch.cat(parts)
