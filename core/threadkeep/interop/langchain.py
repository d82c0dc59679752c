"""All contact with LangChain.

langchain-core is the optional extra ``langchain``. Nothing here imports it before a caller needs one of its
objects; no other module of threadkeep imports it at all. Two questions are asked on the hot path and answered
without an import: a program that has not loaded langchain-core cannot hold one of its objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage as AnyMessage
    from langchain_core.messages import BaseMessage as BaseMessage
    from langchain_core.messages import BaseMessageChunk, MessageLikeRepresentation

    Messages: TypeAlias = Sequence[MessageLikeRepresentation] | MessageLikeRepresentation

__all__ = [
    "any_message_type",
    "coerce_messages",
    "is_removal",
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
