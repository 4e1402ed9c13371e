"""Dates by their cycles, and numbers that only grow: later rows are no anomalies for being later."""

import numpy as np
import pandas as pd
import pytest

from radogaga import RaDOGAGA
from radogaga.tabular.columns.dates import WEEK, date_cycles, from_cycles
from radogaga.tabular.columns.numeric import grows_with_rows


def readings(start: str, rows: int = 1000, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    when = pd.date_range(start, periods=rows, freq="30min")
    hour = when.hour + when.minute / 60
    return pd.DataFrame({"when": when, "load": np.sin(2 * np.pi * hour / 24) + 0.1 * random.normal(size=rows)})


def test_the_phase_of_the_week_comes_back():
    seconds = np.random.default_rng(0).uniform(0, WEEK, 100) + 2800 * WEEK
    assert np.allclose(from_cycles(date_cycles(seconds, yearly=True), near=2800.5 * WEEK), seconds, atol=1)


def test_later_rows_are_no_anomalies_for_being_later_unless_that_is_asked_for():
    train, later = readings("2024-01-01"), readings("2024-06-01", seed=1)
    model = RaDOGAGA(max_steps=0, random_state=0).fit(train)
    assert (model.predict(later) == -1).mean() < 0.05
    strict = RaDOGAGA(max_steps=0, random_state=0, keep_position=True).fit(train)
    assert (strict.predict(later) == -1).mean() > 0.9
    assert model.model_.outside(later).mean(0) == pytest.approx([1, 0], abs=0.01)


def test_the_time_of_day_counts():
    model = RaDOGAGA(max_steps=0, random_state=0).fit(readings("2024-01-01"))
    day = readings("2024-06-01", seed=1).iloc[24:34]
    night = day.assign(when=day["when"] + pd.Timedelta(hours=12))
    assert np.median(model.score_samples(day)) > np.median(model.score_samples(night)) + 10


def test_dates_come_back_in_the_training_rows_weeks():
    frame = readings("2024-01-01")
    model = RaDOGAGA(max_steps=0, random_state=0).fit(frame)
    sample = model.sample(200)
    assert sample["when"].between(frame["when"].min(), frame["when"].max()).all()


@pytest.mark.parametrize("step", [1, 7])
def test_counters_are_left_out_with_a_warning(step):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=200), "number": step * np.arange(200)})
    with pytest.warns(UserWarning, match="only grow from row to row.*'number'"):
        model = RaDOGAGA(max_steps=0, random_state=0).fit(frame)
    assert (model.predict(frame.assign(number=frame["number"] + 10_000)) == model.predict(frame)).all()
    assert RaDOGAGA(max_steps=0, random_state=0, keep_position=True).fit(frame).n_components_ == 2


def test_measurements_are_no_counters():
    random = np.random.default_rng(0)
    columns = [random.normal(size=500), np.sort(random.integers(20, 80, 500)), np.sort(random.normal(size=500))]
    assert not grows_with_rows(np.stack(columns, 1).astype(float)).any()
