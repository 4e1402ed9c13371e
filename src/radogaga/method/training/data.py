"""Rows to train on, in memory or read a batch at a time, and their batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from radogaga._utils.batching import rows_in_memory
from radogaga._utils.checks import check_rows
from radogaga.errors import InputError
from radogaga.method.training import distributed

_MAX_ROWS = 8192


@runtime_checkable
class Dataset(Protocol):
    """Rows to train on: `ArrayDataset`, `radogaga.images.Pictures` or a class of your own."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and a row's shape: ``(n, M)`` or ``(n, C, H, W)``."""

    def __getitem__(self, indices: slice) -> Tensor:
        """Return rows as they are, ``(k, ...)`` of floats, on any device."""

    def batch(self, indices: Tensor, device: torch.device) -> Tensor:
        """Return rows to train on, ``(k,) -> (k, ...)``; random augmentation uses torch's global random state."""


@dataclass(frozen=True)
class ArrayDataset:
    """Rows that are all in memory, on one device.

    Attributes
    ----------
    x : Tensor
        Raw rows, ``(n, M)``, or pictures, ``(n, C, H, W)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.training.data import ArrayDataset
    >>> ArrayDataset(torch.eye(2)).batch(torch.tensor([1, 0]), torch.device("cpu"))
    tensor([[0., 1.],
            [1., 0.]])
    """

    x: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and a row's shape."""
        return tuple(self.x.shape)

    def __getitem__(self, indices: slice) -> Tensor:
        """Return rows."""
        return self.x[indices]

    def batch(self, indices: Tensor, device: torch.device) -> Tensor:
        """Return rows on a device."""
        return self.x[indices.to(self.x.device)].to(device)


def as_dataset(x: Any, device: torch.device | None = None, *, min_rows: int = 1, name: str = "x") -> Dataset:
    """Return rows as a data set, or raise `InputError`.

    Parameters
    ----------
    x : Dataset or array-like
        A data set is returned as it is; ``(n, M)`` and ``(n, C, H, W)`` become float32 on the device.
    device : torch.device, optional
        Device of rows in memory, by default the present one.
    min_rows : int
        Least number of rows.
    name : str
        Name of the rows in error messages.

    Raises
    ------
    InputError
        If there is text, a missing or infinite number, a wrong shape, or too few rows.

    Examples
    --------
    >>> from radogaga.method.training.data import as_dataset
    >>> as_dataset([[1, 2], [3, 4]])[0:1]
    tensor([[1., 2.]])
    """
    if isinstance(x, Dataset):
        if x.shape[0] < min_rows:
            raise InputError(f"Expected at least {min_rows} rows in {name}; got {x.shape[0]}. Pass more.")
        return x
    shape = getattr(x, "shape", ())
    flat = x.reshape(len(x), -1) if len(shape) == 4 and len(x) else x
    rows = check_rows(flat, min_rows=min_rows, name=name).to(device=device, dtype=torch.float32)
    return ArrayDataset(rows.reshape(shape) if len(shape) == 4 else rows)


def iter_batches(rows: Dataset | Tensor) -> Iterator[Tensor]:
    """Yield all rows in order, in batches whose activations fit into memory.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.training.data import iter_batches
    >>> [len(part) for part in iter_batches(torch.zeros(10_000, 3))]
    [8192, 1808]
    >>> [len(part) for part in iter_batches(torch.zeros(3, 2048, 1024))]
    [2, 1]
    """
    n, *row = rows.shape
    size = rows_in_memory(math.prod(row), at_most=_MAX_ROWS)
    for start in range(0, n, size):
        yield rows[start : start + size]


def map_rows(function: Callable[[Tensor], Tensor], rows: Dataset | Tensor, device: torch.device) -> Tensor:
    """Return what a function gives for all rows, a batch at a time on a device: ``(n, ...) -> (n, ...)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.training.data import map_rows
    >>> map_rows(torch.exp, torch.zeros(10_000, 1), torch.device("cpu")).shape
    torch.Size([10000, 1])
    """
    return torch.cat([function(part.to(device)) for part in iter_batches(rows)])


class BatchSampler:
    """Indices of batches, without replacement within an epoch; rows left over at its end are dropped.

    Parameters
    ----------
    rows, size : int
        Number of rows, and rows in a batch.
    device : torch.device, optional
        Where several workers exchange tensors.
    """

    def __init__(self, rows: int, size: int, device: torch.device | str = "cpu") -> None:
        self.rows, self.size, self.device = rows, size, device
        self.order = torch.empty(0, dtype=torch.int64)

    def draw(self) -> Tensor:
        """Return the indices of the next batch, ``(size,)``, by torch's global random state."""
        if len(self.order) < self.size:
            self.order = distributed.of_main(torch.randperm(self.rows), self.device)
        batch, self.order = self.order[: self.size], self.order[self.size :]
        return batch
