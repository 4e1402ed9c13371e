"""Random numbers that leave the caller's random state unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def isolated_seed(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch inside a context, on the CPU and on a device, and restore its random state afterwards.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.random import isolated_seed
    >>> with isolated_seed(0):
    ...     a = torch.rand(2)
    >>> with isolated_seed(0):
    ...     b = torch.rand(2)
    >>> torch.equal(a, b)
    True
    """
    device = torch.device(device)
    index = torch.cuda.current_device() if device.type == "cuda" and device.index is None else device.index
    with torch.random.fork_rng(devices=[index] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
