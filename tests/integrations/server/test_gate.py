"""Who may ask."""

import pytest

TOKEN = "0123456789abcdef"
PATHS = ["/score", "/explain", "/embed", "/model", "/metrics", "/docs", "/openapi.json", "/nothing"]


@pytest.fixture(scope="module")
def guarded(serve, people):
    with serve(people, token=TOKEN) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "sent",
    [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ü"],
)
def test_without_the_token_nothing_is_answered(guarded, path, sent):
    headers = {} if sent is None else {"authorization": sent.encode()}
    response = guarded.post(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in response.text


def test_with_the_token_all_is_answered(guarded):
    assert guarded.get("/healthz").status_code == 200
    own = {"authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/model", headers=own).status_code == 200
    assert guarded.post("/score", headers=own).status_code == 415
    assert guarded.get("/model", headers=own | {"host": "example.org"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("example.org", 403),
        ("localhost.example.org:8000", 403),
        ("", 403),
    ],
)
def test_without_a_token_other_hosts_are_refused(client, host, status):
    assert client.get("/model", headers={"host": host}).status_code == status
