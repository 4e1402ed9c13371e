"""The rows of experiment 5.3's table: how each method is built and trained on one training half."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from radogaga._utils.linalg import residual_variance
from radogaga.experiments.anomaly_detection.settings import CHOSEN, PUBLISHED, Network, Settings
from radogaga.experiments.baselines.dagmm import DAGMM
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.density.density import Density
from radogaga.method.density.residuals import GaussianResidual
from radogaga.method.distortions.distortion import SquaredError
from radogaga.method.initialization import initialize_pca
from radogaga.method.networks.mlp import MLP, ResidualMLP
from radogaga.method.noise import GaussianNoise
from radogaga.method.objective import Identity, Log, RateDistortion
from radogaga.method.prior_features import ResidualFeatures
from radogaga.method.priors.estimated_mixture import EstimatedMixture
from radogaga.method.priors.kernel_density import KernelDensity
from radogaga.method.priors.mixture import Mixture
from radogaga.method.scaling import Scaling
from radogaga.method.training.loop import encode, fit
from radogaga.method.training.mixture_warmup import fit_with_mixture
from radogaga.tabular.estimator import RaDOGAGA

Scorer = Callable[[Tensor], Tensor]
"""Raw rows ``(n, M)`` to scores ``(n,)``, higher = more normal."""

# A latent with less variance than this has collapsed: in units of the noise's variance, or of its own for DAGMM.
_MIN_VARIANCE, _MIN_DAGMM_VARIANCE = 1e-2, 1e-6
_MAX_EM_ROWS = 20_000
# One row in five is held out for early stopping, 5,000 at most.
_HELD_OUT, _MAX_HELD_OUT = 5, 5_000


@dataclass(frozen=True)
class Fitted:
    """A fitted method: its score, and whether a latent has collapsed on the training half."""

    score: Scorer
    collapsed: bool = False


Method = Callable[[str, Tensor, int, float], Fitted]
"""``method(data, train_x, seed, effort)``, effort the share of the steps to train for."""


def dagmm(data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Train DAGMM with its published networks, on min-max columns."""
    network = PUBLISHED[data]
    torch.manual_seed(seed)
    model = DAGMM(_autoencoder(network, x), _estimated(network))
    fit(model, x, steps=network.steps(effort), **_options(network, effort, seed))
    model.fit_statistics(x)
    return Fitted(
        model.log_prob, _collapsed(model.features(x[:_MAX_EM_ROWS])[:, : network.latents], _MIN_DAGMM_VARIANCE)
    )


def radogaga_published(data: str, x: Tensor, seed: int, effort: float, *, log: bool = False) -> Fitted:
    """Train RaDOGAGA with DAGMM's published networks and residual features, on min-max columns."""
    network = PUBLISHED[data]
    torch.manual_seed(seed)
    autoencoder = _autoencoder(network, x)
    noise = GaussianNoise(network.resolution)
    model = RateDistortion(autoencoder, _estimated(network), SquaredError(), noise, prior_features=ResidualFeatures())
    if log:
        _take_logarithm(model, float(autoencoder.scaling(x).var(0).sum()))
    fit_with_mixture(model, x, steps=network.steps(effort), refit=False, **_options(network, effort, seed))
    assert isinstance(model.prior, EstimatedMixture)
    model.prior.fit_statistics(encode(model, part) for part in x.split(8192))

    @torch.no_grad()
    def score(rows: Tensor) -> Tensor:
        return torch.cat([-model.rate(part) for part in rows.split(8192)])

    return Fitted(score, _collapsed(autoencoder.encode(x[:_MAX_EM_ROWS]), _MIN_VARIANCE * noise.variance))


def radogaga_chosen(data: str, x: Tensor, seed: int, effort: float, *, log: bool = False) -> Fitted:
    """Train RaDOGAGA by the settings chosen for a data set."""
    return _fit_chosen(CHOSEN[data], x, seed, effort, log=log)


def untrained_chosen(data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Leave the chosen RaDOGAGA as it starts: PCA and the same final prior."""
    return _fit_chosen(CHOSEN[data], x, seed, 0.0, log=False)


def radogaga_untuned(data: str, x: Tensor, seed: int, effort: float) -> Fitted:
    """Fit the estimator with nothing chosen, as its users have it."""
    model = RaDOGAGA(random_state=seed, max_steps=round(RaDOGAGA().max_steps * effort))
    with warnings.catch_warnings():
        # Advice for whoever can change the table; here its columns are the paper's.
        warnings.simplefilter("ignore", UserWarning)
        model.fit(x.numpy())
    z = torch.from_numpy(model.transform(x[:_MAX_EM_ROWS].numpy()))
    assert model.density_ is not None
    collapsed = _collapsed(z, _MIN_VARIANCE * model.density_.model.noise.variance)
    return Fitted(lambda rows: torch.from_numpy(model.score_samples(rows.numpy())), collapsed)


def _fit_chosen(settings: Settings, x: Tensor, seed: int, effort: float, *, log: bool) -> Fitted:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    held_out, rest = x[order[: len(x) // _HELD_OUT]], x[order[len(x) // _HELD_OUT :]]
    torch.manual_seed(seed)
    model = start(settings, rest, log=log)
    steps = round(settings.steps * effort)
    if steps:
        assert isinstance(model.prior, Mixture)
        model.prior.fit(encode(model, rest[:_MAX_EM_ROWS]), seed=seed)
        fit(
            model,
            rest,
            steps=steps,
            learning_rate=settings.learning_rate,
            seed=seed,
            log_every=max(steps // 50, 1),
            held_out=held_out[:_MAX_HELD_OUT],
        )
    density = fit_density(settings, model, x, seed)
    collapsed = _collapsed(encode(model, x), _MIN_VARIANCE * model.noise.variance)
    return Fitted(lambda rows: density.log_prob(rows, include_residual=settings.residual is not None), collapsed)


def start(settings: Settings, x: Tensor, *, log: bool) -> RateDistortion:
    """Return a model of some settings as it starts: PCA, isometric, at the resolution that PCA leaves."""
    scaling = settings.scaling(x)
    s = scaling(x)
    latents, features = settings.latents(s), x.shape[1]
    encoder = ResidualMLP(features, latents, settings.hidden, nn.Tanh)
    decoder = ResidualMLP(latents, features, settings.hidden, nn.Tanh)
    autoencoder = Autoencoder(encoder, decoder, latents, scaling)
    initialize_pca(autoencoder, x)
    left = residual_variance(s, latents)
    noise = GaussianNoise(max(left**0.5, settings.min_resolution))
    model = RateDistortion(autoencoder, Mixture(latents, settings.components), SquaredError(), noise)
    if log:
        _take_logarithm(model, left * (features - latents))
    return model


def fit_density(settings: Settings, model: RateDistortion, x: Tensor, seed: int) -> Density:
    """Return a model's density, its prior and the distribution of its residual fitted to rows."""
    z = encode(model, x)
    if settings.centres:
        model.prior = KernelDensity.fit(z, max_centres=settings.centres, rounds=0, seed=seed)
    else:
        model.prior = Mixture(z.shape[1], settings.components)
        model.prior.fit(z, seed=seed, restarts=3)
    directions = x.shape[1] - z.shape[1]
    density = Density(model, x.shape[1], (settings.residual or GaussianResidual)(directions))
    density.fit_residual(x)
    return density


def _take_logarithm(model: RateDistortion, expected: float) -> None:
    """Make h a logarithm with the slope of the identity at the expected distortion."""
    assert isinstance(model.penalty, Identity)
    model.penalty = Log(floor=expected)
    model.reconstruction_weight *= 2 * expected


def _autoencoder(network: Network, x: Tensor) -> Autoencoder:
    widths = [x.shape[1], *network.hidden, network.latents]
    return Autoencoder(MLP(widths), MLP(widths[::-1]), network.latents, Scaling.min_max(x))


def _options(network: Network, effort: float, seed: int) -> dict[str, Any]:
    return {"batch_size": network.batch, "learning_rate": network.learning_rate(effort), "seed": seed}


def _estimated(network: Network) -> EstimatedMixture:
    return EstimatedMixture(network.latents + 2, network.components)


def _collapsed(z: Tensor, least: float) -> bool:
    return bool((z.detach().var(0) < least).any())
