"""Threads of torch and BLAS: one each where several computations run side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch use one thread: where several computations run side by side, all would share the same cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def one_blas_thread() -> Any:
    """Return a context in which BLAS and OpenMP use one thread each: with two, a hundred rows take four times as long.

    Threads of the one wait for those of the other.
    """
    return _controller().limit(limits=1)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
