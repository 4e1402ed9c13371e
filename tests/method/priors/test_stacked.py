import pytest
import torch
from torch import Tensor

from radogaga import KernelDensity, Mixture, StackedPrior
from radogaga.method.priors.stacked import cross_validated_log_prob


def one_normal(z: Tensor) -> Mixture:
    return Mixture(z.shape[1], components=1).to(z).fit(z)


@torch.no_grad()
@pytest.mark.parametrize("step", [0.0, 2.0], ids=["normal", "on a grid"])
def test_a_stack_is_as_good_on_new_rows_as_the_best_of_its_priors(step: float) -> None:
    z, new = (step * torch.randint(0, 4, (n, 2)) + 0.1 * torch.randn(n, 2) for n in (600, 2000))
    alone = max(float(fit(z).log_prob(new).mean()) for fit in (KernelDensity.fit, one_normal))
    assert StackedPrior.fit(z, KernelDensity.fit, [one_normal]).log_prob(new).mean() > alone - 0.02


def test_a_prior_that_learns_rows_by_heart_has_little_weight() -> None:
    def by_heart(z: Tensor) -> KernelDensity:
        prior = KernelDensity.fit(z)
        prior.bandwidth.fill_(1e-3)
        return prior

    prior = StackedPrior.fit(torch.randn(300, 2), by_heart, [one_normal])
    assert prior.log_weights.exp()[0] < 0.05


def test_copies_of_a_latent_do_not_tell_what_a_prior_is_worth() -> None:
    z = torch.randn(100, 2)
    weights, copied = (
        StackedPrior.fit(rows, KernelDensity.fit, [one_normal]).log_weights for rows in (z, z.repeat(4, 1))
    )
    torch.testing.assert_close(copied, weights, rtol=0, atol=0.1)


@torch.no_grad()
def test_log_densities_known_beforehand_give_the_same_weights_and_priors() -> None:
    z = torch.randn(200, 2)
    fits = [KernelDensity.fit, one_normal]
    log_prob = cross_validated_log_prob(z.unique(dim=0), fits)
    found, expected = StackedPrior.fit(z, fits[0], fits[1:], log_prob), StackedPrior.fit(z, fits[0], fits[1:])
    assert torch.equal(found.log_weights, expected.log_weights)
    assert torch.equal(found.log_prob(z), expected.log_prob(z))


@torch.no_grad()
def test_the_base_stays_whatever_its_weight_and_others_without_weight_go() -> None:
    def far_off(z: Tensor) -> Mixture:
        return one_normal(z + 100)

    z = torch.randn(200, 2)
    assert [type(prior) for prior in StackedPrior.fit(z, far_off, [one_normal]).components] == [Mixture, Mixture]
    stack = StackedPrior.fit(z, one_normal, [far_off])
    assert len(stack.components) == 1
    assert stack.log_weights.item() == 0


@torch.no_grad()
def test_what_is_known_of_a_component_is_not_computed_again() -> None:
    kernel, mixture, z = KernelDensity.fit(torch.randn(60, 2)), Mixture(2, 2), torch.randn(7, 2)
    stack = StackedPrior([kernel, mixture])
    assert torch.equal(stack.log_prob_given(z, {kernel: kernel.log_prob(z)}), stack.log_prob(z))
    assert (stack.log_prob_given(z, {kernel: torch.full((7,), 50.0)}) > 40).all()


@torch.no_grad()
def test_each_latent_is_held_out_from_the_fit_that_it_is_scored_by() -> None:
    """A prior that puts all its mass on the latents it has seen gives none to those it has not."""

    class Seen:
        def __init__(self, z: Tensor) -> None:
            self.z = z

        def log_prob(self, z: Tensor) -> Tensor:
            return (torch.cdist(z, self.z) == 0).any(1).to(z)

    z = torch.randn(13, 2)
    log_prob = cross_validated_log_prob(z, [Seen, one_normal])
    assert log_prob.shape == (13, 2)
    assert (log_prob[:, 0] == 0).all()
