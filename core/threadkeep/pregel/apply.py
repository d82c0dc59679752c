"""The writes of a superstep go into the channels. Pure: changes the run's channels, versions and values
only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from threadkeep.channels.base import MISSING, BaseChannel
from threadkeep.errors import InvalidUpdateError
from threadkeep.pregel.run import Run


class Wrote(Protocol):
    """A task, or what stands for one."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> tuple[Any, ...]: ...
    @property
    def triggers(self) -> tuple[str, ...]: ...
    @property
    def writes(self) -> Sequence[tuple[str, Any]]: ...


class Written:
    """Writes that no task of the plan made: an input, a command, an update from outside."""

    __slots__ = ("name", "path", "triggers", "writes")

    def __init__(
        self,
        name: str,
        writes: Sequence[tuple[str, Any]],
        triggers: tuple[str, ...] = (),
        path: tuple[Any, ...] = (),
    ) -> None:
        self.name = name
        self.writes = writes
        self.triggers = triggers
        self.path = path


def path_key(task: Wrote) -> tuple[str, ...]:
    """Orders tasks by path: nodes by name, then `Send`s by index."""
    return tuple(f"{part:010d}" if isinstance(part, int) else str(part) for part in task.path[:3])


def apply_writes(run: Run, tasks: Sequence[Wrote]) -> set[str]:
    """Apply what the tasks of one superstep wrote, in the order of their paths.

    Returns the channels that changed and hold a value; they decide what runs next. Raises
    `InvalidUpdateError`, naming key and nodes, for writes that cannot be combined.
    """
    if len(tasks) > 1:
        tasks = sorted(tasks, key=path_key)
    stepped = any([task.triggers for task in tasks])  # noqa: C419  # a generator costs more than it saves
    version = _next_version(run, tasks) if run.versions is not None else None
    updated: set[str] = set()
    if stepped and run.graph.consuming:
        _consume(run, tasks, version)
    grouped = _by_channel(run, tasks)
    channels = run.channels
    for name, values in grouped.items():
        channel = channels[name]
        try:
            changed = channel.update(values)
        except InvalidUpdateError as error:
            raise _named(error, name, tasks) from error
        if changed:
            _changed(run, name, channel, version, updated)
    if stepped:
        _end_step(run, grouped, version, updated)
    return updated


def _by_channel(run: Run, tasks: Sequence[Wrote]) -> dict[str, list[Any]]:
    """What was written to each channel, in order. Names that are no channel are special writes and left
    out.
    """
    channels = run.channels
    grouped: dict[str, list[Any]] = {}
    for task in tasks:
        for name, value in task.writes:
            if name in grouped:
                grouped[name].append(value)
            elif name in channels:
                grouped[name] = [value]
    return grouped


def _end_step(run: Run, grouped: Mapping[str, Any], version: Any, updated: set[str]) -> None:
    """Values for one step go; where nothing is left to run, what was held back comes out."""
    channels = run.channels
    for name in [name for name in run.live if name not in grouped]:
        if channels[name].update(()):
            _changed(run, name, channels[name], version, updated)
    graph = run.graph
    if graph.finishing and not any(name in graph.trigger_to_nodes for name in updated):
        for name in graph.finishing:
            if channels[name].finish():
                _changed(run, name, channels[name], version, updated)


def _next_version(run: Run, tasks: Sequence[Wrote]) -> Any:
    """The version of all that changes in this step; notes what each task has seen."""
    versions = run.versions
    assert versions is not None
    for task in tasks:
        if task.triggers:
            seen = {name: versions[name] for name in task.triggers if name in versions}
            run.seen[task.name] = {**run.seen.get(task.name, {}), **seen}
    if run.saver is None:
        run.max_version = (run.max_version or 0) + 1
    else:
        run.max_version = run.saver.get_next_version(run.max_version, None)
    return run.max_version


def _changed(run: Run, name: str, channel: BaseChannel[Any, Any], version: Any, updated: set[str]) -> None:
    """Bring everything that is derived from a channel up to date."""
    available = channel.is_available()
    if available:
        updated.add(name)
    graph = run.graph
    if name in graph.state_keys:
        if available:
            fresh = name not in run.values
            run.values[name] = channel.get()
            if fresh and len(run.values) > 1:
                run.refresh_values()
        else:
            run.values.pop(name, None)
    if name in graph.volatile:
        if available:
            run.live.add(name)
        else:
            run.live.discard(name)
    if version is not None and run.versions is not None:
        run.versions[name] = run.new_versions[name] = version
        saved = channel.checkpoint()
        if saved is MISSING:
            run.saved_values.pop(name, None)
        else:
            run.saved_values[name] = saved


def _consume(run: Run, tasks: Sequence[Wrote], version: Any) -> None:
    for name in {name for task in tasks for name in task.triggers if name in run.graph.consuming}:
        if run.channels[name].consume():
            _changed(run, name, run.channels[name], version, set())


def _named(error: InvalidUpdateError, key: str, tasks: Iterable[Wrote]) -> InvalidUpdateError:
    nodes = sorted({task.name for task in tasks if any(name == key for name, _ in task.writes)})
    return InvalidUpdateError(f"{error} Written by: {', '.join(nodes)}.")
