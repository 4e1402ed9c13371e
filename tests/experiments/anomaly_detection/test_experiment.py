import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from public_data import public_data
from radogaga.experiments.anomaly_detection import families
from radogaga.experiments.anomaly_detection.experiment import (
    ANOMALY_DETECTION,
    compare_with_peers,
    measure,
    plan,
    run,
)
from radogaga.experiments.anomaly_detection.families import METHODS
from radogaga.experiments.anomaly_detection.halves import read_set
from radogaga.experiments.anomaly_detection.methods import Fitted
from radogaga.experiments.anomaly_detection.peers import PEERS
from radogaga.experiments.anomaly_detection.settings import Config
from radogaga.experiments.experiment import reproduce


def test_calling_the_right_rows_is_perfect_and_calling_others_is_nothing():
    anomalies = np.arange(10) < 2
    scores = np.arange(10.0)
    assert measure(scores, anomalies, 0.2) == dict.fromkeys(("precision", "recall", "f1", "auroc", "auprc"), 1)
    worst = measure(-scores, anomalies, 0.2)
    assert (worst["f1"], worst["auroc"]) == (0, 0)


def test_rho_decides_how_many_are_called():
    found = measure(np.arange(10.0), np.arange(10) < 4, 0.2)
    assert (found["precision"], found["recall"], found["f1"]) == (1, 0.5, pytest.approx(2 / 3))


def test_scores_that_only_grow_change_no_figure():
    rng = np.random.default_rng(0)
    scores, anomalies = rng.normal(size=200), rng.random(200) < 0.2
    assert measure(scores, anomalies, 0.2) == measure(np.exp(3 * scores), anomalies, 0.2)


def test_a_difference_is_to_the_best_other_peer_on_the_same_split():
    rows = [
        {"data": "thyroid", "method": method, "family": family, "seed": seed, "f1": f1}
        for method, family, seed, f1 in [
            ("radogaga-d", "published", 0, 0.8),
            ("radogaga-d", "published", 1, 0.4),
            ("knn@standard", "peer", 0, 0.5),
            ("isolation-forest", "peer", 0, 0.7),
            ("knn@standard", "peer", 1, 0.6),
        ]
    ]
    differences = [row["difference"] for row in compare_with_peers(Path(), rows)]
    assert differences == pytest.approx([0.1, -0.2, -0.2, 0.2, None])


@pytest.mark.parametrize("method", [*families.PUBLISHED, *families.CHOSEN, *families.UNTUNED, *PEERS])
def test_every_method_finds_what_is_far_off(thyroid, method):
    config = Config(quick=True)
    row, arrays = run(config, "thyroid", method, 0)
    assert row["auroc"] > 0.7
    assert not row["collapsed"]
    assert arrays["histogram_normal"].sum() + arrays["histogram_anomaly"].sum() == 200
    assert set(row) >= {"data", "method", "family", "scaling", "run", "seed", "f1", "auprc", "score_rows_per_second"}


def test_the_same_run_is_the_same_to_the_last_bit(thyroid):
    config = Config(quick=True)
    first, again = (run(config, "thyroid", "radogaga-d-chosen", 1)[0] for _ in range(2))
    assert (first["auroc"], first["auprc"]) == (again["auroc"], again["auprc"])


def test_a_training_that_fails_is_a_row_that_says_so(thyroid, monkeypatch):
    def fails(*_):
        return Fitted(lambda x: torch.full((len(x),), float("nan")))

    monkeypatch.setitem(METHODS, "dagmm", fails)
    row, arrays = run(Config(), "thyroid", "dagmm", 0)
    assert (row["collapsed"], row["f1"], arrays) == (True, 0, {})
    assert "finite" in row["error"]


def test_a_table_reports_what_is_kept_without_data_or_fits(thyroid, monkeypatch, tmp_path):
    config = Config(data=("thyroid",), methods=("untrained-chosen", "knn@standard"), runs=2)
    rows = reproduce(ANOMALY_DETECTION, config, tmp_path / "out", jobs=1)
    assert [row["method"] for row in rows] == [*config.methods] * 2
    assert all(row["difference"] is not None for row in rows if row["family"] == "chosen")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Held-out log density" in page
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path / "nowhere"))
    again = replace(config, methods=tuple(METHODS), runs=5)
    assert reproduce(ANOMALY_DETECTION, again, tmp_path / "out", report_only=True) == rows
    assert "Held-out log density" in (tmp_path / "out" / "report.html").read_text()
    for path in (tmp_path / "out" / "runs").glob("selection-*"):
        path.unlink()
    reproduce(ANOMALY_DETECTION, again, tmp_path / "out", report_only=True)
    assert "Held-out log density, nats" not in (tmp_path / "out" / "report.html").read_text()


def runs_on_real_data(data: str, methods: tuple[str, ...], runs: int, monkeypatch) -> list[dict]:
    folder = public_data("kddcup99" if data.startswith("kddcup") else data)
    monkeypatch.setenv("RADOGAGA_DATA", str(folder))
    read_set.cache_clear()
    config = Config(data=(data,), methods=methods, runs=runs)
    return [one.function(*one.arguments)[0] for one in plan(config) if one.function is run]


def mean(rows: list[dict], method: str) -> float:
    return statistics.fmean(row["f1"] for row in rows if row["method"] == method)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "bar", "runs"), [("thyroid", 0.76, 10), ("kddcup", 0.964, 1), ("kddcup-rev", 0.98, 1)]
)
def test_the_chosen_settings_reach_their_bars(data, bar, runs, monkeypatch):
    rows = runs_on_real_data(data, ("radogaga-d-chosen",), runs, monkeypatch)
    assert mean(rows, "radogaga-d-chosen") >= bar
    assert not any(row["collapsed"] for row in rows)


@pytest.mark.slow
def test_on_arrhythmia_nothing_else_here_is_better(monkeypatch):
    rows = runs_on_real_data("arrhythmia", ("radogaga-d-chosen", *PEERS), 10, monkeypatch)
    ours = mean(rows, "radogaga-d-chosen")
    assert all(ours >= mean(rows, peer) - 0.02 for peer in PEERS)
