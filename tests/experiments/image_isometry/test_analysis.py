import torch

from radogaga import (
    Autoencoder,
    GaussianNoise,
    Normal,
    PCADecoder,
    PCAEncoder,
    RateDistortion,
    Scaling,
    SquaredError,
    initialize_metric_pca,
)
from radogaga.datasets.ellipses import soft_ellipses
from radogaga.experiments.image_isometry.analysis import analyse, rate_distortion_embedding
from radogaga.images.pictures import Pictures


def test_inactive_latents_are_told_from_active_ones():
    pictures = soft_ellipses(700, size=16)
    train, test = Pictures(pictures[:600]), Pictures(pictures[600:])
    size = {"latents": 8, "shape": (3, 16, 16), "axes": 20, "hidden": (8,)}
    autoencoder = Autoencoder(PCAEncoder(**size), PCADecoder(**size), 8, Scaling(1))
    variance = initialize_metric_pca(autoencoder, train[:], SquaredError())
    noise = GaussianNoise(float(variance[4] * variance[5]) ** 0.25)
    model = RateDistortion(autoencoder, Normal(8), SquaredError(), noise)
    row, arrays = analyse(rate_distortion_embedding(model), test, torch.device("cpu"))
    assert row["active"] == len(arrays["live"]) == 5
    assert row["latents"] == len(arrays["spectrum"]) == 8
