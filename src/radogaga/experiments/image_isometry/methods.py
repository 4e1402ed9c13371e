"""The rows of experiment 5.1's table: what is trained, on which networks, with which weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from radogaga.experiments.baselines.beta_vae import BetaVAE, DecomposedBetaVAE
from radogaga.images import Pictures
from radogaga.method.alignment import set_latent_scale
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.distortions.distortion import Distortion, SquaredError
from radogaga.method.distortions.ssim import SSIM, QuadraticSSIM
from radogaga.method.initialization import initialize_metric_pca
from radogaga.method.networks.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from radogaga.method.networks.pca_networks import PCADecoder, PCAEncoder
from radogaga.method.noise import GaussianNoise, Noise, UniformNoise
from radogaga.method.objective import Log, RateDistortion
from radogaga.method.priors.factorized import Factorized
from radogaga.method.scaling import Scaling
from radogaga.method.training.data import iter_batches
from radogaga.method.training.history import History
from radogaga.method.training.loop import fit

_MOST_FOR_AXES, _MOST_FOR_GAIN = 8192, 500
_AXES, _HIDDEN = 500, (1024, 1024)
# Against learning faces by heart; in the decoder it is stiffness that keeps latents smooth, so less will do.
_DROPOUT, _DECODER_DROPOUT = 0.3, 0.1
_NOISE_SHARE, _STIFFNESS = 1 / 20, 40.0
_SOFTNESS = 0.1
_PROJECTIONS = 1
_RATE_FROM_PCA = 1e-3
# After a random start it is some thousands, later 200. Uncut, one near the 6,000th of 40,000 steps undid all before.
_LONGEST_GRADIENT = 1000.0


@dataclass(frozen=True)
class Task:
    """What a row is trained on and for how long.

    Attributes
    ----------
    train : Pictures
        Pictures to train on.
    metric : {"mse", "ssim"}
        What isometric means.
    size : {"small", "paper"}
        The networks: the paper's with 256 latents, or ones that two cores train in minutes, with 32.
    steps, seed, precision, device
        As for `radogaga.fit`.
    checkpoint : Path
        Where the training's state is kept.
    progress : callable
        Called with the model and the number of steps done since its last call.
    """

    train: Pictures
    metric: Literal["mse", "ssim"]
    size: Literal["small", "paper"]
    steps: int
    seed: int
    precision: Literal["fp32", "bf16"]
    device: str
    checkpoint: Path
    progress: Callable[[RateDistortion | BetaVAE, int], None]

    @property
    def latents(self) -> int:
        """Number of latents."""
        return 256 if self.size == "paper" else 32

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
    """RaDOGAGA(d) from PCA under the metric, stiff; noise of a twentieth of the last latent's variance keeps it active.

    Reconstructions count by the metric too, where the authors take squared error under both. Under 1 - SSIM pictures
    bend away from black, where the metric has no bound; under squared error latents are projected by one step, as PCA's
    are by nature: on new faces that is worth a tenth of a decibel.
    """
    by_squared_error = task.metric == "mse"
    model = _principal(task, softness=0.0 if by_squared_error else _SOFTNESS)
    model.isometry_penalty = _STIFFNESS
    model.autoencoder.projections = _PROJECTIONS if by_squared_error else 0
    history = _fit(model, task, learning_rate=_RATE_FROM_PCA)
    set_latent_scale(model.cpu(), task.train[:_MOST_FOR_GAIN])
    return model, history


def pca(task: Task) -> Trained:
    """PCA under the metric with the density of its latents: what isometry on average, without a curve, is worth."""
    return _principal(task, softness=0.0), History()


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


def beta_vae(task: Task) -> Trained:
    """beta-VAE with its distortion decomposed as RaDOGAGA's is: the authors' baseline."""
    return _beta_vae(task, DecomposedBetaVAE)


def beta_vae_plain(task: Task) -> Trained:
    """beta-VAE as it is commonly trained."""
    return _beta_vae(task, BetaVAE)


METHODS: dict[str, Method] = {
    "recommended": recommended,
    "radogaga": radogaga_d,
    "radogaga-log": radogaga_log,
    "beta-vae": beta_vae,
    "beta-vae-plain": beta_vae_plain,
    "pca": pca,
}


def convolutional(task: Task, *, outputs: int, linear: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return the paper's encoder and decoder, or small ones of up to four layers for sides of 16 and more."""
    if task.size == "paper":
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


def _principal(task: Task, *, softness: float) -> RateDistortion:
    few = task.train[torch.linspace(0, len(task.train) - 1, min(len(task.train), _MOST_FOR_AXES)).long()]
    few[1::2] = few[1::2].flip(3)  # axes of faces and their mirror images, since both are trained on
    axes = min(_AXES, math.prod(task.shape), len(few) // 2)
    latents = min(task.latents, axes)
    torch.manual_seed(task.seed)
    encoder = PCAEncoder(latents, task.shape, axes, _HIDDEN, dropout=_DROPOUT)
    decoder = PCADecoder(latents, task.shape, axes, _HIDDEN, dropout=_DECODER_DROPOUT, softness=softness)
    autoencoder = Autoencoder(encoder, decoder, latents, Scaling(1))
    last = float(initialize_metric_pca(autoencoder, few, task.distortion, seed=task.seed)[-1])
    noise = GaussianNoise((_NOISE_SHARE * last) ** 0.5)
    weight = 1 / (2 * noise.variance)
    return RateDistortion(
        autoencoder,
        fitted_prior(autoencoder, task.train, noise),
        task.distortion,
        noise,
        reconstruction_distortion=task.whole_distortion,
        isometry_weight=weight,
        reconstruction_weight=weight,
    )


def fitted_prior(autoencoder: Autoencoder, rows: Pictures, noise: Noise) -> Factorized:
    """Return the factorized density of an autoencoder's latents under noise, at their own scale."""
    return Factorized.fit(latents_of(autoencoder, rows), noise)


@torch.no_grad()
def latents_of(autoencoder: Autoencoder, rows: Pictures) -> Tensor:
    """Return the latents of all pictures, ``(n, N)``, a part at a time."""
    device = autoencoder.log_gain.device
    return torch.cat([autoencoder.encode(part.to(device)) for part in iter_batches(rows)])


def _published(
    task: Task, noise: Noise, *, reconstruction_weight: float, isometry_weight: float, floor: float | None
) -> Trained:
    torch.manual_seed(task.seed)
    encoder, decoder = convolutional(task, outputs=task.latents)
    autoencoder = Autoencoder(encoder, decoder, task.latents, Scaling(1)).to(task.device)
    _start_at_scale(autoencoder, task, 2 * isometry_weight * noise.variance)
    # The authors' networks have no gains; and those are quick enough to silence latents that no decoder uses yet.
    autoencoder.log_gain.requires_grad_(False)
    model = RateDistortion(
        autoencoder,
        fitted_prior(autoencoder, task.train, noise),
        task.distortion,
        noise,
        reconstruction_distortion=SquaredError(),
        isometry_weight=isometry_weight,
        reconstruction_weight=reconstruction_weight,
        penalty=None if floor is None else Log(floor),
    )
    return model, _fit(model, task, learning_rate=_rate(task, small=3e-4), max_grad_norm=_LONGEST_GRADIENT)


@torch.no_grad()
def _start_at_scale(autoencoder: Autoencoder, task: Task, constant: float) -> None:
    """Give all latents together the variance that the pictures have in the metric, times the constant.

    Between them and the networks stand the gains, so that the decoder starts from latents of variance 1.
    """
    x = task.train[:256].to(task.device)
    raw = autoencoder.encoder(x)
    last = [layer for layer in autoencoder.encoder.modules() if isinstance(layer, nn.Linear)][-1]
    deviation = raw.std(0).clamp_min(1e-6)
    last.bias.sub_(raw.mean(0)).div_(deviation)
    last.weight.div_(deviation[:, None])
    total = float(task.distortion(x, x.mean(0).expand_as(x)).mean())
    autoencoder.set_gain(torch.full_like(deviation, (constant * total / task.latents) ** 0.5))


def _beta_vae(task: Task, kind: type[BetaVAE]) -> Trained:
    torch.manual_seed(task.seed)
    encoder, decoder = convolutional(task, outputs=2 * task.latents, linear=True)
    if task.metric == "ssim":
        _start_at_mean(decoder, task.train[:256])
    weight = (1e5 if task.metric == "mse" else 1e4) * task.per_mean
    model = kind(encoder, decoder, task.whole_distortion, weight)
    return model, _fit(model, task, learning_rate=_rate(task, small=1e-3))


@torch.no_grad()
def _start_at_mean(decoder: nn.Module, x: Tensor) -> None:
    """Start a convolutional decoder around the pictures' mean: SSIM takes a picture's negative, -x, for the picture.

    A channel that starts below 0 would stay there, with every structure of it inverted.
    """
    last = [layer for layer in decoder.modules() if isinstance(layer, nn.ConvTranspose2d)][-1]
    assert last.bias is not None
    last.bias.copy_(x.mean((0, 2, 3)))


def _rate(task: Task, *, small: float) -> float:
    """Return the authors' rate for their network, and the one given for the small one, which bears more."""
    return 1e-4 if task.size == "paper" else small


def _fit(
    model: RateDistortion | BetaVAE, task: Task, *, learning_rate: float, max_grad_norm: float = math.inf
) -> History:
    return fit(
        model,
        task.train,
        steps=task.steps,
        batch_size=64,
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        schedule="one-cycle",
        seed=task.seed,
        device=task.device,
        checkpoint=task.checkpoint,
        log_every=max(task.steps // 50, 1),
        precision=task.precision,
        progress=lambda steps: task.progress(model, steps),
    )
