import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from radogaga import (
    GDN,
    MLP,
    Autoencoder,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    GaussianNoise,
    InputError,
    LinearSkip,
    Normal,
    RateDistortion,
    Scaling,
    SquaredError,
    gram,
    initialize_pca,
    load,
    measure_isometry,
    save,
)

SIZES = {
    "32": {"shape": (3, 32, 32), "filters": (8, 12), "kernels": (5, 3), "hidden": (16,)},
    "64": {"shape": (3, 64, 64), "filters": (8, 8, 12), "kernels": (9, 5, 5), "hidden": ()},
    "28, grey, silu": {"shape": (1, 28, 28), "filters": (8, 8), "kernels": (5, 5), "activation": nn.SiLU},
    "not square": {"shape": (3, 16, 24), "filters": (8, 8), "kernels": (5, 5), "hidden": (16, 16)},
}
each_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)


def pair(latents: int, size: dict) -> tuple[ConvolutionalEncoder, ConvolutionalDecoder]:
    """An encoder and the decoder that mirrors it."""
    size = {"hidden": (16,), **size}
    mirrored = {**size, "filters": size["filters"][::-1], "kernels": size["kernels"][::-1]}
    return ConvolutionalEncoder(latents, **size), ConvolutionalDecoder(latents, **mirrored)


def residual_pair(latents: int, size: dict) -> tuple[LinearSkip, LinearSkip]:
    encoder, decoder = pair(latents, size)
    return LinearSkip(size["shape"], [latents], encoder), LinearSkip([latents], size["shape"], decoder)


PAIRS = {"convolutional": pair, "residual": residual_pair}
each_pair = pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS)


def test_the_papers_network_has_the_papers_layers() -> None:
    with torch.device("meta"):
        encoder, decoder = ConvolutionalEncoder(256), ConvolutionalDecoder(256)
        assert encoder(torch.empty(2, 3, 64, 64)).shape == (2, 256)
        assert decoder(torch.empty(2, 256)).shape == (2, 3, 64, 64)
    gdn, deep = 64 + 64 * 64, 64 * 64 * 25 + 64
    dense = (1024 * 8192, 8192, 8192 * 256)
    analysis = 3 * 64 * 81 + 64 + 3 * deep + 3 * gdn + sum(dense) + 256
    synthesis = sum(dense) + 1024 + 2 * deep + 64 * 32 * 25 + 32 + 2 * gdn + 32 + 32 * 32 + 32 * 3 * 81 + 3
    assert sum(p.numel() for p in encoder.parameters()) == analysis
    assert sum(p.numel() for p in decoder.parameters()) == synthesis
    kinds = [type(module).__name__ for module in (*encoder.modules(), *decoder.modules())]
    counts = [kinds.count(kind) for kind in ("Conv2d", "ConvTranspose2d", "GDN", "Linear", "Softplus")]
    assert counts == [4, 4, 6, 4, 3]
    assert [module.inverse for module in decoder if isinstance(module, GDN)] == [True] * 3


def test_the_last_dense_layer_may_be_linear() -> None:
    kinds = [type(module) for module in ConvolutionalDecoder(2, (1, 8, 8), [4], [5], [16], linear=True).modules()]
    assert kinds.count(nn.Softplus) == 1


@each_pair
@each_size
def test_pictures_come_back_in_their_shape(make, size: dict) -> None:
    encoder, decoder = make(3, size)
    x = torch.rand(2, *size["shape"])
    z = encoder(x)
    assert z.shape == (2, 3)
    assert decoder(z).shape == x.shape


@each_pair
@each_size
def test_pictures_do_not_touch_each_other(make, size: dict) -> None:
    encoder, decoder = make(3, size)
    x = torch.rand(4, *size["shape"])
    torch.testing.assert_close(torch.cat([encoder(one) for one in x.split(1)]), encoder(x), atol=1e-5, rtol=1e-4)
    z = torch.randn(4, 3)
    torch.testing.assert_close(torch.cat([decoder(one) for one in z.split(1)]), decoder(z), atol=1e-5, rtol=1e-4)


@each_pair
@each_size
def test_memory_format_does_not_matter(make, size: dict) -> None:
    encoder, decoder = make(3, size)
    x, z = torch.rand(2, *size["shape"]), torch.randn(2, 3)
    expected = encoder(x), decoder(z)
    found = encoder.to(memory_format=torch.channels_last)(x), decoder.to(memory_format=torch.channels_last)(z)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@each_pair
def test_gram_differentiates_through_every_layer(make) -> None:
    _, decoder = make(3, {"shape": (3, 8, 8), "filters": (4, 4), "kernels": (5, 3)})
    decoder, z = decoder.double(), torch.randn(2, 3, dtype=torch.float64)
    for row, found in zip(z, gram(decoder, SquaredError(), z), strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda t: decoder(t[None]).flatten(), row)
        torch.testing.assert_close(found, jacobian.T @ jacobian)


@each_pair
@each_size
def test_loaded_network_is_the_same_to_the_last_bit(make, size: dict, tmp_path) -> None:
    encoder, decoder = make(3, size)
    autoencoder = Autoencoder(encoder, decoder, latents=3, scaling=Scaling(1))
    with torch.no_grad():
        for parameter in autoencoder.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    save(autoencoder, tmp_path / "model")
    loaded, x = load(tmp_path / "model"), torch.rand(2, *size["shape"])
    assert torch.equal(loaded.decode(loaded.encode(x)), autoencoder.decode(autoencoder.encode(x)))


REFUSED = {
    "side that does not halve": {"shape": (3, 30, 32), "filters": (8, 8), "kernels": (5, 5)},
    "kernel missing": {"shape": (3, 32, 32), "filters": (8, 8), "kernels": (5,)},
    "even kernel": {"shape": (3, 32, 32), "filters": (8, 8), "kernels": (5, 4)},
}


@pytest.mark.parametrize("size", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("network", [ConvolutionalEncoder, ConvolutionalDecoder])
def test_layers_that_do_not_fit_are_refused(network, size: dict) -> None:
    with pytest.raises(InputError, match="Expected"):
        network(3, **size)


def pca_start(x: Tensor, latents: int) -> Autoencoder:
    networks = residual_pair(latents, {"shape": x.shape[1:], "filters": (8, 8), "kernels": (5, 5)})
    autoencoder = Autoencoder(*networks, latents=latents, scaling=Scaling(1))
    initialize_pca(autoencoder, x)
    return autoencoder


@pytest.mark.parametrize("latents", [1, 5])
def test_start_is_the_principal_components_of_pictures(latents: int) -> None:
    x = torch.rand(40, 2, 8, 8)
    autoencoder, rows = pca_start(x, latents), x.flatten(1).double().numpy()
    pca = PCA(latents).fit(rows)
    latent = autoencoder.encode(x).detach().double()
    torch.testing.assert_close(latent.abs(), torch.as_tensor(pca.transform(rows)).abs(), atol=1e-5, rtol=1e-4)
    expected = torch.as_tensor(pca.inverse_transform(pca.transform(rows)))
    decoded = autoencoder.decode(autoencoder.encode(x)).detach().flatten(1).double()
    torch.testing.assert_close(decoded, expected, atol=1e-5, rtol=1e-4)


def test_start_is_exactly_isometric() -> None:
    x = torch.rand(40, 2, 8, 8)
    measured = measure_isometry(RateDistortion(pca_start(x, 5), Normal(5), SquaredError(), GaussianNoise(0.1)), x)
    found = measured.diag_mean, measured.diag_sd, measured.off_rms, measured.condition, measured.probe_r
    assert found == pytest.approx((1, 0, 0, 1, 1), abs=1e-4)


def test_every_part_of_the_correction_learns_after_one_step() -> None:
    x = torch.rand(40, 2, 8, 8)
    autoencoder = pca_start(x, 5)
    for _ in range(2):  # the first step moves only the layers that start at zero
        autoencoder.zero_grad()
        (autoencoder.decode(autoencoder.encode(x)) - x).square().sum().backward()
        with torch.no_grad():
            for parameter in autoencoder.parameters():
                parameter -= 1e-5 * parameter.grad
    for network in (autoencoder.encoder, autoencoder.decoder):
        assert [name for name, p in network.named_parameters() if not 0 < p.grad.abs().sum() < 1e6] == []


def test_network_around_a_line_can_be_any() -> None:
    network = LinearSkip((4,), (3,), MLP([4, 8, 3]))
    x = torch.randn(5, 4)
    assert torch.equal(network(x), network.linear(x))
