"""Every store has the methods of the protocol, in both colours, with its signatures."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from tests.contract_store.backends import BACKENDS
from threadkeep.store.base import BaseStore

METHODS = ["batch", "get", "search", "put", "delete", "list_namespaces"]
MADE = {each.name: each.make for each in BACKENDS}


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    """What a method takes."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize("name", MADE)
async def test_a_store_takes_what_the_protocol_says(name: str, tmp_path: Path) -> None:
    cls = type(MADE[name](tmp_path / "store.db"))
    assert issubclass(cls, BaseStore)
    for method in METHODS:
        for colour in (method, f"a{method}"):
            assert parameters(getattr(cls, colour)) == parameters(getattr(BaseStore, colour)), colour
    assert cls.supports_ttl
    for method in ("sweep_ttl", "start_ttl_sweeper", "stop_ttl_sweeper"):
        assert hasattr(cls, method) or name == "gathered"
