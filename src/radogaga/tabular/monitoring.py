"""Whether later rows look like the training rows: their scores, and each column for itself, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from radogaga._utils.checks import format_value
from radogaga.tabular.columns.encoder import EncodedRows
from radogaga.tabular.defaults import DRIFT_LEVEL, MIN_DRIFT
from radogaga.tabular.model import TabularModel
from radogaga.tabular.standardize import Array
from radogaga.tabular.training_columns import TrainingColumns, count_codes


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column's distribution is from that of the training rows.

    Attributes
    ----------
    column : str
        The column, or "COLUMN is missing".
    distance : float
        Of numbers the largest difference of the two distribution functions (Kolmogorov and Smirnov), of categories the
        largest difference of a share.
    p_value : float
        Probability of such a distance without drift, at most; over all values of the column.
    where : str
        The value at which they differ most, or the category.
    before, now : float
        Share of training rows, and of these, that are no higher than that value, or of that category.
    """

    column: str
    distance: float
    p_value: float
    where: str
    before: float
    now: float


@dataclass(frozen=True)
class Drift:
    """How rows differ from the training rows.

    Attributes
    ----------
    rows : int
        How many there are.
    score_distance, score_p_value : float
        By how much the distribution function of the scores lies above that of the calibration scores, at most: rows
        that are less normal. And how probable that is, at most, if the true distance is .05 or less.
    columns : tuple of ColumnDrift
        Those with the largest distances first.
    """

    rows: int
    score_distance: float
    score_p_value: float
    columns: tuple[ColumnDrift, ...] = ()

    @property
    def scores_drifted(self) -> bool:
        """Whether scores are lower than those of training rows, beyond chance and by enough to matter."""
        return self.score_p_value <= DRIFT_LEVEL / 2

    @property
    def moved(self) -> tuple[ColumnDrift, ...]:
        """The columns that have moved, beyond chance and by enough to matter."""
        level = DRIFT_LEVEL / 2 / max(len(self.columns), 1)
        return tuple(c for c in self.columns if c.p_value <= level and c.distance >= MIN_DRIFT)

    @property
    def found(self) -> bool:
        """Whether rows have drifted: of files without drift, at most one in a hundred has."""
        return self.scores_drifted or bool(self.moved)

    def __str__(self) -> str:
        if not self.found:
            return f"{self.rows:,} rows look like the training rows"
        parts = [f"scores are lower (distance {self.score_distance:.2f})"] if self.scores_drifted else []
        if moved := self.moved:
            named = ", ".join(f"{c.column} ({c.distance:.2f})" for c in moved[:3])
            parts.append(f"{len(moved)} of {len(self.columns)} columns have moved, most of all {named}")
        return f"{self.rows:,} rows look different from the training rows: {'; '.join(parts)}"


class DriftMonitor:
    """Counts what rows hold, batch by batch, and compares it with the training rows.

    Scores are compared with the calibration scores, and each number and category with what `TrainingColumns` has of the
    training rows, by two-sample tests that share a false-alarm rate of 1 % (Bonferroni). Dates are not compared: a
    file of one day has few weekdays. Differences of distribution functions or shares below .05 do not count, however
    certain they are.

    Parameters
    ----------
    model : TabularModel
        A fitted model.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import RaDOGAGA
    >>> from radogaga.tabular.monitoring import DriftMonitor
    >>> random = np.random.RandomState(0)
    >>> model = RaDOGAGA(max_steps=0, random_state=0).fit(random.normal(size=(500, 2))).model_
    >>> monitor = DriftMonitor(model)
    >>> rows = model.read(random.normal(size=(300, 2)) + [0, 1])
    >>> monitor.add(rows, model.score(rows))
    >>> [column.column for column in monitor.result().moved]
    ['1']
    """

    def __init__(self, model: TabularModel) -> None:
        self._model, self._rows = model, 0
        self._scores = np.zeros(len(model.calibration.scores) + 1, np.int64)
        columns = model.training_columns
        shape = (0, 0) if columns is None else columns.quantiles.shape
        self._below, self._up_to = np.zeros(shape), np.zeros(shape)
        self._codes = [] if columns is None else [np.zeros_like(counts) for counts in columns.counts]

    def add(self, rows: EncodedRows, score: Array) -> None:
        """Count a batch of rows with their scores."""
        self._rows += len(score)
        self._scores += np.bincount(self._model.calibration.rank(score), minlength=len(self._scores))
        if (columns := self._model.training_columns) is None:
            return
        for j, q in enumerate(columns.quantiles):
            ordered = np.sort(rows.x[:, j])
            self._below[j] += np.searchsorted(ordered, q, "left")
            self._up_to[j] += np.searchsorted(ordered, q, "right")
        for counts, codes, known in zip(self._codes, rows.codes.T, columns.categories, strict=True):
            counts += count_codes(codes, known)

    def result(self) -> Drift:
        """Return how the rows so far differ from the training rows."""
        n, rows = len(self._model.calibration.scores), max(self._rows, 1)
        # The share of rows below each calibration score, less the share of calibration scores below it.
        distance = float(np.max(self._scores[:-1].cumsum() / rows - np.arange(n) / n, initial=0))
        # Left-out scores of training rows are not quite those of new rows: a difference within MIN_DRIFT is none.
        excess = max(distance - MIN_DRIFT, 0)
        p_value = float(np.exp(-2 * excess**2 * n * rows / (n + rows)))
        columns = self._model.training_columns
        drifts = [] if columns is None else [*self._numbers(columns), *self._categories(columns)]
        return Drift(self._rows, distance, p_value, tuple(sorted(drifts, key=lambda drift: -drift.distance)))

    def _numbers(self, columns: TrainingColumns) -> Iterator[ColumnDrift]:
        encoder, rows = self._model.encoder, max(self._rows, 1)
        pairs = np.stack([columns.below, columns.up_to], 2), np.stack([self._below, self._up_to], 2) / rows
        for j, (before, now) in enumerate(zip(*pairs, strict=True)):
            place = np.unravel_index(np.abs(now - before).argmax(), now.shape)
            distance = float(abs(now[place] - before[place]))
            p_value = float(2 * np.exp(-2 * distance**2 * columns.rows * rows / (columns.rows + rows)))
            column = int(encoder.source_column[j])
            where = ("below " if place[1] == 0 else "up to ") + f"{columns.quantiles[j, place[0]]:.6g}"
            shares = float(before[place]), float(now[place])
            yield ColumnDrift(encoder.labels[column], distance, min(p_value, 1.0), where, *shares)

    def _categories(self, columns: TrainingColumns) -> Iterator[ColumnDrift]:
        for j, (before, now) in enumerate(zip(columns.counts, self._codes, strict=True)):
            of, rows = int(before.sum()), int(now.sum())
            difference = now / max(rows, 1) - before / max(of, 1)
            i = int(np.abs(difference).argmax())
            # Exact: given how many rows hold it in all, how many of them are new ones.
            both = hypergeom(of + rows, int(before[i] + now[i]), rows)
            p_value = 2 * min(float(both.cdf(now[i])), float(both.sf(now[i] - 1))) * len(before)
            shares = float(before[i] / max(of, 1)), float(now[i] / max(rows, 1))
            where = self._category(j, columns, i)
            name = self._code_name(j)
            yield ColumnDrift(name, float(abs(difference[i])), min(p_value, 1.0), where, *shares)

    def _code_name(self, j: int) -> str:
        encoder = self._model.encoder
        name = encoder.labels[int(encoder.code_column[j])]
        return name if j < len(encoder.category_columns) else f"{name} is missing"

    def _category(self, j: int, columns: TrainingColumns, i: int) -> str:
        if i == len(columns.categories[j]):
            return "any other"
        encoder, code = self._model.encoder, columns.categories[j][[i]]
        if j >= len(encoder.category_columns):
            return "yes" if code[0] else "no"
        kind = encoder.column_types[encoder.category_columns[j]]
        value: Any = encoder.category_encoders[j].decode(code, kind)[0]
        return format_value(value)
