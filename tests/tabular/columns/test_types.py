"""Column types: told from the values, and every kind of value comes back from its floats."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from radogaga import InputError
from radogaga.tabular.columns.encoder import TableEncoder
from radogaga.tabular.columns.types import ColumnType, infer_type, restore, to_float


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
    x = to_float(column, kind)
    assert x.dtype == np.float64
    assert np.array_equal(np.isnan(x), column.isna())
    back = pd.Series(restore(x, kind))
    assert back.isna().equals(column.isna())
    assert np.array_equal(to_float(back, kind), x, equal_nan=True)


def test_zones_of_time_are_one_time():
    there = pd.Series(pd.to_datetime(["2024-01-01 12:00", "2024-06-01 00:00"]).tz_localize("Asia/Tokyo"))
    assert np.array_equal(
        to_float(there, ColumnType.DATETIME), to_float(there.dt.tz_convert("UTC"), ColumnType.DATETIME)
    )


@pytest.mark.parametrize("cell", [b"bytes", 1j, pd.Interval(0, 1), datetime.time(3), [1, 2], {"a": 1}], ids=str)
def test_columns_that_cannot_be_told_apart_are_refused(cell):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "odd": [cell, cell, cell]})
    with pytest.raises(InputError, match=r"Expected .* column 'odd'; got .*\."):
        TableEncoder.fit(frame)


def test_clock_times_with_and_without_seconds_are_durations():
    column = pd.Series(["10:30", "10:30:05", None, "1 days 00:00:01"])
    assert to_float(column, ColumnType.DURATION).tolist()[:2] == [37_800.0, 37_805.0]
    assert to_float(column, ColumnType.DURATION)[3] == 86_401.0
