"""What many tables of detectors come to."""

import numpy as np
import pytest

import comparison


def rows(**methods: list[float]) -> list[dict]:
    return [
        {"table": f"t{i}", "method": name, "auroc": value, "auprc": value, "fit_seconds": 1.0, "score_seconds": 1.0}
        for name, values in methods.items()
        for i, value in enumerate(values)
    ]


def test_a_method_better_by_a_constant_leads_by_it_without_error_and_is_always_first() -> None:
    peer = [0.5, 0.7, 0.9]
    lines = comparison.summary(rows(ours=[value + 0.1 for value in peer], mean_squared_distance=peer))
    assert lines[0]["auroc_difference"] == pytest.approx(0.1)
    assert lines[0]["auroc_difference_error"] == pytest.approx(0)
    assert [line["auroc_rank"] for line in lines] == [1, 2]


def test_only_tables_that_every_method_has_are_counted() -> None:
    lines = comparison.summary(rows(ours=[0.5, 0.5, 1.0], mean_squared_distance=[0.6, 0.6]))
    assert [line["tables"] for line in lines] == [2, 2]
    assert lines[0]["auroc"] == pytest.approx(0.5)


def test_published_figures_without_a_measure_or_times_are_ranked_by_what_they_have() -> None:
    published = [{"table": f"t{i}", "method": "DTE-NP", "auroc": 0.9} for i in range(2)]
    lines = comparison.summary(rows(ours=[0.8, 0.8]) + published, "DTE-NP")
    assert [line["auroc_rank"] for line in lines] == [2, 1]
    assert "auprc" not in lines[0]
    assert "seconds" not in lines[1]
    assert "ours" in comparison.as_text(lines)


def test_seeds_of_one_table_are_averaged_before_tables_are() -> None:
    seeds = [row | {"auroc": auroc} for row, auroc in zip(rows(ours=[0, 0]), (0.5, 0.7), strict=True)]
    mean = comparison.by_table([row | {"table": "t"} for row in seeds])
    assert len(mean) == 1
    assert mean[0]["auroc"] == pytest.approx(0.6)
    assert mean[0]["auroc_sd"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
