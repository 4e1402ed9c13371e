import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from radogaga import GaussianResidual, MultiscaleResidual, StudentTResidual
from radogaga.method.density.residuals import ResidualDistribution


def student(directions: int, degrees: float, scale: float = 1.0) -> StudentTResidual:
    density = StudentTResidual(directions)
    density.degrees.fill_(degrees)
    density.scale.fill_(scale)
    return density


def normal(directions: int, std: float = 1.0) -> GaussianResidual:
    density = GaussianResidual(directions)
    density.variance.fill_(std**2)
    return density


def principal(directions: int) -> MultiscaleResidual:
    """A density of unequal directions in as many features, or in five."""
    features = 1 if directions == 1 else 5
    density = MultiscaleResidual(features, directions)
    density.fit(
        torch.randn(300, features) @ off_manifold(features, features - directions) * torch.linspace(1, 0.1, features)
    )
    return density


def t_rows(n: int, features: int, degrees: float, scale: float = 1.0) -> Tensor:
    return scale * torch.distributions.StudentT(degrees).sample((n, features))


def off_manifold(features: int, latents: int) -> Tensor:
    """A projection onto the directions off a random manifold, ``(M, M)``."""
    tangent = torch.linalg.qr(torch.randn(features, latents)).Q
    return torch.eye(features) - tangent @ tangent.T


DISTRIBUTIONS: dict[str, Callable[[int], ResidualDistribution]] = {
    "normal": lambda c: normal(c, std=0.7),
    "student": lambda c: student(c, degrees=3.0, scale=0.7),
    "student of one degree": lambda c: student(c, degrees=1.0),
    "student of many degrees": lambda c: student(c, degrees=1e6, scale=0.7),
    "principal": principal,
}
KINDS = {"normal": GaussianResidual, "student": StudentTResidual}
each_distribution = pytest.mark.parametrize("make", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@each_distribution
def test_log_prob_is_per_row(make) -> None:
    density, residual = make(3), torch.randn(7, 5)
    together = density.log_prob(residual)
    assert together.shape == (7,)
    torch.testing.assert_close(torch.cat([density.log_prob(row) for row in residual.split(1)]), together)


@each_distribution
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_log_prob_and_samples_come_in_the_precision_of_the_rows(make, dtype: torch.dtype) -> None:
    density, residual = make(5).to(dtype), torch.randn(7, 5, dtype=dtype)
    assert density.log_prob(residual).dtype == density.sample(residual).dtype == dtype
    assert density.sample(residual).shape == (7, 5)


@each_distribution
def test_one_direction_of_one_feature_integrates_to_one(make) -> None:
    t = torch.linspace(-16, 16, 4001, dtype=torch.float64)
    log_density = make(1).double().log_prob(t.sinh()[:, None])
    assert float((log_density.exp() * t.cosh()).sum() * (t[1] - t[0])) == pytest.approx(1, abs=1e-5)


@each_distribution
def test_a_density_for_no_directions_says_nothing(make) -> None:
    assert torch.equal(make(0).log_prob(torch.randn(7, 5)), torch.zeros(7))


@each_distribution
def test_the_further_off_the_less_likely(make) -> None:
    steps = torch.linspace(0, 100, 50)[:, None] * torch.randn(5)
    assert (make(3).log_prob(steps).diff() < 0).all()


def test_the_normal_density_is_a_normal_density_in_the_directions_off_the_manifold() -> None:
    """With as many directions as features, on all of the space."""
    for directions in (1, 3, 5):
        basis = torch.linalg.qr(torch.randn(5, directions)).Q.double()
        inside = torch.randn(50, directions).double()
        expected = stats.multivariate_normal(np.zeros(directions), 0.7**2 * np.eye(directions)).logpdf(inside.numpy())
        found = normal(directions, std=0.7).double().log_prob(inside @ basis.T)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("degrees", [0.5, 3.0, 100.0, 1e4, 1e6])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-3), (torch.float64, 1e-6)], ids=str)
def test_students_t_with_all_directions_is_the_product_over_features(
    degrees: float, dtype: torch.dtype, allowed: float
) -> None:
    residual = 2 * torch.randn(50, 6, dtype=dtype)
    density = student(6, degrees, scale=0.7).to(dtype)
    expected = stats.t.logpdf(residual.double().numpy(), degrees, scale=density.scale.item()).sum(1)
    np.testing.assert_allclose(density.log_prob(residual), expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("directions", [0, 1, 4, 6])
def test_students_t_approaches_the_normal_one_with_many_degrees(directions: int) -> None:
    residual = torch.randn(50, 6) @ off_manifold(6, 6 - directions)
    expected = normal(directions, std=0.7).double().log_prob(residual.double())
    missed = [(student(directions, d, 0.7).log_prob(residual) - expected).abs().max().item() for d in (1e2, 1e4, 1e6)]
    assert missed == sorted(missed, reverse=True)
    assert missed[-1] < 1e-3


@each_kind
@pytest.mark.parametrize("directions", [2, 6])
def test_fit_is_by_maximum_likelihood(kind, directions: int) -> None:
    residual = t_rows(800, 6, degrees=4.0) @ off_manifold(6, 6 - directions)
    density = kind(directions)
    density.fit(residual)
    best = density.log_prob(residual).mean()
    for name in density.state_dict():
        for factor in (0.8, 1.25):
            other = kind(directions)
            other.load_state_dict(density.state_dict())
            getattr(other, name).mul_(factor)
            assert other.log_prob(residual).mean() < best


@pytest.mark.parametrize("degrees", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_students_t_recovers_degrees_and_scale_in_any_unit(degrees: float, unit: float) -> None:
    density = StudentTResidual(4)
    density.fit(t_rows(4000, 4, degrees, scale=0.5 * unit))
    assert density.degrees.item() == pytest.approx(degrees, rel=0.15)
    assert density.scale.item() == pytest.approx(0.5 * unit, rel=0.05)


def test_students_t_of_normal_residuals_is_nearly_normal() -> None:
    residual, unseen = torch.randn(2, 2000, 4)
    distributions = StudentTResidual(4), GaussianResidual(4)
    for density in distributions:
        density.fit(residual)
    by_student, by_normal = (density.log_prob(unseen).mean().item() for density in distributions)
    assert by_student == pytest.approx(by_normal, abs=0.01)


@each_kind
def test_fit_is_repeatable_and_leaves_the_global_generator_alone(kind) -> None:
    residual, before = t_rows(9000, 4, degrees=3.0), torch.get_rng_state()
    one, other = kind(4), kind(4)
    for density in (one, other):
        density.fit(residual)
    assert torch.equal(torch.get_rng_state(), before)
    assert one.state_dict() == other.state_dict()


LITTLE = {
    "only zeros": lambda: torch.zeros(100, 4),
    "one that is not zero": lambda: torch.zeros(100, 4).index_put((torch.tensor(3), torch.tensor(1)), torch.ones(())),
    "mostly zeros": lambda: torch.randn(400, 4) * (torch.rand(400, 1) < 0.1),
    "rounding errors": lambda: 1e-8 * torch.randn(100, 4),
    "all alike": lambda: torch.ones(100, 4),
    "one row": lambda: torch.randn(1, 4),
}
FITTED = {**KINDS, "principal": lambda c: MultiscaleResidual(4, c)}


@pytest.mark.parametrize("kind", FITTED.values(), ids=FITTED)
@pytest.mark.parametrize("residual", LITTLE.values(), ids=LITTLE)
@pytest.mark.parametrize("directions", [0, 2, 4])
def test_residuals_that_say_little_give_a_density_all_the_same(kind, residual, directions: int) -> None:
    density, residual = kind(directions), residual()
    density.fit(residual)
    at, off = density.log_prob(residual), density.log_prob(residual + 10)
    for numbers in (at, off, density.sample(residual), *density.state_dict().values()):
        assert torch.isfinite(numbers).all()
    assert not directions or off.mean() < at.mean()


@pytest.mark.parametrize("degrees", [1.0, 3.0, 1e6])
def test_samples_of_students_t_follow_it(degrees: float) -> None:
    samples = student(5, degrees, scale=0.7).sample(torch.zeros(1000, 5)).flatten()
    assert stats.kstest(samples.numpy(), stats.t(degrees, scale=0.7).cdf).pvalue > 1e-3


def test_samples_of_the_normal_density_follow_it() -> None:
    samples = normal(5, std=0.7).sample(torch.zeros(1000, 5)).flatten()
    assert stats.kstest(samples.numpy(), stats.norm(scale=0.7).cdf).pvalue > 1e-3


NEARLY_NORMAL = {"normal": lambda c: normal(c, std=0.7), "student": lambda c: student(c, degrees=1e4, scale=0.7)}


@pytest.mark.parametrize("make", NEARLY_NORMAL.values(), ids=NEARLY_NORMAL)
@pytest.mark.parametrize("directions", [1, 3, 6])
def test_samples_projected_off_the_manifold_have_the_entropy_of_the_density(make, directions: int) -> None:
    density = make(directions)
    residual = density.sample(torch.zeros(5000, 6)) @ off_manifold(6, 6 - directions)
    expected = directions * (math.log(0.7) + stats.norm.entropy())
    assert -density.log_prob(residual).mean().item() == pytest.approx(expected, abs=0.1)


# In principal directions


@pytest.mark.parametrize("directions", [2, 3])
def test_the_principal_density_integrates_to_one_in_the_directions_off_the_manifold(directions: int) -> None:
    basis = torch.linalg.qr(torch.randn(4, directions).double()).Q
    density = MultiscaleResidual(4, directions).double()
    density.fit(torch.randn(400, directions).double() * torch.tensor([1.0, 0.1, 0.5])[:directions] @ basis.T)
    proposal = torch.distributions.StudentT(torch.tensor(3.0).double())
    points = proposal.sample((200_000, directions))
    ratio = (density.log_prob(points @ basis.T) - proposal.log_prob(points).sum(1)).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=5 * float(ratio.std()) / len(ratio) ** 0.5)


def test_directions_that_share_a_density_are_counted_as_well() -> None:
    density = MultiscaleResidual(5, 5).double()
    rows, new = torch.randn(2, 4000, 5).double() * torch.tensor([2.0, 1.0, 0.5, 0.5, 0.5])
    density.fit(rows, max_leading=2)
    expected = stats.norm(scale=[2, 1, 0.5, 0.5, 0.5]).logpdf(new.numpy()).sum(1).mean()
    assert density.leading == 2
    assert density.log_prob(new).mean().item() == pytest.approx(expected, abs=0.1)


def test_samples_of_the_principal_density_have_its_entropy() -> None:
    density = MultiscaleResidual(4, 3).double()
    density.fit(
        t_rows(2000, 4, degrees=4.0).double() * torch.tensor([1.0, 0.1, 0.5, 0.2]) @ off_manifold(4, 1).double()
    )
    basis = torch.linalg.svd(density.axes, full_matrices=False).Vh
    first, second = (
        density.log_prob(density.sample(torch.zeros(20_000, 4).double()) @ basis.T @ basis).mean() for _ in "ab"
    )
    rows = t_rows(20_000, 4, degrees=4.0).double() * torch.tensor([1.0, 0.1, 0.5, 0.2])
    assert first.item() == pytest.approx(second.item(), abs=0.05)
    assert density.log_prob(rows @ off_manifold(4, 1).double()).mean() < first + 5


def test_what_is_far_off_is_as_likely_as_the_coarsest_variance_makes_it() -> None:
    density, coarse = MultiscaleResidual(3, 3).double(), normal(3, std=2.0).double()
    density.fit(0.01 * torch.randn(500, 3).double(), coarsest=4.0)
    off = torch.randn(50, 3).double() * 4
    lost = coarse.log_prob(off) - density.log_prob(off)
    assert lost.max() < 3 * math.log(505)
