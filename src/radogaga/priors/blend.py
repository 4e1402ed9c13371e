"""Several densities of the latents as one: each with the weight that latents it has not seen give it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from radogaga.priors.prior import Prior

_FOLDS, _ROUNDS, _LEAST_WEIGHT = 5, 200, 0.01


class Blend(Prior):
    """A mixture of whole priors, P(z) = sum_k w_k P_k(z): a kernel density beside Gaussian mixtures, say.

    `fit_latents` chooses nothing by its likelihood on rows it has seen: each prior is fitted to four fifths of the
    latents and tried on the fifth, and the weights are those under which all fifths together are likeliest.

    Parameters
    ----------
    priors : sequence of Prior
        The P_k.

    References
    ----------
    Smyth, Wolpert, "Linearly combining density estimators via stacking", Machine Learning 36, 1999.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Blend, Kernel, Mixture
    >>> def one_normal(z):
    ...     prior = Mixture(z.shape[1], 1)
    ...     prior.fit_em(z)
    ...     return prior
    >>> z = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    >>> prior = Blend.fit_latents(z, [Kernel.fit_latents, one_normal])
    >>> prior.log_weights.argmax()  # the rows are normal
    tensor(1)
    """

    log_weights: Tensor

    def __init__(self, priors: Sequence[Prior]) -> None:
        super().__init__()
        self.members = nn.ModuleList(priors)
        self.register_buffer("log_weights", torch.full((len(priors),), -math.log(len(priors))))

    @property
    def priors(self) -> list[nn.Module]:
        """The P_k, which have ``log_prob`` and ``sample``."""
        return list(self.members)

    @classmethod
    @torch.no_grad()
    def fit_latents(
        cls, z: Tensor, fits: Sequence[Callable[[Tensor], Prior]], *, most_to_try: int = 2000, seed: int = 0
    ) -> Blend:
        """Return the blend of what some functions make of latents ``(n, N)``.

        Parameters
        ----------
        z : Tensor
            Latents. The weights count repeated ones once: a copy among others is not unseen.
        fits : sequence of callable
            Latents to a prior that is fitted to them. The first is kept, others with a weight above a hundredth.
        most_to_try : int
            So many of the latents, a random choice, decide the weights.
        seed : int
            Draws them.
        """
        distinct = z.unique(dim=0)
        order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed)).to(z.device)
        log_weights = z.new_zeros(1)
        if len(fits) > 1:
            log_weights = _likeliest(unseen_log_prob(distinct[order[:most_to_try]], fits))
        # The first stays whatever its weight, the widest as a rule; others that hardly count would only take time.
        kept = [k for k in range(len(fits)) if k == 0 or log_weights[k] > math.log(_LEAST_WEIGHT)]
        blend = cls([fits[k](z) for k in kept]).to(z)
        blend.log_weights.copy_(log_weights[kept].log_softmax(0))
        return blend

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        return (self.members_log_prob(z) + self.log_weights).logsumexp(1)

    def members_log_prob(self, z: Tensor) -> Tensor:
        """Return log P_k(z) in nats, ``(B, N) -> (B, K)``."""
        return torch.stack([prior.log_prob(z) for prior in self.members], 1)  # type: ignore[operator]

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the density, ``(n, N)``."""
        chosen = torch.multinomial(self.log_weights.exp(), n, replacement=True)
        counts = chosen.bincount(minlength=len(self.members)).tolist()
        drawn = torch.cat([prior.sample(count) for prior, count in zip(self.members, counts, strict=True) if count])  # type: ignore[operator]
        return drawn[torch.randperm(n, device=drawn.device)]


def unseen_log_prob(z: Tensor, fits: Sequence[Callable[[Tensor], Prior]]) -> Tensor:
    """Return each prior's log density of each latent, fitted to other folds than the latent's, ``(n, K)``."""
    fold = torch.arange(len(z), device=z.device) % _FOLDS
    log_prob = z.new_empty(len(z), len(fits))
    for k in range(min(_FOLDS, len(z))):
        rest, tried = z[fold != k], z[fold == k]
        log_prob[fold == k] = torch.stack([fit(rest).log_prob(tried) for fit in fits], 1)
    return log_prob


def _likeliest(log_prob: Tensor) -> Tensor:
    """Return the log weights that make rows likeliest, each prior with one row more than it has: none is ruled out."""
    rows, priors = log_prob.shape
    weights = torch.full_like(log_prob[0], 1 / priors)
    for _ in range(_ROUNDS):
        weights = ((log_prob + weights.log()).softmax(1).sum(0) + 1) / (rows + priors)
    return weights.log()
