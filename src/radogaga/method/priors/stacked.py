"""A mixture of several priors, weighted by cross-validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from radogaga._utils.em import fit_mixture_weights
from radogaga.method.noise import Noise
from radogaga.method.priors.prior import FitPrior, Prior

_FOLDS, _ITERATIONS, _MIN_WEIGHT = 5, 200, 0.01


class StackedPrior(Prior):
    """A mixture of priors, P(z) = sum_k w_k P_k(z): a kernel density and Gaussian mixtures, for example.

    `fit` weighs the priors by cross-validation: each is fitted to four fifths of the latents and evaluated on the
    remaining fifth, and the weights maximise the likelihood of all five fifths.

    Parameters
    ----------
    components : sequence of Prior
        The P_k.

    References
    ----------
    Smyth, Wolpert, "Linearly combining density estimators via stacking", Machine Learning 36, 1999.

    Examples
    --------
    >>> import torch
    >>> from radogaga import KernelDensity, Mixture, StackedPrior
    >>> def one_gaussian(z):
    ...     return Mixture(z.shape[1], 1).fit(z)
    >>> z = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    >>> prior = StackedPrior.fit(z, KernelDensity.fit, [one_gaussian])
    >>> prior.log_weights.argmax()  # the rows are Gaussian
    tensor(1)
    """

    log_weights: Tensor

    def __init__(self, components: Sequence[Prior]) -> None:
        super().__init__()
        self.components = nn.ModuleList(components)
        self.register_buffer("log_weights", torch.full((len(components),), -math.log(len(components))))

    @classmethod
    @torch.no_grad()
    def fit(cls, z: Tensor, base: FitPrior, others: Sequence[FitPrior], log_prob: Tensor | None = None) -> StackedPrior:
        """Return the stack of a base prior and those others that get a weight above a hundredth.

        Parameters
        ----------
        z : Tensor
            Latents, ``(n, N)``.
        base : callable
            Fits the prior that is kept whatever its weight: the one with the widest tails as a rule.
        others : sequence of callable
            Fit the other priors.
        log_prob : Tensor, optional
            Log densities of held-out latents under the base and the others, ``(m, 1 + K)``; by default those that
            `cross_validated_log_prob` gives for the distinct latents.
        """
        fits = [base, *others]
        log_weights = z.new_zeros(1)
        if others:
            log_prob = cross_validated_log_prob(z.unique(dim=0), fits) if log_prob is None else log_prob
            log_weights = fit_mixture_weights(log_prob, iterations=_ITERATIONS)
        kept = [k for k, fit in enumerate(fits) if fit is base or log_weights[k] > math.log(_MIN_WEIGHT)]
        stack = cls([fits[k](z) for k in kept]).to(z)
        stack.log_weights.copy_(log_weights[kept].log_softmax(0))
        return stack

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log P(z) in nats, ``(B, N) -> (B,)``."""
        return self.log_prob_given(z, {})

    def log_prob_given(self, z: Tensor, known: Mapping[nn.Module, Tensor]) -> Tensor:
        """Return log P(z), ``(B, N) -> (B,)``, where log densities under some of the components are known already."""
        if self in known:
            return known[self]
        parts = [prior.log_prob_given(z, known) for prior in self.components]  # type: ignore[operator]
        return (torch.stack(parts, 1) + self.log_weights).logsumexp(1)

    def refit(self, z: Tensor, noise: Noise) -> StackedPrior:
        """Return `fit` of other latents ``(n, N)`` with priors of the same kinds, the first one as the base."""
        base, *others = [partial(prior.refit, noise=noise) for prior in self._priors]
        return StackedPrior.fit(z, base, others)

    def sample(self, n: int) -> Tensor:
        """Return n latents that follow the density, ``(n, N)``."""
        component = torch.multinomial(self.log_weights.exp(), n, replacement=True)
        counts = component.bincount(minlength=len(self.components)).tolist()
        parts = [prior.sample(count) for prior, count in zip(self._priors, counts, strict=True) if count]
        z = torch.cat(parts)
        return z[torch.randperm(n, device=z.device)]

    @property
    def _priors(self) -> list[Prior]:
        return list(self.components)  # type: ignore[arg-type]


@torch.no_grad()
def cross_validated_log_prob(z: Tensor, fits: Sequence[FitPrior]) -> Tensor:
    """Return the log density of each latent under each prior, fitted to the other four folds, ``(n, K)``."""
    fold = torch.arange(len(z), device=z.device) % _FOLDS
    log_prob = z.new_empty(len(z), len(fits))
    for k in range(min(_FOLDS, len(z))):
        rest, held_out = z[fold != k], z[fold == k]
        log_prob[fold == k] = torch.stack([fit(rest).log_prob(held_out) for fit in fits], 1)
    return log_prob
