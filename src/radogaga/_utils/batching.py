"""Rows in batches: few enough at a time to fit into memory, on several threads with the same numbers as on one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from joblib import Parallel, delayed, effective_n_jobs
from torch import Tensor

from radogaga._utils.threads import one_thread_each

#: Numbers that one step may hold at once: 32 MB in float64.
_NUMBERS_IN_MEMORY = 2**22


def rows_in_memory(numbers_per_row: int, *, at_most: int | None = None, budget: int = _NUMBERS_IN_MEMORY) -> int:
    """Return how many rows one step may take, at least one, if each makes so many numbers.

    Parameters
    ----------
    numbers_per_row : int
        Numbers that a step holds for each row, intermediate results included.
    at_most : int, optional
        A bound on the rows besides.
    budget : int
        Numbers in all: by default 2^22, 32 MB in float64.

    Examples
    --------
    >>> from radogaga._utils.batching import rows_in_memory
    >>> rows_in_memory(2**20), rows_in_memory(2**30), rows_in_memory(1, at_most=100)
    (4, 1, 100)
    """
    rows = max(budget // max(numbers_per_row, 1), 1)
    return rows if at_most is None else min(rows, at_most)


def map_batches(function: Callable[[Tensor], Tensor], batches: Sequence[Tensor], n_jobs: int | None) -> Tensor:
    """Return what a function makes of batches, in their order, as one tensor.

    Each batch is computed by itself, so its numbers do not depend on who computes it, to the last bit.

    Parameters
    ----------
    function : callable
        A batch to a tensor with as many rows; it may run on several threads at once.
    batches : sequence of Tensor
        Rows.
    n_jobs : int, optional
        Threads, -1 for one on each core; None for what `joblib.parallel_config` says, by default one. Where they are
        several, each computes with one thread of torch's, as otherwise all of them would share the same cores.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.batching import map_batches
    >>> rows = torch.arange(6.0)
    >>> torch.equal(map_batches(torch.exp, rows.split(2), n_jobs=2), rows.exp())
    True
    """
    threads = min(effective_n_jobs(n_jobs), len(batches))
    if threads <= 1:
        return torch.cat([function(batch) for batch in batches])
    with one_thread_each():
        # joblib's own context may ask for processes; a model and its rows need no copies.
        return torch.cat(Parallel(threads, backend="threading")(delayed(function)(batch) for batch in batches))
