"""A Gaussian mixture with learned parameters as the prior."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from radogaga._utils.em import fit_gaussian_mixture
from radogaga._utils.linalg import robust_cholesky
from radogaga._utils.random import isolated_seed
from radogaga.method.noise import Noise
from radogaga.method.priors.prior import Prior

# A component keeps at least this many rows, and this share of its variance, where one of its rows is left out.
_MIN_COUNT, _MIN_NARROWING = 0.01, 1e-4


class Mixture(Prior):
    """A Gaussian mixture with learned parameters and full covariances.

    log P(z) = log sum_k w_k N(z; m_k, (U_k U_k')^-1), U_k upper triangular with a positive diagonal: a factor of the
    precision, so that a density takes one small product and no triangular solve.

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

    @torch.no_grad()
    def left_out_log_prob(self, z: Tensor, fitted: Tensor, rows: int) -> Tensor:
        """Return log P(z) of rows without their own part in the mixture, nearly, ``(B, N) -> (B,)``.

        Each row's share is taken out of the components' weights, means and covariances, in closed form (Sherman and
        Morrison); the shares of all others stay.

        Parameters
        ----------
        z : Tensor
            Latents, ``(B, N)``.
        fitted : Tensor
            What the mixture was fitted to in their place, the same but for outliers, ``(B, N)``.
        rows : int
            How many latents it was fitted to.
        """
        factors = self.precision_factors()
        own, off = (
            torch.einsum("bkn,knm->bkm", v[:, None] - self.means, factors) for v in (fitted, z)
        )  # in each component's units
        share = self.component_log_prob(fitted).softmax(1)
        count = self.logits.softmax(0) * rows
        left = (count - share).clamp_min(_MIN_COUNT)
        off = off + (share / left)[..., None] * own  # the mean moves away
        narrower = (1 - share / left * own.square().sum(-1)).clamp_min(_MIN_NARROWING)
        along = share / left * (off * own).sum(-1).square() / narrower
        squares = (off.square().sum(-1) + along) * left / count
        log_volume = self.log_diagonal.sum(-1) - 0.5 * (self.latents * (2 * math.pi * count / left).log())
        logits = (left / (rows - 1)).log() + log_volume - 0.5 * narrower.log() - 0.5 * squares
        return logits.logsumexp(1)

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
    def fit_best(cls, z: Tensor, candidates: Sequence[int] = (1, 2, 3, 5, 7, 10, 15, 20), *, seed: int = 0) -> Mixture:
        """Return the mixture of latents ``(n, N)`` whose number of components maximises a held-out fifth's likelihood.

        Each candidate is the best of five starts, since a poor local optimum costs more than a wrong number of
        components. The chosen one is fitted further to all latents.
        """
        order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed)).to(z.device)
        share = max(len(z) // 5, 1)
        held_out, rest = z[order[:share]], z[order[share:]]

        def fitted(components: int) -> Mixture:
            mixture = cls(z.shape[1], components).to(z)
            mixture.fit(rest, seed=seed, restarts=5)
            return mixture

        # New mixtures have random means, which must not change the caller's random state.
        with isolated_seed(seed), torch.no_grad():
            mixtures = [fitted(components) for components in candidates if components < len(rest)]
            chosen = max(mixtures, key=lambda mixture: float(mixture.log_prob(held_out).mean()))
            chosen.continue_em(z)
        return chosen

    @classmethod
    @torch.no_grad()
    def fit_bic(
        cls, z: Tensor, candidates: Sequence[int] = (1, 2, 4, 8), *, seed: int = 0, floor: float = 0.0
    ) -> Mixture:
        """Return the mixture of latents ``(n, N)`` with the lowest Bayesian information criterion (Schwarz, 1978).

        ``floor`` is added to every variance. Sizes that have fewer than two latents a component are left out.
        """
        best, lowest = None, math.inf
        for components in candidates:
            if best is not None and 2 * components >= len(z):
                break
            with isolated_seed(seed):
                mixture = cls(z.shape[1], components).to(z).fit(z, seed=seed, floor=floor)
            numbers = components * (1 + z.shape[1] + z.shape[1] * (z.shape[1] + 1) / 2) - 1
            criterion = math.log(len(z)) * numbers - 2 * float(mixture.log_prob(z).sum())
            if criterion < lowest:
                best, lowest = mixture, criterion
        assert best is not None
        return best

    def continue_em(self, z: Tensor) -> None:
        """Continue expectation maximisation from the present parameters on latents ``(n, N)``."""
        factors = self.precision_factors().detach().double()
        weights = self.logits.detach().double().softmax(0)
        start = (weights / weights.sum(), self.means.detach().double(), factors @ factors.mT)
        self.set_parameters(*fit_gaussian_mixture(z, self.components, start=start))

    def fit(self, z: Tensor, *, seed: int = 0, restarts: int = 1, floor: float = 0.0) -> Self:
        """Fit the mixture to latents ``(n, N)`` by expectation maximisation, with `floor` added to every variance."""
        self.set_parameters(*fit_gaussian_mixture(z, self.components, seed=seed, restarts=restarts, floor=floor))
        return self

    def refit(self, z: Tensor, noise: Noise) -> Mixture:
        """Return a mixture of as many components, the best of three fits to other latents ``(n, N)``."""
        return copy.deepcopy(self).fit(z, restarts=3)
