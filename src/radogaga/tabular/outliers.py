"""Bounds beyond which values of training rows are clipped, so that a few outliers do not set a column's scale."""

from __future__ import annotations

import torch
from torch import Tensor

from radogaga.tabular.defaults import MAX_ROWS_PER_RANGE, MIN_ROWS_PER_RANGE, MIN_ROWS_TO_TRIM


def outlier_bounds(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower and upper bound of each column, outliers left out, ``(n, M) -> 2 x (M,)``.

    A column's range among a tenth of the rows, at least 50 and at most 5,000 of them, and as far again on both sides.
    Among all rows one outlier, 1e6 for unknown say, would be the column's scale and most of the variance besides, and
    make all other rows look alike; and the more rows there are, the further off is the furthest. A range is the median
    over parts of the rows, of those in which the column varies; of fewer than 100 rows, that of all but the smallest
    and the largest.

    Examples
    --------
    >>> import torch
    >>> from radogaga.tabular.outliers import outlier_bounds
    >>> x = torch.rand(1000, 1)
    >>> x[0] = 1e6
    >>> low, high = outlier_bounds(x)
    >>> bool(low > -1 and high < 2)
    True
    """
    rows = min(max(len(x) // 10, MIN_ROWS_PER_RANGE), MAX_ROWS_PER_RANGE)
    if len(x) < 2 * rows:
        ordered, trimmed = x.sort(dim=0).values, int(len(x) >= MIN_ROWS_TO_TRIM)
        smallest, largest = ordered[[trimmed]], ordered[[-1 - trimmed]]
    else:
        parts = [part.aminmax(dim=0) for part in x.tensor_split(len(x) // rows)]
        smallest, largest = torch.stack([part.min for part in parts]), torch.stack([part.max for part in parts])
    varies = largest > smallest
    low, high = -_median_where(varies, -smallest), _median_where(varies, largest)  # of an even number the inner one
    # A column that varies only between parts, or by what was left out, keeps all its values.
    low, high = torch.where(low.isnan(), x.amin(0), low), torch.where(high.isnan(), x.amax(0), high)
    return low - (high - low), high + (high - low)


def _median_where(chosen: Tensor, values: Tensor) -> Tensor:
    """Return each column's median over the rows that are chosen there, nan where there are none."""
    return values.masked_fill(~chosen, torch.nan).nanmedian(0).values
