"""Why a row scores as it does: what each column adds to the way from a typical row's score to its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radogaga._utils.batching import rows_in_memory
from radogaga._utils.checks import format_value
from radogaga.tabular.category_table import Codes
from radogaga.tabular.columns.encoder import EncodedRows
from radogaga.tabular.defaults import MAX_COLUMNS_EXPLAINED
from radogaga.tabular.standardize import Array

if TYPE_CHECKING:
    from radogaga.tabular.model import TabularModel


_ROUNDING = 1e-6  # nats: what is less is no reason


class Reason(NamedTuple):
    """One column's part in a row's score."""

    column: str
    value: Any
    typical: Any
    contribution: float

    def __str__(self) -> str:
        value, typical = format_value(self.value), format_value(self.typical)
        return f"{self.column} = {value}, typically {typical} ({self.contribution:+.1f} nats)"


@dataclass(frozen=True)
class Explanation:
    """Rows beside typical rows, and what each column adds to the difference of their scores.

    Attributes
    ----------
    columns : tuple of str
        The table's columns.
    contributions : ndarray
        Nats that each column adds, ``(n, M)``: they sum over columns to ``score - baseline``.
    score, baseline : ndarray
        Scores of the rows and of their typical rows, ``(n,)``.
    values, typical : DataFrame
        The rows, and for each the nearest of the training rows that score well, ``(n, M)``.
    novel : ndarray of bool
        Cells that hold what no training row held, ``(n, M)``.
    interaction : ndarray
        Nats that columns add together and none alone, before they were shared out, ``(n,)``.

    Examples
    --------
    >>> import numpy as np
    >>> from radogaga import RaDOGAGA
    >>> x = np.random.RandomState(0).normal(size=(200, 3))
    >>> model = RaDOGAGA(max_steps=20, random_state=0).fit(x)
    >>> explanation = model.explain([[0.0, 0.0, 9.0]])
    >>> explanation.reasons(0)[0].column
    '2'
    >>> np.allclose(explanation.contributions.sum(1), explanation.score - explanation.baseline)
    True
    """

    columns: tuple[str, ...]
    contributions: Array
    score: Array
    baseline: Array
    values: pd.DataFrame
    typical: pd.DataFrame
    novel: NDArray[np.bool_]
    interaction: Array

    def reasons(self, row: int, most: int = 3) -> list[Reason]:
        """Return the columns that lower a row's score, those that lower it most first."""
        order = self.contributions[row].argsort(kind="stable")[:most]
        return [
            Reason(
                self.columns[j],
                self.values.iat[row, j],
                self.typical.iat[row, j],
                float(self.contributions[row, j]),
            )
            for j in order
            if self.contributions[row, j] < -_ROUNDING
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return one line for each row and column: value, typical value, contribution, whether it was novel."""
        n, m = self.contributions.shape
        return pd.DataFrame(
            {
                "row": np.repeat(np.arange(n), m),
                "column": np.tile(np.array(self.columns, dtype=object), n),
                "value": self.values.to_numpy(dtype=object).ravel(),
                "typical": self.typical.to_numpy(dtype=object).ravel(),
                "contribution": self.contributions.ravel(),
                "novel": self.novel.ravel(),
            }
        )


def explain(model: TabularModel, rows: EncodedRows) -> Explanation:
    """Return the contributions of a table's columns to the scores of rows.

    A column's contribution is the mean of two differences: what the score of the row loses by the column, beside the
    same row with the reference row's value in it, and what the score of the reference row would lose by it. These are
    the first and the last term of Shapley's value (1953), at two scores a column. What the interactions of several
    columns add is shared out in proportion to the contributions, so that they add up. Numbers, categories and dates
    follow the same rule. Of wide tables the hundred columns of each row count that are furthest from the reference.

    Parameters
    ----------
    model : TabularModel
        The fitted model.
    rows : EncodedRows
        What is explained.
    """
    packed = rows.packed
    references = model.reference_rows[_nearest_references(model, packed)]
    score, baseline = model.score(rows), model.score_packed(references)
    distances = _distances(model, packed, references)
    contributions = _swapped(model, packed, references, distances)
    missing = score + rows.total_novelty - baseline - contributions.sum(1)
    contributions = _add_up(contributions, distances > 0, missing) - rows.novelty
    return Explanation(
        tuple(model.encoder.labels),
        contributions,
        score,
        baseline,
        _named(rows.raw, model.encoder.labels),
        _named(model.encoder.decode(*model.unpack(references)), model.encoder.labels),
        rows.novel,
        missing,
    )


def _nearest_references(model: TabularModel, packed: Array) -> Codes:
    """Return for each row the reference that agrees with it in most columns: one that is far off hardly counts."""
    x, codes = model.unpack(packed)
    reference_x, reference_codes = model.unpack(model.reference_rows)
    u, candidates = (np.arcsinh(model.standardizer.transform(rows)) for rows in (x, reference_x))
    found = []
    for part in _parts(len(u), rows_in_memory(model.reference_rows.size)):
        distance = np.log1p(np.square(u[part, None] - candidates)).sum(2)
        different = (codes[part, None] != reference_codes).sum(2)
        found.append((distance + np.log(2) * different).argmin(1))
    return np.concatenate(found)


def _column_of_place(model: TabularModel) -> Codes:
    """Return which of the M columns each number and each code comes from, ``(K + J,)``."""
    return np.concatenate([model.encoder.source_column, model.encoder.code_column])


def _distances(model: TabularModel, packed: Array, references: Array) -> Array:
    """Return how far each column of rows is from their references, ``(n, M)``: 0 where they agree."""
    (x, codes), (reference_x, reference_codes) = model.unpack(packed), model.unpack(references)
    apart = np.zeros(x.shape)
    u, v = (np.arcsinh(model.standardizer.transform(rows)) for rows in (x, reference_x))
    apart[:, model.standardizer.varying] = np.abs(u - v)
    distances = np.zeros((len(packed), len(model.encoder.labels)))
    places = np.concatenate([apart, np.log(2) * (codes != reference_codes)], 1)
    for place, column in enumerate(_column_of_place(model)):
        distances[:, column] += places[:, place]
    return distances


def _furthest(distances: Array, most: int) -> tuple[Codes, Codes]:
    """Return rows and columns of the largest distances, at most `most` of each row, none that is 0."""
    order = np.argsort(-distances, axis=1, kind="stable")[:, :most]
    rows, place = np.nonzero(np.take_along_axis(distances, order, 1))
    return rows, order[rows, place]


def _swapped(model: TabularModel, packed: Array, references: Array, distances: Array) -> Array:
    """Return the mean of what each column adds to its reference row and to its row, ``(n, M)``."""
    column_of_place = _column_of_place(model)
    contributions = np.zeros(distances.shape)
    score, baseline = model.score_packed(packed), model.score_packed(references)
    rows, columns = _furthest(distances, MAX_COLUMNS_EXPLAINED)
    for part in _parts(len(rows), rows_in_memory(4 * packed.shape[1])):
        at, column = rows[part], columns[part]
        here = column_of_place == column[:, None]
        without = np.where(here, references[at], packed[at])
        alone = np.where(here, packed[at], references[at])
        scores = model.score_packed(np.concatenate([without, alone]))
        lost, gained = score[at] - scores[: len(at)], scores[len(at) :] - baseline[at]
        contributions[at, column] = (lost + gained) / 2
    return contributions


def _parts(rows: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, rows, size)]


def _add_up(parts: Array, differs: NDArray[np.bool_], missing: Array) -> Array:
    """Return parts that add up, what is missing shared out by their size, or evenly over columns that differ."""
    share = np.abs(parts)
    share = np.where(share.sum(1, keepdims=True) > 0, share, differs)
    total = share.sum(1, keepdims=True)
    share = np.divide(share, total, out=np.full(share.shape, 1 / max(share.shape[1], 1)), where=total > 0)
    return np.asarray(parts + share * missing[:, None])


def _named(rows: Any, columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows).set_axis(list(columns), axis=1).reset_index(drop=True)
