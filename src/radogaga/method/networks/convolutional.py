"""Convolutional encoders and decoders for pictures, with generalized divisive normalization between the layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from radogaga.errors import InputError
from radogaga.method.networks.gdn import GDN
from radogaga.method.networks.mlp import MLP


class ConvolutionalEncoder(nn.Sequential):
    """Convolutions of stride 2 with an activation between them, then dense layers.

    ::

        (B, C, H, W) -> [convolution -> GDN] x (n - 1) -> convolution -> flatten -> [dense -> softplus] ... -> dense

    By default the authors' network for 64 x 64 faces.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    shape : sequence of int
        Channels, height and width of a picture; each convolution halves its sides.
    filters : sequence of int
        Number of channels that come out of each convolution.
    kernels : sequence of int
        Side of each convolution's window, odd.
    hidden : sequence of int
        Widths of the dense layers before the last.
    activation : type, optional
        Class of the activation, called without arguments for each layer; by default `GDN` between convolutions and
        `torch.nn.Softplus` between dense layers.

    References
    ----------
    Kato et al., "Rate-distortion optimization guided autoencoder for isometric embedding in Euclidean latent space",
    ICML 2020, appendix.

    Examples
    --------
    >>> import torch
    >>> from radogaga import ConvolutionalEncoder
    >>> small = ConvolutionalEncoder(32, shape=(3, 32, 32), filters=(32, 64), kernels=(5, 5), hidden=())
    >>> small
    ConvolutionalEncoder(
      (0): Conv2d(3, 32, kernel_size=(5, 5), stride=(2, 2), padding=(2, 2))
      (1): GDN(32)
      (2): Conv2d(32, 64, kernel_size=(5, 5), stride=(2, 2), padding=(2, 2))
      (3): Flatten(start_dim=1, end_dim=-1)
      (4): MLP(
        (0): Linear(in_features=4096, out_features=32, bias=True)
      )
    )
    """

    def __init__(
        self,
        latents: int,
        shape: Sequence[int] = (3, 64, 64),
        filters: Sequence[int] = (64, 64, 64, 64),
        kernels: Sequence[int] = (9, 5, 5, 5),
        hidden: Sequence[int] = (8192,),
        activation: type[nn.Module] | None = None,
    ) -> None:
        innermost = _innermost(shape, filters, kernels)
        layers: list[nn.Module] = []
        for (inputs, outputs), kernel in zip(pairwise([shape[0], *filters]), kernels, strict=True):
            layers.append(nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2))
            layers.append(GDN(outputs) if activation is None else activation())
        layers[-1] = nn.Flatten()
        super().__init__(*layers, MLP([math.prod(innermost), *hidden, latents], activation or nn.Softplus))
        self.latents = latents
        self.shape, self.filters = list(shape), list(filters)
        self.kernels, self.hidden = list(kernels), list(hidden)
        self.activation = activation


class ConvolutionalDecoder(nn.Sequential):
    """Dense layers, then transposed convolutions of stride 2 with an activation between them.

    ::

        (B, N) -> [dense -> softplus] ... -> unflatten -> [deconvolution -> inverse GDN] x (n - 1) -> deconvolution

    By default the authors' network for 64 x 64 faces.

    Parameters
    ----------
    latents : int
        Number of latents, N.
    shape : sequence of int
        Channels, height and width of a picture; each transposed convolution doubles its sides.
    filters : sequence of int
        Number of channels that go into each transposed convolution.
    kernels : sequence of int
        Side of each transposed convolution's window, odd.
    hidden : sequence of int
        Widths of the dense layers before the last.
    activation : type, optional
        Class of the activation, called without arguments for each layer; by default inverse `GDN` between convolutions
        and `torch.nn.Softplus` after each dense layer.
    linear : bool
        Whether the last dense layer has no activation, as in the authors' beta-VAE.

    References
    ----------
    Kato et al., "Rate-distortion optimization guided autoencoder for isometric embedding in Euclidean latent space",
    ICML 2020, appendix.

    Examples
    --------
    >>> import torch
    >>> from radogaga import ConvolutionalDecoder
    >>> small = ConvolutionalDecoder(32, shape=(3, 32, 32), filters=(64, 32), kernels=(5, 5), hidden=())
    >>> small(torch.zeros(2, 32)).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        latents: int,
        shape: Sequence[int] = (3, 64, 64),
        filters: Sequence[int] = (64, 64, 64, 32),
        kernels: Sequence[int] = (5, 5, 5, 9),
        hidden: Sequence[int] = (8192,),
        activation: type[nn.Module] | None = None,
        *,
        linear: bool = False,
    ) -> None:
        innermost = _innermost(shape, filters[::-1], kernels)
        between = activation or nn.Softplus
        dense = MLP([latents, *hidden, math.prod(innermost)], between)
        layers: list[nn.Module] = [nn.Unflatten(1, innermost)]
        for (inputs, outputs), kernel in zip(pairwise([*filters, shape[0]]), kernels, strict=True):
            layers.append(nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1))
            layers.append(GDN(outputs, inverse=True) if activation is None else activation())
        super().__init__(dense, *([] if linear else [between()]), *layers[:-1])
        self.latents = latents
        self.shape, self.filters = list(shape), list(filters)
        self.kernels, self.hidden = list(kernels), list(hidden)
        self.activation = activation
        self.linear = linear


class LinearSkip(nn.Module):
    """A linear map plus a network that starts at zero, W x + b + h(x): `ResidualMLP` for pictures.

    A pair of these that starts as PCA is exactly isometric on the principal subspace before the first step.

    Parameters
    ----------
    inputs, outputs : sequence of int
        Shape of one input and of one output, without the batch.
    network : torch.nn.Module
        h, from ``(B, *inputs)`` to ``(B, *outputs)``; the parameters of its last layer are set to zero.

    Examples
    --------
    >>> import torch
    >>> from radogaga import ConvolutionalDecoder, ConvolutionalEncoder, LinearSkip
    >>> size = {"shape": (3, 32, 32), "kernels": (5, 5), "hidden": ()}
    >>> encoder = LinearSkip((3, 32, 32), (8,), ConvolutionalEncoder(8, filters=(32, 64), **size))
    >>> decoder = LinearSkip((8,), (3, 32, 32), ConvolutionalDecoder(8, filters=(64, 32), **size))
    >>> z = torch.ones(1, 8)
    >>> decoder(z).shape, torch.equal(decoder(z).flatten(1), decoder.linear(z))
    (torch.Size([1, 3, 32, 32]), True)
    """

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int], network: nn.Module) -> None:
        super().__init__()
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.linear = nn.Linear(math.prod(inputs), math.prod(outputs))
        self.network = network
        last = [module for module in network.modules() if next(module.parameters(recurse=False), None) is not None][-1]
        for parameter in last.parameters(recurse=False):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return W x + b + h(x), ``(B, *inputs) -> (B, *outputs)``."""
        out: Tensor = self.linear(x.flatten(1)).unflatten(1, self.outputs) + self.network(x)
        return out


def _innermost(shape: Sequence[int], filters: Sequence[int], kernels: Sequence[int]) -> tuple[int, int, int]:
    """Return the shape between convolutions and dense layers: the last filters, each side halved by each layer."""
    times = 2 ** len(filters)
    if len(kernels) != len(filters) or not all(kernel % 2 for kernel in kernels):
        raise InputError(
            f"Expected an odd kernel for each of the {len(filters)} layers; got {tuple(kernels)}. Pass other kernels."
        )
    if shape[1] % times or shape[2] % times:
        raise InputError(
            f"Expected sides that {len(filters)} layers can halve, multiples of {times}; got {shape[1]} x {shape[2]}. "
            "Pass fewer filters or other pictures."
        )
    return filters[-1], shape[1] // times, shape[2] // times
