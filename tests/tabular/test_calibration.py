"""Alarm rates: what is promised holds, and what cannot be promised is said."""

import warnings

import numpy as np
import pandas as pd
import pytest

from radogaga import Calibration, InputError, RaDOGAGA


def small(**options) -> RaDOGAGA:
    return RaDOGAGA(**{"max_steps": 20, "random_state": 0, **options})


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


# -- the default threshold ------------------------------------------------------------------------------------------


def normal(rows, random):
    return random.normal(size=(rows, 3))


def heavy_tailed(rows, random):
    return random.standard_t(3, size=(rows, 3))


def categories(rows, random):
    kind = random.choice(6, rows, p=[0.5, 0.25, 0.12, 0.08, 0.03, 0.02])
    amount = random.lognormal(3 + 0.3 * kind, 0.6)
    return pd.DataFrame({"amount": amount, "kind": [f"k{k}" for k in kind], "fee": amount * 0.02})


@pytest.mark.parametrize("table", [normal, heavy_tailed, categories])
def test_about_one_new_row_in_a_hundred_is_an_alarm_by_default(table):
    rates = []
    for seed in range(10):
        random = np.random.RandomState(seed)
        model = small(max_steps=0).fit(table(400, random))
        rates.append((model.predict(table(2000, random)) < 0).mean())
    assert 0.005 <= np.mean(rates) <= 0.015


@pytest.mark.parametrize("steps", [0, 300])
def test_p_values_of_new_rows_are_uniform_though_training_rows_calibrate(steps):
    random = np.random.RandomState(0)
    mix = random.normal(size=(3, 8))

    def table(rows):
        return random.normal(size=(rows, 3)) @ mix + 0.2 * random.normal(size=(rows, 8))

    model = small(max_steps=steps).fit(table(600))
    p = model.p_value(table(2000))
    assert len(model.calibration_scores_) == 570
    assert all(abs((p <= level).mean() - level) < 0.06 for level in (0.05, 0.2, 0.5, 0.8))


def test_a_training_row_counts_as_it_is_not_clipped():
    x = np.random.RandomState(0).normal(size=(200, 2))
    x[7] = 1e4, 0.0
    lowest = small(max_steps=0).fit(x).calibration_scores_[0]
    assert lowest < -1000


def test_training_rows_do_not_calibrate_what_is_promised():
    x = np.random.RandomState(0).normal(size=(400, 2))
    assert len(small(alarm_rate=0.05, max_steps=0).fit(x).calibration_scores_) == 20


def test_too_few_rows_for_the_default_rate_are_said():
    x = np.random.RandomState(0).normal(size=(110, 2))
    with pytest.warns(UserWarning, match=r"98 calibration scores are too few.* takes 99.*expect 0\.01 .*Pass 109"):
        small(max_steps=0).fit(x[:108])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(max_steps=0).fit(x)
        small(max_steps=0, contamination=0.1).fit(x[:60])


# -- selection ------------------------------------------------------------------------------------------------------


def test_selection_is_the_rule_of_benjamini_and_hochberg():
    random = np.random.RandomState(0)
    calibration = Calibration.fit(random.normal(size=500))
    scores = np.concatenate([random.normal(size=400), random.normal(-4, 1, 100)])
    p = calibration.p_value(scores)
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= 0.8 * 0.1 * np.arange(1, 501) / 500)
    assert np.array_equal(calibration.select(scores, 0.1), p <= ordered[below[-1]])
    assert not calibration.select(np.full(9, 5.0), 0.1).any()
    assert calibration.select(np.empty(0)).shape == (0,)


def test_of_selected_rows_at_most_the_asked_share_is_normal():
    shares, found = [], []
    for seed in range(40):
        random = np.random.RandomState(seed)
        model = small(max_steps=0).fit(random.normal(size=(1000, 2)))
        rows = random.normal(size=(1000, 2))
        rows[:50] += 6
        selected = model.select(rows, fdr=0.2)
        shares.append(selected[50:].sum() / max(selected.sum(), 1))
        found.append(selected[:50].mean())
    assert np.mean(shares) <= 0.2
    assert np.mean(found) > 0.9


@pytest.mark.parametrize("fdr", [0, 1, -0.1])
def test_an_fdr_that_cannot_be_is_refused(fdr):
    with pytest.raises(InputError, match="fdr between 0 and 1"):
        Calibration.fit(np.arange(9.0)).select(np.zeros(3), fdr)
