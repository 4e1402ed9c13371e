"""Batches of rows on several threads, with the same numbers as on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from joblib import Parallel, delayed, effective_n_jobs
from torch import Tensor


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
    >>> from radogaga.parallel import map_batches
    >>> rows = torch.arange(6.0)
    >>> torch.equal(map_batches(torch.exp, rows.split(2), n_jobs=2), rows.exp())
    True
    """
    threads = min(effective_n_jobs(n_jobs), len(batches))
    if threads <= 1:
        return torch.cat([function(batch) for batch in batches])
    with _one_thread_each():
        # joblib's own context may ask for processes; a model and its rows need no copies.
        return torch.cat(Parallel(threads, backend="threading")(delayed(function)(batch) for batch in batches))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
