"""A fitted estimator as a folder: its density as every model's, the rest as JSON and one file of arrays."""

from __future__ import annotations

import json
import tempfile
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
from radogaga.tables import Kind, Table, Vocabulary
from radogaga.units import Units
from radogaga.version import __version__

if TYPE_CHECKING:
    from radogaga.estimator import RaDOGAGA

    Estimator = TypeVar("Estimator", bound=RaDOGAGA)

FORMAT = "radogaga estimator 3"
_FILES = {"density", "estimator.json", "arrays.safetensors"}
_UNITS = ("varying", "row", "exponent", "centre", "spread")
_COLUMNS = ("middle", "gaps", "sentinels")
_TENSORS = ("diagonal", "prediction", "variance")


def save(estimator: RaDOGAGA, folder: str | Path, notes: dict[str, Any] | None = None) -> None:
    """Write a fitted estimator as a folder; one that is there already is replaced, anything else is refused.

    Parameters
    ----------
    estimator : RaDOGAGA
        A fitted one.
    folder : path
        Where to.
    notes : dict, optional
        What else to write in its JSON, for `read` to find: the name of the column of identifiers, say.

    Raises
    ------
    InputError
        If the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    refuse_foreign(folder)
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
        "table": _described(estimator._table),
        "notes": notes or {},
        "history_": vars(estimator.history_),
        "isometry_": {name: value for name, value in isometry.items() if name not in _TENSORS},
    }
    arrays = {f"units.{name}": getattr(estimator._units, name) for name in _UNITS}
    arrays |= {f"table.{name}": getattr(estimator._table, name) for name in _COLUMNS}
    arrays |= {"typical": estimator._typical}
    arrays |= {f"isometry.{name}": isometry[name].cpu().numpy() for name in _TENSORS}
    arrays |= {name: getattr(estimator, name) for name in ("calibration_scores_", "explained_variance_ratio_")}
    with storage.replacing_folder(folder) as beside:
        storage.save(estimator.density_, beside / "density")
        (beside / "estimator.json").write_text(json.dumps(about, indent=2) + "\n")
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, beside / "arrays.safetensors")


def refuse_foreign(folder: Path) -> None:
    """Raise `InputError` if a folder holds anything but an estimator, or cannot be made, before any work is done."""
    if folder.exists() and _holds_something_else(folder):
        raise InputError(
            f"Expected a new folder or a saved estimator at {folder}; it holds something else. Pass another."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent):
            pass
    except OSError as error:
        raise InputError(f"Expected to write to {folder}; it failed ({error.strerror}). Pass another place.") from None


def load(kind: type[Estimator], folder: str | Path) -> Estimator:
    """Read an estimator that `save` wrote."""
    folder = Path(folder)
    about = read(folder)
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
        assert isinstance(about["notes"], dict)
        estimator._table = _table(about["table"], arrays)
        estimator._typical = arrays["typical"]
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


def is_estimator(folder: Path) -> bool:
    """Whether a folder is a saved estimator's, whole or not."""
    return (folder / "estimator.json").is_file()


def read(folder: Path) -> dict[str, Any]:
    """Return what a saved estimator's JSON says, or raise `InputError`."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"Expected an estimator's folder; {folder} is a file. Check the path.")
    path = folder / "estimator.json"
    if not path.is_file():
        raise InputError(f"Expected estimator.json in {folder}; there is none. Check the path.")
    return storage.read_json(path, FORMAT)


def _described(table: Table) -> dict[str, Any]:
    return {
        "names": table.names,
        "kinds": list(table.kinds),
        "rows": table.rows,
        "plain": table.plain,
        "vocabularies": [vars(words) for words in table.vocabularies],
    }


def _table(about: dict[str, Any], arrays: dict[str, Any]) -> Table:
    words = [Vocabulary(**words | {"values": tuple(words["values"])}) for words in about["vocabularies"]]
    return Table(
        None if about["names"] is None else tuple(about["names"]),
        tuple(map(Kind, about["kinds"])),
        about["rows"],
        arrays["table.middle"],
        arrays["table.gaps"],
        arrays["table.sentinels"],
        tuple(words),
        about["plain"],
    )


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
        read(folder)
    except InputError:
        return any(folder.iterdir())
    return False
