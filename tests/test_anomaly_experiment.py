import json
import os
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from radogaga.experiments.anomaly_detection import experiment as anomaly
from radogaga.experiments.anomaly_detection import methods as anomaly_methods
from radogaga.experiments.anomaly_detection.methods import Fitted
from radogaga.experiments.anomaly_detection.settings import AS_PUBLISHED, CHOSEN, PUBLISHED

FEW = "chosen,knn@standard"


@pytest.fixture
def thyroid(tmp_path, monkeypatch) -> Path:
    """Make a set of Thyroid's shape: a line in six columns, and one row in ten far along it and far off it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1)) * np.arange(1, 7) + 0.3 * rng.normal(size=(400, 6))
    x[:40] += 5 * np.sign(x[:40, :1]) * np.arange(1, 7) + 5 * rng.normal(size=(40, 6))
    (tmp_path / "thyroid").mkdir()
    savemat(tmp_path / "thyroid" / "thyroid.mat", {"X": x, "y": np.arange(400) < 40})
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))
    anomaly._read.cache_clear()
    anomaly._halves.cache_clear()
    return tmp_path


def test_calling_the_right_rows_is_perfect_and_calling_others_is_nothing():
    anomalies = np.arange(10) < 2
    scores = np.arange(10.0)
    assert anomaly.measure(scores, anomalies, 0.2) == dict.fromkeys(("precision", "recall", "f1", "auroc", "auprc"), 1)
    worst = anomaly.measure(-scores, anomalies, 0.2)
    assert (worst["f1"], worst["auroc"]) == (0, 0)


def test_rho_decides_how_many_are_called():
    found = anomaly.measure(np.arange(10.0), np.arange(10) < 4, 0.2)
    assert (found["precision"], found["recall"], found["f1"]) == (1, 0.5, pytest.approx(2 / 3))


def test_scores_that_only_grow_change_no_figure():
    rng = np.random.default_rng(0)
    scores, anomalies = rng.normal(size=200), rng.random(200) < 0.2
    assert anomaly.measure(scores, anomalies, 0.2) == anomaly.measure(np.exp(3 * scores), anomalies, 0.2)


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
    differences = [row["difference"] for row in anomaly.with_differences(rows)]
    assert differences == pytest.approx([0.1, -0.2, -0.2, 0.2, None])


@pytest.mark.parametrize("method", [*anomaly.PUBLISHED, *anomaly.CHOSEN, *anomaly.UNTUNED, *anomaly.PEERS])
def test_every_method_finds_what_is_far_off(thyroid, method):
    config = anomaly.Config(quick=True)
    row, arrays = anomaly.run(config, "thyroid", method, 0)
    assert row["auroc"] > 0.7
    assert not row["collapsed"]
    assert arrays["histogram_normal"].sum() + arrays["histogram_anomaly"].sum() == 200
    assert set(row) >= {"data", "method", "family", "scaling", "run", "seed", "f1", "auprc", "score_rows_per_second"}


def test_the_same_run_is_the_same_to_the_last_bit(thyroid):
    config = anomaly.Config(quick=True)
    first, again = (anomaly.run(config, "thyroid", "radogaga-d-chosen", 1)[0] for _ in range(2))
    assert (first["auroc"], first["auprc"]) == (again["auroc"], again["auprc"])


def test_a_training_that_fails_is_a_row_that_says_so(thyroid, monkeypatch):
    def fails(*_):
        return Fitted(lambda x: torch.full((len(x),), float("nan")))

    monkeypatch.setitem(anomaly.METHODS, "dagmm", fails)
    row, arrays = anomaly.run(anomaly.Config(), "thyroid", "dagmm", 0)
    assert (row["collapsed"], row["f1"], arrays) == (True, 0, {})
    assert "finite" in row["error"]


def test_the_published_effort_is_the_published_number_of_steps():
    config = anomaly.Config(published=True)
    assert config.effort("published") == AS_PUBLISHED
    assert config.effort("chosen") == 1
    # 1,839 rows are two batches of 1,024, 20,000 times.
    assert PUBLISHED["thyroid"].steps(AS_PUBLISHED) == 40_000


@pytest.mark.parametrize("data", CHOSEN)
def test_a_chosen_model_starts_isometric(data):
    x = torch.randn(300, 30) @ torch.randn(30, 30)
    model = anomaly_methods.start(CHOSEN[data], x, log=False)
    z = torch.randn(5, model.autoencoder.latents)
    steps = torch.eye(model.autoencoder.latents)
    moved = model.autoencoder.decode_scaled(z[:1] + steps) - model.autoencoder.decode_scaled(z[:1])
    torch.testing.assert_close(moved @ moved.T, steps, atol=1e-4, rtol=1e-4)


def test_a_stopped_table_goes_on_and_reports_what_there_is(thyroid, program, tmp_path):
    out = tmp_path / "out"
    arguments = ("reproduce", "anomaly", "--out", out, "--quick", "--jobs", 1, "--data", "thyroid", "--methods", FEW)
    assert program(*arguments, "--runs", 1).returncode == 0
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    result = program(*arguments, "--runs", 2)
    assert result.returncode == 0
    assert all((out / "runs" / name).stat().st_mtime_ns == time for name, time in kept.items())
    rows = json.loads((out / "result.json").read_text())["rows"]
    assert len(rows) == 8
    assert {row["method"] for row in rows} == {*anomaly.CHOSEN, "knn@standard"}
    assert all(row["difference"] is not None for row in rows if row["family"] == "chosen")
    assert "radogaga-d-chosen" in result.stdout
    page = (out / "report.html").read_text()
    assert "Held-out log density" in page
    assert (out / "runs.csv").is_file()
    (out / "result.json").unlink()
    assert program(*arguments, "--runs", 5, "--report-only").returncode == 0
    assert len(json.loads((out / "result.json").read_text())["rows"]) == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "iris"), ("iris", "thyroid")),
        (("--methods", "magic"), ("magic", "isolation-forest")),
        (("--quick", "--published"), ("--quick", "--published")),
        (("--data", "thyroid", "--columns", 7), ("7", "121")),
        (("--data", "arrhythmia"), ("arrhythmia", "radogaga data fetch")),
        (("--data", "thyroid", "--report-only"), ("--report-only",)),
    ],
)
def test_mistakes_end_in_one_line(thyroid, program, tmp_path, arguments, words):
    result = program("reproduce", "anomaly", "--out", tmp_path / "out", *arguments)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert all(word in result.stderr for word in words)


def real_data() -> str:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return os.environ.get("RADOGAGA_DATA") or str(beside)


def runs_on_real_data(data: str, methods: tuple[str, ...], runs: int, monkeypatch) -> list[dict]:
    folder = Path(real_data())
    home = folder / ("kddcup99" if data.startswith("kddcup") else data)
    if not home.is_dir():
        pytest.skip(f"there is no {home}; set RADOGAGA_DATA to the folder that holds the anomaly sets")
    monkeypatch.setenv("RADOGAGA_DATA", str(folder))
    anomaly._read.cache_clear()
    config = anomaly.Config(data=(data,), methods=methods, runs=runs)
    return [run.function(*run.arguments)[0] for run in anomaly.plan(config)]


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
    rows = runs_on_real_data("arrhythmia", ("radogaga-d-chosen", *anomaly.PEERS), 10, monkeypatch)
    ours = mean(rows, "radogaga-d-chosen")
    assert all(ours >= mean(rows, peer) - 0.02 for peer in anomaly.PEERS)
