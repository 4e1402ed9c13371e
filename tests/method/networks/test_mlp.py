import pytest
import torch
from torch import nn

from radogaga import MLP, ResidualMLP

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
each_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


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
