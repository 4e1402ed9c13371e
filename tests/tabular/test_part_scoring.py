"""Parts are scored once each: what is whole stays, what is bad is named, and a stopped run goes on."""

import errno
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from mixed_table import mixed
from radogaga import InputError, RaDOGAGA
from radogaga.errors import WriteError
from radogaga.tabular.files.parts import find_parts
from radogaga.tabular.part_scoring import score_parts


@pytest.fixture(scope="module")
def model():
    return RaDOGAGA(max_steps=5, random_state=0).fit(mixed(300)).model_


@pytest.fixture
def big(tmp_path):
    """Four parts of 50 rows, one in a folder of its own, with identifiers that go on from part to part."""
    rows = mixed(200, seed=1).assign(id=[f"c{i}" for i in range(200)])
    for i, name in enumerate(("0.parquet", "1.csv", "2.feather", "x/3.parquet")):
        place = tmp_path / "big" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        part = rows[50 * i : 50 * i + 50].reset_index(drop=True)
        {".csv": lambda p=place, r=part: r.to_csv(p, index=False)}.get(
            place.suffix, lambda p=place, r=part: (r.to_feather if p.suffix == ".feather" else r.to_parquet)(p)
        )()
    return tmp_path / "big"


OUTS = ["0.parquet", "1.csv.parquet", "2.feather.parquet", "x/3.parquet"]


def files(out):
    """Names and times of all files of scores: a file that is written anew has another time."""
    found = {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert found.pop("manifest.jsonl")
    return found


def scores(out):
    return pd.concat([pd.read_parquet(path) for path in sorted(out.rglob("*.parquet"))], ignore_index=True)


def test_parts_have_the_scores_of_their_rows(model, big, tmp_path):
    done = score_parts(model, find_parts(big), tmp_path / "out", id_column="id", reasons=1)
    assert (done.rows, done.bad, done.before) == (200, {}, 0)
    assert sorted(files(tmp_path / "out")) == OUTS
    found, rows = scores(tmp_path / "out"), mixed(200, seed=1)
    assert found["id"].tolist() == [f"c{i}" for i in range(200)]
    assert np.allclose(found["score"], model.score(rows), rtol=1e-9)
    assert done.alarms == found["alarm"].sum() == found["reason_1"].notna().sum() > 0


def test_a_finished_part_is_not_scored_again(model, big, tmp_path):
    out = tmp_path / "out"
    first = score_parts(model, find_parts(big), out)
    before = files(out)
    (out / "1.csv.parquet").unlink()  # lost: to be scored again
    mixed(9).to_parquet(big / "x" / "3.parquet")  # changed
    mixed(9).to_parquet(big / "4.parquet")  # new
    again = score_parts(model, find_parts(big), out)
    changed = {name for name, time in files(out).items() if before.get(name) != time}
    assert changed == {"1.csv.parquet", "x/3.parquet", "4.parquet"}
    assert (first.rows, again.rows, again.before) == (200, 168, 2)
    assert len(scores(out)) == 168


def test_other_scores_take_another_run(model, big, tmp_path):
    out = tmp_path / "out"
    other = model.with_threshold(model.calibration.threshold - 1)
    runs = [(model, {}), (model, {"reasons": 1}), (model, {"id_column": "id"}), (other, {}), (other, {"again": True})]
    for one, options in runs:
        assert score_parts(one, find_parts(big), out, **options).before == 0
    assert score_parts(other, find_parts(big), out).before == 4


def test_bad_parts_are_named_and_the_others_finished(model, big, tmp_path):
    table = big / "0.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    mixed(9).drop(columns="age").to_csv(big / "1.csv", index=False)
    done = score_parts(model, find_parts(big), tmp_path / "out", id_column="id")
    assert list(done.bad) == ["0.parquet", "1.csv"]
    assert "0.parquet" in done.bad["0.parquet"]
    assert "cannot be read" in done.bad["0.parquet"]
    assert done.rows == 100
    assert sorted(files(tmp_path / "out")) == OUTS[2:]


def test_a_part_that_is_damaged_in_its_middle_leaves_no_scores(model, tmp_path):
    (tmp_path / "big").mkdir()
    place = tmp_path / "big" / "0.parquet"
    table = pa.Table.from_pandas(mixed(3000))
    parquet.write_table(table, place, row_group_size=500, write_page_checksum=True, compression="none")
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 0xFF
    place.write_bytes(content)
    done = score_parts(model, find_parts(tmp_path / "big"), tmp_path / "out")
    assert "cannot be read" in done.bad["0.parquet"]
    assert files(tmp_path / "out") == {}


def test_a_part_without_rows_is_finished(model, tmp_path):
    (tmp_path / "big").mkdir()
    mixed(9)[:0].to_parquet(tmp_path / "big" / "0.parquet")
    done = score_parts(model, find_parts(tmp_path / "big"), tmp_path / "out")
    assert (done.rows, done.bad) == (0, {})
    assert list(scores(tmp_path / "out")) == ["row", "score", "p_value", "alarm"]


def test_on_a_full_disk_what_is_whole_stays_and_the_run_goes_on_later(model, big, tmp_path, monkeypatch):
    out, left = tmp_path / "out", 2
    writer = parquet.ParquetWriter.write_batch

    def write(self, batch, *arguments):
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left -= 1
        return writer(self, batch, *arguments)

    monkeypatch.setattr(parquet.ParquetWriter, "write_batch", write)
    with pytest.raises(WriteError, match="No space left"):
        score_parts(model, find_parts(big), out, id_column="id")
    assert sorted(files(out)) == OUTS[:2]
    monkeypatch.undo()
    before = files(out)
    done = score_parts(model, find_parts(big), out, id_column="id")
    assert done.before == 2
    assert before.items() <= files(out).items()
    assert scores(out)["id"].tolist() == [f"c{i}" for i in range(200)]


@pytest.fixture
def small_disk(tmp_path):
    """A folder that holds three pages of 4 KiB, and what gives it more."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs to mount a file system in memory, as root on Linux may")
    yield place, lambda: subprocess.run(["mount", "-o", "remount,size=1m", place], check=True)
    subprocess.run(["umount", place], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
def test_a_disk_that_is_really_full(model, big, small_disk):
    place, enlarge = small_disk
    with pytest.raises(WriteError, match="No space left"):
        score_parts(model, find_parts(big), place / "out", id_column="id")
    before = files(place / "out")
    assert sorted(before) == OUTS[: len(before)]
    enlarge()
    done = score_parts(model, find_parts(big), place / "out", id_column="id")
    assert 1 <= done.before <= len(before) < 4
    assert scores(place / "out")["id"].tolist() == [f"c{i}" for i in range(200)]


@pytest.mark.parametrize("cut", [1, 30])
def test_a_manifest_whose_last_line_was_cut_off_is_read_and_added_to(model, big, tmp_path, cut):
    out = tmp_path / "out"
    score_parts(model, find_parts(big), out)
    manifest = out / "manifest.jsonl"
    whole = manifest.read_text()
    manifest.write_text(whole[:-cut])
    assert score_parts(model, find_parts(big), out).before == 3
    assert [json.loads(line) for line in manifest.read_text().splitlines()] == list(map(json.loads, whole.splitlines()))


def test_scores_of_other_parts_are_counted(model, big, tmp_path):
    score_parts(model, find_parts(f"{big}/*"), tmp_path / "out")
    assert score_parts(model, find_parts(f"{big}/0.*"), tmp_path / "out").others == 2


def test_places_that_cannot_hold_scores_are_refused(model, big, tmp_path):
    parts = find_parts(big)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="something else"):
        score_parts(model, parts, tmp_path / "mine")
    with pytest.raises(InputError, match="some parts are in"):
        score_parts(model, parts, big)
    with pytest.raises(InputError, match="Expected to write"):
        score_parts(model, parts, big / "1.csv" / "out")
    mixed(9).to_csv(big / "0", index=False)
    (big / "0.parquet").rename(big / "0.csv")
    (big / "0").rename(big / "0.csv.parquet")
    with pytest.raises(InputError, match=r"two have their scores in 0.csv.parquet"):
        score_parts(model, find_parts(big), tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.jsonl").write_text("[]\n")
    with pytest.raises(InputError, match="Expected a manifest"):
        score_parts(model, parts, tmp_path / "out")
