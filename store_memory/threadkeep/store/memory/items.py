"""Items as they are kept, by namespace and key, and what lies under each prefix.

Knows nothing of vectors' content, queries or time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from threadkeep.store.base import Item, Namespace, SearchItem

_NO_ROWS: dict[bytes, int] = {}
_new = object.__new__
_ATOMS = frozenset({str, int, float, bool, type(None)})


class Record:
    """An item as it is kept. Once it can be found, only its expiry and its rows change."""

    __slots__ = (
        "namespace", "key", "value", "flat", "created_at", "updated_at", "ttl", "expires_at", "rows", "words",
    )  # fmt: skip

    def __init__(
        self,
        namespace: Namespace,
        key: str,
        value: dict[str, Any],
        created_at: datetime,
        updated_at: datetime,
    ) -> None:
        self.namespace = namespace
        self.key = key
        self.value = value
        self.flat: bool | None = None
        """Whether a shallow copy of the value is a deep one; found out when it is first read."""
        self.created_at = created_at
        self.updated_at = updated_at
        self.ttl: float | None = None
        self.expires_at: datetime | None = None
        self.rows = _NO_ROWS
        """The rows of its vectors, by the hash of their text. Replaced if empty: one dict serves all."""
        self.words: bool = True
        """Whether it is found by words."""

    @property
    def order(self) -> tuple[datetime, Namespace, str]:
        """Sorts items as a list shows them."""
        return self.updated_at, self.namespace, self.key

    def _copy(self) -> dict[str, Any]:
        if self.flat is None:
            self.flat = _ATOMS.issuperset(map(type, self.value.values()))
        return self.value.copy() if self.flat else _copied(self.value)

    # The next two leave out the constructors, which would look at types that are known: half the time.

    def item(self) -> Item:
        item = _new(Item)
        item.value = self._copy()
        item.key = self.key
        item.namespace = self.namespace
        item.created_at = self.created_at
        item.updated_at = self.updated_at
        return item

    def found(self, score: float | None) -> SearchItem:
        item = _new(SearchItem)
        item.value = self._copy()
        item.key = self.key
        item.namespace = self.namespace
        item.created_at = self.created_at
        item.updated_at = self.updated_at
        item.score = score
        return item


def _copied(value: Any) -> Any:
    """A deep copy of a JSON value, which is a tree of plain dicts and lists."""
    if type(value) is dict:
        return {key: held if type(held) in _ATOMS else _copied(held) for key, held in value.items()}
    return [held if type(held) in _ATOMS else _copied(held) for held in value]


class Node:
    """What lies under one prefix: the items of each namespace that begins with it."""

    __slots__ = ("_listed", "_listing", "count", "homes", "kept", "kept_at", "version")

    def __init__(self) -> None:
        self.homes: dict[Namespace, dict[str, Record]] = {}
        self.count = 0
        self.version = 0
        """Rises with each change below."""
        self.kept: Any = None
        """What a search has gathered here, and of which state."""
        self.kept_at: Any = None
        self._listing: list[Record] = []
        self._listed = -1

    def __iter__(self) -> Iterator[Record]:
        return chain.from_iterable(home.values() for home in self.homes.values())

    def listing(self) -> list[Record]:
        """All items in the order of a list; sorted once for each version."""
        if self._listed != self.version:
            self._listing = sorted(self, key=lambda record: record.order)
            self._listed = self.version
        return self._listing


class Items:
    """All records. Reading one needs no lock; everything else does."""

    def __init__(self) -> None:
        self.homes: dict[Namespace, dict[str, Record]] = {}
        self.nodes: dict[Namespace, Node] = {(): Node()}
        self._paths: dict[Namespace, list[Node]] = {}

    def __len__(self) -> int:
        return self.nodes[()].count

    @property
    def version(self) -> int:
        """Rises with each change."""
        return self.nodes[()].version

    def __iter__(self) -> Iterator[Record]:
        return iter(self.nodes[()])

    def get(self, namespace: Namespace, key: str) -> Record | None:
        home = self.homes.get(namespace)
        return None if home is None else home.get(key)

    def put(self, record: Record, old: Record | None) -> None:
        """Keeps *record* in the place of *old*."""
        namespace = record.namespace
        home = self._open(namespace) if old is None and namespace not in self.homes else self.homes[namespace]
        home[record.key] = record
        for node in self._paths[namespace]:
            node.version += 1
            if old is None:
                node.count += 1

    def _open(self, namespace: Namespace) -> dict[str, Record]:
        home: dict[str, Record] = {}
        path = [self.nodes.setdefault(namespace[:depth], Node()) for depth in range(len(namespace) + 1)]
        for node in path:
            node.homes[namespace] = home
        self._paths[namespace] = path
        self.homes[namespace] = home
        return home

    def delete(self, record: Record) -> None:
        """Forgets a kept record; namespaces that hold nothing are forgotten as well."""
        namespace = record.namespace
        home = self.homes[namespace]
        del home[record.key]
        for depth, node in enumerate(self._paths[namespace]):
            node.version += 1
            node.count -= 1
            if not home:
                del node.homes[namespace]
            if depth and not node.count:
                del self.nodes[namespace[:depth]]
        if not home:
            del self.homes[namespace], self._paths[namespace]
