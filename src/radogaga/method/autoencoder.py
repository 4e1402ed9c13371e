"""The autoencoder: scaling, encoder, a gain for each latent, decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from radogaga.errors import InputError
from radogaga.method.jacobians import gauss_newton_step
from radogaga.method.scaling import Scaling

_MAX_PROJECTIONS = 1000


class Autoencoder(nn.Module):
    """Scaling, encoder, a gain for each latent, decoder.

    ::

        x --scaling--> s --encoder--> * gain --> z --> / gain --decoder--> s^ --inverse scaling--> x^

    The objective fixes the scale of the latents, which networks are slow to learn. So each latent has its own gain,
    exp(5 g): the factor 5 makes Adam change it five times as fast as a weight.

    Parameters
    ----------
    encoder, decoder : torch.nn.Module
        From scaled rows ``(B, M)`` to latents ``(B, N)`` and back.
    latents : int
        Number of latents, N.
    scaling : Scaling
        From raw rows to scaled rows.
    projections : int
        Gauss-Newton steps after the encoder in evaluation mode, see `radogaga.method.jacobians.gauss_newton_step`. An
        encoder does not map new rows quite to the nearest point on the decoder's manifold; near isometry one step does.

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
        if projections not in range(_MAX_PROJECTIONS):
            raise InputError(f"Expected projections below {_MAX_PROJECTIONS}; got {projections!r}. A few are enough.")
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
        """Return the latents of scaled rows, ``(B, M) -> (B, N)``; in training mode without projections."""
        z: Tensor = self.encoder(s) * self.gain
        for _ in range(0 if self.training else self.projections):
            z = gauss_newton_step(self.decode_scaled, s, z)
        return z

    def decode_scaled(self, z: Tensor) -> Tensor:
        """Return the scaled rows of latents, ``(B, N) -> (B, M)``."""
        s: Tensor = self.decoder(z * (-self._GAIN_RATE * self.log_gain).exp())
        return s

    def encode(self, x: Tensor) -> Tensor:
        """Return the latents of raw rows, ``(B, M) -> (B, N)``."""
        return self.encode_scaled(self.scaling(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return the raw rows of latents, ``(B, N) -> (B, M)``."""
        return self.scaling.inverse(self.decode_scaled(z))

    def residual(self, x: Tensor) -> Tensor:
        """Return the residual s - s^ of raw rows, in scaled units, ``(B, M) -> (B, M)``."""
        s = self.scaling(x)
        return s - self.decode_scaled(self.encode_scaled(s))
