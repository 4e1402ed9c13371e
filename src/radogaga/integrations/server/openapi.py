"""The description of a service in OpenAPI, with the model's own columns, and an example in each format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from fastapi.openapi.utils import get_openapi

from radogaga.integrations.server.formats import ANSWERS, CSV, JSON, SUFFIXES
from radogaga.integrations.server.settings import MAX_REASONS
from radogaga.tabular.columns.types import ColumnType
from radogaga.tabular.model import TabularModel

if TYPE_CHECKING:
    from fastapi import FastAPI

    from radogaga.integrations.server.service import Service

_TYPES = {
    ColumnType.NUMBER: "number",
    ColumnType.INTEGER: "number",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.DATETIME: "string",
    ColumnType.DURATION: "string",
    ColumnType.CATEGORY: "string",
}
_ABOUT = """A fitted density of a table. Rows come as JSON records, CSV, Arrow or Parquet, as Content-Type says, and
answers go back in the same format or in the one that Accept asks for.

    curl localhost:8000/score --header 'Content-Type: text/csv' --data-binary @rows.csv
"""
_ERRORS = {
    400: "The body did not come whole",
    401: "No token, or another",
    403: "Another host, without a token",
    406: "No format that is accepted",
    408: "The body came too slowly",
    413: "Too many bytes or rows",
    415: "Another Content-Type, or a Content-Encoding",
    422: "Other columns or values than the model's",
    503: "Too much to do",
}
_ERROR = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
_NUMBER, _ROW_LABEL = {"type": ["number", "null"]}, {"row": {"type": "integer"}}
_SCORED = {
    "type": "object",
    "properties": _ROW_LABEL | {"score": _NUMBER, "p_value": {"type": "number"}, "alarm": {"type": "boolean"}},
    "required": ["score", "p_value", "alarm"],
}
_EXPLAINED = {
    "type": "object",
    "properties": _SCORED["properties"] | {"columns": {"type": "array", "items": {"type": "object"}}},  # type: ignore[operator]
    "required": ["score", "columns"],
}
_EMBEDDED = {"type": "object", "properties": _ROW_LABEL, "additionalProperties": _NUMBER}
_ID = {
    "name": "id",
    "in": "query",
    "description": "The column of identifiers; by default as in fit.",
    "schema": {"type": "string"},
}
_REASONS = {
    "name": "reasons",
    "in": "query",
    "description": "For how many columns to say why, for alarms.",
    "schema": {"type": "integer", "minimum": 0, "maximum": MAX_REASONS, "default": 0},
}
_TASKS: tuple[tuple[str, str, list[dict[str, Any]], dict[str, Any], tuple[str, ...]], ...] = (
    ("/score", "Log density in nats, p-value, whether it is an alarm, and why", [_REASONS, _ID], _SCORED, ANSWERS),
    ("/explain", "How many nats each column adds, beside a typical row's value", [_ID], _EXPLAINED, (JSON,)),
    ("/embed", "Latents, those with the largest variance first", [_ID], _EMBEDDED, ANSWERS),
)


def describe(app: FastAPI, service: Service) -> dict[str, Any]:
    """Return the description of an application with the columns of the model in use."""
    model = service.holder.served.model
    content = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    content["components"] = {"schemas": {"Row": _row_schema(model), "Error": _ERROR}}
    refused = {"content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    for operations in content["paths"].values():
        for operation in operations.values():
            operation["responses"] |= {"401": refused | {"description": _ERRORS[401]}}
            operation["responses"] |= {"403": refused | {"description": _ERRORS[403]}}
    for path, about, parameters, row, answers in _TASKS:
        responses = {"200": {"description": "An answer for each row", "content": _answers(row, answers)}}
        responses |= {str(status): refused | {"description": text} for status, text in _ERRORS.items()}
        operation = {"summary": about, "operationId": path[1:], "parameters": parameters, "responses": responses}
        body = {"required": True, "content": _bodies(model)}
        content["paths"][path] = {"post": operation | {"requestBody": body}}
    content["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if service.settings.token is not None:
        content["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        content["security"] = [{"token": []}]
        content["paths"]["/healthz"]["get"]["security"] = []
    return content


def example_row(model: TabularModel) -> dict[str, Any]:
    """Return a row in the middle of the density, as JSON has it; no training row.

    Examples
    --------
    >>> import pandas as pd
    >>> from radogaga import RaDOGAGA
    >>> from radogaga.integrations.server.openapi import example_row
    >>> frame = pd.DataFrame({"age": [31.0, 35.0, 52.0] * 20, "drink": ["tea", "milk", "tea"] * 20})
    >>> example_row(RaDOGAGA(max_steps=0, random_state=0).fit(frame).model_)["drink"]
    'tea'
    """
    row = pd.DataFrame(model.decode(np.zeros((1, model.n_components))))
    kinds = zip(model.encoder.labels, model.encoder.column_types, strict=True)
    cells = {name: _plain(row.iat[0, j], kind) for j, (name, kind) in enumerate(kinds)}
    return cells if model.id_column is None else {model.id_column: "1", **cells}


def _plain(value: Any, kind: ColumnType) -> Any:
    if pd.isna(value):
        return None
    if kind is ColumnType.BOOLEAN:
        return bool(value)
    if kind in (ColumnType.NUMBER, ColumnType.INTEGER):
        return float(value)
    return value.isoformat() if kind is ColumnType.DATETIME else str(value)


def _row_schema(model: TabularModel) -> dict[str, Any]:
    kinds = zip(model.encoder.labels, model.encoder.column_types, strict=True)
    properties = {name: {"type": [_TYPES[kind], "null"]} for name, kind in kinds}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _bodies(model: TabularModel) -> dict[str, Any]:
    row = example_row(model)
    schema = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Row"}}
    text = {"schema": {"type": "string"}, "example": pd.DataFrame([row]).to_csv(index=False)}
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {JSON: {"schema": schema, "example": [row]}} | {
        media_type: text if media_type == CSV else binary for media_type in SUFFIXES
    }


def _answers(row: dict[str, Any], media_types: tuple[str, ...]) -> dict[str, Any]:
    rows = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}, "required": ["rows"]}
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {media_type: {"schema": rows} if media_type == JSON else binary for media_type in media_types}
