"""Models as folders: numbers in ``model.safetensors``, structure in ``model.json``. Nothing is unpickled, ever.

An object is saved as the public name of its class and its constructor's arguments, read back from the attributes of
the same names (as scikit-learn's `get_params` does), so a class needs no code of its own to be saved. Loading makes
only public classes of this package and activations of `torch.nn`; others are made only if the caller passes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from radogaga._utils.descriptions import Builder, Describer
from radogaga._utils.files import check_can_write_folder, read_json, replace_folder
from radogaga._utils.former_formats import FORMER, read_former
from radogaga.errors import InputError
from radogaga.version import __version__

FORMAT = "radogaga 2"
_STRUCTURE, _NUMBERS = "model.json", "model.safetensors"


def save(model: Any, folder: str | Path) -> None:
    """Write a model as a folder, beside its place first and then renamed into it.

    Parameters
    ----------
    model : torch.nn.Module or object
        Anything whose constructor's arguments are kept as attributes of the same names: modules, and dataclasses of
        numbers, text, arrays, tensors, lists, dictionaries and further such objects.
    folder : path
        Where to; a model that is there already is replaced, anything else is refused.

    Raises
    ------
    InputError
        If the folder holds something other than a model, cannot be written, or a part cannot be described.
    """
    folder = Path(folder)
    describer = Describer()
    description = describer.describe(model, "")
    check_replaceable(folder)
    with replace_folder(folder) as beside:
        save_file({name: value.contiguous() for name, value in describer.tensors.items()}, beside / _NUMBERS)
        checksum = _checksum(beside / _NUMBERS)
        structure = {"format": FORMAT, "radogaga": __version__, "sha256": {_NUMBERS: checksum}, "model": description}
        (beside / _STRUCTURE).write_text(json.dumps(structure, indent=2) + "\n")
        for file in beside.iterdir():
            file.chmod(0o644)


def load(folder: str | Path, *, classes: Iterable[type] = (), device: str | torch.device = "cpu") -> Any:
    """Read a model that any `save` of this package wrote, with the same outputs to the last bit.

    Modules come back in evaluation mode. A folder that `RaDOGAGA.save` wrote comes back as its `TabularModel`.

    Parameters
    ----------
    folder : path
        The model's folder.
    classes : iterable of type
        Classes of your own that the model was made of.
    device : str
        Where to put modules, "cpu" or "cuda".

    Raises
    ------
    InputError
        If there is no model, or it is truncated, foreign or made of unknown classes.

    Examples
    --------
    >>> import tempfile, torch
    >>> from radogaga import Normal, load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Normal(2), folder)
    ...     load(folder)
    Normal()
    """
    folder = Path(folder)
    description, tensors = _read(folder)
    try:
        builder = Builder(tensors, {f"{c.__module__}:{c.__qualname__}": c for c in classes})
        model = builder.build(description, "")
        for path, module in builder.modules.items():
            _load_state(module, path, tensors)
            module.eval().to(device)
    except InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(folder, error) from None
    return model


def read_structure(folder: Path) -> dict[str, Any]:
    """Return what ``model.json`` in a folder says, or raise `InputError`."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"Expected a model's folder; {folder} is a file. Check the path.")
    if not folder.is_dir():
        raise InputError(f"Expected a model's folder at {folder}; there is none. Check the path.")
    former = next((name for name in FORMER if (folder / name).is_file()), None)
    path = folder / (former or _STRUCTURE)
    if not path.is_file():
        raise InputError(
            f"Expected {_STRUCTURE} in {folder}; there is none, so this is no saved model. Check the path."
        )
    return read_json(path, {FORMAT, *FORMER.values()})


def check_replaceable(folder: Path) -> None:
    """Raise `InputError` if a folder holds anything but a model, or cannot be made, before any work is done."""
    if folder.exists() and _holds_something_else(folder):
        raise InputError(f"Expected a new folder or a saved model at {folder}; it holds something else. Pass another.")
    check_can_write_folder(folder)


def _read(folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """Return the description of a model and its tensors, those of former versions in today's terms."""
    structure = read_structure(folder)
    try:
        if structure["format"] != FORMAT:
            return read_former(folder, structure)
        path = folder / _NUMBERS
        if not path.is_file():
            raise InputError(f"Expected {_NUMBERS} in {folder}; there is none. Save the model again.")
        if _checksum(path) != structure["sha256"][_NUMBERS]:
            raise InputError(
                f"Expected the {_NUMBERS} that was saved in {folder}; it is damaged. Save the model again."
            )
        # Copies lie where torch puts its own tensors: how a product is rounded depends on an address's last bits.
        return structure["model"], {name: value.clone() for name, value in load_file(path).items()}
    except InputError:
        raise
    except (SafetensorError, OSError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(folder, error) from None


def _load_state(module: nn.Module, path: str, tensors: dict[str, Tensor]) -> None:
    prefix = f"{path}." if path else ""
    state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    outcome = module.load_state_dict(state, assign=True, strict=False)
    # A part that is in two places is written once.
    first = {id(value): name for name, value in reversed(module.state_dict(keep_vars=True).items())}
    missing = [name for name in outcome.missing_keys if first[id(module.state_dict(keep_vars=True)[name])] == name]
    if missing or outcome.unexpected_keys:
        raise ValueError(f"tensors missing: {missing[:3]}, unknown: {outcome.unexpected_keys[:3]}")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(folder: Path, error: Exception) -> InputError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return InputError(f"Expected a whole model in {folder}; it is truncated or altered ({reason}). Save it again.")


def _holds_something_else(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {"a file"}
    if names - {_STRUCTURE, _NUMBERS, *FORMER, "arrays.safetensors", "density"}:
        return True
    try:
        read_structure(folder)
    except InputError:
        # Half a model may be replaced; JSON of another program may not.
        return bool(names) and not (names <= {_STRUCTURE, _NUMBERS} and _is_no_json_of_others(folder / _STRUCTURE))
    return False


def _is_no_json_of_others(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return True
    return False
