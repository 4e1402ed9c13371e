"""Why a row scores as it does: what each column adds to the way from a typical row's score to its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from radogaga._utils.batching import rows_in_memory
from radogaga._utils.checks import format_value
from radogaga.tabular.category_table import Codes
from radogaga.tabular.columns.encoder import EncodedRows
from radogaga.tabular.defaults import QUADRATURE_POINTS
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
        Log density of the rows and of their typical rows, ``(n,)``.
    values, typical : DataFrame
        The rows, and for each the nearest of the training rows that score well, ``(n, M)``.
    novel : ndarray of bool
        Cells that hold what no training row held, ``(n, M)``.
    error : ndarray
        Nats by which the integral missed the difference it is taken of, before that was shared out, ``(n,)``.

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
    error: Array

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

    Integrated gradients of the log density (Sundararajan et al., 2017) from the nearest reference row, on a line that
    is straight in asinh of the standardised columns, so that it comes through a value of 1e300 in as many steps as
    through one of 10. What the score has besides, and what the quadrature misses, is shared out in proportion to the
    contributions, so that they add up. captum's IntegratedGradients would do the middle one of these three steps, and
    its sums do not add up; that is twenty lines here, so captum is no dependency.

    Parameters
    ----------
    model : TabularModel
        The fitted model.
    rows : EncodedRows
        What is explained.
    """
    encoder, standardizer = model.encoder, model.standardizer
    x, codes = model.unpack(model.reference_rows)
    s, candidates = standardizer.transform(rows.x), standardizer.transform(x)
    nearest = _nearest(np.arcsinh(s), np.arcsinh(candidates), rows.codes, codes)
    x, codes, start = x[nearest], codes[nearest], candidates[nearest]
    parts = _integrated(model.smooth_log_density, start, s)
    numbers, numbers_of_reference = model.score_numbers(rows.x), model.score_numbers(x)
    score, baseline = model.score(rows), model.score_packed(model.reference_rows[nearest])
    by_number = _add_up(parts, s - start, numbers - numbers_of_reference)
    by_code = model.score_codes(rows.x, rows.codes) - model.score_codes(x, codes)
    left = (score + rows.total_novelty - numbers) - (baseline - numbers_of_reference)
    by_code = _add_up(by_code, (rows.codes != codes).astype(np.float64), left)
    contributions = -rows.novelty.copy()
    np.add.at(contributions.T, encoder.source_column[standardizer.varying], by_number.T)
    np.add.at(contributions.T, encoder.code_column, by_code.T)
    error = _values(model.smooth_log_density, s) - _values(model.smooth_log_density, start) - parts.sum(1)
    return Explanation(
        tuple(encoder.labels),
        contributions,
        score,
        baseline,
        _named(rows.raw, encoder.labels),
        _named(encoder.decode(x, codes), encoder.labels),
        rows.novel,
        error,
    )


def _nearest(u: Array, candidates: Array, codes: Codes, candidate_codes: Codes) -> Codes:
    """Return for each row the candidate that agrees with it in most columns: one that is far off hardly counts."""
    found = []
    for part in _parts(len(u), rows_in_memory(candidates.size + candidate_codes.size)):
        distance = np.log1p(np.square(u[part, None] - candidates)).sum(2)
        different = (codes[part, None] != candidate_codes).sum(2)
        found.append((distance + np.log(2) * different).argmin(1))
    return np.concatenate(found)


def _integrated(log_density: Callable[[Tensor], Tensor], start: Array, end: Array) -> Array:
    """Return what each number adds to the log density on the way, ``(n, K)``."""
    place, weight = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(QUADRATURE_POINTS))
    place, weight = (place + 1) / 2, weight / 2
    rows = rows_in_memory(QUADRATURE_POINTS * start.shape[1])
    if not start.size:
        return np.zeros_like(start)
    parts = []
    for part in _parts(len(start), rows):
        from_, to = torch.as_tensor(start[part]).asinh(), torch.as_tensor(end[part]).asinh()
        way = (from_ + place[:, None, None] * (to - from_)).requires_grad_()
        (slope,) = torch.autograd.grad(log_density(way.sinh().flatten(0, 1)).sum(), way)
        parts.append((weight[:, None, None] * slope).sum(0) * (to - from_))
    return np.asarray(torch.cat(parts).numpy())


@torch.no_grad()
def _values(log_density: Callable[[Tensor], Tensor], x: Array) -> Array:
    return np.asarray(log_density(torch.as_tensor(x)).numpy())


def _parts(rows: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, rows, size)]


def _add_up(parts: Array, step: Array, difference: Array) -> Array:
    """Return parts that add up to the difference, what is missing shared out by their size, or by that of the step."""
    if not parts.shape[1]:
        return parts
    share = np.abs(parts)
    share = np.where(share.sum(1, keepdims=True) > 0, share, np.abs(step))
    total = share.sum(1, keepdims=True)
    share = np.divide(share, total, out=np.full_like(share, 1 / share.shape[1]), where=total > 0)
    return parts + share * (difference - parts.sum(1))[:, None]


def _named(rows: Any, columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows).set_axis(list(columns), axis=1).reset_index(drop=True)
