"""Gaussian mixtures as priors: one whose parameters are learned, one whose memberships a network estimates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Self

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from radogaga._utils.linalg import robust_cholesky
from radogaga._utils.random import isolated_seed
from radogaga._utils.threads import one_blas_thread
from radogaga.method.networks.mlp import MLP
from radogaga.method.priors.gaussians import MixtureStatistics, component_log_prob, mixture_log_prob
from radogaga.method.priors.prior import Prior


class Mixture(Prior):
    """A Gaussian mixture with learned parameters and full covariances.

    log P(z) = log sum_k w_k N(z; m_k, (U_k U_k')^-1), U_k upper triangular with a positive diagonal: the precision's
    Cholesky factor, so that a density costs one small product and no solve.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    components : int
        Number of components, K.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Mixture
    >>> prior = Mixture(latents=2, components=3)
    >>> prior.log_prob(torch.zeros(5, 2)).shape, prior.sample(4).shape
    (torch.Size([5]), torch.Size([4, 2]))
    """

    def __init__(self, latents: int, components: int) -> None:
        super().__init__()
        self.latents, self.components = latents, components
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, latents))
        self.log_diagonal = nn.Parameter(torch.zeros(components, latents))
        self.above_diagonal = nn.Parameter(torch.zeros(components, latents, latents))

    def precision_factors(self) -> Tensor:
        """Return U_k, ``(K, N, N)``, upper triangular: precision_k = U_k U_k'."""
        return self.above_diagonal.triu(1) + torch.diag_embed(self.log_diagonal.exp())

    def component_log_prob(self, z: Tensor) -> Tensor:
        """Return log w_k + log N(z; m_k, ...) for each row and component, ``(B, N) -> (B, K)``."""
        factors = self.precision_factors()
        offset = (self.means[:, None] @ factors)[:, 0]
        whitened = torch.einsum("bn,knm->bkm", z, factors) - offset
        squares = whitened.square().sum(-1)
        constant = self.log_diagonal.sum(-1) - 0.5 * self.latents * math.log(2 * math.pi)
        return self.logits.log_softmax(0) + constant - 0.5 * squares

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        return self.component_log_prob(z).logsumexp(-1)

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the mixture, ``(n, N)``."""
        component = torch.multinomial(self.logits.softmax(0), n, replacement=True)
        noise = torch.randn(n, self.latents, dtype=self.means.dtype, device=self.means.device)
        # cov = U^-T U^-1, so z - m = U^-T noise
        factors = self.precision_factors().mT[component]
        return self.means[component] + torch.linalg.solve_triangular(factors, noise[..., None], upper=False)[..., 0]

    def set_parameters(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Set weights ``(K,)``, means ``(K, N)`` and covariances ``(K, N, N)``."""
        precision = torch.cholesky_inverse(robust_cholesky(covariances.double()))
        # The upper factor of P = U U' is the flipped lower factor of the flipped matrix.
        factors = torch.linalg.cholesky(precision.flip(-1, -2)).flip(-1, -2)
        with torch.no_grad():
            self.logits.copy_(weights.clamp_min(1e-12).log())
            self.means.copy_(means)
            self.log_diagonal.copy_(factors.diagonal(dim1=-2, dim2=-1).log())
            self.above_diagonal.copy_(factors.triu(1))

    @classmethod
    def fit_best(
        cls, z: Tensor, candidates: Sequence[int] = (1, 2, 3, 5, 7, 10, 15, 20), *, seed: int = 0
    ) -> Mixture:
        """Return the mixture of latents ``(n, N)`` whose number of components maximises a held-out fifth's likelihood.

        Each candidate is the best of five starts, and the chosen one goes on from where it was on all latents: a poor
        local optimum costs more than a wrong number of components.
        """
        order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed)).to(z.device)
        share = max(len(z) // 5, 1)
        held_out, rest = z[order[:share]], z[order[share:]]

        def fitted(components: int) -> Mixture:
            mixture = cls(z.shape[1], components).to(z)
            mixture.fit(rest, seed=seed, restarts=5)
            return mixture

        # The fits are EM's alone: what a new mixture draws for its means must not move the caller's random state.
        with isolated_seed(seed), torch.no_grad():
            mixtures = [fitted(components) for components in candidates if components < len(rest)]
            chosen = max(mixtures, key=lambda mixture: float(mixture.log_prob(held_out).mean()))
            chosen.continue_em(z)
        return chosen

    def continue_em(self, z: Tensor) -> None:
        """Set the mixture to what expectation maximisation makes of it on latents ``(n, N)``."""
        factors = self.precision_factors().detach().double()
        weights = self.logits.detach().double().softmax(0)
        start = (weights / weights.sum(), self.means.detach().double(), factors @ factors.mT)
        self.set_parameters(*em(z, self.components, start=start))

    def fit(self, z: Tensor, *, seed: int = 0, restarts: int = 1, floor: float = 0.0) -> Self:
        """Fit the mixture to latents ``(n, N)`` by expectation maximisation, with *floor* added to every variance."""
        self.set_parameters(*em(z, self.components, seed=seed, restarts=restarts, floor=floor))
        return self


class EstimatedMixture(Prior):
    """A Gaussian mixture whose memberships a network estimates, as DAGMM does.

    g = softmax(network(z)); weights, means and covariances are the g-weighted moments of the latents. In training
    these are the batch's own; afterwards `fit_statistics` sets them to the exact ones of all training rows.

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
        """Return weights, means and covariances of a batch, with gradients."""
        membership = self.membership(z)
        count = membership.sum(0).clamp_min(1e-12)
        means = membership.T @ z / count[:, None]
        difference = z[None] - means[:, None]
        covariances = (membership.T[..., None] * difference).mT @ difference / count[:, None, None]
        identity = torch.eye(self.latents, dtype=z.dtype, device=z.device)
        return count / len(z), means, covariances + self.floor * identity

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``, by the batch's moments in training, else by those stored."""
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
            part = MixtureStatistics.of(z, self.membership(z))
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
        """Store expectation maximisation's mixture on latents ``(n, N)``, and teach the network its memberships."""
        weights, means, covariances = em(z, self.components, seed=seed, restarts=restarts)
        self.set_parameters(weights, means, covariances)
        joint = self.weights.log() + component_log_prob(z, self.means, self.factors)
        target = joint.softmax(-1).detach()
        was_training = self.training
        self.eval()
        optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-2)
        for _ in range(distil_steps if self.components > 1 else 0):
            optimizer.zero_grad()
            nn.functional.cross_entropy(self.network(z), target).backward()
            optimizer.step()
        self.train(was_training)
        return self


def em(
    z: Tensor,
    components: int,
    *,
    seed: int = 0,
    restarts: int = 1,
    floor: float = 0.0,
    start: tuple[Tensor, Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights, means and covariances of scikit-learn's mixture on latents ``(n, N)``.

    It starts from k-means, the best of some restarts, or from given weights, means and precisions. To every variance
    at least *floor* is added.
    """
    rows = z.detach().cpu().double()
    # reg_covar is absolute in scikit-learn: tie it to the latents' own scale.
    floor = max(floor, 1e-6 * float(rows.var(0, correction=0).mean().clamp_min(1e-12)))
    starts = restarts if components > 1 else 1
    mixture = GaussianMixture(components, reg_covar=floor, n_init=starts, random_state=seed, max_iter=500)
    if start:
        weights, means, precisions = (a.cpu().numpy() for a in start)
        mixture.set_params(weights_init=weights, means_init=means, precisions_init=precisions)
    # Several threads of BLAS and of OpenMP wait for each other: a hundred rows take four times as long with two.
    with warnings.catch_warnings(), one_blas_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(rows.numpy())
    return tuple(torch.as_tensor(a).to(z) for a in (mixture.weights_, mixture.means_, mixture.covariances_))  # type: ignore[return-value]
