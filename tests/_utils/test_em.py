import math

import pytest
import torch
from torch import Tensor

from radogaga._utils.em import fit_gaussian_mixture, fit_mixture_weights


def two_clusters(n: int) -> Tensor:
    return torch.randn(n, 2).double() + 8 * (torch.arange(n)[:, None] % 4 == 0)


def log_likelihood(log_prob: Tensor, log_weights: Tensor) -> Tensor:
    return (log_prob + log_weights).logsumexp(-1).sum(0)


def test_weights_are_found_from_the_densities_of_a_mixture() -> None:
    component = torch.rand(20_000) < 0.3
    x = torch.where(component, torch.randn(20_000), 3 + torch.randn(20_000))
    log_prob = torch.distributions.Normal(torch.tensor([0.0, 3.0]), 1.0).log_prob(x[:, None])
    weights = fit_mixture_weights(log_prob, iterations=200).exp()
    torch.testing.assert_close(weights, torch.tensor([0.3, 0.7]), atol=0.02, rtol=0)


def test_weights_are_those_of_greatest_likelihood_and_add_up_to_one() -> None:
    log_prob = torch.randn(300, 3).double()
    best = fit_mixture_weights(log_prob, iterations=500)
    torch.testing.assert_close(best.logsumexp(0), torch.zeros(()).double())
    for _ in range(20):
        other = (best + 0.3 * torch.randn(3)).log_softmax(0)
        # With one row more for each component, the greatest of the penalised likelihood.
        assert log_likelihood(log_prob, other) + other.sum() <= log_likelihood(log_prob, best) + best.sum() + 1e-6


def test_several_mixtures_are_fitted_as_each_alone() -> None:
    log_prob = torch.randn(50, 4, 3)
    together = fit_mixture_weights(log_prob, iterations=30)
    alone = torch.stack([fit_mixture_weights(log_prob[:, k], iterations=30) for k in range(4)])
    torch.testing.assert_close(together, alone)


def test_no_weight_is_zero() -> None:
    weights = fit_mixture_weights(torch.tensor([[0.0, -1e6]]).expand(1000, 2), iterations=100)
    assert weights[1].item() == pytest.approx(math.log(1 / 1002), abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_gaussian_mixture_has_the_moments_of_its_clusters(dtype: torch.dtype) -> None:
    weights, means, covariances = fit_gaussian_mixture(two_clusters(4000).to(dtype), 2)
    assert weights.dtype == means.dtype == covariances.dtype == dtype
    order = weights.argsort()
    torch.testing.assert_close(weights[order], torch.tensor([0.25, 0.75], dtype=dtype), atol=0.01, rtol=0)
    torch.testing.assert_close(means[order], torch.tensor([[8.0, 8.0], [0.0, 0.0]], dtype=dtype), atol=0.2, rtol=0)
    torch.testing.assert_close(covariances, torch.eye(2, dtype=dtype).expand(2, 2, 2), atol=0.2, rtol=0)


def test_a_floor_is_added_to_every_variance() -> None:
    covariances = fit_gaussian_mixture(torch.zeros(50, 2).double(), 1, floor=0.5)[2]
    torch.testing.assert_close(covariances[0], 0.5 * torch.eye(2).double())


def test_a_start_from_the_answer_stays_there() -> None:
    z = two_clusters(1000)
    weights, means, covariances = fit_gaussian_mixture(z, 2)
    again = fit_gaussian_mixture(z, 2, start=(weights, means, torch.linalg.inv(covariances)))
    torch.testing.assert_close(again[1], means, atol=1e-2, rtol=0)


def test_fits_are_repeatable_and_leave_the_global_generators_alone() -> None:
    z, before = two_clusters(200), torch.get_rng_state()
    one, other = (fit_gaussian_mixture(z, 3, seed=2, restarts=2) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
