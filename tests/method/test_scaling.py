from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from radogaga import AsinhScaling, RankScaling, Scaling

Choose = Callable[[Tensor], Scaling]
SCALINGS: dict[str, Choose] = {
    "none": lambda x: Scaling(x.shape[1]),
    "root mean square": Scaling.root_mean_square,
    "standard": Scaling.standard,
    "min-max": Scaling.min_max,
    "ranges": Scaling.ranges,
    "global min-max": Scaling.global_min_max,
    "asinh": AsinhScaling.standard,
    "rank": RankScaling.fit,
}
LEARNED = {name: SCALINGS[name] for name in SCALINGS if name != "none"}
PER_COLUMN = {name: SCALINGS[name] for name in ("standard", "min-max", "ranges", "asinh", "rank")}
UNIFORM = {name: SCALINGS[name] for name in ("none", "root mean square", "global min-max")}
each_scaling = pytest.mark.parametrize("choose", SCALINGS.values(), ids=SCALINGS)


@each_scaling
def test_inverse_undoes_the_scaling(choose: Choose, rows: Tensor) -> None:
    scaling, unseen = choose(rows), 10 * torch.randn(20, 4)
    torch.testing.assert_close(scaling.inverse(scaling(unseen)), unseen, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scaling(scaling.inverse(unseen)), unseen, rtol=1e-4, atol=1e-4)


@each_scaling
def test_scaling_takes_each_feature_by_itself(choose: Choose, rows: Tensor) -> None:
    scaling, other = choose(rows), rows.clone()
    other[:, 1] += 7
    changed = (scaling(other) != scaling(rows)).any(0)
    assert changed.tolist() == [False, True, False, False]


@pytest.mark.parametrize("choose", LEARNED.values(), ids=LEARNED)
@pytest.mark.parametrize(("factor", "shift"), [(1e3, 0.0), (1e-3, 0.0), (1.0, 20.0)])
def test_scaled_rows_do_not_depend_on_the_unit(choose: Choose, rows: Tensor, factor: float, shift: float) -> None:
    other = factor * rows + shift
    torch.testing.assert_close(choose(other)(other), choose(rows)(rows), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("choose", PER_COLUMN.values(), ids=PER_COLUMN)
def test_scaled_rows_do_not_depend_on_the_unit_of_any_column(choose: Choose, rows: Tensor) -> None:
    other = rows * torch.tensor([1.0, 1e3, 1e-3, 7.0])
    torch.testing.assert_close(choose(other)(other), choose(rows)(rows), rtol=1e-3, atol=1e-3)


@each_scaling
def test_scaling_says_whether_it_keeps_angles(choose: Choose, rows: Tensor) -> None:
    scaling = choose(rows)
    ratio = torch.pdist(scaling(rows)[:50]) / torch.pdist(rows[:50])
    assert scaling.uniform == bool((ratio / ratio.mean() - 1).abs().max() < 1e-3)


@pytest.mark.parametrize("choose", UNIFORM.values(), ids=UNIFORM)
def test_one_factor_for_all_features_keeps_angles(choose: Choose, rows: Tensor) -> None:
    assert choose(rows).uniform


def test_standard_features_have_mean_zero_and_variance_one(rows: Tensor) -> None:
    scaled = Scaling.standard(rows)(rows)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.var(0, correction=0), torch.ones(4))


def test_root_mean_square_distance_from_the_centre_is_one(rows: Tensor) -> None:
    scaled = Scaling.root_mean_square(rows)(rows)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    assert scaled.square().sum(1).mean().item() == pytest.approx(1, rel=1e-5)


def test_min_max_takes_each_feature_to_the_unit_interval(rows: Tensor) -> None:
    least, most = Scaling.min_max(rows)(rows).aminmax(dim=0)
    torch.testing.assert_close(torch.stack([least, most]), torch.tensor([[0.0], [1.0]]).expand(2, 4))


def test_ranges_become_equal_and_the_mean_variance_one(rows: Tensor) -> None:
    scaled = Scaling.ranges(rows)(rows)
    least, most = scaled.aminmax(dim=0)
    torch.testing.assert_close(most - least, (most - least)[:1].expand(4))
    torch.testing.assert_close(scaled.var(0, correction=0).mean(), torch.ones(()))


def test_global_min_max_takes_all_features_to_the_unit_interval(rows: Tensor) -> None:
    scaled = Scaling.global_min_max(rows)(rows)
    assert scaled.min().item() == pytest.approx(0, abs=1e-6)
    assert scaled.max().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("choose", PER_COLUMN.values(), ids=PER_COLUMN)
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_constant_feature_is_only_moved(choose: Choose, value: float, dtype: torch.dtype) -> None:
    x = torch.randn(1001, 2, dtype=dtype)
    x[:, 1] = value
    scaling = choose(x)
    assert scaling.factor[1] == 1
    torch.testing.assert_close(scaling(x)[:, 1], torch.zeros(1001), atol=1e-6 * max(value, 1), rtol=0)


@each_scaling
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_scaled_rows_come_in_the_precision_of_the_model(choose: Choose, rows: Tensor, dtype: torch.dtype) -> None:
    assert choose(rows)(rows.to(dtype)).dtype == torch.float32
    assert choose(rows).double()(rows.to(dtype)).dtype == torch.float64


@pytest.mark.filterwarnings("ignore:torch.searchsorted:UserWarning")  # of vmap's making
@each_scaling
def test_log_volume_is_the_log_determinant_of_the_jacobian(choose: Choose, rows: Tensor) -> None:
    scaling, x = choose(rows).double(), 10 * torch.randn(20, 4, dtype=torch.float64)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda row: scaling(row[None])[0]))(x)
    torch.testing.assert_close(scaling.log_volume(x), torch.linalg.slogdet(jacobians).logabsdet)


@each_scaling
def test_log_volume_is_finite_in_the_precision_of_the_model(choose: Choose, rows: Tensor) -> None:
    volume = choose(rows).log_volume(torch.tensor([[3e38], [-3e38], [0.0]]).expand(3, 4).double())
    assert volume.dtype == torch.float32
    assert torch.isfinite(volume).all()


def test_asinh_features_have_variance_one(rows: Tensor) -> None:
    torch.testing.assert_close(AsinhScaling.standard(rows)(rows).var(0, correction=0), torch.ones(4))


def test_asinh_keeps_the_order_of_values_however_far_out(rows: Tensor) -> None:
    reach = torch.logspace(-2, 38, 200)
    values = torch.cat([-reach.flip(0), reach])[:, None].expand(-1, 4)
    scaled = AsinhScaling.standard(rows)(values)
    assert torch.isfinite(scaled).all()
    assert (scaled.diff(dim=0) > 0).all()


def test_asinh_is_a_straight_line_near_the_centre(rows: Tensor) -> None:
    scaling, near = (
        AsinhScaling.standard(rows).double(),
        Scaling.standard(rows).double().inverse(0.01 * torch.randn(20, 4)),
    )
    straight = Scaling.standard(rows).double()(near)
    torch.testing.assert_close(scaling(near), straight / scaling.spread, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("outlier", [1e3, 1e6, -1e9])
def test_asinh_draws_an_outlier_in_and_gives_it_back(rows: Tensor, outlier: float) -> None:
    x = torch.cat([rows, torch.full((1, 4), outlier)])
    bent, straight = AsinhScaling.standard(x), Scaling.standard(x)
    assert (bent(x)[-1].abs() < straight(x)[-1].abs()).all()
    torch.testing.assert_close(bent.inverse(bent(x))[-1], x[-1], rtol=1e-4, atol=0)
