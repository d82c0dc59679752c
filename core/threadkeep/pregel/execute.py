"""Running one task in its thread: call the node, evaluate its branches, retry.

`execute_async` is its twin for an event loop; what is decided, is decided here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from threadkeep.config import running
from threadkeep.errors import GraphBubbleUp, ParentCommand
from threadkeep.interop.langchain import node_context
from threadkeep.pregel.bind import call
from threadkeep.pregel.node import Branch
from threadkeep.pregel.task import Task
from threadkeep.types import Command, RetryPolicy


def is_async(task: Task) -> bool:
    """Whether the task runs on an event loop: its function or one of its conditional edges is async."""
    node = task.node
    return node.bound.coro is not None or any(branch.path.coro is not None for branch in node.branches)


def run_task(task: Task) -> None:
    """Run a task to its end, retries included. The outcome is in the task; nothing is raised."""
    running.set(task)
    while True:
        try:
            result = call_node(task)
            task.writes = task.node.write(result)
            for branch in task.node.branches:
                task.writes += branch.route(call(branch.path, branch_input(task, branch), task))
        except GraphBubbleUp as bubble:
            task.error = bubble
        except Exception as error:
            if (wait := retry_wait(task, error)) is not None:
                time.sleep(wait)
                task.restart(task.attempt + 1)
                continue
            task.error = error
        except BaseException as error:
            task.error = error
        task.done = True
        return


def call_node(task: Task) -> Any:
    """What the node's function returned; a command that a subgraph sent to its parent counts as returned."""
    node_context(task)
    try:
        return call(task.node.bound, task.input, task)
    except ParentCommand as sent:
        return received(sent)


def received(sent: ParentCommand) -> Command[Any]:
    return replace(sent.args[0], graph=None)


def branch_input(task: Task, branch: Branch) -> Any:
    """The state that a conditional edge sees: the step's, with this task's own writes applied."""
    run = task.run
    values = run.values.copy()
    own: dict[str, list[Any]] = {}
    for name, value in task.writes:
        if name in run.graph.state_keys:
            own.setdefault(name, []).append(value)
    for name, written in own.items():
        channel = run.channels[name].copy()
        channel.update(written)
        if channel.is_available():
            values[name] = channel.get()
    for key, managed in branch.managed:
        values[key] = managed.get(run)
    return branch.read(values)


def retry_wait(task: Task, error: Exception) -> float | None:
    """Seconds until the next attempt; None where the error is final."""
    policy = next((p for p in task.node.retry_policy if _retries(p, error)), None)
    if policy is None or task.attempt >= policy.max_attempts:
        return None
    if task.first_attempt is None:
        task.first_attempt = time.time()
    wait = min(policy.max_interval, policy.initial_interval * policy.backoff_factor ** (task.attempt - 1))
    return wait + random.random() if policy.jitter else wait  # noqa: S311 (spreads load, no secret)


def _retries(policy: RetryPolicy, error: Exception) -> bool:
    on = policy.retry_on
    if isinstance(on, Sequence):
        return isinstance(error, tuple(on))
    if isinstance(on, type):
        return isinstance(error, on)
    return bool(on(error))
