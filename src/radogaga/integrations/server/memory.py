"""A bound on memory while a file is read: small ones can decompress or decode to many times their size."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

# What rows take as they are read and scored is a few times their body, and little besides.
_TIMES_A_BODY, _BYTES_BESIDES = 8, 2**30


@contextmanager
def limited_memory(max_bytes: int) -> Iterator[None]:
    """Let this process take no more memory inside a context than requests of a size need; on Linux alone.

    What asks for more gets an error, and its request is refused, where the process would have been ended.

    Parameters
    ----------
    max_bytes : int
        Bytes of a body at most.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    most = pages * resource.getpagesize() + _TIMES_A_BODY * max_bytes + _BYTES_BESIDES
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    except Exception:
        pa.default_memory_pool().release_unused()
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
