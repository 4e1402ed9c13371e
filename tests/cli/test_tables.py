"""fit, score, explain and inspect on the command line: what they write, and the one line that bad input ends in."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from mixed_table import mixed
from program_results import refused
from radogaga import RaDOGAGA, TabularModel
from radogaga.tabular.scoring import score_file


def people(rows: int, seed: int = 0) -> pd.DataFrame:
    frame = mixed(rows, seed)
    return frame.assign(id=[f"c{i}" for i in range(rows)])


def write(frame: pd.DataFrame, path):
    kinds = {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".parquet": lambda: frame.to_parquet(path),
        ".arrow": lambda: frame.to_feather(path),
    }
    kinds[path.suffix]()
    return path


def read(path) -> pd.DataFrame:
    kinds = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".arrow": pd.read_feather}
    return kinds[path.suffix](path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted") / "model"
    fitted = RaDOGAGA(max_steps=20, random_state=0).fit(mixed(400))
    replace(fitted.model_, id_column="id").save(folder)
    return folder


@pytest.fixture
def new(tmp_path):
    frame = people(200, seed=1)
    frame.loc[3, "city"], frame.loc[4, "income"] = "Atlantis", 1e300
    # Another order, and a column more.
    return write(frame[frame.columns[::-1]].assign(extra=1), tmp_path / "new.parquet")


# -- what they do ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_fit_score_and_read_again(program, tmp_path, suffix):
    data = write(people(300).assign(note="x"), tmp_path / f"train{suffix}")
    arguments = ("--out", tmp_path / "model", "--id", "id", "--drop", "note", "--max-steps", 20, "--quiet")
    result = program("fit", data, *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    fitted = RaDOGAGA.load(tmp_path / "model")
    assert list(fitted.feature_names_in_) == list(mixed(1))
    out = tmp_path / f"scores{suffix}"
    assert program("score", tmp_path / "model", data, "--out", out).returncode == 0
    scores = read(out)
    assert list(scores) == ["id", "score", "p_value", "alarm"]
    assert scores["id"].tolist() == people(300)["id"].tolist()
    assert np.allclose(scores["score"], fitted.score_samples(mixed(300)))
    assert np.allclose(scores["p_value"], fitted.p_value(mixed(300)))
    assert np.array_equal(scores["alarm"], fitted.predict(mixed(300)) < 0)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_fit_is_the_estimators_and_says_what_it_made(program, tmp_path):
    data = write(mixed(300).assign(always=1), tmp_path / "train.parquet")
    result = program("fit", data, "--out", tmp_path / "model", "--max-steps", 20, "--seed", 3, "--alarm-rate", 0.05)
    assert result.returncode == 0
    assert "300 rows, 7 columns (2 numbers, 2 whole numbers, 1 boolean, 1 category, 1 date)" in result.stdout
    assert "radogaga: note: 1 of 7 columns are constant" in result.stderr
    with pytest.warns(UserWarning, match="constant"):
        fitted = RaDOGAGA(alarm_rate=0.05, max_steps=20, random_state=3).fit(mixed(300).assign(always=1))
    assert np.array_equal(
        RaDOGAGA.load(tmp_path / "model").score_samples(mixed(9).assign(always=1)),
        fitted.score_samples(mixed(9).assign(always=1)),
    )


def test_a_fine_density_is_fitted_scored_and_named(program, tmp_path):
    data = write(people(200), tmp_path / "train.csv")
    options = ("--id", "id", "--alarm-rate", 0.2, "--max-steps", 0)
    assert program("fit", data, "--out", tmp_path / "model", *options).returncode == 0
    assert RaDOGAGA.load(tmp_path / "model").alarm_rate == 0.2
    assert program("score", tmp_path / "model", data, "--out", tmp_path / "scores.csv").returncode == 0
    assert np.isfinite(pd.read_csv(tmp_path / "scores.csv")["score"]).all()
    assert "fine" in program("inspect", tmp_path / "model").stdout


def test_columns_go_by_name_and_what_is_new_is_counted(program, tmp_path, model, new):
    result = program("score", model, new, "--out", tmp_path / "scores.csv", "--reasons", 2)
    assert result.returncode == 0
    assert "city: never seen in training in 1 rows" in result.stdout
    assert "not used: 'extra'" in result.stdout
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores.loc[4, "alarm"]
    assert scores.loc[4, "reason_1"].startswith("income = 1e+300, typically ")
    assert scores.loc[~scores["alarm"], "reason_1"].isna().all()


def test_scores_do_not_depend_on_how_a_file_is_cut(program, tmp_path, model):
    frame = people(500, seed=2)
    data = tmp_path / "new.parquet"
    pq.write_table(pa.Table.from_pandas(frame), data, row_group_size=70)
    with (
        pa.OSFile(str(tmp_path / "stream.arrow"), "wb") as file,
        ipc.new_stream(file, pa.Schema.from_pandas(frame)) as s,
    ):
        s.write_table(pa.Table.from_pandas(frame), max_chunksize=30)
    assert program("score", model, data, "--out", tmp_path / "a.parquet").returncode == 0
    score_file(TabularModel.load(model), tmp_path / "stream.arrow", tmp_path / "b.parquet", max_rows=11)
    a, b = pd.read_parquet(tmp_path / "a.parquet"), pd.read_parquet(tmp_path / "b.parquet")
    assert a["id"].equals(b["id"])
    assert np.allclose(a["score"], b["score"], rtol=1e-12)


def test_explain_shows_a_row_and_the_lowest_ones(program, tmp_path, model, new):
    result = program("explain", model, new, "--row", 3)
    assert result.returncode == 0
    assert "Row 3 (c3): score" in result.stdout
    assert "Atlantis (new)" in result.stdout
    assert program("explain", model, new, "--top", 2, "--out", tmp_path / "why.json", "--quiet").stdout == ""
    lowest, second = json.loads((tmp_path / "why.json").read_text())
    assert (lowest["row"], lowest["id"], lowest["columns"][0]["column"]) == (4, "c4", "income")
    assert lowest["score"] < second["score"]
    total = sum(column["contribution"] for column in lowest["columns"])
    assert total == pytest.approx(lowest["score"] - lowest["typical_score"])


def test_inspect_shows_a_model_in_the_terminal_and_as_a_page(program, tmp_path, model):
    result = program("inspect", model, "--html", tmp_path / "model.html")
    assert result.returncode == 0
    assert all(word in result.stdout for word in ("400 rows", "4 categories: Rome, Oslo, Lima", "isometry", "spectrum"))
    page = (tmp_path / "model.html").read_text()
    assert page.count("data:image/png;base64") == 1
    assert "income" in page


def test_a_model_of_an_array_scores_files_of_as_many_columns(program, tmp_path):
    x = np.random.RandomState(0).normal(size=(100, 2))
    RaDOGAGA(max_steps=0, random_state=0).fit(x).save(tmp_path / "model")
    data = write(pd.DataFrame(x, columns=["a", "b"]), tmp_path / "new.csv")
    assert program("score", tmp_path / "model", data, "--out", tmp_path / "scores.csv", "--reasons", 1).returncode == 0
    assert program("explain", tmp_path / "model", data).returncode == 0
    wide = write(pd.DataFrame(x, columns=["a", "b"]).assign(c=1), tmp_path / "wide.csv")
    assert refused(
        program("score", tmp_path / "model", wide, "--out", tmp_path / "s.csv"), "Expected 2 columns", "got 3"
    )


# -- bad input ------------------------------------------------------------------------------------------------------

BAD_FILES = {
    "empty.csv": (b"", "Empty CSV file"),
    "header.csv": (b"id,age,income,children,member,city,since\n", "0 rows"),
    "ragged.csv": (b"a,b\n1,2\n1,2,3\n", "cannot be read"),
    "binary.csv": (bytes(range(256)), "cannot be read"),
    "broken.parquet": (b"PAR1 and nothing more", "cannot be read"),
    "empty.parquet": (b"", "cannot be read"),
    "broken.arrow": (b"ARROW1", "cannot be read"),
    "table.xlsx": (b"", ".tsv, .parquet"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_tables_are_refused(program, tmp_path, model, name):
    content, said = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    assert refused(program("fit", tmp_path / name, "--out", tmp_path / "new"), said, name)
    assert refused(program("score", model, tmp_path / name, "--out", tmp_path / "s.csv"), said, name)
    assert refused(program("explain", model, tmp_path / name), said, name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_columns_of_one_name_are_refused_or_dropped(program, tmp_path, model):
    frame = people(60)
    data = tmp_path / "twice.csv"
    pd.concat([frame, frame[["age"]]], axis=1).assign(note=1).to_csv(data, index=False)
    assert refused(program("fit", data, "--out", tmp_path / "new"), "two columns 'age'", "twice.csv")
    assert refused(program("score", model, data, "--out", tmp_path / "s.csv"), "two columns 'age'", "twice.csv")
    assert program("fit", data, "--out", tmp_path / "new", "--drop", "age", "--max-steps", 0).returncode == 0


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow"])
def test_scores_replace_scores_and_nothing_else(program, tmp_path, model, new, suffix):
    out = tmp_path / f"mine{suffix}"
    score = ("score", model, new, "--out", out, "--quiet")
    write(people(3), out)
    before = out.read_bytes()
    assert refused(program(*score), out.name, "--force")
    assert out.read_bytes() == before
    assert program(*score, "--force").returncode == 0
    assert program(*score, "--reasons", 2).returncode == 0
    assert program(*score).returncode == 0


def test_explanations_and_pages_replace_their_like_and_nothing_else(program, tmp_path, model, new):
    for command in (
        ("explain", model, new, "--quiet", "--out", tmp_path / "a.json"),
        ("inspect", model, "--html", tmp_path / "a.html"),
    ):
        for mine in ("[1, 2]", "{", "<html></html>"):
            command[-1].write_text(mine)
            assert refused(program(*command), command[-1].name, "--force")
            assert command[-1].read_text() == mine
        assert program(*command, "--force").returncode == 0
        assert program(*command).returncode == 0


def test_an_identifier_may_have_any_columns_name(program, tmp_path, model):
    frame = people(150).rename(columns={"id": "score"})
    data = write(frame.assign(alarm="a", reason_1="b", p_value="c", row="d"), tmp_path / "new.csv")
    for name in ("score", "alarm", "reason_1", "p_value"):
        out = tmp_path / f"{name}.parquet"
        result = program("score", model, data, "--out", out, "--id", name, "--reasons", 1)
        assert result.returncode == 0
        assert list(read(out)) == ["id", "score", "p_value", "alarm", "reason_1"]
    assert program("score", model, data, "--out", tmp_path / "row.csv", "--id", "row").returncode == 0
    assert program("score", model, data, "--out", tmp_path / "city.csv", "--id", "city").returncode == 0
    assert read(tmp_path / "city.csv")["city"].fillna("").tolist() == frame["city"].fillna("").tolist()
    assert program("explain", model, data, "--id", "city", "--row", 1).returncode == 0


def test_places_that_cannot_hold_a_model_are_refused_before_training(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    fit = ("fit", tmp_path / "none.csv", "--out")  # training would need the file
    assert refused(program(*fit, "link"), "a link to nothing")
    assert refused(program(*fit, "."), "this program runs in it")
    assert refused(program(*fit, "/proc"), "Expected")
    assert refused(program(*fit, tmp_path / ("x" * 300)), "too long")


def test_a_full_disk_is_one_line(program, tmp_path, model, new, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    data = write(people(150), tmp_path / "train.csv")
    monkeypatch.setattr("radogaga._utils.storage.save_file", full)
    result = program("fit", data, "--out", tmp_path / "m", "--id", "id", "--max-steps", 0)
    assert result.returncode == 2
    assert "No space left" in result.stderr.splitlines()[-1]
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert refused(program("explain", model, new, "--out", tmp_path / "why.json"), "No space left")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.parquet", "train.csv"]


def spoilt(**columns):
    return lambda frame: frame.astype(object).assign(**columns)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda frame: frame.drop(columns=["age", "city"]), ["'age', 'city' are missing"]),
        (lambda frame: frame.rename(columns={"id": "name"}), ["'id'", "--id"]),
        (spoilt(income="much"), ["income", "much"]),
        (spoilt(income=float("inf")), ["inf", "row 0", "income"]),
        (spoilt(since="once"), ["since"]),
    ],
    ids=["missing", "no id", "text", "inf", "no date"],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_of_another_table_are_refused(program, tmp_path, model, spoil, words, suffix):
    frame = spoil(people(20))
    data = write(frame.convert_dtypes() if suffix == ".parquet" else frame, tmp_path / f"new{suffix}")
    assert refused(program("score", model, data, "--out", tmp_path / "scores.csv"), *words)
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


def test_paths_that_cannot_be_are_refused(program, tmp_path, model, new):
    fit = ("fit", write(people(30), tmp_path / "train.csv"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert refused(program("fit", tmp_path / "none.csv", "--out", tmp_path / "m"), "no such file")
    assert refused(program("fit", tmp_path / "mine", "--out", tmp_path / "m"), "there are none")
    assert refused(program(*fit, "--out", tmp_path / "mine"), "something else")
    assert refused(program(*fit, "--out", tmp_path / "train.csv" / "m"), "write")
    assert refused(program(*fit, "--out", tmp_path / "m", "--drop", "nothing"), "'nothing'", "'age', 'income'")
    assert refused(program(*fit, "--out", tmp_path / "m", "--alarm-rate", 2), "--alarm-rate")
    assert refused(program(*fit, "--out", tmp_path / "m", "--device", "abacus"), "abacus")
    score = ("score", model, new)
    assert refused(program(*score, "--out", tmp_path / "scores.txt"), "scores.txt")
    assert refused(program(*score, "--out", tmp_path / "mine"), "mine")
    assert refused(program(*score, "--out", tmp_path / "train.csv" / "s.csv"), "write")
    assert refused(program(*score, "--out", new), "--force")
    assert refused(program(*score, "--out", new, "--force"), "twice")
    assert refused(program("explain", model, new, "--row", 200), "0 to 199")
    assert refused(program("explain", model, new, "--row", 1, "--top", 1), "both")
    assert refused(program("explain", model, new, "--out", tmp_path / "why.txt"), ".json")


def test_folders_that_are_no_models_are_refused(program, tmp_path, new):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "empty").mkdir()
    fitted = RaDOGAGA(max_steps=0, random_state=0).fit(mixed(60))
    fitted.save(tmp_path / "cut")
    numbers = tmp_path / "cut" / "model.safetensors"
    numbers.write_bytes(numbers.read_bytes()[:100])
    fitted.save(tmp_path / "altered")
    (tmp_path / "altered" / "model.json").write_text('{"format": "radogaga 2"}')
    for name in ("file", "empty", "none", "cut", "altered"):
        assert refused(program("score", tmp_path / name, new, "--out", tmp_path / "s.csv"), name)
        assert refused(program("inspect", tmp_path / name), name)
