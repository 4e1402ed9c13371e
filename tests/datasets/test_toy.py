from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import optimize, spatial, special, stats
from torch import Tensor

from radogaga import InputError
from radogaga.datasets.toy import MEANS, Toy, flat, read_toy, rolled, source_log_prob, warped

DRAWN = {"flat": flat, "rolled": rolled, "warped": warped}
TWINS = {"rolled": rolled, "warped": warped}
each_drawn = pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
each_twin = pytest.mark.parametrize("draw", TWINS.values(), ids=TWINS)


@pytest.fixture(params=["generated", "the authors' file"])
def toy(request: pytest.FixtureRequest) -> Toy:
    """The paper's data, as drawn here and as the authors drew it."""
    return flat() if request.param == "generated" else read_toy(request.getfixturevalue("toy_file"))


def mixture_logpdf(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    components = [stats.multivariate_normal(c, v * np.eye(3)) for c, v in zip(centres, (1, 2, 4), strict=True)]
    return np.logaddexp.reduce([component.logpdf(points) for component in components]) - np.log(3)


def test_source_density_is_the_mixture_of_section_5_2() -> None:
    points = 5 + 8 * torch.randn(100, 3, dtype=torch.float64)
    centres = np.array([[0, 0, 0], [10, 0, 0], [10, 10, 10]])
    np.testing.assert_allclose(source_log_prob(points), mixture_logpdf(points.numpy(), centres))


def test_flat_rows_and_their_density_belong_together(toy: Toy) -> None:
    """Three centres that explain every density, found by least squares, lie as far apart as the paper's do."""
    _, spread, axes = torch.linalg.svd(toy.x, full_matrices=False)
    assert spread[3] < 1e-9 * spread[2]
    points = (toy.x @ axes[:3].T).numpy()
    guess = np.stack([points[toy.component == k].mean(0) for k in range(3)])
    some = slice(0, None, 20)
    found = optimize.least_squares(
        lambda c: mixture_logpdf(points[some], c.reshape(3, 3)) - toy.log_density[some].numpy(),
        guess.ravel(),
        xtol=1e-14,
    )
    centres = found.x.reshape(3, 3)
    np.testing.assert_allclose(mixture_logpdf(points, centres), toy.log_density, atol=1e-6)
    distances = [np.linalg.norm(centres[i] - centres[j]) for i, j in combinations(range(3), 2)]
    np.testing.assert_allclose(distances, [10, 10 * 3**0.5, 10 * 2**0.5], rtol=1e-6)


def test_flat_rows_have_the_moments_of_their_distribution(toy: Toy) -> None:
    assert toy.x.shape == (10_000, 16)
    assert np.bincount(toy.component).tolist() == pytest.approx([3333] * 3, abs=1)
    for k, variance in enumerate((1, 2, 4)):
        eigenvalues = torch.linalg.eigvalsh(torch.cov(toy.x[toy.component == k].T))[-3:]
        np.testing.assert_allclose(eigenvalues, variance, rtol=0.12)


def test_flat_rows_and_the_authors_have_the_same_density_on_average(toy_file: Path) -> None:
    """The entropy of the distribution, estimated from each set's densities."""
    ours, theirs = flat().log_density, read_toy(toy_file).log_density
    standard_error = (ours.var() / len(ours) + theirs.var() / len(theirs)).sqrt()
    assert (ours.mean() - theirs.mean()).abs() < 4 * standard_error
    assert stats.ks_2samp(ours.numpy(), theirs.numpy()).pvalue > 1e-3


@each_drawn
def test_true_density_is_that_of_the_rows(draw: Callable[..., Toy]) -> None:
    """Kozachenko and Leonenko's entropy, from distances to neighbours alone, is minus the mean log density."""
    toy, k = draw(), 5
    distance = spatial.cKDTree(toy.x.numpy()).query(toy.x.numpy(), k + 1)[0][:, -1]
    ball = np.log(4 / 3 * np.pi) + 3 * np.log(distance)
    entropy = special.digamma(len(distance)) - special.digamma(k) + ball.mean()
    assert -toy.log_density.mean().item() == pytest.approx(entropy, abs=0.05)


def log_volumes(source: Tensor, image: Tensor, rows: Tensor, neighbours: int = 12) -> Tensor:
    """Log volume factors of the map between two sets, by linear regression on each row's nearest neighbours."""
    nearest = torch.as_tensor(spatial.cKDTree(source.numpy()).query(source[rows].numpy(), neighbours + 1)[1][:, 1:])
    steps, images = (x[nearest] - x[rows, None] for x in (source, image))
    slopes = torch.linalg.lstsq(steps, images).solution
    return torch.linalg.svdvals(slopes).log().sum(1)


@each_twin
def test_density_of_a_twin_is_the_sources_over_the_volume(draw: Callable[..., Toy]) -> None:
    """The Jacobian by finite differences between neighbouring rows, which the twins share with the flat data."""
    source, twin = flat(), draw()
    coordinates = source.x @ torch.linalg.svd(source.x, full_matrices=False).Vh[:3].T
    rows = torch.arange(3333)[::10]  # the densest component
    expected = (source.log_density - twin.log_density)[rows]
    found = log_volumes(coordinates, twin.x, rows)
    assert (found - expected).abs().median() < 0.03
    assert (found - expected).mean().abs() < 0.03


def test_rolled_rows_keep_the_distances_of_near_neighbours() -> None:
    source, twin = flat().x.numpy(), rolled().x.numpy()
    distance, index = spatial.cKDTree(source).query(source, 2)
    near = distance[:, 1] < 0.2
    assert near.sum() > 100
    rolled_distance = np.linalg.norm(twin[near] - twin[index[near, 1]], axis=1)
    np.testing.assert_allclose(rolled_distance, distance[near, 1], rtol=1e-3)


@each_twin
def test_twins_are_curved(draw: Callable[..., Toy]) -> None:
    """No three linear directions hold a twin: a twentieth of its variance or more is left over."""
    eigenvalues = torch.linalg.eigvalsh(torch.cov(draw().x.T))
    assert eigenvalues[:-3].sum() > 0.05 * eigenvalues.sum()


@each_drawn
def test_same_seed_draws_the_same_rows(draw: Callable[..., Toy]) -> None:
    before = torch.get_rng_state()
    one, same, other = draw(rows=30, seed=1), draw(rows=30, seed=1), draw(rows=30, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.x, same.x)
    assert torch.equal(one.log_density, same.log_density)
    assert not torch.equal(one.x, other.x)


@each_drawn
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_any_number_of_rows_can_be_drawn(draw: Callable[..., Toy], rows: int) -> None:
    toy = draw(rows=rows)
    assert toy.x.shape == (rows, 16)
    assert toy.log_density.shape == toy.component.shape == (rows,)
    assert torch.isfinite(toy.log_density).all()
    assert set(toy.component.tolist()) <= set(range(len(MEANS)))


# Files


def table(rows: int = 300) -> pd.DataFrame:
    toy = flat(rows)
    return pd.DataFrame(torch.column_stack([toy.x, toy.log_density.exp(), toy.component]).numpy())


def written(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "toy.csv"
    frame.to_csv(path, header=False, index=False)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    toy, drawn = read_toy(written(table(), tmp_path)), flat(300)
    assert torch.equal(toy.x, drawn.x)
    assert torch.equal(toy.component, drawn.component)
    torch.testing.assert_close(toy.log_density, drawn.log_density)


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    path = written(table(), tmp_path / "toy")
    assert torch.equal(read_toy(tmp_path).x, read_toy(path).x)


def with_value(value: object, row: int, column: int, rows: int = 300) -> pd.DataFrame:
    frame = table(rows).astype(object)
    frame.iat[row, column] = value
    return frame


SPOILED = {
    "a column too few": (lambda: table().iloc[:, 1:], "Expected 18 columns.*got 17"),
    "a column too many": (lambda: table().assign(more=1.0), "Expected 18 columns.*got 19"),
    "text": (lambda: with_value("high", 7, 3), "'high' in row 7, column 3"),
    "text far down": (lambda: with_value("high", 9990, 3, rows=10_000), "'high' in row 9990, column 3"),
    "a missing number": (lambda: with_value(None, 7, 3), "nan in row 7, column 3"),
    "nan": (lambda: with_value("nan", 7, 3), "nan in row 7, column 3"),
    "an infinite number": (lambda: with_value("inf", 7, 3), "inf in row 7, column 3"),
    "one row": (lambda: table().iloc[:1], "at least .* rows.*got 1"),
    "a constant column": (lambda: table().mul([1] * 4 + [0] + [1] * 13), r"constant column \(4\)"),
    "a density of zero": (lambda: with_value(0.0, 7, 16), "positive densities.* 0.0 in row 7"),
    "a negative density": (lambda: with_value(-1.0, 7, 16), "positive densities.*-1.0 in row 7"),
}


@pytest.mark.parametrize(("spoiled", "message"), SPOILED.values(), ids=SPOILED)
def test_a_table_that_is_not_the_toy_data_is_refused(tmp_path: Path, spoiled, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_toy(written(spoiled(), tmp_path))


FILES = {
    "nothing": b"",
    "blank lines": b"\n\n\n",
    "a header": b",".join(b"feature%d" % i for i in range(18)) + b"\n" + b",".join([b"1.5"] * 18) + b"\n",
    "a picture": bytes(range(256)) * 20,
    "ragged lines": b"1,2,3\n1,2\n1,2,3,4\n",
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "toy.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"toy\.csv"):
        read_toy(path)


@pytest.mark.parametrize("name", ["toy.csv", "nowhere/toy.csv", "."])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"toy\.csv.*no such file"):
        read_toy(tmp_path / name)
