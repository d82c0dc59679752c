"""Chat history as graph state: the ``add_messages`` reducer and ``MessagesState``.

Imports no LangChain. ``MessagesState`` mentions LangChain's classes, so it is made when first asked for; the
reducer reaches LangChain through ``threadkeep.interop.langchain``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, overload

from threadkeep.checkpoint.ids import uuid4
from threadkeep.interop import langchain

if TYPE_CHECKING:
    from threadkeep.interop.langchain import AnyMessage, BaseMessage, Messages

__all__ = ["REMOVE_ALL_MESSAGES", "MessagesState", "add_messages"]

REMOVE_ALL_MESSAGES = "__remove_all__"

_FORMATS = ("langchain-openai", None)


@overload
def add_messages(
    left: Messages, right: Messages, *, format: Literal["langchain-openai"] | None = None
) -> list[AnyMessage]: ...


@overload
def add_messages(
    left: None = None, right: None = None, *, format: Literal["langchain-openai"] | None = None
) -> Callable[[Messages, Messages], list[AnyMessage]]: ...


def add_messages(left: Messages | None = None, right: Messages | None = None, **kwargs: Any) -> Any:
    """*left* with the messages of *right* added, as a new list.

    A message whose id is in *left* takes that message's place; others go to the end. Messages without an id
    get one (a UUID, set on the object itself). ``RemoveMessage(id=...)`` deletes, and
    ``RemoveMessage(id=REMOVE_ALL_MESSAGES)`` drops everything that came before it. Either side may be one
    message or a list; a message may be an object, a string (said by the user), ``(role, text)`` or a dict.

    Without messages, the answer is the reducer with its options bound, for use in a state:
    ``Annotated[list, add_messages(format="langchain-openai")]``. That format puts the content of all messages
    into the block shapes of OpenAI's chat API.

    Raises ``ValueError`` for the removal of an unknown id and for an unknown *format*, ``ImportError`` where
    langchain-core is missing.
    """
    if left is None or right is None:
        return _bound(left, right, kwargs)
    if not kwargs:
        return _merge(left, right)
    return _merge(left, right, **_checked(kwargs))


def _bound(left: Messages | None, right: Messages | None, options: dict[str, Any]) -> Any:
    if left is None and right is None:
        return partial(add_messages, **_checked(options))
    given, missing = ("right", "left") if left is None else ("left", "right")
    raise ValueError(
        f"add_messages needs both sides, but {missing!r} is None (only {given!r} was given). "
        "For no messages pass an empty list."
    )


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    for name in options:
        if name != "format":
            raise TypeError(f"add_messages() got an unexpected keyword argument {name!r}")
    if options and options["format"] not in _FORMATS:
        raise ValueError(f"Unrecognized format={options['format']!r}. Expected one of {_FORMATS}.")
    return options


def _merge(left: Messages, right: Messages, format: str | None = None) -> list[BaseMessage]:
    old, new = langchain.coerce_messages(left), langchain.coerce_messages(right)
    known = _identify(old)
    _identify(new)
    removals = [n for n, message in enumerate(new) if langchain.is_removal(message)]
    for n in reversed(removals):
        if new[n].id == REMOVE_ALL_MESSAGES:
            # What follows is the whole state, taken as it is.
            return new[n + 1 :]
    merged = _replace(old, new) if removals or _overlap(known, new) else [*old, *new]
    return langchain.openai_format(merged) if format == "langchain-openai" else merged


def _identify(messages: list[BaseMessage]) -> set[str | None]:
    """The ids of *messages*, after giving one to each that has none."""
    ids = {message.id for message in messages}
    if None in ids:
        for message in messages:
            if message.id is None:
                message.id = uuid4()
        return {message.id for message in messages}
    return ids


def _overlap(known: set[str | None], new: list[BaseMessage]) -> bool:
    """Whether a message of *new* repeats an id of *known* or of another message in *new*."""
    ids = [message.id for message in new]
    return not known.isdisjoint(ids) or len(set(ids)) < len(ids)


def _replace(old: list[BaseMessage], new: list[BaseMessage]) -> list[BaseMessage]:
    """*old* with *new* applied one by one, replacements and removals included."""
    merged = list(old)
    place = {message.id: n for n, message in enumerate(merged)}
    removed: set[str | None] = set()
    for message in new:
        n = place.get(message.id)
        if langchain.is_removal(message):
            if n is None:
                raise ValueError(
                    f"Cannot remove the message with id {message.id!r}: the list has none with that id."
                )
            removed.add(message.id)
        elif n is None:
            place[message.id] = len(merged)
            merged.append(message)
        else:
            removed.discard(message.id)
            merged[n] = message
    return [message for message in merged if message.id not in removed] if removed else merged


if TYPE_CHECKING:
    from threadkeep.graph.message_graph import MessageGraph as MessageGraph

    class MessagesState(TypedDict):
        """A state with one key, the chat history. Subclass it to add keys."""

        messages: Annotated[list[AnyMessage], add_messages]

else:

    def __getattr__(name: str) -> Any:
        if name == "MessagesState":
            return globals().setdefault(name, _messages_state())
        if name == "MessageGraph":
            from threadkeep.graph.message_graph import MessageGraph

            return MessageGraph
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def _messages_state() -> type:
        field = Annotated[list[langchain.any_message_type()], add_messages]
        state = TypedDict("MessagesState", {"messages": field})  # noqa: UP013  # a class body would name a local
        state.__module__ = __name__
        state.__doc__ = "A state with one key, the chat history. Subclass it to add keys."
        return state
