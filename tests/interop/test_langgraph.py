"""Programs under LangGraph's own `compile()` with our savers: the results are those with its own saver."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver as TheirMemory
from langgraph.types import Command

from tests.contract.backends import BACKENDS, Backend
from tests.interop.programs import PROGRAMS, THREAD, Order, Trace, Words, asks, line, says
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.errors import ConcurrentUpdateError, SerializationError, ThreadDeletedError
from threadkeep.interop.langgraph import LangGraphSaver, as_langgraph_saver

KEEPING = [each for each in BACKENDS if each.keeps_history]
SYNC = [each for each in KEEPING if each.colour == "sync" and each.name != "postgres-pipeline"]
ASYNC = [each for each in KEEPING if each.colour == "async" and each.name.startswith("aio")]
SHALLOW = [each for each in BACKENDS if each.colour == "sync" and not each.keeps_history]


@pytest.fixture(params=SYNC, ids=lambda backend: backend.name)
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LangGraphSaver]:
    """Savers that refuse conflicts, so that none may be seen where there is none."""
    with request.param.make(str(tmp_path / "t.db"), on_conflict="reject") as ours:
        if hasattr(ours, "setup"):
            ours.setup()
        yield as_langgraph_saver(ours)


def traced(name: str, saver: Any, runner: asyncio.Runner | None = None) -> list[str]:
    trace = Trace(runner)
    PROGRAMS[name](saver, trace)
    assert trace.lines
    return trace.lines


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_gives_what_it_gives_with_their_own_saver(name: str, saver: LangGraphSaver) -> None:
    assert traced(name, saver) == traced(name, TheirMemory())


@pytest.mark.parametrize("backend", ASYNC, ids=lambda backend: backend.name)
@pytest.mark.parametrize("name", PROGRAMS)
def test_so_does_its_asynchronous_twin(name: str, backend: Backend, tmp_path: Path) -> None:
    async def entered(opened: Any) -> Any:
        ours = await opened.__aenter__()
        await ours.setup()
        return ours

    with asyncio.Runner() as runner:
        opened = backend.make(str(tmp_path / "t.db"), on_conflict="reject")
        ours = runner.run(entered(opened))
        try:
            assert traced(name, as_langgraph_saver(ours), runner) == traced(name, TheirMemory(), runner)
        finally:
            runner.run(opened.__aexit__(None, None, None))


@pytest.mark.parametrize("backend", SHALLOW, ids=lambda backend: backend.name)
def test_without_history_a_thread_waits_goes_on_and_has_one_state(backend: Backend, tmp_path: Path) -> None:
    with backend.make(str(tmp_path / "t.db"), on_conflict="reject") as ours:
        ours.setup()
        graph = line(("first", says("a")), ("ask", asks)).compile(checkpointer=as_langgraph_saver(ours))
        for turn in range(2):
            graph.invoke({"words": [f"turn {turn}"]}, THREAD)
            assert graph.get_state(THREAD).next == ("ask",)
            graph.invoke(Command(resume="yes"), THREAD)
            graph.invoke(Command(resume="sure"), THREAD)
        words = ["turn 0", "a", "yes", "sure", "turn 1", "a", "yes", "sure"]
        assert graph.get_state(THREAD).values == {"words": words}
        assert [state.values for state in graph.get_state_history(THREAD)] == [{"words": words}]


def test_a_thread_goes_on_in_another_process_of_the_same_file(tmp_path: Path) -> None:
    path = str(tmp_path / "t.db")
    builder = line(("first", says("a")), ("ask", asks))
    with SqliteSaver.from_conn_string(path) as ours:
        builder.compile(checkpointer=as_langgraph_saver(ours)).invoke({"words": []}, THREAD)
    with SqliteSaver.from_conn_string(path) as ours:
        graph = builder.compile(checkpointer=as_langgraph_saver(ours))
        graph.invoke(Command(resume="yes"), THREAD)
        assert graph.invoke(Command(resume="sure"), THREAD) == {"words": ["a", "yes", "sure"]}


def test_two_runs_from_one_checkpoint_conflict(saver: LangGraphSaver) -> None:
    """The first run's node lets a second run go by."""

    def slow(state: Words) -> dict[str, list[str]]:
        if len(state["words"]) == 1:
            graph.invoke({"words": ["second"]}, THREAD)
        return {"words": ["slow"]}

    graph = line(("slow", slow)).compile(checkpointer=saver)
    with pytest.raises(ConcurrentUpdateError):
        graph.invoke({"words": ["first"]}, THREAD)
    assert graph.get_state(THREAD).values["words"][-2:] == ["second", "slow"]


def test_a_run_that_outlives_the_deletion_of_its_thread_is_refused(saver: LangGraphSaver) -> None:
    def deletes(state: Words) -> dict[str, list[str]]:
        saver.delete_thread("t")
        return {"words": ["late"]}

    graph = line(("deletes", deletes), ("after", says("later"))).compile(checkpointer=saver)
    with pytest.raises(ThreadDeletedError):
        graph.invoke({"words": []}, THREAD, durability="sync")
    assert graph.get_state(THREAD).values == {}
    assert saver.get_tuple(THREAD) is None


def test_a_deleted_thread_begins_anew_though_writes_overtake_their_checkpoint(
    saver: LangGraphSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = line(("a", says("a")), ("ask", asks)).compile(checkpointer=saver)
    graph.invoke({"words": []}, THREAD)
    saver.delete_thread("t")
    put, overtaken = saver.saver.put, threading.Event()
    put_writes = saver.saver.put_writes

    def waits(config: Any, checkpoint: Any, metadata: Any, versions: Any) -> Any:
        if metadata["step"] == 0:
            assert overtaken.wait(20)
        return put(config, checkpoint, metadata, versions)

    def overtakes(config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        try:
            put_writes(config, writes, task_id, task_path)
        finally:
            if ("words", ["a"]) in writes:
                overtaken.set()

    monkeypatch.setattr(saver.saver, "put", waits)
    monkeypatch.setattr(saver.saver, "put_writes", overtakes)
    graph.invoke({"words": []}, THREAD, durability="async")
    first = [*graph.get_state_history(THREAD)][1]
    assert overtaken.is_set()
    assert first.tasks[0].result == {"words": ["a"]}


class Basket(TypedDict):
    order: Order


def test_a_class_of_the_application_needs_to_be_allowed(tmp_path: Path) -> None:
    builder = line(("fill", lambda state: {"order": Order(9)}), schema=Basket)
    closed = as_langgraph_saver(InMemorySaver())
    with pytest.raises(SerializationError, match="Order is not on the allow-list"):
        builder.compile(checkpointer=closed).invoke({"order": Order(1)}, THREAD)
    allowing = as_langgraph_saver(InMemorySaver(serde=JsonPlusSerializer(allowed_modules=[Order])))
    graph = builder.compile(checkpointer=allowing)
    graph.invoke({"order": Order(1)}, THREAD)
    assert graph.get_state(THREAD).values == {"order": Order(9)}


def test_the_classes_that_langgraph_names_are_allowed_in_the_same_storage(saver: LangGraphSaver) -> None:
    named = {(Order.__module__, "Order")}
    allowing = saver.with_allowlist(named)
    graph = line(("fill", lambda state: {"order": Order(9)}), schema=Basket).compile(checkpointer=allowing)
    assert graph.invoke({"order": Order(1)}, THREAD) == {"order": Order(9)}
    assert len([*saver.with_allowlist(named).list(THREAD)]) == 3
    assert saver.with_allowlist(named) is allowing


def test_importing_the_core_does_not_import_langgraph() -> None:
    code = "import sys, threadkeep.graph, threadkeep.interop; print('langgraph' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout == "False\n", run.stderr
