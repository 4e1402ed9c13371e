"""The recipe: what is known no finer than the kernel, and training that must earn its place."""

import pytest
import torch
from torch import Tensor

from radogaga.checkpoints import History
from radogaga.recipe import Choices, Trained, train, typical_range


def rows(n: int) -> Tensor:
    """Two latents on a bent sheet in six columns, with a little noise."""
    z = torch.randn(n, 2)
    return torch.cat([z, z**2, z @ torch.tensor([[1.0, 2.0], [0.5, -1.0]])], 1) + 0.02 * torch.randn(n, 6)


def trained(steps: int, n_components: int | str = "auto") -> Trained:
    torch.manual_seed(0)
    return train(rows(400), rows(60), Choices(n_components, "auto", steps, 0, "cpu"))


def test_the_residual_is_known_no_finer_than_the_latents():
    density = trained(0, n_components=4).density
    assert density.residuals.variance >= density.model.prior.bandwidth.square() * (1 - 1e-6)


def test_training_that_spoils_the_density_is_not_kept(monkeypatch):
    def spoil(model, x, **_):
        for parameter in model.autoencoder.parameters():
            parameter.data.add_(torch.randn_like(parameter))
        return History([1], [0.0], [0.0], [0.0])

    monkeypatch.setattr("radogaga.recipe.fit", spoil)
    x = rows(50)
    kept, start = (trained(steps).density.log_prob(x, across=True) for steps in (10, 0))
    assert torch.equal(kept, start)


def test_training_that_helps_is_kept():
    x = rows(500)
    gain = trained(500).density.log_prob(x, volume="exact", across=True) - trained(0).density.log_prob(x, across=True)
    assert gain.mean() > 0


@pytest.mark.parametrize("rows_seen", [2, 5])
def test_few_rows_leave_none_to_compare_by(rows_seen):
    x = rows(rows_seen)
    assert train(x, None, Choices("auto", "auto", 20, 0, "cpu")).density.log_prob(x, across=True).isfinite().all()


@pytest.mark.parametrize("n", [5, 60, 400])
def test_a_column_that_rarely_varies_keeps_its_values(n):
    x = torch.zeros(n, 2)
    x[0, 0], x[:, 1] = 1.0, torch.arange(n) % 2
    least, most = typical_range(x)
    assert torch.equal(x.clamp(least, most), x)
