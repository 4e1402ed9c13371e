"""The recipe: what is known no finer than the kernel, and training that earns its place."""

import pytest
import torch
from torch import Tensor

from radogaga.tabular.density_fit import Smoothness
from radogaga.tabular.training import Trained, TrainingConfig, outlier_bounds, train


def rows(n: int) -> Tensor:
    """Two latents on a bent sheet in six columns, with a little noise."""
    z = torch.randn(n, 2)
    return torch.cat([z, z**2, z @ torch.tensor([[1.0, 2.0], [0.5, -1.0]])], 1) + 0.02 * torch.randn(n, 6)


def trained(steps: int, n_components: int | str = "auto", smoothness: Smoothness = "both") -> Trained:
    torch.manual_seed(0)
    return train(rows(400), rows(60), TrainingConfig(n_components, "auto", steps, 0, "cpu", smoothness))


def test_the_residual_is_known_no_finer_than_the_latents():
    density = trained(0, n_components=4, smoothness="coarse").density
    assert density.residuals.variance >= density.model.prior.bandwidth.square() * (1 - 1e-6)


def test_training_that_spoils_the_model_is_not_kept(monkeypatch):
    monkeypatch.setattr("radogaga.recipe._LEARNING_RATE", 3.0)
    x = rows(50)
    kept, start = (trained(steps, smoothness="coarse").density.log_prob(x, include_residual=True) for steps in (30, 0))
    torch.testing.assert_close(kept, start, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("detail", ["both", "coarse"])
def test_training_makes_new_rows_likelier(smoothness):
    x = rows(500)
    gain = [
        trained(1000, smoothness=smoothness).density.log_prob(x, volume=volume, include_residual=True)
        - trained(0, smoothness=smoothness).density.log_prob(x, include_residual=True)
        for volume in ("exact", "constant")
    ]
    assert min(nats.mean() for nats in gain) > 0


@pytest.mark.parametrize("rows_seen", [2, 5])
def test_few_rows_leave_none_to_compare_by(rows_seen):
    x = rows(rows_seen)
    assert train(x, None, TrainingConfig("auto", "auto", 20, 0, "cpu")).density.log_prob(x, include_residual=True).isfinite().all()


@pytest.mark.parametrize("n", [5, 60, 400])
def test_a_column_that_rarely_varies_keeps_its_values(n):
    x = torch.zeros(n, 2)
    x[0, 0], x[:, 1] = 1.0, torch.arange(n) % 2
    least, most = outlier_bounds(x)
    assert torch.equal(x.clamp(least, most), x)
