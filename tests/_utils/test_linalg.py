import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from torch import Tensor

from radogaga._utils.linalg import (
    components_for_variance,
    parallel_analysis,
    pca,
    pearson,
    residual_variance,
    robust_cholesky,
)


def correlated(n: int, columns: int) -> Tensor:
    return torch.randn(n, columns) @ torch.randn(columns, columns) + 3


def planted(rank: int, n: int = 600, columns: int = 20, noise: float = 0.3) -> Tensor:
    """Rows of a plane with noise about it."""
    axes = torch.linalg.qr(torch.randn(columns, rank)).Q
    return 3 * torch.randn(n, rank) @ axes.T + noise * torch.randn(n, columns)


ROWS = {
    "fewer rows than columns": lambda: correlated(12, 40),
    "as many rows as columns": lambda: correlated(20, 20),
    "more rows than columns": lambda: correlated(300, 7),
    "a long set": lambda: correlated(20_000, 5),
    "a long set of many columns": lambda: correlated(8500, 60),
    "constant columns": lambda: correlated(50, 5) * torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0]) + 2,
    "a repeated column": lambda: correlated(50, 5)[:, [0, 1, 2, 2, 3]],
    "far from the origin": lambda: correlated(300, 4) + 1e3,
    "one column": lambda: correlated(300, 1),
    "one row": lambda: correlated(1, 4),
}
each_rows = pytest.mark.parametrize("make", ROWS.values(), ids=ROWS)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


@each_rows
@each_dtype
def test_principal_axes_are_those_of_the_singular_value_decomposition(make, dtype: torch.dtype) -> None:
    s = make().to(dtype)
    centre, axes, variances = pca(s)
    centred = s.double().numpy() - s.double().numpy().mean(0)
    lengths = np.linalg.svd(centred, compute_uv=False)
    expected = lengths**2 / len(s)
    assert centre.dtype == axes.dtype == variances.dtype == dtype
    assert axes.shape == (len(expected), s.shape[1])
    close = 1e-5 if dtype == torch.float32 else 1e-10
    np.testing.assert_allclose(variances, expected, rtol=close, atol=close * max(expected[0], 1e-3))
    np.testing.assert_allclose(centre, s.double().mean(0), rtol=close)
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(expected)), atol=close)
    # Signs and the turn within equal variances are free: what the axes carry is not.
    rebuilt = axes.double().T @ torch.diag(variances.double()) @ axes.double()
    scale = max(expected[0], 1e-3)
    np.testing.assert_allclose(rebuilt / scale, centred.T @ centred / len(s) / scale, atol=10 * close)


@each_rows
def test_variances_fall_and_are_never_negative(make) -> None:
    variances = pca(make())[2]
    assert (variances.diff() <= 0).all()
    assert (variances >= 0).all()


def test_principal_axes_do_not_depend_on_the_order_of_rows() -> None:
    s = correlated(9000, 4)
    there, back = pca(s), pca(s.flip(0))
    torch.testing.assert_close(there[2], back[2])
    torch.testing.assert_close((there[1] * back[1]).sum(1).abs(), torch.ones(4))


# How many components


@pytest.mark.parametrize("rank", [1, 3, 6])
@pytest.mark.parametrize("rows", [200, 9000])
def test_a_planted_rank_is_found(rank: int, rows: int) -> None:
    s = planted(rank, rows)
    assert parallel_analysis(s) == rank
    assert parallel_analysis(s[:, torch.randperm(20)]) == rank
    assert parallel_analysis(torch.cat([s, torch.ones(rows, 3)], 1)) == rank


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_rank_does_not_depend_on_the_draw(seed: int) -> None:
    assert parallel_analysis(planted(3), max_rows=300, seed=seed) == 3


NOTHING = {
    "noise": lambda: torch.randn(400, 10),
    "fewer rows than columns": lambda: torch.randn(8, 30),
    "one column": lambda: torch.randn(400, 1),
    "constant": lambda: torch.ones(50, 5),
    "one row": lambda: torch.randn(1, 5),
}


@pytest.mark.parametrize("make", NOTHING.values(), ids=NOTHING)
def test_there_is_always_one_component_and_few_in_nothing(make) -> None:
    assert 1 <= parallel_analysis(make()) <= 4


def test_counting_is_repeatable_and_leaves_the_global_generator_alone() -> None:
    s, before = torch.randn(100, 10), torch.get_rng_state()
    assert parallel_analysis(s, seed=3) == parallel_analysis(s, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("name", ["fewer rows than columns", "more rows than columns", "constant columns"])
def test_components_for_a_share_are_those_of_scikit_learn(name: str, share: float) -> None:
    s = ROWS[name]()
    assert components_for_variance(s, share) == PCA(share, svd_solver="full").fit(s.double().numpy()).n_components_


@each_rows
def test_the_whole_share_takes_no_more_components_than_there_are(make) -> None:
    s = make()
    assert 1 <= components_for_variance(s, 1.0) <= min(s.shape)


@pytest.mark.parametrize("latents", [1, 3, 6])
def test_the_variance_left_is_the_noise_of_probabilistic_pca(latents: int) -> None:
    s = correlated(300, 7)
    expected = PCA(latents).fit(s.double().numpy()).noise_variance_ * 299 / 300
    assert residual_variance(s, latents) == pytest.approx(expected, rel=1e-4)


def test_the_variance_left_by_the_planted_rank_is_the_noise() -> None:
    assert residual_variance(planted(3, n=5000, noise=0.3), 3) == pytest.approx(0.09, rel=0.03)


def test_nothing_is_left_by_all_components() -> None:
    assert residual_variance(correlated(300, 4), 4) == 0
    assert residual_variance(planted(1, noise=0.0), 1) == pytest.approx(0, abs=1e-10)


def pictures_like(n: int = 400, features: int = 300) -> Tensor:
    """Rows whose spectrum falls as a picture's does, off the origin."""
    scale = torch.arange(1, features + 1) ** -1.0
    return torch.randn(n, features) * scale @ torch.linalg.qr(torch.randn(features, features)).Q + 1


@pytest.mark.parametrize("count", [1, 10, 60])
def test_leading_axes_are_the_first_of_all(count: int) -> None:
    rows = pictures_like()
    centre, axes, variances = pca(rows)
    variances = variances[:count]
    assert torch.equal(pca(rows, count)[1], axes[:count])
    found = pca(rows, count, max_exact=10)
    torch.testing.assert_close(found[0], centre)
    torch.testing.assert_close(found[2], variances, rtol=2e-3, atol=0)
    torch.testing.assert_close(found[1] @ found[1].T, torch.eye(count), atol=1e-5, rtol=0)
    carried = ((rows - centre) @ found[1].T).square().sum() / len(rows)
    torch.testing.assert_close(carried, variances.sum(), rtol=1e-4, atol=0)


def test_leading_axes_are_repeatable() -> None:
    rows = pictures_like()
    before = torch.get_rng_state()
    assert torch.equal(pca(rows, 5, max_exact=10)[1], pca(rows, 5, max_exact=10)[1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_pearson_is_that_of_scipy(dtype: torch.dtype) -> None:
    a = torch.randn(50, dtype=dtype)
    b = 0.3 * a + torch.randn(50, dtype=dtype)
    assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, rel=1e-5)
    assert pearson(a, -2 * a + 1) == pytest.approx(-1)


SINGULAR = {
    "ones": torch.ones(3, 3),
    "zeros": torch.zeros(3, 3),
    "one direction": torch.outer(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0])),
    "duplicated columns": torch.cov(torch.randn(2, 50, generator=torch.Generator().manual_seed(0))[[0, 1, 1]]),
    "slightly negative": torch.diag(torch.tensor([1.0, 1.0, -1e-5])),
    "tiny": 1e-20 * torch.ones(3, 3),
    "huge": 1e20 * torch.ones(3, 3),
}


@pytest.mark.parametrize("matrix", SINGULAR.values(), ids=SINGULAR)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_cholesky_factors_a_singular_matrix_nearly(matrix: Tensor, dtype: torch.dtype) -> None:
    factor = robust_cholesky(matrix.to(dtype))
    assert (factor.diagonal() > 0).all()
    allowed = max(1e-3 * matrix.diagonal().mean().item(), 1e-30)
    torch.testing.assert_close(factor @ factor.T, matrix.to(dtype), rtol=0, atol=allowed)


def test_cholesky_leaves_a_sound_matrix_alone() -> None:
    sound = torch.cov(torch.randn(3, 50))
    factors = robust_cholesky(torch.stack([sound, torch.ones(3, 3)]))
    assert torch.equal(factors[0], torch.linalg.cholesky(sound))
    assert torch.equal(robust_cholesky(sound), torch.linalg.cholesky(sound))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 0), (2, 2)], ids=str)
def test_cholesky_refuses_what_is_not_finite(value: float, place: tuple[int, int]) -> None:
    matrix = torch.eye(3)
    matrix[place] = matrix[place[::-1]] = value
    with pytest.raises(FloatingPointError, match="finite"):
        robust_cholesky(matrix)


def test_cholesky_lets_gradients_through_a_jitter() -> None:
    root = torch.randn(3, 2, requires_grad=True)
    robust_cholesky(root @ root.T).diagonal().log().sum().backward()
    assert torch.isfinite(root.grad).all()
