"""Models as folders: tensors in ``model.safetensors``, structure in ``model.json``. Nothing is pickled.

An object is saved as the public name of its class and the arguments of its constructor, which are read from attributes
of the same names (as scikit-learn's `get_params` does), so a class needs no code to be saved. `load` makes public
classes of this package and activations of `torch.nn`, and other classes only if the caller passes them.
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
from safetensors.torch import save as serialize
from torch import Tensor

from radogaga._utils.checks import check_device
from radogaga._utils.descriptions import Builder, Describer
from radogaga._utils.files import check_can_write_folder, checksum, read_json, replace_folder
from radogaga._utils.former_formats import FORMER, FORMER_FILES, read_former
from radogaga.errors import InputError
from radogaga.version import __version__

FORMAT = "radogaga 2"
_STRUCTURE, _NUMBERS = "model.json", "model.safetensors"
_MAX_OTHER_NUMBERS = 2**22
_FILES = {FORMAT: {_STRUCTURE, _NUMBERS}, **FORMER_FILES}


def save(model: Any, folder: str | Path) -> None:
    """Write a model as a folder, beside its place first and then renamed into it.

    Parameters
    ----------
    model : torch.nn.Module or object
        A module or any other object that keeps the arguments of its constructor as attributes of the same names. They
        are numbers, text, arrays, tensors, lists, dictionaries and further such objects.
    folder : path
        The model's folder. A model that is there is replaced, anything else is refused.

    Raises
    ------
    InputError
        If the folder holds something other than a model, cannot be written, or a part cannot be described.
    """
    folder = Path(folder)
    describer = Describer()
    description = describer.describe(model, "")
    if not _is_object(description):
        raise InputError(f"Expected a model; got a {type(model).__name__}. Save its models one by one.")
    check_replaceable(folder)
    with replace_folder(folder) as beside:
        save_file({name: value.contiguous() for name, value in describer.tensors.items()}, beside / _NUMBERS)
        structure = {"format": FORMAT, "radogaga": __version__, "model": description}
        structure["sha256"] = {_NUMBERS: checksum(beside / _NUMBERS), _STRUCTURE: structure_checksum(structure)}
        (beside / _STRUCTURE).write_text(json.dumps(structure, indent=2) + "\n")
        for file in beside.iterdir():
            file.chmod(0o644)


def load(folder: str | Path, *, classes: Iterable[type] = (), device: str | torch.device = "cpu") -> Any:
    """Read a model that any `save` of this package wrote; its outputs are the same to the last bit.

    Modules are in evaluation mode. A folder that `RaDOGAGA.save` wrote gives its `TabularModel`.

    Parameters
    ----------
    folder : path
        The model's folder.
    classes : iterable of type
        Your own classes that the model is made of.
    device : str
        The device of modules, "cpu" or "cuda".

    Raises
    ------
    InputError
        If there is no model, it is truncated, foreign or made of unknown classes, or the device cannot be used.

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
    check_device(str(device))
    description, tensors = _read(folder)
    try:
        if not _is_object(description):
            raise ValueError("no model in it")
        own_classes = {f"{c.__module__}:{c.__qualname__}": c for c in classes}
        if not own_classes:
            _check_sizes(description, tensors)
        builder = Builder(tensors, own_classes)
        model = builder.build(description, "")
        _load_states(builder, tensors)
        if hasattr(model, "check"):
            model.check()
        for module in builder.modules.values():
            module.eval().to(device)
    except InputError:
        raise
    except Exception as error:  # whatever parts that do not fit together raise
        raise _damaged(folder, error) from None
    return model


def fingerprint(model: Any) -> str:
    """Return a checksum of a model's structure and numbers, and of this version: equal models have equal ones.

    Examples
    --------
    >>> from radogaga import Normal
    >>> from radogaga._utils.storage import fingerprint
    >>> fingerprint(Normal(2)) == fingerprint(Normal(2)), fingerprint(Normal(2)) == fingerprint(Normal(3))
    (True, False)
    """
    describer = Describer()
    structure = {"format": FORMAT, "radogaga": __version__, "model": describer.describe(model, "")}
    numbers = serialize({name: value.contiguous() for name, value in describer.tensors.items()})
    return hashlib.sha256(structure_checksum(structure).encode() + numbers).hexdigest()


def read_structure(folder: Path) -> dict[str, Any]:
    """Return the content of ``model.json`` in a folder, or raise `InputError`."""
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
    """Raise `InputError` if a folder holds anything but a model or cannot be made."""
    check_can_write_folder(folder)
    if folder.exists() and _holds_something_else(folder):
        raise InputError(f"Expected a new folder or a saved model at {folder}; it holds something else. Pass another.")


def _read(folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """Return the description of a model and its tensors, in today's format."""
    structure = read_structure(folder)
    try:
        if structure["format"] != FORMAT:
            return read_former(folder, structure)
        path = folder / _NUMBERS
        if not path.is_file():
            raise InputError(f"Expected {_NUMBERS} in {folder}; there is none. Save the model again.")
        found = {_NUMBERS: checksum(path), _STRUCTURE: structure_checksum(structure)}
        if altered := [name for name, sha256 in found.items() if sha256 != structure["sha256"][name]]:
            raise ValueError(f"{altered[0]} is not the one that was saved")
        # Copies are aligned as torch aligns its own tensors: the rounding of a product depends on it.
        return structure["model"], {name: value.clone() for name, value in load_file(path).items()}
    except InputError:
        raise
    except (SafetensorError, OSError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(folder, error) from None


def _is_object(description: Any) -> bool:
    return isinstance(description, dict) and "class" in description


def structure_checksum(structure: dict[str, Any]) -> str:
    """Return the SHA-256 of what ``model.json`` says of a model, as a hexadecimal number."""
    content = json.dumps({name: structure[name] for name in ("format", "radogaga", "model")}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _check_sizes(description: Any, tensors: dict[str, Tensor]) -> None:
    """Build a model without memory, and raise `ValueError` if its sizes are not those of the saved tensors."""
    with torch.device("meta"):
        builder = Builder(tensors, {})
        builder.build(description, "")
    others = 0
    for path, module in builder.modules.items():
        prefix = f"{path}." if path else ""
        state = module.state_dict()
        for name, value in state.items():
            saved = tensors.get(prefix + name)
            if saved is not None and saved.shape != value.shape:
                raise ValueError(f"{prefix + name} has shape {tuple(saved.shape)}, not {tuple(value.shape)}")
        others += sum(value.numel() for name, value in module.named_buffers() if name not in state)
        others += sum(value.numel() for name, value in state.items() if prefix + name not in tensors)
    if others > _MAX_OTHER_NUMBERS + sum(value.numel() for value in tensors.values()):
        raise ValueError("it asks for more numbers than were saved")


def _load_states(builder: Builder, tensors: dict[str, Tensor]) -> None:
    """Set the state of the outermost modules; a part that is in several places was written once."""
    loaded: set[int] = set()
    for path, module in builder.modules.items():
        prefix = f"{path}." if path else ""
        state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        missing, unexpected = module.load_state_dict(state, assign=True, strict=False)
        now = module.state_dict(keep_vars=True)
        loaded |= {id(value) for name, value in now.items() if name not in missing}
        missing = [name for name in missing if id(now[name]) not in loaded]
        unexpected = [name for name in unexpected if prefix + name not in builder.arguments]
        if missing or unexpected:
            raise ValueError(f"tensors missing: {missing[:3]}, unknown: {unexpected[:3]}")
        if broken := [name for name, value in now.items() if not value.isfinite().all()]:
            raise ValueError(f"{prefix + broken[0]} is not finite")


def _damaged(folder: Path, error: Exception) -> InputError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return InputError(f"Expected a whole model in {folder}; it is truncated or altered ({reason}). Save it again.")


def _holds_something_else(folder: Path) -> bool:
    if not folder.is_dir():
        return True
    names = {path.name for path in folder.iterdir()}
    try:
        return not names <= _FILES[read_structure(folder)["format"]]
    except InputError:
        # A part of a model may be replaced; JSON of another program may not.
        return bool(names) and not (names <= {_STRUCTURE, _NUMBERS} and not _is_json(folder / _STRUCTURE))


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return True
