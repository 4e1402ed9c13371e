"""The rows of experiment 5.2's table: how each method is built and trained on one source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from radogaga.experiments.baselines.dagmm import DAGMM
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.distortions.distortion import SquaredError
from radogaga.method.initialization import initialize_pca
from radogaga.method.networks.mlp import MLP, ResidualMLP
from radogaga.method.noise import GaussianNoise
from radogaga.method.objective import Log, RateDistortion
from radogaga.method.prior_features import LatentFeatures
from radogaga.method.priors.estimated_mixture import EstimatedMixture
from radogaga.method.priors.factorized import Factorized
from radogaga.method.priors.mixture import Mixture
from radogaga.method.priors.prior import Prior
from radogaga.method.scaling import Scaling
from radogaga.method.training.loop import encode, fit
from radogaga.method.training.mixture_warmup import fit_with_mixture

FEATURES, LATENTS, COMPONENTS = 16, 3, 3
PUBLISHED_ENCODER = [FEATURES, 64, 32, 16, LATENTS]
PUBLISHED_DECODER = PUBLISHED_ENCODER[::-1]
"""Layer widths after the paper's supplement (not checked against its text), tanh between, for all alike."""

PUBLISHED_RESOLUTION = 0.02
"""Noise of the rows with the published networks, in units of the data's root mean square radius."""

DEFAULT_RESOLUTION = 0.04
DEFAULT_HIDDEN = (128, 128, 128)


@dataclass(frozen=True)
class Trained:
    """What a method leaves to be measured: its model, and the prior it had before EM fitted one to all latents."""

    model: RateDistortion
    prior_before_refit: Prior | None = None


Method = Callable[[Tensor, int, int], Trained]
"""``method(x, seed, steps) -> Trained``, x the raw rows on the device to use, steps the length of the training."""


def untrained(x: Tensor, seed: int, steps: int) -> Trained:
    """Return the published networks as they start, with a mixture on whatever their latents are."""
    model = _published(x, seed)
    model.noisy_rate = False  # nothing was trained under noise, so nothing is predicted of it
    return _refitted(model, x, seed)


def dagmm(x: Tensor, seed: int, steps: int) -> Trained:
    """Train DAGMM with its published settings: Adam 1e-4, batch 1024, weights .1 and .005, min-max scaling."""
    model = _dagmm(x, seed, Scaling.global_min_max(x))
    fit(model, x, steps=steps, batch_size=1024, learning_rate=1e-4, schedule="constant", seed=seed)
    model.fit_statistics(x)
    return Trained(_as_density(model))


def dagmm_helped(x: Tensor, seed: int, steps: int) -> Trained:
    """Train DAGMM with the help that RaDOGAGA(d) gets: scaling, a higher rate, warm-up, EM at both ends.

    At that rate its published weights let the energy collapse a latent, so they are 1e-4 and 1e-9 instead.
    """
    model = _dagmm(x, seed, Scaling.root_mean_square(x))
    weights = 1e-4, 1e-9
    model.energy_weight, model.covariance_weight = 0.0, 0.0
    fit(model, x, steps=steps // 4, schedule="constant", seed=seed)
    model.energy_weight, model.covariance_weight = weights
    model.prior.fit(model.features(x).detach(), seed=seed)
    fit(model, x, steps=steps - steps // 4, seed=seed + 1)
    model.fit_statistics(x)
    return _refitted(_as_density(model), x, seed)


def radogaga_d(x: Tensor, seed: int, steps: int) -> Trained:
    """Train RaDOGAGA(d): the published networks, a random start, a learned mixture."""
    return _train_published(_published(x, seed), x, seed, steps)


def radogaga_log(x: Tensor, seed: int, steps: int) -> Trained:
    """Train RaDOGAGA(log d): as (d), under a logarithm that levels off at three times the noise's variance.

    Three latents under noise cost three times its variance, so the floor is the distortion that the noise itself
    makes; the weight is the one that gives the logarithm the slope of (d) at zero.
    """
    model = _published(x, seed)
    floor = LATENTS * model.noise.variance
    model.penalty = Log(floor)
    model.reconstruction_weight *= floor
    return _train_published(model, x, seed, steps)


def radogaga_factorized(x: Tensor, seed: int, steps: int) -> Trained:
    """Train RaDOGAGA(d) under a factorized prior, which cannot express the toy's dependent latents."""
    model = _published(x, seed)
    model.prior = Factorized(LATENTS, initial_scale=3.0)
    fit(model, x, steps=steps, learning_rate=4e-3, seed=seed)
    return Trained(model)


def default(x: Tensor, seed: int, steps: int) -> Trained:
    """Train the recommended settings: from PCA, coarse to fine, a rich mixture, then the one that fits best."""
    model = _residual(x, seed, LATENTS, Mixture(LATENTS, 20))
    unfolding = {"warm_up": 0.4, "coarsening": 5.0}
    fit_with_mixture(
        model, x, steps=steps, learning_rate=5e-3, schedule="one-cycle", seed=seed, refit=False, **unfolding
    )
    before = model.prior
    model.prior = Mixture.fit_best(encode(model, x), seed=seed)
    return Trained(model, before)


METHODS: dict[str, Method] = {
    "untrained": untrained,
    "dagmm": dagmm,
    "dagmm-helped": dagmm_helped,
    "radogaga-factorized": radogaga_factorized,
    "radogaga-d": radogaga_d,
    "radogaga-log": radogaga_log,
    "default": default,
}


def pca(x: Tensor, seed: int, *, dimensions: int, components: int) -> RateDistortion:
    """Return PCA with a mixture on its components, as the linear special case of the method: exactly isometric."""
    model = _residual(x, seed, dimensions, prior := Mixture(dimensions, components))
    prior.fit(encode(model, x), seed=seed)
    model.noisy_rate = False
    return model.eval()


def _residual(x: Tensor, seed: int, latents: int, prior: Mixture) -> RateDistortion:
    torch.manual_seed(seed)
    scaling = Scaling.root_mean_square(x)
    encoder = ResidualMLP(FEATURES, latents, hidden=DEFAULT_HIDDEN)
    decoder = ResidualMLP(latents, FEATURES, hidden=DEFAULT_HIDDEN)
    autoencoder = Autoencoder(encoder, decoder, latents, scaling).to(x.device)
    initialize_pca(autoencoder, x)
    return RateDistortion(autoencoder, prior, SquaredError(), GaussianNoise(DEFAULT_RESOLUTION)).to(x.device)


def _published(x: Tensor, seed: int) -> RateDistortion:
    torch.manual_seed(seed)
    scaling = Scaling.root_mean_square(x)
    autoencoder = Autoencoder(MLP(PUBLISHED_ENCODER), MLP(PUBLISHED_DECODER), LATENTS, scaling)
    prior = Mixture(LATENTS, COMPONENTS)
    return RateDistortion(autoencoder, prior, SquaredError(), GaussianNoise(PUBLISHED_RESOLUTION)).to(x.device)


def _train_published(model: RateDistortion, x: Tensor, seed: int, steps: int) -> Trained:
    fit_with_mixture(model, x, steps=steps, learning_rate=4e-3, seed=seed, refit=False)
    return _refitted(model, x, seed)


def _dagmm(x: Tensor, seed: int, scaling: Scaling) -> DAGMM:
    torch.manual_seed(seed)
    autoencoder = Autoencoder(MLP(PUBLISHED_ENCODER), MLP(PUBLISHED_DECODER), LATENTS, scaling)
    return DAGMM(autoencoder, EstimatedMixture(LATENTS, COMPONENTS), prior_features=LatentFeatures()).to(x.device)


def _as_density(model: DAGMM) -> RateDistortion:
    """Return a DAGMM's parts as if its latents had the data's scale, so that the same figures are taken of it."""
    noise = GaussianNoise(DEFAULT_RESOLUTION)
    return RateDistortion(model.autoencoder, model.prior, SquaredError(), noise, noisy_rate=False).eval()


def _refitted(model: RateDistortion, x: Tensor, seed: int) -> Trained:
    """Give a model the mixture that EM fits to all its clean latents."""
    before, prior = model.prior, Mixture(LATENTS, COMPONENTS).to(x.device)
    prior.fit(encode(model, x), seed=seed, restarts=3)
    model.prior = prior
    return Trained(model.eval(), before)
