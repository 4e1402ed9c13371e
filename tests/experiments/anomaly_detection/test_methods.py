import pytest
import torch

from radogaga.experiments.anomaly_detection.methods import start
from radogaga.experiments.anomaly_detection.settings import CHOSEN


@pytest.mark.parametrize("data", CHOSEN)
def test_a_chosen_model_starts_isometric(data):
    x = torch.randn(300, 30) @ torch.randn(30, 30)
    model = start(CHOSEN[data], x, log=False)
    z = torch.randn(5, model.autoencoder.latents)
    steps = torch.eye(model.autoencoder.latents)
    moved = model.autoencoder.decode_scaled(z[:1] + steps) - model.autoencoder.decode_scaled(z[:1])
    torch.testing.assert_close(moved @ moved.T, steps, atol=1e-4, rtol=1e-4)
