"""Initializations that are isometric before the first step: PCA, and PCA under a distortion's mean metric."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from radogaga._utils.linalg import pca
from radogaga.errors import InputError
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.distortions.distortion import Distortion
from radogaga.method.jacobians import gram
from radogaga.method.networks.pca_networks import PCADecoder, PCAEncoder

_PICTURES_FOR_METRIC = 32


def initialize_pca(autoencoder: Autoencoder, x: Tensor) -> None:
    """Set an autoencoder of two linear networks to PCA: latents are the leading components in order.

    Parameters
    ----------
    autoencoder : Autoencoder
        Untrained; its encoder and decoder are `ResidualMLP`, `LinearSkip` or classes of your own with a `linear` part.
    x : Tensor
        Raw rows, ``(n, M)``, or pictures, ``(n, C, H, W)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, ResidualMLP, Scaling, initialize_pca
    >>> x = torch.randn(50, 2) @ torch.randn(2, 5)
    >>> model = Autoencoder(ResidualMLP(5, 2), ResidualMLP(2, 5), latents=2, scaling=Scaling.root_mean_square(x))
    >>> initialize_pca(model, x)
    >>> torch.allclose(model.decode(model.encode(x)), x, atol=1e-4)
    True
    """
    encode, decode = _linear_part(autoencoder.encoder), _linear_part(autoencoder.decoder)
    if len(x) <= autoencoder.latents:
        raise InputError(
            f"Expected more rows than the {autoencoder.latents} latents; got {len(x)}. Pass more rows or fewer latents."
        )
    with torch.no_grad():
        centre, axes, _ = pca(autoencoder.scaling(x).flatten(1), autoencoder.latents)
        encode.weight.copy_(axes)
        encode.bias.copy_(-axes @ centre)
        decode.weight.copy_(axes.T)
        decode.bias.copy_(centre)


def _linear_part(network: nn.Module) -> nn.Linear:
    linear = getattr(network, "linear", None)
    if not isinstance(linear, nn.Linear):
        raise TypeError(f"Expected a network with a linear part, as ResidualMLP has; got {type(network).__name__}.")
    return linear


@torch.no_grad()
def initialize_metric_pca(autoencoder: Autoencoder, x: Tensor, distortion: Distortion, *, seed: int = 0) -> Tensor:
    """Set an autoencoder to PCA under a distortion's mean metric, and return the variance along each latent.

    With U the leading axes of the pictures, V their variances and G the mean of U A(x) U' over reconstructed pictures,
    the latents are the leading eigenvectors of V^(1/2) G V^(1/2) and their variances its eigenvalues. Under squared
    error that is PCA. Under any distortion the mean of J'AJ is the identity before the first step.

    Parameters
    ----------
    autoencoder : Autoencoder
        Untrained, of a `PCAEncoder` and a `PCADecoder`.
    x : Tensor
        Pictures, ``(n, C, H, W)``, n above the number of axes.
    distortion : Distortion
        The metric A.
    seed : int
        Seed of the search for the axes, see `radogaga._utils.linalg.pca`.

    Returns
    -------
    Tensor
        Variance along each latent in the distortion's units, ``(N,)``, largest first.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, PCADecoder, PCAEncoder, Scaling, SquaredError
    >>> from radogaga.method.initialization import initialize_metric_pca
    >>> x = torch.randn(60, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> size = {"latents": 4, "shape": (1, 6, 6), "axes": 10}
    >>> autoencoder = Autoencoder(PCAEncoder(**size), PCADecoder(**size), 4, Scaling(1))
    >>> variance = initialize_metric_pca(autoencoder, x, SquaredError())
    >>> torch.allclose(autoencoder.encode(x).var(0, correction=0), variance, rtol=1e-3)
    True
    """
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    if not (isinstance(encoder, PCAEncoder) and isinstance(decoder, PCADecoder)):
        raise TypeError(
            f"Expected a PCAEncoder and a PCADecoder; got {type(encoder).__name__} and {type(decoder).__name__}."
        )
    if len(x) <= encoder.axes:
        raise InputError(f"Expected more pictures than the {encoder.axes} axes; got {len(x)}. Pass more or fewer axes.")
    s = autoencoder.scaling(x).flatten(1)
    centre, axes, variances = pca(s, encoder.axes, seed=seed)
    deviations = variances.sqrt().clamp_min(1e-6 * float(variances[0].sqrt()))
    encoder.project.weight.copy_(axes / deviations[:, None])
    encoder.project.bias.copy_(-encoder.project.weight @ centre)
    decoder.expand.weight.copy_(axes.T * deviations)
    decoder.expand.bias.copy_(centre)
    turn, strength = _metric_axes(decoder, s[:_PICTURES_FOR_METRIC] - centre, axes, distortion)
    latents = autoencoder.latents
    for linear, weight in ((encoder.inner.linear, turn[:, :latents].T), (decoder.inner.linear, turn[:, :latents])):
        linear.weight.copy_(weight)
        linear.bias.zero_()
    autoencoder.set_gain(strength[:latents].sqrt())
    return strength[:latents]


def _metric_axes(decoder: PCADecoder, s: Tensor, axes: Tensor, distortion: Distortion) -> tuple[Tensor, Tensor]:
    """Return eigenvectors (columns) and eigenvalues of the mean metric on unit coordinates, largest first."""
    # At the pictures' reconstructions from N latents, where training takes the metric.
    kept = torch.arange(decoder.axes, device=s.device) < decoder.latents
    scale = decoder.expand.weight.norm(dim=0)
    coordinates = (s @ axes.T) / scale * kept
    mean = torch.stack([gram(decoder.picture, distortion, part).mean(0) for part in coordinates.split(8)]).mean(0)
    strength, turn = torch.linalg.eigh(mean.double())
    order = strength.argsort(descending=True)
    return turn[:, order].to(s.dtype), strength[order].to(s.dtype)
