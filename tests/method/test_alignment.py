"""After training: gains and turns of the latents that the objective has as its optimum on average."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from radogaga import (
    MLP,
    Autodiff,
    Autoencoder,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    EstimatedMixture,
    Factorized,
    GaussianNoise,
    KernelDensity,
    Mixture,
    Normal,
    QuadraticSSIM,
    RateDistortion,
    ResidualFeatures,
    ResidualMLP,
    Scaling,
    SquaredError,
    StackedPrior,
    align,
    gram,
    load,
    set_latent_scale,
)
from radogaga.method.priors.prior import Prior

ROWS, PICTURES = (400, 6), (60, 1, 16, 16)
NOISE = 0.2


def dense() -> Autoencoder:
    return Autoencoder(MLP([6, 12, 3]), MLP([3, 12, 6]), 3, Scaling(6))


def convolutional() -> Autoencoder:
    size = {"shape": (1, 16, 16), "kernels": (5, 5), "hidden": (20,)}
    encoder = ConvolutionalEncoder(4, filters=(8, 8), **size)
    return Autoencoder(encoder, ConvolutionalDecoder(4, filters=(8, 8), **size), 4, Scaling(1))


MODELS = {
    "dense": (dense, ROWS, SquaredError()),
    "weighted": (dense, ROWS, Autodiff(lambda x, y: ((x - y).square() * (1 + x.square())).sum(1))),
    "convolutional": (convolutional, PICTURES, SquaredError()),
    "convolutional, 1 - SSIM": (convolutional, PICTURES, QuadraticSSIM()),
}


def made(name: str, *, noisy_rate: bool = True) -> tuple[RateDistortion, Tensor]:
    make, shape, distortion = MODELS[name]
    torch.manual_seed(0)
    x = torch.rand(shape)
    autoencoder = make()
    autoencoder.set_gain(torch.linspace(0.5, 30, autoencoder.latents))
    model = RateDistortion(
        autoencoder, Normal(autoencoder.latents), distortion, GaussianNoise(NOISE), noisy_rate=noisy_rate
    )
    return model.eval(), x


@torch.no_grad()
def moments(model: RateDistortion, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of J'AJ times the constant and the covariance of the latents."""
    z = model.autoencoder.encode(x)
    return gram(model.autoencoder.decode_scaled, model.distortion, z).mean(0) * model.constant, z.T.cov()


def theory(variance: Tensor, noisy_rate: bool) -> Tensor:
    return variance / (variance + NOISE**2) if noisy_rate else torch.ones_like(variance)


@pytest.mark.parametrize("noisy_rate", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_aligned_latents_are_principal_components_of_the_metric_that_theory_has(name, noisy_rate):
    model, x = made(name, noisy_rate=noisy_rate)
    before = model.autoencoder.decode(model.autoencoder.encode(x))
    align(model, x)
    metric, covariance = moments(model, x)
    variance = covariance.diagonal()
    torch.testing.assert_close(metric, theory(variance, noisy_rate).diag(), atol=2e-3, rtol=0)
    assert (covariance - variance.diag()).abs().max() < 1e-3 * variance.max()
    assert (variance.diff() <= 0).all()
    torch.testing.assert_close(model.autoencoder.decode(model.autoencoder.encode(x)), before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("noisy_rate", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_calibrated_gains_give_the_diagonal_that_theory_has(name, noisy_rate):
    model, x = made(name, noisy_rate=noisy_rate)
    before = model.autoencoder.decode(model.autoencoder.encode(x))
    set_latent_scale(model, x)
    metric, covariance = moments(model, x)
    torch.testing.assert_close(metric.diagonal(), theory(covariance.diagonal(), noisy_rate), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(model.autoencoder.decode(model.autoencoder.encode(x)), before, atol=1e-5, rtol=0)


def test_no_other_linear_map_of_normal_latents_costs_less():
    model, x = made("dense")
    align(model, x)
    metric, covariance = (moment.double() for moment in moments(model, x))
    noise = NOISE**2 * torch.eye(3).double()

    def cost(turn: Tensor) -> float:  # entropy of noisy latents and isometry term, in nats
        back = turn.inverse()
        return float(0.5 * torch.logdet(turn @ covariance @ turn.T + noise) + 0.5 * (back.T @ metric @ back).trace())

    least = cost(torch.eye(3).double())
    for _ in range(100):
        assert cost(torch.eye(3).double() + 0.1 * torch.randn(3, 3).double()) > least


def test_a_latent_that_nothing_uses_stays_idle_and_harms_none():
    model, x = made("dense")
    with torch.no_grad():
        model.autoencoder.decoder[0].weight[:, 1] = 0
    before = model.autoencoder.decode(model.autoencoder.encode(x))
    align(model, x)
    assert moments(model, x)[1][2, 2] < NOISE**2
    torch.testing.assert_close(model.autoencoder.decode(model.autoencoder.encode(x)), before, atol=1e-3, rtol=0)


def test_an_aligned_model_is_saved_as_any_other(tmp_path):
    model, x = made("convolutional")
    align(model, x)
    model.save(tmp_path / "model")
    assert torch.equal(load(tmp_path / "model").autoencoder.encode(x), model.autoencoder.encode(x))


class Bent(nn.Module):
    """A network whose last layer is not its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).tanh()


@pytest.mark.parametrize(
    "encoder", [ResidualMLP(6, 3), Bent(), nn.Identity(), MLP([6, 5])], ids=lambda network: type(network).__name__
)
def test_networks_that_cannot_take_a_linear_map_are_refused_and_stay_as_they_were(encoder):
    model, x = made("dense")
    if isinstance(encoder, nn.Identity):
        x = x[:, :3]
    model.autoencoder.encoder = encoder
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(TypeError, match=r"(?i)linear layer"):
        align(model, x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# The prior of an altered model


PRIORS = {
    "mixture": lambda z: Mixture(3, 2).fit(z),
    "estimated mixture": lambda z: EstimatedMixture(3, 2).fit(z, distil_steps=5),
    "factorized": lambda z: Factorized.fit(z, GaussianNoise(NOISE)),
    "kernel density": KernelDensity.fit,
    "stack": lambda z: StackedPrior([KernelDensity.fit(z), Mixture(3, 1).fit(z)]),
}
each_change = pytest.mark.parametrize("change", [align, set_latent_scale])


@each_change
@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_the_prior_fits_the_latents_of_the_altered_model(prior, change):
    """A row costs no more than under one Gaussian of the noisy latents."""
    model, x = made("dense")
    model.prior = prior(model.autoencoder.encode(x).detach()).eval()
    former = model.prior
    change(model, x)
    covariance = model.autoencoder.encode(x).detach().T.cov() + NOISE**2 * torch.eye(3)
    gaussian = 0.5 * torch.logdet(2 * math.pi * math.e * covariance)
    assert type(model.prior) is type(former)
    assert not model.prior.training
    assert model.rate(x).mean() < gaussian + 0.1
    assert -former.log_prob(model.autoencoder.encode(x)).mean() > gaussian + 0.1


@each_change
def test_the_prior_is_what_fit_prior_makes_of_the_new_latents(change):
    model, x = made("dense")
    seen = []

    def fit_prior(z: Tensor) -> Normal:
        seen.append(z)
        return Normal(3)

    change(model, x, fit_prior=fit_prior)
    torch.testing.assert_close(seen[0], model.autoencoder.encode(x))
    assert isinstance(model.prior, Normal)


class Unfitted(Prior):
    """A prior of one's own that does not say how it is fitted."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -z.square().sum(1)

    def sample(self, n: int) -> Tensor:
        return torch.zeros(n, 3)


@each_change
def test_a_prior_that_cannot_be_refitted_leaves_the_model_as_it_was(change):
    model, x = made("dense")
    model.prior = Unfitted()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(TypeError, match="Pass fit_prior"):
        change(model, x)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    change(model, x, fit_prior=lambda z: Normal(3))
    assert isinstance(model.prior, Normal)


@each_change
def test_a_prior_of_residual_features_is_fitted_to_them(change):
    model, x = made("dense")
    model.prior_features, model.prior = ResidualFeatures(), Mixture(5, 1)
    change(model, x)
    expected = Mixture(5, 1).fit(model.features(x).detach(), restarts=3)
    torch.testing.assert_close(model.rate(x), -expected.log_prob(model.features(x)))
