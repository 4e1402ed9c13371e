"""Linear maps of trained latents to the optimum of the objective, in closed form.

An error E of the Gram matrix costs |E|^2 / 4 nats, almost nothing beside the reconstruction of a picture, so gradients
are slow to find the latents' scale and slower to rotate them. On average over the data the best map is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from radogaga.method.jacobians import gram
from radogaga.method.networks.layers import first_layer, last_layer
from radogaga.method.objective import RateDistortion
from radogaga.method.priors.prior import FitPrior
from radogaga.method.training.data import Dataset, map_rows
from radogaga.method.training.loop import encode

_EXPECTED = "Expected an encoder that ends in a linear layer and a decoder that begins with one."
_MIN_VARIANCE = 1e-12
_MIN_SHARE = 1e-8
_MAX_GRAMS = 500
_ROWS_TO_CHECK, _TOLERANCE = 8, 1e-3


@torch.no_grad()
def set_latent_scale(model: RateDistortion, x: Tensor, *, fit_prior: FitPrior | None = None) -> None:
    """Set each latent's gain so that its mean diagonal entry of J'AJ is that of the objective's optimum.

    A gain of k turns the diagonal d into d / k^2 and the variance v into v k^2, so the optimum under a noisy rate is
    d / k^2 = v k^2 / (v k^2 + s2), d times the constant. Reconstructions stay the same, and the prior is fitted to the
    new latents.

    Parameters
    ----------
    model : RateDistortion
        A trained model; it is changed in place.
    x : Tensor
        Training rows or pictures, ``(n, ...)``.
    fit_prior : callable, optional
        Latents ``(n, N)`` to the model's new prior; by default `Prior.refit` of the present one.

    Raises
    ------
    TypeError
        If no `fit_prior` is passed for a prior of your own that has no `refit`. The model stays as it was then.

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
    factor = diagonal.clamp_min(_MIN_VARIANCE).sqrt()
    with _unchanged_on_error([model.autoencoder.log_gain]):
        model.autoencoder.multiply_gain(factor * _stretch(model, z.var(0) * diagonal))
        _fit_prior(model, x, fit_prior)


@torch.no_grad()
def align(model: RateDistortion, x: Tensor | Dataset, *, fit_prior: FitPrior | None = None) -> None:
    """Rotate and scale the latents so that the mean of J'AJ is that of the objective's optimum, all entries of it.

    ::

        B = K R' M^(1/2),    M^(1/2) C M^(1/2) = R L R',    z -> B z,    J'AJ -> B^-T J'AJ B^-1

    with M the mean of J'AJ times the constant, C the latents' covariance and K the gains that `set_latent_scale` sets.
    Of all linear maps of normal latents it is the one with the least sum of rate and isometry term, and latents become
    principal components: uncorrelated, the one with the largest variance first. Reconstructions stay the same, and the
    prior is fitted to the new latents.

    Parameters
    ----------
    model : RateDistortion
        A trained model whose encoder ends in a `torch.nn.Linear` and whose decoder begins with one; it is changed in
        place.
    x : Tensor or Dataset
        Training rows or pictures, ``(n, ...)``: the covariance is that of all, the metric that of 500.
    fit_prior : callable, optional
        Latents ``(n, N)`` to the model's new prior; by default `Prior.refit` of the present one.

    Raises
    ------
    TypeError
        If the encoder does not end or the decoder not begin in a linear layer, or no `fit_prior` is passed for a prior
        of your own that has no `refit`. The model stays as it was then.

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
    last, first = last_layer(autoencoder.encoder, nn.Linear), first_layer(autoencoder.decoder, nn.Linear)
    if not last.out_features == first.in_features == autoencoder.latents:
        raise TypeError(_EXPECTED)
    device = autoencoder.log_gain.device
    z = map_rows(autoencoder.encode, x, device)
    turn = _best_map(model, z)
    few = z[:_ROWS_TO_CHECK]
    turned, rebuilt = few @ turn.T.to(z), autoencoder.decode(few)
    gain = autoencoder.gain.double()
    with _unchanged_on_error([*last.parameters(), first.weight]):
        for parameter in last.parameters():
            parameter.copy_((turn * gain / gain[:, None]) @ parameter.double())
        first.weight.copy_(first.weight.double() @ (torch.linalg.inv(turn) * gain / gain[:, None]))
        again = autoencoder.encode(x[:_ROWS_TO_CHECK].to(device)), autoencoder.decode(turned)
        if not (_agree(again[0], turned) and _agree(again[1], rebuilt)):
            raise TypeError(_EXPECTED)
        _fit_prior(model, x, fit_prior)


@contextmanager
def _unchanged_on_error(parameters: Sequence[Tensor]) -> Iterator[None]:
    old = [parameter.clone() for parameter in parameters]
    try:
        yield
    except BaseException:
        for parameter, before in zip(parameters, old, strict=True):
            parameter.copy_(before)
        raise


def _fit_prior(model: RateDistortion, x: Tensor | Dataset, fit_prior: FitPrior | None) -> None:
    z = encode(model, x)
    with torch.enable_grad():
        prior = model.prior.refit(z, model.noise) if fit_prior is None else fit_prior(z)
    model.prior = prior.to(z.device).train(model.prior.training)


def _best_map(model: RateDistortion, z: Tensor) -> Tensor:
    """Return B of `align`, in double precision, ``(N, N)``."""
    some = z[torch.linspace(0, len(z) - 1, min(len(z), _MAX_GRAMS)).long()]
    strength, axes = torch.linalg.eigh(_mean_gram(model, some).double())
    # In directions that the decoder does not use the metric is almost 0: without a bound B would have no inverse.
    root = (axes * strength.clamp_min(_MIN_SHARE * float(strength[-1])).sqrt()) @ axes.T
    variance, turn = torch.linalg.eigh(root @ z.double().T.cov() @ root)
    variance, turn = variance.flip(0), turn.flip(1)
    return _stretch(model, variance)[:, None] * (turn.T @ root)


def _agree(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())


def _mean_gram(model: RateDistortion, z: Tensor) -> Tensor:
    return gram(model.autoencoder.decode_scaled, model.distortion, z).mean(0) * model.constant


def _stretch(model: RateDistortion, variance: Tensor) -> Tensor:
    """Return the gains that take a diagonal of 1 to v / (v + s2), for latents of variances v ``(N,)``."""
    if not model.noisy_rate:
        return torch.ones_like(variance)
    return ((1 + (1 + 4 * model.noise.variance / variance.clamp_min(_MIN_VARIANCE)).sqrt()) / 2).sqrt()
