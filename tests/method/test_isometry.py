from collections.abc import Sequence

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from radogaga import (
    GaussianNoise,
    Mixture,
    Normal,
    measure_isometry,
)


@pytest.mark.parametrize("latents", [1, 2, 4])
def test_principal_components_are_exactly_isometric(make_model, rows: Tensor, latents: int) -> None:
    model = make_model(latents=latents)
    measured = measure_isometry(model, rows)
    torch.testing.assert_close(measured.diagonal, torch.ones(latents), atol=1e-4, rtol=0)
    found = measured.diag_mean, measured.diag_sd, measured.off_rms, measured.condition, measured.probe_r
    assert found == pytest.approx((1, 0, 0, 1, 1), abs=1e-4)
    scaled = model.autoencoder.scaling(rows).double().numpy()
    eigenvalues = torch.as_tensor(PCA(latents).fit(scaled).explained_variance_)
    torch.testing.assert_close(measured.variance.double(), eigenvalues, rtol=1e-3, atol=0)


@pytest.mark.parametrize("weight", [0.25, 4.0])
def test_importance_is_in_units_of_the_data_whatever_the_weights(make_model, rows: Tensor, weight: float) -> None:
    """At the optimum of other weights the latents are longer by the root of the constant: importances stay."""
    model = make_model(isometry_weight=weight * 50)
    assert model.constant == pytest.approx(weight)
    with torch.no_grad():
        model.autoencoder.log_gain.add_(torch.tensor(weight).sqrt().log() / model.autoencoder._GAIN_RATE)
    measured, expected = measure_isometry(model, rows), measure_isometry(make_model(), rows)
    assert measured.diag_mean == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(measured.variance, expected.variance, rtol=1e-3, atol=0)


def test_stretched_latents_show_on_the_diagonal_and_nowhere_else(make_model, rows: Tensor) -> None:
    model = make_model()
    with torch.no_grad():
        model.autoencoder.log_gain.copy_(torch.tensor([2.0, 0.5]).log() / model.autoencoder._GAIN_RATE)
    measured = measure_isometry(model, rows)
    torch.testing.assert_close(measured.diagonal, torch.tensor([0.25, 4.0]), rtol=1e-3, atol=0)
    assert measured.condition == pytest.approx(16, rel=1e-2)
    assert measured.off_rms == pytest.approx(0, abs=1e-4)
    assert measured.probe_r < 0.95


def test_skewed_latents_show_off_the_diagonal(make_model, rows: Tensor) -> None:
    """With columns of length 1 at an angle of 60 degrees, J'J = [[1, 1/2], [1/2, 1]]."""
    model = make_model()
    weight = model.autoencoder.decoder.linear.weight
    with torch.no_grad():
        weight[:, 1] = 0.5 * weight[:, 0] + 0.75**0.5 * weight[:, 1]
    measured = measure_isometry(model, rows)
    found = measured.diag_mean, measured.diag_sd, measured.off_rms, measured.condition
    assert found == pytest.approx((1, 0, 0.5, 3), abs=1e-3)
    assert measured.probe_r < 0.97


def test_curvature_lowers_the_correlation_of_tangent_vectors(make_model, rows: Tensor) -> None:
    straight, bent = (measure_isometry(make_model(curve=c), rows) for c in (0.0, 1.0))
    assert bent.probe_r < 0.99 < straight.probe_r
    assert bent.diag_sd > 0.05
    assert bent.off_rms > 0.05


def mixture(means: Sequence[Sequence[float]], variances: Sequence[float]) -> Mixture:
    prior, k = Mixture(2, len(means)), len(means)
    prior.set_parameters(torch.ones(k) / k, torch.tensor(means), torch.diag(torch.tensor(variances)).expand(k, 2, 2))
    return prior


PREDICTED = {
    "normal": (lambda: Normal(2), (1.0, 1.0)),
    "one gaussian": (lambda: mixture([[1.0, 2.0]], [4.0, 0.25]), (4.0, 0.25)),
    "far components": (lambda: mixture([[-30.0, 0.0], [30.0, 0.0]], [4.0, 0.25]), (4.0, 0.25)),
}


@pytest.mark.parametrize(("prior", "variance"), PREDICTED.values(), ids=PREDICTED)
def test_prediction_is_by_the_spread_within_a_component(make_model, prior, variance: tuple[float, float]) -> None:
    model = make_model(prior(), noise=GaussianNoise(0.7))
    with torch.no_grad():
        x = model.autoencoder.decode(model.prior.sample(4000))
    v = torch.tensor(variance)
    torch.testing.assert_close(measure_isometry(model, x).prediction, v / (v + 0.7**2), atol=0.02, rtol=0)


def test_prediction_is_one_with_a_clean_rate(make_model, rows: Tensor) -> None:
    measured = measure_isometry(make_model(noise=GaussianNoise(0.7), noisy_rate=False), rows)
    assert torch.equal(measured.prediction, torch.ones(2))


def test_measuring_is_repeatable_and_leaves_the_global_generator_alone(make_model, rows: Tensor) -> None:
    model = make_model(curve=0.5)
    before = torch.get_rng_state()
    first, again, other = (measure_isometry(model, rows, rows=50, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.probe_r == again.probe_r != other.probe_r
    assert torch.equal(first.diagonal, again.diagonal)
    assert not torch.equal(first.diagonal, other.diagonal)


def test_few_rows_speak_for_many(make_model, rows: Tensor) -> None:
    model = make_model(curve=0.5)
    few, all_rows = (measure_isometry(model, rows, rows=n).diag_mean for n in (100, len(rows)))
    assert few == pytest.approx(all_rows, rel=0.2)
    assert few != all_rows
