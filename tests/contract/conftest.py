"""Fixtures of the saver contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.backends import BACKENDS, Backend, Saver, opened


@pytest.fixture(params=BACKENDS, ids=lambda backend: f"{backend.name}-{backend.colour}")
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture
def options() -> dict[str, Any]:
    """Options of the saver; a test that needs others parametrizes this."""
    return {}


@pytest.fixture
async def saver(backend: Backend, tmp_path: Path, options: dict[str, Any]) -> AsyncIterator[Saver]:
    """An empty saver."""
    async with opened(backend, tmp_path / "threads.db", **options) as made:
        yield made
