import json
from functools import partial

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from radogaga import Factorized, GaussianNoise, InputError, Normal, RateDistortion, SquaredError, load
from radogaga.cli.main import app
from radogaga.datasets.ellipses import soft_ellipses, write_ellipses
from radogaga.experiments import runs
from radogaga.experiments.image_isometry import experiment as isometry
from radogaga.experiments.image_isometry import methods as isometry_methods
from radogaga.experiments.image_isometry import report as isometry_report
from radogaga.experiments.image_isometry.analysis import analyse, of_rate_distortion
from radogaga.experiments.runs import read_arrays
from radogaga.images import Pictures, prepare_images, read_images
from radogaga.method.autoencoder import Autoencoder
from radogaga.method.initialization import initialize_metric_pca
from radogaga.method.networks.pca_networks import PCADecoder, PCAEncoder
from radogaga.method.scaling import Scaling


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    write_ellipses(folder / "shapes.zip", 700, size=16)
    prepare_images(folder / "shapes.zip", folder / "shapes.npy", size=16)
    return folder / "shapes.npy"


MODELS = "recommended,radogaga,radogaga-aligned,beta-vae-plain,beta-vae-rescaled,pca"


def reproduce(images, out, *more):
    """Run rows of the table, hardly trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isometry_methods, "_AXES", 40)
        patch.setattr(isometry_methods, "_HIDDEN", (16,))
        patch.setattr(isometry_methods.Factorized, "fit", partial(Factorized.fit, steps=10))
        patch.setattr(isometry, "PCA_NOISE", (0.3, 1.0))
        arguments = ["reproduce", "isometry", "--images", str(images), "--out", str(out), "--steps", "4", "--quiet"]
        result = CliRunner().invoke(app, [*arguments, *more])
        assert result.exit_code == 0, result.exception
    return json.loads((out / "result.json").read_text())["rows"]


@pytest.fixture(scope="module")
def reproduced(images, tmp_path_factory):
    """Run one metric's rows."""
    out = tmp_path_factory.mktemp("isometry") / "out"
    reproduce(images, out, "--metric", "mse", "--model", MODELS)
    return out


@pytest.mark.slow
def test_every_row_is_measured_under_every_metric(images, tmp_path):
    rows = reproduce(images, tmp_path / "out")
    assert [(row["metric"], row["model"]) for row in rows] == [
        (metric, model) for metric in isometry.METRICS for model in isometry.MODELS
    ]
    assert all(np.isfinite(row["psnr"]) and row["rate"] > 0 and row["latents"] == 32 for row in rows)
    assert list((tmp_path / "out").glob("*isometric_ssim*.png"))


def test_plots_are_named_as_the_authors_name_them_and_are_in_one_page(reproduced):
    for pattern in ("*isometric_mse*", "*variance_df_*", "*traverse_top9*"):
        assert list(reproduced.glob(f"{pattern}.png"))
    page = (reproduced / "report.html").read_text()
    assert page.count("<img") == len(list(reproduced.glob("*.png")))
    assert "http" not in page.replace("http-equiv", "")


def test_pca_is_isometric_under_squared_error_and_its_variances_are_importances(reproduced):
    rows = json.loads((reproduced / "result.json").read_text())["rows"]
    pca = next(row for row in rows if (row["metric"], row["model"]) == ("mse", "pca"))
    assert pca["probe_r"] == pytest.approx(1)
    assert pca["diag_mean"] == pytest.approx(1, abs=1e-3)
    assert pca["importance_worst"] < 1.03  # few pictures, and a variance that divides by one less
    assert (pca["over_pca"], pca["ssim_over_pca"]) == (0, 0)
    better = next(row for row in rows if (row["metric"], row["model"]) == ("mse", "recommended"))
    assert better["ssim_over_pca"] == better["ssim"] - pca["ssim"]


def test_samples_and_models_are_kept(reproduced, images):
    assert (reproduced / "samples" / "mse-recommended.png").is_file()
    model = load(reproduced / "models" / "mse-recommended")
    test = Pictures(read_images(images).array, read_images(images).test)
    assert model.autoencoder.encode(test[:3]).shape == (3, 32)


def test_the_rescaled_beta_vae_is_the_plain_one_in_other_units(reproduced):
    plain, rescaled = (read_arrays(reproduced, f"mse-beta-vae{kind}") for kind in ("-plain", "-rescaled"))
    assert np.array_equal(plain["shown"][:2], rescaled["shown"][:2])


def test_aligned_latents_rebuild_the_same_pictures_and_are_more_isometric(reproduced):
    rows = {row["model"]: row for row in json.loads((reproduced / "result.json").read_text())["rows"]}
    before, after = rows["radogaga"], rows["radogaga-aligned"]
    assert after["psnr"] == pytest.approx(before["psnr"], abs=1e-3)
    assert abs(after["diag_ratio"] - 1) < 0.1 < abs(before["diag_ratio"] - 1)
    assert after["probe_r"] <= after["probe_r_predicted"] <= 1


def test_the_same_command_again_runs_nothing(reproduced, images, monkeypatch):
    monkeypatch.setattr(isometry, "run", None)
    monkeypatch.setattr(isometry_report, "write", lambda *_: None)
    before = (reproduced / "result.json").read_text()
    reproduce(images, reproduced, "--metric", "mse", "--model", MODELS)
    assert (reproduced / "result.json").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "mae"], "metric among mse, ssim; got 'mae'"),
        (["--model", "vae"], "model among recommended"),
        (["--size", "huge"], "--size small or paper; got 'huge'"),
        (["--size", "paper"], "64 x 64 x 3 for the paper's networks; got 16 x 16 x 3"),
        (["--precision", "fp8"], "--precision fp32 or bf16; got 'fp8'"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(images, tmp_path, arguments, message):
    command = ["reproduce", "isometry", "--images", str(images), "--out", str(tmp_path / "out"), *arguments]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_missing_pictures_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"Expected nowhere\.json"):
        isometry.check(isometry.Config(tmp_path / "nowhere.npy", tmp_path / "out"))


def test_few_pictures_are_refused(tmp_path):
    write_ellipses(tmp_path / "few.zip", 60, size=16)
    prepare_images(tmp_path / "few.zip", tmp_path / "few.npy", size=16)
    with pytest.raises(InputError, match="at least 50 pictures to train on and 50 to test on"):
        isometry.check(isometry.Config(tmp_path / "few.npy", tmp_path / "out"))


@pytest.mark.parametrize("config", [None, '{"experiment": "of somebody else"}'])
def test_a_restart_leaves_a_folder_that_is_not_its_own(images, tmp_path, config):
    out = tmp_path / "out"
    (out / "runs").mkdir(parents=True)
    (out / "runs" / "letter.txt").write_text("dear")
    if config:
        (out / "config.json").write_text(config)
    result = CliRunner().invoke(app, ["reproduce", "isometry", "--images", str(images), "--out", str(out), "--restart"])
    assert isinstance(result.exception, InputError)
    assert (out / "runs" / "letter.txt").read_text() == "dear"


def test_a_restart_removes_the_runs_of_other_settings(tmp_path):
    runs.claim_folder(tmp_path, {"experiment": "isometry", "steps": 4})
    (tmp_path / "runs").mkdir()
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="settings"):
        runs.claim_folder(tmp_path, {"experiment": "isometry", "steps": 5})
    runs.claim_folder(tmp_path, {"experiment": "isometry", "steps": 5}, restart=True)
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "letter.txt").exists()


def test_inactive_latents_are_told_from_active_ones(images):
    kept = read_images(images)
    train, test = Pictures(kept.array, kept.train), Pictures(kept.array, kept.test)
    size = {"latents": 8, "shape": (3, 16, 16), "axes": 20, "hidden": (8,)}
    autoencoder = Autoencoder(PCAEncoder(**size), PCADecoder(**size), 8, Scaling(1))
    variance = initialize_metric_pca(autoencoder, train[:], SquaredError())
    noise = GaussianNoise(float(variance[4] * variance[5]) ** 0.25)
    row, arrays = analyse(
        of_rate_distortion(RateDistortion(autoencoder, Normal(8), SquaredError(), noise)), test, torch.device("cpu")
    )
    assert row["active"] == len(arrays["live"]) == 5
    assert row["latents"] == len(arrays["spectrum"]) == 8


def test_shapes_are_drawn_by_their_seed():
    assert np.array_equal(soft_ellipses(3, seed=1), soft_ellipses(3, seed=1))
    assert not np.array_equal(soft_ellipses(3, seed=1), soft_ellipses(3, seed=2))


def test_shapes_go_into_a_zip_only(tmp_path):
    with pytest.raises(InputError, match=r"file \*\.zip"):
        write_ellipses(tmp_path / "shapes.tar", 3)
