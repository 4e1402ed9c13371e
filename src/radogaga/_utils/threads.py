"""Limits on the threads of torch and of BLAS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Limit torch to one thread inside a context, for several computations side by side on the same cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def one_blas_thread() -> Any:
    """Return a context in which BLAS and OpenMP use one thread each.

    Threads of the one wait for threads of the other: with two each, EM on a hundred rows takes four times as long.
    """
    return _controller().limit(limits=1)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
