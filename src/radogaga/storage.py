"""Models as folders: numbers in ``model.safetensors``, structure in ``model.json``. Nothing is unpickled, ever.

A part is saved as its class and constructor arguments, read back from the attributes of the same names (as
scikit-learn's `get_params` does), so a part needs no code of its own to be saved. Loading makes only classes of this
package and activations of `torch.nn`; classes of others are made only if the caller passes them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from radogaga.errors import InputError
from radogaga.version import __version__

FORMAT = "radogaga model 1"


def save(model: nn.Module, folder: str | Path) -> None:
    """Write a model as a folder, beside its place first and then renamed into it.

    Parameters
    ----------
    model : torch.nn.Module
        Any module whose constructor's arguments are kept as attributes of the same names.
    folder : path
        Where to; a model that is there already is replaced, anything else is refused.

    Raises
    ------
    InputError
        If the folder holds something other than a model, cannot be written, or a part cannot be described.
    """
    folder = Path(folder)
    structure = {"format": FORMAT, "radogaga": __version__, "model": _describe(model, type(model).__name__)}
    text = json.dumps(structure, indent=2)
    if folder.exists() and _holds_something_else(folder):
        raise InputError(f"Expected a new folder or a saved model at {folder}; it holds something else. Pass another.")
    with replacing_folder(folder) as beside:
        (beside / "model.json").write_text(text + "\n")
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, beside / "model.safetensors")


def load(folder: str | Path, *, classes: Iterable[type] = ()) -> nn.Module:
    """Read a model that `save` wrote, in evaluation mode, with the same outputs to the last bit.

    Parameters
    ----------
    folder : path
        The model's folder.
    classes : iterable of type
        Classes of your own that the model was made of.

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
    structure = read_structure(folder)
    known = {_name(c): c for c in classes}
    try:
        model = _build(structure["model"], known)
        # Copies lie where torch puts its own tensors: how a product is rounded depends on an address's last bits.
        state = {name: value.clone() for name, value in load_file(folder / "model.safetensors").items()}
        model.load_state_dict(state, assign=True)
    except FileNotFoundError:
        raise InputError(f"Expected model.safetensors in {folder}; there is none. Save the model again.") from None
    except InputError:
        raise
    except (
        SafetensorError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"Expected a whole model in {folder}; it is truncated or altered ({reason}). Save it again."
        ) from None
    model.eval()
    return model


def read_structure(folder: Path) -> dict[str, Any]:
    """Return what ``model.json`` in a folder says, or raise `InputError`."""
    path = folder / "model.json"
    if not folder.is_dir():
        raise InputError(f"Expected a model's folder at {folder}; there is none. Check the path.")
    if not path.is_file():
        raise InputError(f"Expected model.json in {folder}; there is none, so this is no saved model. Check the path.")
    return read_json(path, FORMAT)


def read_json(path: Path, form: str) -> dict[str, Any]:
    """Return what a JSON file of a given format says, or raise `InputError`."""
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in {path}; it is damaged ({error}). Save the model again.") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != form:
        raise InputError(f"Expected the format {form!r} in {path}; got {found!r}. Was it made by this program?")
    return dict(content)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside a place, and rename it into that place only if all went well."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"Expected to write to {folder}; it failed ({error.strerror}). Pass another place.") from None
    try:
        yield beside
        beside.chmod(0o755)
        old = beside.with_name(f"{beside.name}-old")
        if folder.exists():
            folder.rename(old)
        try:
            beside.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise InputError(f"Expected to write to {folder}; it failed ({error.strerror}). Free space?") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it into it, so that no reader ever sees half of it."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it into it."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise InputError(f"Expected to write {path}; it failed ({error.strerror}). Pass another place.") from None


def _holds_something_else(folder: Path) -> bool:
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - {"model.json", "model.safetensors"}:
        return True
    try:
        structure = json.loads((folder / "model.json").read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return not isinstance(structure, dict) or structure.get("format") != FORMAT


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _describe(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _describe(value.item(), where)
    if isinstance(value, list | tuple):
        return [_describe(item, where) for item in value]
    if isinstance(value, type):
        return {"type": _name(value)}
    if inspect.isroutine(value):
        raise InputError(f"Expected parts that are objects; {where} is a function. Make it a class with __call__.")
    try:
        names = list(inspect.signature(type(value)).parameters)
    except ValueError:
        kind = type(value).__name__
        raise InputError(f"Expected parts of numbers, text, lists and objects; {where} is a {kind}.") from None
    missing = [n for n in names if not hasattr(value, n)]
    if missing:
        raise InputError(
            f"Expected parts that keep their constructor's arguments as attributes; {where} is a "
            f"{type(value).__name__} without {', '.join(missing)}. Add them to the class."
        )
    arguments = {n: _describe(getattr(value, n), f"{where}.{n}") for n in names}
    return {"class": _name(type(value)), "arguments": arguments}


def _build(description: Any, known: Mapping[str, type]) -> Any:
    if isinstance(description, list):
        return [_build(item, known) for item in description]
    if not isinstance(description, dict):
        return description
    if "type" in description:
        return _resolve(description["type"], known)
    arguments = {name: _build(value, known) for name, value in description["arguments"].items()}
    return _resolve(description["class"], known)(**arguments)


def _resolve(name: str, known: Mapping[str, type]) -> type:
    if name in known:
        return known[name]
    module, _, qualified = name.partition(":")
    if module == "torch.nn.modules.activation" or module.split(".")[0] == "radogaga":
        try:
            found = getattr(importlib.import_module(module), qualified, None)
        except ImportError:
            found = None
        # A class that the module only imported is none of its own.
        if isinstance(found, type) and found.__module__ == module:
            return found
    raise InputError(
        f"Expected known classes in the model; got {name!r}. Pass it: radogaga.load(folder, classes=[...])."
    )
