"""A table file's content, on disk or in memory: readers take either."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa


@dataclass(frozen=True)
class Content:
    r"""What a table file holds, in memory.

    Parameters
    ----------
    name : str
        A file's name, whose suffix says in which format it is; messages show it.
    data : bytes
        The content.

    Examples
    --------
    >>> from radogaga.tabular.files.content import Content
    >>> from radogaga.tabular.files.table_files import open_source
    >>> open_source(Content("table.csv", b"a,b\n1,x\n")).names
    ['a', 'b']
    """

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


TableFile: TypeAlias = Path | Content
"""A table file, by its path or by its content."""


def open_random_access(file: TableFile) -> pa.NativeFile:
    """Return a table file to read at any place."""
    return pa.memory_map(str(file)) if isinstance(file, Path) else pa.BufferReader(file.data)


def open_stream(file: TableFile, compression: str | None) -> pa.NativeFile:
    """Return a table file to read from its start."""
    return pa.input_stream(str(file) if isinstance(file, Path) else pa.BufferReader(file.data), compression)
