"""Files and folders that exist whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from radogaga.errors import InputError, WriteError

_WRITE_ERRORS = (OSError, SafetensorError)
# What is not yet whole: its name says whose it is, by the machine and the process that writes it. Machines may share a
# folder, and one cannot tell which processes of another are running.
_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_UNFINISHED = re.compile(rf"\.(?P<name>.*)-{_MACHINE}-(?P<process>\d+)-[^-.]{{8}}\.radogaga(?P<old>-old)?", re.DOTALL)


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside a place, and rename it into that place if all goes well.

    Raises
    ------
    WriteError
        If it cannot be written; what was in the place stays there.
    """
    folder = folder.resolve()
    try:
        beside = _new_beside(folder, tempfile.mkdtemp)
    except OSError as error:
        raise WriteError(f"Expected to write to {folder}; it failed ({error.strerror}). Pass another place.") from None
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
        raise WriteError(f"Expected to write to {folder}; it failed ({_reason(error)}). Free space?") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_can_write_folder(folder: Path) -> None:
    """Raise `InputError` if no folder can be made at a place, or what is there cannot be replaced."""
    try:
        reason = None
        if folder.is_symlink() and not folder.exists():
            reason = "it is a link to nothing"
        elif os.path.ismount(folder):
            reason = "a file system is mounted there"
        elif Path.cwd().is_relative_to(folder.resolve()):
            reason = "this program runs in it"
        if reason:
            raise WriteError(f"Expected to write to {folder}; {reason}. Pass a new folder's name.")
        folder = folder.resolve()
        shutil.rmtree(_new_beside(folder, tempfile.mkdtemp))
        folder.exists()
    except OSError as error:
        raise WriteError(f"Expected to write to {folder}; it failed ({error.strerror}). Pass another place.") from None


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of a new file beside a place, and rename it into that place if all goes well.

    Raises
    ------
    WriteError
        If it cannot be written; what was in the place stays there.
    """
    try:
        beside = _new_beside(path, _new_file)
    except OSError as error:
        raise WriteError(f"Expected to write {path}; it failed ({error.strerror}). Pass another place.") from None
    try:
        yield beside
        beside.chmod(0o644)
        beside.replace(path)
    except _WRITE_ERRORS as error:
        raise WriteError(f"Expected to write {path}; it failed ({_reason(error)}). Pass another place.") from None
    finally:
        beside.unlink(missing_ok=True)


def check_may_replace(path: Path, is_ours: Callable[[Path], bool], *, force: bool = False) -> None:
    """Raise `InputError` if there is a file that this program did not write, or what is no file.

    Parameters
    ----------
    path : Path
        A place to write to.
    is_ours : callable
        Whether a file that is there is this program's.
    force : bool
        Whether any file may be replaced.
    """
    try:
        replaceable = not os.path.lexists(path) or (
            path.is_file() and (force or path.stat().st_size == 0 or is_ours(path))
        )
    except OSError as error:
        raise WriteError(f"Expected to write {path}; it failed ({error.strerror}). Pass another place.") from None
    if not replaceable:
        raise InputError(
            f"Expected a new file, or one that this program wrote, at {path}; it is something else. "
            "Pass another, or --force to replace a file."
        )


def sweep(folder: Path) -> None:
    """Remove what killed processes of this machine left unfinished in a folder.

    A folder put aside goes back to its place.
    """
    for path in folder.iterdir():
        found = _UNFINISHED.fullmatch(path.name)
        if found is None or _is_running(int(found["process"])):
            continue
        place = folder / found["name"]
        if found["old"] and not place.exists():
            path.rename(place)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _new_beside(path: Path, make: Callable[..., str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    return Path(make(prefix=f".{path.name}-{_MACHINE}-{os.getpid()}-", suffix=".radogaga", dir=path.parent))


def _new_file(**where: Any) -> str:
    with tempfile.NamedTemporaryFile(delete=False, **where) as file:
        return file.name


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True


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
