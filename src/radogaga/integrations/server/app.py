"""The endpoints of a service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from radogaga.integrations.server.gate import Gate
from radogaga.integrations.server.openapi import describe
from radogaga.integrations.server.request_error import RequestError
from radogaga.integrations.server.service import Service
from radogaga.integrations.server.settings import MAX_REASONS, Settings
from radogaga.tabular.summary import describe_columns, facts, summarize
from radogaga.version import __version__

ENDPOINTS = ("/score", "/explain", "/embed", "/model", "/healthz", "/metrics", "/docs", "/openapi.json")
Reasons = Annotated[int, Query(ge=0, le=MAX_REASONS, description="For how many columns to say why, for alarms.")]
Id = Annotated[str | None, Query(alias="id", description="The column of identifiers; by default as in fit.")]


def make_app(settings: Settings) -> FastAPI:
    """Return the ASGI application that serves a model.

    Raises
    ------
    InputError
        If the model cannot be loaded.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("httpx")
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np, pandas as pd
    >>> from fastapi.testclient import TestClient
    >>> from radogaga import RaDOGAGA
    >>> from radogaga.integrations.server.app import make_app
    >>> from radogaga.integrations.server.settings import Settings
    >>> frame = pd.DataFrame(np.random.RandomState(0).normal(size=(200, 2)), columns=["a", "b"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     RaDOGAGA(max_steps=0, random_state=0).fit(frame).save(folder)
    ...     with TestClient(make_app(Settings(Path(folder))), base_url="http://localhost") as client:
    ...         client.post("/score", json=[{"a": 9.0, "b": 9.0}]).json()["rows"][0]["alarm"]
    True
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(title="RaDOGAGA", version=__version__, lifespan=lifespan, redoc_url=None)
    app.add_middleware(Gate, settings.token, ENDPOINTS, service.metrics)
    app.add_exception_handler(RequestError, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_query)
    app.openapi = lambda: describe(app, service)  # type: ignore[method-assign]
    _add_tasks(app, service)
    _add_state(app, service)
    return app


def _add_tasks(app: FastAPI, service: Service) -> None:
    @app.post("/score")
    async def score(request: Request, reasons: Reasons = 0, id_column: Id = None) -> Response:
        """Score rows: log density in nats, p-value, whether it is an alarm, and why."""
        return await service.answer("score", request, reasons, id_column)

    @app.post("/explain")
    async def explain(request: Request, id_column: Id = None) -> Response:
        """Say for each row and column how many nats it adds, beside a typical row's value."""
        return await service.answer("explain", request, id_column=id_column)

    @app.post("/embed")
    async def embed(request: Request, id_column: Id = None) -> Response:
        """Return the latents of rows, those with the largest variance first."""
        return await service.answer("embed", request, id_column=id_column)


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/model")
    async def model() -> dict[str, Any]:
        """Say what the model is: columns, threshold, spectrum, isometry, training."""
        served = service.holder.served
        columns = [{"name": name, "holds": holds} for name, holds in describe_columns(served.model)]
        return {
            "model": served.name,
            "loaded": served.since.isoformat(timespec="seconds"),
            "radogaga": __version__,
            "summary": summarize(served.model),
            "threshold": served.model.calibration.threshold,
            "latents": served.model.n_components,
            "id_column": served.model.id_column,
            "columns": columns,
            "facts": dict(facts(served.model)),
        }

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        """Say whether requests are answered; it takes no token."""
        return JSONResponse({"status": "ok"}) if service.is_alive else JSONResponse({"status": "stopped"}, 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Give counts to Prometheus: requests, seconds, rows, alarms, unseen cells, p-values, drift."""
        return Response(service.metrics.as_text(), media_type=CONTENT_TYPE_LATEST)


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error.response()


async def _refuse_query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
    return RequestError(422, f"Expected other parameters; {told[:400]}.").response()
