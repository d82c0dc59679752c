"""The chunks of each stream mode: their shapes and their order in a step.

In a step: `values` and `checkpoints` of the state, `tasks` of all that starts, then for each task that ends
`updates` and `tasks`. A "debug" chunk follows its "tasks" or "checkpoints" twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from threadkeep.config import RunnableConfig
from threadkeep.constants import CONF, ERROR, INTERRUPT, RETURN
from threadkeep.pregel.plan import SPECIAL
from threadkeep.pregel.run import Run
from threadkeep.pregel.task import Task
from threadkeep.types import Interrupt

_TASK_MODES = frozenset({"tasks", "debug"})
_CHECKPOINT_MODES = frozenset({"checkpoints", "debug"})


def values(run: Run, written: Iterable[str] | None) -> None:
    """The whole state, if one of the output keys was written (None: whatever was written)."""
    if "values" not in run.modes:
        return
    keys = run.output_keys
    if written is not None:
        wanted = [keys] if isinstance(keys, str) else keys
        if not any(key in wanted for key in written):
            return
    run.emit("values", run.output())


def _debug(run: Run, mode: str, kind: str, step: int, payload: Any) -> None:
    if mode in run.modes:
        run.emit(mode, payload)
    if "debug" in run.modes:
        stamp = datetime.now(UTC).isoformat()
        run.emit("debug", {"step": step, "timestamp": stamp, "type": kind, "payload": payload})


def task_starts(run: Run, tasks: Sequence[Task]) -> None:
    """A chunk for each task, in the order of the plan."""
    if _TASK_MODES.isdisjoint(run.modes):
        return
    for task in tasks:
        if task.node.hidden:
            continue
        payload = {"id": task.id, "name": task.name, "input": task.input, "triggers": task.triggers}
        metadata = {**(run.config.get("metadata") or {}), **task.node.metadata}
        if tags := run.config.get("tags"):
            metadata["tags"] = tags
        if metadata:
            payload["metadata"] = metadata
        _debug(run, "tasks", "task", run.step, payload)


def task_ends(run: Run, task: Task) -> None:
    """What a finished task wrote: an update, and its result."""
    if task.node.hidden:
        return
    if "updates" in run.modes:
        update: dict[str, Any] = {task.name: _update(run, task)}
        if task.cached:
            update["__metadata__"] = {"cached": True}
        run.emit("updates", update)
    if not task.cached:
        _result(run, task, state_writes(run, task.writes), ())


def task_fails(run: Run, task: Task) -> None:
    """The result chunk of a task that raised."""
    if not task.node.hidden:
        _result(run, task, {}, (), error=task.error)


def task_pauses(run: Run, task: Task, interrupts: Sequence[Interrupt]) -> None:
    """The pause as update and as value, and the result chunk of its task."""
    shown = tuple(interrupts)
    if shown:
        if "updates" in run.modes:
            run.emit("updates", {INTERRUPT: shown})
        if "values" in run.modes:
            current = run.output()
            run.emit(
                "values", {**current, INTERRUPT: shown} if isinstance(current, dict) else {INTERRUPT: shown}
            )
    _result(run, task, {}, shown)


def breakpoint_reached(run: Run) -> None:
    """A static breakpoint shows as an interrupt without a question."""
    if "updates" in run.modes:
        run.emit("updates", {INTERRUPT: ()})


def _result(
    run: Run,
    task: Task,
    result: dict[str, Any],
    interrupts: Sequence[Interrupt],
    error: BaseException | None = None,
) -> None:
    if _TASK_MODES.isdisjoint(run.modes):
        return
    payload = {
        "id": task.id,
        "name": task.name,
        "error": error,
        "result": result,
        "interrupts": [interrupt_dict(asked) for asked in interrupts],
    }
    _debug(run, "tasks", "task_result", run.step, payload)


def state_writes(run: Run, writes: Iterable[tuple[str, Any]]) -> Any:
    """The state keys among a task's writes; several to one key are listed under "$writes"."""
    keys = run.graph.stream_channels
    found: dict[str, Any] = {}
    several: set[str] = set()
    for name, value in writes:
        if name in (RETURN, keys):
            return value
        if isinstance(keys, str) or name not in keys:
            continue
        if name in several:
            found[name]["$writes"].append(value)
        elif name in found:
            several.add(name)
            found[name] = {"$writes": [found[name], value]}
        else:
            found[name] = value
    return found


def _update(run: Run, task: Task) -> Any:
    """The update of a task as streams show it: None, one dict, or a list of dicts where a key repeats."""
    keys = run.output_keys
    if isinstance(keys, str):
        found = [value for name, value in task.writes if name == keys]
        return found[0] if len(found) == 1 else (found or None)
    pairs = [(name, value) for name, value in task.writes if name in keys]
    if not pairs:
        return None
    if len({name for name, _ in pairs}) == len(pairs):
        return dict(pairs)
    return [{name: value} for name, value in pairs]


def interrupt_dict(asked: Interrupt) -> dict[str, Any]:
    """An interrupt as chunks show it."""
    return {"value": asked.value, "id": asked.id, "response_schema": asked.response_schema}


def checkpoint(run: Run, tasks: Sequence[Task]) -> None:
    """The checkpoint that the run stands on, with the tasks that come next."""
    if run.saver is None or _CHECKPOINT_MODES.isdisjoint(run.modes):
        return
    payload = {
        "config": run.shown_config(run.checkpoint_id),
        "parent_config": run.shown_config(run.parent_id) if run.parent_id else None,
        "values": run.read(run.graph.stream_channels),
        "metadata": run.metadata,
        "next": [task.name for task in tasks],
        "tasks": [checkpoint_task(run, task) for task in tasks],
    }
    _debug(run, "checkpoints", "checkpoint", run.metadata.get("step", run.step - 1), payload)


def checkpoint_task(run: Run, task: Task) -> dict[str, Any]:
    """A task as the checkpoint's chunk lists it; "result" and "error" only where there is one."""
    shown: dict[str, Any] = {"id": task.id, "name": task.name}
    own = [(channel, value) for task_id, channel, value in run.pending if task_id == task.id]
    written = [(channel, value) for channel, value in own if channel not in SPECIAL]
    if error := next((value for channel, value in own if channel == ERROR), None):
        shown["error"] = error
    elif written:
        shown["result"] = state_writes(run, written)
    if not error:
        asked = (found for channel, value in own if channel == INTERRUPT for found in value)
        shown["interrupts"] = tuple(interrupt_dict(found) for found in asked)
    shown["state"] = subgraph_config(run, task)
    return shown


def subgraph_config(run: Run, task: Task) -> RunnableConfig | None:
    """The config that reads the state of the task's subgraph, where it has one."""
    if not task.node.subgraphs:
        return None
    return {CONF: {"thread_id": run.thread_id, "checkpoint_ns": task.ns}}
