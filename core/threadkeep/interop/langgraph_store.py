"""Our stores under LangGraph's own `compile()`; see `threadkeep.interop.langgraph`, which imports this."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from langgraph.store.base import BaseStore, Item, SearchItem

from threadkeep.store import base as ours

__all__ = ["LangGraphStore", "as_langgraph_store"]


def as_langgraph_store(store: ours.BaseStore) -> LangGraphStore:
    """One of our stores as a store of LangGraph: `compile(store=as_langgraph_store(store))`.

    Its configuration and life stay the store's own: set up, sweep and close that one. Filters, the order of
    results, values (JSON only) and expiry are ours.
    """
    return LangGraphStore(store)


class LangGraphStore(BaseStore):
    """LangGraph's protocol over one of our stores."""

    def __init__(self, store: ours.BaseStore) -> None:
        self.store = store
        self.supports_ttl = store.supports_ttl
        # LangGraph reads the defaults of `ttl` and `refresh_ttl` from here, as our stores do.
        self.ttl_config = cast("Any", store.ttl_config)

    def batch(self, ops: Iterable[Any]) -> list[Any]:
        """The results of LangGraph's operations, as its items."""
        return [_theirs(result) for result in self.store.batch([_ours(op) for op in ops])]

    async def abatch(self, ops: Iterable[Any]) -> list[Any]:
        """As `batch`. Single operations that happen at the same time go to the database together."""
        asked = [_ours(op) for op in ops]
        if len(asked) == 1:
            return [_theirs(await self.store._aone(asked[0]))]
        return [_theirs(result) for result in await self.store.abatch(asked)]


_OPS: dict[str, Any] = {
    "GetOp": ours.GetOp._make,
    "PutOp": ours.PutOp._make,
    "SearchOp": lambda op: ours.SearchOp(*op),
    "ListNamespacesOp": lambda op: ours.ListNamespacesOp(
        op[0] and tuple(ours.MatchCondition._make(condition) for condition in op[0]), *op[1:]
    ),
}
"""LangGraph's operations have the fields of ours, in the same order; a search of ours has more."""


def _ours(op: Any) -> Any:
    convert = _OPS.get(type(op).__name__)
    return op if convert is None else convert(op)


def _theirs(result: Any) -> Any:
    if isinstance(result, list):
        return [_theirs(each) for each in result]
    if isinstance(result, ours.SearchItem):
        return SearchItem(
            result.namespace, result.key, result.value, result.created_at, result.updated_at, result.score
        )
    if isinstance(result, ours.Item):
        return Item(
            value=result.value,
            key=result.key,
            namespace=result.namespace,
            created_at=result.created_at,
            updated_at=result.updated_at,
        )
    return result
