import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor, nn

from radogaga import EstimatedMixture, Factorized, KernelDensity, Mixture, Normal, StackedPrior
from radogaga._utils.linalg import robust_cholesky
from radogaga.method.priors.gaussians import MixtureStatistics
from radogaga.method.priors.kernel_density import loo_bandwidth


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


def blended(latents: int) -> StackedPrior:
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
    "factorized": Factorized,
    "moved factorized": lambda n: moved(Factorized(n)),
    "narrow factorized": lambda n: moved(Factorized(n, filters=(2,), initial_scale=1.0)),
    "logistic factorized": lambda n: moved(Factorized(n, filters=())),
    "kernel": lambda n: KernelDensity.fit(torch.randn(60, n)),
    "kernel of clusters": lambda n: KernelDensity.fit(torch.randn(400, n), most_centres=20),
    "kernel of repeated latents": lambda n: KernelDensity.fit(torch.randn(20, n).repeat(5, 1), most_centres=10),
    "blend": blended,
}
each_prior = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
each_dimension = pytest.mark.parametrize("latents", [1, 2, 5])


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


# Mixtures


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


SPLITS = {"rows": [1] * 90, "halves": [45, 45], "unequal": [7, 80, 3], "with an empty part": [30, 0, 60]}
each_split = pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)


@each_split
def test_statistics_add_up_over_any_split(split: list[int]) -> None:
    z, membership = 100 + torch.randn(90, 3), torch.randn(90, 4).softmax(1)
    whole = MixtureStatistics.of(z, membership)
    first, *others = [MixtureStatistics.of(*pair) for pair in zip(z.split(split), membership.split(split), strict=True)]
    total = sum(others, first)
    for name in ("count", "first", "second"):
        torch.testing.assert_close(getattr(total, name), getattr(whole, name), rtol=1e-12, atol=0)


@each_split
def test_stored_mixture_is_the_same_over_any_split(split: list[int]) -> None:
    prior, z = moved(EstimatedMixture(2, 3)), torch.randn(90, 2)
    prior.fit_statistics([z])
    whole = prior.eval().log_prob(z)
    prior.fit_statistics(z.split(split))
    torch.testing.assert_close(prior.log_prob(z), whole)


def test_statistics_give_the_weighted_moments() -> None:
    z, membership = torch.randn(50, 3).double(), torch.randn(50, 2).double().softmax(1)
    weights, means, covariances = MixtureStatistics.of(z, membership).parameters(floor=0.5)
    for k, weight in enumerate(membership.T.numpy()):
        assert weights[k].item() == pytest.approx(weight.mean())
        np.testing.assert_allclose(means[k], np.average(z.numpy(), axis=0, weights=weight))
        expected = np.cov(z.numpy().T, aweights=weight, ddof=0) + 0.5 * np.eye(3)
        np.testing.assert_allclose(covariances[k], expected, atol=1e-12)


def test_statistics_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        EstimatedMixture(2, 2).fit_statistics([])


# Cholesky factors

SINGULAR = {
    "ones": torch.ones(3, 3),
    "zeros": torch.zeros(3, 3),
    "one direction": torch.outer(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0])),
    "duplicated columns": torch.cov(torch.randn(2, 50, generator=torch.Generator().manual_seed(0))[[0, 1, 1]]),
    "slightly negative": torch.diag(torch.tensor([1.0, 1.0, -1e-5])),
    "tiny": 1e-20 * torch.ones(3, 3),
    "huge": 1e20 * torch.ones(3, 3),
}


@pytest.mark.parametrize("matrix", SINGULAR.values(), ids=SINGULAR)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_cholesky_factors_a_singular_matrix_nearly(matrix: Tensor, dtype: torch.dtype) -> None:
    factor = robust_cholesky(matrix.to(dtype))
    assert (factor.diagonal() > 0).all()
    allowed = max(1e-3 * matrix.diagonal().mean().item(), 1e-30)
    torch.testing.assert_close(factor @ factor.T, matrix.to(dtype), rtol=0, atol=allowed)


def test_cholesky_leaves_a_sound_matrix_alone() -> None:
    sound = torch.cov(torch.randn(3, 50))
    factors = robust_cholesky(torch.stack([sound, torch.ones(3, 3)]))
    assert torch.equal(factors[0], torch.linalg.cholesky(sound))
    assert torch.equal(robust_cholesky(sound), torch.linalg.cholesky(sound))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 0), (2, 2)], ids=str)
def test_cholesky_refuses_what_is_not_finite(value: float, place: tuple[int, int]) -> None:
    matrix = torch.eye(3)
    matrix[place] = matrix[place[::-1]] = value
    with pytest.raises(FloatingPointError, match="finite"):
        robust_cholesky(matrix)


def test_cholesky_lets_gradients_through_a_jitter() -> None:
    root = torch.randn(3, 2, requires_grad=True)
    robust_cholesky(root @ root.T).diagonal().log().sum().backward()
    assert torch.isfinite(root.grad).all()


# Kernel


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
    weights = dict(zip(prior.points[:, 0].tolist(), prior.log_weights.exp().tolist(), strict=True))
    assert weights == pytest.approx({0.0: 0.2, 4.0: 0.6, 9.0: 0.2})


def test_fewer_centres_keep_the_weight_of_the_latents_around_them():
    z = torch.cat([torch.randn(3000, 2), torch.randn(1000, 2) + 20])
    prior = KernelDensity.fit(z, most_centres=200)
    right = prior.points[:, 0] > 10
    assert prior.log_weights.exp()[right].sum().item() == pytest.approx(0.25, abs=1e-3)


def kernel_at(points: Tensor, bandwidth: float) -> KernelDensity:
    """A kernel density of unequal weights."""
    prior = KernelDensity(points.shape[1], len(points)).to(points)
    prior.points.copy_(points)
    prior.log_weights.copy_(torch.rand(len(points)).log_softmax(0))
    prior.bandwidth.fill_(bandwidth)
    return prior


def plain_log_prob(prior: KernelDensity, z: Tensor) -> Tensor:
    points, log_weights, z = (v.double().numpy() for v in (prior.points, prior.log_weights, z))
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
    reach = (z - prior.points.mean(0)).square().sum(1).max() / bandwidth**2
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
    prior = KernelDensity.fit(z, most_centres=50)
    weight = prior.log_weights.exp()
    mean = weight @ prior.points
    between = weight @ (prior.points - mean).square().sum(1)
    torch.testing.assert_close(mean, z.mean(0))
    torch.testing.assert_close(between + 3 * weight @ prior.within, z.var(0, correction=0).sum())


def test_few_clusters_say_nearly_what_all_latents_say():
    z, new = torch.randn(4000, 3), torch.randn(500, 3)
    every, few = (KernelDensity.fit(z, most_centres=most).log_prob(new) for most in (4000, 400))
    assert (few - every).abs().mean() < 0.1
    assert abs(float((few - every).mean())) < 0.05


def test_rows_that_lie_about_have_clusters_of_their_own() -> None:
    about = 50 * torch.randn(10, 2)
    prior = KernelDensity.fit(torch.cat([torch.randn(4000, 2), about]), most_centres=100)
    distances, nearest = torch.cdist(about, prior.points).min(1)
    assert (distances < 1).all()
    assert (prior.within[nearest] < 1).all()


def test_bandwidth_alone_is_the_densitys():
    z = torch.randn(200, 2)
    assert torch.equal(loo_bandwidth(z, seed=3), KernelDensity.fit(z, seed=3).bandwidth)


# Blend


def one_normal(z: Tensor) -> Mixture:
    prior = Mixture(z.shape[1], components=1).to(z)
    prior.fit(z)
    return prior


@torch.no_grad()
@pytest.mark.parametrize("step", [0.0, 2.0], ids=["normal", "on a grid"])
def test_a_blend_is_as_good_on_new_rows_as_the_best_of_its_priors(step: float) -> None:
    z, new = (step * torch.randint(0, 4, (n, 2)) + 0.1 * torch.randn(n, 2) for n in (600, 2000))
    fits = [KernelDensity.fit, one_normal]
    alone = max(float(fit(z).log_prob(new).mean()) for fit in fits)
    assert StackedPrior.fit(z, fits).log_prob(new).mean() > alone - 0.02


def test_a_prior_that_learns_rows_by_heart_has_little_weight() -> None:
    def by_heart(z: Tensor) -> KernelDensity:
        prior = KernelDensity.fit(z)
        prior.bandwidth.fill_(1e-3)
        return prior

    prior = StackedPrior.fit(torch.randn(300, 2), [by_heart, one_normal])
    assert prior.log_weights.exp()[0] < 0.05


def test_copies_of_a_latent_do_not_tell_what_a_prior_is_worth() -> None:
    z, fits = torch.randn(100, 2), [KernelDensity.fit, one_normal]
    weights, copied = (StackedPrior.fit(rows, fits).log_weights for rows in (z, z.repeat(4, 1)))
    torch.testing.assert_close(copied, weights, rtol=0, atol=0.1)
