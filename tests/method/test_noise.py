import pytest
import torch
from scipy import stats

from radogaga import GaussianNoise, Noise, UniformNoise

NOISES = {"gaussian": GaussianNoise(std=0.3), "uniform": UniformNoise(), "narrow uniform": UniformNoise(width=0.02)}
DISTRIBUTIONS = {
    "gaussian": (GaussianNoise(std=0.3), stats.norm(0, 0.3)),
    "uniform": (UniformNoise(width=0.8), stats.uniform(-0.4, 0.8)),
}
each_noise = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)


@each_noise
def test_noise_has_mean_zero_and_the_variance_it_states(noise: Noise) -> None:
    draws = noise(torch.zeros(50_000, 3, dtype=torch.float64))
    standard_error = (noise.variance / len(draws)) ** 0.5
    assert (draws.mean(0).abs() < 5 * standard_error).all()
    torch.testing.assert_close(draws.var(0), torch.full((3,), noise.variance).double(), rtol=0.03, atol=0)


@each_noise
def test_noise_is_independent_between_latents_and_rows(noise: Noise) -> None:
    draws = noise(torch.zeros(50_000, 3, dtype=torch.float64))
    between = torch.corrcoef(torch.cat([draws[1:], draws[:-1]], 1).T) - torch.eye(6)
    assert between.abs().max() < 5 / len(draws) ** 0.5


@each_noise
def test_noise_does_not_depend_on_the_latents(noise: Noise) -> None:
    torch.manual_seed(3)
    at_zero = noise(torch.zeros(4, 2))
    torch.manual_seed(3)
    assert torch.equal(noise(torch.full((4, 2), 1e3)), at_zero)


@each_noise
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_noise_keeps_shape_and_precision(noise: Noise, dtype: torch.dtype) -> None:
    draws = noise(torch.zeros(2, 3, 4, dtype=dtype))
    assert draws.shape == (2, 3, 4)
    assert draws.dtype == dtype


@pytest.mark.parametrize(("noise", "distribution"), DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_noise_follows_its_distribution(noise: Noise, distribution: stats.rv_continuous) -> None:
    draws = noise(torch.zeros(20_000, dtype=torch.float64)).numpy()
    assert stats.kstest(draws, distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize(("noise", "distribution"), DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_noise_states_the_entropy_of_its_distribution(noise: Noise, distribution: stats.rv_continuous) -> None:
    assert noise.entropy == pytest.approx(distribution.entropy())


@each_noise
def test_a_noise_so_many_times_as_wide_has_the_square_of_that_in_variance(noise: Noise) -> None:
    assert noise.scaled(3.0).variance == pytest.approx(9 * noise.variance)
    torch.manual_seed(3)
    narrow = noise(torch.zeros(4, 2))
    torch.manual_seed(3)
    torch.testing.assert_close(noise.scaled(3.0)(torch.zeros(4, 2)), 3 * narrow)
