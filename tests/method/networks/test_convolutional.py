from functools import partial

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, vmap

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
from radogaga.method.networks.gdn import normalize

GDNS = {"gdn": False, "inverse gdn": True}
each_gdn = pytest.mark.parametrize("inverse", GDNS.values(), ids=GDNS)


def normalization(channels: int, inverse: bool) -> GDN:
    """One whose channels all speak to each other."""
    gdn = GDN(channels, inverse)
    with torch.no_grad():
        for parameter in gdn.parameters():
            parameter.copy_(torch.rand_like(parameter))
    return gdn


@each_gdn
def test_gdn_is_its_formula(inverse: bool) -> None:
    gdn, x = normalization(4, inverse), torch.randn(2, 4, 3, 5)
    root = (gdn.beta[:, None, None] + torch.einsum("ij,bjhw->bihw", gdn.gamma, x**2)).sqrt()
    torch.testing.assert_close(gdn(x), x * root if inverse else x / root)


@each_gdn
@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (3, 4, 5, 2), (7, 4, 100, 130), (2, 4, 300, 300)])
def test_gdn_and_its_gradients_are_the_formulas_however_many_pixels(inverse: bool, shape: tuple[int, ...]) -> None:
    """They are taken part by part, on a CPU."""
    gdn, x = normalization(4, inverse).double(), torch.randn(shape, dtype=torch.float64, requires_grad=True)
    root = (gdn.beta[:, None, None] + torch.einsum("ij,bjhw->bihw", gdn.gamma, x**2)).sqrt()
    expected, found, weights = x * root if inverse else x / root, gdn(x), torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    inputs = (x, gdn.root_gamma, gdn.root_beta)
    torch.testing.assert_close(
        torch.autograd.grad((weights * found).sum(), inputs), torch.autograd.grad((weights * expected).sum(), inputs)
    )


@each_gdn
def test_gdn_has_every_derivative(inverse: bool) -> None:
    x, gamma, beta = torch.randn(2, 3, 2, 1), torch.rand(3, 3), torch.rand(3)
    inputs = tuple(tensor.double().requires_grad_() for tensor in (x, gamma, beta))
    function = partial(normalize, inverse=inverse)
    assert gradcheck(function, inputs, check_forward_ad=True)
    assert gradgradcheck(function, inputs, check_fwd_over_rev=True)


@each_gdn
def test_gdn_is_differentiated_by_torch_func_as_its_formula_is(inverse: bool) -> None:
    gdn, x = normalization(3, inverse).double(), torch.randn(4, 3, 2, 2, dtype=torch.float64)
    gamma, beta = gdn.gamma.detach(), gdn.beta.detach()

    def formula(x: Tensor) -> Tensor:
        root = (beta[:, None, None] + torch.einsum("ij,...jhw->...ihw", gamma, x**2)).sqrt()
        return x * root if inverse else x / root

    for transform in (vmap, jacfwd, jacrev, hessian, lambda f: vmap(jacfwd(f)), lambda f: grad(lambda x: f(x).sum())):
        rows = x[:, None] if transform is vmap else x[:2]
        torch.testing.assert_close(
            transform(lambda x: gdn(x if x.ndim == 4 else x[None]).reshape(x.shape))(rows), transform(formula)(rows)
        )


@each_gdn
def test_gdn_starts_with_channels_apart(inverse: bool) -> None:
    x = torch.randn(2, 4, 3, 5)
    root = (1 + 0.1 * x**2).sqrt()
    torch.testing.assert_close(GDN(4, inverse)(x), x * root if inverse else x / root)


def test_inverse_undoes_gdn_to_first_order() -> None:
    """They are inverse to each other at 0; what is left is of third order."""
    forward, inverse = normalization(4, False).double(), normalization(4, True).double()
    inverse.load_state_dict(forward.state_dict())
    with torch.no_grad():
        for gdn in (forward, inverse):
            gdn.root_beta.fill_(1)
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    left = [(inverse(forward(t * x)) - t * x).abs().max() for t in (1e-2, 1e-3)]
    assert left[0] < 1e-5
    assert left[1] < 2e-3 * left[0]


@each_gdn
def test_gdn_has_finite_gradients_everywhere(inverse: bool) -> None:
    for x in (torch.zeros(2, 3, 2, 2), 1e-20 * torch.ones(2, 3, 2, 2), 1e4 * torch.randn(2, 3, 2, 2)):
        gdn, x = GDN(3, inverse), x.requires_grad_()
        with torch.no_grad():
            gdn.root_beta.zero_()
        gdn(x).sum().backward()
        assert all(torch.isfinite(g).all() for g in (x.grad, gdn.root_beta.grad, gdn.root_gamma.grad))


@each_gdn
def test_gdn_stays_positive_whatever_its_parameters(inverse: bool) -> None:
    gdn = GDN(3, inverse)
    with torch.no_grad():
        for parameter in gdn.parameters():
            parameter.copy_(torch.randn_like(parameter))
    assert (gdn.beta > 0).all()
    assert (gdn.gamma >= 0).all()


@each_gdn
def test_neighbours_learn_to_speak(inverse: bool) -> None:
    """Entries off the diagonal start at nothing, and leave it."""
    gdn, x = GDN(3, inverse), torch.randn(50, 3, 2, 2)
    target, optimizer = normalization(3, inverse)(x).detach(), torch.optim.Adam(gdn.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (gdn(x) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert (gdn.gamma - torch.diag(gdn.gamma.diagonal())).max() > 0.1
    assert loss < 0.01


@each_gdn
def test_gdn_keeps_the_memory_format(inverse: bool) -> None:
    x = torch.randn(2, 4, 3, 5)
    last = x.to(memory_format=torch.channels_last)
    assert GDN(4, inverse)(last).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(GDN(4, inverse)(last), GDN(4, inverse)(x))


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
