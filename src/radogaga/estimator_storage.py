"""A fitted estimator as a folder: its density as every model's, the rest as JSON and one file of arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from radogaga import storage
from radogaga.checkpoints import History
from radogaga.errors import InputError
from radogaga.isometry import Isometry
from radogaga.units import Units
from radogaga.version import __version__

if TYPE_CHECKING:
    from radogaga.estimator import RaDOGAGA

    Estimator = TypeVar("Estimator", bound=RaDOGAGA)

FORMAT = "radogaga estimator 1"
_FILES = {"density", "estimator.json", "arrays.safetensors"}
_UNITS = ("varying", "row", "exponent", "centre", "spread")
_TENSORS = ("diagonal", "prediction", "variance")


def save(estimator: RaDOGAGA, folder: str | Path) -> None:
    """Write a fitted estimator as a folder; one that is there already is replaced, anything else is refused."""
    folder = Path(folder)
    if folder.exists() and _holds_something_else(folder):
        raise InputError(
            f"Expected a new folder or a saved estimator at {folder}; it holds something else. Pass another."
        )
    isometry = vars(estimator.isometry_)
    names = getattr(estimator, "feature_names_in_", None)
    about = {
        "format": FORMAT,
        "radogaga": __version__,
        "parameters": {name: _plain(name, value) for name, value in estimator.get_params().items()},
        "fitted": {
            "offset_": estimator.offset_,
            "n_components_": estimator.n_components_,
            "resolution_": estimator.resolution_,
            "n_features_in_": estimator.n_features_in_,
        },
        "feature_names_in_": None if names is None else list(names),
        "history_": vars(estimator.history_),
        "isometry_": {name: value for name, value in isometry.items() if name not in _TENSORS},
    }
    arrays = {f"units.{name}": getattr(estimator._units, name) for name in _UNITS}
    arrays |= {f"isometry.{name}": isometry[name].cpu().numpy() for name in _TENSORS}
    arrays |= {name: getattr(estimator, name) for name in ("calibration_scores_", "explained_variance_ratio_")}
    with storage.replacing_folder(folder) as beside:
        storage.save(estimator.density_, beside / "density")
        (beside / "estimator.json").write_text(json.dumps(about, indent=2) + "\n")
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, beside / "arrays.safetensors")


def load(kind: type[Estimator], folder: str | Path) -> Estimator:
    """Read an estimator that `save` wrote."""
    folder = Path(folder)
    about = _read(folder)
    try:
        arrays = load_file(folder / "arrays.safetensors")
        estimator = kind(**about["parameters"])
        for name, value in about["fitted"].items():
            setattr(estimator, name, value)
        if about["feature_names_in_"] is not None:
            estimator.feature_names_in_ = np.asarray(about["feature_names_in_"], dtype=object)
        estimator.history_ = History(**about["history_"])
        tensors: dict[str, Any] = {name: torch.from_numpy(arrays[f"isometry.{name}"].copy()) for name in _TENSORS}
        estimator.isometry_ = Isometry(**about["isometry_"], **tensors)
        estimator._units = Units(**{name: arrays[f"units.{name}"] for name in _UNITS})
        estimator.calibration_scores_ = arrays["calibration_scores_"]
        estimator.explained_variance_ratio_ = arrays["explained_variance_ratio_"]
        density: Any = storage.load(folder / "density")
        estimator.density_ = density.to(estimator.device).requires_grad_(False)
    except InputError:
        raise
    except (SafetensorError, OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"Expected a whole estimator in {folder}; it is truncated or altered ({reason}). Save it again."
        ) from None
    return estimator


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "estimator.json"
    if not path.is_file():
        raise InputError(f"Expected estimator.json in {folder}; there is none. Check the path.")
    return storage.read_json(path, FORMAT)


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    # A random state's stream cannot be written; what was fitted does not need it.
    assert name == "random_state"
    return None


def _holds_something_else(folder: Path) -> bool:
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - _FILES:
        return True
    try:
        _read(folder)
    except InputError:
        return any(folder.iterdir())
    return False
