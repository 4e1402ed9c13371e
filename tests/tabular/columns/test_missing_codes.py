"""Numbers that stand for a missing value are found, and measurements are not taken for such."""

import numpy as np
import pandas as pd
import pytest

from radogaga import RaDOGAGA
from radogaga.tabular.columns.missing_codes import find_missing_codes


def small(**options) -> RaDOGAGA:
    return RaDOGAGA(**{"max_steps": 0, "random_state": 0, **options})


def measured_with(code: float, share: float, rows: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Rows with codes in their first column, and such with NaN in their place."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 2)) @ random.normal(size=(2, 4)) + 0.1 * random.normal(size=(rows, 4))
    gone = random.random(rows) < share
    with_code, with_gap = x.copy(), x.copy()
    with_code[gone, 0], with_gap[gone, 0] = code, np.nan
    return with_code, with_gap


@pytest.mark.parametrize("share", [0.01, 0.3])
@pytest.mark.parametrize("code", [-999.0, 1e300])
def test_codes_are_missing_values(code, share):
    x, has_missing = measured_with(code, share)
    with pytest.warns(UserWarning, match=r"missing values.*column 0.*Leave such cells empty"):
        model = small().fit(x)
    other = small().fit(has_missing)
    assert np.array_equal(model.score_samples(x), other.score_samples(has_missing))
    assert not model.novel(x).any()


def test_codes_hide_no_anomaly_of_their_column():
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


def test_rows_of_no_weight_have_no_codes():
    x, _ = measured_with(-999.0, 0.05)
    kept = x[:, 0] > -10
    weighted, without = small().fit(x, sample_weight=kept.astype(float)), small().fit(x[kept])
    assert np.array_equal(weighted.score_samples(x[kept]), without.score_samples(x[kept]))


def test_dates_have_codes_too(tmp_path):
    days = pd.date_range("2024-01-01", periods=200).to_series().reset_index(drop=True)
    days[:5] = pd.Timestamp("9999-12-31")
    frame = pd.DataFrame({"day": days, "amount": np.random.default_rng(0).normal(size=200)})
    with pytest.warns(UserWarning, match="9999-12-31 00:00:00 in column 'day'"):
        model = small().fit(frame)
    model.save(tmp_path / "model")
    assert np.array_equal(RaDOGAGA.load(tmp_path / "model").score_samples(frame), model.score_samples(frame))
    assert model.sample(200)["day"].isna().any()


@pytest.mark.parametrize(
    "column",
    {
        "heavy tails": np.random.default_rng(0).standard_cauchy(1000),
        "one outlier": np.append(np.arange(99.0), 1e9),
        "two groups": np.append(np.zeros(60), 1000 + np.arange(40.0)),
        "a tail of counts": np.repeat([*np.arange(13.0), 90.0, 120.0, 150.0], [20] * 13 + [2] * 3),
        "few values": np.append(np.arange(98) % 3, [999.0, 999.0]),
        "constant": np.ones(100),
        "nothing": np.full(100, np.nan),
    }.items(),
    ids=lambda item: item[0],
)
def test_measurements_are_no_codes(column):
    assert np.isnan(find_missing_codes(column[1][:, None])).all()
