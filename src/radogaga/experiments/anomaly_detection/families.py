"""The rows of experiment 5.3's table, family by family."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from radogaga.errors import InputError
from radogaga.experiments.anomaly_detection import methods
from radogaga.experiments.anomaly_detection.methods import Method
from radogaga.experiments.anomaly_detection.peers import PEERS, PYOD, has_pyod

PUBLISHED: dict[str, Method] = {
    "dagmm": methods.dagmm,
    "radogaga-d": methods.radogaga_published,
    "radogaga-log": partial(methods.radogaga_published, log=True),
}
CHOSEN: dict[str, Method] = {
    "radogaga-d-chosen": methods.radogaga_chosen,
    "radogaga-log-chosen": partial(methods.radogaga_chosen, log=True),
    "untrained-chosen": methods.untrained_chosen,
}
UNTUNED: dict[str, Method] = {"radogaga-untuned": methods.radogaga_untuned}
FAMILIES = {"published": PUBLISHED, "chosen": CHOSEN, "untuned": UNTUNED, "peer": {**PEERS, **PYOD}}
METHODS = {name: method for family in FAMILIES.values() for name, method in family.items()}


def named_methods(names: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that names of methods and families stand for; a family's, only those that can run here.

    Raises
    ------
    InputError
        If a name is unknown, or a method of PyOD is named and PyOD is not installed.
    """
    found: dict[str, None] = {}
    for name in names:
        if name in FAMILIES:
            found |= dict.fromkeys(m for m in FAMILIES[name] if m not in PYOD or has_pyod())
        elif name not in METHODS:
            raise InputError(f"Expected methods among {', '.join([*METHODS, *FAMILIES])}; got {name!r}.")
        elif name in PYOD and not has_pyod():
            raise InputError(f"Expected PyOD for {name}; it is not installed. Run: pip install 'radogaga[peers]'")
        else:
            found[name] = None
    return tuple(found)


def family_of(method: str) -> str:
    """Return the family that a method's row belongs to."""
    return next(family for family, members in FAMILIES.items() if method in members)


def scaling_of(data: str, method: str) -> str:
    """Return the name of the scaling that a method sees a data set in."""
    if "@" in method:
        return method.partition("@")[2]
    if method == "isolation-forest":
        return "none"
    if method in UNTUNED:
        return "its own"
    if method in PUBLISHED:
        return "min-max"
    if method in CHOSEN and not data.startswith("kddcup"):
        return "asinh"
    return "standard"
