"""How a node's function is called: which parameters it takes, and whether it is sync or async.

A signature is inspected once, when the node is added. Knows nothing of tasks but their attributes.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from threadkeep.config import RunnableConfig
from threadkeep.runtime import Runtime


class Offers(Protocol):
    """What a function can ask for besides its input."""

    @property
    def config(self) -> RunnableConfig: ...
    @property
    def runtime(self) -> Runtime[Any]: ...


class Bound(NamedTuple):
    """A callable of a node, ready to be called in either colour. One of `sync` and `coro` is set, or both."""

    name: str | None
    sync: Callable[..., Any] | None
    coro: Callable[..., Awaitable[Any]] | None
    injected: tuple[tuple[str, Callable[[Offers], Any]], ...] = ()
    """Keyword parameters, and how to get each from the task."""
    takes_config: bool = False
    """The callable is a Runnable or a graph: it takes the config as its second argument."""
    target: Any = None
    """The object that the user passed."""


def _is_coroutine_function(func: Any) -> bool:
    while isinstance(func, partial):
        func = func.func
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(getattr(func, "__call__", None))  # noqa: B004


_OFFERS: dict[str, tuple[frozenset[str], Callable[[Offers], Any]]] = {
    "config": (frozenset({"RunnableConfig"}), lambda task: task.config),
    "runtime": (frozenset({"Runtime"}), lambda task: task.runtime),
    "writer": (frozenset({"StreamWriter"}), lambda task: task.runtime.stream_writer),
    "store": (frozenset({"BaseStore"}), lambda task: task.runtime.store),
    "previous": (frozenset(), lambda task: task.runtime.previous),
}
_BY_TYPE = {name: offer for names, offer in _OFFERS.values() for name in names}


def _type_name(annotation: Any) -> str:
    """The bare name of an annotation: `Runtime` for `Runtime[Ctx] | None`, `Optional["m.Runtime"]`, …"""
    text = (
        annotation
        if isinstance(annotation, str)
        else getattr(annotation, "__name__", None) or str(annotation)
    )
    text = text.strip("'\"").removeprefix("Optional[").removeprefix("typing.Optional[")
    return text.partition("|")[0].partition("[")[0].strip(" ]").rpartition(".")[2]


def _injections(func: Callable[..., Any]) -> tuple[tuple[str, Callable[[Offers], Any]], ...]:
    try:
        parameters = list(inspect.signature(func).parameters.values())
    except (TypeError, ValueError):  # builtins without a signature take their input only
        return ()
    found: list[tuple[str, Callable[[Offers], Any]]] = []
    for position, parameter in enumerate(parameters):
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if position == 0 and parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        if parameter.name in _OFFERS:
            found.append((parameter.name, _OFFERS[parameter.name][1]))
        elif parameter.annotation is not parameter.empty and (
            offer := _BY_TYPE.get(_type_name(parameter.annotation))
        ):
            found.append((parameter.name, offer))
    return tuple(found)


def _name_of(func: Any) -> str | None:
    name = getattr(func, "__name__", None)
    if name is None and not isinstance(func, type):
        name = getattr(func, "name", None) or type(func).__name__
    return name if isinstance(name, str) else None


def bind(func: Any) -> Bound:
    """How to call `func`: a function, a callable object, a compiled graph or a LangChain Runnable.

    Raises `TypeError` for what cannot be called.
    """
    if isinstance(func, Bound):
        return func
    if callable(getattr(func, "invoke", None)) and callable(getattr(func, "ainvoke", None)):
        name = getattr(func, "get_name", None)
        named = name() if callable(name) else getattr(func, "name", None)
        return Bound(named, func.invoke, func.ainvoke, takes_config=True, target=func)
    if not callable(func):
        raise TypeError(f"A node is a function, a callable, a compiled graph or a Runnable, not {func!r}.")
    injected = _injections(func)
    if inspect.isgeneratorfunction(func):
        return Bound(_name_of(func), _last_of(func), None, injected, target=func)
    if _is_coroutine_function(func):
        return Bound(_name_of(func), None, func, injected, target=func)
    return Bound(_name_of(func), func, None, injected, target=func)


def _last_of(generate: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose result is the last item that a generator function yields."""

    def last(*args: Any, **kwargs: Any) -> Any:
        item = None
        for item in generate(*args, **kwargs):  # noqa: B007
            pass
        return item

    return last


def call(bound: Bound, value: Any, task: Offers) -> Any:
    """The result of the sync callable. Raises `TypeError` where there is only an async one."""
    if bound.sync is None:
        raise TypeError(
            f"No synchronous function was given for {bound.name!r}: it is async. Use ainvoke, astream or "
            "abatch."
        )
    if bound.takes_config:
        return bound.sync(value, task.config)
    if bound.injected:
        return bound.sync(value, **{name: offer(task) for name, offer in bound.injected})
    return bound.sync(value)


def acall(bound: Bound, value: Any, task: Offers) -> Awaitable[Any]:
    """An awaitable of the async callable's result."""
    assert bound.coro is not None
    if bound.takes_config:
        return bound.coro(value, task.config)
    if bound.injected:
        return bound.coro(value, **{name: offer(task) for name, offer in bound.injected})
    return bound.coro(value)
