"""Which parts of a table are scored: a file of JSON lines, one more for each part that is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radogaga._utils.files import sweep, write_text
from radogaga.errors import InputError, WriteError
from radogaga.tabular.files.parts import Part
from radogaga.version import __version__

NAME = "manifest.jsonl"
_FORMAT = "radogaga scores 1"


@dataclass
class Manifest:
    """What is scored in a folder, by which model and options. One process writes it; the last line of a part counts.

    A line is added after the file it tells of is in its place. A run that is killed in between scores that part once
    more, to the same file. A line that was cut off is no line.

    Attributes
    ----------
    folder : Path
        The folder of scores.
    settings : dict
        The model and the options of this run.
    entries : dict of str to dict
        The last line of each part.
    """

    folder: Path
    settings: Mapping[str, Any]
    entries: dict[str, dict[str, Any]]

    @classmethod
    def open(cls, folder: Path, settings: Mapping[str, Any]) -> Manifest:
        """Return the manifest of a folder, which is made if there is none.

        Raises
        ------
        InputError
            If the folder holds something else.
        WriteError
            If it cannot be made.
        """
        path = folder / NAME
        try:
            if not path.is_file():
                if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                    raise InputError(
                        f"Expected a new or empty folder, or one of scores, at {folder}; it is something else. "
                        "Pass another."
                    )
                write_text(path, json.dumps({"format": _FORMAT, "radogaga": __version__}) + "\n")
            sweep(folder)
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                os.truncate(path, len(whole))
        except OSError as error:
            raise WriteError(f"Expected to write to {folder}; it failed ({error.strerror}). Pass another.") from None
        return cls(folder, settings, _entries(path, whole.decode(errors="replace").splitlines()))

    def finished(self, part: Part) -> dict[str, Any] | None:
        """Return what came of a part, if it has not changed since it was scored by this model and these options."""
        entry = self.entries.get(part.name)
        if entry is None or any(entry[name] != value for name, value in self._of(part).items()):
            return None
        return entry["scored"] if (self.folder / entry["scored"]["out"]).is_file() else None

    def add(self, part: Part, scored: dict[str, Any]) -> None:
        """Write down that a part is scored, once the file of its scores is in its place."""
        entry = {"part": part.name, **self._of(part), "scored": scored}
        try:
            with (self.folder / NAME).open("ab") as file:
                file.write(json.dumps(entry).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WriteError(f"Expected to write to {self.folder}; it failed ({error.strerror}). Free space?") from None
        self.entries[part.name] = entry

    def count_others(self, parts: Iterable[Part]) -> int:
        """Return how many files of scores are of parts that are not among these."""
        outs = {entry["scored"]["out"] for name, entry in self.entries.items()}
        outs -= {self.entries[part.name]["scored"]["out"] for part in parts if part.name in self.entries}
        return sum((self.folder / out).is_file() for out in outs)

    def _of(self, part: Part) -> dict[str, Any]:
        return {"size": part.size, "modified": part.modified, "settings": dict(self.settings)}


def _entries(path: Path, lines: list[str]) -> dict[str, dict[str, Any]]:
    try:
        head, *entries = map(json.loads, lines)
        if head["format"] != _FORMAT:
            raise ValueError(f"its format is {head['format']!r}")
        return {entry["part"]: entry for entry in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Expected a manifest of scores at {path}; it is damaged ({error}). Pass another folder, or remove it."
        ) from None
