import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from torch import Tensor, nn

from radogaga import (
    AsinhScaling,
    Autoencoder,
    Density,
    EstimatedMixture,
    Factorized,
    GaussianNoise,
    InputError,
    Mixture,
    Normal,
    RateDistortion,
    ResidualFeatures,
    ResidualMLP,
    Scaling,
    SquaredError,
    StudentTResidual,
    fit_with_mixture,
    initialize_pca,
)

PRIORS = {
    "normal": Normal,
    "mixture": lambda n: Mixture(n, 3),
    "estimated mixture": lambda n: EstimatedMixture(n, 3).eval(),
    "factorized": lambda n: Factorized(n, initial_scale=1.0),
}
SCALINGS = {
    "none": lambda x: Scaling(x.shape[1]),
    "root mean square": Scaling.root_mean_square,
    "standard": Scaling.standard,
    "min-max": Scaling.min_max,
}
VOLUMES = ["isometric", "exact"]
each_prior = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
each_scaling = pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
each_volume = pytest.mark.parametrize("volume", VOLUMES)


def linear_density(x: Tensor, prior: nn.Module, scaling, latents: int = 1, **options) -> Density:
    """Principal components under a prior: exactly isometric, so it is the data's density without training."""
    width = x.shape[1]
    networks = ResidualMLP(width, latents, [4]), ResidualMLP(latents, width, [4])
    autoencoder = Autoencoder(*networks, latents=latents, scaling=scaling(x))
    initialize_pca(autoencoder, x)
    density = Density(RateDistortion(autoencoder, prior, SquaredError(), GaussianNoise(0.1), **options), features=width)
    density.fit_residual(x)
    return density.eval()


def stretch(density: Density, by: float) -> None:
    autoencoder = density.model.autoencoder
    with torch.no_grad():
        autoencoder.log_gain.copy_(torch.tensor(by).log() / autoencoder._GAIN_RATE)


def plane_rows(n: int = 500) -> Tensor:
    """Rows of two features in unequal units, away from the origin."""
    return torch.randn(n, 2) @ torch.tensor([[3.0, 1.0], [0.0, 0.5]]) + torch.tensor([5.0, -20.0])


def integral_over_the_plane(density: Density, centre: Tensor, reach: Tensor, points: int = 600, **options) -> float:
    """The integral over the box of all raw rows within `reach` of the centre, by a sum over a grid."""
    steps = torch.linspace(-1, 1, points)
    grid = centre + reach * torch.cartesian_prod(steps, steps)
    cell = float((reach * (steps[1] - steps[0])).prod())
    return float(density.log_prob(grid, include_residual=True, **options).double().exp().sum()) * cell


@each_prior
@each_scaling
def test_density_across_the_manifold_integrates_to_one(prior, scaling) -> None:
    x = plane_rows()
    density = linear_density(x, prior(1), scaling)
    reach = 8 * density.model.autoencoder.scaling.factor.maximum(x.std(0))
    assert integral_over_the_plane(density, x.mean(0), reach) == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("scaling", [Scaling.root_mean_square, Scaling.standard], ids=["uniform", "per column"])
@pytest.mark.parametrize("by", [0.7, 1.5])
def test_exact_volume_integrates_to_one_where_the_constant_does_not(scaling, by: float) -> None:
    x = plane_rows()
    density = linear_density(x, Normal(1), scaling)
    stretch(density, by)
    reach = 8 * density.model.autoencoder.scaling.factor
    assert integral_over_the_plane(density, x.mean(0), reach, volume="exact") == pytest.approx(1, abs=0.005)
    assert integral_over_the_plane(density, x.mean(0), reach) == pytest.approx(1 / by, rel=0.01)


def integral_in_raw_units(density: Density, points: int = 301, **options) -> float:
    """The integral over all of the plane, by a grid that is fine near the centre and reaches far into long tails."""
    scaling, t = density.model.autoencoder.scaling, torch.linspace(-9, 9, points, dtype=torch.float64)
    nodes = scaling.shift + scaling.factor * torch.cartesian_prod(t.sinh(), t.sinh())
    weights = scaling.factor.prod() * torch.outer(t.cosh(), t.cosh()).flatten() * (t[1] - t[0]) ** 2
    return float(density.log_prob(nodes, include_residual=True, **options).exp() @ weights)


@each_prior
@each_volume
@pytest.mark.parametrize("latents", [1, 2])
def test_density_under_asinh_scaling_integrates_to_one_in_raw_units(prior, volume: str, latents: int) -> None:
    density = linear_density(plane_rows().double(), prior(latents), AsinhScaling.standard, latents).double()
    assert integral_in_raw_units(density, volume=volume) == pytest.approx(1, abs=1e-3)


def test_samples_under_asinh_scaling_follow_the_density() -> None:
    """The mean of q / p over samples of p is the integral of q, whatever the density q; here a narrow normal one."""
    x = plane_rows()
    density = linear_density(x, Mixture(1, 1), AsinhScaling.standard)
    density.model.prior.fit(density.model.autoencoder.encode(x).detach())
    samples = density.sample(20_000, include_residual=True)
    narrow = torch.distributions.MultivariateNormal(x.mean(0), 0.3 * torch.cov(x.T))
    ratio = (narrow.log_prob(samples) - density.log_prob(samples, include_residual=True)).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / len(ratio) ** 0.5)
    assert float(ratio.std()) < 5


class Angle(nn.Module):
    """From a plane to the angle of each point."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.atan2(x[:, 1:], x[:, :1])


class Circle(nn.Module):
    """From an angle to the point on a circle of radius 2."""

    def forward(self, z: Tensor) -> Tensor:
        return 2 * torch.cat([z.cos(), z.sin()], 1)


def circle_density(prior: nn.Module, **options) -> Density:
    autoencoder = Autoencoder(Angle(), Circle(), latents=1, scaling=Scaling(2))
    density = Density(RateDistortion(autoencoder, prior, SquaredError(), GaussianNoise(0.1), **options), features=2)
    with torch.no_grad():
        density.residual.variance.fill_(0.3**2)
    return density


def test_exact_density_around_a_circle_integrates_to_one() -> None:
    prior = Mixture(1, 2)
    prior.set_parameters(torch.tensor([0.5, 0.5]), torch.tensor([[1.0], [-0.5]]), torch.tensor([[[0.1]], [[0.2]]]))
    total = integral_over_the_plane(circle_density(prior), torch.zeros(2), torch.full((2,), 5.0), volume="exact")
    assert total == pytest.approx(1, abs=1e-3)


def test_exact_volume_of_a_circle_is_its_radius() -> None:
    """A radius is what a step in angle is long: J'J = 4, so a weight of 4 would make the constant exact."""
    x = Circle()(torch.linspace(-2, 2, 9)[:, None])
    weight = (1 / 4) / (2 * 0.1**2)
    density = circle_density(Normal(1), isometry_weight=weight)
    expected = torch.as_tensor(stats.norm.logpdf(np.linspace(-2, 2, 9)) - math.log(2)).float()
    torch.testing.assert_close(density.log_prob(x, volume="exact"), expected)
    torch.testing.assert_close(density.log_prob(x, volume="isometric"), expected)


@each_prior
@pytest.mark.parametrize("constant", [1.0, 4.0, 0.25])
@pytest.mark.parametrize("include_residual", [False, True])
def test_constant_and_exact_volumes_agree_for_an_isometry(
    rows: Tensor, prior, constant: float, include_residual: bool
) -> None:
    """J'J = I / constant: at other weights than the default, an isometry's latents are longer by the root of it."""
    density = linear_density(
        rows, prior(2), Scaling.root_mean_square, latents=2, isometry_weight=constant / (2 * 0.1**2)
    )
    stretch(density, math.sqrt(constant))
    by_constant, exactly = (
        density.log_prob(rows, volume=volume, include_residual=include_residual) for volume in ("isometric", "exact")
    )
    torch.testing.assert_close(by_constant, exactly, atol=1e-4, rtol=1e-4)


@each_scaling
def test_linear_density_is_that_of_probabilistic_pca(rows: Tensor, scaling) -> None:
    density = linear_density(rows, Mixture(2, 1), scaling, latents=2)
    density.model.prior.fit(density.model.autoencoder.encode(rows).detach())
    factor = density.model.autoencoder.scaling.factor
    scaled = density.model.autoencoder.scaling(rows).double().numpy()
    expected = PCA(2).fit(scaled).score_samples(scaled) - float(factor.log().sum())
    # scikit-learn divides by n - 1, a maximum likelihood by n.
    np.testing.assert_allclose(density.log_prob(rows, include_residual=True).numpy(), expected, atol=0.06)


@pytest.mark.parametrize("latents", [1, 2, 3])
def test_calibration_is_the_mean_of_the_eigenvalues_left_out(rows: Tensor, latents: int) -> None:
    density = linear_density(rows, Normal(latents), Scaling.root_mean_square, latents=latents)
    scaled = density.model.autoencoder.scaling(rows)
    eigenvalues = torch.linalg.eigvalsh(torch.cov(scaled.T, correction=0))
    torch.testing.assert_close(density.residual.variance, eigenvalues[: 4 - latents].mean(), rtol=1e-3, atol=0)


def heavy_tailed_rows(n: int) -> Tensor:
    """A plane in eight features, each of which may lie far off by itself."""
    plane = 3 * torch.randn(n, 2) @ torch.randn(2, 8, generator=torch.Generator().manual_seed(2))
    return plane + 0.1 * torch.distributions.StudentT(2.0).sample((n, 8))


def with_student(density: Density, x: Tensor) -> Density:
    student = Density(density.model, density.features, StudentTResidual(density.residual.directions))
    student.fit_residual(x)
    return student


def test_students_residual_is_the_likelier_one_for_unseen_rows_with_heavy_tails() -> None:
    x, unseen = heavy_tailed_rows(1000), heavy_tailed_rows(1000)
    normal = linear_density(x, Normal(2), Scaling.root_mean_square, latents=2)
    student = with_student(normal, x)
    assert (
        student.log_prob(unseen, include_residual=True).mean()
        > normal.log_prob(unseen, include_residual=True).mean() + 1
    )


def test_students_residual_with_many_degrees_is_the_normal_one(rows: Tensor) -> None:
    normal = linear_density(rows, Normal(2), AsinhScaling.standard, latents=2)
    student = with_student(normal, rows)
    student.residual.degrees.fill_(1e6)
    student.residual.scale.copy_(normal.residual.variance.sqrt())
    expected = normal.log_prob(rows, include_residual=True)
    torch.testing.assert_close(student.log_prob(rows, include_residual=True), expected, atol=1e-3, rtol=1e-4)


def test_the_residual_changes_nothing_on_the_manifold(rows: Tensor) -> None:
    normal = linear_density(rows, Normal(2), Scaling.root_mean_square, latents=2)
    assert torch.equal(with_student(normal, rows).log_prob(rows), normal.log_prob(rows))


@each_prior
@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_log_density_shifts_with_the_unit(rows: Tensor, prior, factor: float) -> None:
    torch.manual_seed(1)
    own = linear_density(rows, prior(2), Scaling.root_mean_square, latents=2)
    torch.manual_seed(1)
    other = linear_density(factor * rows, prior(2), Scaling.root_mean_square, latents=2)
    other.model.prior.load_state_dict(own.model.prior.state_dict())
    for volume in VOLUMES:
        on, off = (
            other.log_prob(factor * rows, volume=volume, include_residual=a)
            - own.log_prob(rows, volume=volume, include_residual=a)
            for a in (False, True)
        )
        torch.testing.assert_close(on, torch.full((300,), -2 * math.log(factor)), atol=0.01, rtol=0)
        torch.testing.assert_close(off, torch.full((300,), -4 * math.log(factor)), atol=0.01, rtol=0)


@pytest.mark.parametrize("scaling", [Scaling.standard, Scaling.min_max, AsinhScaling.standard])
def test_log_density_across_shifts_with_the_unit_of_each_column(rows: Tensor, scaling) -> None:
    units = torch.tensor([1.0, 100.0, 0.1, 3.0])
    own, other = (linear_density(x, Normal(2), scaling, latents=2) for x in (rows, units * rows))
    shift = other.log_prob(units * rows, include_residual=True) - own.log_prob(rows, include_residual=True)
    torch.testing.assert_close(shift, -units.log().sum().expand(300), atol=0.01, rtol=0)


@each_volume
@pytest.mark.parametrize("include_residual", [False, True])
def test_density_does_not_depend_on_the_batches(make_model, rows: Tensor, volume: str, include_residual: bool) -> None:
    density = Density(make_model(Mixture(2, 3), curve=0.5), features=4)
    density.fit_residual(rows)
    whole = density.log_prob(rows, volume=volume, include_residual=include_residual)
    assert whole.shape == (300,)
    torch.testing.assert_close(
        density.log_prob(rows, volume=volume, include_residual=include_residual, batch_size=7), whole
    )


def test_exact_volume_is_that_of_the_jacobian(make_model, rows: Tensor) -> None:
    model = make_model(curve=0.5).double()
    density, x = Density(model, features=4), rows[:5].double()
    by_constant, exactly = (density.log_prob(x, volume=volume) for volume in VOLUMES)
    for i, z in enumerate(model.autoencoder.encode(x).detach()):
        jacobian = torch.autograd.functional.jacobian(lambda v: model.autoencoder.decode_scaled(v[None])[0], z)
        volume = torch.linalg.svdvals(jacobian).log().sum()
        torch.testing.assert_close(exactly[i], by_constant[i] - volume)


def test_rows_off_the_manifold_are_less_likely_with_the_residual(rows: Tensor) -> None:
    density = linear_density(rows, Normal(2), Scaling.root_mean_square, latents=2)
    encoder, scaling = density.model.autoencoder.encoder, density.model.autoencoder.scaling
    off = torch.linalg.svd(encoder.linear.weight.detach()).Vh[2]
    lifted = rows + scaling.factor * off
    torch.testing.assert_close(density.log_prob(lifted), density.log_prob(rows), atol=1e-3, rtol=1e-3)
    assert (
        density.log_prob(lifted, include_residual=True).mean() < density.log_prob(rows, include_residual=True).mean()
    ).all()


def test_samples_on_the_manifold_lie_on_it(rows: Tensor) -> None:
    density = linear_density(rows, Normal(2), Scaling.root_mean_square, latents=2)
    samples = density.sample(200)
    assert samples.shape == (200, 4)
    autoencoder = density.model.autoencoder
    torch.testing.assert_close(autoencoder.decode(autoencoder.encode(samples)), samples, atol=1e-3, rtol=1e-3)


@each_scaling
def test_samples_across_the_manifold_follow_the_density(scaling) -> None:
    """Three features, one latent, and a residual nearly as wide as the latent: the law is one normal density."""
    x = torch.randn(2000, 3) @ torch.tensor([[1.2, 0.6, 0.0], [0.0, 1.0, 0.0], [0.3, 0.0, 1.0]])
    density = linear_density(x, Mixture(1, 1), scaling)
    density.model.prior.fit(density.model.autoencoder.encode(x).detach())
    with torch.no_grad():
        sampled = density.log_prob(density.sample(20_000, include_residual=True), include_residual=True)
    # A normal density of greatest likelihood is as likely at its own rows, on average, as at its samples.
    standard_error = float(sampled.std()) / len(sampled) ** 0.5
    expected = float(density.log_prob(x, include_residual=True).mean())
    assert float(sampled.mean()) == pytest.approx(expected, abs=5 * standard_error)


@pytest.mark.slow
def test_trained_density_of_an_arc_integrates_to_about_one() -> None:
    angle = torch.rand(4000, 1) * 3 - 1.5
    x = Circle()(angle) + 0.05 * torch.randn(4000, 2)
    networks = ResidualMLP(2, 1, [64]), ResidualMLP(1, 2, [64])
    autoencoder = Autoencoder(*networks, latents=1, scaling=Scaling.root_mean_square(x))
    initialize_pca(autoencoder, x)
    model = RateDistortion(autoencoder, Mixture(1, 5), SquaredError(), GaussianNoise(0.1))
    fit_with_mixture(model, x, steps=4000)
    density = Density(model, features=2)
    density.fit_residual(x)
    for volume in VOLUMES:
        total = integral_over_the_plane(density, x.mean(0), torch.full((2,), 3.5), points=800, volume=volume)
        assert total == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (torch.zeros(3, 1), "got 1"),
        (torch.zeros(3, 5), "got 5"),
        (torch.full((3, 4), torch.nan), "nan in row 0, column 0"),
        ([["a", "b", "c", "d"]], "Encode text"),
        (torch.zeros(4), "rows and columns"),
    ],
    ids=["a column", "too many columns", "nan", "text", "a vector"],
)
def test_rows_that_cannot_be_scored_are_refused(rows, word: str) -> None:
    autoencoder = Autoencoder(ResidualMLP(4, 2), ResidualMLP(2, 4), 2, Scaling(4))
    density = Density(RateDistortion(autoencoder, Normal(2), SquaredError(), GaussianNoise(0.1)), features=4)
    with pytest.raises(InputError, match=word):
        density.log_prob(rows)


def test_a_model_whose_prior_sees_the_residual_is_no_density(make_model) -> None:
    with pytest.raises(InputError, match=r"Expected a model whose prior sees latents alone; got .*-model\.rate"):
        Density(make_model(Mixture(4, 2), prior_features=ResidualFeatures()), features=4)
