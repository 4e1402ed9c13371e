import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from radogaga import MLP, Autoencoder, InputError, ResidualMLP, Scaling, initialize_pca

NETWORKS = {
    "dense": lambda: MLP([4, 8, 3]),
    "deep dense with dropout": lambda: MLP([4, 8, 6, 3], nn.ReLU, dropout=0.5),
    "linear dense": lambda: MLP([4, 3]),
    "residual": lambda: ResidualMLP(4, 3),
    "small residual": lambda: ResidualMLP(4, 3, hidden=[5], activation=nn.Tanh),
}
LINEAR_AT_START = {
    "linear dense": lambda: MLP([4, 3]),
    "linear dense with dropout": lambda: MLP([4, 3], dropout=0.5),
    "residual": lambda: ResidualMLP(4, 3),
    "residual of tanh": lambda: ResidualMLP(4, 3, activation=nn.Tanh),
}
SCALINGS = {"uniform": Scaling.root_mean_square, "per column": Scaling.standard}
each_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
each_scaling = pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)


@each_network
def test_network_maps_rows_one_by_one(make) -> None:
    network, x = make().eval(), torch.randn(7, 4)
    together = network(x)
    assert together.shape == (7, 3)
    torch.testing.assert_close(torch.cat([network(row) for row in x.split(1)]), together)


@each_network
def test_network_reaches_any_value(make) -> None:
    """No activation after the last layer: far inputs leave the range of a tanh or a ReLU on both sides."""
    out = make().eval()(100 * torch.randn(200, 4))
    assert out.min() < -1 < 1 < out.max()


@each_network
def test_every_parameter_but_those_behind_a_zero_learns(make) -> None:
    network = make()
    for _ in range(2):  # after one step no layer of a residual is zero any more
        network.zero_grad()
        network(torch.randn(50, 4)).square().sum().backward()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter -= 1e-3 * parameter.grad
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("make", LINEAR_AT_START.values(), ids=LINEAR_AT_START)
def test_network_is_affine_at_its_start(make) -> None:
    network, (a, b) = make(), torch.randn(2, 7, 4)
    torch.testing.assert_close(network(a) + network(b) - network(torch.zeros(1, 4)), network(a + b))


def test_dropout_only_acts_in_training() -> None:
    network, x = MLP([4, 50, 3], dropout=0.5), torch.randn(7, 4)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def pca_start(x: Tensor, latents: int, scaling) -> Autoencoder:
    width = x.shape[1]
    model = Autoencoder(ResidualMLP(width, latents), ResidualMLP(latents, width), latents, scaling=scaling(x))
    initialize_pca(model, x)
    return model


@each_scaling
@pytest.mark.parametrize("latents", [1, 2, 4])
def test_start_is_the_principal_components_of_scaled_rows(rows: Tensor, scaling, latents: int) -> None:
    model = pca_start(rows, latents, scaling)
    scaled = model.scaling(rows).double().numpy()
    pca = PCA(latents).fit(scaled)
    latent = model.encode(rows).detach().double()
    torch.testing.assert_close(latent.abs(), torch.as_tensor(pca.transform(scaled)).abs(), atol=1e-4, rtol=1e-4)
    expected = torch.as_tensor(pca.inverse_transform(pca.transform(scaled)))
    decoded = model.decode_scaled(model.encode(rows)).detach().double()
    torch.testing.assert_close(decoded, expected, atol=1e-4, rtol=1e-4)


def test_start_needs_two_residual_networks(rows: Tensor) -> None:
    model = Autoencoder(MLP([4, 2]), MLP([2, 4]), 2, scaling=Scaling(4))
    with pytest.raises(TypeError, match="Residual"):
        initialize_pca(model, rows)


@pytest.mark.parametrize(("few", "latents"), [(1, 2), (2, 3)])
def test_start_refuses_fewer_rows_than_latents(rows: Tensor, few: int, latents: int) -> None:
    with pytest.raises(InputError):
        pca_start(rows[:few], latents, Scaling.root_mean_square)


@each_scaling
def test_raw_rows_come_back_from_as_many_latents_as_features(rows: Tensor, scaling) -> None:
    model = pca_start(rows, 4, scaling)
    torch.testing.assert_close(model.decode(model.encode(rows)), rows, atol=1e-4, rtol=1e-4)


def test_gain_stretches_the_latents_and_leaves_the_reconstruction(rows: Tensor) -> None:
    model = pca_start(rows, 2, Scaling.standard)
    latent, reconstruction = model.encode(rows), model.decode(model.encode(rows))
    with torch.no_grad():
        model.log_gain.copy_(torch.tensor([0.2, -0.1]))
    stretch = model.encode(rows) / latent
    torch.testing.assert_close(stretch, stretch[:1].expand_as(stretch), rtol=1e-3, atol=0)
    assert stretch[0, 0] > 1 > stretch[0, 1] > 0
    torch.testing.assert_close(model.decode(model.encode(rows)), reconstruction, rtol=1e-4, atol=1e-4)


def test_raw_and_scaled_rows_have_the_same_latents(rows: Tensor) -> None:
    model = pca_start(rows, 2, Scaling.standard)
    torch.testing.assert_close(model.encode(rows), model.encode_scaled(model.scaling(rows)))
    latent = torch.randn(5, 2)
    torch.testing.assert_close(model.scaling(model.decode(latent)), model.decode_scaled(latent), atol=1e-5, rtol=1e-5)


def test_projection_brings_reconstructions_nearer_once_trained(rows: Tensor) -> None:
    model = pca_start(rows, 2, Scaling.standard)
    alone = model.encode(rows)
    with torch.no_grad():
        model.encoder.linear.bias.add_(0.3)
    model.projections = 1
    torch.testing.assert_close(model.eval().encode(rows), alone, rtol=1e-3, atol=1e-4)  # PCA is a projection
    assert (model.train().encode(rows) - alone).abs().max() > 0.1


def test_projected_latents_have_gradients_and_do_without(rows: Tensor) -> None:
    model = pca_start(rows, 2, Scaling.standard).eval()
    model.projections = 2
    x = rows[:5].clone().requires_grad_()
    model.encode(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().max() > 0
    with torch.no_grad():
        assert not model.encode(rows).requires_grad
