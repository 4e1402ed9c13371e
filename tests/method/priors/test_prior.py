import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from prior_examples import each_dimension, each_prior
from radogaga import GaussianNoise, Normal


def grid(points: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of a rule on the whole line, z = sinh t: fine near zero, and far into heavy tails."""
    t = torch.linspace(-9, 9, points, dtype=torch.float64)
    return t.sinh(), t.cosh() * (t[1] - t[0])


def plane(points: int) -> tuple[Tensor, Tensor]:
    nodes, weights = grid(points)
    return torch.cartesian_prod(nodes, nodes), torch.outer(weights, weights).flatten()


RULES = {1: lambda: (grid(20_001)[0][:, None], grid(20_001)[1]), 2: lambda: plane(801)}


@torch.no_grad()
def quadrature(prior: nn.Module, latents: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes, their probabilities and their log densities."""
    nodes, weights = RULES[latents]()
    log_prob = torch.cat([prior.log_prob(part) for part in nodes.split(50_000)])
    return nodes, log_prob.exp() * weights, log_prob


@each_prior
@pytest.mark.parametrize("latents", [1, 2])
def test_every_prior_integrates_to_one(make: Callable[[int], nn.Module], latents: int) -> None:
    _, mass, _ = quadrature(make(latents).double(), latents)
    assert mass.sum().item() == pytest.approx(1, abs=1e-4)


@each_prior
def test_samples_follow_the_cumulative_distribution(make: Callable[[int], nn.Module]) -> None:
    prior = make(1).double()
    nodes, mass, _ = quadrature(prior, 1)
    with torch.no_grad():
        samples = prior.sample(4000)[:, 0].numpy()
    result = stats.kstest(samples, lambda z: np.interp(z, nodes[:, 0].numpy(), mass.cumsum(0).numpy()))
    assert result.pvalue > 1e-3


@each_prior
def test_samples_have_the_entropy_and_the_moments_of_the_density(make: Callable[[int], nn.Module]) -> None:
    prior = make(2).double()
    nodes, mass, log_prob = quadrature(prior, 2)
    with torch.no_grad():
        samples = prior.sample(20_000)
        statistics = torch.column_stack([prior.log_prob(samples), samples, samples.prod(1)])
    expected = mass @ torch.column_stack([log_prob, nodes, nodes.prod(1)])
    standard_error = statistics.std(0) / len(samples) ** 0.5
    assert ((statistics.mean(0) - expected).abs() < 4.5 * standard_error).all()


@each_prior
@each_dimension
def test_log_prob_is_per_row(make: Callable[[int], nn.Module], latents: int) -> None:
    prior, z = make(latents).double(), torch.randn(7, latents, dtype=torch.float64)
    together = prior.log_prob(z)
    assert together.shape == (7,)
    torch.testing.assert_close(torch.cat([prior.log_prob(row) for row in z.split(1)]), together)


@each_prior
@each_dimension
def test_samples_have_a_row_each_and_a_column_for_each_latent(make: Callable[[int], nn.Module], latents: int) -> None:
    assert make(latents).sample(6).shape == (6, latents)


@each_prior
def test_samples_come_in_the_precision_of_the_prior(make: Callable[[int], nn.Module]) -> None:
    assert make(2).sample(3).dtype == torch.float32
    assert make(2).double().sample(3).dtype == torch.float64


@each_prior
def test_log_prob_has_the_gradient_of_its_values(make: Callable[[int], nn.Module]) -> None:
    prior, z = make(2).double(), torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(prior.log_prob, z)


@each_prior
def test_log_prob_and_its_gradient_stay_finite_far_out(make: Callable[[int], nn.Module]) -> None:
    z = torch.tensor([[1e4, -1e4], [-1e4, -1e4], [0.0, 1e5]], requires_grad=True)
    log_prob = make(2).log_prob(z)
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(z.grad).all()


# Factorized


# Mixtures


# Cholesky factors


# Kernel


# Blend


@each_prior
def test_a_refitted_prior_fits_and_the_former_one_stays_as_it_was(make: Callable[[int], nn.Module]) -> None:
    prior, z = make(2), 3 * torch.randn(300, 2) + 5
    before = copy.deepcopy(prior.state_dict())
    refitted = prior.refit(z, GaussianNoise(0.1))
    assert type(refitted) is type(prior)
    assert all(torch.equal(value, before[name]) for name, value in prior.state_dict().items())
    gained = refitted.log_prob(z).mean() - prior.log_prob(z).mean()
    assert gained > 0 or isinstance(prior, Normal)
