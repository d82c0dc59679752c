"""All contact with LangChain: messages, Runnables as nodes, graphs as Runnables.

langchain-core is the optional extra ``langchain``. Nothing here imports it before a caller needs one of its
objects; no other module of threadkeep imports it at all. What is asked on the hot path is answered without an
import: a program that has not loaded langchain-core holds none of its objects.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage as AnyMessage
    from langchain_core.messages import BaseMessage as BaseMessage
    from langchain_core.messages import BaseMessageChunk, MessageLikeRepresentation
    from langchain_core.runnables import Runnable, RunnableConfig

    Messages: TypeAlias = Sequence[MessageLikeRepresentation] | MessageLikeRepresentation

__all__ = [
    "RunnableFace",
    "any_message_type",
    "as_runnable",
    "coerce_messages",
    "embeddings_of_provider",
    "inherited_config",
    "is_removal",
    "is_runnable",
    "node_context",
    "openai_format",
]

_MISSING = (
    "{what} needs langchain-core, which is not installed. Install the extra: "
    'pip install "threadkeep-core[langchain]"'
)


class _MessageTypes(NamedTuple):
    """The parts of ``langchain_core.messages`` that reducers use."""

    base: type[BaseMessage]
    chunk: type[BaseMessageChunk]
    remove: type[BaseMessage]
    convert: Callable[[Sequence[Any]], list[BaseMessage]]
    whole: Callable[[BaseMessageChunk], BaseMessage]
    to_openai: Callable[..., Any]
    any_message: Any


@cache
def _message_types() -> _MessageTypes:
    try:
        from langchain_core import messages as m
    except ImportError as cause:
        raise ImportError(_MISSING.format(what="A state of chat messages")) from cause
    return _MessageTypes(
        base=m.BaseMessage,
        chunk=m.BaseMessageChunk,
        remove=m.RemoveMessage,
        convert=m.convert_to_messages,
        whole=m.message_chunk_to_message,
        to_openai=m.convert_to_openai_messages,
        any_message=m.AnyMessage,
    )


def any_message_type() -> Any:
    """LangChain's ``AnyMessage``, the union of message classes."""
    return _message_types().any_message


def coerce_messages(value: Messages) -> list[BaseMessage]:
    """The messages that *value* stands for; *value* itself if it is already a list of whole messages.

    Anything but a list is one message: an object, a string, ``(role, text)`` or a dict. Chunks become whole
    messages. The answer may be the caller's own list: copy before changing it.
    """
    types = _message_types()
    items = value if isinstance(value, list) else [value]
    # One pass in C over the classes instead of two isinstance calls per message: 14 against 90 us for 1,000.
    for kind in set(map(type, items)):
        if not issubclass(kind, types.base) or issubclass(kind, types.chunk):
            break
    else:
        return items  # type: ignore[return-value]  # the loop has just proved it
    chunk, whole = types.chunk, types.whole
    return [whole(m) if isinstance(m, chunk) else m for m in types.convert(items)]


def is_removal(message: BaseMessage) -> bool:
    """Whether *message* is a ``RemoveMessage``, which names a message to delete."""
    return isinstance(message, _message_types().remove)


def openai_format(messages: list[BaseMessage]) -> list[BaseMessage]:
    """*messages* with their content in the block shapes of OpenAI's chat API."""
    types = _message_types()
    return types.convert(types.to_openai(messages, include_id=True))


# Embeddings


def embeddings_of_provider(name: str) -> Any:
    """The ``Embeddings`` that *name*, ``"provider:model"``, stands for in LangChain. Raises ``ImportError``
    where the package ``langchain`` is missing, and what it raises where the provider's is.
    """
    try:
        init = import_module("langchain.embeddings").init_embeddings
    except ImportError as cause:
        raise ImportError(
            f"embed={name!r} names a provider, which the package langchain loads; it is not installed. "
            f"Install it and the provider's package (pip install langchain langchain-{name.split(':')[0]}), "
            "or give the store a function."
        ) from cause
    return init(name)


# Runnables as nodes


def _loaded(module: str, name: str) -> Any:
    """*name* of a LangChain module; None where it is not loaded, or still being loaded by a thread."""
    return getattr(sys.modules.get(module), name, None)


_CONFIGS, _VARIABLE = "langchain_core.runnables.config", "var_child_runnable_config"


class _HasConfig(Protocol):
    @property
    def config(self) -> Mapping[str, Any]: ...


class _NodeConfig(Mapping[str, Any]):
    """The config of a task, made when LangChain reads it: most nodes call no model."""

    __slots__ = ("_task",)

    def __init__(self, task: _HasConfig) -> None:
        self._task = task

    def __getitem__(self, key: str) -> Any:
        return self._task.config[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._task.config)

    def __len__(self) -> int:
        return len(self._task.config)

    def __bool__(self) -> bool:
        return True


def node_context(task: _HasConfig) -> None:
    """Lets models and chains that a node calls inherit the tags, metadata and callbacks of the run.

    Sets LangChain's config variable in the current context and leaves it there: call it inside the context
    that belongs to the task. ``task.config`` is not read before LangChain reads it. Does nothing while
    langchain-core is not loaded (35 ns); a node that is the first to import it does not get the config in
    that call.
    """
    if _CONFIGS in sys.modules and (variable := _loaded(_CONFIGS, _VARIABLE)) is not None:
        variable.set(_NodeConfig(task))


def inherited_config() -> Mapping[str, Any] | None:
    """The config of the LangChain chain that is calling; None outside one, and directly inside a node.

    A chain that calls a graph without a config passes its own on in this way (callbacks, tags, metadata,
    configurable).
    """
    variable = _loaded(_CONFIGS, _VARIABLE)
    if variable is None:
        return None
    found: Mapping[str, Any] | None = variable.get()
    return None if isinstance(found, _NodeConfig) else found


def is_runnable(thing: object) -> bool:
    """Whether *thing* is a LangChain Runnable."""
    runnable = _loaded("langchain_core.runnables", "Runnable")
    return runnable is not None and isinstance(thing, runnable)


# Graphs as Runnables


class RunnableFace:
    """Lets a graph stand where LangChain wants a Runnable: ``prompt | graph``, ``graph | parser``.

    For classes with ``invoke``, ``ainvoke``, ``stream``, ``astream`` and ``get_graph`` of a Runnable's
    signatures. The class becomes a virtual subclass of ``Runnable`` when LangChain first asks what it is;
    the methods that it lacks are taken from ``as_runnable(self)``.
    """

    __slots__ = ()

    def __or__(self, other: Any) -> Runnable[Any, Any]:
        chain: Runnable[Any, Any] = as_runnable(self) | other
        return chain

    def __ror__(self, other: Any) -> Runnable[Any, Any]:
        chain: Runnable[Any, Any] = as_runnable(self).__ror__(other)
        return chain

    if not TYPE_CHECKING:  # a type checker would take every attribute for granted

        @property
        def __class__(self):
            # An isinstance check against an abstract class reads this first: the one moment when Runnable is
            # loaded for certain and the answer is still open.
            cls = type(self)
            runnable = _loaded("langchain_core.runnables", "Runnable")
            if runnable is not None and not issubclass(cls, runnable):
                runnable.register(cls)
            return cls

        def __getattr__(self, name):
            if name not in _DELEGATED:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            try:
                return getattr(as_runnable(self), name)
            except ImportError as missing:  # an AttributeError, so that hasattr() can say no
                raise AttributeError(
                    f"{type(self).__name__!r} object has no {name!r}: {missing}"
                ) from missing


_DELEGATED = frozenset({
    "InputType", "OutputType", "abatch", "abatch_as_completed", "as_tool", "assign", "astream_log",
    "atransform", "batch", "batch_as_completed", "bind", "config_schema", "config_specs",
    "get_config_jsonschema", "get_input_schema", "get_output_schema", "get_prompts", "input_schema", "map",
    "output_schema", "pick", "pipe", "transform", "with_alisteners", "with_fallbacks", "with_listeners",
    "with_retry", "with_types",
})  # fmt: skip
"""What a Runnable has besides the methods that a graph has itself."""


def as_runnable(graph: Any) -> Runnable[Any, Any]:
    """A LangChain Runnable that runs *graph*. Raises ``ImportError`` where langchain-core is missing."""
    return _graph_runnable(_runnable_class())(graph)


def _runnable_class() -> type[Runnable[Any, Any]]:
    try:
        from langchain_core.runnables import Runnable
    except ImportError as cause:
        raise ImportError(_MISSING.format(what="A graph in a LangChain chain")) from cause
    return Runnable


@cache
def _graph_runnable(base: Any) -> Callable[[Any], Runnable[Any, Any]]:
    class GraphRunnable(base):  # type: ignore[misc]  # Runnable, known only now
        InputType = OutputType = Any

        def __init__(self, graph: Any) -> None:
            self.graph = graph
            self.name = getattr(graph, "name", None)

        def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
            return self.graph.invoke(input, config, **kwargs)

        async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
            return await self.graph.ainvoke(input, config, **kwargs)

        def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
            yield from self.graph.stream(input, config, **kwargs)

        async def astream(
            self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
        ) -> AsyncIterator[Any]:
            async for chunk in self.graph.astream(input, config, **kwargs):
                yield chunk

        def get_graph(self, config: RunnableConfig | None = None) -> Any:
            return self.graph.get_graph(config)

    return GraphRunnable
