"""The threads of a parallel step."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

from threadkeep.graph import START, StateGraph
from threadkeep.pregel import workers
from threadkeep.types import Send


class State(TypedDict):
    log: Annotated[list[int], operator.add]


def at_once(work: Callable[..., None], *arguments: Any) -> None:
    """Threads that are so quick that the work is done before `submit` returns."""
    work(*arguments)


def test_workers_that_end_before_the_next_one_starts_leave_no_task_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def note(number: int) -> State:
        return {"log": [number]}

    builder = StateGraph(State)
    builder.add_node("note", note)
    builder.add_conditional_edges(
        START, lambda state: [Send("note", number) for number in range(6)], ["note"]
    )
    graph = builder.compile()
    monkeypatch.setattr(workers, "submit", at_once)
    assert graph.invoke({"log": []}, {"max_concurrency": 4}) == {"log": [0, 1, 2, 3, 4, 5]}
