"""How a CSV file is written: by its first lines, since spreadsheets write what their country does."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import csv as arrow

from radogaga._utils.checks import warn_user
from radogaga.tabular.files.content import TableFile, open_stream

_BLOCK = 2**20
_LINES = 200
_SEPARATORS = ",;\t|"
_BYTE_ORDERS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BYTE_ORDERS_OF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
# 1,5 but not 1,500, which may be a thousand and a half.
_WITH_COMMA, _WITH_POINT = re.compile(r"\s*[-+]?\d+,(?!\d{3}\s*$)\d+\s*"), re.compile(r"\s*[-+]?\d+\.\d+\s*")
# What many public tables have for missing values, beside Arrow's own NA, NaN, null, #N/A, ...
MISSING = [*arrow.ConvertOptions().null_values, "?"]
_NUMBER = re.compile(r"\s*[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?\s*")
# Excel writes a first line that names the separator, and reads it.
_SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n")
_MAX_TITLE_LINES = 5


class Dialect(NamedTuple):
    r"""The separator of a file's cells, the sign before decimals, the letters' encoding, and lines above the names.

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
    Dialect(separator=';', decimal=',', encoding='utf-8', skip=0)
    [1.5, 2.25]
    """

    separator: str
    decimal: str
    encoding: str
    skip: int = 0

    @classmethod
    def of(cls, path: TableFile) -> Dialect:
        """Tell it from a file's first megabyte; one compressed by gzip has a name that says so."""
        with _opened(path) as file:
            start = file.read(_BLOCK)
        encoding = _encoding(start, path)
        text = codecs.getincrementaldecoder(encoding)("replace").decode(start)
        named = _SEPARATOR_LINE.match(text)
        lines, separators = (text[named.end() :], named[1]) if named else (text, _SEPARATORS)
        whole = len(start) < _BLOCK
        tables = {separator: _cells(lines, separator, whole=whole) for separator in separators}
        skips = {separator: 0 if named else _title_lines(rows) for separator, rows in tables.items()}
        widths = {separator: {len(row) for row in rows[skips[separator] :]} for separator, rows in tables.items()}
        # The one by which all lines have as many cells, and the most; where there is none, a comma.
        separator = max(separators, key=lambda one: max(widths[one]) if len(widths[one]) == 1 else 1)
        skip = skips[separator]
        if skip:
            title = separator.join(tables[separator][0]).strip(separator)
            warn_user(f"The first line of {path.name}, {title[:60]!r}, is a title, not names; it is left out.")
        elif not named and max(widths[separator]) == 1 and _is_in_blanks(lines, whole=whole):
            separator = " "
        cells = [cell for row in tables.get(separator, [])[skip:] for cell in row]
        comma = (
            separator != "," and any(map(_WITH_COMMA.fullmatch, cells)) and not any(map(_WITH_POINT.fullmatch, cells))
        )
        return cls(separator, "," if comma else ".", encoding, 1 if named else skip)

    def open(self, path: TableFile, types: Mapping[str, pa.DataType], names: Sequence[str] = ()) -> Any:
        """Return a reader of record batches, of all columns or of those named; its block decides unknown types."""
        return arrow.open_csv(_opened(path), *self._options(types, names))

    def read(self, path: TableFile, names: Sequence[str] = ()) -> pa.Table:
        """Return a whole file; a column's type is one that all of its cells have."""
        return arrow.read_csv(_opened(path), *self._options({}, names))

    def _options(self, types: Mapping[str, pa.DataType], names: Sequence[str]) -> tuple[Any, Any, Any]:
        convert = arrow.ConvertOptions(
            column_types=dict(types), include_columns=list(names), decimal_point=self.decimal, null_values=MISSING
        )
        reading = arrow.ReadOptions(block_size=_BLOCK, encoding=self.encoding, skip_rows=self.skip)
        return reading, arrow.ParseOptions(delimiter=self.separator, newlines_in_values=True), convert


def _opened(path: TableFile) -> Any:
    return open_stream(path, "gzip" if path.name.lower().endswith(".gz") else None)


def _encoding(start: bytes, path: TableFile) -> str:
    if start.startswith(_BYTE_ORDERS_OF_32):  # one of them begins as one of 16 bits does
        return "utf-32"
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


def _title_lines(rows: list[list[str]]) -> int:
    """Return how many lines of one cell stand above a line of names and one that holds a number."""
    titles = next((i for i, row in enumerate(rows) if sum(map(bool, row)) > 1), 0)
    if not 0 < titles <= _MAX_TITLE_LINES or any("\n" in cell for row in rows[:titles] for cell in row):
        return 0
    names, *body = rows[titles:]
    has_names = all(names) and not any(map(_NUMBER.fullmatch, names))
    return titles if has_names and body and any(map(_NUMBER.fullmatch, body[0])) else 0


def _is_in_blanks(text: str, *, whole: bool) -> bool:
    """Return whether single blanks separate names, and numbers below them, as many in each line."""
    _, *body = rows = _cells(text, " ", whole=whole)
    return len(rows[0]) > 1 and {len(row) for row in rows} == {len(rows[0])} and _all_numbers(body)


def _all_numbers(rows: list[list[str]]) -> bool:
    return bool(rows) and all(_NUMBER.fullmatch(cell) for row in rows for cell in row)
