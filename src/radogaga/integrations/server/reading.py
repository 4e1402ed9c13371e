"""The rows of a request, in any format, as the model knows them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa

from radogaga.errors import InputError
from radogaga.integrations.server.formats import JSON, SUFFIXES
from radogaga.integrations.server.jobs import Job
from radogaga.integrations.server.records import Record, as_source, read_records
from radogaga.integrations.server.request_error import RequestError
from radogaga.tabular.files.content import Content
from radogaga.tabular.files.table_files import Columns, Source, open_source
from radogaga.tabular.model import TabularModel
from radogaga.tabular.scorable_file import ScorableFile

BODY = Content("the body", b"")
"""The name of rows that are no file's."""
_MAX_BYTES_OF_FEW = 2**16


def read_rows(model: TabularModel, job: Job, most: int) -> ScorableFile:
    """Return the rows of a job, as a file whose columns the model knows.

    Raises
    ------
    InputError
        If they lack columns, or cannot be read.
    RequestError
        If there are too many; some formats tell only as they are read.
    """
    if job.body_type == JSON:
        records = read_records(job.body)
        id_column = _id_column(model, job, records[0])
        return ScorableFile.of(model, _limited(as_source(model, records, id_column), most), BODY, id_column)
    body = Content(f"the body{SUFFIXES[job.body_type]}", job.body)
    source = open_source(body)
    return ScorableFile.of(model, _limited(source, most), body, _id_column(model, job, source.names))


def few_records(body: bytes, most: int) -> list[Record]:
    """Return the records of a small JSON body, or none if it is large, or no good: then it is told why by itself."""
    if len(body) > _MAX_BYTES_OF_FEW:
        return []
    try:
        records = read_records(body)
    except InputError:
        return []
    return records if len(records) <= most else []


def _id_column(model: TabularModel, job: Job, names: Collection[str]) -> str | None:
    """Return the column of identifiers: the one asked for, or the model's own where it came."""
    if job.id_column is None:
        return model.id_column if model.id_column in names else None
    if job.id_column not in names:
        raise InputError(f"Expected the column {job.id_column[:80]!r} of identifiers; there is none. Leave out id.")
    return job.id_column


def _limited(source: Source, most: int) -> Source:
    """Return a source that is refused when it gives too many rows."""
    too_many = RequestError(413, f"Expected {most:,} rows at most; got more. Send them in parts.")
    if source.total is not None and source.total > most:
        raise too_many

    def batches(wanted: Columns) -> Iterator[pa.RecordBatch]:
        rows = 0
        for batch in source.batches(wanted):
            rows += len(batch)
            if rows > most:
                raise too_many
            yield batch
        if not rows:
            raise InputError(f"Expected rows; got 0 rows under {len(source.names)} columns. Send some.")

    return Source(source.names, source.total, batches)
