"""The table encoder: columns become numbers and codes and come back, and what is new has its price."""

import numpy as np
import pandas as pd
import pytest

from mixed_table import mixed
from radogaga import TableEncoder


def test_a_table_comes_back_from_its_numbers_and_codes():
    frame = mixed()
    encoder = TableEncoder.fit(frame, keep_position=True)
    rows = encoder.encode(frame)
    assert np.isfinite(rows.x).all()
    assert rows.x.shape[1] == len(encoder.source_column)
    assert rows.codes.shape[1] == len(encoder.code_column)
    assert not rows.novelty.any()
    assert not rows.novel.any()
    back = encoder.decode(rows.x, rows.codes)
    assert list(back) == list(frame)
    for name in frame:
        assert back[name].isna().equals(frame[name].isna())
        assert (back[name].dropna() == frame[name].dropna()).all() or np.allclose(
            back[name].dropna(), frame[name].dropna()
        )


def test_categories_truth_values_and_gaps_are_codes():
    encoder = TableEncoder.fit(mixed())
    assert [encoder.labels[j] for j in encoder.code_column] == ["member", "city", "age"]
    assert [encoder.labels[j] for j in encoder.source_column] == ["age", "income", "children", *["since"] * 4]


def test_rows_that_span_years_have_a_season():
    days = pd.Series(pd.date_range("2020-01-01", "2023-01-01", periods=300))
    encoder = TableEncoder.fit(pd.DataFrame({"day": days}))
    assert encoder.encode(pd.DataFrame({"day": days})).x.shape == (300, 6)


def test_what_no_training_row_held_has_its_price():
    random = np.random.RandomState(0)
    frame = pd.DataFrame({"word": random.choice(["a", "b"], 1000), "x": random.normal(size=1000), "fixed": 7.0})
    encoder = TableEncoder.fit(frame)
    new = pd.DataFrame({"word": ["new", "a", "a", "a"], "x": [0.0, np.nan, 0.0, 0.0], "fixed": [7.0, 7.0, 8.0, 7.0]})
    rows = encoder.encode(new)
    assert rows.novel.tolist() == [[True, False, False], [False, True, False], [False, False, True], [False] * 3]
    assert rows.codes[:, 0].tolist()[0] == -1
    assert rows.total_novelty == pytest.approx([0, np.log(1001), np.log(1001), 0])
    assert encoder.outside(new).any(1).tolist() == [False, False, True, False]
