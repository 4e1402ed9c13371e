"""A model that was trained where this machine has nothing like it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from radogaga import RaDOGAGA, TabularModel


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device here")
@pytest.mark.filterwarnings("ignore:.*calibration scores are too few", "ignore:.*held-out rows")
def test_a_model_trained_on_cuda_is_loaded_on_the_cpu_and_says_so(tmp_path):
    x = np.random.RandomState(0).normal(size=(200, 2))
    model = RaDOGAGA(max_steps=0, random_state=0).fit(x).model_
    replace(model, parameters=model.parameters | {"device": "cuda"}).save(tmp_path / "model")
    assert np.array_equal(TabularModel.load(tmp_path / "model").score(x), model.score(x))
    with pytest.warns(UserWarning, match="trained on cuda, which is not here"):
        loaded = RaDOGAGA.load(tmp_path / "model")
    assert np.array_equal(loaded.score_samples(x), model.score(x))
