"""Rows in batches that fit into memory, on one thread or on several, with the same results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from joblib import Parallel, delayed, effective_n_jobs
from torch import Tensor

from radogaga._utils.threads import one_thread_each

# 32 MB in float64.
_NUMBERS_IN_MEMORY = 2**22


def rows_in_memory(numbers_per_row: int, *, at_most: int | None = None, budget: int = _NUMBERS_IN_MEMORY) -> int:
    """Return how many rows one step may take, at least one.

    Parameters
    ----------
    numbers_per_row : int
        Numbers in memory for each row, with intermediate results.
    at_most : int, optional
        Upper bound on the rows.
    budget : int
        Numbers in memory for all rows: by default 2^22, 32 MB in float64.

    Examples
    --------
    >>> from radogaga._utils.batching import rows_in_memory
    >>> rows_in_memory(2**20), rows_in_memory(2**30), rows_in_memory(1, at_most=100)
    (4, 1, 100)
    """
    rows = max(budget // max(numbers_per_row, 1), 1)
    return rows if at_most is None else min(rows, at_most)


def map_batches(function: Callable[[Tensor], Tensor], batches: Sequence[Tensor], n_jobs: int | None) -> Tensor:
    """Return the results of a function for all batches, in their order, as one tensor.

    Results do not depend on the number of threads, to the last bit.

    Parameters
    ----------
    function : callable
        A batch to a tensor with as many rows; it is called from several threads at once.
    batches : sequence of Tensor
        Rows.
    n_jobs : int, optional
        Number of threads, -1 for one on each core, None for that of `joblib.parallel_config`, by default 1. Of several,
        each uses one thread of torch, since all share the same cores.

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
        # Threads whatever joblib's context says: processes would copy the model and its rows.
        return torch.cat(Parallel(threads, backend="threading")(delayed(function)(batch) for batch in batches))
