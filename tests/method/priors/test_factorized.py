import pytest
import torch

from prior_examples import moved
from radogaga import Factorized


@pytest.mark.parametrize("filters", [(), (2,), (3, 3, 3)], ids=str)
def test_slope_of_the_factorized_prior_is_the_derivative_of_its_logit(filters: tuple[int, ...]) -> None:
    prior = moved(Factorized(3, filters), by=1.0).double()
    z = (10 * torch.randn(50, 3, dtype=torch.float64)).requires_grad_()
    logit, slope = prior.logits(z)
    (derivative,) = torch.autograd.grad(logit.sum(), z)
    torch.testing.assert_close(slope, derivative.T)
    assert (slope > 0).all()


def test_latents_of_the_factorized_prior_are_independent() -> None:
    prior = moved(Factorized(2)).double()
    a, b = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    swapped = torch.stack([a[:, 0], b[:, 1]], 1), torch.stack([b[:, 0], a[:, 1]], 1)
    both = prior.log_prob(a) + prior.log_prob(b)
    torch.testing.assert_close(prior.log_prob(swapped[0]) + prior.log_prob(swapped[1]), both)
