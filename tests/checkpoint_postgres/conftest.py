"""A database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres_server import drop_database, fresh_database


@pytest.fixture
def database() -> Iterator[str]:
    """The address of an empty database."""
    address = fresh_database()
    yield address
    drop_database(address)
