"""Which tasks the next superstep has. Pure: reads channels and pending writes, makes tasks, changes nothing
else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from threadkeep.constants import (
    ERROR,
    INTERRUPT,
    NO_WRITES,
    NS_END,
    NS_SEP,
    NULL_TASK_ID,
    PULL,
    PUSH,
    RESUME,
    TASKS,
)
from threadkeep.errors import InvalidUpdateError
from threadkeep.pregel.node import PregelNode
from threadkeep.pregel.run import Run
from threadkeep.pregel.task import Task
from threadkeep.types import Send

SPECIAL = frozenset({ERROR, INTERRUPT, RESUME, NO_WRITES})
"""Channels of pending writes that are no state."""


def plan(run: Run, *, by_name: bool = True) -> list[Task]:
    """The tasks of the next superstep: `Send`s by index, then nodes whose triggers changed, by name.

    Without `by_name`, for a snapshot, nodes come in the order in which they were added, and what the graph
    no longer has is left out.
    """
    tasks: list[Task] = []
    topic = run.channels.get(TASKS)
    if topic is not None and topic.is_available():
        for index, send in enumerate(topic.get()):
            if by_name or send.node in run.graph.nodes:
                tasks.append(_push(run, index, send))
    nodes = run.graph.nodes
    for name in _triggered(run, by_name):
        node = nodes[name]
        task = Task(node, node_input(run, node), (PULL, name), node.triggers, run)
        tasks.append(task)
    return tasks


def _triggered(run: Run, by_name: bool) -> Iterable[str]:
    updated = run.updated
    by_trigger = run.graph.trigger_to_nodes
    if updated is None:
        names = [name for name, node in run.graph.nodes.items() if _is_due(run, node)]
        return sorted(names) if by_name else names
    names = [name for channel in updated if channel in by_trigger for name in by_trigger[channel]]
    return names if len(names) < 2 else sorted(set(names))


def _is_due(run: Run, node: PregelNode) -> bool:
    """Whether a trigger of the node holds a value that the node has not run on."""
    versions = run.versions or {}
    seen = run.seen.get(node.name) or {}
    for name in node.triggers:
        if run.channels[name].is_available() and (
            name not in seen or (name in versions and versions[name] > seen[name])
        ):
            return True
    return False


def node_input(run: Run, node: PregelNode) -> Any:
    """The state as the node is to see it: its own copy."""
    values = run.values
    channels = node.channels
    if node.reads_all:
        found = values.copy()
    elif isinstance(channels, str):
        return run.channels[channels].get()
    else:
        found = {key: values[key] for key in channels if key in values}
    for key, managed in node.managed:
        found[key] = managed.get(run)
    return found if node.mapper is None else node.mapper(found)


def _push(run: Run, index: int, send: Any) -> Task:
    node = run.graph.nodes.get(send.node) if isinstance(send, Send) else None
    if node is None:
        raise InvalidUpdateError(f"A Send goes to the unknown node {getattr(send, 'node', send)!r}.")
    return Task(node, send.arg, (PUSH, index, False), (PUSH,), run)


def _interrupts(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else (value,)


def match_pending(run: Run, tasks: list[Task]) -> None:
    """Give the tasks what is known of them: answers to interrupts, and finished outcomes."""
    if not run.pending and not run.answers:
        return
    by_id = {task.id: task for task in tasks}
    for task_id, channel, value in run.pending:
        task = by_id.get(task_id)
        if task is None:
            continue
        if channel == RESUME:
            task.resume = [*(value if isinstance(value, list) else [value])]
        elif channel == NO_WRITES:
            task.done = task.cached = True
        elif channel not in SPECIAL:
            task.writes.append((channel, value))
            task.done = task.cached = True
    if run.answers:
        for task in tasks:
            asked = run.interrupt_id(task.ns, len(task.resume))
            if asked in run.answers:
                task.resume.append(run.answers[asked])
                task.resumed = True


def pending_interrupts(run: Run) -> dict[str, list[Any]]:
    """The interrupts that wait for an answer, by task id."""
    waiting: dict[str, list[Any]] = {}
    for task_id, channel, value in run.pending:
        if channel == INTERRUPT:
            waiting[task_id] = list(_interrupts(value))
    finished = {
        task_id
        for task_id, channel, _ in run.pending
        if task_id != NULL_TASK_ID and (channel not in SPECIAL or channel == NO_WRITES)
    }
    return {task_id: found for task_id, found in waiting.items() if task_id not in finished}


def stable_namespace(ns: str) -> str:
    """`ns` without task ids: the namespace of a subgraph that keeps its own memory between runs."""
    return NS_SEP.join(level.partition(NS_END)[0] for level in ns.split(NS_SEP))
