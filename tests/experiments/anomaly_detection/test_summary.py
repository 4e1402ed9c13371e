import csv

import numpy as np
import pytest

from anomaly_rows import FAMILIES, PEERS, make_row, make_table
from radogaga.experiments.anomaly_detection.summary import summary, terminal_table, write_csv


def read_csv(path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_summary_is_numpys_mean_and_sample_deviation():
    f1 = [0.2, 0.5, 0.9]
    rows = [make_row("knn", run, value, difference=value - 0.5, collapsed=run == 1) for run, value in enumerate(f1)]
    (row,) = summary(rows)
    assert row["runs"] == 3
    assert row["f1_mean"] == pytest.approx(np.mean(f1))
    assert row["f1_sd"] == pytest.approx(np.std(f1, ddof=1))
    assert row["difference_mean"] == pytest.approx(np.mean(f1) - 0.5)
    assert row["difference_sd"] == pytest.approx(np.std(f1, ddof=1))
    assert row["collapsed"] == 1
    assert row["fit_seconds"] == 2.0
    assert row["score_rows_per_second"] == 1000.0


def test_one_run_has_no_deviation_and_what_is_missing_stays_missing():
    (row,) = summary([make_row("knn", 0, 0.5)])
    assert row["f1_mean"] == 0.5
    assert row["f1_sd"] is None
    assert row["difference_mean"] is None
    assert row["difference_sd"] is None


def test_runs_without_a_figure_are_left_out_of_its_mean_only():
    rows = [make_row("knn", 0, 0.5, difference=0.1), make_row("knn", 1, None), make_row("knn", 2, float("nan"))]
    (row,) = summary(rows)
    assert (row["runs"], row["f1_mean"], row["difference_mean"]) == (3, 0.5, 0.1)


def test_the_summary_keeps_the_order_of_rows_and_families_together():
    order = (("b", "peer", "knn"), ("b", "published", "dagmm"), ("b", "peer", "forest"), ("a", "published", "dagmm"))
    rows = [make_row(method, 0, 0.5, data=data, family=family) for data, family, method in order]
    found = [(row["data"], row["family"], row["method"]) for row in summary(rows)]
    assert found == [order[0], order[2], order[1], order[3]]


def test_csv_files_read_back_as_the_rows(tmp_path):
    rows = [make_row("knn, with a comma", 0, 0.1 + 0.2), make_row("knn, with a comma", 1, 0.5, difference=-0.25)]
    write_csv(tmp_path, rows)
    first, second = read_csv(tmp_path / "runs.csv")
    assert list(first) == list(rows[0])
    assert first["method"] == "knn, with a comma"
    assert float(first["f1"]) == rows[0]["f1"]
    assert (first["difference"], float(second["difference"])) == ("", -0.25)
    (mean,) = read_csv(tmp_path / "table.csv")
    assert float(mean["f1_mean"]) == summary(rows)[0]["f1_mean"]
    assert mean["difference_sd"] == ""


def test_the_terminal_table_has_every_row():
    table = terminal_table(make_table() + make_table(data="kddcup", runs=1))
    assert [line[2] for line in table.cells] == [*FAMILIES, *PEERS] * 2
    assert all(len(line) == len(table.headings) for line in table.cells)
    assert any("0.505 ± 0.007" in line for line in table.cells)
