"""The superstep loop: plan, execute, apply, checkpoint.

One generator that yields effects and is sent their replies. It decides everything and does nothing itself, so
that threads and an event loop run the same program.
"""

from __future__ import annotations

from typing import Any

from threadkeep.constants import ERROR, INTERRUPT, START
from threadkeep.errors import ErrorCode, GraphBubbleUp, GraphInterrupt, GraphRecursionError
from threadkeep.pregel import emit
from threadkeep.pregel.apply import apply_writes
from threadkeep.pregel.effects import Cancel, Execute, Load, Save, Steps, Wait
from threadkeep.pregel.entry import begin
from threadkeep.pregel.plan import match_pending, plan
from threadkeep.pregel.run import Replay, Run
from threadkeep.pregel.saving import path_text, save_config, save_point, save_writes
from threadkeep.pregel.task import Task
from threadkeep.types import Interrupt


def _starting_point(run: Run) -> Steps:
    """The checkpoint that the run begins from, or None."""
    past = None
    if run.replay is not None and run.graph.own_memory and run.ns not in run.replay.visited:
        # What is run again finds the subgraph's memory as it was.
        run.replay.visited.add(run.ns)
        past = yield from _beginning_of(run.replay)
    saved = yield Load(save_config(run, run.explicit_id), past)
    if run.explicit_id is not None or past is not None:
        head = yield Load(save_config(run, None))
        run.head_id = head.checkpoint["id"] if head is not None else ""
        run.at_head = (saved.checkpoint["id"] if saved is not None else "") == run.head_id
    return saved


def _beginning_of(replay: Replay) -> Steps:
    """The id of the checkpoint that is run again: of what an update or a fork made, that it was made of."""
    point = replay.point
    while point.metadata.get("source") in ("update", "fork") and point.parent_config is not None:
        parent = yield Load(point.parent_config)
        if parent is None:
            break
        point = parent
    return point.checkpoint["id"]


def superstep_loop(run: Run, given: Any) -> Steps:
    """Runs the graph. Returns the values of the output keys; raises what a node raised.

    In a subgraph a pause is raised too (`GraphInterrupt`); at the root it is in `run.interrupts`.
    """
    saved = None
    if run.saver is not None:
        saved = yield from _starting_point(run)
    run.restore(saved)
    begin(run, given, saved)
    try:
        while tasks := _next_tasks(run):
            yield from _step(run, tasks)
            if run.paused:
                break
            if run.after and _stops_at(run, run.after, tasks):
                run.paused = True
                emit.checkpoint(run, plan(run))
                break
        if run.paused and not run.interrupts and run.parent is None:
            emit.breakpoint_reached(run)
        if run.durability == "exit" and run.parent is not None and not (run.paused or run.graph.own_memory):
            # The parent's task has the result: nobody can come back to what is within it.
            run.ops.clear()
    finally:
        # Also when a node raised: what its siblings finished is kept.
        if run.ops and not run.stopped:
            yield Save(True)
    if run.paused and run.parent is not None:
        raise GraphInterrupt(tuple(run.interrupts))
    return run.final_output()


def _next_tasks(run: Run) -> list[Task]:
    """The tasks of the next superstep; none at the end and where a breakpoint holds the run.

    Raises `GraphRecursionError`.
    """
    if run.step > run.stop:
        raise _too_many_steps(run)
    tasks = plan(run)
    if run.resuming:
        match_pending(run, tasks)
    if run.modes:
        emit.checkpoint(run, tasks)
    if run.before and tasks and _stops_at(run, run.before, tasks):
        run.paused = True
        return []
    return tasks


def _step(run: Run, tasks: list[Task]) -> Steps:
    """One superstep: all tasks to their end, then their writes into the channels and into a checkpoint."""
    emit.task_starts(run, tasks)
    for task in tasks:
        if task.cached:
            emit.task_ends(run, task)
    todo = [task for task in tasks if not task.done]
    if len(todo) == 1 and todo[0].name == START and not todo[0].node.branches:
        # The input's own task calls nothing of the user's: no effect is needed for it.
        todo[0].writes = todo[0].node.write(todo[0].input) + run.start_writes
        todo[0].done = True
        _ended(run, todo[0])
    elif todo:
        yield from _execute(run, todo)
    if run.paused:
        _show_partial(run, tasks)
        return
    run.updated = apply_writes(run, tasks)
    if run.resuming:
        run.resuming = False
        run.drop_answer()
    _show(run, tasks)
    save_point(run, "loop")


def _execute(run: Run, todo: list[Task]) -> Steps:
    """Run tasks in parallel. Each outcome is queued as it comes; the first error stops the others and is
    raised.
    """
    if run.ops and run.durability != "exit":
        yield Save(run.durability == "sync")
    waiting = dict.fromkeys(todo)
    effect: Execute | Wait = Execute(todo)
    try:
        while waiting:
            failed = _finish(run, waiting, (yield effect))
            if failed is not None:
                raise failed
            if waiting and run.ops and run.durability != "exit":
                yield Save(run.durability == "sync")
            effect = Wait()
    except GeneratorExit:
        for task in waiting:
            if task.done:
                _ended(run, task)
        raise
    except BaseException as error:
        # A task failed, the step took too long, or the run is cancelled.
        yield from _stop(run, waiting, not isinstance(error, TimeoutError | KeyboardInterrupt))
        raise


def _stop(run: Run, waiting: dict[Task, None], patient: bool) -> Steps:
    """Stop the tasks of a step, and keep what they have finished."""
    while waiting:
        ended = yield Cancel(patient)
        if not ended:
            return
        _finish(run, waiting, ended)


def _finish(run: Run, waiting: dict[Task, None], ended: list[Task]) -> BaseException | None:
    """Note the outcomes of tasks. Returns the first error."""
    failure: BaseException | None = None
    for task in ended:
        del waiting[task]
        if _ended(run, task) and failure is None:
            failure = task.error
    return failure


def _ended(run: Run, task: Task) -> bool:
    """Note the outcome of a task. True where it failed, or leaves the graph."""
    error = task.error
    if error is None:
        if run.saver is not None:
            save_writes(run, task.id, task.writes + task.special_writes(), path_text(task))
        if run.modes:
            emit.task_ends(run, task)
        return False
    if isinstance(error, GraphInterrupt):
        _paused(run, task, error)
        return False
    if isinstance(error, GraphBubbleUp):
        return True
    if isinstance(error, Exception):
        save_writes(run, task.id, [(ERROR, repr(error)), *task.special_writes()], path_text(task))
        if run.modes:
            emit.task_fails(run, task)
    return True


def _paused(run: Run, task: Task, pause: GraphInterrupt) -> None:
    asked: tuple[Interrupt, ...] = tuple(pause.args[0]) if pause.args else ()
    writes: list[tuple[str, Any]] = [(INTERRUPT, list(asked))] if asked else []
    if writes := [*writes, *task.special_writes()]:
        save_writes(run, task.id, writes, path_text(task))
    run.paused = True
    run.interrupts.extend(asked)
    if run.modes:
        emit.task_pauses(run, task, asked)


def _show(run: Run, tasks: list[Task]) -> None:
    """The state after a step, for the stream and for the result."""
    if run.shown and not run.modes and not run.graph.fleeting:
        return
    written = {name for task in tasks for name, _ in task.writes}
    run.note_output(written)
    emit.values(run, written)


def _show_partial(run: Run, tasks: list[Task]) -> None:
    """A paused step shows what its finished tasks wrote. The checkpoint stays as it was."""
    finished = [task for task in tasks if task.done and task.error is None]
    if finished:
        versions, run.versions = run.versions, None
        apply_writes(run, finished)
        run.versions = versions
        _show(run, finished)


def _stops_at(run: Run, names: str | list[str], tasks: list[Task]) -> bool:
    """Whether a breakpoint holds the run: something changed since the last one, and one of its nodes is
    due.
    """
    assert run.versions is not None
    seen = run.seen.get(INTERRUPT, {})
    if not any(name not in seen or version > seen[name] for name, version in run.versions.items()):
        return False
    return any(not task.node.hidden if names == "*" else task.name in names for task in tasks)


def _too_many_steps(run: Run) -> GraphRecursionError:
    return GraphRecursionError(
        f"The graph {run.graph.name!r} did not end within its recursion limit of {run.recursion_limit} "
        "supersteps. "
        'Raise it for one run with config={"recursion_limit": n} or for all with compile(recursion_limit=n). '
        f"[{ErrorCode.GRAPH_RECURSION_LIMIT.value}]"
    )
