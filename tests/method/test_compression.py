import builtins
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from radogaga import (
    Autoencoder,
    Factorized,
    GaussianNoise,
    InputError,
    Mixture,
    Noise,
    Normal,
    RateDistortion,
    ResidualMLP,
    Scaling,
    SquaredError,
    UniformNoise,
    compress,
    decompress,
    fit,
    initialize_pca,
    quantized_rate,
)
from radogaga.method.compression import quantize
from radogaga.method.priors.prior import Prior

pytest.importorskip("constriction")

FEATURES, LATENTS = 12, 6


def bent(n: int, seed: int) -> Tensor:
    """Rows near a curved surface, with deviations from far above the noise to under it, the largest in two heaps."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, LATENTS, generator=generator) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.25, 0.1])
    z[:, 0] += 8 * (torch.rand(n, generator=generator) < 0.5)
    axes = torch.linalg.qr(torch.randn(FEATURES, LATENTS, generator=torch.Generator().manual_seed(0)))[0]
    return z @ axes.T + 0.3 * torch.sin(z @ axes.T)


def trained(prior: Prior, noise: Noise, steps: int = 150) -> RateDistortion:
    torch.manual_seed(0)
    x = bent(4000, 1)
    networks = ResidualMLP(FEATURES, LATENTS, [16]), ResidualMLP(LATENTS, FEATURES, [16])
    autoencoder = Autoencoder(*networks, latents=LATENTS, scaling=Scaling(FEATURES))
    initialize_pca(autoencoder, x)
    model = RateDistortion(autoencoder, prior, SquaredError(), noise)
    fit(model, x, steps=steps, learning_rate=1e-2)
    return model


MAKERS: dict[str, Callable[[], RateDistortion]] = {
    "factorized": lambda: trained(Factorized(LATENTS), UniformNoise(0.3)),
    "coarse": lambda: trained(Factorized(LATENTS), UniformNoise(2.0)),
    "Gaussian noise": lambda: trained(Factorized(LATENTS), GaussianNoise(0.1)),
    "normal": lambda: trained(Normal(LATENTS), UniformNoise(0.3), steps=50),
    "untrained": lambda: trained(Factorized(LATENTS), UniformNoise(0.3), steps=0),
}


@pytest.fixture(scope="module")
def models() -> dict[str, RateDistortion]:
    return {name: make() for name, make in MAKERS.items()}


each_model = pytest.mark.parametrize("name", MAKERS)


def decoded(model: RateDistortion, x: Tensor) -> Tensor:
    """What the stream stands for."""
    with torch.no_grad():
        return model.autoencoder.decode(quantize(model, x))


@each_model
def test_what_comes_back_is_the_decoded_quantised_latents_to_the_last_bit(models, name: str) -> None:
    model, x = models[name], bent(500, 2)
    assert torch.equal(decompress(model, compress(model, x)), decoded(model, x))


@each_model
def test_latents_are_rounded_to_the_width_of_the_noise(models, name: str) -> None:
    model, x = models[name], bent(500, 2)
    width = math.sqrt(12 * model.noise.variance)
    z, rounded = model.autoencoder.encode(x).detach(), quantize(model, x)
    assert (z - rounded).abs().max() < 0.5001 * width
    torch.testing.assert_close(rounded / width, (rounded / width).round(), atol=1e-4, rtol=1e-5)


@each_model
def test_a_long_stream_is_as_long_as_the_stated_rate(models, name: str) -> None:
    model, unseen = models[name], bent(10_000, 3)
    stated, actual = quantized_rate(model, unseen).sum() / math.log(2), 8 * len(compress(model, unseen))
    assert actual == pytest.approx(stated.item(), rel=0.01)


@each_model
def test_the_stated_rate_is_the_priors_probability_of_the_bins(models, name: str) -> None:
    """Here by plain differences of the cumulative distribution; a code counts in units of 2^-24."""
    model, x = models[name], bent(500, 4)
    width, z, prior = math.sqrt(12 * model.noise.variance), quantize(model, x).double(), model.prior
    prior.double()
    with torch.no_grad():
        low, high = (prior.cumulative_logit(z + side * width).sigmoid() for side in (-0.5, 0.5))
    prior.float()
    torch.testing.assert_close(quantized_rate(model, x), -(high - low).log().sum(1), atol=0.02, rtol=1e-4)


def test_the_rate_of_a_fine_code_is_the_density_less_the_steps(models) -> None:
    model, x = models["Gaussian noise"], bent(500, 4)
    width = math.sqrt(12 * model.noise.variance)
    expected = -model.prior.log_prob(quantize(model, x)).detach().double() - LATENTS * math.log(width)
    assert (quantized_rate(model, x) - expected).abs().median() < 0.1


def test_compression_beats_what_does_not_know_the_data(models) -> None:
    unseen = bent(5000, 5)
    assert len(compress(models["factorized"], unseen)) < 0.8 * len(compress(models["untrained"], unseen))


@each_model
def test_rows_far_from_all_others_survive(models, name: str) -> None:
    model = models[name]
    x = bent(60, 6) * torch.logspace(0, 30, 60)[:, None]
    stream = compress(model, x)
    assert torch.equal(decompress(model, stream), decoded(model, x))
    assert torch.isfinite(quantized_rate(model, x)).all()
    assert 8 * len(stream) < quantized_rate(model, x).sum() / math.log(2) + 8 * 64


@pytest.mark.parametrize("x", [bent(1, 7), torch.zeros(3, FEATURES), 1e6 * torch.ones(2, FEATURES)])
def test_few_rows_survive(models, x: Tensor) -> None:
    model = models["factorized"]
    assert torch.equal(decompress(model, compress(model, x)), decoded(model, x))


def test_a_model_that_is_as_good_as_new_reads_the_stream(models, tmp_path) -> None:
    from radogaga import load

    model, x = models["factorized"], bent(100, 2)
    model.save(tmp_path / "model")
    assert torch.equal(decompress(load(tmp_path / "model"), compress(model, x)), decoded(model, x))


def test_streams_and_rates_leave_the_model_alone(models) -> None:
    model, x = models["factorized"], bent(10, 2)
    decompress(model, compress(model, x))
    quantized_rate(model, x)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(parameter.requires_grad for parameter in model.parameters())


# Refusals


@pytest.mark.parametrize("keep", [0, 3, 20, 39, 41, -1])
def test_a_truncated_stream_is_refused(models, keep: int) -> None:
    model = models["factorized"]
    with pytest.raises(InputError, match=r"Expected a .*stream"):
        decompress(model, compress(model, bent(50, 2))[:keep])


def test_a_damaged_stream_is_refused(models) -> None:
    """Whichever byte it is, in the header or after it."""
    model = models["factorized"]
    stream = compress(model, bent(20, 2))
    for i in [*range(40), *range(40, len(stream), 29)]:
        spoiled = bytearray(stream)
        spoiled[i] ^= 0x20
        with pytest.raises(InputError, match="Expected"):
            decompress(model, bytes(spoiled))


@pytest.mark.parametrize("foreign", [b"", b"PK\3\4" * 30, b"RDG1", b"RDG1" + bytes(100)])
def test_what_is_no_stream_is_refused(models, foreign: bytes) -> None:
    with pytest.raises(InputError, match="Expected"):
        decompress(models["factorized"], foreign)


@pytest.mark.parametrize("other", ["coarse", "normal", "untrained"])
def test_another_models_stream_is_refused(models, other: str) -> None:
    with pytest.raises(InputError, match="this model"):
        decompress(models["factorized"], compress(models[other], bent(20, 2)))


def test_latents_that_depend_on_each_other_are_refused(models) -> None:
    model = models["factorized"]
    mixed = RateDistortion(model.autoencoder, Mixture(LATENTS, 2), SquaredError(), UniformNoise(0.3))
    with pytest.raises(InputError, match="independent latents; got Mixture"):
        compress(mixed, bent(20, 2))


def test_latents_that_are_not_finite_are_refused(models) -> None:
    x = bent(5, 2)
    x[3] = 3e38
    with pytest.raises(InputError, match="row 3"):
        compress(models["factorized"], x)


def test_rows_that_are_not_finite_are_refused(models) -> None:
    with pytest.raises(InputError, match="finite numbers"):
        compress(models["factorized"], np.full((2, FEATURES), np.nan))


def test_a_missing_extra_is_named(models, monkeypatch) -> None:
    there = builtins.__import__

    def without(name: str, *arguments: object, **options: object) -> object:
        if name == "constriction":
            raise ImportError(name)
        return there(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"radogaga\[compress\]"):
        compress(models["factorized"], bent(5, 2))
