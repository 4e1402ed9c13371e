"""Tables of many files under a fitted model: each part is scored to one of its own, once, wherever that is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from radogaga._utils.storage import fingerprint
from radogaga.errors import InputError, WriteError
from radogaga.tabular.files.parts import Map, Part
from radogaga.tabular.manifest import Manifest
from radogaga.tabular.model import TabularModel
from radogaga.tabular.scoring import score_file


@dataclass(frozen=True)
class ScoredPart:
    """What came of one part.

    Attributes
    ----------
    part : str
        Its name.
    out : str
        The name of the file of its scores.
    rows, alarms : int
        How many there were.
    drift : str, optional
        How the rows differ from the training rows, where they do.
    novel, outside : dict of str to int
        In how many rows a column held what no training row did, or what lay outside their range.
    left_out : list of str
        Columns that the model does not know.
    bad : str, optional
        Why it could not be scored.
    stopped : str, optional
        Why nothing could be written, as on a full disk.
    """

    part: str
    out: str
    rows: int = 0
    alarms: int = 0
    drift: str | None = None
    novel: dict[str, int] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    bad: str | None = None
    stopped: str | None = None


@dataclass(frozen=True)
class PartScorer:
    """Scores parts to files of a folder: what a worker does.

    Attributes
    ----------
    model : TabularModel
        A fitted model.
    out : Path
        The folder.
    id_column : str, optional
        The column of identifiers.
    reasons : int
        For how many columns to say how they lower an alarm's score.
    device : str
        Where to compute: the worker may have a device that the process which sent it there has not.
    """

    model: TabularModel
    out: Path
    id_column: str | None = None
    reasons: int = 0
    device: str = "cpu"

    def __call__(self, part: Part) -> ScoredPart:
        """Return what came of a part; its scores are in their place, whole, or there are none."""
        out = scores_name(part)
        if self.model.density is not None:
            self.model.density.to(self.device)
        try:
            with part.local() as path:
                done = score_file(
                    self.model,
                    path,
                    self.out / out,
                    id_column=self.id_column,
                    reasons=self.reasons,
                    may_be_empty=True,
                )
        except WriteError as error:
            return ScoredPart(part.name, out, stopped=str(error))
        except InputError as error:
            return ScoredPart(part.name, out, bad=str(error))
        drift = str(done.drift) if done.drift is not None and done.drift.found else None
        counts = done.rows, done.alarms, drift, done.novel, done.outside, done.left_out
        return ScoredPart(part.name, out, *counts)


@dataclass(frozen=True)
class ScoredParts:
    """What came of all parts.

    Attributes
    ----------
    parts : tuple of ScoredPart
        Those that are scored, in their order.
    bad : dict of str to str
        Parts that could not be scored, and why.
    before : int
        How many of the parts an earlier run had scored.
    others : int
        Scores in the folder of parts that are not among these.
    """

    parts: tuple[ScoredPart, ...]
    bad: Mapping[str, str]
    before: int
    others: int

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def alarms(self) -> int:
        """Alarms of all parts."""
        return sum(part.alarms for part in self.parts)

    @property
    def drifted(self) -> dict[str, str]:
        """Parts whose rows differ from the training rows, and how."""
        return {part.part: part.drift for part in self.parts if part.drift is not None}

    @property
    def novel(self) -> dict[str, int]:
        """In how many rows a column held what no training row did."""
        return dict(sum((Counter(part.novel) for part in self.parts), Counter()))

    @property
    def outside(self) -> dict[str, int]:
        """In how many rows a column lay outside the training rows' range."""
        return dict(sum((Counter(part.outside) for part in self.parts), Counter()))

    @property
    def left_out(self) -> list[str]:
        """Columns that the model does not know."""
        return list(dict.fromkeys(name for part in self.parts for name in part.left_out))


def score_parts(
    model: TabularModel,
    parts: Sequence[Part],
    out: Path,
    *,
    id_column: str | None = None,
    reasons: int = 0,
    device: str = "cpu",
    again: bool = False,
    map_parts: Map = map,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> ScoredParts:
    """Score each part to a Parquet file of the same name in a folder, but for those that are scored already.

    Scores are renamed into their place when they are whole, and then written down in ``manifest.jsonl``. A part that
    has another size or time of change since is scored again, as are all under another model or other options.

    Parameters
    ----------
    model : TabularModel
        A fitted model.
    parts : sequence of Part
        What `find_parts` found.
    out : path
        The folder: a new one, or one of an earlier run.
    id_column : str, optional
        The column of identifiers; by default rows of each part are numbered from 0.
    reasons : int
        For how many columns to say how they lower an alarm's score.
    device : str
        Where to compute.
    again : bool
        Whether to score all parts, whatever an earlier run has done.
    map_parts : callable
        Calls a function for each part, as the built-in `map` does, here or on a cluster, in any order.
    progress : callable
        Called with the number of parts done, and of all parts.

    Raises
    ------
    InputError
        If the folder holds something else, or two parts would have one file.
    WriteError
        If scores cannot be written, as on a full disk: parts that are whole stay, and the same call goes on from there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np, pandas as pd
    >>> from radogaga import RaDOGAGA
    >>> from radogaga.tabular.files.parts import find_parts
    >>> from radogaga.tabular.part_scoring import score_parts
    >>> frame = pd.DataFrame(np.random.RandomState(0).normal(size=(100, 2)), columns=["a", "b"])
    >>> model = RaDOGAGA(max_steps=0, random_state=0).fit(frame).model_
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         frame.to_parquet(f"{folder}/{i}.parquet")
    ...     parts, out = find_parts(f"{folder}/*.parquet"), Path(folder) / "scores"
    ...     done, again = score_parts(model, parts, out), score_parts(model, parts, out)
    ...     done.rows, done.before, again.before, sorted(path.name for path in out.iterdir())
    (300, 0, 3, ['0.parquet', '1.parquet', '2.parquet', 'manifest.jsonl'])
    """
    _check_names(parts, out)
    settings = {"model": fingerprint(model), "id": id_column or model.id_column, "reasons": reasons}
    manifest = Manifest.open(out, settings)
    found = {} if again else {part.name: _finished(manifest, part) for part in parts}
    done = {name: scored for name, scored in found.items() if scored is not None}
    before, bad, left = len(done), {}, [part for part in parts if part.name not in done]
    progress(before, len(parts))
    by_name = {part.name: part for part in left}
    for scored in map_parts(PartScorer(model, out.absolute(), id_column, reasons, device), left):
        if scored.stopped is not None:
            raise WriteError(scored.stopped)
        if scored.bad is None:
            done[scored.part] = scored
            manifest.add(by_name[scored.part], asdict(scored))
        else:
            bad[scored.part] = scored.bad
        progress(len(done) + len(bad), len(parts))
    ordered = tuple(done[part.name] for part in parts if part.name in done)
    return ScoredParts(ordered, bad, before, manifest.count_others(parts))


def scores_name(part: Part) -> str:
    """Return the name of the file of a part's scores."""
    return part.name if part.name.lower().endswith(".parquet") else f"{part.name}.parquet"


def _finished(manifest: Manifest, part: Part) -> ScoredPart | None:
    entry = manifest.finished(part)
    return None if entry is None else ScoredPart(**entry)


def _check_names(parts: Sequence[Part], out: Path) -> None:
    names = Counter(scores_name(part) for part in parts)
    if twice := [name for name, count in names.items() if count > 1]:
        raise InputError(f"Expected parts of different names; two have their scores in {twice[0]}. Rename one.")
    if any(Path(part.path).is_relative_to(out.absolute()) for part in parts):
        raise InputError(f"Expected scores to be written beside their parts; some parts are in {out}. Pass another.")
