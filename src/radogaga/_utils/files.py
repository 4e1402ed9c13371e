"""Files and folders that exist whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from radogaga.errors import InputError

_WRITE_ERRORS = (OSError, SafetensorError)


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside a place, and rename it into that place if all goes well.

    Raises
    ------
    InputError
        If it cannot be written; what was in the place stays there.
    """
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
    except _WRITE_ERRORS as error:
        raise InputError(f"Expected to write to {folder}; it failed ({_reason(error)}). Free space?") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_can_write_folder(folder: Path) -> None:
    """Raise `InputError` if no folder can be made at a place."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent):
            pass
    except OSError as error:
        raise InputError(f"Expected to write to {folder}; it failed ({error.strerror}). Pass another place.") from None


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of a new file beside a place, and rename it into that place if all goes well.

    Raises
    ------
    InputError
        If it cannot be written; what was in the place stays there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}-", dir=path.parent, delete=False) as file:
            beside = Path(file.name)
    except OSError as error:
        raise InputError(f"Expected to write {path}; it failed ({error.strerror}). Pass another place.") from None
    try:
        yield beside
        beside.chmod(0o644)
        beside.replace(path)
    except _WRITE_ERRORS as error:
        raise InputError(f"Expected to write {path}; it failed ({_reason(error)}). Pass another place.") from None
    finally:
        beside.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a text file; readers see the old content or the new, never a part of it."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; readers see the old content or the new, never a part of it."""
    with replace_file(path) as beside:
        beside.write_bytes(content)


def read_json(path: Path, formats: Container[str]) -> dict[str, Any]:
    """Return the content of a JSON file in one of some formats, or raise `InputError`."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in {path}; it is damaged ({error}). Save the model again.") from None
    found = content.get("format") if isinstance(content, dict) else None
    if not isinstance(found, str) or found not in formats:
        raise InputError(f"Expected a format of this program's in {path}; got {found!r}. Was it made by this program?")
    return dict(content)
