"""The experiments' files: where they lie here, and where they are fetched from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch

from radogaga._utils.files import checksum, replace_file
from radogaga.datasets.paths import data_folder, data_home
from radogaga.errors import InputError

GITHUB = "https://raw.githubusercontent.com"
CHUNK = 2**16
TIMEOUT = 30.0  # seconds without a byte

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class File:
    """A file of an experiment and how to know it again.

    Attributes
    ----------
    path : str
        Where it lies in a data folder.
    sha256, size : str, int
        Its checksum and its bytes.
    shape : tuple of int
        Rows and features, without labels and densities.
    origin : str
        Licence and origin, in one line.
    urls : tuple of str
        Servers of the very same bytes, the first one asked first.
    """

    path: str
    sha256: str
    size: int
    shape: tuple[int, int]
    origin: str
    urls: tuple[str, ...]


FILES = {
    "toy": File(
        path="toy/toy.csv",
        sha256="dedcd10c716bfdca26e196b7e2bfa8e95745249d1f634a3d8ed7d4f666fea189",
        size=3_362_882,
        shape=(10_000, 16),
        origin="Apache-2.0, the authors' repository keizokato/RaDOGAGA",
        urls=(f"{GITHUB}/keizokato/RaDOGAGA/f7659ea4be051a517230bf1a0e21a809b23146a8/EXP_5.2_toy/toy.csv",),
    ),
    "thyroid": File(
        path="thyroid/thyroid.mat",
        sha256="49155d7861b977e90808faf68343ff67a67f63090c2744d514dbb67ac68e7e33",
        size=39_704,
        shape=(3_772, 6),
        origin="no licence stated, UCI thyroid disease via ODDS",
        urls=(f"{GITHUB}/lironber/GOAD/3655b867e84d9100ee24b6a346eabd3c85edf3d4/data/thyroid.mat",),
    ),
    "arrhythmia": File(
        path="arrhythmia/arrhythmia.mat",
        sha256="e4d47e499591ae31e5d7f0cd983367092353eac240f48e14c9b36457edb3460d",
        size=105_540,
        shape=(452, 274),
        origin="no licence stated, UCI arrhythmia via ODDS",
        urls=(
            f"{GITHUB}/yzhao062/pyod/34f7996effac700a5166d882d5e94c6e6078fae3/notebooks/data/arrhythmia.mat",
            f"{GITHUB}/lironber/GOAD/3655b867e84d9100ee24b6a346eabd3c85edf3d4/data/arrhythmia.mat",
            f"{GITHUB}/houssamzenati/Adversarially-Learned-Anomaly-Detection/HEAD/data/arrhythmia.mat",
        ),
    ),
    "kddcup": File(
        path="kddcup99/kddcup.data_10_percent.gz",
        sha256="8045aca0d84e70e622d1148d7df782496f6333bf6eb979a1b0837c42a9fd9561",
        size=2_144_903,
        shape=(494_021, 41),
        origin="no licence stated, UCI KDD archive, KDD Cup 1999, 10 percent",
        urls=(
            f"{GITHUB}/Kapetis/ST2/6d94539ad0398088efa114c7749637d61a2b4f10/kddcup.data_10_percent.gz",
            "https://ndownloader.figshare.com/files/5976042",
            "http://kdd.ics.uci.edu/databases/kddcup99/kddcup.data_10_percent.gz",
        ),
    ),
}


def locate(name: str) -> Path:
    """Return where a file of the experiments lies, after fetching it if it lies nowhere yet.

    The folder that ``RADOGAGA_DATA`` names is the only one looked into if it is set, and its files are taken as they
    are; else the user's cache is, where a file has to have the right checksum.

    Parameters
    ----------
    name : str
        One of ``toy``, ``thyroid``, ``arrhythmia``, ``kddcup``.

    Raises
    ------
    InputError
        If the name is unknown, the file is not under ``RADOGAGA_DATA``, or it cannot be fetched.
    """
    path = find(name)
    if path:
        return path
    if folder := data_folder():
        raise InputError(
            f"Expected {FILES[name].path} in the folder RADOGAGA_DATA, {folder}; it is not there. "
            f"Put it there with: radogaga data fetch {name}"
        )
    return fetch(name)


def find(name: str) -> Path | None:
    """Return where a file of the experiments lies here, or None; nothing is fetched."""
    file, folder = _file(name), data_folder()
    path = data_home() / file.path
    return path if (path.is_file() if folder else _is_whole(path, file)) else None


def fetch(
    name: str,
    *,
    folder: str | Path | None = None,
    urls: Sequence[str] | None = None,
    progress: Progress | None = None,
    timeout: float = TIMEOUT,
) -> Path:
    """Fetch a file of the experiments, from the first server that gives the right bytes, and return its path.

    Parameters
    ----------
    name : str
        One of ``toy``, ``thyroid``, ``arrhythmia``, ``kddcup``.
    folder : path, optional
        Data folder to put it in; default: the one that ``RADOGAGA_DATA`` names, else the user's cache. A file that is
        there with the right checksum is kept and nothing is fetched; any other is replaced only once the new one is
        whole.
    urls : sequence of str, optional
        Servers to ask in place of the known ones, in this order. The checksum stays.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes.
    timeout : float
        Seconds to wait for a server that sends nothing.

    Raises
    ------
    InputError
        If the name is unknown, no server gives the right bytes, or the file cannot be written.
    """
    file = _file(name)
    path = Path(folder or data_home()) / file.path
    if _is_whole(path, file):
        return path
    failures = []
    for url in file.urls if urls is None else urls:
        failure = _download(url, path, file, progress, timeout)
        if failure is None:
            return path
        failures.append(f"{urlsplit(url).hostname or url}: {failure}")
    raise InputError(
        f"Expected {file.path} from one of {len(failures)} servers; got it from none ({'; '.join(failures)}). "
        f"Try again later, or put the file at {path} by hand."
    )


def _file(name: str) -> File:
    if name not in FILES:
        raise InputError(f"Expected one of {', '.join(FILES)}; got {name!r}. (KDDCup-rev is made of kddcup.)")
    return FILES[name]


def _is_whole(path: Path, file: File) -> bool:
    try:
        return checksum(path) == file.sha256
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f"Expected to read {path}; it failed ({error.strerror}). Check what is there.") from None


def _download(url: str, path: Path, file: File, progress: Progress | None, timeout: float) -> str | None:
    """Put a file in its place and return None, or return why a server does not give the right bytes."""
    # Not needed where every file is here already, and slow to import.
    from requests import RequestException

    downloader = pooch.HTTPDownloader(
        _Bar(progress, file.size) if progress else False,
        CHUNK,
        timeout=timeout,
        headers={"Accept-Encoding": "identity"},
        hooks={"response": _keep_encoded},
    )
    try:
        with replace_file(path) as beside:
            try:
                downloader(url, str(beside), None)
            except RequestException as error:  # an OSError too, but none of the disk's
                raise _FetchError(_reason(error)) from None
            if checksum(beside) != file.sha256:
                raise _FetchError("the content is not the expected one (its checksum differs)")
    except _FetchError as failure:
        return str(failure)
    return None


class _FetchError(Exception):
    """A server does not give the right bytes."""


def _reason(error: Exception) -> str:
    from requests import exceptions

    response = getattr(error, "response", None)
    if response is not None:
        return f"status {response.status_code}"
    if isinstance(error, exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the download broke off"
    if isinstance(error, exceptions.ConnectionError):
        return "cannot be reached"
    return str(error)


def _keep_encoded(response: Any, *_: Any, **__: Any) -> None:
    """Keep a gzip as it is: some servers call its compression an encoding of theirs, and it would be undone."""
    response.raw.headers.pop("Content-Encoding", None)


class _Bar:
    """The progress bar that pooch asks for."""

    def __init__(self, progress: Progress, size: int) -> None:
        self.progress, self.size, self.done = progress, size, 0
        self.total = 0  # set by pooch to what the server says

    def update(self, size: int) -> None:
        self.done += size
        self.progress(min(self.done, self.size), self.size)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Do nothing: the bar is the caller's."""
