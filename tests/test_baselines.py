import pytest
import torch

from radogaga import DAGMM, Autoencoder, Dense, EstimatedMixture, Scaling, fit


def dagmm(x: torch.Tensor, with_residual: bool) -> DAGMM:
    autoencoder = Autoencoder(Dense([x.shape[1], 2]), Dense([2, x.shape[1]]), 2, Scaling.min_max(x))
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
