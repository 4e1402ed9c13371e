"""Pictures to train on, read from bytes on disk a batch at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from radogaga.errors import InputError
from radogaga.method.training.distributed import random_rows


class Pictures:
    """Rows of an array of bytes as pictures ``(k, channels, height, width)`` of floats in [0, 1].

    Only the rows that are asked for are read and turned into floats, so a set that is memory-mapped may be many times
    as large as the memory. `radogaga.fit` takes it where it takes rows.

    Parameters
    ----------
    array : ndarray or memmap
        Bytes, ``(n, height, width, channels)``, as `prepare_images` writes them.
    rows : array-like of int, optional
        Which rows of the array, by default all.
    flip : bool
        Whether `batch` mirrors each picture left to right with probability 1/2.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga.images.pictures import Pictures
    >>> grey = np.array([[[[0], [51]]], [[[255], [204]]]], dtype=np.uint8)
    >>> pictures = Pictures(grey, rows=[1])
    >>> pictures.shape, pictures[:]
    ((1, 1, 1, 2), tensor([[[[1.0000, 0.8000]]]]))
    """

    def __init__(self, array: NDArray[np.uint8], rows: ArrayLike | None = None, *, flip: bool = False) -> None:
        if array.dtype != np.uint8 or array.ndim != 4:
            raise InputError(
                f"Expected bytes (n, height, width, channels); got {array.dtype} of shape {array.shape}. "
                "Make them: radogaga images prepare."
            )
        self.array = array
        self.rows = np.arange(len(array)) if rows is None else np.asarray(rows)
        self.flip = flip

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of pictures, channels, height and width."""
        height, width, channels = self.array.shape[1:]
        return len(self.rows), channels, height, width

    def __getitem__(self, indices: slice | NDArray[np.intp] | Tensor) -> Tensor:
        """Return pictures as they are, never mirrored, ``(k, channels, height, width)``."""
        return _as_floats(self._bytes(indices))

    def batch(self, indices: Tensor, device: torch.device) -> Tensor:
        """Return pictures on a device, mirrored if `flip` by torch's global random state, ``(k,) -> (k, C, H, W)``."""
        taken = self._bytes(indices)
        if self.flip:
            mirrored = random_rows(torch.rand_like, torch.empty(len(taken))) < 0.5
            taken[mirrored] = taken[mirrored].flip(2)
        if device.type == "cuda":
            # A quarter of the traffic that floats would need; pinned, it does not wait for the steps before.
            taken = taken.pin_memory().to(device, non_blocking=True)
        return _as_floats(taken.to(device))

    def _bytes(self, indices: slice | NDArray[np.intp] | Tensor) -> Tensor:
        rows = self.rows[indices.numpy() if isinstance(indices, Tensor) else indices]
        return torch.from_numpy(self.array[rows])


def _as_floats(taken: Tensor) -> Tensor:
    return taken.permute(0, 3, 1, 2).contiguous().float().div_(255)
