"""Another model is taken over whole or not at all."""

import shutil

import numpy as np
import pytest

from mixed_table import mixed
from radogaga import RaDOGAGA, TabularModel
from radogaga.errors import InputError
from radogaga.integrations.server.model_holder import ModelHolder


@pytest.fixture
def folder(people, tmp_path):
    return shutil.copytree(people, tmp_path / "model")


def test_a_new_folder_is_seen_and_taken_over(folder):
    holder = ModelHolder(folder)
    before = holder.served
    assert not holder.has_changed
    RaDOGAGA(max_steps=0, random_state=1).fit(mixed(300, 2)).save(folder)
    assert holder.has_changed
    assert holder.reload()
    assert not holder.has_changed
    assert holder.served.name != before.name
    rows = mixed(50, 3)
    assert np.array_equal(holder.served.model.score(rows), TabularModel.load(folder).score(rows))


def test_a_damaged_folder_is_not_taken_over(folder):
    holder = ModelHolder(folder)
    before = holder.served
    (folder / "model.json").write_text("{")
    assert holder.has_changed
    assert not holder.reload()
    assert holder.served is before
    assert not holder.has_changed  # or it would be tried again each second
    shutil.rmtree(folder)
    assert not holder.has_changed
    assert not holder.reload()
    assert holder.served is before


def test_there_has_to_be_a_model_at_the_start(tmp_path):
    with pytest.raises(InputError, match="nothing"):
        ModelHolder(tmp_path / "nothing")
