"""Hostile tables: each either works or says in one line what to do; units and order change no ranking."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mixed_table import mixed
from radogaga import InputError, RaDOGAGA


def fit(table, **options) -> RaDOGAGA:
    """Fit without a word on few rows, duplicates and the like: these tests are about what comes of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return RaDOGAGA(**{"max_steps": 5, "random_state": 0, **options}).fit(table)


def works(model: RaDOGAGA, table) -> None:
    values = model.score_samples(table), model.transform(table), model.p_value(table)
    assert all(np.isfinite(value).all() for value in values)
    assert len(model.sample(3)) == 3
    explanation = model.explain(table[:2])
    assert np.allclose(explanation.contributions.sum(1), explanation.score - explanation.baseline)


def distinct_strings(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"name": [f"name {i}" for i in range(rows)], "x": np.random.RandomState(0).normal(size=rows)})


def numbers_and_strings() -> pd.DataFrame:
    odd = [1, "two", 3.0, None, True] * 20
    return pd.DataFrame({"odd": pd.Series(odd, dtype=object), "x": np.random.RandomState(0).normal(size=100)})


TABLES = {
    "two rows": lambda: mixed(2),
    "duplicates": lambda: pd.concat([mixed(5)] * 20),
    "two different rows": lambda: pd.concat([mixed(2)] * 30),
    "all missing but one column": lambda: mixed(60).assign(age=None, city=None, since=pd.NaT),
    "one repeated string": lambda: mixed(60).assign(city="Rome"),
    "mixed types in a column": numbers_and_strings,
    "1e300": lambda: mixed(60).assign(income=np.where(np.arange(60) == 3, 1e300, 1.0)),
    "all 1e300": lambda: mixed(60).assign(income=1e300 * np.arange(60)),
    "one column of text": lambda: mixed(60)[["city"]],
    "dates at the ends of time": lambda: mixed(60).assign(
        since=np.array(["0001-01-01", "9999-12-31"] * 30, dtype="datetime64[s]")
    ),
    "words that numpy knows": lambda: mixed(60).assign(city=["nan", "None", "", "inf", " ", "NaT"] * 10),
}


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES.keys())
def test_hostile_tables_work(make):
    table = make()
    works(fit(table), table)


def test_ten_thousand_columns_and_fifty_rows():
    x = np.random.RandomState(0).normal(size=(50, 10_000))
    x[0, :7] = np.nan
    table = pd.DataFrame(x).set_axis([f"c{i}" for i in range(10_000)], axis=1).assign(c3="a")
    works(fit(table), table)


def test_a_hundred_thousand_distinct_strings(tmp_path):
    table = distinct_strings(100_000)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = RaDOGAGA(resolution=0.2, max_steps=0, random_state=0).fit(table)
    assert "Column name has values that come up once in 100,000 of 100,000 rows" in str(said[0].message)
    new = table.tail(1000).assign(name="never seen")
    assert np.allclose(model.score_samples(new), model.score_samples(table.tail(1000))), "a new name is no news"
    model.save(tmp_path / "model")
    assert sum(path.stat().st_size for path in (tmp_path / "model").rglob("*.*")) < 2e6


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pd.concat([mixed(1)] * 30), "at least one column that varies"),
        (mixed(1), "at least 2 rows"),
        (mixed(0), "0 rows under 6 columns"),
        (mixed(3)[[]], "columns"),
        (mixed(30).assign(income=np.inf), "got inf in row 0, column 'income'"),
        (mixed(30).assign(age=[-np.inf] * 30), "got -inf in row 0, column 'age'"),
        (mixed(30).assign(city=[["a", "b"]] * 30), "cells of column 'city'; got lists"),
    ],
    ids=["constant", "one row", "no rows", "no columns", "inf", "-inf", "lists"],
)
def test_hostile_tables_are_refused_in_one_line(table, said):
    with pytest.raises(InputError, match=said) as refused:
        fit(table)
    assert "\n" not in str(refused.value)


def test_infinities_are_refused_when_scoring_too():
    model = fit(mixed(60))
    with pytest.raises(InputError, match="got inf in row 2, column 'income'"):
        model.score_samples(mixed(3).assign(income=[1.0, 2.0, np.inf]))


@pytest.mark.parametrize("form", ["{:,.2f}", "{:.1f} %", "$ {:.2f}", "{:.0f}/12/2024"])
def test_numbers_and_dates_written_as_text_are_told(form):
    values = [form.format(1000 + 9 * i) for i in range(100)]
    frame = pd.DataFrame({"a": values, "b": np.random.default_rng(0).normal(size=100)})
    with pytest.warns(UserWarning, match=r"Column a looks like numbers or dates, .* say"):
        RaDOGAGA(max_steps=0, random_state=0).fit(frame)


@pytest.mark.parametrize("table", [mixed(60), mixed(60)[["income"]]], ids=["mixed", "numbers"])
def test_row_numbers_are_told(table):
    table = table.dropna(axis=1) if len(table.columns) == 1 else table.copy()
    table.insert(0, "", range(5, 65))
    with pytest.warns(UserWarning, match="only grow from row to row.*''"):
        RaDOGAGA(max_steps=0, random_state=0).fit(table)


def test_columns_that_mix_numbers_and_text_are_said():
    table = mixed(60).assign(age=[*map(str, range(59)), "?"])
    with pytest.warns(UserWarning, match=r"Column age mixes numbers and text, '\?' say"):
        RaDOGAGA(max_steps=0, random_state=0).fit(table)


# -- invariances ----------------------------------------------------------------------------------------------------

NEW = mixed(100, seed=1)


@settings(max_examples=3, deadline=None)
@given(
    column=st.sampled_from(["age", "income"]),
    scale=st.floats(-8, 8).map(lambda e: 10.0**e),
    shift=st.floats(-3, 3),
)
def test_shifting_and_rescaling_a_column_keeps_the_ranking(column, scale, shift):
    def moved(table):
        spread = mixed()[column].std()
        return table.assign(**{column: scale * (table[column] + shift * spread)})

    assert ranks_alike(fit(mixed()).score_samples(NEW), fit(moved(mixed())).score_samples(moved(NEW))) > 0.999


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(list(mixed(1))))
def test_order_of_columns_hardly_moves_the_coarse_ranking(order):
    score = fit(mixed()).score_samples(NEW)
    other = fit(mixed()[order]).score_samples(NEW[order])
    assert ranks_alike(score, other) > 0.9


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 1000))
def test_order_of_rows_changes_nothing(seed):
    shuffled = mixed().sample(frac=1, random_state=seed)
    assert np.array_equal(fit(mixed()).score_samples(NEW), fit(shuffled).score_samples(NEW))


@settings(max_examples=3, deadline=None)
@given(names=st.lists(st.text(min_size=1), min_size=4, max_size=4, unique=True))
def test_what_categories_are_called_changes_little(names):
    called = dict(zip(["Rome", "Oslo", "Lima", "Bonn"], names, strict=True))

    def renamed(table):
        return table.assign(city=table["city"].map(called))

    assert ranks_alike(fit(mixed()).score_samples(NEW), fit(renamed(mixed())).score_samples(renamed(NEW))) > 0.94


def ranks_alike(a, b) -> float:
    return stats.spearmanr(a, b)[0]
