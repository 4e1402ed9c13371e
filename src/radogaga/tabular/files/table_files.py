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
from radogaga._utils.checks import list_names, warn_user
from radogaga._utils.files import replace_file
from radogaga.errors import InputError
from radogaga.tabular.files.cells import LITERAL, from_text, usable, warn_of_numbers, zoned
from radogaga.tabular.files.content import TableFile, open_random_access
from radogaga.tabular.files.dialect import Dialect
from radogaga.version import __version__

_MAX_ROWS = 65_536
_BLOCK = 2**20
_READABLE, _WRITABLE = ".csv, .csv.gz, .tsv, .parquet, .arrow or .feather", ".csv, .parquet, .arrow or .feather"
# Where pandas puts its index; in a CSV file it may be a first column without a name, too.
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: 0")

_MARK = b"radogaga"

Types = Mapping[str, pa.DataType | None]
"""Names of columns, and the types that a CSV file's cells are read as."""
Columns = Sequence[str] | Types


class Source(NamedTuple):
    """A file of rows.

    Attributes
    ----------
    names : list of str
        Its columns.
    total : int or None
        How many rows it has, where the file says so.
    batches : callable
        From the columns wanted to an iterator of record batches, none of them large. They are names, or a mapping of
        names to types as which a CSV file's cells are read, `LITERAL` for text as it stands, None for what the first
        rows tell. Dates are in UTC.
    """

    names: list[str]
    total: int | None
    batches: Callable[[Columns], Iterator[pa.RecordBatch]]


def read(path: Path, *, drop: Sequence[str] = ()) -> pd.DataFrame:
    """Return a whole file as a data frame; empty cells and NA, NaN, null, ? and the like are missing.

    Columns that pandas' index became are left out, with a warning, and so are those named in `drop`.

    Raises
    ------
    InputError
        If there is no such file, its suffix is not known, it cannot be read, or it has no rows or no columns left.
    """
    return to_frame(read_table(path, drop=drop), path)


def read_table(path: Path, *, drop: Sequence[str] = ()) -> pa.Table:
    """Return a whole file as an Arrow table; see `read`."""
    suffix = _suffix(path)
    with _one_line_errors(path):
        dialect = Dialect.of(path) if suffix in _TEXT else None
        source = _SOURCES[suffix](path, dialect)
        names = columns_to_learn(source.names, drop, path)
        if dialect is None:
            batches = list(source.batches(names))
        else:
            # Read at once, a column's type is one that all of its cells have.
            table = dialect.read(path, names)
            _warn_of_header(names, path)
            batches = [from_text(batch, {}) for batch in table.to_batches()]
            warn_of_numbers(pa.Table.from_batches(batches, table.schema), path)
        if not sum(map(len, batches)):
            raise InputError(f"Expected rows in {path}; got 0 rows under {len(source.names)} columns. Pass another.")
        if dates := zoned(batches[0].schema):
            warn_user(f"Dates of {list_names(dates)} in {path.name} have a time zone, and are taken in UTC.")
        return pa.Table.from_batches([usable(batch, path) for batch in batches])


def is_text(path: Path) -> bool:
    """Return whether a file is text, of which only all rows together tell the columns' types."""
    return _suffix(path) in _TEXT


def open_source(path: TableFile, *, max_rows: int = _MAX_ROWS) -> Source:
    """Return a file to be read batch by batch, in memory that does not grow with it.

    Parameters
    ----------
    path : Path or Content
        A .csv, .csv.gz, .tsv, .parquet, .arrow or .feather file; of text, `Dialect` tells how it is written.
    max_rows : int
        Rows in a batch at most.

    Raises
    ------
    InputError
        If there is no such file, its suffix is not known, or it cannot be read.
    """
    suffix = _suffix(path)
    with _one_line_errors(path):
        source = _SOURCES[suffix](path, Dialect.of(path) if suffix in _TEXT else None)

    def batches(wanted: Columns) -> Iterator[pa.RecordBatch]:
        types = _types(wanted)
        _refuse_repeated([name for name in source.names if name in types], path)
        size = rows_in_memory(len(types), at_most=max_rows)
        with _one_line_errors(path, source.names):
            for batch in source.batches(types):
                checked = usable(batch, path)
                for start in range(0, len(batch), size):
                    yield checked.slice(start, size)

    return Source(source.names, source.total, batches)


def as_frame(batch: pa.RecordBatch, path: TableFile) -> pd.DataFrame:
    """Return a batch of a file as a data frame."""
    return to_frame(pa.Table.from_batches([batch]), path)


def to_frame(table: pa.Table, path: TableFile) -> pd.DataFrame:
    """Return a table of a file as a data frame."""
    with _one_line_errors(path):
        return table.to_pandas(date_as_object=False, ignore_metadata=True)


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
    # By which a file that this program wrote is known again.
    marked = schema.with_metadata({_MARK: __version__})
    with replace_file(path) as beside, make(str(beside), marked) as sink:
        yield sink.write_batch


def is_marked(path: Path) -> bool:
    """Return whether `writing` wrote a Parquet or Arrow file."""
    try:
        schema = parquet.read_schema(path) if path.suffix.lower() == ".parquet" else ipc.open_file(str(path)).schema
    except pa.ArrowException:
        return False
    return _MARK in (schema.metadata or {})


def is_readable(name: str) -> bool:
    """Return whether the suffix of a file's name is that of a table."""
    name = name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    return suffix in (_TEXT if name.endswith(".gz") else _SOURCES)


def _suffix(path: TableFile) -> str:
    if isinstance(path, Path):
        _check_is_file(path)
    if not is_readable(path.name):
        raise InputError(f"Expected a table that ends in {_READABLE}; got {path}. Convert it.")
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _check_is_file(path: Path) -> None:
    if not path.exists():
        raise InputError(f"Expected a table at {path}; there is no such file. Check the path.")
    if path.is_dir():
        raise InputError(f"Expected a table at {path}; it is a folder. Pass one of its files.")
    if not path.is_file():
        raise InputError(f"Expected a table at {path}; it is a pipe or a device. Write its content to a file first.")


def _warn_of_header(names: Sequence[str], path: Path) -> None:
    if any("." in name for name in names) and pd.to_numeric(pd.Series(names), errors="coerce").notna().all():
        warn_user(
            f"The first line of {path.name} is taken for the columns' names, but holds numbers, {names[0]} say. Put "
            "names above it if it is a row.",
        )


def _refuse_repeated(names: Sequence[str], path: TableFile) -> None:
    seen = pd.Index(names)
    if not seen.is_unique:
        name = seen[seen.duplicated()][0]
        raise InputError(f"Expected a name for each column of {path}; got two columns {name!r}. Rename or drop them.")


def columns_to_learn(names: Sequence[str], drop: Sequence[str], path: Path) -> list[str]:
    """Return the names of columns to learn from: all but those to drop, and but for pandas' index."""
    if unknown := [name for name in drop if name not in names]:
        raise InputError(
            f"Expected a column {unknown[0]!r} in {path}; it has {list_names(names, shown=8)}. Check the name."
        )
    left = [name for name in names if name not in drop]
    if index := [name for name in left if _INDEX.fullmatch(name) or (name == "" and names[0] == name)]:
        warn_user(f"Left out of {path.name}, since they hold pandas' index and not the data: {list_names(index)}.")
    left = [name for name in left if name not in index]
    if not left:
        raise InputError(f"Expected a column to learn from in {path}; all were left out. Drop fewer.")
    if "" in left:
        raise InputError(f"Expected a name for each column of {path}; column {names.index('')} has none. Name it.")
    _refuse_repeated(left, path)
    return left


@contextmanager
def _one_line_errors(path: TableFile, names: Sequence[str] = ()) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    # What the readers raise of damaged files: of Arrow, of Python's decoders, of conversions to pandas.
    except (pa.ArrowException, OSError, ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        reason = _reason(error)
        if names and (place := re.search(r"CSV column #(\d+)", reason)) and int(place[1]) < len(names):
            reason = reason.replace(place[0], f"column {names[int(place[1])]!r}")
        raise InputError(f"Expected a table in {path}; it cannot be read: {reason}. Mend the file.") from None


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), "") or type(error).__name__
    return str(reason).partition(" Detail:")[0].rstrip(".")


def _open_csv(path: TableFile, dialect: Dialect | None) -> Source:
    dialect = dialect or Dialect.of(path)
    # Without types, so that no cell of a column that is not wanted can be of a wrong one.
    with dialect.open(path, {}) as opened:
        header = opened.schema.names

    def batches(wanted: Columns) -> Iterator[pa.RecordBatch]:
        types = _types(wanted)
        as_text = {name: pa.string() if _is_text(kind) else kind for name, kind in types.items() if kind is not None}
        for batch in dialect.open(path, as_text, list(types)):
            yield from_text(batch, types)

    return Source(header, None, batches)


def _types(wanted: Columns) -> Types:
    return wanted if isinstance(wanted, Mapping) else dict.fromkeys(wanted)


def _is_text(kind: pa.DataType) -> bool:
    """Whether cells are read as text first: Arrow's own reader takes one way of writing dates for a whole column."""
    return kind == LITERAL or pa.types.is_timestamp(kind)


def _open_parquet(path: TableFile, _: Dialect | None) -> Source:
    place = path if isinstance(path, Path) else open_random_access(path)
    file = parquet.ParquetFile(place, buffer_size=_BLOCK, page_checksum_verification=True)
    names = file.schema_arrow.names

    def batches(wanted: Columns) -> Iterator[pa.RecordBatch]:
        yield from file.iter_batches(rows_in_memory(len(wanted), at_most=_MAX_ROWS), columns=list(wanted))

    return Source(names, file.metadata.num_rows, batches)


def _open_arrow(path: TableFile, _: Dialect | None) -> Source:
    file = open_random_access(path)
    if file.read(4) == b"FEA1":
        raise InputError(f"Expected a table in {path}; it is Feather's first version. Write it again as Parquet.")
    file.seek(0)
    try:
        reader = ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        stream = ipc.open_stream(file)
        return Source(stream.schema.names, None, lambda wanted: (batch.select(list(wanted)) for batch in stream))
    places = range(reader.num_record_batches)
    return Source(
        reader.schema.names, None, lambda wanted: (reader.get_batch(place).select(list(wanted)) for place in places)
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
