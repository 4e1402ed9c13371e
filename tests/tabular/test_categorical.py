"""Categories given latents: a distribution that sums to one, follows its training rows and knows who goes with whom."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from radogaga import CategoricalDensity, KernelDensity, RaDOGAGA

ROWS = 2000


def codes_and_latents(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two groups of latents: the first column tells the group, the second is the third, the fourth is noise."""
    random = np.random.RandomState(seed)
    group = random.randint(2, size=ROWS)
    z = 4.0 * group[:, None] + random.normal(size=(ROWS, 2))
    copied = random.choice(4, ROWS, p=[0.5, 0.3, 0.15, 0.05])
    return np.stack([group, copied, copied, random.randint(3, size=ROWS)], 1), z


@pytest.fixture(scope="module")
def fitted() -> CategoricalDensity:
    codes, z = codes_and_latents()
    kernel = KernelDensity.fit(torch.from_numpy(z), max_centres=100)
    return CategoricalDensity.fit(kernel, z, codes)


def test_probabilities_of_all_values_sum_to_one_at_any_latent(fitted):
    levels = [(*range(len(table.count)), -1) for table in fitted.tables]
    codes = np.array(list(product(*levels)))
    for z in ([0.0, 0.0], [4.0, 4.0], [2.0, 1.0], [50.0, -50.0]):
        total = np.exp(fitted.log_prob(np.tile(z, (len(codes), 1)), codes)).sum()
        assert total == pytest.approx(1, abs=1e-6)


def test_a_column_that_goes_with_the_numbers_is_local_and_one_that_does_not_is_not(fitted):
    assert [table.is_local for table in fitted.tables] == [True, False, False, False]
    codes = np.array([[0, 0, 0, 0], [1, 0, 0, 0]])
    there = fitted.log_prob(np.zeros((2, 2)), codes)
    assert there[0] - there[1] > 4


def test_columns_that_go_together_are_neighbours_in_the_tree(fitted):
    assert fitted.tables[1].parent == 2 or fitted.tables[2].parent == 1
    codes = np.array([[0, 1, 1, 0], [0, 1, 2, 0]])
    together, apart = fitted.log_prob(np.zeros((2, 2)), codes)
    assert together - apart > np.log(ROWS) - 3


def test_what_was_never_seen_costs_the_logarithm_of_the_rows(fitted):
    codes = np.array([[0, 0, 0, 0], [0, 0, 0, -1]])
    known, new = fitted.log_prob(np.zeros((2, 2)), codes)
    assert known - new == pytest.approx(np.log(ROWS + 1) - np.log(3), abs=0.3)


def test_samples_follow_the_probabilities(fitted):
    z = np.repeat([[0.0, 0.0], [4.0, 4.0]], 2000, axis=0)
    codes = fitted.sample(z, np.random.RandomState(0))
    assert (codes[:, 1] == codes[:, 2]).mean() > 0.98
    assert (codes[:2000, 0] == 0).mean() > 0.95
    assert (codes[2000:, 0] == 1).mean() > 0.95
    assert np.bincount(codes[:, 1], minlength=4) / 4000 == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.04)
    assert fitted.mode(z[[0, -1]])[:, 0].tolist() == [0, 1]


def test_columns_add_up_to_the_row_where_none_is_local():
    codes, _ = codes_and_latents()
    density = CategoricalDensity.fit(None, np.zeros((ROWS, 0)), codes)
    z = np.zeros((50, 0))
    assert np.allclose(density.column_log_prob(z, codes[:50]).sum(1), density.log_prob(z, codes[:50]))


# -- under the estimator --------------------------------------------------------------------------------------------


def people(rows: int, **columns) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"temp": random.normal(60, 3, rows), "load": random.gamma(2, 10, rows)})
    return frame.assign(power=2 * frame["temp"] + frame["load"] + random.normal(0, 1, rows), **columns)


def fit(frame: pd.DataFrame) -> RaDOGAGA:
    return RaDOGAGA(max_steps=0, random_state=0).fit(frame)


def cost(model: RaDOGAGA, rows: pd.DataFrame, **changed) -> float:
    return float(np.median(model.score_samples(rows) - model.score_samples(rows.assign(**changed))))


@pytest.mark.parametrize("share", [0.2, 0.02, 0.004])
def test_a_known_independent_category_costs_what_its_share_is_worth(share):
    random = np.random.default_rng(1)
    shop = np.where(random.random(2000) < share, "rare", random.choice(list("abcd"), 2000))
    shop[3] = "rare"
    frame = people(2000, shop=shop)
    rows = frame[frame["shop"] != "rare"].head(200)
    expected = np.log((1 - share) / 4 / (shop == "rare").mean())
    assert cost(fit(frame), rows, shop="rare") == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("values", [10, 60])
def test_scores_rank_as_frequencies_do(values):
    random = np.random.default_rng(0)
    share = 1 / np.arange(1, values + 1) ** 1.1
    names = np.array([f"c{i}" for i in range(values)])
    frame = pd.DataFrame({"cat": random.choice(names, 3000, p=share / share.sum()), "v": random.normal(size=3000)})
    model, rows, frequency = fit(frame), frame.head(100), frame["cat"].value_counts()
    score = pd.Series({name: np.median(model.score_samples(rows.assign(cat=name))) for name in frequency.index})
    assert score.corr(frequency, method="spearman") > 0.97
    assert model.predict(rows.assign(cat="new")).mean() < -0.8


def test_a_far_reading_costs_more_than_a_category_never_seen():
    frame = people(2000, shop=np.random.default_rng(1).choice(list("abc"), 2000))
    model, rows = fit(frame), frame.head(200)
    assert cost(model, rows, power=rows["power"] + 30) > cost(model, rows, shop="new") > np.log(2000) - 2


@pytest.mark.parametrize("change", [{"flag": 1}, {"valve": -400.0}, {"mode": "manual"}], ids=str)
def test_another_value_of_a_constant_column_is_as_surprising_as_a_new_category(change):
    frame = people(1500, flag=0, valve=5.0, mode="auto")
    with pytest.warns(UserWarning, match="3 of 6 columns are constant"):
        model = fit(frame)
    rows = frame.head(20)
    changed = rows.assign(**change)
    assert cost(model, rows, **change) == pytest.approx(np.log(1501), abs=0.15)
    assert np.median(model.p_value(changed)) <= 0.05
    assert model.novel(changed).sum(0).tolist() == [20 * (name in change) for name in frame]
    assert model.explain(changed).reasons(0)[0].column == next(iter(change))


def test_a_table_of_categories_alone_has_a_probability():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.choice(list("xyz"), 400), "b": random.choice(list("uv"), 400)})
    model = fit(frame)
    every = pd.DataFrame(list(product("xyz", "uv")), columns=["a", "b"])
    assert np.exp(model.log_density(every)).sum() == pytest.approx(1, abs=0.01)
    assert model.transform(frame).shape == (400, 0)
    assert set(model.sample(50)["a"]) <= set("xyz")
    explanation = model.explain(every)
    assert np.allclose(explanation.contributions.sum(1), explanation.score - explanation.baseline)


def test_a_mixed_density_integrates_to_one_over_numbers_and_categories():
    random = np.random.default_rng(0)
    group = random.integers(2, size=1500)
    frame = pd.DataFrame(
        {
            "x": random.normal(size=1500) + 3 * group,
            "y": random.normal(size=1500),
            "group": np.array(["low", "high"])[group],
            "other": random.choice(list("ab"), 1500),
        }
    )
    model = fit(frame)
    x, y = np.linspace(-6, 9, 120), np.linspace(-6, 6, 100)
    grid = pd.DataFrame(list(product(x, y)), columns=["x", "y"])
    cell = (x[1] - x[0]) * (y[1] - y[0])
    total = sum(
        np.exp(model.log_density(grid.assign(group=group, other=other))).sum() * cell
        for group, other in product(("low", "high"), "ab")
    )
    assert total == pytest.approx(1, abs=0.03)
