"""The two colours of every saver look the same."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from tests.contract.backends import BACKENDS, Backend
from threadkeep.checkpoint.base import BaseCheckpointSaver
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver

TWINS = [
    "get", "get_tuple", "list", "put", "put_writes", "commit", "delete_thread", "delete_for_runs",
    "copy_thread", "prune",
]  # fmt: skip


def class_of(backend: Backend) -> type:
    saver = backend.make(":memory:")
    if isinstance(saver, SqliteSaver):  # the only one that is open from the beginning
        saver.close()
    return type(saver)


CLASSES = [BaseCheckpointSaver, *{class_of(backend) for backend in BACKENDS}]


def parameters(method: Any) -> list[tuple[str, Any, Any, Any]]:
    return [(p.name, p.kind, p.default, p.annotation) for p in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_twins_take_the_same(cls: type, name: str) -> None:
    sync, twin = getattr(cls, name), getattr(cls, f"a{name}")
    assert parameters(sync) == parameters(twin)
    assert inspect.iscoroutinefunction(twin) or inspect.isasyncgenfunction(twin)


@pytest.mark.parametrize("cls", CLASSES[1:], ids=lambda cls: cls.__name__)
def test_savers_take_what_the_protocol_says(cls: type) -> None:
    for name in TWINS:
        assert parameters(getattr(cls, name)) == parameters(getattr(BaseCheckpointSaver, name))


def test_the_two_sqlite_savers_are_made_in_the_same_way() -> None:
    assert parameters(SqliteSaver.from_conn_string) == parameters(AsyncSqliteSaver.from_conn_string)
    for name in ("setup", "vacuum", "close"):
        assert parameters(getattr(SqliteSaver, name)) == parameters(getattr(AsyncSqliteSaver, name))
        assert inspect.iscoroutinefunction(getattr(AsyncSqliteSaver, name))
    names = [[name for name, *_ in parameters(cls.__init__)] for cls in (SqliteSaver, AsyncSqliteSaver)]
    assert names[0] == names[1]
