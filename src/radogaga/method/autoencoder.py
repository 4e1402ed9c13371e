"""The autoencoder: scaling, encoder, a gain for each latent, decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from radogaga.method.jacobians import gauss_newton_step
from radogaga.method.scaling import Scaling


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
        How many steps of `radogaga.tangents.gauss_newton_step` the encoder's latents go on, once trained: an encoder of rows that
        it has not seen is not quite at the nearest point of the decoder's manifold, and near isometry one step is.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, MLP, Scaling
    >>> x = torch.randn(8, 4)
    >>> model = Autoencoder(MLP([4, 2]), MLP([2, 4]), latents=2, scaling=Scaling.standard(x))
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
            z = gauss_newton_step(self.decode_scaled, s, z)
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

    def residual(self, x: Tensor) -> Tensor:
        """Return what the autoencoder leaves of raw rows, s - s^ in scaled units, ``(B, M) -> (B, M)``."""
        s = self.scaling(x)
        return s - self.decode_scaled(self.encode_scaled(s))
