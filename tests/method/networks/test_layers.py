import pytest
from torch import nn

from radogaga import MLP, ConvolutionalDecoder, ResidualMLP
from radogaga.method.networks.layers import first_layer, last_layer


def test_layers_are_those_in_the_order_of_the_network() -> None:
    network = MLP([4, 3, 2])
    assert first_layer(network, nn.Linear) is network[0]
    assert last_layer(network, nn.Linear) is network[2]


def test_layers_of_parts_count() -> None:
    decoder = ConvolutionalDecoder(2, (1, 8, 8), [4, 4], [5, 5], [16])
    assert first_layer(decoder, nn.Linear) is decoder[0][0]
    assert last_layer(decoder, nn.ConvTranspose2d) is decoder[-1]
    residual = ResidualMLP(4, 2, [8])
    assert first_layer(residual, nn.Linear) is residual.linear
    assert last_layer(residual, nn.Linear) is residual.correction[-1]


def test_a_layer_is_its_own_first_and_last() -> None:
    layer = nn.Linear(2, 2)
    assert first_layer(layer, nn.Linear) is last_layer(layer, nn.Linear) is layer


@pytest.mark.parametrize("find", [first_layer, last_layer])
def test_a_network_without_such_a_layer_is_refused(find) -> None:
    with pytest.raises(TypeError, match=r"Conv2d layer; got MLP"):
        find(MLP([4, 2]), nn.Conv2d)
