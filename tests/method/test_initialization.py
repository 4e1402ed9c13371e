import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from radogaga import (
    MLP,
    Autodiff,
    Autoencoder,
    InputError,
    PCADecoder,
    PCAEncoder,
    QuadraticSSIM,
    ResidualMLP,
    Scaling,
    SquaredError,
    gram,
    initialize_metric_pca,
    initialize_pca,
)
from radogaga._utils.linalg import pca

SCALINGS = {"uniform": Scaling.root_mean_square, "per column": Scaling.standard}
each_scaling = pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)


def pca_start(x: Tensor, latents: int, scaling) -> Autoencoder:
    width = x.shape[1]
    model = Autoencoder(ResidualMLP(width, latents), ResidualMLP(latents, width), latents, scaling=scaling(x))
    initialize_pca(model, x)
    return model


@each_scaling
@pytest.mark.parametrize("latents", [1, 2, 4])
def test_start_is_the_principal_components_of_scaled_rows(rows: Tensor, scaling, latents: int) -> None:
    model = pca_start(rows, latents, scaling)
    scaled = model.scaling(rows).double().numpy()
    pca = PCA(latents).fit(scaled)
    latent = model.encode(rows).detach().double()
    torch.testing.assert_close(latent.abs(), torch.as_tensor(pca.transform(scaled)).abs(), atol=1e-4, rtol=1e-4)
    expected = torch.as_tensor(pca.inverse_transform(pca.transform(scaled)))
    decoded = model.decode_scaled(model.encode(rows)).detach().double()
    torch.testing.assert_close(decoded, expected, atol=1e-4, rtol=1e-4)


def test_start_needs_two_residual_networks(rows: Tensor) -> None:
    model = Autoencoder(MLP([4, 2]), MLP([2, 4]), 2, scaling=Scaling(4))
    with pytest.raises(TypeError, match="Residual"):
        initialize_pca(model, rows)


@pytest.mark.parametrize(("few", "latents"), [(1, 2), (2, 3)])
def test_start_refuses_fewer_rows_than_latents(rows: Tensor, few: int, latents: int) -> None:
    with pytest.raises(InputError):
        pca_start(rows[:few], latents, Scaling.root_mean_square)


@each_scaling
def test_raw_rows_come_back_from_as_many_latents_as_features(rows: Tensor, scaling) -> None:
    model = pca_start(rows, 4, scaling)
    torch.testing.assert_close(model.decode(model.encode(rows)), rows, atol=1e-4, rtol=1e-4)


SHAPE = (1, 16, 16)
DISTORTIONS = {
    "squared error": SquaredError(),
    "weighted": Autodiff(lambda x, y: ((x - y).square() * (1 + x.square())).flatten(1).sum(1)),
    "1 - SSIM": QuadraticSSIM(),
}


def pictures(n: int = 150) -> torch.Tensor:
    """Return soft random pictures: a few waves of random height each."""
    generator = torch.Generator().manual_seed(0)
    include_residual = torch.linspace(0, 3, 16)
    waves = torch.stack(
        [
            torch.sin(k * include_residual)[:, None] * torch.cos(j * include_residual)
            for k in range(1, 4)
            for j in range(4)
        ]
    )
    heights = torch.randn(n, 12, generator=generator) * 0.9 ** torch.arange(12)
    noise = 0.02 * torch.randn(n, 16, 16, generator=generator)
    return (0.5 + 0.05 * torch.einsum("nk,khw->nhw", heights, waves) + noise)[:, None]


def started(x: torch.Tensor, distortion=None, latents: int = 6) -> tuple[Autoencoder, torch.Tensor]:
    size = {"latents": latents, "shape": SHAPE, "axes": 20, "hidden": (16,)}
    autoencoder = Autoencoder(PCAEncoder(**size), PCADecoder(**size), latents, Scaling(1))
    return autoencoder, initialize_metric_pca(autoencoder, x, distortion or SquaredError())


def test_under_squared_error_it_starts_as_pca():
    x = pictures()
    autoencoder, variance = started(x)
    centre, axes, variances = pca(x.flatten(1))
    by_pca = centre + (x.flatten(1) - centre) @ axes[:6].T @ axes[:6]
    torch.testing.assert_close(autoencoder.decode(autoencoder.encode(x)).flatten(1), by_pca, atol=1e-4, rtol=0)
    torch.testing.assert_close(variance, variances[:6], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("distortion", DISTORTIONS.values(), ids=DISTORTIONS)
def test_it_starts_isometric_on_average_under_every_metric(distortion):
    x = pictures()
    autoencoder, variance = started(x, distortion)
    with torch.no_grad():
        grams = gram(autoencoder.decode_scaled, distortion, autoencoder.encode(x[:32]))
    torch.testing.assert_close(grams.mean(0), torch.eye(6), atol=0.15, rtol=0)
    assert (variance.diff() <= 0).all()


def test_too_few_pictures_are_refused():
    with pytest.raises(InputError, match="more pictures than the 20 axes"):
        started(pictures(20))
