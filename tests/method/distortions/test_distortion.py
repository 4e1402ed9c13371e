import pytest
import torch
from torch import Tensor
from torch.nn import functional

from radogaga import SSIM, Autodiff, CrossEntropy, Distortion, QuadraticSSIM, SquaredError


def exponential(x: Tensor, y: Tensor) -> Tensor:
    return (x.exp() - y.exp()).square().flatten(1).sum(1)


def angle(x: Tensor, y: Tensor) -> Tensor:
    """Flat along x itself, so its metric is singular."""
    return 1 - functional.cosine_similarity(x.flatten(1), y.flatten(1))


def coupled(x: Tensor, y: Tensor) -> Tensor:
    """Features that share a metric with entries off its diagonal, and a term of higher order."""
    d = (x - y).flatten(1)
    return d.square().sum(1) + (d * x.flatten(1)).sum(1).square() + d.pow(4).sum(1)


DISTORTIONS = {
    "squared error": SquaredError(),
    "cross entropy": CrossEntropy(),
    "autodiff of squared error": Autodiff(SquaredError()),
    "autodiff of cross entropy": Autodiff(CrossEntropy()),
    "autodiff of exponentials": Autodiff(exponential),
    "autodiff of an angle": Autodiff(angle),
    "autodiff of coupled features": Autodiff(coupled),
}
CLOSED_FORMS = {"squared error": SquaredError(), "cross entropy": CrossEntropy()}
OF_PICTURES = {"structural similarity": SSIM(window=2), "its quadratic form": QuadraticSSIM(window=2, deviation=0.8)}
ROWS, PICTURES = (6, 5), (6, 2, 3, 3)


def cases(of_anything: dict[str, Distortion]) -> list:
    """Each distortion with each shape that it takes."""
    shaped = [(name, d, shape) for name, d in of_anything.items() for shape in (ROWS, PICTURES)]
    shaped += [(name, d, PICTURES) for name, d in OF_PICTURES.items()]
    return [pytest.param(d, shape, id=f"{name}-{'rows' if shape == ROWS else 'pictures'}") for name, d, shape in shaped]


each_distortion = pytest.mark.parametrize(("distortion", "shape"), cases(DISTORTIONS))
each_closed_form = pytest.mark.parametrize(("distortion", "shape"), cases(CLOSED_FORMS))


def points(shape: tuple[int, ...]) -> Tensor:
    """Points that lie inside the domain of every distortion."""
    return 0.1 + 0.8 * torch.rand(shape, dtype=torch.float64)


def directions(shape: tuple[int, ...], n: int) -> Tensor:
    return torch.randn(n, *shape, dtype=torch.float64)


@each_distortion
def test_distortion_between_equals_is_zero(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x = points(shape)
    torch.testing.assert_close(distortion(x, x), torch.zeros(6, dtype=torch.float64))


@each_distortion
def test_distortion_is_positive_between_points_that_differ(distortion: Distortion, shape: tuple[int, ...]) -> None:
    assert (distortion(points(shape), points(shape)) > 0).all()


@each_distortion
def test_distortion_of_a_small_step_is_the_metric(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x, (u,) = points(shape), directions(shape, 1)
    expected = distortion.inner(x, u, u)
    errors = [(distortion(x, x + t * u) / t**2 - expected).abs().max() for t in (1e-3, 1e-4)]
    torch.testing.assert_close(distortion(x, x + 1e-4 * u) / 1e-8, expected, rtol=1e-2, atol=1e-3)
    assert errors[1] < 0.2 * errors[0] or errors[1] < 1e-6


@each_distortion
def test_metric_is_symmetric(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x, (u, v) = points(shape), directions(shape, 2)
    torch.testing.assert_close(distortion.inner(x, u, v), distortion.inner(x, v, u))


@each_distortion
def test_metric_is_bilinear(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x, (u, v, w) = points(shape), directions(shape, 3)
    expected = 2 * distortion.inner(x, u, w) - 3 * distortion.inner(x, v, w)
    torch.testing.assert_close(distortion.inner(x, 2 * u - 3 * v, w), expected)


@each_distortion
def test_metric_is_positive_semidefinite(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x = points(shape)
    basis = torch.eye(x[0].numel(), dtype=x.dtype).reshape(-1, 1, *shape[1:]).expand(-1, *shape)
    metric = torch.stack([torch.stack([distortion.inner(x, u, v) for u in basis]) for v in basis]).permute(2, 0, 1)
    eigenvalues = torch.linalg.eigvalsh(metric)
    assert (eigenvalues > -1e-10 * eigenvalues[:, -1:]).all()


@each_distortion
def test_gram_holds_the_inner_products_of_all_pairs(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x, u = points(shape), directions(shape, 3)
    pairs = torch.stack([torch.stack([distortion.inner(x, a, b) for a in u], 1) for b in u], 1)
    torch.testing.assert_close(distortion.gram(x, u), pairs)


@each_distortion
def test_rows_do_not_touch_each_other(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x, y, (u, v) = points(shape), points(shape), directions(shape, 2)
    torch.testing.assert_close(distortion(x, y)[2:3], distortion(x[2:3], y[2:3]))
    torch.testing.assert_close(distortion.inner(x, u, v)[2:3], distortion.inner(x[2:3], u[2:3], v[2:3]))


@each_distortion
def test_metric_is_the_same_without_gradients(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x, (u, v) = points(shape), directions(shape, 2)
    with torch.no_grad():
        without = distortion.inner(x, u, v)
    torch.testing.assert_close(without, distortion.inner(x, u, v))


@each_distortion
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_distortion_keeps_the_precision_of_its_input(
    distortion: Distortion, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    x, y, (u, v) = points(shape).to(dtype), points(shape).to(dtype), directions(shape, 2).to(dtype)
    assert distortion(x, y).dtype == distortion.inner(x, u, v).dtype == dtype


@each_closed_form
def test_autodiff_agrees_with_the_closed_form(distortion: Distortion, shape: tuple[int, ...]) -> None:
    x, y, (u, v) = points(shape), points(shape), directions(shape, 2)
    torch.testing.assert_close(Autodiff(distortion)(x, y), distortion(x, y))
    torch.testing.assert_close(Autodiff(distortion).inner(x, u, v), distortion.inner(x, u, v))


def test_autodiff_metric_is_half_the_hessian() -> None:
    x, (u, v) = points((1, 5)), directions((1, 5), 2)
    hessian = torch.autograd.functional.hessian(lambda y: coupled(x, y[None]).sum(), x[0])
    torch.testing.assert_close(Autodiff(coupled).inner(x, u, v), (0.5 * u @ hessian @ v.T)[0])


def test_cross_entropy_is_the_excess_over_the_entropy() -> None:
    x, y = points((6, 5)), points((6, 5))
    excess = functional.binary_cross_entropy(y, x, reduction="none") - functional.binary_cross_entropy(
        x, x, reduction="none"
    )
    torch.testing.assert_close(CrossEntropy()(x, y), excess.sum(1))


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_cross_entropy_is_finite_at_the_edges(edge: float) -> None:
    x, inside, u = torch.full((1, 3), edge), torch.full((1, 3), 0.5), torch.ones(1, 3)
    values = [CrossEntropy()(x, inside), CrossEntropy()(inside, x), CrossEntropy()(x, 1 - x)]
    assert torch.isfinite(torch.cat([*values, CrossEntropy().inner(x, u, u)])).all()
