"""The estimator: scikit-learn's own checks, and the laws that its numbers obey."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import radogaga
from radogaga import InputError, RaDOGAGA, TabularModel

STEPS = 20


def curved(n: int, seed: int = 0) -> np.ndarray:
    """Rows about a parabola in three columns of unequal units."""
    random = np.random.RandomState(seed)
    t = random.normal(size=n)
    x = np.stack([t, 0.5 * t**2, -t], 1) + 0.1 * random.normal(size=(n, 3))
    return x * [1.0, 20.0, 0.03] + [0.0, 5.0, 100.0]


def small(**options) -> RaDOGAGA:
    return RaDOGAGA(**{"max_steps": STEPS, "random_state": 0, **options})


@pytest.fixture(scope="module")
def fitted() -> RaDOGAGA:
    return small().fit(curved(400))


def without_anomalies_in_training(estimator) -> dict[str, str]:
    """The checks that some training row be an anomaly: by default the threshold is that of new rows."""
    why = "1 % of new rows are under the threshold, and of 300 training rows none need be"
    checks = ("check_outliers_train", "check_outliers_fit_predict")
    return dict.fromkeys(checks, why) if estimator.contamination == "auto" else {}


@pytest.mark.filterwarnings("ignore:.*rows are too few:UserWarning", "ignore:Only .* rows differ:UserWarning")
@parametrize_with_checks(
    [
        RaDOGAGA(max_steps=3),
        RaDOGAGA(max_steps=3, contamination=0.1),
    ],
    expected_failed_checks=without_anomalies_in_training,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# -- density --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_density_integrates_to_one_in_raw_units(angle):
    random = np.random.RandomState(0)
    t = random.normal(size=1000)
    x = np.stack([t, 0.5 * t**2 + 0.3 * random.normal(size=1000)], 1) @ [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    x = x * [30.0, 0.01] + [500.0, 0.0]
    model = small(max_steps=300).fit(x)
    low, high = x.min(0) - 2 * x.std(0), x.max(0) + 2 * x.std(0)
    axes = [np.linspace(a, b, 300) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    assert np.exp(model.log_density(grid)).sum() * cell == pytest.approx(1, abs=0.05)


def test_typical_rows_score_higher(fitted):
    x = curved(200, seed=1)
    shuffled = np.stack([np.random.RandomState(i).permutation(column) for i, column in enumerate(x.T)], 1)
    assert fitted.score(x) > fitted.score(shuffled) + 2
    assert fitted.score(x) == pytest.approx(fitted.log_density(x).mean())


@pytest.mark.parametrize(("rows", "wild"), [(60, 1), (150, 3), (1500, 3)])
def test_a_few_outliers_among_the_training_rows_hide_no_anomaly(rows, wild):
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 3)) @ random.normal(size=(3, 6)) + 0.1 * random.normal(size=(rows, 6))
    off = 6 * x[:, 2].std() * np.eye(6)[2]
    new = np.concatenate([x[:50], x[:50] + off])
    tame = RaDOGAGA(max_steps=0, random_state=0).fit(x)
    x[:wild, 2] = [1e6, 2e6, 5e6][:wild]
    model = RaDOGAGA(max_steps=0, random_state=0).fit(x)
    scores = model.score_samples(new)
    assert roc_auc_score(np.arange(100) < 50, scores) > 0.93  # it was under .6 without clipping
    assert model.explained_variance_ratio_[:3] == pytest.approx(tame.explained_variance_ratio_[:3], abs=0.1)


def test_units_of_a_column_move_the_log_density_by_their_logarithm_and_no_score():
    x = curved(200)
    model, other = small().fit(x), small().fit(x * [1024.0, 1.0, 1.0])
    assert np.allclose(other.log_density(x * [1024.0, 1.0, 1.0]), model.log_density(x) - np.log(1024), atol=1e-6)
    assert np.allclose(other.score_samples(x * [1024.0, 1.0, 1.0]), model.score_samples(x), atol=1e-6)


@settings(max_examples=3, deadline=None)
@given(
    scale=st.lists(st.floats(-8, 8), min_size=3, max_size=3),
    shift=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
)
def test_shifting_and_rescaling_columns_keeps_the_ranking(scale, shift):
    x, new = curved(200), curved(100, seed=1)
    factor = 10.0 ** np.array(scale)
    offset = np.array(shift) * factor
    model, other = small().fit(x), small().fit(x * factor + offset)
    assert stats.spearmanr(model.score_samples(new), other.score_samples(new * factor + offset))[0] > 0.999


@settings(max_examples=2, deadline=None)
@given(order=st.permutations(range(3)))
def test_order_of_columns_hardly_moves_the_ranking(order):
    x, new = curved(400), curved(200, seed=1)
    model, other = small().fit(x), small().fit(x[:, order])
    assert stats.spearmanr(model.score_samples(new), other.score_samples(new[:, order]))[0] > 0.9


def test_order_of_rows_does_not_matter(fitted):
    x = curved(400)
    other = small().fit(x[np.random.RandomState(3).permutation(len(x))])
    assert np.array_equal(fitted.score_samples(x), other.score_samples(x))


def test_constant_columns_do_not_contribute(fitted):
    x = np.insert(curved(400), 1, 7.0, axis=1)
    with pytest.warns(UserWarning, match="1 of 4 columns are constant"):
        model = small().fit(x)
    assert np.array_equal(model.score_samples(x), fitted.score_samples(curved(400)))
    assert (model.sample(5)[:, 1] == 7.0).all()
    assert (model.inverse_transform(model.transform(x))[:, 1] == 7.0).all()


# -- anomalies ------------------------------------------------------------------------------------------------------


def test_p_values_of_new_rows_of_the_same_distribution_are_uniform():
    model = small().fit(curved(2000))
    p = model.p_value(curved(2000, seed=1))
    assert p.min() >= 1 / (len(model.calibration_scores_) + 1)
    assert p.max() <= 1
    assert stats.kstest(p, "uniform").statistic < 0.13


def test_contamination_is_the_share_of_training_rows_called_anomalies():
    x = curved(400)
    assert (small(contamination=0.2).fit_predict(x) == -1).mean() == pytest.approx(0.2)


def test_offset_leaves_one_in_a_hundred_of_the_calibration_scores_under_it(fitted):
    scores = fitted.calibration_scores_
    assert fitted.offset_ == scores[(len(scores) + 1) // 100 - 1]
    assert (fitted.predict(curved(400)) == np.where(fitted.decision_function(curved(400)) < 0, -1, 1)).all()


# -- embedding ------------------------------------------------------------------------------------------------------


def test_latents_go_back_to_their_rows():
    x = curved(300)
    model = small(n_components=3, max_steps=0).fit(x)
    z = model.transform(x)
    assert np.allclose(model.inverse_transform(z), x, rtol=1e-4, atol=1e-3)
    trained = small(n_components=2, max_steps=200).fit(x)
    back = trained.inverse_transform(trained.transform(x))
    assert ((back - x).std(0) / x.std(0) < 0.5).all()


def test_latents_come_with_the_largest_variance_first():
    model = small(max_steps=100).fit(curved(300))
    assert (np.diff(model.explained_variance_ratio_) <= 1e-6).all()
    assert 0.9 < model.explained_variance_ratio_.sum() <= 1
    assert len(model.explained_variance_ratio_) == model.n_components_ == model.transform(curved(2)).shape[1]


def test_number_of_components_as_a_share_and_a_count():
    x = curved(200)
    assert small(n_components=0.5).fit(x).n_components_ < small(n_components=0.999).fit(x).n_components_
    assert small(n_components=2).fit(x).n_components_ == 2
    with pytest.raises(InputError, match="at most 3"):
        small(n_components=4).fit(x)


def test_resolution_and_isometry_are_told(fitted):
    assert fitted.resolution_ >= 0.1
    assert small(resolution=0.25).fit(curved(100)).resolution_ == 0.25
    assert fitted.isometry_.diag_mean == pytest.approx(1, abs=0.2)
    assert fitted.history_.step[-1] <= STEPS


def test_samples_follow_the_density():
    model = small().fit(curved(400))
    sample = model.sample(1000)
    scores = [np.median(model.log_density(rows)) for rows in (sample, curved(1000, seed=1))]
    assert scores[0] == pytest.approx(scores[1], abs=0.5)
    assert np.array_equal(sample, model.sample(1000))


def test_a_value_between_repeated_ones_is_news():
    random = np.random.RandomState(0)
    x = np.stack([random.randint(0, 9, 400), random.normal(size=400)], 1).astype(float)
    model = small(max_steps=0).fit(x)
    usual, between = model.score_samples([[4.0, 0.0], [4.5, 0.0]])
    assert usual - between > np.log(401) - 1
    assert model.explain([[4.5, 0.0]]).reasons(0)[0].column == "0"


def test_a_nearly_exact_relation_that_is_broken_is_an_anomaly():
    random = np.random.RandomState(0)
    before, amount = random.lognormal(5, 1, 1000), random.lognormal(3, 1, 1000)
    x = np.stack([before, amount, before - amount], 1)
    model, new = small(max_steps=0).fit(x[:800]), x[800:].copy()
    new[:, 2] += 0.5 * new[:, 0]
    assert roc_auc_score(np.arange(400) < 200, model.score_samples(np.concatenate([x[800:], new]))) > 0.95


# -- scikit-learn ---------------------------------------------------------------------------------------------------


def test_works_in_a_pipeline_and_in_a_grid_search():
    x = curved(150)
    pipeline = make_pipeline(StandardScaler(), small())
    assert pipeline.fit(x).score_samples(x).shape == (150,)
    search = GridSearchCV(pipeline, {"radogaga__n_components": [1, 2]}, cv=2).fit(x)
    assert search.best_params_ == {"radogaga__n_components": 2}
    assert clone(search.best_estimator_).fit(x).score(x) == search.best_estimator_.score(x)


def test_names_of_columns_are_kept_and_checked():
    frame = pd.DataFrame(curved(100), columns=["a", "b", "c"])
    model = small(n_components=2).set_output(transform="pandas").fit(frame)
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert list(model.transform(frame).columns) == list(model.get_feature_names_out()) == ["radogaga0", "radogaga1"]
    with pytest.raises(ValueError, match="same order"):
        model.score_samples(frame[["b", "a", "c"]])
    with pytest.raises(ValueError, match="unseen at fit time"):
        model.score_samples(frame.rename(columns={"c": "d"}))


def test_the_same_seed_is_the_same_model_and_nothing_outside_moves(fitted):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    again = small().fit(curved(400))
    again.sample(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert np.array_equal(again.score_samples(curved(50, 1)), fitted.score_samples(curved(50, 1)))


@pytest.mark.parametrize("n_jobs", [2, 3, -1])
def test_scores_are_the_same_to_the_last_bit_on_any_number_of_threads(n_jobs):
    model, x, threads = small().fit(curved(400)), curved(20_000, seed=1), torch.get_num_threads()
    alone = model.score_samples(x)
    assert np.array_equal(model.set_params(n_jobs=n_jobs).score_samples(x), alone)
    with joblib.parallel_config(n_jobs=2):
        assert np.array_equal(model.set_params(n_jobs=None).score_samples(x), alone)
    assert torch.get_num_threads() == threads


def test_weights_are_copies():
    x = curved(60)
    weight = np.arange(60) % 3
    weighted, repeated = small().fit(x, sample_weight=weight), small().fit(x.repeat(weight, axis=0))
    assert np.array_equal(weighted.score_samples(x), repeated.score_samples(x))


def test_weights_that_are_not_whole_are_drawn():
    x = np.tile(curved(200), (2, 1)) + np.repeat([[0.0], [50.0]], 200, axis=0) * [1.0, 0.0, 0.0]
    weight = np.repeat([0.01, 0.99], 200)
    model = small().fit(x, sample_weight=weight)
    assert model.score(x[200:]) > model.score(x[:200]) + 1
    with pytest.raises(InputError, match="shape"):
        small().fit(x, sample_weight=weight[1:])
    with pytest.raises(InputError, match="0 or more"):
        small().fit(x, sample_weight=-weight)


# -- folders --------------------------------------------------------------------------------------------------------


def test_saved_and_loaded_scores_are_the_same_to_the_last_bit(tmp_path):
    frame = pd.DataFrame(curved(100), columns=["a", "b", "c"])
    model = small().fit(frame)
    model.save(tmp_path / "model")
    model.save(tmp_path / "model")  # over itself
    for other in (RaDOGAGA.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert other.get_params() == model.get_params()
        for method in ("score_samples", "transform", "p_value", "predict"):
            assert np.array_equal(getattr(other, method)(frame), getattr(model, method)(frame))
        assert list(other.feature_names_in_) == ["a", "b", "c"]
        assert np.array_equal(other.sample(3), model.sample(3))
        assert other.history_ == model.history_
        assert other.isometry_.diag_mean == model.isometry_.diag_mean


def test_the_fitted_model_is_loaded_without_the_estimator(tmp_path, fitted):
    fitted.save(tmp_path / "model")
    model = radogaga.load(tmp_path / "model")
    assert isinstance(model, TabularModel)
    assert np.array_equal(model.score(curved(50, seed=1)), fitted.score_samples(curved(50, seed=1)))


def test_folders_that_are_no_model_of_a_table_are_refused(tmp_path, fitted):
    with pytest.raises(InputError, match="there is none"):
        RaDOGAGA.load(tmp_path / "nothing")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="something else"):
        fitted.save(tmp_path / "mine")
    fitted.density_.save(tmp_path / "density")
    with pytest.raises(InputError, match="Expected the model of a table"):
        RaDOGAGA.load(tmp_path / "density")
    fitted.save(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match="is not the one that was saved"):
        RaDOGAGA.load(tmp_path / "model")
    (tmp_path / "model" / "model.json").write_text('{"format": "other"}')
    with pytest.raises(InputError, match="format"):
        RaDOGAGA.load(tmp_path / "model")


# -- hostile tables -------------------------------------------------------------------------------------------------


def wild(value: float) -> np.ndarray:
    x = curved(100)
    x[3, 1] = value
    return x


@pytest.mark.parametrize(
    "x",
    [
        curved(2),
        curved(3),
        curved(19),
        np.random.RandomState(0).normal(size=(50, 2000)),
        wild(1e300),
        wild(-1.7e308),
        curved(100) * 1e300,
        curved(100) * 1e-310,
        curved(100) + 1e9,
        np.eye(60, 3) + 0.0,
        np.repeat(curved(6), 20, axis=0),
        np.random.RandomState(0).randint(0, 2, (200, 4)),
        np.random.RandomState(0).normal(size=(100, 1)),
        np.outer(np.arange(100.0), [1.0, 2.0, 3.0]),
    ],
    ids=[
        "two rows", "three rows", "few rows", "wide", "1e300", "-1.7e308", "all large", "all tiny", "far from zero",
        "rare", "duplicates", "binary", "one column", "linear",
    ],
)  # fmt: skip
def test_hostile_tables_work(x):
    x = np.asarray(x, dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = small(max_steps=5).fit(x)
    for values in (model.score_samples(x), model.transform(x), model.sample(5), model.p_value(x)):
        assert np.isfinite(values).all()
    assert np.isfinite(model.inverse_transform(model.transform(x))).all()
    far = np.full((1, x.shape[1]), 1e308)
    assert model.score_samples(far) < model.score_samples(x).min()


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.ones((30, 3)), "at least one column that varies"),
        (np.ones((1, 3)), "1 sample"),
        (wild(np.inf), "got inf in row 3, column 1"),
        ([], "1D array"),
    ],
    ids=["constant", "one row", "inf", "empty"],
)
def test_hostile_tables_are_refused_in_one_line(x, said):
    with pytest.raises(ValueError, match=said):
        small().fit(x)


def test_warnings_say_what_to_do():
    with pytest.warns(UserWarning, match="19 rows are too few.*Pass 20 or more"):
        small().fit(curved(19))
    with pytest.warns(UserWarning, match="Only 20 of 100 rows differ.*Drop duplicates"):
        small().fit(np.repeat(curved(20), 5, axis=0))


def test_rows_too_few_to_tell_when_to_stop_leave_pca():
    assert small(max_steps=100).fit(curved(49)).history_.step == []
    assert small(max_steps=100).fit(curved(50)).history_.step != []
