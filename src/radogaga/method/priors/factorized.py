"""The factorized prior: one learned density for each latent (Balle et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from radogaga._utils.random import isolated_seed
from radogaga.method.noise import Noise
from radogaga.method.priors.prior import Prior


class Factorized(Prior):
    """A product of learned univariate densities, P(z) = prod_j c_j'(z_j).

    c_j is a cumulative distribution: a small monotone network, c = sigmoid(h_L . ... . h_1), with
    h(u) = v + tanh(a) * tanh(v), v = softplus(H) u + b (no tanh in the last layer). Its derivative is computed along
    with it by the chain rule, so log P is exact and takes one pass. For rates under additive noise, evaluate it at
    noisy latents.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    filters : sequence of int
        Widths of the monotone network's hidden layers.
    initial_scale : float or sequence of float
        About half the width of the initial densities: of all latents, or of each.

    References
    ----------
    Balle et al., "Variational image compression with a scale hyperprior", ICLR 2018, appendix 6.1.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Factorized
    >>> Factorized(latents=2).log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(
        self, latents: int, filters: Sequence[int] = (3, 3, 3), initial_scale: float | Sequence[float] = 10.0
    ) -> None:
        super().__init__()
        self.latents = latents
        self.filters = list(filters)
        self.initial_scale = initial_scale
        widths = [1, *filters, 1]
        scale = torch.as_tensor(initial_scale).expand(latents)[:, None, None] ** (1 / (len(filters) + 1))
        self.matrices, self.biases, self.factors = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for width, following in pairwise(widths):
            start = (1 / (scale * following)).expm1().log()
            self.matrices.append(nn.Parameter(start.expand(latents, following, width).clone()))
            self.biases.append(nn.Parameter(torch.rand(latents, following, 1) - 0.5))
        for width in filters:
            self.factors.append(nn.Parameter(torch.zeros(latents, width, 1)))

    def logits(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return each latent's cumulative logit and that logit's derivative, ``(B, N) -> (N, B), (N, B)``."""
        value = z.T[:, None, :]
        slope = torch.ones_like(value)
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            positive = functional.softplus(matrix)
            value, slope = positive @ value + bias, positive @ slope
            if i < len(self.factors):
                bend, squashed = self.factors[i].tanh(), value.tanh()
                value, slope = value + bend * squashed, slope * (1 + bend * (1 - squashed.square()))
        return value[:, 0], slope[:, 0]

    def cumulative_logit(self, z: Tensor) -> Tensor:
        """Return log c_j(z_j) - log(1 - c_j(z_j)) of each latent, ``(B, N) -> (B, N)``."""
        return self.logits(z)[0].T

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        logit, slope = self.logits(z)
        return (functional.logsigmoid(logit) + functional.logsigmoid(-logit) + slope.log()).sum(0)

    @classmethod
    def fit(
        cls, z: Tensor, noise: Noise, *, steps: int = 300, learning_rate: float = 3e-2, seed: int = 0
    ) -> Factorized:
        """Return the maximum-likelihood density of latents ``(n, N)`` under noise, by Adam over random batches.

        Examples
        --------
        >>> import torch
        >>> from radogaga import Factorized, GaussianNoise
        >>> prior = Factorized.fit(torch.randn(500, 1), GaussianNoise(std=0.1), steps=100)
        >>> prior.log_prob(torch.zeros(1, 1)) > prior.log_prob(torch.full((1, 1), 3.0))
        tensor([True])
        """
        with isolated_seed(seed, z.device), torch.enable_grad():
            deviation = (z.var(0) + noise.variance).sqrt()
            prior = cls(z.shape[1], initial_scale=(3 * deviation).tolist()).to(z)
            optimizer = torch.optim.Adam(prior.parameters(), lr=learning_rate)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            for _ in range(steps):
                batch = z[torch.randint(len(z), (min(len(z), 1024),), device=z.device)]
                optimizer.zero_grad()
                (-prior.log_prob(batch + noise(batch)).mean()).backward()
                optimizer.step()
                scheduler.step()
        return prior

    def refit(self, z: Tensor, noise: Noise) -> Factorized:
        """Return `fit` of other latents ``(n, N)`` under the model's noise, with default settings."""
        return Factorized.fit(z, noise)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n latents, ``(n, N)``, by bisection of the cumulative distributions."""
        uniform = torch.rand(n, self.latents, dtype=self.biases[0].dtype, device=self.biases[0].device)
        target = uniform.clamp(1e-6, 1 - 1e-6).logit().T
        high = torch.ones_like(uniform)
        while (self.logits(high)[0] < target).any() or (self.logits(-high)[0] > target).any():
            high = 2 * high
        low = -high
        for _ in range(60):
            middle = (low + high) / 2
            above = self.logits(middle)[0].T > target.T
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2
