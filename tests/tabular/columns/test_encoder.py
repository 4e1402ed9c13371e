"""The table encoder: columns become numbers and come back, and what is new has its price."""

import warnings

import numpy as np
import pandas as pd
import pytest

from mixed_table import mixed
from radogaga.tabular.columns.encoder import TableEncoder


def test_a_table_comes_back_from_its_numbers():
    frame = mixed()
    table = TableEncoder.fit(frame)
    rows = table.encode(frame)
    assert np.isfinite(rows.x).all()
    assert rows.x.shape[1] == len(table.source_column)
    assert not rows.novelty.any()
    back = table.decode(rows.x)
    assert list(back) == list(frame)
    for name in frame:
        assert back[name].isna().equals(frame[name].isna())
        assert (back[name].dropna() == frame[name].dropna()).all() or np.allclose(
            back[name].dropna(), frame[name].dropna()
        )


def test_rare_categories_share_one_indicator():
    words = ["a"] * 500 + ["b"] * 400 + [f"rare{i % 50}" for i in range(100)]
    table = TableEncoder.fit(pd.DataFrame({"word": words}))
    (vocabulary,) = table.category_encoders
    assert (vocabulary.frequent, vocabulary.codes, len(vocabulary.values)) == (2, 3, 52)
    x = table.encode(pd.DataFrame({"word": ["a", "rare7", "new"]})).x
    assert np.array_equal(x, [[1, 0, 0], [0, 0, 1], [0, 0, 1]])


@pytest.mark.parametrize(("values", "nats"), [(["a", "b"] * 500, np.log(1001)), (list(map(str, range(1000))), 0.0)])
def test_a_new_category_costs_what_good_and_turing_say(values, nats):
    random = np.random.RandomState(0)
    frame = pd.DataFrame({"word": random.permutation(values), "x": random.normal(size=1000)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of values that come up once
        table = TableEncoder.fit(frame)
    new = pd.DataFrame({"word": ["new"], "x": [0.0]})
    assert table.encode(new).novelty[0] == pytest.approx([nats, 0])
