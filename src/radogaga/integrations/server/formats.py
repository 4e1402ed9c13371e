"""Formats of bodies and answers, by their media types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import csv, ipc, parquet
from pydantic_core import to_json

from radogaga.integrations.server.request_error import RequestError

JSON = "application/json"
CSV, TSV = "text/csv", "text/tab-separated-values"
ARROW_FILE, ARROW_STREAM = "application/vnd.apache.arrow.file", "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"

SUFFIXES = {CSV: ".csv", TSV: ".tsv", ARROW_FILE: ".arrow", ARROW_STREAM: ".arrow", PARQUET: ".parquet"}
"""Media types of files of rows, with the suffix that such a file has."""
_SINKS: dict[str, Callable[..., Any]] = {
    CSV: csv.CSVWriter,
    ARROW_FILE: ipc.new_file,
    ARROW_STREAM: ipc.new_stream,
    PARQUET: parquet.ParquetWriter,
}
ANSWERS = (JSON, *_SINKS)


def body_type(content_type: str) -> str:
    """Return the media type of a body, or refuse it.

    Examples
    --------
    >>> from radogaga.integrations.server.formats import body_type
    >>> body_type("text/csv; charset=utf-8")
    'text/csv'
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != JSON and media_type not in SUFFIXES:
        expected = ", ".join((JSON, *SUFFIXES))
        raise RequestError(415, f"Expected a Content-Type of {expected}; got {media_type[:80]!r}. Convert the rows.")
    return media_type


def answer_type(accept: str, body: str, possible: Sequence[str] | None = None) -> str:
    """Return the media type to answer in: the first that is accepted, and of any the one of the body.

    Examples
    --------
    >>> from radogaga.integrations.server.formats import answer_type
    >>> answer_type("*/*", "text/csv"), answer_type("image/png, application/json;q=0.5", "text/csv")
    ('text/csv', 'application/json')
    """
    possible = possible or ANSWERS
    own = CSV if body == TSV else body
    own = own if own in possible else possible[0]
    if accept == "*/*":
        return own
    for part in accept.split(","):
        wanted = part.partition(";")[0].strip().lower()
        if wanted in ("", "*/*") or (wanted.endswith("/*") and own.startswith(wanted[:-1])):
            return own
        if wanted in possible:
            return wanted
    raise RequestError(406, f"Expected to answer in {' or '.join(possible)}; Accept asks for {accept[:80]!r}.")


def as_bytes(batches: Sequence[pa.RecordBatch], media_type: str) -> bytes:
    """Return a table as a file of a format; as JSON, an object with a list of rows."""
    if media_type == JSON:
        return rows_as_json([row for batch in batches for row in batch.to_pylist()])
    sink = pa.BufferOutputStream()
    with _SINKS[media_type](sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def rows_as_json(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as JSON, numbers in as many digits as they have."""
    return to_json({"rows": rows}, inf_nan_mode="null")
