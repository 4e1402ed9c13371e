"""From the bodies of requests to answers: scores, explanations, latents, counted as they are made."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from joblib import parallel_config

from radogaga._utils.threads import one_thread_each
from radogaga.errors import InputError
from radogaga.integrations.server.formats import JSON, SUFFIXES, as_bytes, rows_as_json
from radogaga.integrations.server.memory import limited_memory
from radogaga.integrations.server.metrics import Metrics
from radogaga.integrations.server.model_holder import ModelHolder, ServedModel
from radogaga.integrations.server.records import Record, as_source, read_records
from radogaga.integrations.server.request_error import RequestError
from radogaga.integrations.server.settings import MAX_EXPLAINED_ROWS, Settings
from radogaga.tabular.files.content import Content
from radogaga.tabular.files.table_files import Columns, Source, open_source
from radogaga.tabular.model import TabularModel
from radogaga.tabular.scorable_file import BLOCK_ROWS, ScorableFile
from radogaga.tabular.scoring import SelectedRows, as_record_batch
from radogaga.tabular.summary import explanations_as_json

logger = logging.getLogger("uvicorn.error")


class Job(NamedTuple):
    """What one request asks.

    Attributes
    ----------
    task : str
        "score", "explain" or "embed".
    body, body_type : bytes, str
        The rows and their media type.
    answer_type : str
        The media type to answer in.
    reasons : int
        Reasons to give for each alarm.
    id_column : str, optional
        The column of identifiers.
    """

    task: str
    body: bytes
    body_type: str
    answer_type: str
    reasons: int = 0
    id_column: str | None = None

    @property
    def may_share(self) -> bool:
        """Whether it may be scored together with others."""
        return (
            self.task == "score"
            and self.body_type == self.answer_type == JSON
            and not self.reasons
            and self.id_column is None
        )


class Answer(NamedTuple):
    """The body of an answer, the model that made it, and what was noted of the rows."""

    content: bytes
    media_type: str
    model: str
    notes: tuple[str, ...] = ()


class Scorer:
    """Answers jobs; those of few rows in JSON are scored together, and each has the scores it has alone.

    Parameters
    ----------
    holder : ModelHolder
        Where the model is.
    metrics : Metrics
        Where rows are counted.
    settings : Settings
        Limits.
    """

    def __init__(self, holder: ModelHolder, metrics: Metrics, settings: Settings) -> None:
        self._holder, self._metrics, self._settings = holder, metrics, settings

    def __call__(self, jobs: list[Job]) -> list[Answer | Exception]:
        """Return for each job its answer, or the refusal."""
        # Batches of rows side by side, each on one thread: torch's own threads wait for one another at every step, and
        # where other processes want the cores, too, that takes many times as long.
        with one_thread_each(), parallel_config(n_jobs=self._settings.threads):
            return self._answers(jobs)

    def _answers(self, jobs: list[Job]) -> list[Answer | Exception]:
        served = self._holder.served
        answers: dict[int, Answer | Exception] = {}
        shared: dict[str | None, list[_Shared]] = {}
        for place, job in enumerate(jobs):
            if job.may_share and served.scores_alike and (records := self._few_records(job.body)):
                id_column = served.model.id_column if served.model.id_column in records[0] else None
                shared.setdefault(id_column, []).append(_Shared(place, records))
        for id_column, requests in shared.items():
            for block in _blocks(requests):
                answers |= self._score_together(served, block, id_column)
        for place, job in enumerate(jobs):
            if place not in answers:
                answers[place] = self._answer(served, job)
        return [answers[place] for place in range(len(jobs))]

    def _few_records(self, body: bytes) -> list[Record]:
        """Return the records of a body that is to share a block, or none."""
        if len(body) > _MAX_BYTES_TO_SHARE:
            return []
        try:
            records = read_records(body)
        except InputError:
            return []  # by itself it is told why
        return records if len(records) <= min(BLOCK_ROWS, self._settings.max_rows) else []

    def _score_together(
        self, served: ServedModel, block: Sequence[_Shared], id_column: str | None
    ) -> dict[int, Answer | Exception]:
        """Return the answers of a block of requests; where one of them is refused, of each half for itself."""
        try:
            rows = self._score_block(served, [record for request in block for record in request.records], id_column)
        except Exception as error:
            if len(block) == 1:
                return {block[0].place: _as_request_error(error)}
            half = len(block) // 2
            first = self._score_together(served, block[:half], id_column)
            return first | self._score_together(served, block[half:], id_column)
        answers: dict[int, Answer | Exception] = {}
        start = 0
        for place, records in block:
            own = rows[start : start + len(records)]
            if id_column is None:
                own = [{**row, "row": i} for i, row in enumerate(own)]
            answers[place] = Answer(rows_as_json(own), JSON, served.name)
            start += len(records)
        return answers

    def _score_block(self, served: ServedModel, records: list[Record], id_column: str | None) -> list[dict[str, Any]]:
        model = served.model
        file = ScorableFile.of(model, as_source(model, records, id_column), _BODY, id_column)
        (batch,) = file.batches(model)
        self._metrics.add(served, batch)
        return as_record_batch(model, batch, file, 0, None).to_pylist()

    def _answer(self, served: ServedModel, job: Job) -> Answer | Exception:
        try:
            return self._answer_alone(served, job)
        except Exception as error:
            return _as_request_error(error)

    def _answer_alone(self, served: ServedModel, job: Job) -> Answer:
        answer = {"score": self._score, "explain": self._explain, "embed": self._embed}[job.task]
        if job.body_type == JSON:
            return Answer(answer(served, job, self._open(served.model, job)), job.answer_type, served.name)
        with limited_memory(self._settings.max_bytes), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            content = answer(served, job, self._open(served.model, job))
        return Answer(content, job.answer_type, served.name, tuple(str(warning.message) for warning in caught))

    def _open(self, model: TabularModel, job: Job) -> ScorableFile:
        most = MAX_EXPLAINED_ROWS if job.task == "explain" else self._settings.max_rows
        if job.body_type == JSON:
            records = read_records(job.body)
            id_column = _id_column(model, job, records[0])
            return ScorableFile.of(model, _limited(as_source(model, records, id_column), most), _BODY, id_column)
        body = Content(f"the body{SUFFIXES[job.body_type]}", job.body)
        source = open_source(body)
        return ScorableFile.of(model, _limited(source, most), body, _id_column(model, job, source.names))

    def _score(self, served: ServedModel, job: Job, file: ScorableFile) -> bytes:
        tables = []
        for batch in file.batches(served.model):
            self._metrics.add(served, batch)
            tables.append(as_record_batch(served.model, batch, file, job.reasons, None))
        return as_bytes(tables, job.answer_type)

    def _explain(self, served: ServedModel, job: Job, file: ScorableFile) -> bytes:
        rows, model = [], served.model
        for start, frame, identifiers, encoded, _ in file.encoded(model):
            ids = [None] * len(frame) if identifiers is None else identifiers.to_pylist()
            selected = SelectedRows(frame, list(range(start, start + len(frame))), ids)
            rows += explanations_as_json(model, model.explain(encoded), selected)
        return rows_as_json(rows)

    def _embed(self, served: ServedModel, job: Job, file: ScorableFile) -> bytes:
        tables = []
        for start, _, identifiers, encoded, _ in file.encoded(served.model):
            z = served.model.encode(encoded)
            label = np.arange(start, start + len(z)) if identifiers is None else identifiers.cast(pa.string())
            names = [file.id[0] if file.id else "row", *(f"latent_{j + 1}" for j in range(z.shape[1]))]
            tables.append(pa.RecordBatch.from_arrays([pa.array(label), *map(pa.array, z.T)], names))
        return as_bytes(tables, job.answer_type)


class _Shared(NamedTuple):
    """A request of few rows, and its place among the jobs."""

    place: int
    records: list[Record]


_BODY = Content("the body", b"")
_MAX_BYTES_TO_SHARE = 2**16


def _blocks(requests: Sequence[_Shared]) -> Iterator[list[_Shared]]:
    """Yield requests whose rows together are at most `BLOCK_ROWS`."""
    block: list[_Shared] = []
    rows = 0
    for request in requests:
        if rows + len(request.records) > BLOCK_ROWS:
            yield block
            block, rows = [], 0
        block.append(request)
        rows += len(request.records)
    yield block


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


def _as_request_error(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, InputError):
        return RequestError(422, str(error))
    # What readers let through of damaged or hostile files.
    if isinstance(error, pa.ArrowException | MemoryError | UnicodeError):
        return RequestError(422, f"Expected a table; it cannot be read ({type(error).__name__}). Mend the body.")
    logger.error("A request failed", exc_info=error)
    return RequestError(500, "Expected to answer; it failed, and the service's log says how. Report it.")
