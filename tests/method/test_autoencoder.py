import torch
from torch import Tensor

from radogaga import Autoencoder, ResidualMLP, Scaling, initialize_pca


def pca_start(x: Tensor, latents: int, scaling) -> Autoencoder:
    width = x.shape[1]
    model = Autoencoder(ResidualMLP(width, latents), ResidualMLP(latents, width), latents, scaling=scaling(x))
    initialize_pca(model, x)
    return model


def test_gain_stretches_the_latents_and_leaves_the_reconstruction(rows: Tensor) -> None:
    model = pca_start(rows, 2, Scaling.standard)
    latent, reconstruction = model.encode(rows), model.decode(model.encode(rows))
    with torch.no_grad():
        model.log_gain.copy_(torch.tensor([0.2, -0.1]))
    stretch = model.encode(rows) / latent
    torch.testing.assert_close(stretch, stretch[:1].expand_as(stretch), rtol=1e-3, atol=0)
    assert stretch[0, 0] > 1 > stretch[0, 1] > 0
    torch.testing.assert_close(model.decode(model.encode(rows)), reconstruction, rtol=1e-4, atol=1e-4)


def test_raw_and_scaled_rows_have_the_same_latents(rows: Tensor) -> None:
    model = pca_start(rows, 2, Scaling.standard)
    torch.testing.assert_close(model.encode(rows), model.encode_scaled(model.scaling(rows)))
    latent = torch.randn(5, 2)
    torch.testing.assert_close(model.scaling(model.decode(latent)), model.decode_scaled(latent), atol=1e-5, rtol=1e-5)


def test_projection_brings_reconstructions_nearer_once_trained(rows: Tensor) -> None:
    model = pca_start(rows, 2, Scaling.standard)
    alone = model.encode(rows)
    with torch.no_grad():
        model.encoder.linear.bias.add_(0.3)
    model.projections = 1
    torch.testing.assert_close(model.eval().encode(rows), alone, rtol=1e-3, atol=1e-4)  # PCA is a projection
    assert (model.train().encode(rows) - alone).abs().max() > 0.1


def test_projected_latents_have_gradients_and_do_without(rows: Tensor) -> None:
    model = pca_start(rows, 2, Scaling.standard).eval()
    model.projections = 2
    x = rows[:5].clone().requires_grad_()
    model.encode(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().max() > 0
    with torch.no_grad():
        assert not model.encode(rows).requires_grad
