"""Every prior, fresh and moved off its start."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from radogaga import EstimatedMixture, Factorized, KernelDensity, Mixture, Normal, StackedPrior


def moved(prior: nn.Module, by: float = 0.5) -> nn.Module:
    """The prior with every parameter off its start."""
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return prior


def estimated(latents: int) -> EstimatedMixture:
    prior = moved(EstimatedMixture(latents, components=3))
    prior.fit_statistics([torch.randn(200, latents) - 2, 0.5 * torch.randn(100, latents) + 2])
    return prior.eval()


def stacked(latents: int) -> StackedPrior:
    priors = [KernelDensity.fit(torch.randn(60, latents)), moved(Mixture(latents, components=2)), Normal(latents)]
    prior = StackedPrior(priors)
    prior.log_weights.copy_(torch.tensor([0.5, 0.3, 0.2]).log())
    return prior


PRIORS: dict[str, Callable[[int], nn.Module]] = {
    "normal": Normal,
    "mixture": lambda n: Mixture(n, components=3),
    "moved mixture": lambda n: moved(Mixture(n, components=3)),
    "fresh estimated mixture": lambda n: EstimatedMixture(n, components=3).eval(),
    "estimated mixture": estimated,
    "adaptive kernel density": lambda n: KernelDensity.fit_adaptive(torch.randn(60, n)),
    "factorized": Factorized,
    "moved factorized": lambda n: moved(Factorized(n)),
    "narrow factorized": lambda n: moved(Factorized(n, filters=(2,), initial_scale=1.0)),
    "logistic factorized": lambda n: moved(Factorized(n, filters=())),
    "kernel": lambda n: KernelDensity.fit(torch.randn(60, n)),
    "kernel of clusters": lambda n: KernelDensity.fit(torch.randn(400, n), max_centres=20),
    "kernel of repeated latents": lambda n: KernelDensity.fit(torch.randn(20, n).repeat(5, 1), max_centres=10),
    "stack": stacked,
}
each_prior = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
each_dimension = pytest.mark.parametrize("latents", [1, 2, 5])
