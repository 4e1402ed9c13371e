import torch

from radogaga import (
    SSIM,
    Autoencoder,
    GaussianNoise,
    Normal,
    PCADecoder,
    PCAEncoder,
    RateDistortion,
    Scaling,
    SquaredError,
    initialize_metric_pca,
    load,
)
from radogaga.method.isometry import predicted_diagonal

SHAPE = (1, 16, 16)


def pictures(n: int = 150) -> torch.Tensor:
    """Return soft random pictures: a few waves of random height each."""
    generator = torch.Generator().manual_seed(0)
    across = torch.linspace(0, 3, 16)
    waves = torch.stack([torch.sin(k * across)[:, None] * torch.cos(j * across) for k in range(1, 4) for j in range(4)])
    heights = torch.randn(n, 12, generator=generator) * 0.9 ** torch.arange(12)
    noise = 0.02 * torch.randn(n, 16, 16, generator=generator)
    return (0.5 + 0.05 * torch.einsum("nk,khw->nhw", heights, waves) + noise)[:, None]


def started(x: torch.Tensor, distortion=None, latents: int = 6) -> tuple[Autoencoder, torch.Tensor]:
    size = {"latents": latents, "shape": SHAPE, "axes": 20, "hidden": (16,)}
    autoencoder = Autoencoder(PCAEncoder(**size), PCADecoder(**size), latents, Scaling(1))
    return autoencoder, initialize_metric_pca(autoencoder, x, distortion or SquaredError())


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


def test_the_predicted_diagonal_is_one_with_the_rate_at_clean_latents():
    autoencoder, _ = started(pictures())
    model = RateDistortion(autoencoder, Normal(6), SquaredError(), GaussianNoise(0.1), noisy_rate=False)
    assert torch.equal(predicted_diagonal(model, torch.zeros(3, 6), torch.full((6,), 0.5)), torch.ones(6))
