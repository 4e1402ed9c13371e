"""Drift: files without it are seldom said to have any, and a small shift of all columns is found."""

import numpy as np
import pandas as pd
import pytest

from radogaga import RaDOGAGA, TrainingColumns
from radogaga.tabular.monitoring import Drift, DriftMonitor


def table(rows: int, random: np.random.RandomState) -> pd.DataFrame:
    kind = random.randint(0, 400, rows)  # most values come up a few times
    frame = pd.DataFrame(random.normal(size=(rows, 3)), columns=["x", "y", "z"])
    return frame.assign(kind=[f"k{k}" for k in kind], city=random.choice(["a", "b", "c"], rows, p=[0.7, 0.2, 0.1]))


def drift(model, frame: pd.DataFrame, batch: int = 1000) -> Drift:
    monitor = DriftMonitor(model)
    for start in range(0, len(frame), batch):
        rows = model.read(frame[start : start + batch])
        monitor.add(rows, model.score(rows))
    return monitor.result()


@pytest.fixture(scope="module")
def model():
    return RaDOGAGA(max_steps=0, random_state=0).fit(table(1500, np.random.RandomState(0))).model_


def test_files_without_drift_are_not_said_to_have_any(model):
    random = np.random.RandomState(1)
    assert sum(drift(model, table(500, random)).found for _ in range(60)) <= 2


def test_half_a_deviation_in_all_numbers_is_found(model):
    random = np.random.RandomState(2)
    for sign in (-0.5, 0.5):
        frame = table(500, random)
        frame[["x", "y", "z"]] += sign
        assert {"x", "y", "z"} == {column.column for column in drift(model, frame).moved}


def test_a_change_of_categories_is_found_and_named(model):
    frame = table(500, np.random.RandomState(3))
    frame.loc[:150, "city"] = "d"  # never seen in training
    moved = drift(model, frame).moved
    assert [(column.column, column.where) for column in moved] == [("city", "any other")]
    assert moved[0].before == 0
    assert 0.29 < moved[0].now < 0.31


def test_a_change_of_what_goes_together_lowers_scores():
    random = np.random.RandomState(4)
    x = random.normal(size=(1500, 1))
    together = np.concatenate([x, x + 0.1 * random.normal(size=(1500, 1))], 1)
    fitted = RaDOGAGA(max_steps=0, random_state=0).fit(together).model_
    found = drift(fitted, random.normal(size=(300, 2)))
    assert found.scores_drifted
    assert not found.moved
    assert "scores are lower" in str(found)


def test_batches_add_up(model):
    frame = table(700, np.random.RandomState(5))
    assert drift(model, frame) == drift(model, frame, batch=99)


def test_rows_of_the_training_table_itself_do_not_look_different(model):
    assert not drift(model, table(1500, np.random.RandomState(0))).found


def test_ties_and_constants_are_compared_from_both_sides():
    columns = TrainingColumns.fit(np.full((50, 1), 7.0), np.zeros((50, 0), np.int64))
    assert (columns.below == 0).all()
    assert (columns.up_to == 1).all()


def test_a_model_keeps_what_its_columns_held(model, tmp_path):
    model.save(tmp_path / "model")
    frame = table(300, np.random.RandomState(6))
    assert drift(type(model).load(tmp_path / "model"), frame) == drift(model, frame)
