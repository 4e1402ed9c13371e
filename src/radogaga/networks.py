"""Encoders, decoders and the pair of them.

A layer stack is any `torch.nn.Module` from ``(B, M)`` to ``(B, N)``; those here are the ones that the experiments use.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from radogaga.errors import InputError
from radogaga.scaling import Scaling
from radogaga.spectrum import leading_axes
from radogaga.tangents import nearer


class Dense(nn.Sequential):
    """Fully connected layers with an activation between them and none after the last.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input, of each hidden layer and of the output.
    activation : type
        Class of the activation, made anew without arguments between layers.
    dropout : float
        Share of the activations that is dropped in training, after each activation.

    Examples
    --------
    >>> from radogaga import Dense
    >>> Dense([16, 8, 3])
    Dense(
      (0): Linear(in_features=16, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=3, bias=True)
    )
    """

    def __init__(self, sizes: Sequence[int], activation: type[nn.Module] = nn.Tanh, dropout: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for width, following in pairwise(sizes):
            layers.append(nn.Linear(width, following))
            layers.append(activation())
            if dropout:
                layers.append(nn.Dropout(dropout))
        super().__init__(*layers[: -2 if dropout else -1])
        self.sizes = list(sizes)
        self.activation = activation
        self.dropout = dropout


class Residual(nn.Module):
    """A linear map plus fully connected layers that start at zero, W x + b + h(x).

    A pair of these that starts as PCA is exactly isometric on the principal subspace before the first step.

    Parameters
    ----------
    inputs, outputs : int
        Width of the input and of the output.
    hidden : sequence of int
        Widths of the hidden layers of h.
    activation : type
        Class of h's activation.
    dropout : float
        Share of h's activations that is dropped in training.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Residual
    >>> layer = Residual(16, 3)
    >>> x = torch.ones(1, 16)
    >>> torch.equal(layer(x), layer.linear(x))
    True
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (128, 128),
        activation: type[nn.Module] = nn.SiLU,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.hidden = list(hidden)
        self.activation = activation
        self.dropout = dropout
        self.linear = nn.Linear(inputs, outputs)
        self.correction = Dense([inputs, *hidden, outputs], activation, dropout)
        last = self.correction[-1]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b + h(x), ``(B, inputs) -> (B, outputs)``."""
        out: Tensor = self.linear(x) + self.correction(x)
        return out


class Autoencoder(nn.Module):
    """Scaling, encoder, a gain for each latent, decoder.

    ::

        x --scaling--> s --encoder--> * gain --> z --> / gain --decoder--> s^ --inverse scaling--> x^

    The scale of the latents is what the objective fixes and what a network is slowest to find, so each latent has a
    gain of its own, exp(5 g): the factor 5 lets Adam move it five times as fast as a weight.

    Parameters
    ----------
    encoder, decoder : torch.nn.Module
        From scaled rows ``(B, M)`` to latents ``(B, N)`` and back.
    latents : int
        Number of latents, N.
    scaling : Scaling
        From raw rows to scaled rows.
    projections : int
        How many steps of `radogaga.tangents.nearer` the encoder's latents go on, once trained: an encoder of rows that
        it has not seen is not quite at the nearest point of the decoder's manifold, and near isometry one step is.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, Dense, Scaling
    >>> x = torch.randn(8, 4)
    >>> model = Autoencoder(Dense([4, 2]), Dense([2, 4]), latents=2, scaling=Scaling.standard(x))
    >>> model.encode(x).shape, model.decode(model.encode(x)).shape
    (torch.Size([8, 2]), torch.Size([8, 4]))
    """

    _GAIN_RATE = 5.0

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, latents: int, scaling: Scaling, projections: int = 0
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.latents = latents
        self.scaling = scaling
        self.projections = projections
        self.log_gain = nn.Parameter(torch.zeros(latents))

    @property
    def gain(self) -> Tensor:
        """The factor between the encoder's outputs and the latents, ``(N,)``."""
        return (self._GAIN_RATE * self.log_gain).exp()

    @torch.no_grad()
    def set_gain(self, gain: Tensor) -> None:
        """Set the factor between the encoder's outputs and the latents, positive, ``(N,)``."""
        self.log_gain.copy_(gain.log() / self._GAIN_RATE)

    @torch.no_grad()
    def multiply_gain(self, factor: Tensor) -> None:
        """Multiply the latents, by a positive factor each, ``(N,)``; reconstructions stay the same."""
        self.log_gain.add_(factor.log() / self._GAIN_RATE)

    def encode_scaled(self, s: Tensor) -> Tensor:
        """Return the latents of scaled rows, in training as the encoder alone gives them."""
        z: Tensor = self.encoder(s) * self.gain
        for _ in range(0 if self.training else self.projections):
            z = nearer(self.decode_scaled, s, z)
        return z

    def decode_scaled(self, z: Tensor) -> Tensor:
        """Return the scaled rows of latents."""
        s: Tensor = self.decoder(z * (-self._GAIN_RATE * self.log_gain).exp())
        return s

    def encode(self, x: Tensor) -> Tensor:
        """Return the latents of raw rows, ``(B, M) -> (B, N)``."""
        return self.encode_scaled(self.scaling(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return the raw rows of latents, ``(B, N) -> (B, M)``."""
        return self.scaling.inverse(self.decode_scaled(z))


def start_as_pca(autoencoder: Autoencoder, x: Tensor) -> None:
    """Set an autoencoder of two networks that start linear to PCA of the rows, its leading components in order.

    Parameters
    ----------
    autoencoder : Autoencoder
        Its encoder and decoder are `Residual`, `LinearPlus` or your own with a `linear` part, untrained.
    x : Tensor
        Raw rows, ``(n, M)``, or pictures, ``(n, C, H, W)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, Residual, Scaling, start_as_pca
    >>> x = torch.randn(50, 2) @ torch.randn(2, 5)
    >>> model = Autoencoder(Residual(5, 2), Residual(2, 5), latents=2, scaling=Scaling.root_mean_square(x))
    >>> start_as_pca(model, x)
    >>> torch.allclose(model.decode(model.encode(x)), x, atol=1e-4)
    True
    """
    encode, decode = _linear_part(autoencoder.encoder), _linear_part(autoencoder.decoder)
    if len(x) <= autoencoder.latents:
        raise InputError(
            f"Expected more rows than the {autoencoder.latents} latents; got {len(x)}. Pass more rows or fewer latents."
        )
    with torch.no_grad():
        centre, axes, _ = leading_axes(autoencoder.scaling(x).flatten(1), autoencoder.latents)
        encode.weight.copy_(axes)
        encode.bias.copy_(-axes @ centre)
        decode.weight.copy_(axes.T)
        decode.bias.copy_(centre)


def _linear_part(network: nn.Module) -> nn.Linear:
    linear = getattr(network, "linear", None)
    if not isinstance(linear, nn.Linear):
        raise TypeError(f"Expected a network with a linear part, as Residual has; got {type(network).__name__}.")
    return linear
