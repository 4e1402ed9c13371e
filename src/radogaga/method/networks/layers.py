"""The layers that a network begins and ends with."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def first_layer(network: nn.Module, kind: type[Layer]) -> Layer:
    """Return a network's first layer of a class, in the order in which its layers were added.

    Raises
    ------
    TypeError
        If it has no such layer.

    Examples
    --------
    >>> from torch import nn
    >>> from radogaga import MLP
    >>> from radogaga.method.networks.layers import first_layer
    >>> first_layer(MLP([4, 3, 2]), nn.Linear)
    Linear(in_features=4, out_features=3, bias=True)
    """
    return _layers(network, kind)[0]


def last_layer(network: nn.Module, kind: type[Layer]) -> Layer:
    """Return a network's last layer of a class, as `first_layer` returns its first."""
    return _layers(network, kind)[-1]


def _layers(network: nn.Module, kind: type[Layer]) -> list[Layer]:
    layers = [module for module in network.modules() if isinstance(module, kind)]
    if not layers:
        raise TypeError(f"Expected a network with a {kind.__name__} layer; got {type(network).__name__} without one.")
    return layers
