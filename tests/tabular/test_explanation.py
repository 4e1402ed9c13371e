"""Explanations: they add up, and they name the column that was spoilt."""

import numpy as np
import pytest

from mixed_table import mixed
from radogaga import RaDOGAGA


@pytest.fixture(scope="module")
def fitted() -> RaDOGAGA:
    return RaDOGAGA(max_steps=100, random_state=0).fit(mixed(1000))


def test_contributions_add_up(fitted):
    frame = mixed(50, seed=1)
    frame.loc[0, "city"] = "Paris"
    frame.loc[1, "income"] = 1e300
    explanation = fitted.explain(frame)
    score = fitted.score_samples(frame)
    assert np.array_equal(explanation.score, score)
    assert np.allclose(explanation.contributions.sum(1), score - explanation.baseline, rtol=1e-12, atol=1e-9)
    assert np.allclose(fitted.score_samples(explanation.typical[list(frame)]), explanation.baseline)
    assert np.median(np.abs(explanation.interaction)) < 0.2 * np.median(np.abs(score - explanation.baseline))


def test_a_typical_row_needs_no_explanation(fitted):
    explanation = fitted.explain(fitted.model_.encoder.decode(*fitted.model_.unpack(fitted.model_.reference_rows[:20])))
    assert np.allclose(explanation.contributions, 0, atol=1e-6)
    assert explanation.reasons(0) == []


# How a column is spoilt: by what no row holds, or by what does not go with the rest.
SPOILT = {
    "age": lambda column: column + 60,
    "income": lambda column: column * 10,
    "children": lambda column: column + 12,
    "city": lambda column: column.where(column.isna(), "Atlantis"),
}


def test_the_planted_column_is_named_first(fitted):
    hits = []
    for name, spoil in SPOILT.items():
        frame = mixed(100, seed=2).dropna()
        explanation = fitted.explain(frame.assign(**{name: spoil(frame[name])}))
        hits.append([explanation.reasons(i)[0].column == name for i in range(len(frame))])
    assert min(map(np.mean, hits)) > 0.85
    assert np.mean(np.concatenate(hits)) >= 0.9


def test_the_planted_column_is_named_first_among_numbers():
    random = np.random.RandomState(0)
    mix = random.normal(size=(4, 12))
    x, new = (random.normal(size=(n, 4)) @ mix + 0.3 * random.normal(size=(n, 12)) for n in (800, 200))
    planted = random.randint(12, size=200)
    new[np.arange(200), planted] += random.choice([-5, 5], 200) * x.std(0)[planted]
    explanation = RaDOGAGA(max_steps=100, random_state=0).fit(x).explain(new)
    assert (explanation.contributions.argmin(1) == planted).mean() >= 0.9


def test_a_constant_column_that_differs_is_a_reason():
    x = np.insert(np.random.RandomState(0).normal(size=(100, 2)), 1, 7.0, axis=1)
    with pytest.warns(UserWarning, match="1 of 3 columns are constant"):
        model = RaDOGAGA(max_steps=0, random_state=0).fit(x)
    explanation = model.explain([[0.0, 8.0, 0.0], [0.0, 7.0, 0.0]])
    assert explanation.novel.tolist() == [[False, True, False], [False, False, False]]
    assert explanation.contributions[:, 1] == pytest.approx([-np.log(101), 0])


def test_reasons_and_frames_are_readable(fitted):
    frame = mixed(5, seed=1).assign(city="Paris")
    explanation = fitted.explain(frame)
    reason = explanation.reasons(0, most=1)[0]
    assert str(reason).startswith("city = Paris, typically ")
    table = explanation.to_frame()
    assert len(table) == 5 * 6
    assert table.groupby("row")["contribution"].sum().to_numpy() == pytest.approx(explanation.contributions.sum(1))
    assert table[table["novel"]]["column"].unique().tolist() == ["city"]
