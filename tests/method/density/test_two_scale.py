"""The two-scale density of rows around a line: a kernel density and one variance, gated to a finer density."""

import math

import pytest
import torch
from torch import Tensor

from radogaga import (
    Autoencoder,
    Density,
    GaussianNoise,
    GaussianResidual,
    InputError,
    KernelDensity,
    Mixture,
    MultiscaleResidual,
    RateDistortion,
    ResidualMLP,
    Scaling,
    SquaredError,
    StackedPrior,
    TwoScaleDensity,
    initialize_pca,
    load,
)


def rows(n: int) -> Tensor:
    """Two clusters along a line, with noise of two scales about it."""
    z = torch.randn(n, 1).double() + 6 * torch.randint(0, 2, (n, 1))
    noise = torch.where(torch.rand(n, 1) < 0.8, 0.02, 0.3) * torch.randn(n, 1)
    return z * torch.tensor([0.8, 0.6]) + noise * torch.tensor([-0.6, 0.8]) + torch.tensor([5.0, -20.0])


def ungated(x: Tensor) -> TwoScaleDensity:
    autoencoder = Autoencoder(ResidualMLP(2, 1, [4]), ResidualMLP(1, 2, [4]), 1, Scaling.root_mean_square(x)).double()
    initialize_pca(autoencoder, x)
    z = autoencoder.encode(x).detach()
    prior = KernelDensity.fit(z)
    coarse = Density(RateDistortion(autoencoder, prior, SquaredError(), GaussianNoise(0.1)), 2, GaussianResidual(1))
    coarse.fit_residual(x)
    fine_residual = MultiscaleResidual(2, 1).double()
    fine_residual.fit(autoencoder.residual(x).detach())
    fine_prior = StackedPrior([prior, Mixture(1, 2).double().fit(z)]).double()
    return TwoScaleDensity(coarse, fine_prior, fine_residual).double().eval().requires_grad_(requires_grad=False)


def gated(x: Tensor, n_samples: int = 20_000) -> TwoScaleDensity:
    density = ungated(x)
    samples = density.fine.sample(n_samples, include_residual=True)
    density.fit_gate(density.coarse_log_prob(rows(500)), density.coarse_log_prob(samples))
    return density


@pytest.fixture
def density() -> TwoScaleDensity:
    return gated(rows(300))


def grid(points: int = 400) -> tuple[Tensor, float]:
    """Rows on a grid around all training rows, and the area of a cell."""
    steps = torch.linspace(-1, 1, points, dtype=torch.float64)
    reach = torch.tensor([8.0, 8.0])
    centre = torch.tensor([5.0, -20.0]) + 3 * torch.tensor([0.8, 0.6])
    return centre + reach * torch.cartesian_prod(steps, steps), float((reach * (steps[1] - steps[0])).prod())


def log_coarse(density: TwoScaleDensity, x: Tensor) -> Tensor:
    return density.coarse.log_prob(x, include_residual=True)


def log_fine(density: TwoScaleDensity, x: Tensor) -> Tensor:
    return density.fine.log_prob(x, include_residual=True)


def open_for(density: TwoScaleDensity, x: Tensor) -> Tensor:
    return density.coarse_log_prob(x) >= density.threshold


def test_it_integrates_to_one(density: TwoScaleDensity) -> None:
    nodes, cell = grid(points=800)
    log_prob = density.log_prob(nodes)
    assert not density.gate_closed
    assert float(log_prob.exp().sum()) * cell == pytest.approx(1, abs=0.01)


def test_before_its_gate_is_fitted_it_is_the_coarse_density() -> None:
    density, x = ungated(rows(300)), 3 * rows(50)
    assert density.gate_closed
    torch.testing.assert_close(density.log_prob(x), log_coarse(density, x))


def test_the_gate_is_open_for_four_fifths_of_the_held_out_rows(density: TwoScaleDensity) -> None:
    assert open_for(density, rows(5000)).double().mean().item() == pytest.approx(0.8, abs=0.05)


def test_in_the_bulk_it_is_at_most_log_two_below_the_fine_density(density: TwoScaleDensity) -> None:
    x = rows(1000)
    bulk = x[open_for(density, x)]
    assert (density.log_prob(bulk) >= log_fine(density, bulk) - density.log_mass - math.log(2) - 1e-9).all()
    assert density.log_mass < 0
    assert density.log_prob(x).mean() > log_coarse(density, x).mean() + 0.3


def test_it_is_never_more_than_log_two_below_the_coarse_density(density: TwoScaleDensity) -> None:
    x, _ = grid(50)
    assert (density.log_prob(x) >= log_coarse(density, x) - math.log(2) - 1e-9).all()


def test_outliers_are_ranked_by_the_coarse_density(density: TwoScaleDensity) -> None:
    x, _ = grid(50)
    far = x[density.coarse_log_prob(x) < density.threshold - 3]
    assert len(far) > 1000
    torch.testing.assert_close(density.log_prob(far), log_coarse(density, far) - math.log(2), rtol=0, atol=1e-6)


def test_exact_and_isometric_volumes_agree_for_a_line(density: TwoScaleDensity) -> None:
    x = rows(50)
    torch.testing.assert_close(density.log_prob(x, volume="exact"), density.log_prob(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", [gated, ungated])
def test_samples_follow_the_density(make) -> None:
    """Of log p, and of the place along the line and across it, samples have the moments that a grid gives."""
    density = make(rows(300))
    nodes, cell = grid(points=800)
    log_prob = density.log_prob(nodes)
    mass = log_prob.exp() * cell
    samples = density.sample(20_000)
    assert samples.shape == (20_000, 2)

    def statistics(x: Tensor, log_prob: Tensor) -> Tensor:
        return torch.column_stack([log_prob, x - nodes.mean(0), (x - nodes.mean(0)).square()])

    expected = mass @ statistics(nodes, log_prob)
    found = statistics(samples, density.log_prob(samples))
    allowed = 5 * found.std(0) / len(samples) ** 0.5 + 0.01 * expected.abs()
    assert ((found.mean(0) - expected).abs() < allowed).all()


def test_the_gate_stays_closed_where_the_two_densities_do_not_overlap() -> None:
    density = ungated(rows(300))
    density.fit_gate(held_out=torch.randn(100).double(), sampled=torch.full((100,), -50.0).double())
    assert density.gate_closed
    assert torch.isfinite(density.log_prob(rows(10))).all()


def test_it_does_not_depend_on_the_batches(density: TwoScaleDensity) -> None:
    x = rows(100)
    torch.testing.assert_close(density.log_prob(x, batch_size=7), density.log_prob(x))


def test_what_it_is_made_of_can_be_used_alone(density: TwoScaleDensity) -> None:
    assert density.features == 2
    assert density.model is density.coarse.model
    assert density.fine.model.autoencoder is density.model.autoencoder
    assert density.fine.model.prior is density.fine_prior
    assert density.fine.residual is density.fine_residual


def test_it_is_loaded_to_the_last_bit_with_the_coarse_prior_shared(density: TwoScaleDensity, tmp_path) -> None:
    density.save(tmp_path / "density")
    loaded, x = load(tmp_path / "density"), rows(50)
    assert torch.equal(loaded.log_prob(x), density.log_prob(x))
    assert torch.equal(loaded.threshold, density.threshold)
    assert loaded.fine_prior.components[0] is loaded.coarse.model.prior
    assert loaded.fine_prior.components[1] is not loaded.coarse.model.prior


@pytest.mark.parametrize("x", [torch.zeros(3, 1), torch.full((3, 2), torch.nan), [["a", "b"]]])
def test_rows_that_cannot_be_scored_are_refused(density: TwoScaleDensity, x) -> None:
    with pytest.raises(InputError, match="Expected"):
        density.log_prob(x)
