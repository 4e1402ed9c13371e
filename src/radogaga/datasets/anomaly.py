"""The anomaly sets of section 5.3, their labels and their random halves."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from torch import Tensor

from radogaga._utils.checks import check_rows
from radogaga.datasets.fetch import locate
from radogaga.errors import InputError

#: The share of tested rows that is called anomalies.
RHO = {"thyroid": 0.025, "arrhythmia": 0.15, "kddcup": 0.20, "kddcup-rev": 0.20}
MAT_COLUMNS = {"thyroid": 6, "arrhythmia": 274}

KDD_NAMES = (
    "duration protocol_type service flag src_bytes dst_bytes land wrong_fragment urgent hot num_failed_logins "
    "logged_in num_compromised root_shell su_attempted num_root num_file_creations num_shells num_access_files "
    "num_outbound_cmds is_host_login is_guest_login count srv_count serror_rate srv_serror_rate rerror_rate "
    "srv_rerror_rate same_srv_rate diff_srv_rate srv_diff_host_rate dst_host_count dst_host_srv_count "
    "dst_host_same_srv_rate dst_host_diff_srv_rate dst_host_same_src_port_rate dst_host_srv_diff_host_rate "
    "dst_host_serror_rate dst_host_srv_serror_rate dst_host_rerror_rate dst_host_srv_rerror_rate label"
)
KDD_COLUMNS = KDD_NAMES.split()
TEXT = ("protocol_type", "service", "flag")
#: Which columns are one-hot, by how many columns come out.
ONE_HOT = {
    121: (*TEXT, "land", "logged_in", "is_host_login", "is_guest_login"),
    120: (*TEXT, "land", "logged_in", "is_guest_login"),
    118: TEXT,
}
#: What is left out, by how many columns come out: the one value of `is_host_login` in the file, a constant.
LEFT_OUT = {121: [], 120: ["is_host_login"], 118: []}

# Second words of the seeds, so that a run's sampling and its halves do not share their random numbers.
SAMPLING, HALVES = 0, 1


@dataclass(frozen=True)
class Anomalies:
    """Rows, some of which are known to be anomalies.

    Attributes
    ----------
    x : Tensor
        Rows, ``(n, M)``, float32, not scaled.
    y : array of bool
        True where a row is an anomaly, ``(n,)``.
    columns : list of str
        What each column is, ``M`` of them.
    rho : float
        The share of tested rows that the paper calls anomalies.
    """

    x: Tensor
    y: NDArray[np.bool_]
    columns: list[str]
    rho: float


@dataclass(frozen=True)
class Split:
    """Random halves of a set: one to learn from, without anomalies or labels, and one to test on.

    Attributes
    ----------
    train_x : Tensor
        Normal rows only, ``(k, M)``.
    test_x : Tensor
        Normal rows and anomalies, ``(n - n // 2, M)``.
    test_y : array of bool
        True where a row of `test_x` is an anomaly.
    """

    train_x: Tensor
    test_x: Tensor
    test_y: NDArray[np.bool_]


def load(name: str, *, columns: int = 121, seed: int = 0) -> Anomalies:
    """Load one of the four anomaly sets; its file is fetched if it is nowhere here.

    ============== ======= ======== ========= ====
    name              rows  columns anomalies  rho
    ============== ======= ======== ========= ====
    ``thyroid``      3,772        6        93 .025
    ``arrhythmia``     452      274        66 .15
    ``kddcup``     494,021      121    97,278 .20
    ``kddcup-rev`` 121,597      121    24,319 .20
    ============== ======= ======== ========= ====

    Parameters
    ----------
    name : str
        Which one. See `read_kddcup` for what is normal in KDDCup, `reverse` for KDDCup-rev.
    columns : {121, 120, 118}
        How KDDCup's categories become numbers, see `read_kddcup`; the other sets have but one form.
    seed : int
        Which attacks KDDCup-rev keeps; the other sets keep all rows.

    Raises
    ------
    InputError
        If the name or the number of columns is unknown, or the file is not there, damaged or another one.
    """
    if name not in RHO:
        raise InputError(f"Expected one of {', '.join(RHO)}; got {name!r}. There are no other anomaly sets.")
    if name in MAT_COLUMNS:
        return read_mat(locate(name), columns=MAT_COLUMNS[name], rho=RHO[name])
    data = read_kddcup(locate("kddcup"), columns=columns)
    return reverse(data, seed) if name == "kddcup-rev" else data


def split(data: Anomalies, seed: int) -> Split:
    """Split a set into random halves and drop the anomalies of the training half, as section 5.3 does.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from radogaga.datasets.anomaly import Anomalies, split
    >>> data = Anomalies(torch.rand(10, 3), np.arange(10) < 2, ["a", "b", "c"], rho=0.2)
    >>> halves = split(data, seed=0)
    >>> halves.test_x.shape, 3 <= len(halves.train_x) <= 5
    (torch.Size([5, 3]), True)
    """
    order = np.random.default_rng([seed, HALVES]).permutation(len(data.y))
    train, test = np.split(order, [len(order) // 2])
    train = train[~data.y[train]]
    return Split(data.x[torch.from_numpy(train)], data.x[torch.from_numpy(test)], data.y[test])


def reverse(data: Anomalies, seed: int) -> Anomalies:
    """Make KDDCup-rev of KDDCup: all normal traffic, and attacks, now the anomalies, for a quarter of that, at random.

    Raises
    ------
    InputError
        If there are fewer attacks than that.
    """
    attacks, wanted = np.flatnonzero(~data.y), int(data.y.sum()) // 4
    if len(attacks) < wanted:
        raise InputError(
            f"Expected at least {wanted} attacks, a quarter of the normal rows; got {len(attacks)}. "
            "Pass the set that load('kddcup') gives."
        )
    keep = data.y.copy()
    keep[np.random.default_rng([seed, SAMPLING]).choice(attacks, wanted, replace=False)] = True
    return Anomalies(data.x[torch.from_numpy(keep)], ~data.y[keep], data.columns, RHO["kddcup-rev"])


def read_mat(path: str | Path, *, columns: int, rho: float) -> Anomalies:
    """Read a file of the ODDS collection: rows ``X``, and ``y``, 1 where a row is an anomaly.

    The collection does not name the columns, so they are called ``x0``, ``x1``, ...

    Raises
    ------
    InputError
        If the file is not there, is damaged or holds something else.
    """
    if not Path(path).is_file():
        raise InputError(f"Expected a .mat file at {path}; there is no such file. Check the path.")
    try:
        content = loadmat(path, variable_names=["X", "y"])
        x, y = content["X"], np.ravel(content["y"])
    except Exception as error:  # scipy lets a damaged file raise nearly anything
        raise InputError(
            f"Expected a .mat file with X and y at {path}; it is damaged or another file ({_first_line(error)}). "
            "Fetch it again."
        ) from None
    rows = check_rows(x, columns=columns, name=f"X of {path}").float()
    if len(y) != len(rows) or not np.isin(y, [0, 1]).all():
        raise InputError(f"Expected y of {path} as {len(rows)} zeros and ones; got something else. Fetch it again.")
    return Anomalies(rows, y == 1, [f"x{i}" for i in range(columns)], rho)


def read_kddcup(path: str | Path, *, columns: int = 121) -> Anomalies:
    """Read the raw ten percent of KDD Cup 1999, one-hot; its normal traffic, a fifth, is the anomaly class.

    Parameters
    ----------
    path : path
        ``kddcup.data_10_percent.gz``, headerless, 41 columns and the label.
    columns : {121, 120, 118}
        121: the seven categorical columns one-hot by the values found (``service=http``, ``land=0``), the other 34 as
        they are. 120: the same without ``is_host_login=0``, which is constant since the file has no other value.
        118: only `protocol_type`, `service` and `flag` one-hot. Columns come in the file's order; a constant
        `num_outbound_cmds` stays in all three.

    Raises
    ------
    InputError
        If the file is not there, is damaged or holds something else.
    """
    if columns not in ONE_HOT:
        raise InputError(f"Expected 121, 120 or 118 columns; got {columns}. See radogaga.datasets.anomaly.read_kddcup.")
    frame = _read_kdd_frame(Path(path), ONE_HOT[columns])
    labels = frame.pop("label")
    foreign = [label for label in labels.cat.categories if not str(label).endswith(".")]
    if foreign:
        raise _foreign(path, f"there is a label {foreign[0]!r}, without the dot that ends them all")
    x, names = _encode(frame.drop(columns=LEFT_OUT[columns]), ONE_HOT[columns])
    if len(names) != columns:
        raise _foreign(path, f"its categories give {len(names)} columns and not {columns}")
    return Anomalies(check_rows(x, name=str(path)), (labels == "normal.").to_numpy(), names, RHO["kddcup"])


def _read_kdd_frame(path: Path, one_hot: tuple[str, ...]) -> pd.DataFrame:
    dtypes = {c: "category" if c in (*one_hot, "label") else "float32" for c in KDD_COLUMNS}
    try:
        # With names given, pandas would make an index of columns that are too many.
        width = pd.read_csv(path, header=None, nrows=1).shape[1]
        if width == len(KDD_COLUMNS):
            return pd.read_csv(path, header=None, names=KDD_COLUMNS, dtype=dtypes, na_filter=False)
    except FileNotFoundError:
        raise InputError(f"Expected KDD Cup 1999 at {path}; there is no such file. Check the path.") from None
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _foreign(path, _first_line(error)) from None
    raise _foreign(path, f"it has {width} columns and not {len(KDD_COLUMNS)}")


def _encode(frame: pd.DataFrame, one_hot: tuple[str, ...]) -> tuple[NDArray[np.float32], list[str]]:
    """Return numbers and their names, each one-hot column's values in the order of the alphabet."""
    # Which order pandas finds the values in depends on how it cuts a file into pieces.
    values = {c: sorted(frame[c].cat.categories, key=str) if c in one_hot else [] for c in frame}
    # Filled in place: frames of indicators, joined, would need three times the memory.
    x = np.zeros((len(frame), sum(len(v) or 1 for v in values.values())), np.float32)
    every, names = np.arange(len(frame)), list[str]()
    for column, found in values.items():
        if column in one_hot:
            codes = frame[column].cat.set_categories(found).cat.codes.to_numpy(np.intp)
            x[every, len(names) + codes] = 1
            names += [f"{column}={value}" for value in found]
        else:
            x[:, len(names)] = frame[column]
            names.append(str(column))
    return x, names


def _foreign(path: str | Path, reason: str) -> InputError:
    return InputError(
        f"Expected the ten percent file of KDD Cup 1999 at {path}; it is damaged or another file ({reason}). "
        "Fetch it again: radogaga data fetch kddcup"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
