"""Objects as JSON and tensors, and back: public names of classes, and arguments of their constructors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import activation

import radogaga
from radogaga.errors import InputError

_ACTIVATIONS = "torch.nn."


class Describer:
    """Describes objects as JSON, with arrays, tensors and the state of modules in `tensors`.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Arrays, tensors and the state of the outermost modules by their path, each once.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._paths: dict[int, str] = {}
        self._written: set[int] = set()

    def describe(self, value: Any, path: str, *, inside_module: bool = False) -> Any:
        """Return the description of a value, which `json` can write."""
        prefix = f"{path}." if path else ""
        if isinstance(value, Enum):
            return {"type": _public_name(type(value)), "value": value.value}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, Tensor):
            self.tensors[path] = value.detach()
            return {"tensor": path}
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            self.tensors[path] = torch.from_numpy(value.copy())
            return {"array": path}
        if isinstance(value, nn.ModuleList):
            value = list(value)
        if isinstance(value, list | tuple):
            items = [self.describe(item, f"{prefix}{i}", inside_module=inside_module) for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"dict": {key: self.describe(item, prefix + key) for key, item in value.items()}}
        if isinstance(value, type):
            return {"type": _public_name(value)}
        return self._describe_object(value, path, inside_module=inside_module)

    def _describe_object(self, value: Any, path: str, *, inside_module: bool) -> Any:
        where = path or type(value).__name__
        if inspect.isroutine(value):
            raise InputError(f"Expected parts that are objects; {where} is a function. Make it a class with __call__.")
        if isinstance(value, nn.Module):
            if id(value) in self._paths:
                return {"shared": self._paths[id(value)]}
            self._paths[id(value)] = path
            if not inside_module:
                self._add_state(value, path)
                inside_module = True
        prefix = f"{path}." if path else ""
        arguments = {
            name: self.describe(getattr(value, name), prefix + name, inside_module=inside_module)
            for name in _arguments(value, where)
        }
        return {"class": _public_name(type(value)), "arguments": arguments}

    def _add_state(self, module: nn.Module, path: str) -> None:
        prefix = f"{path}." if path else ""
        for name, value in module.state_dict(keep_vars=True).items():
            if id(value) not in self._written:
                self._written.add(id(value))
                self.tensors[prefix + name] = value.detach()


class Builder:
    """Builds what a `Describer` described.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The tensors of the description.
    classes : mapping of str to type
        The user's own classes, by module and name.

    Attributes
    ----------
    modules : dict of str to Module
        The outermost modules by their path, without their state.
    arguments : set of str
        Names of the tensors that are arguments of constructors.
    """

    def __init__(self, tensors: Mapping[str, Tensor], classes: Mapping[str, type]) -> None:
        self.modules: dict[str, nn.Module] = {}
        self.arguments: set[str] = set()
        self._tensors, self._classes = tensors, classes
        self._built: dict[str, Any] = {}

    def build(self, description: Any, path: str, *, inside_module: bool = False) -> Any:
        """Return the object of a description."""
        prefix = f"{path}." if path else ""
        if isinstance(description, list):
            return [self.build(item, f"{prefix}{i}", inside_module=inside_module) for i, item in enumerate(description)]
        if not isinstance(description, dict):
            return description
        if "tuple" in description:
            return tuple(self.build(description["tuple"], path, inside_module=inside_module))
        if "dict" in description:
            return {key: self.build(item, f"{prefix}{key}") for key, item in description["dict"].items()}
        if "array" in description:
            return self._argument(description["array"]).numpy()
        if "tensor" in description:
            return self._argument(description["tensor"])
        if "shared" in description:
            return self._built[description["shared"]]
        if "type" in description:
            found = self._resolve(description["type"])
            return found(description["value"]) if "value" in description else found
        return self._build_object(description, path, inside_module=inside_module)

    def _argument(self, name: str) -> Tensor:
        self.arguments.add(name)
        return self._tensors[name]

    def _build_object(self, description: dict[str, Any], path: str, *, inside_module: bool) -> Any:
        kind = self._resolve(description["class"])
        outermost = issubclass(kind, nn.Module) and not inside_module
        prefix = f"{path}." if path else ""
        arguments = {
            name: self.build(value, prefix + name, inside_module=inside_module or outermost)
            for name, value in description["arguments"].items()
        }
        built = self._built[path] = kind(**arguments)
        if outermost:
            self.modules[path] = built
        return built

    def _resolve(self, name: str) -> type:
        found = self._classes.get(name)
        if found is None and name.startswith(_ACTIVATIONS):
            found = getattr(activation, name.removeprefix(_ACTIVATIONS), None)
            if getattr(found, "__module__", None) != activation.__name__:  # what that module only imports
                found = None
        elif found is None and name in radogaga.__all__:
            found = getattr(radogaga, name)
        if isinstance(found, type):
            return found
        raise InputError(
            f"Expected known classes in the model; got {name!r}. Pass it: radogaga.load(folder, classes=[...])."
        )


def _public_name(kind: type) -> str:
    """Return the name that a class is saved under: its public name, or module and name of a user's own class."""
    name = kind.__name__
    if kind.__module__ == activation.__name__:
        return _ACTIVATIONS + name
    if name in radogaga.__all__ and getattr(radogaga, name) is kind:
        return name
    return f"{kind.__module__}:{kind.__qualname__}"


def _arguments(value: Any, where: str) -> list[str]:
    kind = type(value).__name__
    try:
        names = list(inspect.signature(type(value)).parameters)
    except ValueError:
        raise InputError(f"Expected parts of numbers, text, lists and objects; {where} is a {kind}.") from None
    missing = [name for name in names if not hasattr(value, name)]
    if missing:
        raise InputError(
            f"Expected parts that keep their constructor's arguments as attributes; {where} is a {kind} without "
            f"{', '.join(missing)}. Add them to the class."
        )
    return names
