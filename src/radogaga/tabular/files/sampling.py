"""Uniform samples of the rows of many files, by one pass over them: samples of parts add up to that of all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from radogaga._utils.checks import list_names
from radogaga.errors import InputError
from radogaga.tabular.files.parts import Map, Part
from radogaga.tabular.files.table_files import columns_to_learn, is_text, open_source, read_table, to_frame

Group = Sequence[tuple[int, Part]]
"""Parts with their numbers."""


@dataclass(frozen=True)
class RowSample:
    """A uniform sample without replacement: of all rows those with the smallest random keys.

    A row's key depends on the seed, on the number of its part and on its place there. So samples add up, in any order
    and on any number of machines, to the sample that one pass over all rows gives.

    Attributes
    ----------
    size : int
        Rows at most.
    rows : pyarrow.Table
        The rows, in the order of their places.
    keys : ndarray
        Their keys, ``(n,)`` in [0, 1).
    places : ndarray
        Number of the part and row in it, both counted from 0, ``(n, 2)``.
    seen : int
        Rows that the sample is of.
    bad : dict of str to str
        Parts that could not be read, and why.
    """

    size: int
    rows: pa.Table
    keys: NDArray[np.float64]
    places: NDArray[np.int64]
    seen: int
    bad: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_nothing(cls, schema: pa.Schema, size: int) -> RowSample:
        """Return the sample of no rows."""
        return cls(size, schema.empty_table(), np.zeros(0), np.zeros((0, 2), np.int64), 0)

    @classmethod
    def merged(cls, samples: Sequence[RowSample]) -> RowSample:
        """Return the sample of all rows that some samples of one size are of."""
        size, keys = samples[0].size, np.concatenate([sample.keys for sample in samples])
        places = np.concatenate([sample.places for sample in samples])
        chosen = np.argpartition(keys, size)[:size] if len(keys) > size else np.arange(len(keys))
        chosen = chosen[np.lexsort(places[chosen].T[::-1])]
        rows = pa.concat_tables([sample.rows for sample in samples], promote_options="permissive")
        bad = {name: why for sample in samples for name, why in sample.bad.items()}
        seen = sum(sample.seen for sample in samples)
        return cls(size, rows.unify_dictionaries().take(chosen), keys[chosen], places[chosen], seen, bad)

    def frame(self) -> pd.DataFrame:
        """Return the rows as a data frame."""
        return to_frame(self.rows, Path("the sample"))


@dataclass(frozen=True)
class Sampler:
    """Draws samples of parts that have the columns of one of them.

    Attributes
    ----------
    schema : pyarrow.Schema
        Names and types of the columns to learn from.
    size, seed : int
        Rows of a sample at most, and what draws them.
    drop : sequence of str
        Columns to leave out.
    """

    schema: pa.Schema
    size: int
    seed: int
    drop: Sequence[str] = ()

    @classmethod
    def of_first(cls, parts: Sequence[Part], size: int, *, seed: int = 0, drop: Sequence[str] = ()) -> Sampler:
        """Return a sampler of the columns of the first part that can be read."""
        reason = InputError("Expected parts with rows; got none. Check the path.")
        for part in parts:
            try:
                with part.local() as path:
                    for table in _tables(path, drop):
                        return cls(table.schema, size, seed, drop)
            except InputError as error:
                reason = error
        raise reason

    def __call__(self, group: Group) -> RowSample:
        """Return the sample of some parts; those that cannot be read are named in it."""
        return RowSample.merged([self._of_part(number, part) for number, part in group])

    def _of_part(self, number: int, part: Part) -> RowSample:
        nothing = RowSample.of_nothing(self.schema, self.size)
        try:
            with part.local() as path, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the first part has told them
                return self._of_file(number, path, nothing)
        except InputError as error:
            return replace(nothing, bad={part.name: str(error)})

    def _of_file(self, number: int, path: Path, sample: RowSample) -> RowSample:
        random, waiting, seen, highest = np.random.default_rng([self.seed, number]), [sample], 0, 1.0
        for table in _tables(path, self.drop):
            keys = random.random(len(table))
            few = np.flatnonzero(keys < highest)
            places = np.stack([np.full(len(few), number), seen + few], 1)
            rows = self._checked(table, path).take(few)
            waiting.append(RowSample(self.size, rows, keys[few], places, len(table)))
            seen += len(table)
            if sum(len(one.keys) for one in waiting) > 2 * self.size:
                waiting = [RowSample.merged(waiting)]
                highest = float(waiting[0].keys.max())
        return RowSample.merged(waiting)

    def _checked(self, table: pa.Table, path: Path) -> pa.Table:
        """Return the columns to learn from, or raise `InputError` if the part has others."""
        if missing := [name for name in self.schema.names if name not in table.column_names]:
            raise InputError(f"Expected the columns of the first part in {path}; {list_names(missing)} missing.")
        table = table.select(self.schema.names)
        for wanted, found in zip(self.schema, table.schema, strict=True):
            try:
                pa.unify_schemas([pa.schema([wanted]), pa.schema([found])], promote_options="permissive")
            except pa.ArrowException:
                raise InputError(
                    f"Expected {wanted.type} in column {wanted.name!r} of {path}, as in the first part; "
                    f"got {found.type}. Convert it."
                ) from None
        return table


def sample_rows(
    parts: Sequence[Part],
    size: int,
    *,
    seed: int = 0,
    drop: Sequence[str] = (),
    map_parts: Map = map,
    groups: int = 256,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> RowSample:
    """Return a uniform sample without replacement of the rows of many files, in one pass over them.

    Parameters
    ----------
    parts : sequence of Part
        What `find_parts` found.
    size : int
        Rows at most; of fewer rows all are taken.
    seed : int
        Draws the rows: the same seed gives the same rows, wherever they are read.
    drop : sequence of str
        Columns to leave out.
    map_parts : callable
        Calls a function for each group of parts, as the built-in `map` does.
    groups : int
        Groups at most that parts are put in, each the work of one call.
    progress : callable
        Called with the number of parts read, and of all parts.

    Raises
    ------
    InputError
        If no part can be read, or there are no rows. Parts that cannot be read are named in the sample.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from radogaga.tabular.files.parts import find_parts
    >>> from radogaga.tabular.files.sampling import sample_rows
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         pd.DataFrame({"a": range(100 * i, 100 * i + 100)}).to_parquet(f"{folder}/{i}.parquet")
    ...     sample = sample_rows(find_parts(folder), 5)
    >>> sample.seen, len(sample.frame()), sample.frame()["a"].is_monotonic_increasing
    (300, 5, True)
    """
    if size < 1:
        raise InputError(f"Expected a sample of at least 1 row; got {size}. Pass more.")
    sampler = Sampler.of_first(parts, size, seed=seed, drop=drop)
    count = min(groups, len(parts))
    numbered = list(enumerate(parts))
    split = [numbered[i::count] for i in range(count)]
    total, done = RowSample.of_nothing(sampler.schema, size), 0
    for sample in map_parts(sampler, split):
        total, done = RowSample.merged([total, sample]), done + 1
        progress(done * len(parts) // count, len(parts))
    if not total.seen:
        raise InputError(next(iter(total.bad.values()), f"Expected rows in {parts[0].path}; got none. Pass another."))
    return total


def _tables(path: Path, drop: Sequence[str]) -> Iterator[pa.Table]:
    """Yield the columns to learn from, of text at once: all rows together tell its types."""
    if is_text(path):
        yield read_table(path, drop=drop)
        return
    source = open_source(path)
    names = columns_to_learn(source.names, drop, path)
    yield from (pa.Table.from_batches([batch]) for batch in source.batches(names))
