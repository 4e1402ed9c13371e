"""Folders as radogaga 0.1.0 wrote them, with rows and what it computed of them. Run with that version."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file
from torch import nn

import radogaga as rg


def people(rows, seed):
    random = np.random.RandomState(seed)
    common = random.normal(size=rows)
    frame = pd.DataFrame(
        {
            "age": 40 + 10 * common + random.normal(size=rows),
            "income": np.exp(10 + 0.5 * common + 0.1 * random.normal(size=rows)),
            "children": random.poisson(2, rows),
            "member": random.rand(rows) < 0.3,
            "city": random.choice(["Rome", "Oslo", "Lima", "Bonn"], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.randint(0, 3 * 10**7, rows), unit="s"),
        }
    )
    return frame.mask(random.rand(rows, 6) < [0.1, 0, 0, 0, 0.05, 0])


def numbers(rows, seed):
    random = np.random.RandomState(seed)
    z = random.normal(size=(rows, 2))
    return np.c_[z, z[:, :1] ** 2, z.sum(1)] + 0.1 * random.normal(size=(rows, 4))


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    from radogaga.estimator_storage import save  # of version 0.1.0

    torch.set_num_threads(1)
    train, test = numbers(160, 0), numbers(12, 1)
    test[3, 1] = 50.0
    arrays = {"numbers": test}
    for detail in ("both", "coarse", "fine"):
        model = rg.RaDOGAGA(detail=detail, max_steps=40, random_state=0).fit(train)
        model.save(out / f"numbers-{detail}")
        arrays[f"numbers-{detail}.score"] = model.score_samples(test)
        arrays[f"numbers-{detail}.p_value"] = model.p_value(test)
        arrays[f"numbers-{detail}.latents"] = model.transform(test)
        arrays[f"numbers-{detail}.contributions"] = model.explain(test).contributions
    frame = people(14, 1)
    frame.loc[2, "city"] = "Atlantis"
    frame.loc[5, "income"] = 1e9
    frame.to_parquet(out / "people.parquet")
    model = rg.RaDOGAGA(max_steps=40, random_state=0).fit(people(200, 0))
    save(model, out / "people", {"id": "id"})
    arrays["people.score"] = model.score_samples(frame)
    arrays["people.p_value"] = model.p_value(frame)
    arrays["people.latents"] = model.transform(frame)
    arrays["people.contributions"] = model.explain(frame).contributions

    # models made of parts
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=g) @ torch.randn(4, 4, generator=g)

    def autoencoder(scaling=None, latents=2):
        a = rg.Autoencoder(
            rg.Residual(4, latents, [8]), rg.Residual(latents, 4, [8]), latents, scaling or rg.Scaling.standard(x)
        )
        rg.start_as_pca(a, x)
        return a

    parts = {
        "factorized-log": rg.RateDistortion(
            autoencoder(rg.Scaling.asinh(x)),
            rg.Factorized(2),
            rg.SquaredError(),
            rg.Uniform(0.2),
            penalty=rg.Log(0.1),
            stiffness=2.0,
        ),
        "mixture-residual": rg.RateDistortion(
            autoencoder(), rg.EstimatedMixture(4, 2), rg.SquaredError(), rg.Gaussian(0.1), with_residual=True
        ),
        "cross-entropy": rg.RateDistortion(
            rg.Autoencoder(rg.Dense([4, 3, 2], nn.ReLU), rg.Dense([2, 3, 4]), 2, rg.Scaling.min_max(x)),
            rg.Mixture(2, 2),
            rg.SquaredError(),
            rg.Gaussian(0.1),
            reconstruction_distortion=rg.CrossEntropy(),
        ),
    }
    arrays["rows"] = x.numpy()
    for name, model in parts.items():
        rg.fit(model, x, steps=30, seed=0)
        if name == "mixture-residual":
            model.prior.fit_statistics([model.features(x).detach()])
        model.save(out / name)
        arrays[f"{name}.rate"] = model.eval().rate(x).detach().numpy()
    dagmm = rg.DAGMM(
        rg.Autoencoder(rg.Dense([4, 3, 1]), rg.Dense([1, 3, 4]), 1, rg.Scaling.min_max(x)), rg.EstimatedMixture(3, 2)
    )
    rg.fit(dagmm, x, steps=20, seed=0)
    dagmm.fit_statistics(x)
    rg.save(dagmm, out / "dagmm")
    arrays["dagmm.score"] = dagmm.eval().log_prob(x).detach().numpy()
    model = rg.RateDistortion(autoencoder(), rg.Normal(2), rg.SquaredError(), rg.Gaussian(0.1))
    density = rg.Density(model, 4, rg.StudentResidual(2))
    density.calibrate(x)
    density.save(out / "student")
    arrays["student.score"] = density.eval().log_prob(x, volume="exact", across=True).numpy()

    # pictures
    pictures = torch.rand(40, 3, 16, 16, generator=g)
    enc, dec = (
        rg.ConvolutionalEncoder(3, (3, 16, 16), (4, 4), (5, 5), (8,)),
        rg.ConvolutionalDecoder(3, (3, 16, 16), (4, 4), (5, 5), (8,)),
    )
    auto = rg.Autoencoder(enc, dec, 3, rg.Scaling(1))
    model = rg.RateDistortion(
        auto,
        rg.Factorized(3),
        rg.QuadraticSSIM(),
        rg.Uniform(1.0),
        reconstruction_distortion=rg.SquaredError(),
        penalty=rg.Log(0.5),
        isometry_weight=10.0,
        reconstruction_weight=10.0,
    )
    rg.fit(model, pictures, steps=20, batch_size=16, seed=0)
    model.save(out / "convolutional")
    arrays["pictures"] = (pictures[:6] * 255).round().to(torch.uint8).numpy()
    shown = torch.from_numpy(arrays["pictures"]).float() / 255
    arrays["convolutional.rate"] = model.eval().rate(shown).detach().numpy()
    arrays["convolutional.latents"] = model.autoencoder.encode(shown).detach().numpy()
    enc, dec = (
        rg.PrincipalEncoder(3, (3, 16, 16), 10, (8,), dropout=0.1),
        rg.PrincipalDecoder(3, (3, 16, 16), 10, (8,), dropout=0.1, softness=0.1),
    )
    auto = rg.Autoencoder(enc, dec, 3, rg.Scaling(1), projections=1)
    rg.start_as_metric_pca(auto, pictures, rg.QuadraticSSIM(), seed=0)
    model = rg.RateDistortion(
        auto, rg.Factorized(3), rg.QuadraticSSIM(), rg.Gaussian(0.3), reconstruction_distortion=rg.SSIM(), stiffness=4.0
    )
    rg.fit(model, pictures, steps=20, batch_size=16, seed=0)
    model.save(out / "principal")
    arrays["principal.rate"] = model.eval().rate(shown).detach().numpy()
    arrays["principal.latents"] = model.autoencoder.encode(shown).detach().numpy()
    vae = rg.BetaVAE(
        rg.ConvolutionalEncoder(6, (3, 16, 16), (4, 4), (5, 5), (8,)),
        rg.ConvolutionalDecoder(3, (3, 16, 16), (4, 4), (5, 5), (8,), linear=True),
        rg.SSIM(),
        10.0,
        True,
    )
    rg.fit(vae, pictures, steps=20, batch_size=16, seed=0)
    rg.save(vae, out / "beta-vae")
    arrays["beta-vae.latents"] = vae.eval().encode(shown)[0].detach().numpy()
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, out / "expected.safetensors")


if __name__ == "__main__":
    main()
