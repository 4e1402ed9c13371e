import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from radogaga import (
    DAGMM,
    MLP,
    Autoencoder,
    EstimatedMixture,
    Factorized,
    GaussianNoise,
    Identity,
    LatentFeatures,
    Log,
    Mixture,
    Normal,
    RateDistortion,
    ResidualFeatures,
    Scaling,
    SquaredError,
    UniformNoise,
    fit,
    fit_with_mixture,
    gram,
)


@dataclass(frozen=True)
class Still:
    """A noise that is the same in every row, so that rows can be compared."""

    std: float = 0.1

    @property
    def variance(self) -> float:
        return self.std**2

    def __call__(self, z: Tensor) -> Tensor:
        return torch.full_like(z, self.std)


NOISES = {"gaussian": GaussianNoise(std=0.1), "uniform": UniformNoise(width=0.5), "still": Still()}
PRIORS = {
    "normal": Normal,
    "mixture": lambda n: Mixture(n, 3),
    "estimated mixture": lambda n: EstimatedMixture(n, 3).eval(),
    "factorized": Factorized,
}
PENALTIES = {"d": Identity(), "log d": Log(floor=0.01)}
each_prior = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
each_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


@each_prior
@each_penalty
def test_terms_are_per_sample(make_model, rows: Tensor, prior, penalty) -> None:
    model = make_model(prior(2), curve=0.2, noise=Still(), penalty=penalty)
    for together, alone in zip(model(rows), zip(*map(model, rows[:5].split(1)), strict=True), strict=True):
        assert together.shape == (len(rows),)
        torch.testing.assert_close(torch.cat(alone), together[:5], rtol=1e-4, atol=1e-5)


@each_prior
def test_loss_is_the_sum_of_its_terms(make_model, rows: Tensor, prior) -> None:
    terms = make_model(prior(2), curve=0.2)(rows)
    torch.testing.assert_close(terms.total, terms.rate + terms.reconstruction + terms.isometry)
    assert (terms.reconstruction > 0).all()
    assert (terms.isometry > 0).all()


@each_prior
def test_rate_is_taken_at_clean_or_at_noisy_latents(make_model, rows: Tensor, prior) -> None:
    clean = make_model(prior(2), curve=0.2, noise=Still(), noisy_rate=False)
    noisy = make_model(clean.prior, curve=0.2, noise=Still(), noisy_rate=True)
    torch.testing.assert_close(clean(rows).rate, clean.rate(rows))
    torch.testing.assert_close(noisy(rows).rate, -noisy.prior.log_prob(noisy.autoencoder.encode(rows) + 0.1))
    torch.testing.assert_close(noisy.rate(rows), clean.rate(rows))


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_unit_steps_stay_unit_steps_by_default(make_model, noise) -> None:
    model = make_model(noise=noise)
    assert model.constant == pytest.approx(1)
    assert model.unit_scale_log() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("weight", [0.5, 20.0])
def test_constant_follows_weight_and_noise(make_model, noise, weight: float) -> None:
    model = make_model(noise=noise, isometry_weight=weight)
    assert model.constant == pytest.approx(2 * weight * noise.variance)
    assert math.exp(model.unit_scale_log()) == pytest.approx(model.constant ** (2 / 2))


@pytest.mark.parametrize("noise", [GaussianNoise(std=0.1), UniformNoise(width=0.5)], ids=["gaussian", "uniform"])
@pytest.mark.parametrize("latents", [1, 2, 4])
def test_noise_costs_an_isometric_decoder_half_a_nat_for_each_latent(
    make_model, rows: Tensor, noise, latents: int
) -> None:
    model = make_model(latents=latents, noise=noise)
    isometry = model(rows.repeat(100, 1)).isometry
    assert isometry.mean().item() == pytest.approx(latents / 2, rel=0.03)


def test_perfect_reconstruction_costs_nothing(make_model, rows: Tensor) -> None:
    reconstruction = make_model(latents=4)(rows).reconstruction
    torch.testing.assert_close(reconstruction, torch.zeros_like(reconstruction), atol=1e-6, rtol=0)


def test_weights_multiply_their_terms(make_model, rows: Tensor) -> None:
    one = make_model(curve=0.2, noise=Still(), isometry_weight=1.0, reconstruction_weight=1.0)(rows)
    other = make_model(curve=0.2, noise=Still(), isometry_weight=3.0, reconstruction_weight=7.0)(rows)
    torch.testing.assert_close(other.isometry, 3 * one.isometry)
    torch.testing.assert_close(other.reconstruction, 7 * one.reconstruction)
    torch.testing.assert_close(other.rate, one.rate)


def test_stiffness_adds_to_the_isometry_term_alone(make_model, rows: Tensor) -> None:
    soft, stiff = (make_model(curve=0.2, noise=Still(), isometry_penalty=k)(rows) for k in (0.0, 8.0))
    torch.testing.assert_close(stiff.rate, soft.rate)
    torch.testing.assert_close(stiff.reconstruction, soft.reconstruction)
    assert (stiff.isometry > soft.isometry).all()


def test_stiffness_costs_an_isometric_model_nothing(make_model, rows: Tensor) -> None:
    soft, stiff = (make_model(noise=Still(), isometry_penalty=k)(rows) for k in (0.0, 8.0))
    torch.testing.assert_close(stiff.isometry, soft.isometry, rtol=1e-4, atol=1e-5)


def test_reconstruction_is_the_distortion_of_scaled_rows(make_model, rows: Tensor) -> None:
    model = make_model(curve=0.2, reconstruction_weight=1.0)
    scaling = model.autoencoder.scaling
    decoded = scaling(model.autoencoder.decode(model.autoencoder.encode(rows)))
    expected = SquaredError()(scaling(rows), decoded)
    torch.testing.assert_close(model(rows).reconstruction, expected, rtol=1e-3, atol=1e-5)


@each_penalty
def test_penalty_grows_with_the_distortion(penalty) -> None:
    assert (penalty(torch.linspace(0, 5, 100)).diff() > 0).all()


def test_log_penalty_is_about_relative_errors_above_its_floor() -> None:
    far = torch.tensor([1.0, 10.0, 100.0])
    steps = Log(floor=1e-6)(far).diff()
    torch.testing.assert_close(steps, torch.full((2,), math.log(10)))
    assert math.isfinite(Log(floor=1e-6)(torch.zeros(1)).item())


@each_prior
def test_every_part_gets_a_gradient(make_model, rows: Tensor, prior) -> None:
    model = make_model(prior(2).train(), curve=0.2)
    model(rows).total.mean().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert silent == []


# Residual features


@each_prior
@pytest.mark.parametrize("noisy_rate", [True, False], ids=["noisy rate", "clean rate"])
def test_the_prior_sees_two_features_of_the_reconstruction_beside_the_latents(
    make_model, rows: Tensor, prior, noisy_rate: bool
) -> None:
    model = make_model(prior(4), curve=0.2, noise=Still(), prior_features=ResidualFeatures(), noisy_rate=noisy_rate)
    features = model.features(rows)
    assert features.shape == (len(rows), 4)
    torch.testing.assert_close(features[:, :2], model.autoencoder.encode(rows))
    torch.testing.assert_close(model.rate(rows), -model.prior.log_prob(features))
    noise = torch.tensor([0.1, 0.1, 0.0, 0.0]) if noisy_rate else torch.zeros(4)
    torch.testing.assert_close(model(rows).rate, -model.prior.log_prob(features + noise))


def test_the_prior_sees_latents_alone_by_default(make_model, rows: Tensor) -> None:
    model = make_model(curve=0.2)
    assert torch.equal(model.features(rows), model.autoencoder.encode(rows))


def test_residual_features_change_the_rate_alone(make_model, rows: Tensor) -> None:
    without, with_residual = (
        make_model(Normal(n), curve=0.2, noise=Still(), prior_features=features)(rows)
        for n, features in ((2, LatentFeatures()), (4, ResidualFeatures()))
    )
    assert torch.equal(with_residual.reconstruction, without.reconstruction)
    assert torch.equal(with_residual.isometry, without.isometry)
    assert not torch.equal(with_residual.rate, without.rate)


def test_dagmm_and_the_objective_see_the_same_residual_features(make_model, rows: Tensor) -> None:
    model = make_model(EstimatedMixture(4, 2).eval(), curve=0.2, prior_features=ResidualFeatures())
    dagmm = DAGMM(model.autoencoder, model.prior, prior_features=ResidualFeatures())
    assert torch.equal(model.features(rows), dagmm.features(rows))
    torch.testing.assert_close(model.rate(rows), -dagmm.log_prob(rows))


@pytest.mark.parametrize("prior", [Mixture, EstimatedMixture])
def test_a_mixture_of_latents_and_residual_features_is_trained(make_model, rows: Tensor, prior) -> None:
    model = make_model(prior(4, 2), prior_features=ResidualFeatures())
    fit_with_mixture(model, rows, steps=30)
    assert torch.isfinite(model.rate(rows)).all()
    assert model.rate(rows + 30).median() > model.rate(rows).quantile(0.95)


# The closed form of linear models

STD, EIGENVALUES = 0.5, (4.0, 1.0)


def plane_in_space(n: int = 2000) -> tuple[Tensor, Tensor]:
    """Gaussian rows with two principal axes, and those axes ``(5, 2)``."""
    axes = torch.linalg.qr(torch.randn(5, 5)).Q
    spread = torch.tensor([*EIGENVALUES, 1e-4, 1e-4, 1e-4]).sqrt()
    return torch.randn(n, 5) * spread @ axes.T, axes[:, :2]


def trained_linear_model(
    x: Tensor, prior: Mixture, constant: float, noisy_rate: bool, steps: int = 1000
) -> RateDistortion:
    networks = MLP([5, 2]), MLP([2, 5])
    weight = constant / (2 * STD**2)
    autoencoder = Autoencoder(*networks, latents=2, scaling=Scaling(5))
    model = RateDistortion(
        autoencoder, prior, SquaredError(), GaussianNoise(STD), isometry_weight=weight, noisy_rate=noisy_rate
    )
    fit(model, x, steps=steps, batch_size=500, learning_rate=4e-2)
    return model


@torch.no_grad()
def gram_and_covariance(model: RateDistortion, x: Tensor) -> tuple[Tensor, Tensor]:
    z = model.autoencoder.encode(x)
    grams = gram(model.autoencoder.decode_scaled, model.distortion, z[:1])[0]
    return model.constant * grams, torch.cov(z.T)


@pytest.mark.parametrize("noisy_rate", [True, False], ids=["noisy rate", "clean rate"])
@pytest.mark.parametrize("constant", [1.0, 4.0])
def test_linear_model_reaches_the_closed_form(constant: float, noisy_rate: bool) -> None:
    x, axes = plane_in_space()
    model = trained_linear_model(x, Mixture(2, 1), constant, noisy_rate)
    grams, covariance = gram_and_covariance(model, x)
    identity = torch.eye(2)
    # v / (v + s2), as a matrix: a Gaussian with a full covariance leaves the latents free to rotate.
    expected = covariance @ torch.linalg.inv(covariance + STD**2 * identity) if noisy_rate else identity
    torch.testing.assert_close(grams, expected, atol=0.04, rtol=0)
    decoded = torch.linalg.qr(model.autoencoder.decoder[0].weight.detach()).Q
    torch.testing.assert_close(torch.linalg.svdvals(decoded.T @ axes), torch.ones(2), atol=1e-3, rtol=0)


def test_latents_of_a_linear_model_are_the_principal_axes() -> None:
    x, axes = plane_in_space()
    prior = Mixture(2, 1)
    prior.above_diagonal.requires_grad_(False)  # independent latents: no freedom to rotate is left
    # Gradients turn the latents slowly.
    model = trained_linear_model(x, prior, constant=1.0, noisy_rate=True, steps=1500)
    grams, covariance = gram_and_covariance(model, x)
    variance = covariance.diagonal()
    torch.testing.assert_close(grams, torch.diag(variance / (variance + STD**2)), atol=0.04, rtol=0)
    columns = torch.nn.functional.normalize(model.autoencoder.decoder[0].weight.detach(), dim=0)
    cosines = (columns.T @ axes).abs()
    order = cosines.argmax(1)
    assert sorted(order.tolist()) == [0, 1]
    torch.testing.assert_close(cosines[:, order].diagonal(), torch.ones(2), atol=1e-2, rtol=0)
