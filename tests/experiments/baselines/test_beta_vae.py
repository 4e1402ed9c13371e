import pytest
import torch

from radogaga import MLP, BetaVAE, DecomposedBetaVAE, SquaredError, fit, gram
from radogaga.experiments.baselines.beta_vae import divergence


def test_the_divergence_is_that_of_two_normal_distributions():
    mean, deviation = torch.randn(4, 3), torch.rand(4, 3) + 0.1
    posterior = torch.distributions.Normal(mean, deviation)
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(mean, deviation), expected)


@pytest.mark.parametrize("kind", [BetaVAE, DecomposedBetaVAE])
def test_a_linear_one_is_isometric_in_posterior_deviations(kind):
    scales = torch.tensor([3.0, 2, 0.1, 0.1, 0.1])
    x = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0)) * scales
    model = kind(MLP([5, 4]), MLP([2, 5]), SquaredError(), weight=4.0)
    fit(model, x, steps=1500, learning_rate=3e-2)
    with torch.no_grad():
        mean, deviation = model.encode(x[:50])
        grams = gram(model.decoder, SquaredError(), mean) * deviation[:, :, None] * deviation[:, None]
    # The optimum is 1 - deviation^2, a little under 1.
    torch.testing.assert_close(2 * model.weight * grams.mean(0), torch.eye(2), atol=0.1, rtol=0)


def test_a_decomposed_one_pays_for_both_halves_of_the_distortion():
    x = torch.randn(8, 5)
    plain, decomposed = (
        kind(MLP([5, 4]), MLP([2, 5]), SquaredError(), weight=4.0) for kind in (BetaVAE, DecomposedBetaVAE)
    )
    assert (decomposed(x).isometry > 0).all()
    assert (plain(x).isometry == 0).all()
