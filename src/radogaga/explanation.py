"""Why a row scores as it does: what each column adds to the way from a typical row's score to its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from radogaga.tables import Rows, Table
from radogaga.units import Array, Units

_POINTS = 64
# Numbers at once on the way, and in the search for the nearest typical row: 32 MB each.
_MOST_NUMBERS = 2**22


class Reason(NamedTuple):
    """One column's part in a row's score."""

    column: str
    value: Any
    typical: Any
    contribution: float

    def __str__(self) -> str:
        return f"{self.column} = {shown(self.value)}, typically {shown(self.typical)} ({self.contribution:+.1f} nats)"


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
    unseen : ndarray of bool
        Cells that hold what no training row held, ``(n, M)``.
    off_constant : ndarray of bool
        Cells that differ in columns that were constant: these carry no density, and nothing in the score, ``(n, M)``.
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
    unseen: NDArray[np.bool_]
    off_constant: NDArray[np.bool_]
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
            if self.contributions[row, j] < 0
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return one line for each row and column: value, typical value, contribution, whether it was unseen."""
        n, m = self.contributions.shape
        return pd.DataFrame(
            {
                "row": np.repeat(np.arange(n), m),
                "column": np.tile(np.array(self.columns, dtype=object), n),
                "value": self.values.to_numpy(dtype=object).ravel(),
                "typical": self.typical.to_numpy(dtype=object).ravel(),
                "contribution": self.contributions.ravel(),
                "unseen": self.unseen.ravel(),
                "off_constant": self.off_constant.ravel(),
            }
        )


def explain(
    score: Callable[[Array], Array],
    log_density: Callable[[Tensor], Tensor],
    units: Units,
    table: Table,
    typical: Array,
    rows: Rows,
    columns: Sequence[str],
) -> Explanation:
    """Return the contributions of a table's columns to the scores of rows.

    Integrated gradients of a log density (Sundararajan et al., 2017) from the nearest typical row, on a line that
    is straight in asinh of the standardised columns, so that it comes through a value of 1e300 in as many steps as
    through one of 10. What the score has besides, and what the quadrature misses, is shared out in proportion to the
    contributions, so that they add up. captum's IntegratedGradients would do the middle one of these three steps, and
    its sums do not add up; that is twenty lines here, so captum is no dependency.

    Parameters
    ----------
    score : callable
        Log density of rows as numbers, ``(n, K) -> (n,)``.
    log_density : callable
        Log density of standardised rows, ``(B, K) -> (B,)``, differentiable: that of the score but for a constant, or
        a smoother one that ranks unusual rows alike.
    units, table
        From the table to numbers to standardised numbers.
    typical : ndarray
        Rows that score well, as numbers.
    rows : Rows
        What is explained.
    columns : sequence of str
        The names of the table's M columns.
    """
    s, candidates = units.standardise(rows.x), units.standardise(typical)
    nearest = _nearest(np.arcsinh(s), np.arcsinh(candidates))
    parts = _integrated(log_density, candidates[nearest], s)
    density, baseline = score(rows.x), score(typical[nearest])
    by_number = _add_up(parts, s - candidates[nearest], density - baseline)
    contributions = -rows.surprise.copy()
    np.add.at(contributions.T, table.owner[units.varying], by_number.T)
    unseen = rows.surprise > 0
    off_constant = np.zeros_like(unseen)
    differs = rows.x[:, ~units.varying] != units.row[~units.varying]
    np.logical_or.at(off_constant.T, table.owner[~units.varying], differs.T)
    return Explanation(
        tuple(columns),
        contributions,
        density - rows.cost,
        baseline,
        _named(rows.given, columns),
        _named(table.decode(typical[nearest]), columns),
        unseen,
        off_constant,
        _values(log_density, s) - _values(log_density, candidates[nearest]) - parts.sum(1),
    )


def _nearest(u: Array, candidates: Array) -> NDArray[np.int64]:
    """Return for each row the candidate that agrees with it in most columns: one that is far off hardly counts."""
    rows = max(_MOST_NUMBERS // candidates.size, 1)
    found = [
        np.log1p(np.square(u[start : start + rows, None] - candidates)).sum(2).argmin(1)
        for start in range(0, len(u), rows)
    ]
    return np.concatenate(found)


def _integrated(log_density: Callable[[Tensor], Tensor], start: Array, end: Array) -> Array:
    """Return what each number adds to the log density on the way, ``(n, K)``."""
    place, weight = (torch.as_tensor(a) for a in np.polynomial.legendre.leggauss(_POINTS))
    place, weight = (place + 1) / 2, weight / 2
    rows = max(_MOST_NUMBERS // (_POINTS * start.shape[1]), 1)
    parts = []
    for a, b in zip(_tensors(start, rows), _tensors(end, rows), strict=True):
        from_, to = a.asinh(), b.asinh()
        way = (from_ + place[:, None, None] * (to - from_)).requires_grad_(True)
        (slope,) = torch.autograd.grad(log_density(way.sinh().flatten(0, 1)).sum(), way)
        parts.append((weight[:, None, None] * slope).sum(0) * (to - from_))
    return np.asarray(torch.cat(parts).numpy())


@torch.no_grad()
def _values(log_density: Callable[[Tensor], Tensor], x: Array) -> Array:
    return np.asarray(log_density(torch.as_tensor(x)).numpy())


def _tensors(x: Array, rows: int) -> tuple[Tensor, ...]:
    return torch.as_tensor(x).split(rows)


def _add_up(parts: Array, step: Array, difference: Array) -> Array:
    """Return parts that add up to the difference, what is missing shared out by their size, or by that of the step."""
    share = np.abs(parts)
    share = np.where(share.sum(1, keepdims=True) > 0, share, np.abs(step))
    total = share.sum(1, keepdims=True)
    share = np.divide(share, total, out=np.full_like(share, 1 / share.shape[1]), where=total > 0)
    return parts + share * (difference - parts.sum(1))[:, None]


def _named(rows: Any, columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows).set_axis(list(columns), axis=1).reset_index(drop=True)


def shown(value: Any) -> str:
    """Return a cell as a person reads it, 40 characters at most."""
    if pd.isna(value):
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:40]
