"""How a run begins: with new input, with a command, or by going on where the thread stands.

Pure: it changes the run and queues what is to be saved. Bad input is refused before anything is queued.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from threadkeep.checkpoint.base import CheckpointTuple
from threadkeep.constants import END, INPUT, NULL_TASK_ID, RESUME, START, TASKS
from threadkeep.errors import EmptyInputError, InvalidUpdateError, UnknownInterruptError
from threadkeep.pregel import emit
from threadkeep.pregel.apply import Written, apply_writes
from threadkeep.pregel.node import Writes
from threadkeep.pregel.plan import pending_interrupts, plan
from threadkeep.pregel.run import Replay, Run
from threadkeep.pregel.saving import save_point, save_writes
from threadkeep.types import Command, Send


def begin(run: Run, given: Any, saved: CheckpointTuple | None) -> None:
    """Bring the run to its first superstep.

    Raises `EmptyInputError` (nothing given and nothing to go on with), `InvalidUpdateError` and
    `UnknownInterruptError` (a command that does not fit the thread), `RuntimeError` (resume without saver).
    """
    run.step = (saved.metadata.get("step", -2) if saved else -2) + 1
    run.stop = run.step + run.recursion_limit + 1
    if _goes_on(run, given, saved):
        assert saved is not None
        _go_on(run, given if isinstance(given, Command) else None, saved)
        return
    if isinstance(given, Command):
        _command_writes(run, given)
        run.start_writes = goto_writes(run.graph.nodes, given.goto)
        given = given.update if given.update is not None else {}
    elif given is None:
        raise EmptyInputError("There is no input, and the thread has nothing to go on with.")
    _begin_anew(run, given)


def _goes_on(run: Run, given: Any, saved: CheckpointTuple | None) -> bool:
    """Whether the run continues a checkpoint instead of starting on an input."""
    if isinstance(given, Command) and given.resume is not None:
        if run.saver is None:
            raise RuntimeError("Command(resume=...) needs a checkpointer: compile(checkpointer=...).")
        if saved is None:
            raise EmptyInputError(
                "Command(resume=...): the thread has no checkpoint, so nothing waits for an answer."
            )
    if saved is None:
        return False
    if run.parent is None:
        return given is None or isinstance(given, Command)
    return _belongs_to_task(run, saved)


def _belongs_to_task(run: Run, saved: CheckpointTuple) -> bool:
    """Whether a subgraph's checkpoint was made by the very task that runs it now, and is to be continued."""
    parent = run.parent
    assert parent is not None
    if not (parent.run.resuming or parent.attempt > 1):
        return False
    return bool(saved.metadata.get("parents", {}).get(parent.run.ns) == parent.checkpoint_id)


def _replay(run: Run, command: Command[Any] | None, saved: CheckpointTuple) -> None:
    """Going on from a checkpoint that the caller named runs all that comes after it again, on a branch of
    its own.

    Not where the checkpoint still waits for this very answer. A fresh update or fork is such a branch
    already.
    """
    if command is not None and pending_interrupts(run):
        return
    run.replay = Replay(saved, set())
    if run.at_head and run.metadata.get("source") in ("update", "fork"):
        # What came from outside stays, but for an answer: the question is asked again.
        run.pending = [write for write in run.pending if write[0] == NULL_TASK_ID and write[1] != RESUME]
        return
    run.updated = None
    apply_null_writes(run)
    save_point(run, "fork")


def _begin_anew(run: Run, given: Any) -> None:
    """Write the input; tasks that an earlier run left open are dropped."""
    if run.parent is not None and not run.graph.own_memory and run.saved_id is not None:
        # A task that runs again from the start: its subgraph starts empty, beside what it left before.
        saved_id = run.saved_id
        run.restore(None)
        run.saved_id, run.fork = saved_id, True
    if run.explicit_id is not None or not run.at_head:
        run.fork = True
    apply_null_writes(run)
    run.updated = None
    dropped = [Written(task.name, (), task.triggers, task.path) for task in plan(run)]
    run.updated = apply_writes(run, [*dropped, Written(INPUT, [(START, given)])])
    run.seen.setdefault(INPUT, {})
    save_point(run, "input")


def _go_on(run: Run, command: Command[Any] | None, saved: CheckpointTuple) -> None:
    run.resuming = True
    run.fork = run.explicit_id is not None
    if run.parent is not None:
        run.answers = run.parent.run.answers
    elif run.explicit_id is not None:
        _replay(run, command, saved)
    writes: Writes = []
    if command is not None:
        writes = _command_writes(run, command)
        _take_resume(run, command.resume)
    elif run.parent is None:
        _offer_stored_answer(run)
    apply_null_writes(run)
    if writes:
        save_writes(run, NULL_TASK_ID, writes)
        apply_writes(run, [Written(INPUT, writes)])
    run.mark_input_seen()
    run.updated = None
    run.metadata = dict(run.metadata)
    run.shown = True
    emit.values(run, None)


def apply_null_writes(run: Run) -> None:
    """Writes of commands that wait on this checkpoint become part of the state."""
    stored = [
        (name, value) for task_id, name, value in run.pending if task_id == NULL_TASK_ID and name != RESUME
    ]
    if stored:
        apply_writes(run, [Written(INPUT, stored)])


def _take_resume(run: Run, resume: Any) -> None:
    if resume is None:
        return
    if isinstance(resume, dict) and all(_is_interrupt_id(key) for key in resume):
        run.answers = resume
        return
    waiting = [asked.id for found in pending_interrupts(run).values() for asked in found]
    if len(set(waiting)) > 1:
        raise UnknownInterruptError(
            f"{len(waiting)} interrupts wait for an answer: resume with a dict from interrupt id to answer, "
            f"Command(resume={{id: value}}). Waiting: {', '.join(waiting)}.",
            reason="ambiguous",
            pending_ids=waiting,
        )
    run.offer_answer(resume)
    run.pending = [write for write in run.pending if write[:2] != (NULL_TASK_ID, RESUME)]
    save_writes(run, NULL_TASK_ID, [(RESUME, resume)])


def _is_interrupt_id(key: Any) -> bool:
    return isinstance(key, str) and len(key) == 32 and all(char in "0123456789abcdef" for char in key)


def _offer_stored_answer(run: Run) -> None:
    """An answer that was stored before a crash, and that no task has taken, is offered again.

    One that equals the answer taken last counts as taken: at worst the question is asked once more.
    """
    stored = [value for task_id, name, value in run.pending if (task_id, name) == (NULL_TASK_ID, RESUME)]
    taken = [
        value[-1]
        for task_id, name, value in run.pending
        if name == RESUME and task_id != NULL_TASK_ID and isinstance(value, list) and value
    ]
    if stored and not any(_may_equal(stored[-1], value) for value in taken):
        run.offer_answer(stored[-1])


def _may_equal(left: Any, right: Any) -> bool:
    try:
        return bool(left == right)
    except Exception:  # arrays compare element by element
        return type(left) is type(right)


def _command_writes(run: Run, command: Command[Any]) -> Writes:
    """The writes of a command that came from outside the graph."""
    if command.graph is not None:
        raise InvalidUpdateError(
            f"A command from outside cannot go to another graph (graph={command.graph!r})."
        )
    if command.update is None and command.resume is None and not command.goto:
        raise EmptyInputError("The command says nothing: give it an update, a resume or a goto.")
    return [*goto_writes(run.graph.nodes, command.goto), *update_writes(run, command.update)]


def update_writes(run: Run, update: Any) -> Writes:
    """The writes of an update that came from outside the graph, for the state keys that exist."""
    if update is None:
        return []
    writes: Writes = run.graph.nodes[START].write(update)
    return [(name, value) for name, value in writes if name in run.graph.state_keys]


def goto_writes(nodes: Any, goto: Any) -> Writes:
    """The writes that make nodes run next. Raises `InvalidUpdateError` for one that does not exist."""
    targets: Iterable[Any] = goto if isinstance(goto, list | tuple | set) else (goto,)
    writes: Writes = []
    for target in targets:
        name = target.node if isinstance(target, Send) else target
        if name == END and not isinstance(target, Send):
            continue
        if name not in nodes or name == START:
            raise InvalidUpdateError(
                f"goto names the unknown node {name!r}. Nodes: {', '.join(known_nodes(nodes))}."
            )
        writes.append((TASKS, target) if isinstance(target, Send) else (f"branch:to:{name}", None))
    return writes


def known_nodes(nodes: Any) -> list[str]:
    """The names that a program may route to."""
    return [name for name in nodes if name != START]
