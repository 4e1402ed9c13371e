"""Folders that version 0.1.0 wrote, in today's format: descriptions and names of tensors are translated."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from radogaga._utils.files import read_json

FORMER = {"model.json": "radogaga model 1", "estimator.json": "radogaga estimator 3"}
"""Files of former versions that hold a model's structure, and their formats."""

FORMER_FILES = {
    FORMER["model.json"]: {"model.json", "model.safetensors"},
    FORMER["estimator.json"]: {"estimator.json", "arrays.safetensors", "density"},
}
"""The files of a folder in each former format."""

Arguments = dict[str, Any]
Tensors = dict[str, Tensor]

_RENAMED = {
    "Residual": "ResidualMLP",
    "Dense": "MLP",
    "LinearPlus": "LinearSkip",
    "PrincipalEncoder": "PCAEncoder",
    "PrincipalDecoder": "PCADecoder",
    "Gaussian": "GaussianNoise",
    "Uniform": "UniformNoise",
    "NormalResidual": "GaussianResidual",
    "StudentResidual": "StudentTResidual",
    "PrincipalResidual": "MultiscaleResidual",
}


def read_former(folder: Path, structure: dict[str, Any]) -> tuple[Any, Tensors]:
    """Return the description and the tensors of a folder that a former version wrote, in today's format."""
    if structure["format"] == FORMER["estimator.json"]:
        return _read_estimator(folder, structure)
    tensors = _load(folder / "model.safetensors", "")
    return _upgrade(structure["model"], "", tensors), tensors


def _load(path: Path, prefix: str) -> Tensors:
    # Copies are aligned as torch aligns its own tensors: the rounding of a product depends on it.
    # The priors of a stack were described as `priors`, and their tensors named `members`.
    return {prefix + re.sub(r"\bmembers\.", "priors.", k): v.clone() for k, v in load_file(path).items()}


def _upgrade(description: Any, path: str, tensors: Tensors) -> Any:
    """Return a part's description in today's format, and rename the part's tensors."""
    if isinstance(description, list):
        return [_upgrade(item, f"{path}.{i}", tensors) for i, item in enumerate(description)]
    if not isinstance(description, dict):
        return description
    if "type" in description:
        return {"type": _public_name(description["type"])}
    name = _public_name(description["class"])
    prefix = f"{path}." if path else ""
    arguments = {key: _upgrade(value, prefix + key, tensors) for key, value in description["arguments"].items()}
    upgrade = _UPGRADES.get(name)
    return upgrade(arguments, prefix, tensors) if upgrade else _made(_RENAMED.get(name, name), arguments)


def _public_name(former: str) -> str:
    module, _, name = former.partition(":")
    if module == "torch.nn.modules.activation":
        return f"torch.nn.{name}"
    return name if module.split(".")[0] == "radogaga" else former


def _made(name: str, arguments: Arguments) -> dict[str, Any]:
    return {"class": name, "arguments": arguments}


def _rename(tensors: Tensors, former: str, today: str) -> None:
    for name in [name for name in tensors if name.startswith(former)]:
        tensors[today + name.removeprefix(former)] = tensors.pop(name)


def _scaling(arguments: Arguments, prefix: str, tensors: Tensors) -> Any:
    if arguments.pop("bent"):
        return _made("AsinhScaling", arguments)
    del tensors[f"{prefix}spread"]
    return _made("Scaling", arguments)


def _kernel(arguments: Arguments, prefix: str, tensors: Tensors) -> Any:
    _rename(tensors, f"{prefix}points", f"{prefix}centres")
    _rename(tensors, f"{prefix}within", f"{prefix}within_variance")
    return _made("KernelDensity", {"latents": arguments["latents"], "n_centres": arguments["centres"]})


def _blend(arguments: Arguments, prefix: str, tensors: Tensors) -> Any:
    _rename(tensors, f"{prefix}priors.", f"{prefix}components.")
    return _made("StackedPrior", {"components": arguments["priors"]})


def _rate_distortion(arguments: Arguments, prefix: str, tensors: Tensors) -> Any:
    arguments["isometry_penalty"] = arguments.pop("stiffness")
    arguments["prior_features"] = _features(arguments)
    return _made("RateDistortion", arguments)


def _dagmm(arguments: Arguments, prefix: str, tensors: Tensors) -> Any:
    arguments["prior_features"] = _features(arguments)
    return _made("DAGMM", arguments)


def _features(arguments: Arguments) -> Any:
    return _made("ResidualFeatures" if arguments.pop("with_residual") else "LatentFeatures", {})


def _beta_vae(arguments: Arguments, prefix: str, tensors: Tensors) -> Any:
    return _made("DecomposedBetaVAE" if arguments.pop("decomposed") else "BetaVAE", arguments)


def _density(arguments: Arguments, prefix: str, tensors: Tensors) -> Any:
    """Return a density, or the two-scale density that a density with a guard was."""
    guard, residual = arguments.pop("guard"), arguments.pop("residuals")
    if guard is None:
        _rename(tensors, f"{prefix}residuals.", f"{prefix}residual.")
        return _made("Density", {**arguments, "residual": residual})
    model = arguments["model"]
    prior, own = model["arguments"]["prior"], f"{prefix}model.prior."
    coarse_prior, *others = prior["arguments"]["components"]
    _rename(tensors, f"{own}components.0.", f"{prefix}kernel.")
    _rename(tensors, own, f"{prefix}fine_prior.")
    _rename(tensors, f"{prefix}model.", f"{prefix}coarse.model.")
    _rename(tensors, f"{prefix}kernel.", f"{prefix}coarse.model.prior.")
    _rename(tensors, f"{prefix}guard.residuals.", f"{prefix}coarse.residual.")
    _rename(tensors, f"{prefix}guard.", prefix)
    _rename(tensors, f"{prefix}residuals.", f"{prefix}fine_residual.")
    model["arguments"]["prior"] = coarse_prior
    coarse = _made("Density", {**arguments, "residual": guard["arguments"]["residuals"]})
    fine_prior = _made("StackedPrior", {"components": [{"shared": f"{prefix}coarse.model.prior"}, *others]})
    return _made("TwoScaleDensity", {"coarse": coarse, "fine_prior": fine_prior, "fine_residual": residual})


_UPGRADES: dict[str, Callable[[Arguments, str, Tensors], Any]] = {
    "Scaling": _scaling,
    "Kernel": _kernel,
    "Blend": _blend,
    "RateDistortion": _rate_distortion,
    "DAGMM": _dagmm,
    "BetaVAE": _beta_vae,
    "Density": _density,
    "Guard": lambda arguments, prefix, tensors: _made("Guard", arguments),
}


def _read_estimator(folder: Path, about: dict[str, Any]) -> tuple[Any, Tensors]:
    """Return the description of the `TabularModel` that a saved estimator was."""
    structure = read_json(folder / "density" / "model.json", {FORMER["model.json"]})
    tensors = _load(folder / "density" / "model.safetensors", "density.")
    density = _upgrade(structure["model"], "density", tensors)
    tensors |= load_file(folder / "arrays.safetensors")
    table, parameters = about["table"], about["parameters"]
    del parameters["detail"]  # whether anomalies or likelihoods mattered: models have had both since
    names = table["names"] or about["feature_names_in_"]
    encoder = {
        "names": None if names is None else {"tuple": names},
        "column_types": {"tuple": [{"type": "ColumnType", "value": kind} for kind in table["kinds"]]},
        "rows": table["rows"],
        **{today: {"array": f"table.{former}"} for former, today in _TABLE.items()},
        **_columns(table["kinds"], tensors),
        "category_columns": {"tuple": [j for j, kind in enumerate(table["kinds"]) if kind == "category"]},
        "category_encoders": {"tuple": [_category_encoder(words) for words in table["vocabularies"]]},
        "frequent": {"tuple": [words["frequent"] for words in table["vocabularies"]]},
        "rare": {"tuple": [len(words["values"]) > words["frequent"] for words in table["vocabularies"]]},
        "cost": {"tuple": [words["cost"] for words in table["vocabularies"]]},
    }
    model = {
        "encoder": _made("OneHotTableEncoder", encoder),
        "standardizer": _made("Standardizer", {t: {"array": f"units.{f}"} for f, t in _UNITS.items()}),
        "density": density,
        "categorical": None,
        "calibration": _made(
            "Calibration", {"scores": {"array": "calibration_scores_"}, "threshold": about["fitted"]["offset_"]}
        ),
        "reference_rows": {"array": "typical"},
        "explained_variance_ratio": {"array": "explained_variance_ratio_"},
        "isometry": _made(
            "Isometry", about["isometry_"] | {name: {"tensor": f"isometry.{name}"} for name in _ISOMETRY}
        ),
        "history": _made("History", about["history_"]),
        "parameters": {"dict": parameters},
        "id_column": about["notes"].get("id"),
    }
    return _made("TabularModel", model), tensors


def _category_encoder(words: dict[str, Any]) -> Any:
    values = {"values": {"tuple": words["values"]}, "overflow": False, "missing": words["missing"]}
    return _made("CategoryEncoder", values)


def _columns(kinds: list[str], tensors: Tensors) -> Arguments:
    """Return what former versions did not say of numbers: ranges are unknown, dates have positions and two cycles."""
    numbers = [kind for kind in kinds if kind != "category"]
    unknown = torch.full((len(numbers),), torch.nan, dtype=torch.float64)
    cycles = torch.tensor([4 if kind == "date" else 0 for kind in numbers], dtype=torch.int64)
    made = {
        "low": unknown,
        "high": unknown,
        "has_position": torch.ones(len(numbers), dtype=torch.bool),
        "cycles": cycles,
    }
    tensors |= {f"table.{name}": value for name, value in made.items()}
    return {name: {"array": f"table.{name}"} for name in made}


_TABLE = {"middle": "median", "gaps": "has_missing", "sentinels": "missing_codes"}
_UNITS = {
    "varying": "varying",
    "row": "constant_values",
    "exponent": "exponent",
    "centre": "centre",
    "spread": "scale",
}
_ISOMETRY = ("diagonal", "prediction", "variance")
