import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from prior_examples import each_dimension, moved
from radogaga import EstimatedMixture, Mixture


def random_mixture(components: int, latents: int) -> tuple[Tensor, Tensor, Tensor]:
    spread = torch.randn(components, latents, 2 * latents, dtype=torch.float64)
    weights = torch.rand(components, dtype=torch.float64) + 0.1
    return weights / weights.sum(), 3 * torch.randn(components, latents, dtype=torch.float64), spread @ spread.mT


def scipy_log_prob(z: Tensor, weights: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
    parts = [
        math.log(w) + stats.multivariate_normal(m.numpy(), c.numpy()).logpdf(z.numpy()).reshape(-1)
        for w, m, c in zip(weights.tolist(), means, covariances, strict=True)
    ]
    return torch.as_tensor(np.logaddexp.reduce(parts))


MIXTURES = {"learned": Mixture, "estimated": EstimatedMixture}
each_mixture = pytest.mark.parametrize("kind", MIXTURES.values(), ids=MIXTURES)


@each_mixture
@each_dimension
@pytest.mark.parametrize("components", [1, 4])
def test_mixture_takes_the_parameters_it_is_given(kind: type[nn.Module], latents: int, components: int) -> None:
    weights, means, covariances = random_mixture(components, latents)
    prior = kind(latents, components).double().eval()
    prior.set_parameters(weights, means, covariances)
    z = 5 * torch.randn(50, latents, dtype=torch.float64)
    torch.testing.assert_close(prior.log_prob(z), scipy_log_prob(z, weights, means, covariances))


@each_mixture
def test_mixture_takes_a_singular_covariance(kind: type[nn.Module]) -> None:
    prior = kind(2, 1).eval()
    prior.set_parameters(torch.ones(1), torch.zeros(1, 2), torch.ones(1, 2, 2))
    on, off = prior.log_prob(torch.tensor([[1.0, 1.0], [1.0, -1.0]])).tolist()
    assert math.isfinite(on)
    assert on > off


@each_mixture
def test_expectation_maximisation_recovers_a_planted_mixture(kind: type[nn.Module]) -> None:
    truth = Mixture(2, 3).double()
    means = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]]).double()
    covariances = torch.tensor([[[1.0, 0.8], [0.8, 1.0]], [[2.0, 0.0], [0.0, 0.5]], [[0.3, 0.0], [0.0, 0.3]]]).double()
    truth.set_parameters(torch.tensor([0.5, 0.3, 0.2]).double(), means, covariances)
    with torch.no_grad():
        z, unseen = truth.sample(4000), truth.sample(4000)
    prior = kind(2, 3).double().eval()
    prior.fit(z)
    missed = (truth.log_prob(unseen) - prior.log_prob(unseen)).mean()
    assert abs(missed.item()) < 0.01


@each_mixture
def test_expectation_maximisation_keeps_its_answer_in_other_units(kind: type[nn.Module]) -> None:
    z = torch.cat([torch.randn(200, 2), 0.1 * torch.randn(200, 2) + 5]).double()
    unit, tiny = kind(2, 2).double().eval(), kind(2, 2).double().eval()
    unit.fit(z)
    tiny.fit(1e-5 * z)
    torch.testing.assert_close(tiny.log_prob(1e-5 * z), unit.log_prob(z) - 2 * math.log(1e-5), rtol=1e-4, atol=1e-4)


def three_clusters(n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    centres = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    return (centres[torch.arange(n) % 3] + torch.randn(n, 2)).to(dtype)


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_held_out_likelihood_finds_enough_components_in_any_unit(unit: float, dtype: torch.dtype) -> None:
    z, unseen = three_clusters(300, dtype), three_clusters(300, dtype)
    found = Mixture.fit_best(unit * z, [1, 2, 3, 4])
    assert found.components >= 3
    truth = stats.norm.entropy() * 2 + math.log(3) + 2 * math.log(unit)
    assert -found.to(dtype).log_prob(unit * unseen).mean().item() == pytest.approx(truth, abs=0.1)


def test_held_out_likelihood_prefers_one_component_for_one_cluster() -> None:
    assert Mixture.fit_best(torch.randn(500, 2), [1, 30]).components == 1


@pytest.mark.parametrize("rows", [10, 31])
def test_held_out_likelihood_tries_no_more_components_than_rows(rows: int) -> None:
    assert Mixture.fit_best(torch.randn(rows, 2)).components < rows


def test_held_out_likelihood_is_repeatable_and_leaves_the_global_generator_alone() -> None:
    z, before = torch.randn(60, 2), torch.get_rng_state()
    one, other = (Mixture.fit_best(z, [1, 2, 3], seed=4) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.log_prob(z), other.log_prob(z))


def test_estimation_network_learns_the_memberships() -> None:
    z = torch.cat([torch.randn(200, 2), torch.randn(200, 2) + 8])
    prior = EstimatedMixture(2, 2).eval()
    prior.fit(z)
    membership = prior.membership(z)
    torch.testing.assert_close(membership.sum(1), torch.ones(400))
    assert (membership[:200].argmax(1) != membership[200:].argmax(1)).float().mean() > 0.98


def test_estimated_mixture_in_training_is_the_one_of_its_batch() -> None:
    prior, z = moved(EstimatedMixture(2, 3, dropout=0.0)).double(), torch.randn(100, 2, dtype=torch.float64)
    in_training = prior.log_prob(z)
    prior.fit_statistics([z])
    torch.testing.assert_close(prior.eval().log_prob(z), in_training)


def test_statistics_leave_the_mode_of_the_prior_as_it_was() -> None:
    prior = EstimatedMixture(2, 2)
    prior.fit_statistics([torch.randn(10, 2)])
    assert prior.training


@pytest.mark.parametrize("split", [[1] * 90, [45, 45], [7, 80, 3], [30, 0, 60]], ids=str)
def test_stored_mixture_is_the_same_over_any_split(split: list[int]) -> None:
    prior, z = moved(EstimatedMixture(2, 3)), torch.randn(90, 2)
    prior.fit_statistics([z])
    whole = prior.eval().log_prob(z)
    prior.fit_statistics(z.split(split))
    torch.testing.assert_close(prior.log_prob(z), whole)


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        EstimatedMixture(2, 2).fit_statistics([])


def test_a_left_out_latent_is_scored_by_the_mixture_of_all_others():
    z = three_clusters(150, torch.float64)
    left_out = Mixture(2, 3).double().fit(z).requires_grad_(False).left_out_log_prob(z, z, len(z))
    for i in (0, 60, 149):
        rest = Mixture(2, 3).double().fit(torch.cat([z[:i], z[i + 1 :]])).requires_grad_(False)
        assert float(left_out[i]) == pytest.approx(float(rest.log_prob(z[i : i + 1])), abs=1e-3)


@pytest.mark.parametrize("components", [1, 4])
def test_the_information_criterion_finds_the_number_of_clusters(components):
    centres = 20 * torch.arange(components, dtype=torch.float64)[:, None]
    z = torch.cat([torch.randn(200, 2, dtype=torch.float64) + centre for centre in centres])
    assert Mixture.fit_bic(z).components == components


def test_few_latents_get_one_component():
    assert Mixture.fit_bic(torch.randn(3, 2)).components == 1
