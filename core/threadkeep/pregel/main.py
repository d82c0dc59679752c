"""The compiled graph: what programs call. Thin: each method sets up a run and drives it in one colour."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from threadkeep.channels.base import BaseChannel
from threadkeep.channels.values import UntrackedValue
from threadkeep.config import DEFAULT_RECURSION_LIMIT, RunnableConfig, merge_configs
from threadkeep.constants import INTERRUPT
from threadkeep.interop.langchain import RunnableFace
from threadkeep.managed import ManagedValue
from threadkeep.pregel import history
from threadkeep.pregel.loop import superstep_loop
from threadkeep.pregel.node import PregelNode
from threadkeep.pregel.run import Run
from threadkeep.pregel.run_threads import drive
from threadkeep.pregel.start import Asked, StreamSettings, start_run
from threadkeep.pregel.workers import PARALLEL
from threadkeep.types import (
    All,
    Checkpointer,
    Command,
    Durability,
    GraphOutput,
    StateSnapshot,
    StateUpdate,
    StreamMode,
)

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    from threadkeep.store.base import BaseStore

    StateT = DefaultTypeVar("StateT", default=Any)
    ContextT = DefaultTypeVar("ContextT", default=None)
    InputT = DefaultTypeVar("InputT", default=Any)
    OutputT = DefaultTypeVar("OutputT", default=Any)
else:
    # Defaults of type variables are for type checkers; at run time they would cost an import.
    StateT, ContextT, InputT, OutputT = map(TypeVar, ("StateT", "ContextT", "InputT", "OutputT"))

Version = Literal["v1", "v2"]
"""Form of chunks and results: bare values, or dicts and `GraphOutput`."""
Modes = StreamMode | Sequence[StreamMode]
Breakpoints = All | Sequence[str]


class Pregel(RunnableFace, Generic[StateT, ContextT, InputT, OutputT]):
    """A graph that runs. Made by `StateGraph.compile`; safe to share between threads and event loops.

    `invoke`, `stream`, `batch` and the methods on a thread's state each have an async twin with the prefix
    "a".
    """

    stream_mode: StreamMode = "updates"

    def __init__(
        self,
        *,
        nodes: dict[str, PregelNode],
        channels: dict[str, BaseChannel[Any, Any]],
        managed: Mapping[str, type[ManagedValue]],
        state_keys: Sequence[str],
        input_channels: str,
        output_channels: str | list[str],
        stream_channels: str | list[str],
        name: str,
    ) -> None:
        self.nodes = nodes
        self.channels = channels
        self.managed = dict(managed)
        self.state_keys = dict.fromkeys(state_keys)
        self.input_channels = input_channels
        self.output_channels = output_channels
        self.stream_channels = stream_channels
        self.name = name
        self.checkpointer: Checkpointer = None
        self.store: BaseStore | None = None
        self.named_types: list[type] = []
        """The classes that the state's schema names: what a saver of this graph may store and build."""
        self.interrupt_before_nodes: list[str] | str = []
        self.interrupt_after_nodes: list[str] | str = []
        self.debug = False
        self.step_timeout: float | None = None
        """Seconds that a superstep may take; None: as long as it likes."""
        self.recursion_limit = DEFAULT_RECURSION_LIMIT
        self.context_schema: type[Any] | None = None
        self.config: RunnableConfig | None = None
        self.trigger_to_nodes: dict[str, list[str]] = {}
        for node in nodes.values():
            for trigger in node.triggers:
                self.trigger_to_nodes.setdefault(trigger, []).append(node.name)
        self.volatile = frozenset(name for name, channel in channels.items() if channel.volatile)
        self.fleeting = not self.volatile.isdisjoint(state_keys)
        """A value may be gone before the run ends."""
        self.untracked = frozenset(
            name for name, channel in channels.items() if isinstance(channel, UntrackedValue)
        )
        self.consuming = _overriding(channels, "consume")
        self.finishing = _overriding(channels, "finish")

    @property
    def own_memory(self) -> bool:
        """Whether the graph, as a subgraph, keeps its state from one run of the parent to the next."""
        return self.checkpointer is True

    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        """The name that the graph has as a node, and in LangChain's chains."""
        own = name or self.name
        return own + (suffix or "")

    def copy(self, update: Mapping[str, Any] | None = None) -> Self:
        """A graph with the same nodes and some attributes changed."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.__dict__.update(update or {})
        return new

    def with_config(self, config: RunnableConfig | None = None, **kwargs: Any) -> Self:
        """The graph with a config that every run starts from."""
        return self.copy({"config": merge_configs(self.config, config, kwargs)})

    # Running

    def stream(
        self,
        input: InputT | Command[Any] | None,
        config: RunnableConfig | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: Modes | None = None,
        print_mode: Modes = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Breakpoints | None = None,
        interrupt_after: Breakpoints | None = None,
        durability: Durability | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: Version = "v1",
    ) -> Iterator[Any]:
        """Chunks of a run, as they come.

        A chunk is the payload of the mode; `(mode, payload)` for a list of modes; with `subgraphs`, the
        namespace (a tuple, empty for this graph) stands in front. See the README for the modes.

        Raises what a node raised, `GraphRecursionError`, `InvalidUpdateError`, `EmptyInputError`.
        """
        settings = StreamSettings.of(self, stream_mode, print_mode, subgraphs, debug, version)
        keys = output_keys or self.stream_channels
        asked = Asked(context, keys, interrupt_before, interrupt_after, durability)
        run = start_run(self, config, asked, settings)
        for chunk in drive(run, superstep_loop(run, input), run.chunks, settings.live):
            yield from settings.shown(chunk)

    async def astream(
        self,
        input: InputT | Command[Any] | None,
        config: RunnableConfig | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: Modes | None = None,
        print_mode: Modes = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Breakpoints | None = None,
        interrupt_after: Breakpoints | None = None,
        durability: Durability | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: Version = "v1",
    ) -> AsyncIterator[Any]:
        """As `stream`."""
        settings = StreamSettings.of(self, stream_mode, print_mode, subgraphs, debug, version)
        keys = output_keys or self.stream_channels
        asked = Asked(context, keys, interrupt_before, interrupt_after, durability)
        run = start_run(self, config, asked, settings)
        from threadkeep.pregel.run_asyncio import adrive

        driven = adrive(run, superstep_loop(run, input), run.chunks, settings.live)
        try:
            async for chunk in driven:
                for shown in settings.shown(chunk):
                    yield shown
        finally:
            await driven.aclose()

    def invoke(
        self,
        input: InputT | Command[Any] | None,
        config: RunnableConfig | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: Modes = "values",
        print_mode: Modes = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Breakpoints | None = None,
        interrupt_after: Breakpoints | None = None,
        durability: Durability | None = None,
        version: Version = "v1",
        **kwargs: Any,
    ) -> Any:
        """The state's output keys after the run; where it paused, with its interrupts under `__interrupt__`.

        With another `stream_mode` than "values", the list of all chunks. Raises as `stream`.
        """
        keys = output_keys or self.output_channels
        if stream_mode != "values" or print_mode or kwargs:
            chunks = self.stream(
                input, config, context=context, stream_mode=stream_mode, print_mode=print_mode,
                output_keys=keys, interrupt_before=interrupt_before, interrupt_after=interrupt_after,
                durability=durability, version=version, **kwargs,
            )  # fmt: skip
            return collected(list(chunks), stream_mode, version)
        asked = Asked(context, keys, interrupt_before, interrupt_after, durability)
        run = start_run(self, config, asked, None)
        driving = drive(run, superstep_loop(run, input), None, False)
        try:
            next(driving)
        except StopIteration as stop:
            return result_of(run, stop.value, version)
        raise AssertionError("a run without consumers has no chunks")

    async def ainvoke(
        self,
        input: InputT | Command[Any] | None,
        config: RunnableConfig | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: Modes = "values",
        print_mode: Modes = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: Breakpoints | None = None,
        interrupt_after: Breakpoints | None = None,
        durability: Durability | None = None,
        version: Version = "v1",
        **kwargs: Any,
    ) -> Any:
        """As `invoke`."""
        keys = output_keys or self.output_channels
        if stream_mode != "values" or print_mode or kwargs:
            chunks = self.astream(
                input, config, context=context, stream_mode=stream_mode, print_mode=print_mode,
                output_keys=keys, interrupt_before=interrupt_before, interrupt_after=interrupt_after,
                durability=durability, version=version, **kwargs,
            )  # fmt: skip
            return collected([chunk async for chunk in chunks], stream_mode, version)
        asked = Asked(context, keys, interrupt_before, interrupt_after, durability)
        run = start_run(self, config, asked, None)
        from threadkeep.pregel.run_asyncio import adrive

        async for _ in adrive(run, superstep_loop(run, input), None, False):
            raise AssertionError("a run without consumers has no chunks")
        return result_of(run, run.result, version)

    def batch(
        self,
        inputs: Sequence[InputT | Command[Any] | None],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """The results of `invoke` for each input, in their order, run in parallel.

        `config`: one for all, or one for each. The first error is raised, or returned in its place.
        """
        configs = _configs(inputs, config)
        if not configs:
            return []
        call: Callable[..., Any] = _caught(self.invoke) if return_exceptions else self.invoke
        if len(configs) == 1:
            return [call(inputs[0], configs[0], **kwargs)]
        from concurrent.futures import ThreadPoolExecutor

        limit = merge_configs(self.config, configs[0]).get("max_concurrency") or PARALLEL
        with ThreadPoolExecutor(min(limit, len(configs)), thread_name_prefix="threadkeep-batch") as own:
            futures = [
                own.submit(copy_context().run, partial(call, given, own_config, **kwargs))
                for given, own_config in zip(inputs, configs, strict=True)
            ]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    async def abatch(
        self,
        inputs: Sequence[InputT | Command[Any] | None],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """As `batch`."""
        import asyncio

        configs = _configs(inputs, config)
        limit = merge_configs(self.config, configs[0]).get("max_concurrency") if configs else None
        gate = asyncio.Semaphore(limit or len(configs) or 1)

        async def one(input: Any, own: RunnableConfig) -> Any:
            async with gate:
                return await self.ainvoke(input, own, **kwargs)

        runs = [one(input, own) for input, own in zip(inputs, configs, strict=True)]
        return list(await asyncio.gather(*runs, return_exceptions=return_exceptions))

    # The state of a thread

    def get_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        """The state of a thread, newest or at the config's `checkpoint_id`; with `subgraphs`, theirs in the
        tasks.

        An unknown thread has an empty state. Raises `ValueError` without a checkpointer or thread.
        """
        return history.perform(history.get_state(self, config, subgraphs))

    async def aget_state(self, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
        """As `get_state`."""
        return await history.aperform(history.get_state(self, config, subgraphs))

    def get_state_history(
        self,
        config: RunnableConfig,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[StateSnapshot]:
        """The states of a thread, newest first.

        `filter`: metadata keys and the values they must equal. `before`: only older than this config's
        checkpoint.
        """
        where = history.address(self, config)
        for saved in where.saver.list(where.config, filter=filter, before=before, limit=limit):
            yield history.perform(history.snapshot(where, saved, False))

    async def aget_state_history(
        self,
        config: RunnableConfig,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """As `get_state_history`."""
        where = history.address(self, config)
        async for saved in where.saver.alist(where.config, filter=filter, before=before, limit=limit):
            yield await history.aperform(history.snapshot(where, saved, False))

    def update_state(
        self,
        config: RunnableConfig,
        values: dict[str, Any] | Any | None,
        as_node: str | None = None,
        task_id: str | None = None,
    ) -> RunnableConfig:
        """Write to the state as if `as_node` had; returns the config of the new checkpoint.

        Without `as_node`, the node that wrote last. A config with `checkpoint_id` forks from there. Raises
        `InvalidUpdateError` where the node is unknown or ambiguous.
        """
        return self.bulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    async def aupdate_state(
        self,
        config: RunnableConfig,
        values: dict[str, Any] | Any | None,
        as_node: str | None = None,
        task_id: str | None = None,
    ) -> RunnableConfig:
        """As `update_state`."""
        return await self.abulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    def bulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """As `update_state`, for several updates a superstep and several supersteps in order."""
        return history.perform(history.update(self, config, supersteps))

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """As `bulk_update_state`."""
        return await history.aperform(history.update(self, config, supersteps))

    def get_subgraphs(
        self, *, namespace: str | None = None, recurse: bool = False
    ) -> Iterator[tuple[str, Pregel[Any, Any, Any, Any]]]:
        """The graphs that are nodes of this one: (name, or path with `|`; graph)."""
        for node in self.nodes.values():
            for graph in node.subgraphs:
                if namespace is None or namespace == node.name:
                    yield node.name, graph
                rest = None
                if namespace is not None:
                    if not namespace.startswith(f"{node.name}|"):
                        continue
                    rest = namespace.removeprefix(f"{node.name}|")
                if recurse or rest:
                    for path, inner in graph.get_subgraphs(namespace=rest, recurse=recurse):
                        yield f"{node.name}|{path}", inner


def _overriding(channels: Mapping[str, BaseChannel[Any, Any]], method: str) -> tuple[str, ...]:
    """The channels whose class does something in `method`."""
    plain = getattr(BaseChannel, method)
    return tuple(name for name, channel in channels.items() if getattr(type(channel), method) is not plain)


def _configs(
    inputs: Sequence[Any], config: RunnableConfig | Sequence[RunnableConfig] | None
) -> list[RunnableConfig]:
    if config is None or isinstance(config, Mapping):
        return [config or {}] * len(inputs)
    if len(config) != len(inputs):
        raise ValueError(f"There are {len(inputs)} inputs and {len(config)} configs.")
    return list(config)


def _caught(call: Callable[..., Any]) -> Callable[..., Any]:
    def caught(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except Exception as error:
            return error

    return caught


def result_of(run: Run, output: Any, version: str) -> Any:
    """What invoke returns: the output and what the run waits for."""
    if version == "v2":
        return GraphOutput(output, tuple(run.interrupts))
    if run.interrupts:
        shown = list(run.interrupts)
        return {**output, INTERRUPT: shown} if isinstance(output, dict) else {INTERRUPT: shown}
    return output


def collected(chunks: list[Any], mode: Modes, version: str) -> Any:
    """The result of an invoke that was asked for chunks: the last values, or the list of all."""
    if mode != "values":
        return chunks
    last = chunks[-1] if chunks else None
    if version == "v2":
        return GraphOutput(last and last["data"], last["interrupts"] if last else ())
    return last
