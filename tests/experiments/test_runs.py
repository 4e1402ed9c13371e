import json

import numpy as np
import pytest

from radogaga import InputError
from radogaga.experiments.runs import Run, claim_folder, kept, read_arrays, run_all


def square(number: float) -> tuple[dict, dict]:
    return {"number": number, "square": number**2, "seconds": 0.0}, {"number": np.array(number)}


def fail(number: float) -> tuple[dict, dict]:
    raise AssertionError


def named(function, *numbers: float) -> list[Run]:
    return [Run(f"run-{i}", function, (number,)) for i, number in enumerate(numbers)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_rows_come_in_the_order_of_the_runs_and_are_run_once(tmp_path, jobs):
    done = []
    rows = run_all(named(square, 3, 2, 1), tmp_path, jobs=jobs, on_done=lambda run, row: done.append(run.name))
    assert [row["square"] for row in rows] == [9, 4, 1]
    assert sorted(done) == ["run-0", "run-1", "run-2"]
    assert run_all(named(fail, 3, 2, 1), tmp_path, jobs=1, on_done=lambda *_: None) == rows
    assert kept(named(fail, 3, 2, 1, 0), tmp_path) == rows
    assert read_arrays(tmp_path, "run-1")["number"] == 2
    assert len(list((tmp_path / "runs").iterdir())) == 6


def test_what_is_no_number_becomes_null(tmp_path):
    (row,) = run_all(named(square, float("nan")), tmp_path, jobs=1, on_done=lambda *_: None)
    assert row["square"] is None
    assert json.loads((tmp_path / "runs" / "run-0.json").read_text()) == row


def test_a_folder_belongs_to_one_configuration(tmp_path):
    claim_folder(tmp_path, {"experiment": "isometry", "steps": 4})
    claim_folder(tmp_path, {"experiment": "isometry", "steps": 4})
    with pytest.raises(InputError, match="settings"):
        claim_folder(tmp_path, {"experiment": "isometry", "steps": 5})


def test_a_restart_removes_the_runs_of_other_settings_and_nothing_else(tmp_path):
    claim_folder(tmp_path, {"experiment": "isometry", "steps": 4})
    (tmp_path / "runs").mkdir()
    (tmp_path / "letter.txt").write_text("dear")
    claim_folder(tmp_path, {"experiment": "isometry", "steps": 5}, restart=True)
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "letter.txt").exists()


@pytest.mark.parametrize("config", [None, '{"experiment": "of somebody else"}'])
def test_a_restart_leaves_a_folder_that_is_not_its_own(tmp_path, config):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "letter.txt").write_text("dear")
    if config:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError):
        claim_folder(tmp_path, {"experiment": "isometry", "steps": 4}, restart=True)
    assert (tmp_path / "runs" / "letter.txt").read_text() == "dear"
