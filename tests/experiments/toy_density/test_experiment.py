import statistics

import pytest

from radogaga.experiments.toy_density.experiment import plan, run
from radogaga.experiments.toy_density.settings import PCA, Config


def run_seeds(source: str, method: str, seeds: int, data: str | None = None) -> list[dict]:
    config = Config(data=data, seeds=seeds, sources=(source,), methods=(method,))
    return [one.function(*one.arguments)[0] for one in plan(config)]


def median(rows: list[dict], figure: str) -> float:
    return statistics.median(row[figure] for row in rows)


def test_rows_have_every_figure_and_arrays_for_the_plots():
    config = Config(quick=True, sources=("flat",), methods=("untrained",))
    row, arrays = run(config, "flat", "untrained", 0)
    assert set(arrays) == {"true", "constant", "exact"}
    assert {"pearson", "pearson_log", "pearson_log_exact", "gram_diag_mean", "probe_r", "seconds"} <= set(row)


def test_pca_is_the_ceiling_on_flat_data_and_is_isometric():
    row = run_seeds("flat", PCA, 1)[0]
    assert row["pearson"] > 0.999
    assert row["gram_diag_mean"] == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "bar"), [("radogaga-d", 0.999), ("radogaga-log", 0.998)])
def test_published_networks_find_the_flat_density(method, bar):
    rows = run_seeds("flat", method, 3)
    assert median(rows, "pearson") >= bar
    assert min(row["pearson"] for row in rows) >= 0.997
    assert median(rows, "gram_diag_mean") == pytest.approx(1, abs=0.03)
    assert median(rows, "gram_off_rms") <= 0.05
    assert abs(median(rows, "log_error_mean")) <= 0.06
    assert median(rows, "log_error_sd") <= 0.13


@pytest.mark.slow
@pytest.mark.parametrize(("source", "sd"), [("rolled", 0.16), ("warped", 0.19)])
def test_the_default_finds_curved_densities_where_pca_fails(source, sd):
    rows = run_seeds(source, "default", 3)
    assert median(rows, "pearson_log_exact") >= 0.994
    assert abs(median(rows, "log_error_exact_mean")) <= 0.06
    assert median(rows, "log_error_exact_sd") <= sd
    assert run_seeds(source, PCA, 1)[0]["pearson_log"] < 0.95
