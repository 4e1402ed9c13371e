"""What is counted."""

import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mixed_table import mixed
from radogaga.integrations.server.metrics import DRIFT_ROWS


def measured(client) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
    }


def post(client, frame: pd.DataFrame):
    return client.post("/score", content=frame.to_csv(index=False), headers={"content-type": "text/csv"})


def test_rows_alarms_unseen_cells_and_requests_are_counted(serve, people):
    with serve(people) as client:
        frame = mixed(300, 1)
        frame.loc[:9, "city"] = "Atlantis"
        alarms = post(client, frame).text.count("true")
        client.post("/score")
        found = measured(client)
    assert found["radogaga_rows_total[]"] == 300
    assert found["radogaga_alarms_total[]"] == alarms > 0
    assert found["radogaga_unseen_cells_total['city']"] == 10
    assert (
        found["radogaga_requests_total['/score', '200']"] == 1 or found["radogaga_requests_total['200', '/score']"] == 1
    )
    assert found["radogaga_request_seconds_count['/score']"] == 2
    assert found["radogaga_rows_by_p_value_total['0.75']"] == pytest.approx(0.75 * 300, abs=40)


def test_drift_shows(serve, people):
    with serve(people) as client:
        same, moved = mixed(500, 1), mixed(500, 2)
        post(client, same)
        assert measured(client).get("radogaga_drift_columns_moved[]") == 0
        for _ in range(DRIFT_ROWS // 500):
            post(client, same)
        assert measured(client)["radogaga_drift_score_distance[]"] < 0.1
        for _ in range(DRIFT_ROWS // 500):
            post(client, moved.assign(income=9 * moved["income"]))
        found = measured(client)
    assert found["radogaga_drift_score_distance[]"] > 0.3
    assert found["radogaga_drift_columns_moved[]"] == 1
