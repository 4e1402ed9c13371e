"""A file's rows as a fitted model knows them, batch by batch, with their scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from radogaga._utils.checks import list_names
from radogaga.errors import InputError
from radogaga.tabular.columns.encoder import EncodedRows
from radogaga.tabular.columns.types import ColumnType
from radogaga.tabular.files.cells import LITERAL
from radogaga.tabular.files.content import TableFile
from radogaga.tabular.files.table_files import Source, Types, as_frame, open_source
from radogaga.tabular.model import TabularModel
from radogaga.tabular.standardize import Array

# In a CSV file, what a column holds is read as what it held when the model was fitted, whatever the first rows hold.
CELL_TYPES = {
    ColumnType.DATETIME: pa.timestamp("us"),
    ColumnType.DURATION: pa.string(),
    ColumnType.NUMBER: pa.float64(),
    ColumnType.INTEGER: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.CATEGORY: pa.string(),
}
BLOCK_ROWS = 64
"""Rows that are scored at least at once; not more than a kernel density takes in one product of 5,000 centres."""


class EncodedBatch(NamedTuple):
    """Rows of a file as the model reads them, the first of them the `start`-th of the file."""

    start: int
    frame: pd.DataFrame
    id: pa.Array | None
    rows: EncodedRows
    label: pa.Array | None


class RowBatch(NamedTuple):
    """Rows of a file with their scores, the first of them the `start`-th of the file."""

    start: int
    frame: pd.DataFrame
    id: pa.Array | None
    rows: EncodedRows
    score: Array
    label: pa.Array | None = None


class ScorableFile(NamedTuple):
    """A file, or rows from elsewhere, whose columns the model knows; messages name it by `path`."""

    path: TableFile
    source: Source
    names: list[str]
    id: list[str]
    types: Types
    left_out: list[str]

    @classmethod
    def open(cls, model: TabularModel, path: TableFile, id_column: str | None, **options: int) -> ScorableFile:
        """Open a file and find the model's columns in it."""
        return cls.of(model, open_source(path, **options), path, id_column or model.id_column)

    @classmethod
    def of(cls, model: TabularModel, source: Source, path: TableFile, id_column: str | None) -> ScorableFile:
        """Find the model's columns in a source of rows."""
        known, kinds = model.encoder.names, model.encoder.column_types
        if id_column is not None and id_column not in source.names:
            raise InputError(f"Expected the column {id_column!r} of identifiers in {path}; there is none. Pass --id.")
        names = [name for name in source.names if name != id_column] if known is None else list(map(str, known))
        if missing := [name for name in names if name not in set(source.names)]:
            are = "is" if len(missing) == 1 else "are"
            raise InputError(
                f"Expected the columns that the model was fitted to in {path}; {list_names(missing)} {are} missing. "
                "Add them."
            )
        if len(names) != len(kinds):
            raise InputError(
                f"Expected {len(kinds)} columns in {path}; got {len(names)}. Pass those that the model was fitted to."
            )
        types = {name: CELL_TYPES[kind] for name, kind in zip(names, kinds, strict=True)}
        ids = [] if id_column is None else [id_column]
        types |= {name: LITERAL for name in ids if name not in types}
        return cls(path, source, names, ids, types, [name for name in source.names if name not in types])

    def batches(self, model: TabularModel, label: str | None = None) -> Iterator[RowBatch]:
        """Yield the rows with their scores, batch by batch."""
        for start, frame, identifiers, rows, labels in self.encoded(model, label):
            # Threads that each score rows do not wait for one another, as those of one product do on busy cores.
            yield RowBatch(start, frame, identifiers, rows, score_rows(model, rows, torch.get_num_threads()), labels)

    def encoded(self, model: TabularModel, label: str | None = None) -> Iterator[EncodedBatch]:
        """Yield the rows as the model reads them, batch by batch."""
        start = 0
        types = self.types if label is None else {**self.types, label: LITERAL}
        for batch in self.source.batches(types):
            frame = as_frame(batch.select(self.names), self.path)
            try:
                rows = model.read(_as_model_input(model, frame))
            except InputError as error:
                where = f" (Rows count from row {start} of the file.)" if start else ""
                raise InputError(f"{error}{where}") from None
            identifiers = batch.column(self.id[0]) if self.id else None
            labels = None if label is None else batch.column(label)
            yield EncodedBatch(start, frame, identifiers, rows, labels)
            start += len(batch)

    def has_no_rows(self) -> InputError:
        """Return the error of a file without rows."""
        return InputError(f"Expected rows in {self.path}; got 0 rows under {len(self.source.names)} columns.")


def _as_model_input(model: TabularModel, frame: pd.DataFrame) -> Any:
    """Return a frame's rows as the model knows them: an array's model knows columns by their place alone."""
    names = model.encoder.names
    if names is None:
        return frame.to_numpy()
    return frame if tuple(frame.columns) == names else frame.set_axis(list(names), axis=1)


def score_rows(model: TabularModel, rows: EncodedRows, n_jobs: int | None = None) -> Array:
    """Return the scores of rows, ``(n,)``: those of few rows are the same to the bit beside any others.

    Matrix products round by how many rows they have, not by which. Fewer rows than `BLOCK_ROWS` are filled up to that
    number, so that a service that scores the rows of several requests together gives each the scores it has alone.
    """
    n = len(rows.x)
    return model.score(rows if n >= BLOCK_ROWS else rows.take(np.arange(BLOCK_ROWS) % n), n_jobs)[:n]
