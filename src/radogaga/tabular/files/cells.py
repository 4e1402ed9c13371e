"""Columns of files, checked and made one: what a damaged file holds is found before anything reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import pyarrow as pa
from pyarrow import compute, types

from radogaga._utils.checks import list_names, warn_user
from radogaga.errors import InputError
from radogaga.tabular.files.content import TableFile
from radogaga.tabular.files.dialect import MISSING

_LARGEST_WHOLE = 2.0**53
LITERAL = pa.large_string()
"""The type of text that is kept letter for letter: no cell of it is missing."""

_HELD: tuple[Callable[[pa.DataType], bool], ...] = (
    types.is_null,
    types.is_boolean,
    types.is_integer,
    types.is_floating,
    types.is_decimal,
    types.is_string,
    types.is_large_string,
    types.is_string_view,
    types.is_date,
    types.is_time,
    types.is_timestamp,
    types.is_duration,
)


def usable(batch: pa.RecordBatch, path: TableFile) -> pa.RecordBatch:
    """Return a batch whose buffers hold what its types say: dates in UTC, clock times as durations from midnight.

    Raises
    ------
    InputError
        If a column holds what is no cell of a table: lists, structures, bytes.
    ArrowException
        If the batch is damaged.
    """
    strange = [field.name for field in batch.schema if not _is_usable(field.type)]
    if strange:
        kind = batch.schema.field(strange[0]).type
        raise InputError(
            f"Expected numbers, text, booleans or dates in {path}; column {strange[0]!r} holds {kind}. "
            f"Drop {list_names(strange)}."
        )
    # Offsets of a damaged file may point anywhere, and nothing that reads them looks.
    batch.validate(full=True)
    return pa.RecordBatch.from_arrays([_plain(column) for column in batch.columns], names=batch.schema.names)


def from_text(batch: pa.RecordBatch, wanted: Mapping[str, pa.DataType]) -> pa.RecordBatch:
    """Return a batch of a CSV file with missing cells, but for those of literal text, and with the dates wanted."""

    def convert(name: str, column: pa.Array) -> pa.Array:
        kind = wanted.get(name)
        if kind == LITERAL or not types.is_string(column.type):
            return column
        column = compute.if_else(compute.is_in(column, pa.array(MISSING)), pa.scalar(None, pa.string()), column)
        return _as_dates(column) if kind is not None and types.is_timestamp(kind) else column

    names = batch.schema.names
    return pa.RecordBatch.from_arrays([convert(*column) for column in zip(names, batch.columns, strict=True)], names)


def zoned(schema: pa.Schema) -> list[str]:
    """Return the names of dates that have a time zone."""
    return [field.name for field in schema if types.is_timestamp(field.type) and field.type.tz]


def warn_of_numbers(table: pa.Table, path: TableFile) -> None:
    """Warn of a CSV file's columns that are not what they look like: numbers read as text, identifiers as numbers."""
    grouped, long = [], []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if types.is_string(column.type):
            like_numbers = compute.match_substring_regex(column, r"^\s*[-+]?\d{1,3}([,. ']\d{3})*([.,]\d+)?\s*$")
            groups = compute.any(compute.match_substring_regex(column, r"\d[,. ']\d{3}"))
            if groups.as_py() and compute.all(like_numbers).as_py():
                grouped.append(name)
        elif types.is_float64(column.type) and (compute.min(compute.abs(column)).as_py() or 0) >= _LARGEST_WHOLE:
            long.append(name)
    if grouped:
        warn_user(
            f"Numbers of {list_names(grouped)} in {path.name} have signs between thousands, and are taken for text. "
            "Write them without."
        )
    if long:
        warn_user(
            f"Numbers of {list_names(long)} in {path.name} have more digits than are kept. Are they identifiers? "
            "Then drop them, or pass --id."
        )


def _is_usable(kind: pa.DataType) -> bool:
    held = kind.value_type if types.is_dictionary(kind) else kind
    return any(is_one(held) for is_one in _HELD)


def _plain(column: pa.Array) -> pa.Array:
    kind = column.type
    if types.is_timestamp(kind) and kind.tz:
        return column.cast(pa.timestamp(kind.unit))
    if types.is_time(kind):
        whole = pa.int32() if types.is_time32(kind) else pa.int64()
        return column.cast(whole).cast(pa.int64()).cast(pa.duration(kind.unit))
    return column


def _as_dates(column: pa.Array) -> pa.Array:
    """Return text as dates in UTC, or as it is if it is another kind of text: the model knows what to say of it."""
    try:
        return column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        pass
    try:
        dates = pd.to_datetime(column.to_pandas(), format="ISO8601", utc=True)
        return pa.array(dates.dt.tz_localize(None)).cast(pa.timestamp("us"))
    except (ValueError, OverflowError):  # of pandas and of Arrow
        return column
