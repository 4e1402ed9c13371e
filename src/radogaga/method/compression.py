"""Compression of rows to a bit stream of their quantized latents."""

from __future__ import annotations

import math
import struct
import zlib
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radogaga._utils.batching import rows_in_memory
from radogaga.errors import InputError
from radogaga.method.code_tables import CodeTables, code_tables
from radogaga.method.objective import RateDistortion
from radogaga.method.training.data import as_dataset, map_rows

_MAGIC = b"RDG1"
# Magic, rows, latents, step, escaped latents, checksum of the tables; then a checksum of these and of the payload.
_HEADER = struct.Struct("<4sQIdQI")
_CHECKSUM = struct.Struct("<I")


def compress(model: RateDistortion, x: Any) -> bytes:
    """Return rows as a stream of bytes: the range code of their latents, rounded to multiples of a step D.

    The noise in training stands for rounding, so D = sqrt(12 s2), s2 the noise's variance: the width of uniform noise
    of that variance. The code of a latent takes -log2 P(k) bits, with P(k) = c((k + 1/2) D) - c((k - 1/2) D) its bin's
    probability under the prior. Latents in the far tails, which have no bin, are written in full. Only the same model
    can read the stream, on a machine that computes the same probabilities; others refuse it.

    Parameters
    ----------
    model : RateDistortion
        Its prior is one of independent latents: `Factorized` or `Normal`.
    x : array-like or Dataset
        Raw rows, ``(n, M)`` or ``(n, C, H, W)``.

    Raises
    ------
    InputError
        If the rows or the prior cannot be used, or the range coder is not installed.

    References
    ----------
    Bamler, "Understanding entropy coding with asymmetric numeral systems: a statistician's perspective", 2022.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, Normal, RateDistortion, ResidualMLP, Scaling, SquaredError, UniformNoise
    >>> from radogaga import compress, decompress
    >>> x = torch.randn(500, 4)
    >>> autoencoder = Autoencoder(ResidualMLP(4, 2), ResidualMLP(2, 4), latents=2, scaling=Scaling.standard(x))
    >>> model = RateDistortion(autoencoder, Normal(2), SquaredError(), UniformNoise(0.5))
    >>> data = compress(model, x)
    >>> len(data) < 500, decompress(model, data).shape
    (True, torch.Size([500, 4]))
    """
    coder, step = _coder(), _step(model)
    bins = _bins(model, x, step)
    tables = code_tables(model, step)
    symbols = tables.symbols(bins)
    encoder = coder.queue.RangeEncoder()
    for column, probabilities in zip(symbols.T, tables, strict=True):
        encoder.encode(np.ascontiguousarray(column), coder.model.Categorical(probabilities, perfect=False))
    escaped = bins[symbols == 0]
    payload = escaped.astype("<f8").tobytes() + encoder.get_compressed().astype("<u4").tobytes()
    header = _HEADER.pack(_MAGIC, *bins.shape, step, len(escaped), tables.checksum())
    return header + _CHECKSUM.pack(zlib.crc32(header + payload)) + payload


def decompress(model: RateDistortion, data: bytes) -> Tensor:
    """Return the rows of a stream of `compress`, decoded from the rounded latents, ``(n, M)``.

    Raises
    ------
    InputError
        If the stream is truncated, damaged, of another model, or something else.
    """
    coder, step = _coder(), _step(model)
    tables = code_tables(model, step)
    rows, payload, escapes = _read_header(data, tables, step)
    decoder = coder.queue.RangeDecoder(np.frombuffer(payload, "<u4", offset=8 * escapes).astype(np.uint32))
    columns = [decoder.decode(coder.model.Categorical(table, perfect=False), rows) for table in tables]
    bins = tables.bins(np.stack(columns, 1), np.frombuffer(payload, "<f8", count=escapes))
    return _decode(model, _latents(model, bins, step))


def quantize(model: RateDistortion, x: Any) -> Tensor:
    """Return the latents of rows rounded to multiples of the step, as `compress` writes them, ``(n, M) -> (n, N)``."""
    step = _step(model)
    return _latents(model, _bins(model, x, step), step)


def quantized_rate(model: RateDistortion, x: Any) -> Tensor:
    """Return the length of each row's code under the prior, -sum_j log P(k_j) in nats, ``(n, M) -> (n,)``.

    P(k) is the probability of a bin, so the rate is never negative; `RateDistortion.rate` is that of a density. A
    latent without a bin takes an escape symbol and 64 bits.

    Examples
    --------
    >>> import torch
    >>> from radogaga import Autoencoder, Normal, RateDistortion, ResidualMLP, Scaling, SquaredError, UniformNoise
    >>> from radogaga import quantized_rate
    >>> x = torch.randn(5, 4)
    >>> autoencoder = Autoencoder(ResidualMLP(4, 2), ResidualMLP(2, 4), latents=2, scaling=Scaling.standard(x))
    >>> bool((quantized_rate(RateDistortion(autoencoder, Normal(2), SquaredError(), UniformNoise(0.5)), x) > 0).all())
    True
    """
    step = _step(model)
    tables = code_tables(model, step)
    symbols = tables.symbols(_bins(model, x, step))
    lengths = [np.log(table.sum() / table)[column] for column, table in zip(symbols.T, tables, strict=True)]
    return torch.from_numpy(np.sum(lengths, 0) + 64 * math.log(2) * (symbols == 0).sum(1))


@torch.no_grad()
def _bins(model: RateDistortion, x: Any, step: float) -> NDArray[np.float64]:
    device = model.autoencoder.log_gain.device
    latents = map_rows(model.autoencoder.encode, as_dataset(x), device)
    if not torch.isfinite(latents).all():
        row = int((~torch.isfinite(latents)).any(1).nonzero()[0])
        raise InputError(f"Expected finite latents; those of row {row} are not. Is it in the units of the others?")
    return (latents.double().cpu() / step).round().numpy()


def _latents(model: RateDistortion, bins: NDArray[np.float64], step: float) -> Tensor:
    return (torch.from_numpy(bins) * step).to(model.autoencoder.log_gain)


@torch.no_grad()
def _decode(model: RateDistortion, z: Tensor) -> Tensor:
    numbers = model.autoencoder.decode(z[:1]).numel()
    return torch.cat([model.autoencoder.decode(part) for part in z.split(rows_in_memory(numbers))])


def _step(model: RateDistortion) -> float:
    return math.sqrt(12 * model.noise.variance)


def _read_header(data: bytes, tables: CodeTables, step: float) -> tuple[int, bytes, int]:
    """Return the number of rows, the payload, and the number of escaped latents."""
    start = _HEADER.size + _CHECKSUM.size
    if len(data) < start or data[:4] != _MAGIC:
        raise InputError("Expected a stream that compress wrote; got something else. Pass its bytes, all of them.")
    header, payload = data[: _HEADER.size], data[start:]
    if _CHECKSUM.pack(zlib.crc32(header + payload)) != data[_HEADER.size : start]:
        raise InputError("Expected a whole stream; it is truncated or damaged. Compress the rows again.")
    _, rows, latents, found, escapes, checksum = _HEADER.unpack(header)
    if (latents, found, checksum) != (len(tables.first), step, tables.checksum()):
        raise InputError(
            f"Expected a stream of this model, {len(tables.first)} latents in steps of {step:g}; got one of {latents} "
            f"in steps of {found:g} under another prior. Read it with the model that wrote it."
        )
    return rows, payload, escapes


def _coder() -> ModuleType:
    try:
        from constriction import stream
    except ImportError:
        raise InputError(
            "Expected the package constriction for bit streams; it is not installed. "
            "Install it: pip install 'radogaga[compress]'."
        ) from None
    return stream
