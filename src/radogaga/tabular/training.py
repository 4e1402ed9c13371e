"""Training the default model: every choice that a user need not make, on standardised training rows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor

from radogaga._utils.checks import warn_user
from radogaga._utils.linalg import pca
from radogaga.errors import InputError
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.distortions.distortion import SquaredError
from radogaga.method.initialization import initialize_pca
from radogaga.method.networks.mlp import ResidualMLP
from radogaga.method.noise import GaussianNoise
from radogaga.method.objective import RateDistortion
from radogaga.method.priors.kernel_density import loo_bandwidth
from radogaga.method.priors.mixture import Mixture
from radogaga.method.scaling import Scaling
from radogaga.method.training.history import History
from radogaga.method.training.loop import encode_distinct, fit
from radogaga.tabular import defaults


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a fit.

    Attributes
    ----------
    n_components : int, float or "auto"
        Latents, as a count or as a share of the variance.
    resolution : float or "auto"
        Standard deviation of the noise, in scaled units.
    max_steps : int
        Training steps at most; without rows to stop by none are taken.
    learning_rate : float
        The largest of the one-cycle schedule; a tenth of it is tried if training diverges.
    seed : int
        Draws all that is random.
    device : str
        Where to train.
    progress : callable, optional
        Called with the number of steps done since its last call.
    """

    n_components: int | float | str = "auto"
    resolution: float | str = "auto"
    max_steps: int = defaults.MAX_STEPS
    learning_rate: float = defaults.LEARNING_RATE
    seed: int = 0
    device: str = "cpu"
    progress: Callable[[int], None] | None = None


class TrainedModel(NamedTuple):
    """A model of standardised rows, and its training curve: an empty one where it was left as it starts, PCA."""

    model: RateDistortion
    history: History


def train(x: Tensor, held_out: Tensor | None, config: TrainingConfig) -> TrainedModel:
    """Return a model of standardised rows ``(n, M)``, its latents sorted by variance, the largest first.

    Parameters
    ----------
    x : Tensor
        Training rows, n at least 2, in a random order.
    held_out : Tensor, optional
        Rows to stop training by; without them there is none, since a few tens of rows are soon memorised.
    config : TrainingConfig
        The settings.

    Examples
    --------
    >>> import torch
    >>> from radogaga.tabular.training import TrainingConfig, train
    >>> x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    >>> train(x[:40], x[40:], TrainingConfig(max_steps=10)).model.autoencoder.latents
    3
    """
    start = _start(x, config)
    trained = TrainedModel(start, History())
    if held_out is not None and config.max_steps:
        trained = _train_from(start, x, held_out, config)
    rows = x if held_out is None else torch.cat([x, held_out])
    _sort_latents(trained.model.autoencoder, encode_distinct(trained.model, rows).var(0).argsort(descending=True))
    return trained


def _train_from(start: RateDistortion, x: Tensor, held_out: Tensor, config: TrainingConfig) -> TrainedModel:
    for rate in (config.learning_rate, config.learning_rate / 10):
        model = copy.deepcopy(start)
        try:
            history = fit(
                model,
                x,
                steps=config.max_steps,
                learning_rate=rate,
                schedule="one-cycle",
                seed=config.seed,
                log_every=max(config.max_steps // defaults.EVALUATIONS, 1),
                held_out=held_out[: defaults.MAX_ROWS_TO_STOP_BY],
                progress=config.progress,
            )
        except InputError:
            continue
        return TrainedModel(model, history)
    warn_user("Training diverged twice, so the model is PCA with a kernel density. Look for columns with outliers.")
    return TrainedModel(start, History())


def _start(x: Tensor, config: TrainingConfig) -> RateDistortion:
    """Return the model before training: PCA, with a mixture on its latents."""
    scaling = Scaling.ranges(x)
    features, latents = x.shape[1], latent_count(scaling(x), config.n_components)
    encoder = ResidualMLP(features, latents, defaults.HIDDEN)
    decoder = ResidualMLP(latents, features, defaults.HIDDEN)
    autoencoder = Autoencoder(encoder, decoder, latents, scaling).to(x.device)
    initialize_pca(autoencoder, x)
    # Each repeated row once: nine copies of one row do not tell EM's components apart.
    components = len(x.unique(dim=0)) // (defaults.ROWS_PER_TRAINING_COMPONENT * latents)
    prior = Mixture(latents, min(max(components, 1), defaults.MAX_TRAINING_COMPONENTS)).to(x.device)
    model = RateDistortion(autoencoder, prior, SquaredError(), GaussianNoise(1.0))
    z = encode_distinct(model, x)
    resolution = _resolution(z, config)
    model.noise, model.isometry_weight = GaussianNoise(resolution), 1 / (2 * resolution**2)
    model.reconstruction_weight = defaults.RECONSTRUCTION_WEIGHT * model.isometry_weight
    some = z[: defaults.MAX_ROWS_FOR_EM]
    # The rate is taken under noise: clean latents of columns with few values would give components of no width.
    prior.fit(some + model.noise(some), seed=config.seed)
    return model


def _resolution(z: Tensor, config: TrainingConfig) -> float:
    if isinstance(config.resolution, str):
        return max(float(loo_bandwidth(z, seed=config.seed)) / 2, defaults.MIN_RESOLUTION)
    return float(config.resolution)


def latent_count(s: Tensor, wanted: int | float | str) -> int:
    """Return how many latents scaled rows get: a count, a share of the variance, or "auto" for the default share.

    Raises
    ------
    InputError
        If more are wanted than columns that vary, or than rows less one.
    """
    possible = min(len(s) - 1, s.shape[1])
    if isinstance(wanted, Integral):
        if wanted > possible:
            raise InputError(
                f"Expected n_components of at most {possible}: columns that vary, and rows to train on less one; "
                f"got {wanted}. Lower it, or leave it at 'auto'."
            )
        return int(wanted)
    if isinstance(wanted, str):
        share, possible = defaults.VARIANCE_SHARE, min(defaults.MAX_LATENTS, possible)
    else:
        share = float(wanted)
    cumulative = pca(s, possible)[2].double().cumsum(0)
    total = s.double().var(0, correction=0).sum()
    return min(int((cumulative < share * total).sum()) + 1, possible)


@torch.no_grad()
def _sort_latents(autoencoder: Autoencoder, order: Tensor) -> None:
    """Put the latents of an autoencoder in another order; what it computes stays the same."""
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    assert isinstance(encoder, ResidualMLP)
    assert isinstance(decoder, ResidualMLP)
    last, first = encoder.correction[-1], decoder.correction[0]
    for parameter in (*encoder.linear.parameters(), *last.parameters(), autoencoder.log_gain):
        parameter.copy_(parameter[order])
    for weight in (decoder.linear.weight, next(first.parameters())):
        weight.copy_(weight[:, order])
