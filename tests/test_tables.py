"""Tables: every kind of column becomes numbers and comes back, from every library, with what is new counted."""

import datetime
import decimal
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

from mixed_table import mixed
from radogaga import InputError, RaDOGAGA
from radogaga.tabular.columns.encoder import TableEncoder
from radogaga.tabular.columns.frames import as_frame
from radogaga.tabular.columns.missing_codes import find_missing_codes
from radogaga.tabular.columns.types import ColumnType, infer_type, measure, restore


def small(**options) -> RaDOGAGA:
    return RaDOGAGA(**{"max_steps": 20, "random_state": 0, **options})


@pytest.fixture(scope="module")
def fitted() -> RaDOGAGA:
    return small().fit(mixed())


# -- columns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.5, np.nan], ColumnType.NUMBER),
        ([None, None], ColumnType.NUMBER),
        ([decimal.Decimal("1.5"), None], ColumnType.NUMBER),
        ([3, 4], ColumnType.INTEGER),
        (pd.array([3, None], dtype="Int64"), ColumnType.INTEGER),
        ([True, False], ColumnType.BOOLEAN),
        (pd.array([True, None], dtype="boolean"), ColumnType.BOOLEAN),
        ([datetime.date(2024, 2, 29), None], ColumnType.DATETIME),
        (pd.to_datetime(["2024-02-29 12:34:56.789", None]), ColumnType.DATETIME),
        (pd.to_timedelta(["1h", None]), ColumnType.DURATION),
    ],
)
def test_measured_columns_come_back(values, kind):
    column = pd.Series(values)
    assert infer_type(column) == kind
    x = measure(column, kind)
    assert x.dtype == np.float64
    assert np.array_equal(np.isnan(x), column.isna())
    back = pd.Series(restore(x, kind))
    assert back.isna().equals(column.isna())
    assert np.array_equal(measure(back, kind), x, equal_nan=True)


def test_zones_of_time_are_one_time():
    there = pd.Series(pd.to_datetime(["2024-01-01 12:00", "2024-06-01 00:00"]).tz_localize("Asia/Tokyo"))
    assert np.array_equal(measure(there, ColumnType.DATETIME), measure(there.dt.tz_convert("UTC"), ColumnType.DATETIME))


@pytest.mark.parametrize("cell", [b"bytes", 1j, pd.Interval(0, 1), datetime.time(3), [1, 2], {"a": 1}], ids=str)
def test_columns_that_cannot_be_told_apart_are_refused(cell):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "odd": [cell, cell, cell]})
    with pytest.raises(InputError, match=r"Expected .* column odd; got .*\."):
        TableEncoder.fit(frame)


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


# -- libraries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        pl.from_pandas,
        pa.TableEncoder.from_pandas,
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
        assert isinstance(other.sample(2), np.ndarray)


def test_arrays_with_gaps_and_arrays_of_objects():
    x = np.random.RandomState(0).normal(size=(100, 3))
    x[::7, 1] = np.nan
    model = small().fit(x)
    assert np.isnan(model.inverse_transform(model.transform(x))[::7, 1]).mean() > 0.5
    words = np.column_stack([x.astype(object), np.where(x[:, 0] > 0, "up", "down")])
    model = small().fit(words)
    assert set(model.sample(50)[:, 3]) <= {"up", "down"}
    assert np.array_equal(model.score_samples(words.tolist()), model.score_samples(words))


# -- what is new ----------------------------------------------------------------------------------------------------


def test_new_categories_and_new_gaps_are_counted_and_lower_the_score(fitted):
    frame = mixed(20, seed=1).fillna({"age": 40.0, "city": "Rome"})
    new = frame.astype({"children": float})
    new.loc[3, "city"], new.loc[4, "income"], new.loc[5, "age"] = "Paris", np.nan, np.nan
    unseen = fitted.unseen(new)
    assert np.argwhere(unseen).tolist() == [[3, 4], [4, 1]], "a gap in age is none that is new"
    before, after = fitted.score_samples(frame), fitted.score_samples(new)
    assert (after[[3, 4]] < before[[3, 4]] - 1).all()
    assert np.array_equal(np.delete(after, [3, 4, 5]), np.delete(before, [3, 4, 5]))


def test_a_new_gap_in_a_table_of_numbers_is_counted():
    x = np.random.RandomState(0).normal(size=(100, 2))
    model = small(max_steps=0).fit(x)
    new = np.array([[np.nan, 0.0], [np.median(x[:, 0]), 0.0]])
    assert model.unseen(new).tolist() == [[True, False], [False, False]]
    score = model.score_samples(new)
    assert score[1] - score[0] == pytest.approx(np.log(101), abs=0.1)


def test_values_of_another_kind_are_refused_in_one_line(fitted):
    frame = mixed(5)
    for name, value in {"income": "much", "member": "perhaps", "since": "once", "children": pd.Timestamp(0)}.items():
        with pytest.raises(InputError, match=f"column {name}, as when the model was fitted") as refused:
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
    for method in ("score_samples", "transform", "p_value", "unseen"):
        assert np.array_equal(getattr(loaded, method)(frame), getattr(fitted, method)(frame))
    assert loaded.sample(20).equals(fitted.sample(20))
    assert np.array_equal(loaded.explain(frame).contributions, fitted.explain(frame).contributions)
    assert not [path for path in tmp_path.rglob("*") if path.suffix not in (".json", ".safetensors", "")]


def test_a_frame_is_made_of_tables_only():
    assert as_frame(np.ones((3, 2))) is None
    assert as_frame(pd.Series([1.0])) is None
    assert as_frame(pl.Series([1.0])) is None
    with pytest.raises(InputError, match="0 rows under 2 columns"):
        as_frame(pd.DataFrame({"a": [], "b": []}))


# -- alarms ---------------------------------------------------------------------------------------------------------


def test_a_wanted_alarm_rate_holds_on_new_rows():
    def rows(n, seed):
        return np.random.RandomState(seed).normal(size=(n, 2))

    rates = [
        (small(alarm_rate=0.05, max_steps=0).fit(rows(400, i)).predict(rows(500, 99 + i)) < 0).mean() for i in range(8)
    ]
    assert 0.02 < np.mean(rates) < 0.06


def test_an_alarm_rate_and_the_p_value_agree():
    x = np.random.RandomState(0).normal(size=(400, 2))
    model = small(alarm_rate=0.05, max_steps=0).fit(x)
    assert len(model.calibration_scores_) >= 19
    new = 2 * np.random.RandomState(1).normal(size=(500, 2))
    assert np.array_equal(model.predict(new) < 0, model.p_value(new) <= 0.05)


@pytest.mark.parametrize(
    ("rows", "said"), [(400, r"takes 999 held-out rows; got 100.*promises 0\.0099"), (30, "is not calibrated")]
)
def test_an_alarm_rate_that_cannot_be_promised_is_said(rows, said):
    x = np.random.RandomState(0).normal(size=(rows, 2))
    with pytest.warns(UserWarning, match=said):
        small(alarm_rate=0.001, max_steps=0).fit(x)


def test_two_thresholds_are_refused():
    with pytest.raises(InputError, match="contamination or alarm_rate; got both"):
        small(alarm_rate=0.1, contamination=0.1).fit(np.ones((3, 2)))


# -- numbers that stand for none ------------------------------------------------------------------------------------


def measured_with(sentinel: float, share: float, rows: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Rows with sentinels in their first column, and such with NaN in their place."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 2)) @ random.normal(size=(2, 4)) + 0.1 * random.normal(size=(rows, 4))
    gone = random.random(rows) < share
    with_sentinel, with_gap = x.copy(), x.copy()
    with_sentinel[gone, 0], with_gap[gone, 0] = sentinel, np.nan
    return with_sentinel, with_gap


@pytest.mark.parametrize("share", [0.01, 0.3])
@pytest.mark.parametrize("sentinel", [-999.0, 1e300])
def test_sentinels_are_missing_values(sentinel, share):
    x, has_missing = measured_with(sentinel, share)
    with pytest.warns(UserWarning, match=r"missing values.*column 0.*Leave such cells empty"):
        model = small().fit(x)
    other = small().fit(has_missing)
    assert np.array_equal(model.score_samples(x), other.score_samples(has_missing))
    assert not model.unseen(x).any()


def test_sentinels_hide_no_anomaly_of_their_column():
    x, _ = measured_with(-999999.0, 0.05)
    new = x[x[:, 0] > -10][:100].copy()
    new[50:, 0] += 6
    with pytest.warns(UserWarning, match="missing values"):
        scores = small().fit(x).score_samples(new)
    assert scores[:50].min() > scores[50:].max()


def test_refused_unknown_and_not_asked_are_all_missing():
    ages = np.arange(2000.0) % 80
    for place, code in enumerate([-999.0, -998.0, -997.0, 9998.0, 9999.0]):
        ages[place::50] = code
    found = find_missing_codes(np.stack([ages, -ages], 1))
    expected = {-999.0, -998.0, -997.0, 9998.0, 9999.0}
    assert {*found[~np.isnan(found[:, 0]), 0]} == expected
    assert {*-found[~np.isnan(found[:, 1]), 1]} == expected


def test_rows_of_no_weight_have_no_sentinels():
    x, _ = measured_with(-999.0, 0.05)
    kept = x[:, 0] > -10
    weighted, without = small().fit(x, sample_weight=kept.astype(float)), small().fit(x[kept])
    assert np.array_equal(weighted.score_samples(x[kept]), without.score_samples(x[kept]))


def test_dates_have_sentinels_too(tmp_path):
    days = pd.date_range("2024-01-01", periods=200).to_series().reset_index(drop=True)
    days[:5] = pd.Timestamp("9999-12-31")
    frame = pd.DataFrame({"day": days, "amount": np.random.default_rng(0).normal(size=200)})
    with pytest.warns(UserWarning, match="9999-12-31 00:00:00 in column day"):
        model = small().fit(frame)
    model.save(tmp_path / "model")
    assert np.array_equal(RaDOGAGA.load(tmp_path / "model").score_samples(frame), model.score_samples(frame))
    assert model.sample(200)["day"].isna().any()


@pytest.mark.parametrize(
    "column",
    {
        "heavy tails": np.random.default_rng(0).standard_cauchy(1000),
        "one wild value": np.append(np.arange(99.0), 1e9),
        "two groups": np.append(np.zeros(60), 1000 + np.arange(40.0)),
        "a tail of counts": np.repeat([*np.arange(13.0), 90.0, 120.0, 150.0], [20] * 13 + [2] * 3),
        "few values": np.append(np.arange(98) % 3, [999.0, 999.0]),
        "constant": np.ones(100),
        "nothing": np.full(100, np.nan),
    }.items(),
    ids=lambda item: item[0],
)
def test_measurements_are_no_sentinels(column):
    assert np.isnan(find_missing_codes(column[1][:, None])).all()
