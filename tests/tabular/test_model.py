"""The fitted model: frozen, of use without the estimator, the same wherever it travels."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import radogaga
from mixed_table import mixed
from radogaga import InputError, RaDOGAGA, TabularModel


@pytest.fixture(scope="module")
def estimator() -> RaDOGAGA:
    return RaDOGAGA(max_steps=20, random_state=0).fit(mixed())


@pytest.fixture(scope="module")
def model(estimator) -> TabularModel:
    return estimator.model_


def new_rows() -> pd.DataFrame:
    frame = mixed(50, seed=1)
    frame.loc[0, "city"] = "Paris"
    return frame


def test_it_gives_what_the_estimator_gives(estimator, model):
    x = new_rows()
    assert np.array_equal(model.score(x), estimator.score_samples(x))
    assert np.array_equal(model.p_value(x), estimator.p_value(x))
    assert np.array_equal(model.predict(x), estimator.predict(x))
    assert np.array_equal(model.encode(x), estimator.transform(x))
    assert np.array_equal(model.novel(x), estimator.novel(x))
    assert np.array_equal(model.explain(x).contributions, estimator.explain(x).contributions)
    assert model.decode(model.encode(x)).equals(estimator.inverse_transform(estimator.transform(x)))


def test_it_does_not_change(model):
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.id_column = "id"
    other = model.with_threshold(0.0)
    assert (other.predict(new_rows()) == np.where(model.score(new_rows()) < 0, -1, 1)).all()
    assert model.calibration.threshold != 0


def test_columns_go_by_name_in_any_order_with_others_beside_them(model):
    x = new_rows()
    assert np.array_equal(model.score(x[x.columns[::-1]].assign(note="x")), model.score(x))
    with pytest.raises(InputError, match="'age', 'city' missing"):
        model.score(x.drop(columns=["age", "city"]))


def test_an_array_goes_by_the_number_of_its_columns():
    model = RaDOGAGA(max_steps=0, random_state=0).fit(np.random.RandomState(0).normal(size=(60, 3))).model_
    assert model.score([[0.0, 0.0, 0.0]]).shape == (1,)
    with pytest.raises(InputError, match="Expected rows of 3 columns; got an array of shape"):
        model.score([[0.0, 0.0]])


def test_encoded_rows_are_read_once(model):
    rows = model.read(new_rows())
    assert model.read(rows) is rows
    assert np.array_equal(model.score(rows), model.score(new_rows()))
    assert np.allclose(model.score(rows.take(np.array([3, 1]))), model.score(new_rows())[[3, 1]], rtol=1e-12)


def test_samples_are_drawn_by_a_seed_that_moves_nothing_else(model):
    assert model.sample(5, seed=3).equals(model.sample(5, seed=3))
    assert not model.sample(5, seed=3).equals(model.sample(5, seed=4))
    with pytest.raises(InputError, match="1 or more"):
        model.sample(0)


def test_latents_that_cannot_be_decoded_are_refused(model):
    with pytest.raises(InputError, match="finite latents of shape"):
        model.decode(np.full((2, model.n_components), np.nan))
    with pytest.raises(InputError, match="finite latents of shape"):
        model.decode(np.zeros((2, model.n_components + 1)))


def test_saved_loaded_and_pickled_it_is_the_same_to_the_last_bit(model, tmp_path):
    dataclasses.replace(model, id_column="id").save(tmp_path / "model")
    x = new_rows()
    for other in (radogaga.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.score(x), model.score(x))
        assert np.array_equal(other.encode(x), model.encode(x))
        assert np.array_equal(other.explain(x).contributions, model.explain(x).contributions)
        assert other.sample(20).equals(model.sample(20))
        assert other.history == model.history
    assert radogaga.load(tmp_path / "model").id_column == "id"


def test_it_is_unpickled_without_the_estimator(model, tmp_path):
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    code = f"""
import pickle, sys
model = pickle.load(open({str(tmp_path / "model.pickle")!r}, "rb"))
assert "radogaga.tabular.estimator" not in sys.modules
print(model.n_components)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(model.n_components), done.stderr


def test_a_new_category_costs_what_it_is_worth(model):
    x = mixed(2, seed=1).fillna({"age": 40.0, "city": "Rome"})
    drop = model.score(x) - model.score(x.assign(city="Atlantis"))
    assert drop == pytest.approx(np.log(300 * 0.5), abs=1)  # half of 300 rows are Rome's
