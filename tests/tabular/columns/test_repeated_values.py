"""Values that repeat: a new one is news by the share of values that came up once."""

import numpy as np
import pytest

from radogaga import RepeatedValues


def test_a_new_value_costs_about_the_log_of_how_often_one_comes_up():
    random = np.random.RandomState(0)
    draw = lambda n: (random.zipf(1.6, size=(n, 1)) % 100_000).astype(float)  # noqa: E731
    train, new = draw(2000), draw(20_000)
    repeated = RepeatedValues.fit(train)
    share = (repeated.novelty(new) > 0).mean()
    assert np.exp(-repeated.cost[0]) == pytest.approx(share, rel=0.2)


def test_measurements_cost_nothing_and_constants_are_left_to_the_encoder():
    x = np.stack([np.random.RandomState(0).normal(size=50), np.full(50, 3.0)], 1)
    assert not RepeatedValues.fit(x).novelty(np.array([[9.0, 4.0]])).any()


def test_known_values_cost_nothing_and_one_between_does():
    x = np.repeat(np.arange(5.0), 20)[:, None]
    repeated = RepeatedValues.fit(x)
    assert repeated.novelty(np.array([[0.0], [4.0], [2.5], [-1.0], [5.0]]))[:, 0] == pytest.approx(
        [0, 0, *[np.log(101)] * 3]
    )


def test_a_left_out_row_is_new_where_it_alone_has_a_value():
    x = np.array([[1.0], [1.0], [1.0], [2.0]])
    repeated = RepeatedValues.fit(x)
    assert (repeated.left_out_novelty(x, x) > 0)[:, 0].tolist() == [False, False, False, True]
