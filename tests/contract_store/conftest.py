"""Fixtures of the store contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract_store.backends import BACKENDS, Backend, Store, opened


@pytest.fixture(params=BACKENDS, ids=lambda backend: f"{backend.name}-{backend.colour}")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture
def options() -> dict[str, Any]:
    """Options of the store; a test that needs others parametrizes this."""
    return {}


@pytest.fixture
async def store(backend: Backend, tmp_path: Path, options: dict[str, Any]) -> AsyncIterator[Store]:
    """An empty store, whose clock stands still unless a test moves it."""
    async with opened(backend, tmp_path / "store.db", **options) as made:
        yield made
