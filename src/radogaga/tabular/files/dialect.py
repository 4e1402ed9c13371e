"""How a CSV file is written: by its first lines, since spreadsheets write what their country does."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import csv as arrow

from radogaga._utils.checks import warn_user

_BLOCK = 2**20
_LINES = 200
_SEPARATORS = ",;\t|"
_BYTE_ORDERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# 1,5 but not 1,500, which may be a thousand and a half.
_WITH_COMMA, _WITH_POINT = re.compile(r"\s*[-+]?\d+,(?!\d{3}\s*$)\d+\s*"), re.compile(r"\s*[-+]?\d+\.\d+\s*")
# What many public tables have for missing values, beside Arrow's own NA, NaN, null, #N/A, ...
_MISSING = "?"


class Dialect(NamedTuple):
    r"""The separator of a file's cells, the sign before its numbers' decimals, and its letters' encoding.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from radogaga.tabular.files.dialect import Dialect
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.csv"
    ...     _ = path.write_text("amount;city\n1,5;Bonn\n2,25;Bern, Thun\n")
    ...     Dialect.of(path)
    ...     Dialect.of(path).read(path).column("amount").to_pylist()
    Dialect(separator=';', decimal=',', encoding='utf-8')
    [1.5, 2.25]
    """

    separator: str
    decimal: str
    encoding: str

    @classmethod
    def of(cls, path: Path) -> Dialect:
        """Tell it from a file's first megabyte; one compressed by gzip has a name that says so."""
        with _opened(path) as file:
            start = file.read(_BLOCK)
        encoding = _encoding(start, path)
        text = codecs.getincrementaldecoder(encoding)("replace").decode(start)
        tables = {separator: _cells(text, separator, whole=len(start) < _BLOCK) for separator in _SEPARATORS}
        widths = {separator: {len(row) for row in rows} for separator, rows in tables.items()}
        # The one by which all lines have as many cells, and the most; where there is none, a comma.
        separator = max(_SEPARATORS, key=lambda one: max(widths[one]) if len(widths[one]) == 1 else 1)
        cells = [cell for row in tables[separator] for cell in row]
        comma = (
            separator != "," and any(map(_WITH_COMMA.fullmatch, cells)) and not any(map(_WITH_POINT.fullmatch, cells))
        )
        return cls(separator, "," if comma else ".", encoding)

    def read(self, path: Path) -> pa.Table:
        """Return a whole file; a column's type is one that all of its cells have."""
        return arrow.read_csv(_opened(path), arrow.ReadOptions(encoding=self.encoding), *self._options({}, ()))

    def open(self, path: Path, types: Mapping[str, pa.DataType], names: Sequence[str] = ()) -> Any:
        """Return a reader of record batches, of all columns or of those named; its block decides unknown types."""
        options = arrow.ReadOptions(block_size=_BLOCK, encoding=self.encoding)
        return arrow.open_csv(_opened(path), options, *self._options(types, names))

    def _options(self, types: Mapping[str, pa.DataType], names: Sequence[str]) -> tuple[Any, Any]:
        convert = arrow.ConvertOptions(
            column_types=dict(types),
            include_columns=list(names),
            strings_can_be_null=True,
            decimal_point=self.decimal,
        )
        convert.null_values = [*convert.null_values, _MISSING]
        return arrow.ParseOptions(delimiter=self.separator), convert


def _opened(path: Path) -> Any:
    return pa.input_stream(str(path), compression="gzip" if path.name.lower().endswith(".gz") else None)


def _encoding(start: bytes, path: Path) -> str:
    if start.startswith(_BYTE_ORDERS):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        warn_user(
            f"{path.name} is not in UTF-8, and is read as Windows-1252. Save it as UTF-8 if letters look wrong.",
        )
        return "cp1252"
    return "utf-8"


def _cells(text: str, separator: str, *, whole: bool) -> list[list[str]]:
    """Return the cells of the first lines but for empty ones; a text that is not whole may end within its last line."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        cells = [row for row in islice(rows, _LINES) if row]
    except csv.Error:
        return [[]]
    return (cells if whole else cells[:-1]) or [[]]
