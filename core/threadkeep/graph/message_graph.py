"""The older form of a chat graph, whose whole state is the list of messages."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

from threadkeep.graph.message import add_messages
from threadkeep.graph.state import StateGraph
from threadkeep.interop.langchain import any_message_type

__all__ = ["MessageGraph"]


class MessageGraph(StateGraph[Any, Any, Any, Any]):
    """A builder of graphs that take, pass on and return a list of messages.

    Deprecated: ``StateGraph(MessagesState)`` leaves room for other keys.
    """

    def __init__(self) -> None:
        warnings.warn(
            "MessageGraph is the older form of a chat graph: use StateGraph(MessagesState).",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(Annotated[list[any_message_type()], add_messages])  # type: ignore[misc, arg-type]  # a type made at run time
