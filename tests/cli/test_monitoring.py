"""score --fdr, drift and evaluate on the command line."""

import json

import numpy as np
import pandas as pd
import pytest

from program_results import refused
from radogaga import RaDOGAGA


def rows(n: int, seed: int) -> pd.DataFrame:
    random = np.random.RandomState(seed)
    kind = random.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1])
    return pd.DataFrame(random.normal(size=(n, 3)), columns=["x", "y", "z"]).assign(kind=kind)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted") / "model"
    RaDOGAGA(max_steps=0, random_state=0).fit(rows(1000, 0)).save(folder)
    return folder


def labelled(tmp_path, labels=(0, 1)):
    frame = rows(400, 1)
    is_anomaly = np.arange(400) < 40
    frame.loc[is_anomaly, "y"] += 9
    path = tmp_path / "labelled.csv"
    frame.assign(label=np.array(labels, dtype=object)[is_anomaly.astype(int)]).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_selected_rows_are_marked_and_counted(program, tmp_path, model, suffix):
    out = tmp_path / f"scores{suffix}"
    done = program("score", model, labelled(tmp_path), "--out", out, "--fdr", 0.1, "--reasons", 1)
    scores = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    assert list(scores) == ["row", "score", "p_value", "alarm", "selected", "reason_1"]
    assert scores.selected[:40].all()
    assert f"{scores.selected.sum()} selected" in done.stdout
    assert scores.reason_1[scores.selected].notna().all()
    assert program("score", model, labelled(tmp_path), "--out", out, "--fdr", 0.1).returncode == 0


def test_an_fdr_that_cannot_be_is_refused(program, tmp_path, model):
    assert refused(program("score", model, labelled(tmp_path), "--out", tmp_path / "s.csv", "--fdr", 2), "fdr")


def test_a_file_that_looks_different_is_said_when_it_is_scored(program, tmp_path, model):
    same, moved = tmp_path / "same.csv", tmp_path / "moved.csv"
    rows(500, 5).to_csv(same, index=False)
    rows(500, 6).assign(y=lambda frame: frame.y + 1).to_csv(moved, index=False)
    assert "drift" not in program("score", model, same, "--out", tmp_path / "s.csv").stdout
    said = program("score", model, moved, "--out", tmp_path / "s.csv").stdout
    assert "look different from the training rows" in said
    assert "1 of 4 columns have moved, most of all y (" in said


def test_drift_gives_a_table(program, tmp_path, model):
    frame = rows(500, 7)
    frame["kind"] = np.where(np.arange(500) < 300, "d", frame.kind)
    data, out = tmp_path / "new.csv", tmp_path / "drift.json"
    frame.to_csv(data, index=False)
    done = program("drift", model, data, "--out", out)
    assert "any other" in done.stdout or "kind" in done.stdout
    content = json.loads(out.read_text())
    assert content["rows"] == 500
    assert content["drifted"]
    assert [column["column"] for column in content["columns"] if column["moved"]] == ["kind"]
    assert program("drift", model, data, "--out", out).returncode == 0  # its own file
    assert refused(program("drift", model, data, "--out", tmp_path / "drift.csv"), ".json")
    out.write_text("{}")
    assert refused(program("drift", model, data, "--out", out), "--force")


@pytest.mark.parametrize(
    ("labels", "options"), [((0, 1), ()), (("False", "True"), ()), (("ok", "fraud"), ("--anomaly", "fraud"))]
)
def test_evaluate_says_what_scores_are_worth(program, tmp_path, model, labels, options):
    out = tmp_path / "evaluation.json"
    data = labelled(tmp_path, labels)
    done = program("evaluate", model, data, "--label", "label", *options, "--out", out)
    assert "400 rows, 40 anomalies (10.00%): AUROC" in done.stdout
    content = json.loads(out.read_text())
    assert content["auroc"] > 0.99
    assert content["precision_at"]["40"] > 0.9
    assert all(cost["alarms"] == cost["hits"] + cost["false_alarms"] for cost in content["thresholds"])
    assert content["thresholds"][0]["hits"] >= 38


def test_labels_that_cannot_be_are_refused(program, tmp_path, model):
    data = labelled(tmp_path, ("ok", "fraud"))
    assert refused(program("evaluate", model, data, "--label", "label"), "'fraud', 'ok'", "--anomaly")
    assert refused(program("evaluate", model, data, "--label", "label", "--anomaly", "theft"), "'theft'")
    assert refused(program("evaluate", model, data, "--label", "verdict"), "'verdict'", "--label")
    assert refused(program("evaluate", model, data, "--label", "x"), "'x'")
    assert refused(program("evaluate", model, labelled(tmp_path, (0, 0)), "--label", "label"), "0 of 400 rows")
