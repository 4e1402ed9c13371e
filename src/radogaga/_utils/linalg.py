"""Linear algebra of rows: principal components and how many count, correlation, a Cholesky that does not fail."""

from __future__ import annotations

import torch
from torch import Tensor

_ROWS_AT_ONCE = 8192
_MAX_EXACT = 2048


def pca(
    s: Tensor, count: int | None = None, *, seed: int = 0, max_exact: int = _MAX_EXACT
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the centre, the leading principal axes and the variance along each, largest first.

    Exact where all axes are asked for, or where rows or features are few; otherwise by randomized subspace iteration,
    which takes seconds where the exact answer takes minutes.

    Parameters
    ----------
    s : Tensor
        Scaled rows, ``(n, M)``.
    count : int, optional
        Number of axes, K; by default all, min(n, M).
    seed : int
        Seed of the directions that the iteration starts from.
    max_exact : int
        Rows or features, whichever are fewer, up to which the answer is exact.

    Returns
    -------
    centre, axes, variances : Tensor
        ``(M,)``, ``(K, M)`` with orthonormal rows, ``(K,)``; variances divide by n.

    References
    ----------
    Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53, 2011.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.linalg import pca
    >>> s = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [3.0, 0.0], [-3.0, 0.0]])
    >>> pca(s)[2], pca(s, 1)[1].abs()
    (tensor([5., 0.]), tensor([[1., 0.]]))
    """
    centre = s.mean(0)
    if count is None or min(s.shape) <= max(max_exact, 2 * count):
        axes, variances = _exact_pca(s, centre)
        return centre, axes[:count], variances[:count]
    s = s - centre
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(s.shape[1], 2 * count, generator=generator).to(s)
    for _ in range(8):
        basis = torch.linalg.qr(s.T @ (s @ torch.linalg.qr(basis).Q)).Q
    _, lengths, turn = torch.linalg.svd(s @ basis, full_matrices=False)
    return centre, (turn @ basis.T)[:count], lengths[:count].square() / len(s)


def _exact_pca(s: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    # The triangular factor of the rows has their axes; piece by piece, a long set needs no copy of itself.
    triangle = s.new_zeros(0, s.shape[1], dtype=torch.float64)
    for part in s.split(_ROWS_AT_ONCE):
        triangle = torch.cat([triangle, (part - centre).double()])
        if len(triangle) > s.shape[1]:
            triangle = torch.linalg.qr(triangle, mode="r").R
    _, lengths, axes = torch.linalg.svd(triangle, full_matrices=False)
    return axes.to(s.dtype), (lengths.square() / len(s)).to(s.dtype)


def pearson(a: Tensor, b: Tensor) -> float:
    """Return Pearson's correlation of two vectors of the same length, ``(n,), (n,)``.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.linalg import pearson
    >>> round(pearson(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 5.0])), 6)
    1.0
    """
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def parallel_analysis(s: Tensor, *, max_rows: int = 20_000, seed: int = 0) -> int:
    """Return how many leading principal components have more variance than chance gives: Horn's parallel analysis.

    Chance is the spectrum of the same columns, each shuffled by itself. At least 1.

    Parameters
    ----------
    s : Tensor
        Scaled rows, ``(n, M)``.
    max_rows : int
        Rows to use at most, chosen at random.
    seed : int
        Seed of the choice of rows and of the shuffles.

    References
    ----------
    Horn, "A rationale and test for the number of factors in factor analysis", Psychometrika 30, 1965.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.linalg import parallel_analysis
    >>> generator = torch.Generator().manual_seed(0)
    >>> plane = torch.randn(500, 2, generator=generator) @ torch.randn(2, 8, generator=generator)
    >>> parallel_analysis(plane + 0.1 * torch.randn(500, 8, generator=generator))
    2
    """
    generator = torch.Generator().manual_seed(seed)
    s = s[torch.randperm(len(s), generator=generator)[:max_rows]]
    shuffled = torch.stack([column[torch.randperm(len(s), generator=generator)] for column in s.T], 1)
    above = pca(s)[2] > pca(shuffled)[2] * (1 + 1e-5)
    return max(int(above.long().cumprod(0).sum()), 1)


def components_for_variance(s: Tensor, share: float) -> int:
    """Return how many leading principal components carry at least a share of the variance, in (0, 1]."""
    variances = pca(s)[2]
    carried = variances.cumsum(0) / variances.sum().clamp_min(torch.finfo(s.dtype).tiny)
    return min(int((carried < share).sum()) + 1, len(variances))


def residual_variance(s: Tensor, latents: int) -> float:
    """Return the mean variance of the directions after the leading components: the noise of probabilistic PCA."""
    variances = pca(s)[2]
    return float(variances[latents:].sum() / max(s.shape[1] - latents, 1))


def robust_cholesky(covariance: Tensor) -> Tensor:
    """Return Cholesky factors, ``(..., N, N) -> (..., N, N)``, with a jitter that grows until it works.

    The jitter starts at 1e-7 of the mean variance (none where none is needed) and grows tenfold.

    Raises
    ------
    FloatingPointError
        If a matrix is not finite.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.linalg import robust_cholesky
    >>> torch.isfinite(robust_cholesky(torch.ones(2, 2))).all()
    tensor(True)
    """
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if not torch.isfinite(factor.diagonal(dim1=-2, dim2=-1)).all() or not torch.isfinite(covariance).all():
        raise FloatingPointError("Expected finite covariances; got nan or inf. Lower the learning rate.")
    if not failed.any():
        return factor
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    mean_variance = covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(torch.finfo(covariance.dtype).tiny)
    jitter = 1e-7 * mean_variance[..., None, None] * identity
    while failed.any():
        covariance = torch.where(failed[..., None, None] > 0, covariance + jitter, covariance)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        jitter = 10 * jitter
    return factor
