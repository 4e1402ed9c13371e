import numpy as np
import pytest

from radogaga import InputError
from radogaga.datasets.ellipses import soft_ellipses, write_ellipses


def test_pictures_depend_on_their_seed():
    assert np.array_equal(soft_ellipses(3, seed=1), soft_ellipses(3, seed=1))
    assert not np.array_equal(soft_ellipses(3, seed=1), soft_ellipses(3, seed=2))


def test_pictures_go_into_a_zip_only(tmp_path):
    with pytest.raises(InputError, match=r"file \*\.zip"):
        write_ellipses(tmp_path / "shapes.tar", 3)
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_nothing(tmp_path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_ellipses(tmp_path / "shapes.zip", 3, progress=interrupt)
    assert not list(tmp_path.iterdir())
