import pytest
import torch

from radogaga import DAGMM, MLP, Autoencoder, EstimatedMixture, LatentFeatures, ResidualFeatures, Scaling, fit

FEATURES = {"latents": LatentFeatures(), "latents and residual": ResidualFeatures()}


def dagmm(x: torch.Tensor, features=FEATURES["latents and residual"]) -> DAGMM:
    autoencoder = Autoencoder(MLP([x.shape[1], 2]), MLP([2, x.shape[1]]), 2, Scaling.min_max(x))
    latents = 4 if isinstance(features, ResidualFeatures) else 2
    return DAGMM(autoencoder, EstimatedMixture(latents, 2), prior_features=features)


@pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES)
@pytest.mark.parametrize("duplicated", [True, False], ids=["duplicated rows", "distinct rows"])
def test_it_trains_and_scores_without_nan(features, duplicated):
    x = torch.randn(300, 5)
    if duplicated:
        x = x[:3].repeat(100, 1)
    model = dagmm(x, features)
    fit(model, x, steps=100, batch_size=64, learning_rate=1e-3)
    model.fit_statistics(x)
    assert torch.isfinite(model.log_prob(x)).all()


def test_statistics_do_not_depend_on_the_batches():
    x = torch.randn(300, 5)
    model = dagmm(x).eval()
    model.fit_statistics(x, batch_size=300)
    whole = model.log_prob(x)
    model.fit_statistics(x, batch_size=7)
    assert torch.allclose(model.log_prob(x), whole, rtol=1e-4, atol=1e-4)


def test_it_finds_rows_far_from_its_training_rows():
    x = torch.randn(500, 5) @ torch.randn(5, 5)
    model = dagmm(x)
    fit(model, x, steps=300, learning_rate=1e-3)
    model.fit_statistics(x)
    assert model.log_prob(x + 20).median() < model.log_prob(x).quantile(0.05)
