import math

import pytest
import torch
from scipy import special
from torch import Tensor

from prior_examples import each_dimension
from radogaga import KernelDensity
from radogaga.method.priors.kernel_density import loo_bandwidth


def test_the_kernel_bandwidth_is_the_likeliest_by_leave_one_out():
    z = torch.randn(80, 2, dtype=torch.float64)
    chosen = KernelDensity.fit(z).bandwidth.item()

    def leave_one_out(bandwidth: float) -> float:
        squares = torch.cdist(z, z).square().fill_diagonal_(math.inf)
        return float((-0.5 * squares / bandwidth**2).logsumexp(1).mean() - 2 * math.log(bandwidth))

    assert leave_one_out(chosen) >= max(leave_one_out(chosen * f) for f in (0.5, 0.9, 1.1, 2))


def test_repeated_latents_weigh_as_often_as_they_come():
    z = torch.tensor([[0.0], [4.0], [4.0], [4.0], [9.0]], dtype=torch.float64)
    prior = KernelDensity.fit(z)
    weights = dict(zip(prior.centres[:, 0].tolist(), prior.log_weights.exp().tolist(), strict=True))
    assert weights == pytest.approx({0.0: 0.2, 4.0: 0.6, 9.0: 0.2})


def test_fewer_centres_keep_the_weight_of_the_latents_around_them():
    z = torch.cat([torch.randn(3000, 2), torch.randn(1000, 2) + 20])
    prior = KernelDensity.fit(z, max_centres=200)
    right = prior.centres[:, 0] > 10
    assert prior.log_weights.exp()[right].sum().item() == pytest.approx(0.25, abs=1e-3)


def kernel_at(points: Tensor, bandwidth: float) -> KernelDensity:
    """A kernel density of unequal weights."""
    prior = KernelDensity(points.shape[1], len(points)).to(points)
    prior.centres.copy_(points)
    prior.log_weights.copy_(torch.rand(len(points)).log_softmax(0))
    prior.bandwidth.fill_(bandwidth)
    return prior


def plain_log_prob(prior: KernelDensity, z: Tensor) -> Tensor:
    points, log_weights, z = (v.double().numpy() for v in (prior.centres, prior.log_weights, z))
    bandwidth = prior.bandwidth.item()
    squares = ((z[:, None] - points) ** 2).sum(2) / bandwidth**2
    normaliser = prior.latents * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))
    return torch.as_tensor(special.logsumexp(log_weights - 0.5 * squares, axis=1) - normaliser)


@each_dimension
@pytest.mark.parametrize("apart", [0.0, 10.0, 1000.0])
@pytest.mark.parametrize("bandwidth", [0.1, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_kernel_density_is_the_sum_over_its_centres(
    latents: int, apart: float, bandwidth: float, dtype: torch.dtype
) -> None:
    """As exact as a precision is that holds the square of the centres' distance in bandwidths."""
    sides = apart * torch.randint(0, 2, (200, 1)) + 5
    prior = kernel_at((sides[:100] + torch.randn(100, latents)).to(dtype), bandwidth)
    z = (sides[100:] + torch.randn(100, latents)).to(dtype)
    reach = (z - prior.centres.mean(0)).square().sum(1).max() / bandwidth**2
    allowed = 4 * torch.finfo(dtype).eps * (float(reach) + 10)
    torch.testing.assert_close(prior.log_prob(z).double(), plain_log_prob(prior, z), rtol=1e-6, atol=allowed)


def test_the_kernel_density_is_unmoved_when_centres_and_latents_move_together() -> None:
    points, z = torch.randn(50, 2), torch.randn(20, 2)
    torch.manual_seed(1)
    here = kernel_at(points, 0.3).log_prob(z)
    torch.manual_seed(1)
    torch.testing.assert_close(kernel_at(points + 512, 0.3).log_prob(z + 512), here, rtol=1e-3, atol=1e-3)


def test_the_kernel_density_does_not_depend_on_how_rows_are_cut() -> None:
    prior, z = kernel_at(torch.randn(5000, 2), 0.3), torch.randn(4000, 2)
    parts = torch.cat([prior.log_prob(part) for part in z.split(333)])
    torch.testing.assert_close(prior.log_prob(z), parts, rtol=1e-5, atol=1e-5)


def test_clusters_keep_mean_and_total_variance_of_the_latents():
    z = torch.randn(4000, 3, dtype=torch.float64) * torch.tensor([3.0, 1.0, 0.2]) + 5
    prior = KernelDensity.fit(z, max_centres=50)
    weight = prior.log_weights.exp()
    mean = weight @ prior.centres
    between = weight @ (prior.centres - mean).square().sum(1)
    torch.testing.assert_close(mean, z.mean(0))
    torch.testing.assert_close(between + 3 * weight @ prior.within_variance, z.var(0, correction=0).sum())


def test_few_clusters_say_nearly_what_all_latents_say():
    z, new = torch.randn(4000, 3), torch.randn(500, 3)
    every, few = (KernelDensity.fit(z, max_centres=most).log_prob(new) for most in (4000, 400))
    assert (few - every).abs().mean() < 0.1
    assert abs(float((few - every).mean())) < 0.05


def test_rows_that_lie_about_have_clusters_of_their_own() -> None:
    about = 50 * torch.randn(10, 2)
    prior = KernelDensity.fit(torch.cat([torch.randn(4000, 2), about]), max_centres=100)
    distances, nearest = torch.cdist(about, prior.centres).min(1)
    assert (distances < 1).all()
    assert (prior.within_variance[nearest] < 1).all()


def test_bandwidth_alone_is_the_densitys():
    z = torch.randn(200, 2)
    assert torch.equal(loo_bandwidth(z, seed=3), KernelDensity.fit(z, seed=3).bandwidth)


# -- bandwidths that follow the latents -----------------------------------------------------------------------------


def test_adaptive_bandwidths_are_fine_where_latents_are_dense():
    dense, sparse = 0.1 * torch.randn(500, 2), 3 * torch.randn(100, 2) + 20
    prior = KernelDensity.fit_adaptive(torch.cat([dense, sparse]))
    near = prior.centres[:, 0] < 10
    assert 10 * prior.bandwidth[near].median() < prior.bandwidth[~near].median()


def test_adaptive_bandwidths_make_new_latents_of_two_scales_likelier():
    def latents(n: int) -> Tensor:
        return torch.cat([0.1 * torch.randn(n, 2), 3 * torch.randn(n, 2) + 20])

    z, new = latents(300), latents(300)
    adaptive, fixed = KernelDensity.fit_adaptive(z), KernelDensity.fit(z)
    assert adaptive.log_prob(new).mean() > fixed.log_prob(new).mean() + 0.3


@pytest.mark.parametrize(
    "z", [torch.zeros(5, 2), torch.tensor([[1.0, 2.0]]), torch.eye(3)], ids=["equal", "one", "few"]
)
def test_adaptive_bandwidths_of_hardly_any_latents_are_positive(z):
    prior = KernelDensity.fit_adaptive(z)
    assert (prior.bandwidth > 0).all()
    assert prior.log_prob(z).isfinite().all()


# -- left-out latents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", [KernelDensity.fit, KernelDensity.fit_adaptive])
def test_a_left_out_latent_is_scored_by_all_others(fit):
    z = torch.randn(60, 2, dtype=torch.float64)
    prior = fit(z)
    left_out = prior.left_out_log_prob(z, z, len(z))
    place = (prior.centres[:, None] == z).all(2).int().argmax(0)
    for i in (0, 17, 59):
        others = torch.arange(60) != place[i]
        rest = KernelDensity(2, 59, adaptive=prior.adaptive).to(z)
        rest.centres.copy_(prior.centres[others])
        rest.bandwidth.copy_(prior.bandwidth[others] if prior.adaptive else prior.bandwidth)
        torch.testing.assert_close(left_out[i], rest.log_prob(z[i : i + 1])[0], rtol=1e-6, atol=1e-6)


def test_left_out_scores_of_clusters_are_those_of_new_latents():
    z, new = torch.randn(3000, 3, dtype=torch.float64), torch.randn(3000, 3, dtype=torch.float64)
    prior = KernelDensity.fit_adaptive(z, max_centres=800)
    left_out, seen, unseen = prior.left_out_log_prob(z, z, len(z)), prior.log_prob(z), prior.log_prob(new)
    # Nearly: the clusters themselves were found with the latent among them.
    assert abs(left_out.mean() - unseen.mean()) < 0.3 * (seen.mean() - unseen.mean())
    assert 0.004 < (unseen <= left_out.quantile(0.01)).double().mean() < 0.02
