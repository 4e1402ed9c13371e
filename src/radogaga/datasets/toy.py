"""The toy distribution of section 5.2 and two curved versions of it, drawn here or read from the authors' file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from radogaga._utils.checks import check_no_constant_columns, check_rows
from radogaga.errors import InputError

FEATURES = 16
MEANS = torch.tensor([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0], [10.0, 10.0, 10.0]], dtype=torch.float64)
VARIANCES = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
ROLL_RADIUS = 3.5
WARP = 1.2


@dataclass(frozen=True)
class Toy:
    """Rows with a known density.

    Attributes
    ----------
    x : Tensor
        Rows, ``(n, 16)``, float64.
    log_density : Tensor
        True log density of each row on its 3-D manifold, in nats per unit of the rows' own length, ``(n,)``.
    component : Tensor
        Component of the source mixture that each row came from, ``(n,)``.
    """

    x: Tensor
    log_density: Tensor
    component: Tensor


def flat(rows: int = 10_000, seed: int = 0) -> Toy:
    """Draw the paper's toy data: a 3-D mixture in R^16 by a linear isometry, x = s W, W W' = I.

    Weights 1/3, means (0, 0, 0), (10, 0, 0), (10, 10, 10), covariances I, 2 I, 4 I. Source: section 5.2 of the paper.

    Examples
    --------
    >>> from radogaga.datasets.toy import flat
    >>> flat(rows=300).x.shape
    torch.Size([300, 16])
    """
    generator = torch.Generator().manual_seed(seed)
    source, component = _draw_source(rows, generator)
    return Toy(source @ _orthonormal(3, generator).T, source_log_prob(source), component)


def rolled(rows: int = 10_000, seed: int = 0) -> Toy:
    """Draw curved data that is isometric to the flat source: each coordinate rolled on a circle, rotated into R^16.

    s_i becomes 3.5 (cos(s_i / 3.5), sin(s_i / 3.5)). Lengths along the manifold are kept, so the true density stays
    the source's, while no linear map can follow it.
    """
    generator = torch.Generator().manual_seed(seed)
    source, component = _draw_source(rows, generator)
    angle = source / ROLL_RADIUS
    circles = ROLL_RADIUS * torch.cat([angle.cos(), angle.sin()], 1)
    return Toy(circles @ _orthonormal(6, generator).T, source_log_prob(source), component)


def warped(rows: int = 10_000, seed: int = 0) -> Toy:
    """Draw intrinsically curved data, x = Q (u, c u1u2, c u2u3, c u1u3, c sin 2u) with u = (s - 5) / 5.

    With c = 1.2. No flat space is isometric to it; the true density is the source's over the map's volume factor.
    """
    generator = torch.Generator().manual_seed(seed)
    source, component = _draw_source(rows, generator)
    jacobian = torch.func.vmap(torch.func.jacfwd(_warp))(source)
    log_volume = 0.5 * torch.linalg.slogdet(jacobian.mT @ jacobian).logabsdet
    x = _warp(source) @ _orthonormal(9, generator).T
    return Toy(x, source_log_prob(source) - log_volume, component)


def source_log_prob(source: Tensor) -> Tensor:
    """Return the source mixture's log density at source points, ``(n, 3) -> (n,)``, in nats."""
    squares = (source[:, None] - MEANS).square().sum(-1)
    log_prob = -0.5 * squares / VARIANCES - 1.5 * (2 * math.pi * VARIANCES).log()
    return log_prob.logsumexp(1) - math.log(len(MEANS))


def toy_path(path: str | Path) -> Path:
    """Return the toy file that a path means, the file itself or a data folder with ``toy/toy.csv`` in it.

    Raises
    ------
    InputError
        If there is no such file.
    """
    path = Path(path)
    file = path / "toy" / "toy.csv" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"Expected the toy data at {file}; there is no such file. Check --data.")
    return file


def read_toy(path: str | Path) -> Toy:
    """Read the authors' ``toy.csv``: 16 features, the true density, the component; no header.

    Raises
    ------
    InputError
        If the file is not there or is not such a table.
    """
    path = toy_path(path)
    try:
        table = pd.read_csv(path, header=None)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"Expected a CSV file of numbers at {path}; {reason} Check --data.") from None
    if table.shape[1] != FEATURES + 2:
        raise InputError(
            f"Expected {FEATURES + 2} columns in {path} (16 features, density, component; no header); "
            f"got {table.shape[1]}. Check --data."
        )
    text = [c for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
    if text:
        row = int(pd.to_numeric(table[text[0]], errors="coerce").isna().to_numpy().argmax())
        raise InputError(
            f"Expected numbers in {path}; got {table.at[row, text[0]]!r} in row {row}, column {text[0]}. "
            "Remove headers and text."
        )
    rows = check_rows(table.to_numpy(np.float64), min_rows=100, name=str(path))
    x, density, component = rows[:, :FEATURES], rows[:, FEATURES], rows[:, FEATURES + 1]
    check_no_constant_columns(x, str(path))
    if (density <= 0).any():
        row = int((density <= 0).nonzero()[0])
        raise InputError(f"Expected positive densities in column 16 of {path}; got {density[row].item()} in row {row}.")
    return Toy(x, density.log(), component.long())


def _draw_source(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    component = torch.arange(rows) * len(MEANS) // rows
    noise = torch.randn(rows, 3, dtype=torch.float64, generator=generator)
    return MEANS[component] + VARIANCES[component, None].sqrt() * noise, component


def _orthonormal(columns: int, generator: torch.Generator) -> Tensor:
    square = torch.randn(FEATURES, columns, dtype=torch.float64, generator=generator)
    return torch.linalg.qr(square).Q


def _warp(source: Tensor) -> Tensor:
    u = (source - 5) / 5
    products = u * u.roll(-1, -1)
    return torch.cat([u, WARP * products, WARP * (2 * u).sin()], -1)
