import pytest
import torch

from radogaga import DAGMM, MLP, Autoencoder, BetaVAE, EstimatedMixture, Scaling, SquaredError, fit, gram
from radogaga.experiments.baselines.beta_vae import divergence


def dagmm(x: torch.Tensor, with_residual: bool) -> DAGMM:
    autoencoder = Autoencoder(MLP([x.shape[1], 2]), MLP([2, x.shape[1]]), 2, Scaling.min_max(x))
    latents = 4 if with_residual else 2
    return DAGMM(autoencoder, EstimatedMixture(latents, 2), with_residual=with_residual)


@pytest.mark.parametrize("residual_features", [True, False])
@pytest.mark.parametrize("duplicated", [True, False], ids=["duplicated rows", "distinct rows"])
def test_dagmm_trains_and_scores_without_nan(residual_features, duplicated):
    x = torch.randn(300, 5)
    if duplicated:
        x = x[:3].repeat(100, 1)
    model = dagmm(x, residual_features)
    fit(model, x, steps=100, batch_size=64, learning_rate=1e-3)
    model.fit_statistics(x)
    assert torch.isfinite(model.log_prob(x)).all()


def test_dagmm_statistics_do_not_depend_on_how_rows_are_cut():
    x = torch.randn(300, 5)
    model = dagmm(x, with_residual=True).eval()
    model.fit_statistics(x, batch_size=300)
    whole = model.log_prob(x)
    model.fit_statistics(x, batch_size=7)
    assert torch.allclose(model.log_prob(x), whole, rtol=1e-4, atol=1e-4)


def test_dagmm_finds_rows_far_from_its_training_rows():
    x = torch.randn(500, 5) @ torch.randn(5, 5)
    model = dagmm(x, with_residual=True)
    fit(model, x, steps=300, learning_rate=1e-3)
    model.fit_statistics(x)
    assert model.log_prob(x + 20).median() < model.log_prob(x).quantile(0.05)


def test_the_divergence_is_that_of_two_normal_laws():
    mean, deviation = torch.randn(4, 3), torch.rand(4, 3) + 0.1
    posterior = torch.distributions.Normal(mean, deviation)
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(mean, deviation), expected)


@pytest.mark.parametrize("decomposed", [True, False])
def test_a_linear_beta_vae_is_isometric_in_posterior_deviations(decomposed):
    x = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0)) @ torch.diag(
        torch.tensor([3.0, 2, 0.1, 0.1, 0.1])
    )
    model = BetaVAE(MLP([5, 4]), MLP([2, 5]), SquaredError(), weight=4.0, decomposed=decomposed)
    fit(model, x, steps=1500, learning_rate=3e-2)
    with torch.no_grad():
        mean, deviation = model.encode(x[:50])
        grams = (
            2 * model.weight * deviation[:, :, None] * gram(model.decoder, SquaredError(), mean) * deviation[:, None]
        )
    # The optimum is 1 - deviation^2, a little under 1.
    torch.testing.assert_close(grams.mean(0), torch.eye(2), atol=0.1, rtol=0)


def test_a_decomposed_beta_vae_pays_for_both_halves_of_the_distortion():
    x = torch.randn(8, 5)
    terms = BetaVAE(MLP([5, 4]), MLP([2, 5]), SquaredError(), weight=4.0, decomposed=True)(x)
    assert (terms.isometry > 0).all()
    assert (BetaVAE(MLP([5, 4]), MLP([2, 5]), SquaredError(), weight=4.0)(x).isometry == 0).all()
