"""A model served in this process."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'radogaga[serve]'")
pytest.importorskip("httpx2", reason="httpx2 is not installed: pip install httpx2")

from fastapi.testclient import TestClient

from mixed_table import mixed
from radogaga import RaDOGAGA
from radogaga.integrations.server.app import make_app
from radogaga.integrations.server.settings import Settings

Serve = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of numbers, categories, dates and missing values."""
    folder = tmp_path_factory.mktemp("people") / "model"
    RaDOGAGA(max_steps=5, random_state=0).fit(mixed(600)).save(folder)
    return folder


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of an array, whose columns have no names."""
    folder = tmp_path_factory.mktemp("numbers") / "model"
    RaDOGAGA(max_steps=5, random_state=0).fit(np.random.RandomState(0).normal(size=(300, 3))).save(folder)
    return folder


@pytest.fixture(scope="session")
def serve() -> Serve:
    @contextmanager
    def served(folder: Path, **settings: object) -> Iterator[TestClient]:
        app = make_app(Settings(folder, **settings))  # type: ignore[arg-type]
        with TestClient(app, base_url="http://localhost") as client:
            yield client

    return served


@pytest.fixture(scope="module")
def client(serve: Serve, people: Path) -> Iterator[TestClient]:
    with serve(people) as client:
        yield client


@pytest.fixture
def new_rows() -> pd.DataFrame:
    return mixed(200, 1)
