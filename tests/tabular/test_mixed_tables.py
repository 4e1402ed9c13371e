"""Mixed tables from every library under the estimator, with what is new counted."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

from mixed_table import mixed
from radogaga import InputError, RaDOGAGA


def small(**options) -> RaDOGAGA:
    return RaDOGAGA(**{"max_steps": 20, "random_state": 0, **options})


@pytest.fixture(scope="module")
def fitted() -> RaDOGAGA:
    return small().fit(mixed())


# -- libraries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        pa.Table.from_pandas,
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.astype({"city": "category"}),
    ],
    ids=["polars", "arrow", "nullable types", "categorical"],
)
def test_every_library_gives_the_same_model_and_scores(fitted, convert):
    frame = mixed()
    score = fitted.score_samples(frame)
    assert np.array_equal(fitted.score_samples(convert(frame)), score)
    assert np.allclose(small().fit(convert(frame)).score_samples(frame), score)


def test_numeric_frames_are_arrays_of_numbers():
    x = np.random.RandomState(0).normal(size=(60, 3))
    model = small(max_steps=0).fit(x)
    for frame in (
        pd.DataFrame(x, columns=list("abc")),
        pl.DataFrame(x, schema=list("abc")),
        pa.table(dict(zip("abc", x.T, strict=True))),
    ):
        other = small(max_steps=0).fit(frame)
        assert np.array_equal(other.score_samples(frame), model.score_samples(x))
        assert list(other.feature_names_in_) == ["a", "b", "c"]
        assert list(other.sample(2)) == ["a", "b", "c"]


def test_arrays_with_gaps_and_arrays_of_objects():
    x = np.random.RandomState(0).normal(size=(100, 3))
    x[::7, 1] = np.nan
    model = small().fit(x)
    assert 0.05 < np.isnan(model.sample(300)[:, 1]).mean() < 0.3
    words = np.column_stack([x.astype(object), np.where(x[:, 0] > 0, "up", "down")])
    model = small().fit(words)
    assert set(model.sample(50)[:, 3]) <= {"up", "down"}
    assert np.array_equal(model.score_samples(words.tolist()), model.score_samples(words))


# -- what is new ----------------------------------------------------------------------------------------------------


def test_new_categories_and_new_gaps_are_counted_and_lower_the_score(fitted):
    frame = mixed(20, seed=1).fillna({"age": 40.0, "city": "Rome"})
    new = frame.astype({"children": float})
    new.loc[3, "city"], new.loc[4, "income"], new.loc[5, "age"] = "Paris", np.nan, np.nan
    novel = fitted.novel(new)
    assert np.argwhere(novel).tolist() == [[3, 4], [4, 1]], "a gap in age is none that is new"
    before, after = fitted.score_samples(frame), fitted.score_samples(new)
    assert (after[[3, 4]] < before[[3, 4]] - 1).all()
    assert np.array_equal(np.delete(after, [3, 4, 5]), np.delete(before, [3, 4, 5]))


def test_a_new_gap_in_a_table_of_numbers_is_counted():
    x = np.random.RandomState(0).normal(size=(100, 2))
    model = small(max_steps=0).fit(x)
    new = np.array([[np.nan, 0.0], [np.median(x[:, 0]), 0.0]])
    assert model.novel(new).tolist() == [[True, False], [False, False]]
    score = model.score_samples(new)
    assert score[1] - score[0] == pytest.approx(np.log(101), abs=0.1)


def test_values_of_another_kind_are_refused_in_one_line(fitted):
    frame = mixed(5)
    for name, value in {"income": "much", "since": "once", "children": pd.Timestamp(0)}.items():
        with pytest.raises(InputError, match=f"column {name!r}, as when the model was fitted") as refused:
            fitted.score_samples(frame.astype(object).assign(**{name: value}))
        assert "\n" not in str(refused.value)


def test_numbers_as_text_are_numbers_still(fitted):
    frame = mixed(20)
    text = frame.assign(income=[repr(v) for v in frame["income"]], since=frame["since"].astype(str))
    assert np.allclose(fitted.score_samples(text), fitted.score_samples(frame))


# -- scikit-learn ---------------------------------------------------------------------------------------------------


def test_samples_are_rows_of_the_table(fitted):
    sample = fitted.sample(200)
    assert list(sample) == list(mixed().columns) == list(fitted.feature_names_in_)
    assert set(sample["city"].dropna()) <= {"Rome", "Oslo", "Lima", "Bonn"}
    assert sample["member"].dtype == bool
    assert sample["since"].dtype.kind == "M"
    assert sample["children"].dtype == np.int64
    assert 0 < sample["age"].isna().mean() < 0.5
    assert fitted.score(sample) == pytest.approx(fitted.score(mixed(seed=1)), abs=3)


def test_weights_of_a_mixed_table_are_copies():
    frame = mixed(120)
    weight = np.arange(120) % 3
    weighted, repeated = (
        small().fit(frame, sample_weight=weight),
        small().fit(frame.iloc[np.repeat(np.arange(120), weight)]),
    )
    assert np.array_equal(weighted.score_samples(frame), repeated.score_samples(frame))


def test_order_of_rows_does_not_matter(fitted):
    other = clone(fitted).fit(mixed().sample(frac=1, random_state=0))
    assert np.array_equal(other.score_samples(mixed()), fitted.score_samples(mixed()))


def test_columns_are_checked_by_name(fitted):
    frame = mixed(5)
    with pytest.raises(ValueError, match="same order"):
        fitted.score_samples(frame[frame.columns[::-1]])
    with pytest.raises(ValueError, match=r"missing:\n- city"):
        fitted.score_samples(frame.drop(columns="city"))
    with pytest.raises(InputError, match="two columns 'age'"):
        fitted.score_samples(frame.set_axis(["age", *frame.columns[:5]], axis=1))


def test_saved_and_loaded_scores_are_the_same_to_the_last_bit(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = RaDOGAGA.load(tmp_path / "model")
    frame = mixed(50, seed=1)
    frame.loc[0, "city"] = "Paris"
    for method in ("score_samples", "transform", "p_value", "novel"):
        assert np.array_equal(getattr(loaded, method)(frame), getattr(fitted, method)(frame))
    assert loaded.sample(20).equals(fitted.sample(20))
    assert np.array_equal(loaded.explain(frame).contributions, fitted.explain(frame).contributions)
    assert not [path for path in tmp_path.rglob("*") if path.suffix not in (".json", ".safetensors", "")]
