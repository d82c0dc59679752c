"""Running one task on an event loop. The twin of `execute`."""

from __future__ import annotations

import asyncio
from typing import Any

from threadkeep.config import running
from threadkeep.errors import GraphBubbleUp, ParentCommand
from threadkeep.interop.langchain import node_context
from threadkeep.pregel.bind import Bound, acall, call
from threadkeep.pregel.execute import branch_input, call_node, received, retry_wait
from threadkeep.pregel.task import Task
from threadkeep.pregel.threads import call_in_thread


async def arun_task(task: Task) -> None:
    """As `run_task`, on an event loop. A cancellation is the task's error too, and is raised."""
    running.set(task)
    while True:
        try:
            result = await acall_node(task)
            task.writes = task.node.write(result)
            for branch in task.node.branches:
                given = branch_input(task, branch)
                task.writes += branch.route(await either(branch.path, given, task))
        except GraphBubbleUp as bubble:
            task.error = bubble
        except Exception as error:
            if (wait := retry_wait(task, error)) is not None:
                await asyncio.sleep(wait)
                task.restart(task.attempt + 1)
                continue
            task.error = error
        except BaseException as error:
            task.error = error
            task.done = True
            raise
        task.done = True
        return


async def either(bound: Bound, value: Any, task: Task) -> Any:
    """The result of a callable of any colour, on an event loop; a sync one runs in a worker thread."""
    if bound.coro is not None:
        return await acall(bound, value, task)
    return await asyncio.wrap_future(call_in_thread(call, bound, value, task))


async def acall_node(task: Task) -> Any:
    """As `call_node`, on an event loop; a sync function runs in a worker thread."""
    if task.node.bound.coro is None:
        return await asyncio.wrap_future(call_in_thread(call_node, task))
    node_context(task)
    try:
        return await acall(task.node.bound, task.input, task)
    except ParentCommand as sent:
        return received(sent)
