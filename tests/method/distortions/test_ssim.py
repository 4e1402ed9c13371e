import pytest
import torch
from torch import Tensor, nn

from radogaga import (
    MLP,
    SSIM,
    Autoencoder,
    Distortion,
    GaussianNoise,
    InputError,
    LinearSkip,
    Normal,
    QuadraticSSIM,
    RateDistortion,
    Scaling,
    SquaredError,
    gram,
    initialize_pca,
    load,
    measure_isometry,
    save,
)

BOTH = {"ssim": SSIM(), "quadratic": QuadraticSSIM()}
each_form = pytest.mark.parametrize("distortion", BOTH.values(), ids=BOTH)
WINDOWS = {"authors'": (11, 1.5), "small": (5, 0.7)}
each_window = pytest.mark.parametrize(("window", "deviation"), WINDOWS.values(), ids=WINDOWS)
C1, C2 = 0.01**2, 0.03**2


def pictures(n: int = 3, side: int = 13, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(n, 3, side, side + 1, dtype=torch.float64).to(dtype)


def windows(x: Tensor, window: int) -> Tensor:
    """Every window that lies within a picture, ``(B, C, H, W) -> (B, C, places, window^2)``."""
    return x.unfold(2, window, 1).unfold(3, window, 1).flatten(4).flatten(2, 3)


def weights(window: int, deviation: float) -> Tensor:
    """The two-dimensional Gaussian, written out."""
    place = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
    gaussian = (-(place[:, None] ** 2 + place**2) / (2 * deviation**2)).exp().flatten()
    return gaussian / gaussian.sum()


def moments(x: Tensor, y: Tensor, window: int, deviation: float) -> tuple[Tensor, Tensor, Tensor]:
    """The means of x and y and their covariance in each window, by definition."""
    w = weights(window, deviation)
    x, y = windows(x, window), windows(y, window)
    m_x, m_y = (x * w).sum(-1), (y * w).sum(-1)
    return m_x, m_y, ((x - m_x[..., None]) * (y - m_y[..., None]) * w).sum(-1)


@each_window
def test_ssim_is_the_textbook_formula(window: int, deviation: float) -> None:
    x, y = pictures(), pictures()
    m_x, m_y, cov = moments(x, y, window, deviation)
    var_x, var_y = moments(x, x, window, deviation)[2], moments(y, y, window, deviation)[2]
    similarity = (2 * m_x * m_y + C1) * (2 * cov + C2) / ((m_x**2 + m_y**2 + C1) * (var_x + var_y + C2))
    torch.testing.assert_close(SSIM(window, deviation)(x, y), 1 - similarity.mean((1, 2)))


@each_window
def test_metric_is_the_quadratic_form_over_windows(window: int, deviation: float) -> None:
    x, u, v = pictures(), pictures(), pictures()
    m_x, _, var_x = moments(x, x, window, deviation)
    m_u, m_v, cov = moments(u, v, window, deviation)
    expected = (m_u * m_v / (2 * m_x**2 + C1) + cov / (2 * var_x + C2)).mean((1, 2))
    torch.testing.assert_close(SSIM(window, deviation).inner(x, u, v), expected)


@each_form
def test_metric_is_half_the_hessian(distortion: Distortion) -> None:
    """In single precision, against the Hessian in double: to 5e-6 of the greatest entry."""
    x, axes = pictures(1), torch.randn(6, *pictures(1).shape[1:], dtype=torch.float64)
    point = torch.zeros(6, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(
        lambda t: distortion(x, x + torch.tensordot(t, axes, 1)[None]).sum(), point
    )
    found = gram(lambda z: (x + torch.tensordot(z.double(), axes, 1)).float(), distortion, point[None].float())[0]
    assert (found - hessian / 2).abs().max() < 5e-6 * hessian.abs().max()


def test_gram_is_the_one_with_the_windows_written_out() -> None:
    """[J' diag(F'k) J + (FJ)' diag(l - k) FJ] / n with the windows as a matrix F, l and k the two denominators."""
    decode, z = nn.Sequential(MLP([4, 144]), nn.Unflatten(1, (1, 12, 12))).double(), torch.randn(2, 4).double()
    pixels = torch.eye(144, dtype=torch.float64).reshape(-1, 1, 12, 12)
    f = (windows(pixels, 11) * weights(11, 1.5)).sum(-1).flatten(1).T
    for row, found in zip(z, gram(decode, SSIM(), z), strict=True):
        j = torch.autograd.functional.jacobian(lambda t: decode(t[None]).flatten(), row)
        x = decode(row[None]).flatten().detach()
        k, l = 1 / (2 * (f @ x**2 - (f @ x) ** 2) + C2), 1 / (2 * (f @ x) ** 2 + C1)  # noqa: E741
        expected = j.T @ torch.diag(f.T @ k) @ j + (f @ j).T @ torch.diag(l - k) @ (f @ j)
        torch.testing.assert_close(found, expected / len(f))


@each_form
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_a_picture_is_at_no_distance_from_itself(distortion: Distortion, dtype: torch.dtype) -> None:
    x = pictures(dtype=dtype)
    assert torch.equal(distortion(x, x), torch.zeros(3, dtype=torch.promote_types(dtype, torch.float32)))


def test_ssim_is_symmetric() -> None:
    x, y = pictures(), pictures()
    torch.testing.assert_close(SSIM()(x, y), SSIM()(y, x))


def test_ssim_takes_a_negative_for_the_picture() -> None:
    x = pictures()
    assert (SSIM(window=5)(x, -x) < 0.05).all()


def test_ssim_lies_between_nought_and_two() -> None:
    board = ((torch.arange(16)[:, None] + torch.arange(16)) % 2).double().expand(1, 1, 16, 16)
    assert SSIM()(board, 1 - board) > 1.9
    for y in (pictures(20, 16), pictures(20, 16).round(), torch.zeros(20, 3, 16, 17).double()):
        distances = SSIM()(pictures(20, 16), y)
        assert ((distances > 0) & (distances <= 2)).all()


@each_form
def test_short_distances_keep_their_digits_in_single_precision(distortion: Distortion) -> None:
    """1 - SSIM taken as it reads would lose all of them at 1e-7."""
    x, step = pictures(side=32), 1e-4 * torch.randn(3, 3, 32, 33, dtype=torch.float64)
    x = x.float().double()
    y = (x + step).float().double()
    assert (distortion(x, y) < 1e-6).all()
    torch.testing.assert_close(distortion(x.float(), y.float()), distortion(x, y).float(), rtol=1e-4, atol=0)


@each_form
def test_autocast_changes_nothing(distortion: Distortion) -> None:
    x, y = pictures(dtype=torch.float32), pictures(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = distortion(x, y), distortion.inner(x, y, y)
    assert torch.equal(torch.stack(found), torch.stack([distortion(x, y), distortion.inner(x, y, y)]))


@pytest.mark.parametrize("form", [SSIM, QuadraticSSIM])
def test_peak_is_the_unit_of_the_pixels(form) -> None:
    x, y = pictures(), pictures()
    torch.testing.assert_close(form(peak=255.0)(255 * x, 255 * y), form()(x, y))


@each_form
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_gradients_are_finite_at_flat_pictures(distortion: Distortion, level: float) -> None:
    x = torch.full((1, 1, 12, 12), level, requires_grad=True)
    y = torch.full((1, 1, 12, 12), level, requires_grad=True)
    distortion(x, y).sum().backward()
    assert torch.isfinite(torch.cat([x.grad, y.grad])).all()


@each_form
@pytest.mark.parametrize("shape", [(2, 300), (2, 20, 20), (2, 3, 10, 20)], ids=str)
def test_other_shapes_are_refused(distortion: Distortion, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="11 x 11"):
        distortion(torch.zeros(shape), torch.zeros(shape))


def picture_model(distortion: Distortion, x: Tensor) -> RateDistortion:
    shape = list(x.shape[1:])
    networks = LinearSkip(shape, [3], Flat(x[0].numel(), 3)), LinearSkip([3], shape, Pictures(3, shape))
    autoencoder = Autoencoder(*networks, latents=3, scaling=Scaling(1))
    initialize_pca(autoencoder, x)
    return RateDistortion(autoencoder, Normal(3), distortion, GaussianNoise(0.1))


class Flat(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(inputs, outputs))
        self.inputs, self.outputs = inputs, outputs


class Pictures(nn.Sequential):
    def __init__(self, inputs: int, shape: list[int]) -> None:
        super().__init__(nn.Linear(inputs, torch.Size(shape).numel()), nn.Unflatten(1, shape))
        self.inputs, self.shape = inputs, shape


OBJECTIVES = {**BOTH, "squared error": SquaredError()}
each_objective = pytest.mark.parametrize("distortion", OBJECTIVES.values(), ids=OBJECTIVES)


@each_objective
def test_objective_takes_pictures(distortion: Distortion) -> None:
    x = pictures(20, dtype=torch.float32)
    model = picture_model(distortion, x)
    terms = model(x)
    assert [term.shape for term in terms] == [(20,)] * 3
    terms.total.mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@each_objective
def test_isometry_of_pictures_is_that_of_their_gram_matrices(distortion: Distortion) -> None:
    x = pictures(20, dtype=torch.float32)
    model = picture_model(distortion, x)
    with torch.no_grad():
        grams = gram(model.autoencoder.decode_scaled, distortion, model.autoencoder.encode(x))
    measured = measure_isometry(model, x)
    torch.testing.assert_close(measured.diagonal, grams.diagonal(dim1=1, dim2=2).mean(0))
    if distortion == SquaredError():
        torch.testing.assert_close(measured.diagonal, torch.ones(3), atol=1e-4, rtol=0)


@each_form
def test_saved_distortion_is_the_same(distortion: Distortion, tmp_path) -> None:
    x = pictures(20, dtype=torch.float32)
    model = picture_model(distortion, x)
    save(model, tmp_path / "model")
    assert load(tmp_path / "model", classes=[Flat, Pictures]).distortion == distortion
