"""Building graphs: `StateGraph`, its two ends, and chat history as state."""

from typing import TYPE_CHECKING, Any

from threadkeep.constants import END, START
from threadkeep.graph.message import add_messages
from threadkeep.graph.state import StateGraph

if TYPE_CHECKING:
    from threadkeep.graph.message import MessagesState

__all__ = ["END", "START", "MessagesState", "StateGraph", "add_messages"]


def __getattr__(name: str) -> Any:
    # MessagesState names LangChain's classes: it is made when first asked for.
    if name == "MessagesState":
        from threadkeep.graph.message import MessagesState

        return MessagesState
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
