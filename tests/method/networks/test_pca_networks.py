import pytest
import torch

from radogaga import (
    SSIM,
    Autodiff,
    Autoencoder,
    GaussianNoise,
    InputError,
    Normal,
    PCADecoder,
    PCAEncoder,
    QuadraticSSIM,
    RateDistortion,
    Scaling,
    SquaredError,
    gram,
    initialize_metric_pca,
    load,
)
from radogaga._utils.linalg import full_pca
from radogaga.method.isometry import predicted_diagonal

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
    waves = torch.stack([torch.sin(k * include_residual)[:, None] * torch.cos(j * include_residual) for k in range(1, 4) for j in range(4)])
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
    centre, axes, variances = full_pca(x.flatten(1))
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


def test_what_lies_between_picture_and_axes_is_not_trained():
    autoencoder, _ = started(pictures())
    trained = {name for name, parameter in autoencoder.named_parameters() if parameter.requires_grad}
    assert trained
    assert not any("project" in name or "expand" in name for name in trained)


def test_a_saved_one_comes_back_to_the_last_bit(tmp_path):
    x = pictures()
    autoencoder, _ = started(x)
    model = RateDistortion(autoencoder, Normal(6), SquaredError(), GaussianNoise(0.1), reconstruction_distortion=SSIM())
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert torch.equal(again.autoencoder.decode(again.autoencoder.encode(x)), autoencoder.decode(autoencoder.encode(x)))


def test_too_few_pictures_are_refused():
    with pytest.raises(InputError, match="more pictures than the 20 axes"):
        started(pictures(20))


def test_the_predicted_diagonal_is_one_with_the_rate_at_clean_latents():
    autoencoder, _ = started(pictures())
    model = RateDistortion(autoencoder, Normal(6), SquaredError(), GaussianNoise(0.1), noisy_rate=False)
    assert torch.equal(predicted_diagonal(model, torch.zeros(3, 6), torch.full((6,), 0.5)), torch.ones(6))
