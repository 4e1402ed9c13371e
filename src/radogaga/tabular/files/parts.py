"""Tables in many files: those of a folder, of a pattern, or behind a URL of any file system that Arrow knows."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from fsspec.core import url_to_fs
from pyarrow import fs

from radogaga.errors import InputError
from radogaga.tabular.files.table_files import is_readable

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Calls a function for each of some things, as `map` does, here or elsewhere; results may come in any order."""

_MAGIC = re.compile(r"[*?\[]")
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One file of a table that has many.

    Attributes
    ----------
    filesystem : pyarrow.fs.FileSystem
        Where it is.
    path : str
        Its path there.
    name : str
        Its path under the folder that all parts are in.
    size, modified : int
        Bytes, and the time of the last change in nanoseconds: by these a changed part is known.
    """

    filesystem: fs.FileSystem
    path: str
    name: str
    size: int
    modified: int

    @contextmanager
    def local(self) -> Iterator[Path]:
        """Give the path of the part on this machine: its own, or that of a copy that is gone in the end.

        Raises
        ------
        InputError
            If it cannot be copied. Of errors inside the context, the part's own path replaces that of the copy.
        """
        if isinstance(self.filesystem, fs.LocalFileSystem):
            yield Path(self.path)
            return
        with tempfile.TemporaryDirectory(prefix="radogaga-") as folder:
            copy = Path(folder) / PurePosixPath(self.path).name
            try:
                fs.copy_files(
                    self.path,
                    str(copy),
                    source_filesystem=self.filesystem,
                    destination_filesystem=fs.LocalFileSystem(),
                    use_threads=False,
                )
            except (OSError, pa.ArrowException) as error:
                raise InputError(
                    f"Expected a table in {self.path}; it cannot be copied ({error}). Try again."
                ) from None
            try:
                yield copy
            except InputError as error:
                raise type(error)(str(error).replace(str(copy), self.path)) from None


def is_many(where: str) -> bool:
    """Return whether a path means parts: a folder, a pattern or a URL, and no file of that very name.

    Examples
    --------
    >>> from radogaga.tabular.files.parts import is_many
    >>> is_many("big/*.parquet"), is_many("s3://bucket/big"), is_many("big.parquet")
    (True, True, False)
    """
    path = Path(where)
    return bool(_URL.match(where)) or path.is_dir() or (bool(_MAGIC.search(where)) and not path.is_file())


def find_parts(where: str | Path) -> list[Part]:
    """Return the files that a folder, a pattern or a URL means, in the order of their names.

    Parameters
    ----------
    where : str or path
        A file; a folder, for all tables in it and beneath it; a pattern with ``*``, ``?``, ``[...]`` and ``**`` for any
        folders; or a URL of one of these, such as ``s3://bucket/big/*.parquet``, where ``?`` begins options of the file
        system. What Arrow has no file system for is left to fsspec. Names that begin with a point are left out, and in
        folders those that begin with an underscore.

    Raises
    ------
    InputError
        If there is no such file, or the file system is not known or cannot be reached.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from radogaga.tabular.files.parts import find_parts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.csv", "a.csv", "_done", "readme.txt"):
    ...         _ = (Path(folder) / name).write_text("x")
    ...     [part.name for part in find_parts(folder)], [part.name for part in find_parts(f"{folder}/b*")]
    (['a.csv', 'b.csv'], ['b.csv'])
    """
    where = str(where)
    try:
        filesystem, path = _filesystem(where)
        base, pattern = _split(filesystem, path)
        info = filesystem.get_file_info(base)
        if info.is_file and not pattern:
            return [_part(filesystem, info, str(PurePosixPath(path).parent))]
        files = _files(filesystem, base) if info.type == fs.FileType.Directory else []
    except (OSError, pa.ArrowException, ImportError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"Expected files at {where}; they cannot be listed ({reason}). Check the path.") from None
    if pattern:
        chosen = [part for part in files if _matches(part.name.split("/"), pattern)]
    else:
        chosen = [part for part in files if is_readable(part.name) and "/_" not in f"/{part.name}"]
    if not chosen:
        raise InputError(f"Expected files at {where}; there are none. Check the path.")
    return chosen


def _filesystem(where: str) -> tuple[fs.FileSystem, str]:
    """Return a file system, and what is meant on it: a path or a pattern."""
    if not _URL.match(where):
        return fs.LocalFileSystem(), str(Path(where).absolute())
    # Of a URL the pattern is kept from whoever reads it.
    path, mark, query = where.partition("?")
    magic = _MAGIC.search(path)
    folder = path if magic is None else path[: path.rindex("/", 0, magic.start()) + 1]
    try:
        filesystem, base = fs.FileSystem.from_uri(folder + mark + query)
    except pa.ArrowInvalid:  # a kind of file system that Arrow does not have
        other, base = url_to_fs(folder + mark + query)
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(other))
    return filesystem, "/".join([base.rstrip("/"), path[len(folder) :]]).rstrip("/")


def _split(filesystem: fs.FileSystem, path: str) -> tuple[str, list[str]]:
    """Return the folder that all parts are in and the pattern under it, or a path and none."""
    names = path.split("/")
    place = next((i for i, name in enumerate(names) if _MAGIC.search(name)), None)
    if place is None or filesystem.get_file_info(path).is_file:
        return path, []
    return "/".join(names[:place]) or "/", names[place:]


def _matches(names: list[str], pattern: list[str]) -> bool:
    """Return whether folders and a file match a pattern, ``**`` standing for any number of folders."""
    if not pattern:
        return not names
    first, *rest = pattern
    if first == "**":
        return any(_matches(names[i:], rest or ["*"]) for i in range(len(names)))
    return bool(names) and fnmatchcase(names[0], first) and _matches(names[1:], rest)


def _files(filesystem: fs.FileSystem, base: str) -> list[Part]:
    found = filesystem.get_file_info(fs.FileSelector(base, recursive=True))
    parts = [_part(filesystem, info, base) for info in found if info.is_file]
    return sorted((part for part in parts if "/." not in f"/{part.name}"), key=lambda part: part.name)


def _part(filesystem: fs.FileSystem, info: fs.FileInfo, base: str) -> Part:
    name = PurePosixPath(info.path).relative_to(base).as_posix()
    return Part(filesystem, info.path, name, int(info.size or 0), int(info.mtime_ns or 0))
