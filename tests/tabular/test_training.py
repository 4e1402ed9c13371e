"""Training the default model: it pays, it stops in time, and it leaves PCA where it would not."""

import copy

import pytest
import torch
from torch import Tensor

from radogaga.tabular.density_fit import fit_densities
from radogaga.tabular.training import TrainingConfig, train


def rows(n: int) -> Tensor:
    """Two latents on a curved sheet in six columns, with a little noise."""
    z = torch.randn(n, 2)
    return torch.cat([z, z**2, z @ torch.tensor([[1.0, 2.0], [0.5, -1.0]])], 1) + 0.02 * torch.randn(n, 6)


def densities(steps: int, **options):
    torch.manual_seed(0)
    x, held_out = rows(400), rows(60)
    trained = train(x, held_out, TrainingConfig(max_steps=steps, **options))
    return fit_densities(trained, x, held_out, seed=0)


def test_training_that_spoils_the_model_is_not_kept():
    x = rows(50)
    kept, start = (densities(steps, learning_rate=3.0).density.log_prob(x, include_residual=True) for steps in (30, 0))
    torch.testing.assert_close(kept, start, atol=1e-4, rtol=1e-4)


def test_a_training_that_diverges_leaves_pca():
    x, held_out = rows(400), rows(60)
    with pytest.warns(UserWarning, match="diverged twice"):
        model, history = train(x, held_out, TrainingConfig(max_steps=20, learning_rate=float("inf")))
    start, _ = train(x, held_out, TrainingConfig(max_steps=0))
    assert history.step == []
    assert torch.equal(model.autoencoder.encode(x), start.autoencoder.encode(x))


@pytest.fixture(scope="module")
def models():
    """One model as it starts and the same trained, with held-out rows."""
    torch.manual_seed(0)
    x, held_out, new = rows(400), rows(60), rows(500)
    return [train(x, held_out, TrainingConfig(max_steps=steps)) for steps in (0, 1000)], x, held_out, new


def test_training_gives_new_rows_a_higher_likelihood(models):
    pair, x, held_out, new = models
    start, trained = (fit_densities(copy.deepcopy(model), x, held_out, seed=0).density for model in pair)
    before = start.log_prob(new, include_residual=True).mean()
    for volume in ("exact", "isometric"):
        assert trained.log_prob(new, volume=volume, include_residual=True).mean() > before


@pytest.mark.parametrize("n", [2, 5])
def test_few_rows_leave_none_to_compare_by(n):
    x = rows(n)
    trained = train(x, None, TrainingConfig(max_steps=20))
    density, ranking = fit_densities(trained, x, None, seed=0)
    assert density.log_prob(x, include_residual=True).isfinite().all()
    assert ranking.log_score(x).isfinite().all()
