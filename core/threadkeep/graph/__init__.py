"""Building graphs: `StateGraph`, its two ends, and chat history as state."""

from typing import TYPE_CHECKING, Any

from threadkeep.constants import END, START
from threadkeep.graph.message import add_messages
from threadkeep.graph.state import StateGraph

if TYPE_CHECKING:
    from threadkeep.graph.message import MessageGraph, MessagesState

__all__ = ["END", "START", "MessageGraph", "MessagesState", "StateGraph", "add_messages"]


def __getattr__(name: str) -> Any:
    # These name LangChain's classes: they are made when first asked for.
    if name in ("MessageGraph", "MessagesState"):
        from threadkeep.graph import message

        return getattr(message, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
