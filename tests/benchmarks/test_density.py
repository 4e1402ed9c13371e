"""Held-out log density on numeric tables."""

import numpy as np
import pytest

import densities
import density


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["mixture", "kernel", "forde", "flow"])
def test_a_peer_integrates_to_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip({"forde": "arfpy", "flow": "zuko"}.get(name, "sklearn"), reason="pip install 'radogaga[peers]'")
    monkeypatch.setattr(densities, "FLOW_STEPS", 50)
    x = np.random.default_rng(0).normal(size=(300, 2)) @ [[1.0, 0.7], [0.0, 0.7]]
    axis = np.linspace(-6, 6, 121)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    log_density = densities.DENSITIES[name](x, 0)(grid)
    assert np.exp(log_density).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=0.03)


def test_noise_is_as_wide_as_the_smallest_step_of_values_that_repeat() -> None:
    assert density.step(np.array([0.0, 0.5, 0.5, 3.0])) == 0.5
    assert density.step(np.array([0.1 + 0.2, 0.3, 0.3, 1.0])) == pytest.approx(0.7)  # .1 + .2 is .3 but for rounding
    assert density.step(np.array([0.0, 0.5, 3.0])) == 0


def test_columns_of_few_values_or_one_that_prevails_are_left_out() -> None:
    many, few = np.arange(100.0), np.arange(100) % 3.0
    prevails = np.where(np.arange(100) < 60, 0.0, many)
    assert density.is_continuous(np.c_[many, few, prevails]).tolist() == [True, False, False]


def test_a_mean_that_is_not_finite_ranks_last_and_medians_rank_apart_from_it() -> None:
    base = {"table": "t", "seconds": 1.0}
    spiky = base | {"method": "forde", "median": 2.0, "mean": None}
    smooth = base | {"method": "mixture", "median": 1.0, "mean": -1e5}
    lines = density.summary([spiky, smooth])
    assert [line["median_rank"] for line in lines] == [1, 2]
    assert [line["mean_rank"] for line in lines] == [2, 1]
    assert [line["mean_best"] for line in lines] == [0, 1]
