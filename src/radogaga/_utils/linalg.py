"""The spectrum of rows: what a straight line already says about how many latents there are, and how much is noise."""

from __future__ import annotations

import torch
from torch import Tensor

_MOST_ROWS = 8192
_MOST_EXACT = 2048


def full_pca(s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the centre, the principal axes and the variance along each, largest first.

    Parameters
    ----------
    s : Tensor
        Scaled rows, ``(n, M)``.

    Returns
    -------
    centre, axes, variances : Tensor
        ``(M,)``, ``(min(n, M), M)`` with orthonormal rows, ``(min(n, M),)``; variances divide by n.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.linalg import full_pca
    >>> _, _, variances = full_pca(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [3.0, 0.0], [-3.0, 0.0]]))
    >>> variances
    tensor([5., 0.])
    """
    centre = s.mean(0)
    # The triangular factor of the rows has their axes; piece by piece, a long set needs no copy of itself.
    triangle = s.new_zeros(0, s.shape[1], dtype=torch.float64)
    for part in s.split(_MOST_ROWS):
        triangle = torch.cat([triangle, (part - centre).double()])
        if len(triangle) > s.shape[1]:
            triangle = torch.linalg.qr(triangle, mode="r").R
    _, lengths, axes = torch.linalg.svd(triangle, full_matrices=False)
    return centre, axes.to(s.dtype), (lengths.square() / len(s)).to(s.dtype)


def pca(s: Tensor, count: int, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return the centre, the leading principal axes and the variance along each: `full_pca`, cut short.

    Where both rows and features are more than 2048, by randomized subspace iteration: minutes become seconds.

    Parameters
    ----------
    s : Tensor
        Scaled rows, ``(n, M)``.
    count : int
        Number of axes.
    seed : int
        Draws the directions that the iteration starts from.

    References
    ----------
    Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53, 2011.

    Examples
    --------
    >>> import torch
    >>> from radogaga._utils.linalg import pca
    >>> pca(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [3.0, 1.0], [-3.0, -1.0]]), 1)[1].shape
    torch.Size([1, 2])
    """
    if min(s.shape) <= max(_MOST_EXACT, 2 * count):
        centre, axes, variances = full_pca(s)
        return centre, axes[:count], variances[:count]
    centre = s.mean(0)
    s = s - centre
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(s.shape[1], 2 * count, generator=generator).to(s)
    for _ in range(8):
        basis = torch.linalg.qr(s.T @ (s @ torch.linalg.qr(basis).Q)).Q
    _, lengths, turn = torch.linalg.svd(s @ basis, full_matrices=False)
    return centre, (turn @ basis.T)[:count], lengths[:count].square() / len(s)


def parallel_analysis(s: Tensor, *, most_rows: int = 20_000, seed: int = 0) -> int:
    """Return how many leading principal components have more variance than chance gives: Horn's parallel analysis.

    Chance is the spectrum of the same columns, each shuffled by itself. There is always one component.

    Parameters
    ----------
    s : Tensor
        Scaled rows, ``(n, M)``.
    most_rows : int
        Rows to look at, a random choice of them.
    seed : int
        Draws the rows and shuffles the columns.

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
    s = s[torch.randperm(len(s), generator=generator)[:most_rows]]
    shuffled = torch.stack([column[torch.randperm(len(s), generator=generator)] for column in s.T], 1)
    above = full_pca(s)[2] > full_pca(shuffled)[2] * (1 + 1e-5)
    return max(int(above.long().cumprod(0).sum()), 1)


def components_for_variance(s: Tensor, share: float) -> int:
    """Return how many leading principal components carry a share of the variance."""
    variances = full_pca(s)[2]
    carried = variances.cumsum(0) / variances.sum().clamp_min(torch.finfo(s.dtype).tiny)
    return min(int((carried < share).sum()) + 1, len(variances))


def residual_variance(s: Tensor, latents: int) -> float:
    """Return the mean variance in the directions that the leading components leave: probabilistic PCA's noise."""
    variances = full_pca(s)[2]
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

