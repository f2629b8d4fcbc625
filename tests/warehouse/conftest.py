"""A warehouse of each sort: SQLite always, MySQL or MariaDB where there is one to be used in earnest."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from segmenter import warehouse
from segmenter.warehouse import Warehouse


@pytest.fixture(params=["sqlite", "real"])
def warehouse_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty warehouse."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/warehouse.db"
        return
    if os.environ.get("SEGMENTER_TEST_REAL") != "1":
        pytest.skip("set SEGMENTER_TEST_REAL=1 and SEGMENTER_TEST_WAREHOUSE_URL to test on a real server")
    server = make_url(os.environ["SEGMENTER_TEST_WAREHOUSE_URL"])
    name = f"segmenter_test_{uuid.uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name}"))
    engine.dispose()


@pytest.fixture
def empty(warehouse_url: str) -> Iterator[Warehouse]:
    """A warehouse without a schema."""
    with warehouse.connect(warehouse_url) as house:
        yield house


@pytest.fixture
def house(empty: Warehouse) -> Warehouse:
    """A warehouse with the schema, and nothing in it."""
    warehouse.migrate(empty, now_ms=1)
    return empty
