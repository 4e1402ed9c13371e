"""Tables in files, CSV, Parquet and Arrow: read at once or batch by batch, written beside their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
from pyarrow import csv, ipc, parquet

from radogaga._utils.batching import rows_in_memory
from radogaga._utils.checks import warn_user
from radogaga._utils.files import replace_file
from radogaga.errors import InputError
from radogaga.tabular.files.dialect import Dialect

_MAX_ROWS = 65_536
_BLOCK = 2**20
_READABLE, _WRITABLE = ".csv, .csv.gz, .tsv, .parquet, .arrow or .feather", ".csv, .parquet, .arrow or .feather"


class Source(NamedTuple):
    """A file of rows.

    Attributes
    ----------
    names : list of str
        Its columns.
    total : int or None
        How many rows it has, where the file says so.
    batches : callable
        From the names of columns wanted to an iterator of record batches, none of them large.
    """

    names: list[str]
    total: int | None
    batches: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]


def read(path: Path) -> pd.DataFrame:
    """Return a whole file as a data frame; empty cells and NA, NaN, null, ? and the like are missing.

    Raises
    ------
    InputError
        If there is no such file, its suffix is not known, it cannot be read, or it has no rows.
    """
    suffix = _suffix(path)
    with _one_line_errors(path):
        # Read at once, a column's type is one that all of its cells have.
        if suffix in _TEXT:
            table = Dialect.of(path).read(path)
            _warn_of_header(table.column_names, path)
            return _frame(table, path)
        source = _SOURCES[suffix](path, {})
        batches = list(source.batches(source.names))
    if not batches:
        raise InputError(f"Expected rows in {path}; got 0 rows under {len(source.names)} columns. Pass another file.")
    return _frame(pa.Table.from_batches(batches), path)


def open_source(path: Path, types: Mapping[str, pa.DataType] | None = None, *, max_rows: int = _MAX_ROWS) -> Source:
    """Return a file to be read batch by batch, in memory that does not grow with it.

    Parameters
    ----------
    path : path
        A .csv, .csv.gz, .tsv, .parquet, .arrow or .feather file; of text, `Dialect` tells how it is written.
    types : mapping, optional
        Types of a CSV file's columns; those of others are told by their first rows.
    max_rows : int
        Rows in a batch at most.

    Raises
    ------
    InputError
        If there is no such file, its suffix is not known, or it cannot be read.
    """
    suffix = _suffix(path)
    with _one_line_errors(path):
        source = _SOURCES[suffix](path, types or {})
    _refuse_repeated(source.names, path)

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        size = rows_in_memory(len(names), at_most=max_rows)
        with _one_line_errors(path, source.names):
            for batch in source.batches(names):
                for start in range(0, len(batch), size):
                    yield batch.slice(start, size)

    return Source(source.names, source.total, batches)


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Give a function that adds a batch to a file, put in its place when all went well.

    Raises
    ------
    InputError
        If the suffix is not known, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pyarrow as pa
    >>> from radogaga.tabular.files.table_files import open_source, read, writing
    >>> batch = pa.RecordBatch.from_pydict({"a": [1.5, None], "b": ["x", "y"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.csv"
    ...     with writing(path, batch.schema) as write:
    ...         write(batch)
    ...     [len(part) for part in open_source(path).batches(["a"])]
    ...     read(path)
    [2]
         a  b
    0  1.5  x
    1  NaN  y
    """
    make = _SINKS.get(path.suffix.lower())
    if make is None:
        raise InputError(f"Expected a file to write that ends in {_WRITABLE}; got {path}. Rename it.")
    if path.is_dir():
        raise InputError(f"Expected a file to write; {path} is a folder. Pass another.")
    with replace_file(path) as beside, make(str(beside), schema) as sink:
        yield sink.write_batch


def _suffix(path: Path) -> str:
    if not path.exists():
        raise InputError(f"Expected a table at {path}; there is no such file. Check the path.")
    if path.is_dir():
        raise InputError(f"Expected a table at {path}; it is a folder. Pass one of its files.")
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in _SOURCES or (path.name.lower().endswith(".gz") and suffix not in _TEXT):
        raise InputError(f"Expected a table that ends in {_READABLE}; got {path}. Convert it.")
    return suffix


def _warn_of_header(names: Sequence[str], path: Path) -> None:
    if any("." in name for name in names) and pd.to_numeric(pd.Series(names), errors="coerce").notna().all():
        warn_user(
            f"The first line of {path.name} is taken for the columns' names, but holds numbers, {names[0]} say. Put "
            "names above it if it is a row.",
        )


def _refuse_repeated(names: Sequence[str], path: Path) -> None:
    seen = pd.Index(names)
    if not seen.is_unique:
        name = seen[seen.duplicated()][0]
        raise InputError(f"Expected a name for each column of {path}; got two columns {name!r}. Rename one.")


@contextmanager
def _one_line_errors(path: Path, names: Sequence[str] = ()) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = _reason(error)
        if names and (place := re.search(r"CSV column #(\d+)", reason)):
            reason = reason.replace(place[0], f"column {names[int(place[1])]}")
        raise InputError(f"Expected a table in {path}; it cannot be read: {reason}. Mend the file.") from None


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), "") or type(error).__name__
    return str(reason).partition(" Detail:")[0].rstrip(".")


def _frame(table: pa.Table, path: Path) -> pd.DataFrame:
    if not len(table):
        raise InputError(f"Expected rows in {path}; got 0 rows under {table.num_columns} columns. Pass another file.")
    _refuse_repeated(table.column_names, path)
    return table.to_pandas(date_as_object=False, ignore_metadata=True)


def _open_csv(path: Path, types: Mapping[str, pa.DataType]) -> Source:
    dialect = Dialect.of(path)
    # Without types, so that no cell of a column that is not wanted can be of a wrong one.
    with dialect.open(path, {}) as opened:
        header = opened.schema.names
    return Source(header, None, lambda names: iter(dialect.open(path, types, names)))


def _open_parquet(path: Path, _: Mapping[str, pa.DataType]) -> Source:
    file = parquet.ParquetFile(path, buffer_size=_BLOCK)
    names = file.schema_arrow.names

    def batches(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from file.iter_batches(rows_in_memory(len(wanted), at_most=_MAX_ROWS), columns=list(wanted))

    return Source(names, file.metadata.num_rows, batches)


def _open_arrow(path: Path, _: Mapping[str, pa.DataType]) -> Source:
    file = pa.memory_map(str(path))
    try:
        reader = ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        stream = ipc.open_stream(file)
        return Source(stream.schema.names, None, lambda names: (batch.select(list(names)) for batch in stream))
    places = range(reader.num_record_batches)
    return Source(
        reader.schema.names, None, lambda names: (reader.get_batch(place).select(list(names)) for place in places)
    )


_TEXT = {".csv", ".tsv"}
_SOURCES = {
    ".csv": _open_csv,
    ".tsv": _open_csv,
    ".parquet": _open_parquet,
    ".arrow": _open_arrow,
    ".feather": _open_arrow,
}
_SINKS = {".csv": csv.CSVWriter, ".parquet": parquet.ParquetWriter, ".arrow": ipc.new_file, ".feather": ipc.new_file}
