"""The endpoints of a service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from radogaga.integrations.server.gate import Gate
from radogaga.integrations.server.openapi import describe
from radogaga.integrations.server.row_endpoints import TASKS, RowEndpoints
from radogaga.integrations.server.service import Service
from radogaga.integrations.server.settings import Settings
from radogaga.tabular.summary import describe_columns, facts, summarize
from radogaga.version import __version__

ENDPOINTS = (*TASKS, "/model", "/healthz", "/metrics", "/docs", "/openapi.json")


def make_app(settings: Settings) -> FastAPI:
    """Return the ASGI application that serves a model.

    Raises
    ------
    InputError
        If the model cannot be loaded.

    Examples
    --------
    >>> import pytest; _ = pytest.importorskip("httpx2")
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
    app.add_middleware(RowEndpoints, service)
    app.add_middleware(Gate, settings.token, ENDPOINTS, service.metrics)
    app.openapi = lambda: describe(app, service)  # type: ignore[method-assign]
    _add_state(app, service)
    return app


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
