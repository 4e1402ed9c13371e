"""A Gaussian mixture as the prior whose memberships a network estimates."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from radogaga._utils.em import fit_gaussian_mixture
from radogaga._utils.linalg import robust_cholesky
from radogaga.method.networks.mlp import MLP
from radogaga.method.noise import Noise
from radogaga.method.priors.gaussians import MixtureStatistics, component_log_prob, mixture_log_prob
from radogaga.method.priors.prior import Prior
from radogaga.method.training.distributed import summed, total_rows


class EstimatedMixture(Prior):
    """A Gaussian mixture whose memberships a network estimates, as in DAGMM.

    g = softmax(network(z)); weights, means and covariances are the g-weighted moments of the latents. In training mode
    these are the moments of the batch; `fit_statistics` then stores the exact ones of all training rows.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    components : int
        Number of components, K.
    hidden : sequence of int
        Widths of the estimation network's hidden layers, tanh between them.
    dropout : float
        Dropout in the estimation network.
    floor : float
        Added to every variance, which bounds the density from above.

    References
    ----------
    Zong et al., "Deep autoencoding Gaussian mixture model for unsupervised anomaly detection", ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from radogaga import EstimatedMixture
    >>> prior, z = EstimatedMixture(latents=2, components=3), torch.randn(100, 2)
    >>> prior.fit_statistics(z.split(10))
    >>> prior.eval().log_prob(z).shape
    torch.Size([100])
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(
        self,
        latents: int,
        components: int,
        hidden: Sequence[int] = (10,),
        dropout: float = 0.5,
        floor: float = 1e-6,
    ) -> None:
        super().__init__()
        self.latents, self.components = latents, components
        self.hidden = list(hidden)
        self.dropout = dropout
        self.floor = floor
        self.network = MLP([latents, *hidden, components], nn.Tanh, dropout)
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, latents))
        self.register_buffer("factors", torch.eye(latents).repeat(components, 1, 1))

    def membership(self, z: Tensor) -> Tensor:
        """Return the share of each component in each row, ``(B, N) -> (B, K)``."""
        return self.network(z).softmax(-1)

    def batch_parameters(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weights, means and covariances of a batch, of all workers' rows of it, with gradients."""
        membership = self.membership(z)
        count = summed(membership.sum(0)).clamp_min(1e-12)
        means = summed(membership.T @ z) / count[:, None]
        difference = z[None] - means[:, None]
        covariances = summed((membership.T[..., None] * difference).mT @ difference) / count[:, None, None]
        identity = torch.eye(self.latents, dtype=z.dtype, device=z.device)
        return count / total_rows(len(z)), means, covariances + self.floor * identity

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``: of the batch in training mode, else of all rows."""
        if self.training:
            weights, means, covariances = self.batch_parameters(z)
            return mixture_log_prob(z, weights, means, robust_cholesky(covariances))
        return mixture_log_prob(z, self.weights, self.means, self.factors)

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the stored mixture, ``(n, N)``."""
        component = torch.multinomial(self.weights, n, replacement=True)
        noise = torch.randn(n, self.latents, dtype=self.means.dtype, device=self.means.device)
        return self.means[component] + (self.factors[component] @ noise[..., None])[..., 0]

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[Tensor]) -> None:
        """Set the stored mixture to the exact moments over batches of latents, memberships without dropout."""
        was_training = self.training
        self.eval()
        total: MixtureStatistics | None = None
        for z in batches:
            part = MixtureStatistics.from_batch(z, self.membership(z))
            total = part if total is None else total + part
        self.train(was_training)
        if total is None:
            raise ValueError("Expected at least one batch of latents; got none.")
        self.set_parameters(*total.parameters(self.floor))

    @torch.no_grad()
    def set_parameters(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Store weights ``(K,)``, means ``(K, N)`` and covariances ``(K, N, N)``."""
        self.weights.copy_(weights)
        self.means.copy_(means)
        self.factors.copy_(robust_cholesky(covariances))

    def fit(self, z: Tensor, *, seed: int = 0, restarts: int = 1, distil_steps: int = 500) -> Self:
        """Fit the stored mixture to latents ``(n, N)`` by expectation maximisation, then the network to it."""
        weights, means, covariances = fit_gaussian_mixture(z, self.components, seed=seed, restarts=restarts)
        self.set_parameters(weights, means, covariances)
        self._fit_network(z, distil_steps if self.components > 1 else 0)
        return self

    @torch.enable_grad()
    def _fit_network(self, z: Tensor, steps: int) -> None:
        """Train the network to give the memberships of latents in the stored mixture, without dropout."""
        target = (self.weights.log() + component_log_prob(z, self.means, self.factors)).softmax(-1)
        was_training = self.training
        self.eval()
        optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-2)
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(self.network(z), target.detach()).backward()
            optimizer.step()
        self.train(was_training)

    def refit(self, z: Tensor, noise: Noise) -> EstimatedMixture:
        """Return a mixture of as many components, the best of three fits to other latents ``(n, N)``."""
        return copy.deepcopy(self).fit(z, restarts=3)
