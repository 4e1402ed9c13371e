"""A source of pictures to an array and its manifest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from joblib import cpu_count

from radogaga._utils.files import checksum, replace_file
from radogaga.errors import InputError
from radogaga.images.pixels import square, write_rows
from radogaga.images.reading import FORMAT, read_manifest
from radogaga.images.sources import open_source
from radogaga.images.split import PARTS, own_parts, test_rows, top_folders
from radogaga.version import __version__

MAX_WORKERS = 8


@dataclass(frozen=True)
class Prepared:
    """What `prepare_images` wrote.

    Attributes
    ----------
    array, manifest : Path
        The array's file and the manifest's.
    shape : tuple of int
        Pictures, height, width, channels.
    test : int
        How many of the pictures are for testing.
    skipped : dict
        Files that gave no picture, each with the reason.
    """

    array: Path
    manifest: Path
    shape: tuple[int, int, int, int]
    test: int
    skipped: dict[str, str]


def prepare_images(
    source: str | Path,
    out: str | Path,
    *,
    size: int = 64,
    crop: int | None = None,
    by_folder: bool = False,
    tenth: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Prepared:
    """Turn pictures into one array of bytes, ``(n, size, size, channels)``, sorted by name, and a manifest beside it.

    Pictures are turned upright, put on white where they are transparent, and become 8-bit RGB; the grey numbers of
    idx files keep their one channel. Files that give no picture are listed with the reason. Both files are put in
    place at the end; until then a former array stays there.

    Parameters
    ----------
    source : path
        A folder, zip, tar (also compressed), idx file (also gzip), or folder of idx files.
    out : path
        The array's file, ``*.npy``; the manifest is ``*.json``.
    size : int
        Side of the pictures, in pixels.
    crop : int, optional
        Side of the centre square that is taken, in pixels (178 for CelebA); default: the largest.
    by_folder : bool
        Keep each folder in one half: the folders in which names first differ go to training or to testing as a whole.
        If all have names such as train, test and val, these decide; otherwise a tenth of the folders are for testing,
        chosen by their names. Default: a tenth of the pictures, chosen by their names.
    tenth : int
        Which tenth is for testing, 0 to 9, so that choices made on one tenth can be measured on another.
    workers : int, optional
        Threads that decode; default: the number of cores, 8 at most.
    progress : callable
        Called as ``progress(done, total)`` after each file.

    Raises
    ------
    InputError
        If the source cannot be read or holds no usable picture, there are no folders to split by, a number is out of
        range, or the files cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from radogaga.images.prepare import prepare_images
    >>> from radogaga.images.reading import read_images
    >>> with tempfile.TemporaryDirectory() as place:
    ...     faces = Path(place) / "faces"
    ...     faces.mkdir()
    ...     for i in range(3):
    ...         Image.new("RGB", (218, 178), (0, 0, 80 * i)).save(faces / f"{i}.png")
    ...     prepared = prepare_images(faces, Path(place) / "faces.npy", size=32, crop=178)
    ...     read_images(prepared.array).array[2, 0, 0].tolist()
    [0, 0, 160]
    """
    source, out = Path(source), Path(out)
    described = out.with_suffix(".json")
    _check(out, described, size, crop, tenth)
    # The array is put in place before the manifest.
    with open_source(source) as pictures, replace_file(described) as manifest_file, replace_file(out) as array_file:
        if by_folder:
            # Checked before the work, which may take an hour.
            test_rows(top_folders(sorted(pictures.names), source), given=True, tenth=tenth)
        decode = partial(square, size=size, crop=crop)
        shape = size, size, pictures.channels
        threads = workers or min(cpu_count(), MAX_WORKERS)
        names, skipped = write_rows(array_file, shape, pictures, decode, threads, progress)
        _check_not_empty(names, skipped, source)
        folders = top_folders(names, source) if by_folder else None
        test = test_rows(folders or ["/".join(parts) for parts in own_parts(names)], given=by_folder, tenth=tenth)
        manifest = {
            "format": FORMAT,
            "radogaga": __version__,
            "source": source.resolve().name,
            "size": size,
            "crop": crop or "centre",
            "shape": [len(names), *shape],
            "sha256": checksum(array_file),
            "split": "by-folder" if by_folder else "by-name",
            "tenth": tenth,
            "test": test,
            "skipped": skipped,
            "names": names,
            **({"folders": folders} if folders else {}),
        }
        manifest_file.write_text(json.dumps(manifest, indent=1) + "\n")
        # If the program is stopped between the two, the array has no manifest rather than another array's.
        described.unlink(missing_ok=True)
    return Prepared(out, described, (len(names), *shape), len(test), skipped)


def _check(out: Path, described: Path, size: int, crop: int | None, tenth: int) -> None:
    if out.suffix != ".npy":
        raise InputError(f"Expected a file *.npy to write to; got {out}. Add the ending.")
    if out.is_dir():
        raise InputError(f"Expected a file to write to; {out} is a folder. Pass another place.")
    if described.exists():
        # It may be another program's, since only the array's name was given.
        read_manifest(described)
    for name, pixels in (("size", size), ("crop", crop)):
        if pixels is not None and pixels < 1:
            raise InputError(f"Expected a {name} of at least 1 pixel; got {pixels}. Pass a larger one.")
    if tenth not in range(PARTS):
        raise InputError(f"Expected a tenth of 0 to {PARTS - 1}; got {tenth}. Pass another.")


def _check_not_empty(names: Sequence[str], skipped: dict[str, str], source: Path) -> None:
    if names:
        return
    if not skipped:
        raise InputError(f"Expected pictures in {source}; it is empty. Pass another.")
    some = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:3])
    raise InputError(
        f"Expected pictures in {source}; none of its {len(skipped)} files could be used "
        f"({some}{'; ...' if len(skipped) > 3 else ''}). Pass another."
    )
