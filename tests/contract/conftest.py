"""Fixtures of the saver contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.backends import BACKENDS, Backend, Saver, opened


def pytest_configure(config: pytest.Config) -> None:
    """A test marked `needs("keeps_history")` runs over the backends that have this capability."""
    config.addinivalue_line("markers", "needs(*capabilities): flags that a backend of the contract must have")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each backend that has what the test needs, in turn."""
    if "backend" not in metafunc.fixturenames:
        return
    marks = [*metafunc.definition.iter_markers()]
    if any(mark.name == "parametrize" and mark.args[0] == "backend" for mark in marks):
        return
    needed = [flag for mark in marks if mark.name == "needs" for flag in mark.args]
    chosen = [each for each in BACKENDS if all(getattr(each, flag) for flag in needed)]
    metafunc.parametrize("backend", chosen, ids=lambda backend: f"{backend.name}-{backend.colour}")


@pytest.fixture
def options() -> dict[str, Any]:
    """Options of the saver; a test that needs others parametrizes this."""
    return {}


@pytest.fixture
async def saver(backend: Backend, tmp_path: Path, options: dict[str, Any]) -> AsyncIterator[Saver]:
    """An empty saver."""
    async with opened(backend, tmp_path / "threads.db", **options) as made:
        yield made
