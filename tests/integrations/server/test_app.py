"""What a service answers: the scores of the command line to the bit, in any format, and errors that say what to do."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv, ipc, parquet

from radogaga import TabularModel
from radogaga.tabular.scoring import score_file

CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
ARROW, STREAM = "application/vnd.apache.arrow.file", "application/vnd.apache.arrow.stream"
JSON = "application/json"


def as_body(frame: pd.DataFrame, media_type: str) -> bytes:
    if media_type == CSV:
        return frame.to_csv(index=False).encode()
    if media_type == JSON:
        return json.dumps(as_records(frame)).encode()
    table, sink = pa.Table.from_pandas(frame, preserve_index=False), io.BytesIO()
    if media_type == PARQUET:
        parquet.write_table(table, sink)
    else:
        with (ipc.new_file if media_type == ARROW else ipc.new_stream)(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def as_records(frame: pd.DataFrame) -> list[dict]:
    return json.loads(frame.to_json(orient="records", date_format="iso", double_precision=15))


def as_table(response) -> pd.DataFrame:
    assert response.status_code == 200, response.text
    media_type = response.headers["content-type"]
    if media_type == JSON:
        return pd.DataFrame(response.json()["rows"])
    content = io.BytesIO(response.content)
    if media_type == CSV:
        return csv.read_csv(content).to_pandas()
    if media_type == PARQUET:
        return pd.read_parquet(content)
    return (ipc.open_file if media_type == ARROW else ipc.open_stream)(content).read_pandas()


def post(client, path, body, media_type=JSON, **headers):
    return client.post(path, content=body, headers={"content-type": media_type, **headers})


@pytest.mark.parametrize(
    ("media_type", "suffix"), [(CSV, ".csv"), (PARQUET, ".parquet"), (ARROW, ".arrow"), (STREAM, ".arrow")]
)
@pytest.mark.parametrize("rows", [1, 7, 200])
def test_scores_are_those_of_the_command_line_to_the_bit(client, people, new_rows, tmp_path, media_type, suffix, rows):
    body = as_body(new_rows.head(rows), media_type)
    path, out = tmp_path / f"new{suffix}", tmp_path / f"scores{suffix}"
    path.write_bytes(body)
    score_file(TabularModel.load(people), path, out, reasons=2)
    answer = post(client, "/score?reasons=2", body, media_type)
    made = as_table(answer)
    assert list(made) == ["row", "score", "p_value", "alarm", "reason_1", "reason_2"]
    if media_type == CSV:
        assert answer.content == out.read_bytes()
    else:
        written = pd.read_parquet(out) if media_type == PARQUET else ipc.open_file(str(out)).read_pandas()
        pd.testing.assert_frame_equal(made, written, check_exact=True)


def test_records_have_the_scores_of_a_file_with_the_same_rows(client, new_rows):
    new_rows["since"] = new_rows["since"].astype("datetime64[ms]")
    records = as_records(new_rows)
    frame = pd.DataFrame(records).assign(since=pd.to_datetime([record["since"] for record in records]))
    from_records = as_table(client.post("/score", json=records))
    from_file = as_table(post(client, "/score", as_body(frame, PARQUET), PARQUET))
    pd.testing.assert_frame_equal(from_records, from_file, check_exact=True)


def test_rows_that_are_scored_together_have_the_scores_they_have_alone(client, new_rows):
    bodies = [json.dumps(as_records(new_rows.iloc[i : i + 1 + i % 3])) for i in range(60)]
    alone = [post(client, "/score", body).json() for body in bodies]
    with ThreadPoolExecutor(20) as pool:
        for _ in range(3):
            assert list(pool.map(lambda body: post(client, "/score", body).json(), bodies)) == alone


def test_a_wrong_request_among_others_is_refused_alone(client, new_rows):
    good = json.dumps(as_records(new_rows.head(1)))
    bodies = [good, '[{"age": "old"}]', good, "[", good, "[]"] * 5
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda body: post(client, "/score", body).status_code, bodies))
    assert statuses == [200, 422, 200, 422, 200, 422] * 5


def test_the_model_of_an_array_takes_columns_by_number(serve, numbers):
    x = np.random.RandomState(1).normal(size=(4, 3))
    with serve(numbers) as client:
        records = [dict(zip("012", row, strict=True)) for row in x.tolist()]
        named = as_table(client.post("/score", json=records))
        placed = as_table(post(client, "/score", as_body(pd.DataFrame(x), CSV), CSV))
    pd.testing.assert_frame_equal(named, placed, check_exact=True)


def test_answers_come_in_the_format_that_is_accepted(client, new_rows):
    body = as_body(new_rows, CSV)
    tables = [
        as_table(post(client, "/score", body, CSV, accept=accept)) for accept in (CSV, JSON, ARROW, STREAM, PARQUET)
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0], check_exact=True)
    assert post(client, "/score", body, CSV, accept="image/png").status_code == 406


def test_explanations_are_the_models(client, people, new_rows):
    rows = post(client, "/explain", as_body(new_rows.head(5), PARQUET), PARQUET).json()["rows"]
    explanation = TabularModel.load(people).explain(new_rows.head(5))
    for i, row in enumerate(rows):
        assert row["score"] == explanation.score[i]
        told = {column["column"]: column["contribution"] for column in row["columns"]}
        assert [told[name] for name in explanation.columns] == explanation.contributions[i].tolist()


def test_latents_are_the_models(client, people, new_rows):
    made = as_table(post(client, "/embed", as_body(new_rows, ARROW), ARROW))
    assert np.array_equal(made.drop(columns="row").to_numpy(), TabularModel.load(people).encode(new_rows))


def test_identifiers_come_back(client, new_rows):
    frame = new_rows.head(3).assign(id=["a", "b", "c"])
    for media_type in (JSON, CSV, PARQUET):
        body = as_body(frame.assign(since=frame["since"].astype("datetime64[ms]")), media_type)
        assert as_table(post(client, "/score?id=id", body, media_type))["id"].tolist() == ["a", "b", "c"]
        assert as_table(post(client, "/embed?id=id", body, media_type))["id"].tolist() == ["a", "b", "c"]
    assert "'nothing'" in post(client, "/score?id=nothing", body, media_type).json()["detail"]


GOOD = {"age": 30, "income": 9e3, "children": 1, "member": True, "city": "Rome", "since": "2024-03-01T12:00:00"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "JSON"),
        ("[", "JSON"),
        ("[" * 100_000, "JSON"),
        ("{}", "an array of objects"),
        ("3", "an array of objects"),
        ("[]", "rows"),
        ("[3]", "an object for each row"),
        ("[{}]", "'age'"),
        (json.dumps([GOOD, {"age": 3}]), "row 1"),
        (json.dumps([GOOD | {"age": "old"}]), "a number or null in column 'age'; got \"old\""),
        (json.dumps([GOOD | {"age": True}]), "'age'; got true"),
        (json.dumps([GOOD | {"age": {"years": 3}}]), "'age'; got an object"),
        (json.dumps([GOOD | {"age": 10**400}]), "'age'"),
        (json.dumps([GOOD | {"age": float("nan")}]), "JSON"),
        (json.dumps([GOOD | {"age": float("inf")}]), "JSON"),
        (json.dumps([GOOD]).replace("30", "1e999"), "'age'"),
        (json.dumps([GOOD | {"member": 1}]), "true or false"),
        (json.dumps([GOOD | {"city": 3}]), "text or null in column 'city'"),
        (json.dumps([GOOD | {"since": "tomorrow"}]), "'since'"),
        (json.dumps([GOOD | {"since": "01/02/2024"}]), "'since'"),
        (json.dumps([GOOD | {"since": "9999999-01-01"}]), "'since'"),
        (json.dumps([GOOD]).encode("utf-16"), "JSON"),
        (b"\xff\x00", "JSON"),
    ],
)
def test_wrong_rows_are_refused_with_what_was_expected(client, body, told):
    response = post(client, "/score", body)
    assert response.status_code == 422
    detail = response.json()["detail"]
    assert told in detail
    assert "Expected" in detail
    assert "Traceback" not in detail
    assert "\n" not in detail


def test_what_is_missing_is_null(client):
    row = GOOD | dict.fromkeys(["age", "city"])
    assert as_table(client.post("/score", json=[row, GOOD]))["score"].notna().all()


@pytest.mark.parametrize("media_type", [CSV, PARQUET, ARROW, STREAM])
def test_files_that_are_none_are_refused(client, new_rows, media_type):
    whole = as_body(new_rows, media_type)
    for body in (b"", b"\0" * 100, whole[: len(whole) // 2], whole[::-1]):
        response = post(client, "/score", body, media_type)
        assert response.status_code in (200, 422)  # half a CSV file is one
        assert media_type == CSV or response.status_code == 422
    lacking = post(client, "/score", as_body(new_rows.drop(columns="city"), media_type), media_type)
    assert lacking.status_code == 422
    assert "'city' is missing" in lacking.json()["detail"]


def test_limits_on_rows_and_bytes(serve, people, new_rows):
    with serve(people, max_rows=50, max_bytes=20_000) as client:
        few, many = new_rows.head(50), new_rows.head(51)
        for media_type in (CSV, JSON, PARQUET, ARROW):
            assert post(client, "/score", as_body(few, media_type), media_type).status_code == 200
            response = post(client, "/score", as_body(many, media_type), media_type)
            assert response.status_code == 413
            assert "50 rows" in response.json()["detail"]
        large = post(client, "/score", b"x" * 20_001, CSV)
        assert large.status_code == 413
        assert large.headers["connection"] == "close"
        chunks = (b"x" * 1000 for _ in range(1000))
        assert client.post("/score", content=chunks, headers={"content-type": CSV}).status_code == 413
        assert post(client, "/explain", as_body(mixed_many(), JSON)).status_code == 413


def mixed_many() -> pd.DataFrame:
    return pd.DataFrame([GOOD] * 101)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
        ({"content-type": CSV, "content-encoding": "gzip"}, 415),
        ({"content-type": CSV, "content-encoding": "deflate, gzip"}, 415),
        ({"content-type": CSV, "content-encoding": "identity"}, 422),
    ],
)
def test_other_types_and_encodings_are_refused(client, headers, status):
    response = client.post("/score", content=b"x", headers=headers)
    assert response.status_code == status
    assert response.json()["detail"].startswith("Expected")


@pytest.mark.parametrize(
    "query", ["reasons=-1", "reasons=101", "reasons=x", "reasons=1e3", "reasons=", "reasons=9999999999"]
)
def test_wrong_parameters_are_refused(client, query):
    assert post(client, f"/score?{query}", json.dumps([GOOD])).status_code == 422


def test_other_methods_and_paths_are_refused(client):
    refused = client.get("/score")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "POST"
    assert client.post("/model").status_code == 405
    assert client.get("/nothing").status_code == 404


def test_the_model_is_described(client, people):
    about, model = client.get("/model").json(), TabularModel.load(people)
    assert [column["name"] for column in about["columns"]] == model.encoder.labels
    assert about["threshold"] == model.calibration.threshold
    assert about["model"] == client.post("/score", json=[GOOD]).headers["x-radogaga-model"]


def test_notes_on_how_a_file_was_read_come_as_a_header(client, new_rows):
    body = new_rows.assign(city="Zürich").to_csv(index=False).encode("cp1252")
    assert "Windows-1252" in post(client, "/score", body, CSV).headers["x-radogaga-note"]


def test_the_example_of_the_description_is_answered(client, people):
    content = client.get("/openapi.json").json()["paths"]["/score"]["post"]["requestBody"]["content"]
    assert post(client, "/score", json.dumps(content[JSON]["example"])).status_code == 200
    assert post(client, "/score", content[CSV]["example"], CSV).status_code == 200
    assert client.get("/docs").status_code == 200
