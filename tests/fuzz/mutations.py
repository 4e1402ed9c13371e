"""Damage to files, from a random generator: bytes as a disk or a transfer changes them, and entries of JSON."""

import copy
import json
from typing import Any

import numpy as np

from radogaga._utils.storage import structure_checksum

_EXTREME = [0, 1, -1, 127, 2**15, 2**31 - 1, -(2**31), 2**32, 2**40, 2**62, 2**63 - 1]
_NUMBERS = [-1, 0, 2, 0.5, 1e308, float("nan"), float("inf"), 10**9, 2**40, 10**30]
_VALUES: list[Any] = [None, True, "", "x", *_NUMBERS, [], [0] * 9, {}, {"class": "Normal"}]


def damage(content: bytes, random: np.random.Generator) -> bytes:
    """Return bytes with one to three kinds of damage."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 4)):
        if changed:
            changed = _KINDS[random.integers(len(_KINDS))](changed, random)
    return bytes(changed)


def _flip(content: bytearray, random: np.random.Generator) -> bytearray:
    for place in random.integers(len(content), size=random.integers(1, 9)):
        content[place] ^= 1 << random.integers(8)
    return content


def _cut(content: bytearray, random: np.random.Generator) -> bytearray:
    return content[: random.integers(len(content))]


def _block(content: bytearray, random: np.random.Generator) -> tuple[int, int]:
    start = int(random.integers(len(content)))
    return start, min(len(content), start + int(random.integers(1, 200)))


def _zero(content: bytearray, random: np.random.Generator) -> bytearray:
    start, end = _block(content, random)
    content[start:end] = bytes(end - start)
    return content


def _remove(content: bytearray, random: np.random.Generator) -> bytearray:
    start, end = _block(content, random)
    del content[start:end]
    return content


def _copy(content: bytearray, random: np.random.Generator) -> bytearray:
    start, end = _block(content, random)
    place = random.integers(len(content))
    content[place:place] = content[start:end]
    return content


def _insert(content: bytearray, random: np.random.Generator) -> bytearray:
    place = random.integers(len(content))
    content[place:place] = random.bytes(int(random.integers(1, 20)))
    return content


def _extreme(content: bytearray, random: np.random.Generator) -> bytearray:
    width = int(random.choice([1, 2, 4, 8]))
    place = int(random.integers(len(content)))
    value = _EXTREME[random.integers(len(_EXTREME))] % 2 ** (8 * width)
    content[place : place + width] = value.to_bytes(width, "little")
    return content


_KINDS = [_flip, _flip, _cut, _zero, _remove, _copy, _insert, _extreme, _extreme]


def alter_structure(text: str, random: np.random.Generator) -> str:
    """Return a model's JSON with another value somewhere, and checksums that fit: as an attacker would write it."""
    structure = json.loads(text)
    for _ in range(random.integers(1, 3)):
        places = list(_places(structure["model"]))
        holder, key = places[random.integers(len(places))]
        others = [held[name] for held, name in places]
        draw = random.integers(3)
        if draw == 0 and isinstance(holder, list):
            del holder[key]
        elif draw == 1:
            holder[key] = copy.deepcopy(others[random.integers(len(others))])  # no part in itself
        else:
            holder[key] = _VALUES[random.integers(len(_VALUES))]
    structure["sha256"]["model.json"] = structure_checksum(structure)
    return json.dumps(structure)


def _places(value: Any) -> Any:
    """Yield all entries of nested lists and objects, as holder and key."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(item)
