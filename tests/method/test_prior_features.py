import math

import torch
from torch import Tensor

from radogaga import (
    LatentFeatures,
    ResidualFeatures,
)


def residual_features(s: Tensor, reconstructed: Tensor) -> Tensor:
    """The two features beside the latents, ``(B, 2)``."""
    return ResidualFeatures()(s.new_zeros(len(s), 3), s, reconstructed)[:, 3:]


def test_latent_features_are_the_latents() -> None:
    z = torch.randn(5, 2)
    assert torch.equal(LatentFeatures()(z, torch.randn(5, 4), torch.randn(5, 4)), z)


def test_residual_features_come_after_the_latents() -> None:
    z = torch.randn(5, 2)
    features = ResidualFeatures()(z, torch.randn(5, 4), torch.randn(5, 4))
    assert features.shape == (5, 4)
    assert torch.equal(features[:, :2], z)


def test_residual_features_are_the_relative_error_and_the_cosine() -> None:
    s, reconstructed = torch.randn(2, 50, 6).double()
    relative = [math.dist(a, b) / math.hypot(*a) for a, b in zip(s.tolist(), reconstructed.tolist(), strict=True)]
    cosine = [a @ b / (a.norm() * b.norm()) for a, b in zip(s, reconstructed, strict=True)]
    expected = torch.stack([torch.tensor(relative).double(), torch.stack(cosine)], 1)
    torch.testing.assert_close(residual_features(s, reconstructed), expected)


def test_residual_features_do_not_depend_on_the_unit() -> None:
    s, reconstructed = torch.randn(2, 50, 6)
    torch.testing.assert_close(residual_features(7e3 * s, 7e3 * reconstructed), residual_features(s, reconstructed))


def test_residual_features_of_a_perfect_reconstruction_are_zero_and_one() -> None:
    s = torch.randn(20, 6)
    torch.testing.assert_close(residual_features(s, s), torch.tensor([[0.0, 1.0]]).expand(20, 2))


def test_rows_of_zeros_have_finite_residual_features_and_gradients() -> None:
    for s, reconstructed in [(torch.zeros(1, 3), torch.zeros(1, 3)), (torch.zeros(1, 3), torch.ones(1, 3))]:
        features = residual_features(s, reconstructed.requires_grad_())
        features.sum().backward()
        assert torch.isfinite(features).all()
        assert torch.isfinite(reconstructed.grad).all()
