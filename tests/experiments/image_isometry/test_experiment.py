import json
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from radogaga import InputError, load
from radogaga.datasets.ellipses import write_ellipses
from radogaga.experiments.experiment import reproduce
from radogaga.experiments.image_isometry import methods
from radogaga.experiments.image_isometry.experiment import IMAGE_ISOMETRY, check
from radogaga.experiments.image_isometry.settings import METRICS, MODELS, TRAINED_AS, Config
from radogaga.experiments.runs import read_arrays
from radogaga.images.pictures import Pictures
from radogaga.images.prepare import prepare_images
from radogaga.images.reading import read_images

FEW = ("recommended", "radogaga", "radogaga-aligned", "beta-vae-plain", "beta-vae-rescaled", "pca")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    """Settings under which everything is small and hardly trained."""
    folder = tmp_path_factory.mktemp("shapes")
    write_ellipses(folder / "shapes.zip", 700, size=16)
    prepare_images(folder / "shapes.zip", folder / "shapes.npy", size=16)
    size = {"steps": 4, "axes": 40, "hidden": (16,), "prior_steps": 10}
    return Config(folder / "shapes.npy", folder / "out", ("mse",), FEW, **size)


@pytest.fixture(scope="module")
def reproduced(config: Config) -> Path:
    """The folder of one metric's rows."""
    reproduce(IMAGE_ISOMETRY, config, config.out)
    return config.out


def rows_of(out: Path) -> dict[str, dict]:
    return {row["model"]: row for row in json.loads((out / "result.json").read_text())["rows"]}


def test_every_row_but_the_derived_ones_has_a_method():
    assert set(methods.METHODS) | set(TRAINED_AS) == set(MODELS)


@pytest.mark.slow
def test_every_row_is_measured_under_every_metric(config: Config, tmp_path: Path):
    all_rows = replace(config, out=tmp_path, metrics=METRICS, models=MODELS)
    rows = reproduce(IMAGE_ISOMETRY, all_rows, tmp_path)
    assert [(row["metric"], row["model"]) for row in rows] == list(product(METRICS, MODELS))
    assert all(np.isfinite(row["psnr"]) and row["rate"] > 0 and row["latents"] == 32 for row in rows)
    assert list(tmp_path.glob("*isometric_ssim*.png"))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "ray"])
def test_two_workers_give_the_figures_of_one(config: Config, tmp_path: Path, launcher: str, monkeypatch):
    if launcher == "ray":
        pytest.importorskip("ray", reason="needs pip install 'radogaga[cluster]'")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    options = ["reproduce", "isometry", "--images", config.images, "--metric", "mse", "--model", "recommended,beta-vae"]
    options = ["-m", "radogaga", *map(str, options), "--steps", "6", "--quiet"]
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if launcher == "torchrun" else []
    workers = ["--workers", "2"] if launcher == "ray" else []
    subprocess.run([sys.executable, *options, "--out", str(tmp_path / "one")], check=True)
    subprocess.run([sys.executable, *two, *options, "--out", str(tmp_path / "two"), *workers], check=True)
    one, found = rows_of(tmp_path / "one"), rows_of(tmp_path / "two")
    for model, row in one.items():
        for figure in ("psnr", "rate"):
            assert found[model][figure] == pytest.approx(row[figure], rel=1e-3)


def test_plots_are_named_as_the_authors_name_them_and_are_in_one_page(reproduced):
    for pattern in ("*isometric_mse*", "*variance_df_*", "*traverse_top9*"):
        assert list(reproduced.glob(f"{pattern}.png"))
    page = (reproduced / "report.html").read_text()
    assert page.count("<img") == len(list(reproduced.glob("*.png")))
    assert "http" not in page.replace("http-equiv", "")


def test_pca_is_isometric_under_squared_error_and_its_variances_are_importances(reproduced):
    pca, better = (rows_of(reproduced)[model] for model in ("pca", "recommended"))
    assert pca["probe_r"] == pytest.approx(1)
    assert pca["diag_mean"] == pytest.approx(1, abs=1e-3)
    assert pca["importance_worst"] < 1.03  # few pictures, and a variance that divides by one less
    assert (pca["over_pca"], pca["ssim_over_pca"]) == (0, 0)
    assert better["ssim_over_pca"] == better["ssim"] - pca["ssim"]


def test_samples_and_models_are_kept(reproduced, config):
    assert (reproduced / "samples" / "mse-recommended.png").is_file()
    model = load(reproduced / "models" / "mse-recommended")
    images = read_images(config.images)
    test = Pictures(images.array, images.test)
    assert model.autoencoder.encode(test[:3]).shape == (3, 32)


def test_the_rescaled_beta_vae_is_the_plain_one_in_other_units(reproduced):
    plain, rescaled = (read_arrays(reproduced, f"mse-beta-vae{kind}") for kind in ("-plain", "-rescaled"))
    assert np.array_equal(plain["shown"][:2], rescaled["shown"][:2])


def test_aligned_latents_rebuild_the_same_pictures_and_are_more_isometric(reproduced):
    before, after = (rows_of(reproduced)[model] for model in ("radogaga", "radogaga-aligned"))
    assert after["psnr"] == pytest.approx(before["psnr"], abs=1e-3)
    assert abs(after["diag_ratio"] - 1) < 0.1 < abs(before["diag_ratio"] - 1)
    assert after["probe_r"] <= after["probe_r_predicted"] <= 1


def test_the_report_alone_runs_nothing(reproduced, config, tmp_path):
    copy = shutil.copytree(reproduced / "runs", tmp_path / "out" / "runs").parent
    shutil.copy(reproduced / "config.json", copy)
    pca = replace(config, metrics=METRICS, models=("pca",))
    assert reproduce(IMAGE_ISOMETRY, pca, copy, report_only=True) == [rows_of(reproduced)["pca"]]
    assert {path.name for path in copy.glob("*.png")} == {path.name for path in reproduced.glob("pca*.png")}
    assert not (copy / "models").exists()


def test_steps_are_reported_as_training_goes(config, tmp_path):
    told: list[tuple[str, int]] = []
    plain = replace(config, out=tmp_path, models=("beta-vae-plain",))
    reproduce(IMAGE_ISOMETRY, plain, tmp_path, on_step=lambda run, step: told.append((run.name, step)))
    assert told == [("mse-beta-vae-plain", step) for step in range(1, 5)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ("mae",)}, "metric among mse, ssim; got 'mae'"),
        ({"models": ("vae",)}, "model among recommended"),
        ({"size": "paper"}, "64 x 64 x 3 for the paper's networks; got 16 x 16 x 3"),
        ({"images": Path("nowhere.npy")}, r"Expected nowhere\.json"),
    ],
)
def test_what_cannot_be_run_is_refused(config, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        reproduce(IMAGE_ISOMETRY, replace(config, **change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_few_pictures_are_refused(tmp_path):
    write_ellipses(tmp_path / "few.zip", 60, size=16)
    prepare_images(tmp_path / "few.zip", tmp_path / "few.npy", size=16)
    with pytest.raises(InputError, match="at least 50 pictures to train on and 50 to test on"):
        check(Config(tmp_path / "few.npy", tmp_path / "out"))
