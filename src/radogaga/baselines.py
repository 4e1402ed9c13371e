"""Other methods' objectives on the same parts: DAGMM, beta-VAE."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from radogaga.distortion import Distortion
from radogaga.networks import Autoencoder
from radogaga.objective import Terms, residual_features
from radogaga.priors import EstimatedMixture
from radogaga.priors.gaussians import mixture_log_prob, robust_cholesky
from radogaga.storage import save


class DAGMM(nn.Module):
    """A deep autoencoding Gaussian mixture model: an autoencoder and a mixture of its latents, trained together.

    L = |s - s^|^2 + l1 E(c) + l2 sum_k sum_j 1 / Sigma_k,jj, with c the latents, joined by two residual features
    |s - s^| / |s| and cos(s, s^) if these are in use, and E = -log P(c) under an estimation network's mixture. The
    scale of the latents is free, so E is no density of the data: that is what it is here to be compared by.

    Parameters
    ----------
    autoencoder : Autoencoder
        Scaling, encoder and decoder; its gains stay 1.
    prior : EstimatedMixture
        Over the latents, plus two if residual features are in use.
    energy_weight : float
        l1.
    covariance_weight : float
        l2; .005 in the paper, 1e-4 in the widely used implementation.
    with_residual : bool
        Whether the two features of the reconstruction are joined to the latents.

    References
    ----------
    Zong et al., "Deep autoencoding Gaussian mixture model for unsupervised anomaly detection", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from radogaga import DAGMM, Autoencoder, Dense, EstimatedMixture, Scaling, fit
    >>> x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    >>> autoencoder = Autoencoder(Dense([6, 2]), Dense([2, 6]), latents=2, scaling=Scaling.min_max(x))
    >>> model = DAGMM(autoencoder, EstimatedMixture(latents=4, components=2), with_residual=True)
    >>> history = fit(model, x, steps=10)
    >>> model.fit_statistics(x)
    >>> model.log_prob(x).shape
    torch.Size([200])
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        prior: EstimatedMixture,
        *,
        energy_weight: float = 0.1,
        covariance_weight: float = 0.005,
        with_residual: bool = True,
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.autoencoder.log_gain.requires_grad_(False)
        self.prior = prior
        self.energy_weight = energy_weight
        self.covariance_weight = covariance_weight
        self.with_residual = with_residual

    def forward(self, x: Tensor) -> Terms:
        """Return the terms of raw rows, the mixture's energy and penalty under ``rate``."""
        s, reconstructed, features = self._features(x)
        with torch.autocast(s.device.type, enabled=False):  # no Cholesky factor survives rounding to 16 bits
            # One draw of the estimation network's dropout serves both.
            weights, means, covariances = self.prior.batch_parameters(features)
            energy = -mixture_log_prob(features, weights, means, robust_cholesky(covariances))
        penalty = (1 / covariances.diagonal(dim1=1, dim2=2)).sum()
        return Terms(
            rate=self.energy_weight * energy + self.covariance_weight * penalty,
            reconstruction=(s - reconstructed).square().sum(1),
            isometry=torch.zeros_like(energy),
        )

    def features(self, x: Tensor) -> Tensor:
        """Return what the mixture sees of raw rows, ``(B, M) -> (B, N)`` or ``(B, N + 2)``."""
        return self._features(x)[2]

    @torch.no_grad()
    def log_prob(self, x: Tensor, batch_size: int = 8192) -> Tensor:
        """Return minus the energy of raw rows, ``(n, M) -> (n,)``; higher is more normal."""
        return torch.cat([self.prior.log_prob(self.features(part)) for part in x.split(batch_size)])

    @torch.no_grad()
    def fit_statistics(self, x: Tensor, batch_size: int = 8192) -> None:
        """Set the mixture to its exact moments over raw rows."""
        self.prior.fit_statistics(self.features(part) for part in x.split(batch_size))

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of safetensors and JSON."""
        save(self, folder)

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        s = self.autoencoder.scaling(x)
        z = self.autoencoder.encode_scaled(s)
        reconstructed = self.autoencoder.decode_scaled(z).to(s.dtype)
        if self.with_residual:
            z = torch.cat([z, residual_features(s, reconstructed)], 1)
        return s, reconstructed, z


class BetaVAE(nn.Module):
    """A variational autoencoder whose distortion has a weight, b.

    ::

        x --encoder--> mean, log variance     rate            KL(N(mean, variance) | N(0, I))
        mean --g--> x^                        reconstruction  b D(x, x^)     if decomposed, else b D(x, x~)
        mean + deviation e --g--> x~          isometry        b D(x^, x~)    if decomposed, else 0

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
    decomposed : bool
        Whether the distortion is split at x^, as the authors of RaDOGAGA train it.

    References
    ----------
    Higgins et al., "beta-VAE: learning basic visual concepts with a constrained variational framework", ICLR 2017.
    Nakagawa, Kato, Suzuki, "Quantitative understanding of VAE as a non-linearly scaled isometric embedding", ICML 2021.

    Examples
    --------
    >>> import torch
    >>> from radogaga import BetaVAE, Dense, SquaredError
    >>> model = BetaVAE(Dense([5, 4]), Dense([2, 5]), SquaredError(), weight=10.0)
    >>> model(torch.randn(8, 5)).total.shape
    torch.Size([8])
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        distortion: Distortion,
        weight: float,
        decomposed: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.distortion = distortion
        self.weight = weight
        self.decomposed = decomposed

    def forward(self, x: Tensor) -> Terms:
        """Return the terms of rows, ``(B, ...) -> 3 x (B,)``."""
        mean, deviation = self.encode(x)
        noisy = mean + deviation * torch.randn_like(mean)
        points = torch.cat([mean, noisy]) if self.decomposed else noisy
        decoded = self.decoder(points).to(x.dtype)
        with torch.autocast(x.device.type, enabled=False):
            rate = divergence(mean, deviation)
            if not self.decomposed:
                return Terms(rate, self.weight * self.distortion(x, decoded), torch.zeros_like(rate))
            reconstructed, perturbed = decoded.chunk(2)
            return Terms(
                rate=rate,
                reconstruction=self.weight * self.distortion(x, reconstructed),
                isometry=self.weight * self.distortion(reconstructed, perturbed),
            )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return each row's posterior mean and standard deviation, ``(B, ...) -> (B, N), (B, N)``."""
        mean, log_variance = self.encoder(x).to(x.dtype).chunk(2, 1)
        # Beyond these a posterior is a point or the prior, and one wild batch would end the training.
        return mean, (0.5 * log_variance.clamp(-20, 20)).exp()

    def save(self, folder: str | Path) -> None:
        """Write the model as a folder of safetensors and JSON."""
        save(self, folder)


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return KL(N(mean, deviation^2) | N(0, I)) of each row in nats, ``(B, N), (B, N) -> (B,)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga.baselines import divergence
    >>> divergence(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2))
    tensor([0.5000])
    """
    return (0.5 * (mean.square() + deviation.square() - 1) - deviation.log()).sum(1)
