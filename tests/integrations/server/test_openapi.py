"""The description of a service."""


def test_the_description_has_the_models_columns(client):
    content = client.get("/openapi.json").json()
    row = content["components"]["schemas"]["Row"]["properties"]
    assert row["age"] == {"type": ["number", "null"]}
    assert row["city"] == {"type": ["string", "null"]}
    assert set(content["paths"]) == {"/score", "/explain", "/embed", "/model", "/healthz", "/metrics"}
    assert "security" not in content


def test_a_token_is_described(serve, people):
    with serve(people, token="0123456789abcdef") as client:
        content = client.get("/openapi.json", headers={"authorization": "Bearer 0123456789abcdef"}).json()
    assert content["security"] == [{"token": []}]
    assert content["paths"]["/healthz"]["get"]["security"] == []
