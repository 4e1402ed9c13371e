"""JSON records as a source of rows, in the types that the model's columns have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pydantic_core import from_json, to_json

from radogaga._utils.checks import list_names
from radogaga.errors import InputError
from radogaga.tabular.columns.types import ColumnType
from radogaga.tabular.files.cells import LITERAL, from_text
from radogaga.tabular.files.table_files import Source
from radogaga.tabular.model import TabularModel
from radogaga.tabular.scorable_file import CELL_TYPES

Record = Mapping[str, Any]

_NUMBERS: set[type] = {int, float, type(None)}
_TEXT: set[type] = {str, type(None)}
_BOOLEANS: set[type] = {bool, type(None)}
_EXPECTED: dict[ColumnType, tuple[str, set[type]]] = {
    ColumnType.NUMBER: ("a number", _NUMBERS),
    ColumnType.INTEGER: ("a number", _NUMBERS),
    ColumnType.BOOLEAN: ("true or false", _BOOLEANS),
    ColumnType.DATETIME: ("a date as text, 2026-01-31T12:00:00 say,", _TEXT),
    ColumnType.DURATION: ("a duration as text, 01:30:00 say,", _TEXT),
    ColumnType.CATEGORY: ("text", _TEXT),
}


def read_records(body: bytes) -> list[Record]:
    """Return the records of a JSON body: an array of objects, one for each row.

    Raises
    ------
    InputError
        If it is something else, or nested deeper than a parser should follow.

    Examples
    --------
    >>> from radogaga.integrations.server.records import read_records
    >>> read_records(b'[{"age": 31, "drink": "tea"}]')
    [{'age': 31, 'drink': 'tea'}]
    """
    try:
        records = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InputError(f"Expected JSON; it cannot be read: {error}. Mend the body.") from None
    if not isinstance(records, list):
        raise InputError(f"Expected an array of objects, one for each row; got {_shown(records)}. Put it in brackets.")
    if not records:
        raise InputError("Expected rows; got an empty array. Send one object for each row.")
    if strange := [i for i, record in enumerate(records) if type(record) is not dict]:
        i = strange[0]
        raise InputError(f"Expected an object for each row; got {_shown(records[i])} as row {i}. Name its columns.")
    return records


def as_source(model: TabularModel, records: list[Record], id_column: str | None) -> Source:
    """Return records as a source of rows: text cells mean what they do in a CSV file, null is missing.

    Raises
    ------
    InputError
        If a record lacks a column, or a cell is of another type than its column.
    """
    kinds = dict(zip(model.encoder.labels, model.encoder.column_types, strict=True))
    cells = {name: _cells(records, name) for name in kinds}
    arrays = [_as_array(cells[name], name, kind) for name, kind in kinds.items()]
    types: dict[str, pa.DataType] = {name: CELL_TYPES[kind] for name, kind in kinds.items()}
    if id_column is not None and id_column not in kinds:
        arrays.append(_as_text(_cells(records, id_column)))
        types[id_column] = LITERAL
    batch = from_text(pa.RecordBatch.from_arrays(arrays, list(types)), types)
    for field, kind in zip(batch.schema, types.values(), strict=True):
        if pa.types.is_timestamp(kind) and not pa.types.is_timestamp(field.type):
            raise InputError(f"Expected dates as 2026-01-31T12:00:00 (ISO 8601) in column {field.name!r}; got others.")
    return Source(list(types), len(records), lambda wanted: iter([batch.select(list(wanted))]))


def _cells(records: list[Record], name: str) -> list[Any]:
    try:
        return [record[name] for record in records]
    except KeyError:
        i = next(i for i, record in enumerate(records) if name not in record)
    raise InputError(
        f"Expected the column {name!r} in each row; row {i} has {list_names(records[i]) or 'no column'}. "
        "Add it, with null if its value is missing."
    )


def _as_array(cells: list[Any], name: str, kind: ColumnType) -> pa.Array:
    expected, allowed = _EXPECTED[kind]
    held = set(map(type, cells))
    if not held <= allowed:
        i = next(i for i, cell in enumerate(cells) if type(cell) not in allowed)
        raise InputError(f"Expected {expected} or null in column {name!r}; got {_shown(cells[i])} in row {i}.")
    if int not in held:
        return pa.array(cells, CELL_TYPES[kind] if allowed is not _TEXT else pa.string())
    try:  # whole numbers of more digits than floats have are rounded, as those of a CSV file are
        return pa.array([cell if cell is None else float(cell) for cell in cells], pa.float64())
    except OverflowError:
        raise InputError(f"Expected finite numbers in column {name!r}; got one of 309 digits or more.") from None


def _as_text(cells: list[Any]) -> pa.Array:
    if strange := [cell for cell in cells if type(cell) not in (str, int, float, bool, type(None))]:
        raise InputError(f"Expected text or a number as an identifier; got {_shown(strange[0])}.")
    return pa.array([cell if cell is None else str(cell) for cell in cells], LITERAL)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return to_json(value, inf_nan_mode="constants")[:40].decode(errors="ignore")
