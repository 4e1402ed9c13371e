"""Alarm rates: what is promised holds, and what cannot be promised is said."""

import numpy as np
import pytest

from radogaga import InputError, RaDOGAGA


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
