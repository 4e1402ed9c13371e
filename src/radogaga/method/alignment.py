"""What training leaves to be done: the linear map of the latents that the objective is least under, in closed form.

An error E of the Gram matrix costs |E|^2 / 4 nats, next to nothing beside a picture's reconstruction, so gradients are
slow to find the latents' scale and slower to turn them. On average over the data the best map is known.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from radogaga.method.jacobians import gram
from radogaga.method.objective import RateDistortion
from radogaga.method.training.data import Dataset, map_rows

_EXPECTED = "Expected an encoder that ends in a linear layer and a decoder that begins with one."
_LEAST = 1e-12
_LEAST_SHARE = 1e-8
_MOST_GRAMS = 500
_TO_TRY, _TOLERANCE = 8, 1e-3


@torch.no_grad()
def set_latent_scale(model: RateDistortion, x: Tensor) -> None:
    """Set each latent's gain so that its diagonal of J'AJ over some pictures is on average what theory has it.

    With gain k instead of 1 the diagonal d becomes d / k^2 and the variance v becomes v k^2, so that under a noisy
    rate d / k^2 = v k^2 / (v k^2 + s2), times the constant. What the model rebuilds stays the same, and its prior has
    to be fitted anew.

    Parameters
    ----------
    model : RateDistortion
        A trained model.
    x : Tensor
        Pictures or rows that it was trained on, ``(n, ...)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, GaussianNoise, Normal, RateDistortion, ResidualMLP, Scaling, SquaredError
    >>> from radogaga import set_latent_scale, measure_isometry, initialize_pca
    >>> x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> autoencoder = Autoencoder(ResidualMLP(3, 2), ResidualMLP(2, 3), 2, Scaling(3))
    >>> initialize_pca(autoencoder, x)
    >>> autoencoder.set_gain(torch.tensor([1.0, 7.0]))
    >>> model = RateDistortion(autoencoder, Normal(2), SquaredError(), GaussianNoise(std=0.1), noisy_rate=False)
    >>> set_latent_scale(model, x)
    >>> [round(value, 4) for value in measure_isometry(model, x).diagonal.tolist()]
    [1.0, 1.0]
    """
    z = model.autoencoder.encode(x)
    diagonal = _mean_gram(model, z).diagonal()
    factor = diagonal.clamp_min(_LEAST).sqrt()
    model.autoencoder.multiply_gain(factor * _stretch(model, z.var(0) * diagonal))


@torch.no_grad()
def align(model: RateDistortion, x: Tensor | Dataset) -> None:
    """Turn and scale the latents so that J'AJ is on average what theory has it, off its diagonal as well as on it.

    ::

        B = K R' M^(1/2),    M^(1/2) C M^(1/2) = R L R',    z -> B z,    J'AJ -> B^-T J'AJ B^-1

    with M the mean of J'AJ times the constant, C the latents' covariance and K the gains that `set_latent_scale` sets.
    Among all linear maps of normal latents it is the one under which rate and isometry term are least together, and
    latents become principal components: uncorrelated, the one with the largest variance first. What the model rebuilds
    stays the same, and its prior has to be fitted anew.

    Parameters
    ----------
    model : RateDistortion
        A trained model whose encoder ends in a `torch.nn.Linear` and whose decoder begins with one.
    x : Tensor
        Pictures or rows that it was trained on, ``(n, ...)``: the covariance is that of all, the metric that of 500.

    Raises
    ------
    TypeError
        If the encoder does not end or the decoder not begin in a linear layer.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, MLP, GaussianNoise, Normal, RateDistortion, Scaling, SquaredError, align
    >>> from radogaga import measure_isometry
    >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> autoencoder = Autoencoder(MLP([4, 2]), MLP([2, 4]), 2, Scaling(4))
    >>> model = RateDistortion(autoencoder, Normal(2), SquaredError(), GaussianNoise(std=0.1))
    >>> align(model, x)
    >>> isometry = measure_isometry(model, x)
    >>> bool((isometry.diagonal - isometry.prediction).abs().max() < 0.02), isometry.off_rms < 1e-3
    (True, True)
    """
    autoencoder = model.autoencoder
    last, first = _linear(autoencoder.encoder, -1), _linear(autoencoder.decoder, 0)
    if not last.out_features == first.in_features == autoencoder.latents:
        raise TypeError(_EXPECTED)
    device = autoencoder.log_gain.device
    z = map_rows(autoencoder.encode, x, device)
    turn = _best_map(model, z)
    back = torch.linalg.inv(turn)
    few = z[:_TO_TRY]
    wanted, rebuilt = few @ turn.T.to(z), autoencoder.decode(few)
    changed = [*last.parameters(), first.weight]
    old = [parameter.clone() for parameter in changed]
    gain = autoencoder.gain.double()
    for parameter in last.parameters():
        parameter.copy_((turn * gain / gain[:, None]) @ parameter.double())
    first.weight.copy_(first.weight.double() @ (back * gain / gain[:, None]))
    again = autoencoder.encode(x[:_TO_TRY].to(device)), autoencoder.decode(wanted)
    if not (_agree(again[0], wanted) and _agree(again[1], rebuilt)):
        for weight, before in zip(changed, old, strict=True):
            weight.copy_(before)
        raise TypeError(_EXPECTED)


def _best_map(model: RateDistortion, z: Tensor) -> Tensor:
    """Return B of `align`, in double precision, ``(N, N)``."""
    some = z[torch.linspace(0, len(z) - 1, min(len(z), _MOST_GRAMS)).long()]
    strength, axes = torch.linalg.eigh(_mean_gram(model, some).double())
    # Along directions that no decoder uses the metric is all but 0: without a bound there would be no way back.
    root = (axes * strength.clamp_min(_LEAST_SHARE * float(strength[-1])).sqrt()) @ axes.T
    variance, turn = torch.linalg.eigh(root @ z.double().T.cov() @ root)
    variance, turn = variance.flip(0), turn.flip(1)
    return _stretch(model, variance)[:, None] * (turn.T @ root)


def _linear(network: nn.Module, place: int) -> nn.Linear:
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise TypeError(_EXPECTED)
    return layers[place]


def _agree(found: Tensor, wanted: Tensor) -> bool:
    return found.shape == wanted.shape and bool((found - wanted).abs().max() <= _TOLERANCE * wanted.abs().max())


def _mean_gram(model: RateDistortion, z: Tensor) -> Tensor:
    return gram(model.autoencoder.decode_scaled, model.distortion, z).mean(0) * model.constant


def _stretch(model: RateDistortion, variance: Tensor) -> Tensor:
    """Return the factor for latents of unit diagonal that makes it v / (v + s2), of their variances ``(N,)``."""
    if not model.noisy_rate:
        return torch.ones_like(variance)
    return ((1 + (1 + 4 * model.noise.variance / variance.clamp_min(_LEAST)).sqrt()) / 2).sqrt()
