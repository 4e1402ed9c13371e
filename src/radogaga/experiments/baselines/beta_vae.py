"""The beta-VAE, as it is commonly trained and as the authors of RaDOGAGA train it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from radogaga._utils.storage import save
from radogaga.method.distortions.distortion import Distortion
from radogaga.method.objective import Terms
from radogaga.method.training.distributed import random_rows


class BetaVAE(nn.Module):
    """A variational autoencoder whose distortion has a weight, b.

    ::

        x --encoder--> mean, log variance     rate            KL(N(mean, variance) | N(0, I))
        mean + deviation e --g--> x~          reconstruction  b D(x, x~)

    Its latents are isometric only after each is divided by its posterior deviation, at weak noise: then
    2 b (J' A J)_jj deviation_j^2 = 1 at the optimum.

    Parameters
    ----------
    encoder : torch.nn.Module
        From ``(B, ...)`` to means and log variances, ``(B, 2 N)``.
    decoder : torch.nn.Module
        From ``(B, N)`` to ``(B, ...)``.
    distortion : Distortion
        D.
    weight : float
        b.

    References
    ----------
    Higgins et al., "beta-VAE: learning basic visual concepts with a constrained variational framework", ICLR 2017.
    Nakagawa, Kato, Suzuki, "Quantitative understanding of VAE as a non-linearly scaled isometric embedding", ICML 2021.

    Examples
    --------
    >>> import torch
    >>> from radogaga import MLP, BetaVAE, SquaredError
    >>> model = BetaVAE(MLP([5, 4]), MLP([2, 5]), SquaredError(), weight=10.0)
    >>> model(torch.randn(8, 5)).total.shape
    torch.Size([8])
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, distortion: Distortion, weight: float) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.distortion = distortion
        self.weight = weight

    def forward(self, x: Tensor) -> Terms:
        """Return the terms of rows, ``(B, ...) -> 3 x (B,)``."""
        mean, deviation = self.encode(x)
        decoded = self.decoder(mean + deviation * random_rows(torch.randn_like, mean)).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            rate = divergence(mean, deviation)
            return Terms(rate, self.weight * self.distortion(x, decoded), torch.zeros_like(rate))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return each row's posterior mean and standard deviation, ``(B, ...) -> (B, N), (B, N)``."""
        mean, log_variance = self.encoder(x).to(x.dtype).chunk(2, 1)
        # Beyond these a posterior is a point or the prior, and one extreme batch would end the training.
        return mean, (0.5 * log_variance.clamp(-20, 20)).exp()

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of safetensors and JSON."""
        save(self, folder)


class DecomposedBetaVAE(BetaVAE):
    """A `BetaVAE` whose distortion is split at the reconstruction, as the authors of RaDOGAGA train their baseline.

    With x^ = g(mean) and x~ = g(mean + deviation e), the reconstruction term is b D(x, x^) and the isometry term
    b D(x^, x~).
    """

    def forward(self, x: Tensor) -> Terms:
        """Return the terms of rows, ``(B, ...) -> 3 x (B,)``."""
        mean, deviation = self.encode(x)
        points = torch.cat([mean, mean + deviation * random_rows(torch.randn_like, mean)])
        reconstructed, perturbed = self.decoder(points).to(x.dtype).chunk(2)
        with torch.autocast(x.device.type, enabled=False):
            return Terms(
                rate=divergence(mean, deviation),
                reconstruction=self.weight * self.distortion(x, reconstructed),
                isometry=self.weight * self.distortion(reconstructed, perturbed),
            )


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return KL(N(mean, deviation^2) | N(0, I)) of each row in nats, ``(B, N), (B, N) -> (B,)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga.experiments.baselines.beta_vae import divergence
    >>> divergence(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2))
    tensor([0.5000])
    """
    return (0.5 * (mean.square() + deviation.square() - 1) - deviation.log()).sum(1)
