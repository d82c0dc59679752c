"""The two colours of the store look the same, and as programs know them."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from threadkeep.store.base import BaseStore
from threadkeep.store.postgres import AsyncPostgresStore, PostgresStore

SAME = ["setup", "check", "sweep_ttl", "start_ttl_sweeper", "stop_ttl_sweeper", "explain", "reindex"]
PROTOCOL = ["batch", "get", "put", "delete", "search", "list_namespaces"]


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.kind, each.default) for each in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize("name", ["__init__", "from_conn_string", *SAME])
def test_both_are_made_and_kept_in_the_same_way(name: str) -> None:
    assert parameters(getattr(PostgresStore, name)) == parameters(getattr(AsyncPostgresStore, name))
    if name in SAME:
        assert inspect.iscoroutinefunction(getattr(AsyncPostgresStore, name))


@pytest.mark.parametrize("cls", [PostgresStore, AsyncPostgresStore])
@pytest.mark.parametrize("name", [*PROTOCOL, *(f"a{name}" for name in PROTOCOL)])
def test_both_take_what_the_protocol_says(cls: type, name: str) -> None:
    assert parameters(getattr(cls, name)) == parameters(getattr(BaseStore, name))


def test_both_are_made_as_programs_expect() -> None:
    names = [name for name, *_ in parameters(PostgresStore.__init__)]
    assert names[:6] == ["self", "conn", "pipe", "deserializer", "index", "ttl"]
    names = [name for name, *_ in parameters(PostgresStore.from_conn_string)]
    assert names[:5] == ["conn_string", "pipeline", "pool_config", "index", "ttl"]
    assert PostgresStore.supports_ttl and AsyncPostgresStore.supports_ttl
