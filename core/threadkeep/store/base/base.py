"""The protocol of a store: one operation, `batch`, in two colours; everything else is written on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, cast

from threadkeep.store.base.ops import (
    NOT_GIVEN,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Namespace,
    NamespacePath,
    NotProvided,
    Op,
    Order,
    PutOp,
    Result,
    SearchItem,
    SearchMode,
    SearchOp,
    TTLConfig,
)


class BaseStore(ABC):
    """Items under namespaces and keys, shared by all threads.

    A store implements `batch` and `abatch`. Both take operations and return one result for each, in their
    order:

    - The operations are checked first (`validate_op_namespace`, `filter.parse`, `values.own`): a bad one
      raises `InvalidOpError`, and nothing of the batch is written.
    - Reads see the state before the batch, whatever their place in it. Of several puts to one key the last
      wins. All writes happen, or none does, and they have one `updated_at`.
    - Texts are embedded before anything is written: a failing embedding leaves the store as it was.
    """

    supports_ttl: bool = False
    ttl_config: TTLConfig | None = None

    _now: Callable[[], datetime] | None = None
    """The clock of this store, for tests: an instance may be given a function that returns an aware time,
    which then decides about creation, update and expiry. None: the time of the machine (of the server)."""

    @abstractmethod
    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of *ops*, in their order. See the class for what they see and when they fail."""

    @abstractmethod
    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""

    def get(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """The item, or None if there is none or it has expired."""
        return cast("Item | None", self._one(GetOp(namespace, key, self._refresh(refresh_ttl))))

    def search(
        self,
        namespace_prefix: Namespace,
        /,
        *,
        query: str | None = None,
        filter: Mapping[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
        mode: SearchMode = "semantic",
        order: Order = "asc",
        after: SearchItem | None = None,
    ) -> list[SearchItem]:
        """The items whose namespace begins with the prefix and that pass the filter.

        With a query the best *limit* of them, best first, from the *offset*-th on: by similarity of meaning,
        of words (`mode="lexical"`), or by both (`"hybrid"`). Ties, and everything without a query, are
        listed by `updated_at`, newest last, then by namespace and key; `order="desc"` turns a list round.
        `after` is the last item of the page before, instead of an offset: no item comes twice or is left
        out because others were written meanwhile.
        """
        refresh = self._refresh(refresh_ttl)
        op = SearchOp(namespace_prefix, filter, limit, offset, query, refresh, mode, order, after)
        return cast("list[SearchItem]", self._one(op))

    def put(
        self,
        namespace: Namespace,
        key: str,
        value: Mapping[str, Any] | Item,
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_GIVEN,
    ) -> None:
        """Writes the item; an existing one keeps its `created_at`.

        *value* is JSON: see `threadkeep.store.values`. *index*: the field paths to embed, None for those of
        the store's configuration, False for none. *ttl*: minutes to live, None for ever; left out: the
        store's default.
        """
        self._one(PutOp(namespace, key, value, index, self._ttl(ttl)))

    def delete(self, namespace: Namespace, key: str) -> None:
        """Deletes the item, if there is one."""
        self._one(PutOp(namespace, key, None))

    def list_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
        match: NamespacePath | None = None,
    ) -> list[Namespace]:
        """The namespaces that hold items, sorted: those that begin with *prefix* and end with *suffix*, cut
        to *max_depth* labels. `"*"` in a path is any one label. *match* is another name of *prefix*.
        """
        op = ListNamespacesOp(_conditions(prefix, suffix, match), max_depth, limit, offset)
        return cast("list[Namespace]", self._one(op))

    async def aget(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """As `get`."""
        op = GetOp(namespace, key, self._refresh(refresh_ttl))
        return cast("Item | None", await self._aone(op))

    async def asearch(
        self,
        namespace_prefix: Namespace,
        /,
        *,
        query: str | None = None,
        filter: Mapping[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
        mode: SearchMode = "semantic",
        order: Order = "asc",
        after: SearchItem | None = None,
    ) -> list[SearchItem]:
        """As `search`."""
        refresh = self._refresh(refresh_ttl)
        op = SearchOp(namespace_prefix, filter, limit, offset, query, refresh, mode, order, after)
        return cast("list[SearchItem]", await self._aone(op))

    async def aput(
        self,
        namespace: Namespace,
        key: str,
        value: Mapping[str, Any] | Item,
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_GIVEN,
    ) -> None:
        """As `put`."""
        await self._aone(PutOp(namespace, key, value, index, self._ttl(ttl)))

    async def adelete(self, namespace: Namespace, key: str) -> None:
        """As `delete`."""
        await self._aone(PutOp(namespace, key, None))

    async def alist_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
        match: NamespacePath | None = None,
    ) -> list[Namespace]:
        """As `list_namespaces`."""
        op = ListNamespacesOp(_conditions(prefix, suffix, match), max_depth, limit, offset)
        return cast("list[Namespace]", await self._aone(op))

    def _one(self, op: Op) -> Result:
        return self.batch((op,))[0]

    def _aone(self, op: Op) -> Awaitable[Result]:
        async def first() -> Result:
            return (await self.abatch((op,)))[0]

        return first()

    def _refresh(self, refresh_ttl: bool | None) -> bool:
        if refresh_ttl is not None:
            return refresh_ttl
        return True if self.ttl_config is None else self.ttl_config.get("refresh_on_read", True)

    def _ttl(self, ttl: float | NotProvided | None) -> float | None:
        if isinstance(ttl, NotProvided):
            return None if self.ttl_config is None else self.ttl_config.get("default_ttl")
        if ttl is not None and not self.supports_ttl:
            raise NotImplementedError(f"{type(self).__name__} keeps items for ever; put with ttl=None")
        return ttl


def _conditions(
    prefix: NamespacePath | None, suffix: NamespacePath | None, match: NamespacePath | None
) -> tuple[MatchCondition, ...] | None:
    found = [MatchCondition("prefix", path) for path in (prefix, match) if path]
    if suffix:
        found.append(MatchCondition("suffix", suffix))
    return tuple(found) or None
