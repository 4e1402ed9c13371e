"""Several workers that train one model: each takes its rows of the batch that one worker would take.

`torch.distributed` connects them, `DistributedDataParallel` averages gradients. All have the same random state: random
numbers are drawn for the whole batch, and each worker keeps those of its rows. So the number of workers changes the
time that training takes, and its result by no more than rounding; a checkpoint goes on under any number of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from radogaga.errors import InputError


class Share(NamedTuple):
    """The rows of a batch that are this worker's.

    Attributes
    ----------
    total : int
        Rows of the batch.
    rows : slice
        Those of this worker.
    """

    total: int
    rows: slice

    @property
    def weight(self) -> float:
        """What a mean over these rows counts in the mean of all workers' means: 1 where all have as many."""
        return (self.rows.stop - self.rows.start) * world_size() / self.total


_SHARE: ContextVar[Share | None] = ContextVar("share", default=None)


def world_size() -> int:
    """Return the number of workers, 1 without others."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return this worker's number, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_main() -> bool:
    """Return whether this is the worker that writes files and tells of progress."""
    return rank() == 0


@contextmanager
def process_group(device: str = "cpu") -> Iterator[None]:
    """Join the workers that ``torchrun`` has started, each with a GPU of its own if the device is "cuda"."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or distributed.is_initialized():
        yield
        return
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if cuda else "gloo")
    yield
    # Not after an error: the others may wait for this worker, and its end is what tells them.
    distributed.destroy_process_group()


def wrap(objective: nn.Module) -> nn.Module:
    """Return an objective with the mean of all workers' gradients; its parameters become those of the first worker."""
    if world_size() == 1:
        return objective
    # The same operations each time, so that parameters without a gradient are known after one step.
    return DistributedDataParallel(objective, static_graph=True)


@contextmanager
def sharing(total: int) -> Iterator[Share]:
    """Give this worker's rows of a batch; inside, `random_rows` and `summed` are those of the whole batch.

    Examples
    --------
    >>> from radogaga.method.training.distributed import sharing
    >>> with sharing(64) as share:
    ...     share.rows, share.weight
    (slice(0, 64, None), 1.0)
    """
    workers, worker = world_size(), rank()
    if total < workers:
        raise InputError(
            f"Expected a row of each batch for each worker; got {total} for {workers}. Take fewer workers."
        )
    share = Share(total, slice(worker * total // workers, (worker + 1) * total // workers))
    token = _SHARE.set(share if workers > 1 else None)
    try:
        yield share
    finally:
        _SHARE.reset(token)


def is_shared() -> bool:
    """Return whether other workers have rows of the present batch."""
    return _SHARE.get() is not None


def random_rows(draw: Callable[[Tensor], Tensor], like: Tensor, dim: int = 0) -> Tensor:
    """Return random numbers of a tensor's shape and type, which of a shared batch are those of this worker's rows.

    Parameters
    ----------
    draw : callable
        What draws them, such as `torch.randn_like`.
    like : Tensor
        Rows of the batch along `dim`, or several such batches one after the other.
    dim : int
        The dimension of the rows.

    Examples
    --------
    >>> import torch
    >>> from radogaga.method.training.distributed import random_rows
    >>> random_rows(torch.randn_like, torch.zeros(3, 2)).shape
    torch.Size([3, 2])
    """
    share = _SHARE.get()
    if share is None:
        return draw(like)
    before, rows, after = like.shape[:dim], like.shape[dim], like.shape[dim + 1 :]
    own = share.rows.stop - share.rows.start
    copies, rest = divmod(rows, own)
    assert not rest, "random numbers of something else than rows of the batch"
    drawn = draw(torch.empty((*before, copies * share.total, *after), dtype=like.dtype, device=like.device))
    return drawn.unflatten(dim, (copies, share.total)).narrow(dim + 1, share.rows.start, own).flatten(dim, dim + 1)


def summed(values: Tensor) -> Tensor:
    """Return the sum over all workers of a shared batch, with derivatives; without others the values themselves."""
    return values if _SHARE.get() is None else _Sum.apply(values)


def total_rows(rows: int) -> int:
    """Return how many rows of a shared batch all workers have together, given those of this one."""
    share = _SHARE.get()
    return rows if share is None else rows * share.total // (share.rows.stop - share.rows.start)


def mean(values: Tensor) -> Tensor:
    """Return the mean over all workers."""
    return values if world_size() == 1 else _all_reduced(values) / world_size()


def of_main(value: Any, device: torch.device | str = "cpu") -> Any:
    """Return what the main worker has: a number, or a tensor of the same shape as the others'."""
    if world_size() == 1:
        return value
    place = device if distributed.get_backend() == "nccl" else "cpu"
    sent = torch.as_tensor(value, dtype=None if isinstance(value, Tensor) else torch.float64).to(place).contiguous()
    distributed.broadcast(sent, 0)
    return sent.to(value.device) if isinstance(value, Tensor) else type(value)(sent.item())


def barrier() -> None:
    """Wait until all workers have come here."""
    if world_size() > 1:
        distributed.barrier()


def map_over_workers(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Yield what a function gives for each item, each called by one of the workers; all get all results."""
    own = [function(item) for item in list(items)[rank() :: world_size()]]
    parts: list[list[Any]] = [own]
    if world_size() > 1:
        parts = [[] for _ in range(world_size())]
        distributed.all_gather_object(parts, own)
    yield from (result for part in parts for result in part)


def _all_reduced(values: Tensor) -> Tensor:
    total = values.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


class _Sum(torch.autograd.Function):
    """The sum over workers, which is linear and symmetric: its derivative is the sum again."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Return the sum."""
        return _all_reduced(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the sum of the derivatives."""
        return _all_reduced(gradient)
