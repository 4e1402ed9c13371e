"""The recipe behind the estimator: every choice that a person need not make, on standardised training rows."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor

from radogaga.checkpoints import History
from radogaga.density import Density
from radogaga.distortion import SquaredError
from radogaga.errors import InputError
from radogaga.laws import Detail, as_density, latents_of
from radogaga.networks import Autoencoder, Residual, start_as_pca
from radogaga.noise import Gaussian
from radogaga.objective import RateDistortion
from radogaga.priors import Mixture
from radogaga.priors.kernel import likeliest_bandwidth
from radogaga.scaling import Scaling
from radogaga.spectrum import leading_axes
from radogaga.training import fit

_SHARE, _MOST_LATENTS = 0.99, 40
_HIDDEN = (128,)
_LEAST_RESOLUTION = 0.1
_MOST_COMPONENTS, _ROWS_PER_PARAMETER = 5, 10
_MOST_FOR_EM = _MOST_TO_STOP_BY = 20_000
_LEARNING_RATE = 5e-3
_LEAST_FOR_RANGE, _MOST_FOR_RANGE, _LEAST_TO_LEAVE_OUT = 50, 5_000, 10


@dataclass(frozen=True)
class Choices:
    """What a person may choose after all.

    Attributes
    ----------
    n_components : int, float or "auto"
        Latents, as a count or as a share of the variance.
    resolution : float or "auto"
        Standard deviation of the noise, in scaled units.
    max_steps : int
        Most training steps; without rows to stop by none are taken.
    seed : int
        Draws all that is random.
    device : str
        Where to train.
    detail : "both", "coarse" or "fine"
        Which laws the density has in the end: see `radogaga.laws.as_density`.
    progress : callable, optional
        Called with the number of steps done since its last call.
    """

    n_components: int | float | str
    resolution: float | str
    max_steps: int
    seed: int
    device: str
    detail: Detail = "both"
    progress: Callable[[int], None] | None = None


class Trained(NamedTuple):
    """A density of standardised rows, in float64, and the training that led to it."""

    density: Density
    history: History


def train(x: Tensor, held_out: Tensor | None, choices: Choices) -> Trained:
    """Return the density of standardised rows ``(n, M)``, trained, with its final prior and its residual's law.

    Parameters
    ----------
    x : Tensor
        Training rows, n at least 2, in a random order.
    held_out : Tensor, optional
        Rows to stop by and to take the residual's variance from.
    choices : Choices
        What was chosen.

    Examples
    --------
    >>> import torch
    >>> from radogaga.recipe import Choices, train
    >>> x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    >>> train(x[:40], x[40:], Choices("auto", "auto", 10, 0, "cpu")).density.log_prob(x, across=True).shape
    torch.Size([60])
    """
    device = torch.device(choices.device)
    x, held_out = x.to(device), None if held_out is None else held_out.to(device)
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        torch.manual_seed(choices.seed)
        start = _start(x, choices)
        model, history = _trained(start, x, held_out, choices)
        density = _density(model, x, held_out, choices, linear=model is start)
    return Trained(density, history)


def typical_range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return between which values each column lies, wild ones left out, ``(n, M) -> 2 x (M,)``.

    Its range among a tenth of the rows, at least 50 and at most 5,000 of them, and as far again on both sides. Among
    all rows one wild value, 1e6 for unknown say, would be the column's scale and most of the variance besides, and make
    all other rows look alike; and the more rows there are, the wilder the wildest. A range is the median over parts of
    the rows, of those in which the column varies; of fewer than 100 rows, that of all but the least and the greatest.

    Examples
    --------
    >>> import torch
    >>> from radogaga.recipe import typical_range
    >>> x = torch.rand(1000, 1)
    >>> x[0] = 1e6
    >>> least, most = typical_range(x)
    >>> bool(least > -1 and most < 2)
    True
    """
    rows = min(max(len(x) // 10, _LEAST_FOR_RANGE), _MOST_FOR_RANGE)
    if len(x) < 2 * rows:
        ordered, left_out = x.sort(dim=0).values, int(len(x) >= _LEAST_TO_LEAVE_OUT)
        least, most = ordered[[left_out]], ordered[[-1 - left_out]]
    else:
        parts = [part.aminmax(dim=0) for part in x.tensor_split(len(x) // rows)]
        least, most = torch.stack([part.min for part in parts]), torch.stack([part.max for part in parts])
    varies = most > least
    low, high = -_median_where(varies, -least), _median_where(varies, most)  # of an even number the inner one
    # A column that varies only between parts, or by what was left out, keeps all its values.
    low, high = torch.where(low.isnan(), x.amin(0), low), torch.where(high.isnan(), x.amax(0), high)
    return low - (high - low), high + (high - low)


def _median_where(chosen: Tensor, values: Tensor) -> Tensor:
    """Return each column's median over the rows that are chosen there, nan where there are none."""
    return values.masked_fill(~chosen, torch.nan).nanmedian(0).values


def _density(model: RateDistortion, x: Tensor, held_out: Tensor | None, choices: Choices, linear: bool) -> Density:
    """Return a model's density, the latents with the largest variance first."""
    seen = x if held_out is None else torch.cat([x, held_out])
    _sort_latents(model.autoencoder, latents_of(model, seen).var(0).argsort(descending=True))
    return as_density(model, x, held_out, choices.detail, linear=linear, seed=choices.seed)


def _trained(
    start: RateDistortion, x: Tensor, held_out: Tensor | None, choices: Choices
) -> tuple[RateDistortion, History]:
    # Where no rows tell when to stop there is no training: a few tens of rows are soon learned by heart.
    if held_out is None or not choices.max_steps:
        return start, History()
    for rate in (_LEARNING_RATE, _LEARNING_RATE / 10):
        model = copy.deepcopy(start)
        try:
            history = fit(
                model,
                x,
                steps=choices.max_steps,
                learning_rate=rate,
                schedule="one-cycle",
                seed=choices.seed,
                log_every=max(choices.max_steps // 50, 1),
                held_out=held_out[:_MOST_TO_STOP_BY],
                progress=choices.progress,
            )
        except InputError:
            continue
        return model, history
    warnings.warn(
        "Training diverged twice, so the model is PCA with a kernel density. Look for columns with wild values.",
        stacklevel=6,
    )
    return start, History()


def _start(x: Tensor, choices: Choices) -> RateDistortion:
    """Return the model before training: PCA, with a mixture on its latents."""
    scaling = Scaling.ranges(x)
    features, latents = x.shape[1], _latent_count(scaling(x), choices.n_components)
    encoder = Residual(features, latents, _HIDDEN)
    decoder = Residual(latents, features, _HIDDEN)
    autoencoder = Autoencoder(encoder, decoder, latents, scaling).to(x.device)
    start_as_pca(autoencoder, x)
    # Each repeated row once: nine copies of one row do not tell EM's components apart.
    components = len(x.unique(dim=0)) // (_ROWS_PER_PARAMETER * latents)
    prior = Mixture(latents, min(max(components, 1), _MOST_COMPONENTS)).to(x.device)
    model = RateDistortion(autoencoder, prior, SquaredError(), Gaussian(1.0))
    z = latents_of(model, x)
    resolution = _resolution(z, choices)
    model.noise, model.isometry_weight = Gaussian(resolution), 1 / (2 * resolution**2)
    model.reconstruction_weight = 3 * model.isometry_weight
    some = z[:_MOST_FOR_EM]
    # The rate is taken under noise: clean latents of columns with few values would give components of no width.
    prior.fit_em(some + model.noise(some), seed=choices.seed)
    return model


def _resolution(z: Tensor, choices: Choices) -> float:
    if isinstance(choices.resolution, str):
        return max(float(likeliest_bandwidth(z, seed=choices.seed)) / 2, _LEAST_RESOLUTION)
    return float(choices.resolution)


def _latent_count(s: Tensor, wanted: int | float | str) -> int:
    most = min(len(s) - 1, s.shape[1])
    if isinstance(wanted, Integral):
        if wanted > most:
            raise InputError(
                f"Expected n_components of at most {most}: columns that vary, and rows to train on less one; "
                f"got {wanted}. Lower it, or leave it at 'auto'."
            )
        return int(wanted)
    share, most = (_SHARE, min(_MOST_LATENTS, most)) if isinstance(wanted, str) else (float(wanted), most)
    carried = leading_axes(s, most)[2].double().cumsum(0)
    total = s.double().var(0, correction=0).sum()
    return min(int((carried < share * total).sum()) + 1, most)


@torch.no_grad()
def _sort_latents(autoencoder: Autoencoder, order: Tensor) -> None:
    """Put the latents of an autoencoder in another order; what it computes stays the same."""
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    assert isinstance(encoder, Residual)
    assert isinstance(decoder, Residual)
    last, first = encoder.correction[-1], decoder.correction[0]
    for parameter in (*encoder.linear.parameters(), *last.parameters(), autoencoder.log_gain):
        parameter.copy_(parameter[order])
    for weight in (decoder.linear.weight, next(first.parameters())):
        weight.copy_(weight[:, order])
