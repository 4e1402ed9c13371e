"""The rows of experiment 5.1's table: what is trained, on which networks, with which weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from radogaga.experiments.baselines.beta_vae import BetaVAE, DecomposedBetaVAE
from radogaga.experiments.image_isometry.settings import Config, Metric
from radogaga.images.pictures import Pictures
from radogaga.method.alignment import set_latent_scale
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.distortions.distortion import Distortion, SquaredError
from radogaga.method.distortions.ssim import SSIM, QuadraticSSIM
from radogaga.method.initialization import initialize_metric_pca
from radogaga.method.networks.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from radogaga.method.networks.layers import last_layer
from radogaga.method.networks.pca_networks import PCADecoder, PCAEncoder
from radogaga.method.noise import GaussianNoise, Noise, UniformNoise
from radogaga.method.objective import Log, RateDistortion
from radogaga.method.priors.factorized import Factorized
from radogaga.method.priors.normal import Normal
from radogaga.method.scaling import Scaling
from radogaga.method.training.history import History
from radogaga.method.training.loop import encode, fit

_MAX_PCA_ROWS, _MAX_SCALE_ROWS = 8192, 500
# Against overfitting; in the decoder the isometry penalty keeps latents smooth, so less will do.
_DROPOUT, _DECODER_DROPOUT = 0.3, 0.1
_NOISE_SHARE, _ISOMETRY_PENALTY = 1 / 20, 40.0
_SOFTNESS = 0.1
_PROJECTIONS = 1
_PCA_LEARNING_RATE = 1e-3
# After a random start the norm is some thousands, later 200. Without a bound, one gradient near the 6,000th of 40,000
# steps undid all before.
_MAX_GRAD_NORM = 1000.0


@dataclass(frozen=True)
class Task:
    """What one row is trained on, and how.

    Attributes
    ----------
    config : Config
        The table's settings.
    metric : {"mse", "ssim"}
        The distortion that the latents are to be isometric to.
    train : Pictures
        Pictures to train on.
    checkpoint : Path
        The file of the training's state.
    progress : callable
        Called with the model now and then, after its state was kept.
    """

    config: Config
    metric: Metric
    train: Pictures
    checkpoint: Path
    progress: Callable[[RateDistortion | BetaVAE], None]

    @property
    def latents(self) -> int:
        """Number of latents."""
        return 256 if self.config.size == "paper" else 32

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a picture."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    @property
    def distortion(self) -> Distortion:
        """D of the isometry term, of which A is the metric."""
        return SquaredError() if self.metric == "mse" else QuadraticSSIM()

    @property
    def whole_distortion(self) -> Distortion:
        """D between pictures that need not be near each other: 1 - SSIM itself, not its quadratic form."""
        return SquaredError() if self.metric == "mse" else SSIM()

    @property
    def per_mean(self) -> float:
        """What turns a weight of the authors', on a mean over features, into one on this metric's D."""
        return 1 / math.prod(self.shape) if self.metric == "mse" else 1.0


Trained = tuple[RateDistortion | BetaVAE, History]
Method = Callable[[Task], Trained]


def recommended(task: Task) -> Trained:
    """RaDOGAGA(d) from PCA under the metric, with an isometry penalty.

    Noise of a twentieth of the last latent's variance keeps that latent active. Reconstructions are measured by the
    metric too, where the authors take squared error under both. Under 1 - SSIM pictures are softened near black, where
    the metric has no bound; under squared error latents are projected by one Gauss-Newton step, which is worth a tenth
    of a decibel on new faces.
    """
    by_squared_error = task.metric == "mse"
    model = _pca_model(task, softness=0.0 if by_squared_error else _SOFTNESS)
    model.isometry_penalty = _ISOMETRY_PENALTY
    model.autoencoder.projections = _PROJECTIONS if by_squared_error else 0
    history = _fit(model, task, learning_rate=_PCA_LEARNING_RATE)
    # The prior of every trained row is fitted to all pictures before it is measured.
    set_latent_scale(model.cpu(), task.train[:_MAX_SCALE_ROWS], fit_prior=lambda _: model.prior)
    return model, history


def pca(task: Task) -> Trained:
    """PCA under the metric with the density of its latents: what a linear map that is isometric on average reaches."""
    return _pca_model(task, softness=0.0), History()


def radogaga_d(task: Task) -> Trained:
    """RaDOGAGA(d) from a random start: weights of 10^4 on means (10^3 on 1 - SSIM), noise U(-.1, .1)."""
    weight = 1e4 / math.prod(task.shape)
    isometry = 1e4 * task.per_mean if task.metric == "mse" else 1e3
    return _published(task, UniformNoise(0.2), reconstruction_weight=weight, isometry_weight=isometry, floor=None)


def radogaga_log(task: Task) -> Trained:
    """RaDOGAGA(log d) with the authors' weights and noise, from a random start.

    Their loss is in bits per pixel; times log 2 and the pixels of a picture it is in nats.
    """
    nats = task.shape[1] * task.shape[2] * math.log(2)
    reconstruction = (0.1 if task.metric == "mse" else 0.2) * nats
    return _published(
        task,
        UniformNoise(1.0),
        reconstruction_weight=reconstruction,
        isometry_weight=0.1 * nats * task.per_mean,
        floor=1e-3 * math.prod(task.shape),
    )


def beta_vae(task: Task, *, kind: type[BetaVAE] = BetaVAE) -> Trained:
    """beta-VAE as it is commonly trained; or decomposed as RaDOGAGA is, the authors' baseline."""
    torch.manual_seed(task.config.seed)
    encoder, decoder = convolutional(task, outputs=2 * task.latents, linear=True)
    if task.metric == "ssim":
        _start_at_mean(decoder, task.train[:256])
    weight = (1e5 if task.metric == "mse" else 1e4) * task.per_mean
    model = kind(encoder, decoder, task.whole_distortion, weight)
    return model, _fit(model, task, learning_rate=_learning_rate(task, small=1e-3))


METHODS: dict[str, Method] = {
    "recommended": recommended,
    "radogaga": radogaga_d,
    "radogaga-log": radogaga_log,
    "beta-vae": partial(beta_vae, kind=DecomposedBetaVAE),
    "beta-vae-plain": beta_vae,
    "pca": pca,
}


def convolutional(task: Task, *, outputs: int, linear: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return the paper's encoder and decoder, or small ones of up to four layers for sides of 16 and more."""
    if task.config.size == "paper":
        encoder = ConvolutionalEncoder(outputs, shape=task.shape)
        return encoder, ConvolutionalDecoder(task.latents, shape=task.shape, linear=linear)
    filters = (16, 32, 64, 64)[: _halvings(task.shape)]
    kernels, hidden = (5,) * len(filters), (256,)
    encoder = ConvolutionalEncoder(outputs, task.shape, filters, kernels, hidden)
    decoder = ConvolutionalDecoder(task.latents, task.shape, filters[::-1], kernels, hidden, linear=linear)
    return encoder, decoder


def _halvings(shape: tuple[int, int, int]) -> int:
    """Return how often both sides can be halved without falling under 4 pixels, at most 4 times."""
    times = 0
    while times < 4 and all(side % 2 ** (times + 1) == 0 and side >> (times + 1) >= 4 for side in shape[1:]):
        times += 1
    return times


def _pca_model(task: Task, *, softness: float) -> RateDistortion:
    few = task.train[torch.linspace(0, len(task.train) - 1, min(len(task.train), _MAX_PCA_ROWS)).long()]
    few[1::2] = few[1::2].flip(3)  # axes of faces and their mirror images, since both are trained on
    axes = min(task.config.axes, math.prod(task.shape), len(few) // 2)
    latents = min(task.latents, axes)
    torch.manual_seed(task.config.seed)
    encoder = PCAEncoder(latents, task.shape, axes, task.config.hidden, dropout=_DROPOUT)
    decoder = PCADecoder(latents, task.shape, axes, task.config.hidden, dropout=_DECODER_DROPOUT, softness=softness)
    autoencoder = Autoencoder(encoder, decoder, latents, Scaling(1))
    last = float(initialize_metric_pca(autoencoder, few, task.distortion, seed=task.config.seed)[-1])
    noise = GaussianNoise((_NOISE_SHARE * last) ** 0.5)
    weight = 1 / (2 * noise.variance)
    model = RateDistortion(
        autoencoder,
        Normal(latents),
        task.distortion,
        noise,
        reconstruction_distortion=task.whole_distortion,
        isometry_weight=weight,
        reconstruction_weight=weight,
    )
    fit_prior(model, task)
    return model


def fit_prior(model: RateDistortion, task: Task) -> None:
    """Give a model the factorized density of its latents of the training pictures, under its noise."""
    model.prior = Factorized.fit(encode(model, task.train), model.noise, steps=task.config.prior_steps)


def _published(
    task: Task, noise: Noise, *, reconstruction_weight: float, isometry_weight: float, floor: float | None
) -> Trained:
    torch.manual_seed(task.config.seed)
    encoder, decoder = convolutional(task, outputs=task.latents)
    autoencoder = Autoencoder(encoder, decoder, task.latents, Scaling(1)).to(task.config.device)
    _start_at_scale(autoencoder, task, 2 * isometry_weight * noise.variance)
    # The authors' networks have no gains, which would shut off latents before the decoder makes use of them.
    autoencoder.log_gain.requires_grad = False
    model = RateDistortion(
        autoencoder,
        Normal(task.latents),
        task.distortion,
        noise,
        reconstruction_distortion=SquaredError(),
        isometry_weight=isometry_weight,
        reconstruction_weight=reconstruction_weight,
        penalty=None if floor is None else Log(floor),
    )
    fit_prior(model, task)
    return model, _fit(model, task, learning_rate=_learning_rate(task, small=3e-4), max_grad_norm=_MAX_GRAD_NORM)


@torch.no_grad()
def _start_at_scale(autoencoder: Autoencoder, task: Task, constant: float) -> None:
    """Give all latents together the variance that the pictures have in the metric, times the constant.

    The gains take that scale, so that the decoder starts from latents of variance 1.
    """
    x = task.train[:256].to(task.config.device)
    raw = autoencoder.encoder(x)
    last = last_layer(autoencoder.encoder, nn.Linear)
    deviation = raw.std(0).clamp_min(1e-6)
    last.bias.sub_(raw.mean(0)).div_(deviation)
    last.weight.div_(deviation[:, None])
    total = float(task.distortion(x, x.mean(0).expand_as(x)).mean())
    autoencoder.set_gain(torch.full_like(deviation, (constant * total / task.latents) ** 0.5))


@torch.no_grad()
def _start_at_mean(decoder: nn.Module, x: Tensor) -> None:
    """Start a convolutional decoder around the pictures' mean: SSIM takes a picture's negative, -x, for the picture.

    A channel that starts below 0 would stay there, with every structure of it inverted.
    """
    last = last_layer(decoder, nn.ConvTranspose2d)
    assert last.bias is not None
    last.bias.copy_(x.mean((0, 2, 3)))


def _learning_rate(task: Task, *, small: float) -> float:
    """Return the authors' rate for their network, and the given one for the small network, which takes more."""
    return 1e-4 if task.config.size == "paper" else small


def _fit(
    model: RateDistortion | BetaVAE, task: Task, *, learning_rate: float, max_grad_norm: float = math.inf
) -> History:
    config = task.config
    return fit(
        model,
        task.train,
        steps=config.steps,
        batch_size=64,
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        schedule="one-cycle",
        seed=config.seed,
        device=config.device,
        checkpoint=task.checkpoint,
        log_every=max(config.steps // 50, 1),
        precision=config.precision,
        progress=lambda _: task.progress(model),
    )
