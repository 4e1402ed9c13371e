"""Files of rows under a fitted model, batch by batch: scores to another file, and the rows that score lowest."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from radogaga.errors import InputError
from radogaga.tabular.columns.encoder import EncodedRows
from radogaga.tabular.files.table_files import as_frame, is_marked, writing
from radogaga.tabular.model import TabularModel
from radogaga.tabular.monitoring import Drift, DriftMonitor
from radogaga.tabular.scorable_file import RowBatch, ScorableFile
from radogaga.tabular.standardize import Array

Progress = Callable[[int, int | None], None]
"""Called with the number of rows done and, where it is known, in all."""

_HEADER = re.compile(rb'"([^"]|"")*","score","p_value","alarm"(,"selected")?(,"reason_\d+")*\n')


@dataclass
class ScoredFile:
    """What came of scoring a file.

    Attributes
    ----------
    rows, alarms : int
        How many there were.
    selected : int, optional
        How many were selected, if rows were to be.
    drift : Drift, optional
        How the rows differ from the training rows.
    novel : dict
        For each column that held some, in how many rows it held what no training row did.
    outside : dict
        For each column that held some, in how many rows a number or date lay outside the training rows' range.
    left_out : list of str
        Columns of the file that the model does not know.
    """

    rows: int = 0
    alarms: int = 0
    selected: int | None = None
    drift: Drift | None = None
    novel: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


class SelectedRows(NamedTuple):
    """Rows of a file, with their numbers, counted from 0, and identifiers."""

    frame: pd.DataFrame
    rows: list[int]
    ids: list[Any]


def score_file(
    model: TabularModel,
    path: Path,
    out: Path,
    *,
    id_column: str | None = None,
    reasons: int = 0,
    fdr: float | None = None,
    may_be_empty: bool = False,
    progress: Progress = lambda done, total: None,
    max_rows: int = 65_536,
) -> ScoredFile:
    """Write for each row of a file its number or identifier, score, p-value, whether it is an alarm, and why.

    Parameters
    ----------
    model : TabularModel
        A fitted model.
    path, out : path
        What to read and what to write, .csv, .parquet or .arrow by their suffix.
    id_column : str, optional
        The column of identifiers; by default rows are numbered from 0.
    reasons : int
        For how many columns to say how they lower an alarm's score.
    fdr : float, optional
        Select rows of which at most this share is normal, in expectation, see `TabularModel.select`: then the file is
        scored twice, as what is selected depends on all rows.
    may_be_empty : bool
        Whether a file without rows is scored to one without rows, as a part of a table may be.
    progress : callable
        Called with the number of rows done and in all.
    max_rows : int
        Rows at most that are read and scored at once.

    Raises
    ------
    InputError
        If the file lacks columns, cannot be read, has no rows or holds other values than the training rows did.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np, pandas as pd
    >>> from radogaga import RaDOGAGA
    >>> from radogaga.tabular.scoring import score_file
    >>> frame = pd.DataFrame(np.random.RandomState(0).normal(size=(100, 2)), columns=["a", "b"])
    >>> model = RaDOGAGA(max_steps=0, random_state=0).fit(frame).model_
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     new, out = Path(folder) / "new.csv", Path(folder) / "scores.csv"
    ...     frame.to_csv(new, index=False)
    ...     score_file(model, new, out).rows
    ...     list(pd.read_csv(out))
    100
    ['row', 'score', 'p_value', 'alarm']
    """
    if out.exists() and out.samefile(path):
        raise InputError(f"Expected another file to write than the one to read; got {out} twice. Rename one.")
    file = ScorableFile.open(model, path, id_column, max_rows=max_rows)
    highest_rank = None if fdr is None else _highest_rank(model, file, fdr)
    done, monitor = ScoredFile(left_out=file.left_out, selected=None if fdr is None else 0), DriftMonitor(model)
    with writing(out, _schema(file, reasons, selects=fdr is not None)) as write:
        for batch in file.batches(model):
            table = as_record_batch(model, batch, file, reasons, highest_rank)
            write(table)
            monitor.add(batch.rows, batch.score)
            done.rows += len(batch.score)
            done.alarms += _count_true(table, "alarm")
            if done.selected is not None:
                done.selected += _count_true(table, "selected")
            _add_counts(done.novel, file.names, batch.rows.novel)
            _add_counts(done.outside, file.names, model.outside(batch.rows))
            progress(done.rows, file.source.total)
        if not (done.rows or may_be_empty):
            raise file.has_no_rows()
    done.drift = monitor.result()
    return done


def score_frame(model: TabularModel, frame: pd.DataFrame, *, reasons: int = 0) -> dict[str, Any]:
    """Return the columns that `score_file` writes for each row of a data frame: score, p_value, alarm, reason_1, ...

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from radogaga import RaDOGAGA
    >>> from radogaga.tabular.scoring import score_frame
    >>> frame = pd.DataFrame(np.random.RandomState(0).normal(size=(100, 2)), columns=["a", "b"])
    >>> model = RaDOGAGA(max_steps=0, random_state=0).fit(frame).model_
    >>> list(score_frame(model, frame, reasons=1))
    ['score', 'p_value', 'alarm', 'reason_1']
    """
    rows = model.read(frame)
    score = model.score(rows)
    alarm = model.calibration.is_anomaly(score)
    texts = {f"reason_{i + 1}": why for i, why in enumerate(_reasons(model, rows, alarm, reasons))}
    return {"score": score, "p_value": model.calibration.p_value(score), "alarm": alarm, **texts}


def measure_drift(
    model: TabularModel,
    path: Path,
    *,
    id_column: str | None = None,
    progress: Progress = lambda done, total: None,
    max_rows: int = 65_536,
) -> Drift:
    """Return how the rows of a file differ from the training rows, read in memory that does not grow with it."""
    file, monitor, done = ScorableFile.open(model, path, id_column, max_rows=max_rows), DriftMonitor(model), 0
    for batch in file.batches(model):
        monitor.add(batch.rows, batch.score)
        done += len(batch.score)
        progress(done, file.source.total)
    if not done:
        raise file.has_no_rows()
    return monitor.result()


def score_with_labels(
    model: TabularModel,
    path: Path,
    label: str,
    *,
    id_column: str | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[Array, list[str | None]]:
    """Return the scores of a file's rows, and what a column of labels says of each, as text, None for nothing."""
    file = ScorableFile.open(model, path, id_column)
    if label not in file.source.names:
        raise InputError(f"Expected a column {label!r} of labels in {path}; there is none. Pass another --label.")
    if label in file.names:
        raise InputError(f"Expected labels that the model has not seen; {label!r} is one of its columns. Fit without.")
    scores: list[Array] = []
    labels: list[str | None] = []
    for batch in file.batches(model, label):
        assert batch.label is not None
        scores.append(batch.score)
        labels += batch.label.cast(pa.string()).to_pylist()
        progress(len(labels), file.source.total)
    if not labels:
        raise file.has_no_rows()
    return np.concatenate(scores), labels


def is_scores(path: Path) -> bool:
    """Return whether `score_file` wrote a file."""
    if path.suffix.lower() != ".csv":
        return is_marked(path)
    with path.open("rb") as file:
        return _HEADER.fullmatch(file.readline(10_000)) is not None


def lowest_rows(
    model: TabularModel, path: Path, count: int, *, id_column: str | None = None, progress: Progress
) -> SelectedRows:
    """Return the rows of a file that score lowest, the lowest first."""
    file = ScorableFile.open(model, path, id_column)
    kept, done = pd.DataFrame(), 0
    for batch in file.batches(model):
        ids = [None] * len(batch.score) if batch.id is None else batch.id.to_pylist()
        # By place, so that no column's name can be in the way.
        new = batch.frame.set_axis(range(batch.frame.shape[1]), axis=1)
        new = new.assign(score=batch.score, row=np.arange(len(new)) + batch.start, id=pd.Series(ids, dtype=object))
        new = new.nsmallest(count, "score")
        kept = pd.concat([kept, new]).nsmallest(count, "score") if len(kept) else new
        done += len(batch.score)
        progress(done, file.source.total)
    if not done:
        raise file.has_no_rows()
    frame = kept.drop(columns=["score", "row", "id"]).set_axis(file.names, axis=1)
    return SelectedRows(frame.reset_index(drop=True), kept["row"].tolist(), kept["id"].tolist())


def nth_row(model: TabularModel, path: Path, row: int, *, id_column: str | None = None) -> SelectedRows:
    """Return one row of a file, counted from 0."""
    file, start = ScorableFile.open(model, path, id_column), 0
    for batch in file.source.batches(file.types):
        if row < start + len(batch):
            one = batch.slice(row - start, 1)
            ids = one.column(file.id[0]).to_pylist() if file.id else [None]
            return SelectedRows(as_frame(one.select(file.names), path), [row], ids)
        start += len(batch)
    raise InputError(f"Expected a row of 0 to {start - 1} in {path}; got {row}. Pass another --row.")


def _add_counts(counts: dict[str, int], names: list[str], cells: NDArray[np.bool_]) -> None:
    for name, count in zip(names, cells.sum(0).tolist(), strict=True):
        if count:
            counts[name] = counts.get(name, 0) + count


def _highest_rank(model: TabularModel, file: ScorableFile, fdr: float) -> int:
    counts = np.zeros(len(model.calibration.scores) + 1, np.int64)
    model.calibration.highest_rank(counts, fdr)  # a wrong fdr is told before the file is read
    for batch in file.batches(model):
        counts += np.bincount(model.calibration.rank(batch.score), minlength=len(counts))
    return model.calibration.highest_rank(counts, fdr)


def _count_true(table: pa.RecordBatch, column: str) -> int:
    return int(np.count_nonzero(table.column(column).to_numpy(zero_copy_only=False)))


def _schema(file: ScorableFile, reasons: int, *, selects: bool) -> pa.Schema:
    # Identifiers are written as text: a file's later rows may not hold what its first ones do.
    columns = [("score", pa.float64()), ("p_value", pa.float64()), ("alarm", pa.bool_())]
    columns += [("selected", pa.bool_())] if selects else []
    columns += [(f"reason_{i + 1}", pa.string()) for i in range(reasons)]
    name = file.id[0] if file.id else "row"
    label = pa.field("id" if name in dict(columns) else name, pa.string() if file.id else pa.int64())
    return pa.schema([label, *columns])


def as_record_batch(
    model: TabularModel, batch: RowBatch, file: ScorableFile, reasons: int, highest_rank: int | None
) -> pa.RecordBatch:
    """Return what is written of scored rows: identifier or number, score, p-value, alarm, selected, reasons."""
    n, calibration = len(batch.score), model.calibration
    label = np.arange(batch.start, batch.start + n) if batch.id is None else batch.id.cast(pa.string())
    alarm = calibration.is_anomaly(batch.score)
    columns = [pa.array(label), *map(pa.array, (batch.score, calibration.p_value(batch.score), alarm))]
    told = alarm
    if highest_rank is not None:
        selected = calibration.rank(batch.score) <= highest_rank
        columns.append(pa.array(selected))
        told = alarm | selected
    columns += [pa.array(why, pa.string()) for why in _reasons(model, batch.rows, told, reasons)]
    return pa.RecordBatch.from_arrays(columns, schema=_schema(file, reasons, selects=highest_rank is not None))


def _reasons(model: TabularModel, rows: EncodedRows, alarm: Any, count: int) -> list[list[str | None]]:
    """Return for the first to the last reason a column of texts, None where there is no alarm or no such reason."""
    columns: list[list[str | None]] = [[None] * len(alarm) for _ in range(count)]
    places = np.flatnonzero(alarm)
    if not count or not len(places):
        return columns
    explanation = model.explain(rows.take(places))
    for i, place in enumerate(places):
        for column, reason in zip(columns, explanation.reasons(i, count), strict=False):
            column[place] = str(reason)
    return columns
