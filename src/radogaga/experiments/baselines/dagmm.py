"""DAGMM, the deep autoencoding Gaussian mixture model."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from radogaga._utils.linalg import robust_cholesky
from radogaga._utils.storage import save
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.objective import Terms
from radogaga.method.prior_features import PriorFeatures, ResidualFeatures
from radogaga.method.priors.estimated_mixture import EstimatedMixture
from radogaga.method.priors.gaussians import mixture_log_prob


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
    prior_features : ResidualFeatures or LatentFeatures, optional
        Whether the two features of the reconstruction are joined to the latents; by default they are.

    References
    ----------
    Zong et al., "Deep autoencoding Gaussian mixture model for unsupervised anomaly detection", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from radogaga import DAGMM, Autoencoder, MLP, EstimatedMixture, Scaling, fit
    >>> x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    >>> autoencoder = Autoencoder(MLP([6, 2]), MLP([2, 6]), latents=2, scaling=Scaling.min_max(x))
    >>> model = DAGMM(autoencoder, EstimatedMixture(latents=4, components=2))
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
        prior_features: PriorFeatures | None = None,
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.autoencoder.log_gain.requires_grad = False
        self.prior = prior
        self.energy_weight = energy_weight
        self.covariance_weight = covariance_weight
        self.prior_features = ResidualFeatures() if prior_features is None else prior_features

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
        return s, reconstructed, self.prior_features(z, s, reconstructed)
