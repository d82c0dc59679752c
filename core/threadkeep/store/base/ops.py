"""Items, the operations of a store, their configuration, and the check that refuses a bad operation.

Pure: imports errors, and the serialiser's allow-list for items.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypedDict

from threadkeep.checkpoint.serde.jsonplus import register
from threadkeep.errors import InvalidNamespaceError, InvalidOpError

if TYPE_CHECKING:
    from threadkeep.store.base.embed import AEmbeddingsFunc, AnyEmbeddings, EmbeddingsFunc

Namespace: TypeAlias = tuple[str, ...]
NamespacePath: TypeAlias = tuple[str, ...]
"""Labels of a namespace; `"*"` stands for any one label."""
NamespaceMatchType: TypeAlias = Literal["prefix", "suffix"]
SearchMode: TypeAlias = Literal["semantic", "lexical", "hybrid"]
Order: TypeAlias = Literal["asc", "desc"]

RESERVED_ROOT = "threadkeep"
"""The first label of namespaces that are kept for the toolkit itself."""

MAX_TTL = 500_000_000
"""Minutes; 950 years."""


class NotProvided:
    """The type of `NOT_GIVEN`."""

    __slots__ = ()

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN = NotProvided()
"""Tells an argument that was left out from None."""
NOT_PROVIDED = NOT_GIVEN


def _time(moment: datetime | str) -> datetime:
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment


class Item:
    """What a store holds under a namespace and a key.

    Reads like its value too: `item["name"]`, `"name" in item`, `item.get("name")`, `dict(item)`; an Item
    can be put again. The value belongs to the caller: changing it does not change the store.
    """

    __slots__ = ("value", "key", "namespace", "created_at", "updated_at")

    def __init__(
        self,
        *,
        value: dict[str, Any],
        key: str,
        namespace: Namespace,
        created_at: datetime,
        updated_at: datetime,
    ) -> None:
        self.value = value
        self.key = key
        self.namespace = tuple(namespace)
        self.created_at = _time(created_at)
        self.updated_at = _time(updated_at)

    def dict(self) -> dict[str, Any]:
        """The item as JSON: the namespace as a list, times in ISO 8601."""
        return {
            "namespace": list(self.namespace),
            "key": self.key,
            "value": self.value,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }

    def get(self, name: str, default: Any = None) -> Any:
        """`value[name]`, or *default*."""
        return self.value.get(name, default)

    def keys(self) -> KeysView[str]:
        """The names in the value."""
        return self.value.keys()

    def __getitem__(self, name: str) -> Any:
        return self.value[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.value[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self.value

    def __iter__(self) -> Iterator[str]:
        return iter(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self._fields() == other._fields()

    def _fields(self) -> tuple[Any, ...]:
        return self.namespace, self.key, self.value, self.created_at, self.updated_at

    def __hash__(self) -> int:
        return hash((self.namespace, self.key))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.dict().items())
        return f"{type(self).__name__}({fields})"


class SearchItem(Item):
    """An item that a search found.

    `score` is a similarity, higher is better; None where nothing was ranked (no query, or no index).
    """

    __slots__ = ("score",)

    def __init__(
        self,
        namespace: Namespace,
        key: str,
        value: dict[str, Any],
        created_at: datetime,
        updated_at: datetime,
        score: float | None = None,
    ) -> None:
        super().__init__(
            value=value, key=key, namespace=namespace, created_at=created_at, updated_at=updated_at
        )
        self.score = score

    def dict(self) -> dict[str, Any]:
        """The item as JSON, with its score."""
        return {**super().dict(), "score": self.score}


# Items may be part of a graph's state, and of what a task returns.
register(Item, name="threadkeep.store.base:Item")
register(SearchItem, name="threadkeep.store.base:SearchItem")


class GetOp(NamedTuple):
    """Read one item; the result is an `Item` or None."""

    namespace: Namespace
    key: str
    refresh_ttl: bool = True
    """Whether the read starts the item's time to live anew."""


class SearchOp(NamedTuple):
    """Find items whose namespace begins with the prefix; the result is a list of `SearchItem`."""

    namespace_prefix: Namespace
    filter: Mapping[str, Any] | None = None
    """See `threadkeep.store.filter`."""
    limit: int = 10
    offset: int = 0
    query: str | None = None
    """What to rank by. None or "": list by `updated_at`. Without an index: as without a query; a search by
    words is refused then."""
    refresh_ttl: bool = True
    mode: SearchMode = "semantic"
    """How a query ranks: by the meaning of the text, by its words, or by both."""
    order: Order = "asc"
    """Without a query: newest last ("asc") or first ("desc"). A query's results are best first."""
    after: SearchItem | None = None
    """The last item of the previous page: results begin behind it, whatever was written meanwhile."""


class PutOp(NamedTuple):
    """Write one item, or delete it (`value=None`); the result is None."""

    namespace: Namespace
    key: str
    value: Mapping[str, Any] | Item | None
    index: Literal[False] | list[str] | None = None  # type: ignore[assignment]  # hides tuple.index
    """The field paths to embed; None: those of the store's `IndexConfig`; False: none."""
    ttl: float | None = None
    """Minutes to live; None: for ever."""


class MatchCondition(NamedTuple):
    """A namespace begins (ends) with a path."""

    match_type: NamespaceMatchType
    path: NamespacePath


class ListNamespacesOp(NamedTuple):
    """List the namespaces that hold items and meet every condition; the result is a list of tuples.

    They are cut to `max_depth` labels, made unique, sorted, and then paged.
    """

    match_conditions: tuple[MatchCondition, ...] | None = None
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0


Op: TypeAlias = GetOp | SearchOp | PutOp | ListNamespacesOp
Result: TypeAlias = Item | list[Item] | list[SearchItem] | list[tuple[str, ...]] | None


class IndexConfig(TypedDict, total=False):
    """How items are found by meaning."""

    dims: int
    """The length of the vectors."""
    embed: AnyEmbeddings | EmbeddingsFunc | AEmbeddingsFunc | str
    """What makes vectors of texts; see `ensure_embeddings`."""
    fields: list[str] | None
    """The field paths to embed; `["$"]`, the whole value, if left out."""


class TTLConfig(TypedDict, total=False):
    """How long items live. Times are minutes."""

    refresh_on_read: bool
    """Whether reads start the time anew; True if left out."""
    omit_expired: bool
    """Accepted; an expired item is never returned, swept or not."""
    default_ttl: float | None
    """For items that are put without `ttl`; None: they live for ever."""
    sweep_interval_minutes: int | None
    """How often `start_ttl_sweeper` deletes what has expired."""


def is_unicode(text: str) -> bool:
    """Whether *text* can be written as UTF-8: it has no lone surrogates."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_text(text: object, what: str) -> None:
    if not isinstance(text, str):
        raise InvalidOpError(f"{what} must be a string, not {type(text).__name__}: {text!r}")
    if not is_unicode(text):
        raise InvalidOpError(f"{what} must be Unicode text, without lone surrogates: {text!r}")


def check_namespace(namespace: Namespace) -> None:
    """Raises `InvalidNamespaceError` unless *namespace* is a tuple of labels: non-empty strings without
    periods. The empty tuple passes: it is the prefix of everything.
    """
    try:
        _checked(namespace)
    except TypeError:  # not hashable, hence no tuple of strings
        _check_labels(namespace)


def _check_labels(namespace: object) -> None:
    if not isinstance(namespace, tuple):
        raise InvalidNamespaceError(
            f"A namespace must be a tuple of strings, not {type(namespace).__name__}: {namespace!r}"
        )
    for label in namespace:
        if not isinstance(label, str):
            what = f"must be strings, not {type(label).__name__}"
        elif not label:
            what = "must not be empty"
        elif "." in label:
            what = "must not contain a period"
        elif not is_unicode(label):
            what = "must be Unicode text, without lone surrogates"
        else:
            continue
        raise InvalidNamespaceError(f"The labels of a namespace {what}: {label!r} in {namespace!r}")


# Most programs use few namespaces, again and again.
_checked = lru_cache(maxsize=4096)(_check_labels)


def _check_home(namespace: Namespace) -> None:
    """An item cannot live under the empty namespace, nor under the reserved root."""
    check_namespace(namespace)
    if not namespace:
        raise InvalidNamespaceError("The namespace of an item must not be empty.")
    if namespace[0] == RESERVED_ROOT:
        raise InvalidNamespaceError(
            f"The first label of a namespace must not be {RESERVED_ROOT!r}, which is reserved: {namespace!r}"
        )


def _check_count(name: str, number: object, least: int = 0) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise InvalidOpError(f"{name} must be an integer from {least} on, not {number!r}")


def _check_get(op: GetOp) -> None:
    check_namespace(op.namespace)
    _check_text(op.key, "A key")


def _check_put(op: PutOp) -> None:
    _check_home(op.namespace)
    _check_text(op.key, "A key")
    value = op.value
    if not (value is None or type(value) is dict or isinstance(value, Mapping | Item)):
        raise InvalidOpError(
            f"A value must be a mapping with string keys, not {type(value).__name__}: "
            f"key {op.key!r} in {op.namespace!r}"
        )
    if op.ttl is not None:
        _check_ttl(op.ttl)
    if op.index is not None and op.index is not False:
        _check_paths(op.index)


def _check_ttl(ttl: object) -> None:
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= MAX_TTL:
        raise InvalidOpError(f"ttl must be minutes, more than 0 and at most {MAX_TTL}, or None, not {ttl!r}")


def _check_paths(paths: object) -> None:
    if not isinstance(paths, Sequence) or isinstance(paths, str):
        raise InvalidOpError(f"index must be False or a list of field paths, not {paths!r}")
    for path in paths:
        _check_text(path, "A field path")


def _check_search(op: SearchOp) -> None:
    check_namespace(op.namespace_prefix)
    _check_count("limit", op.limit)
    _check_count("offset", op.offset)
    if op.query is not None:
        _check_text(op.query, "A query")
    if op.mode not in ("semantic", "lexical", "hybrid"):
        raise InvalidOpError(f"mode must be 'semantic', 'lexical' or 'hybrid', not {op.mode!r}")
    if op.order not in ("asc", "desc"):
        raise InvalidOpError(f"order must be 'asc' or 'desc', not {op.order!r}")
    if op.query and op.order == "desc":
        raise InvalidOpError("The results of a query are ordered by score; order='desc' is for lists.")
    if op.after is not None and not isinstance(op.after, SearchItem):
        raise InvalidOpError(f"after must be an item that a search returned, not {type(op.after).__name__}")


def check_mode(op: SearchOp, *, indexed: bool) -> None:
    """Raises `InvalidOpError` for a search by words where there is no index, hence no words."""
    if op.query and op.mode != "semantic" and not indexed:
        raise InvalidOpError(
            f"mode={op.mode!r} needs a store with an index, index={{'dims': …, 'embed': …}}: the words of "
            "items are kept with their vectors."
        )


def _check_list(op: ListNamespacesOp) -> None:
    _check_count("limit", op.limit)
    _check_count("offset", op.offset)
    if op.max_depth is not None:
        _check_count("max_depth", op.max_depth, 1)
    for condition in op.match_conditions or ():
        if not isinstance(condition, MatchCondition):
            raise InvalidOpError(f"match_conditions are MatchCondition, not {condition!r}")
        if condition.match_type not in ("prefix", "suffix"):
            raise InvalidOpError(f"match_type must be 'prefix' or 'suffix', not {condition.match_type!r}")
        check_namespace(condition.path)


_CHECKS: dict[type, Any] = {
    GetOp: _check_get,
    PutOp: _check_put,
    SearchOp: _check_search,
    ListNamespacesOp: _check_list,
}


def validate_op_namespace(op: Op) -> None:
    """Raises `InvalidOpError` (`InvalidNamespaceError` for its namespace) if *op* cannot be carried out.

    A store calls it for every operation of a batch before it writes any. Filters are checked by
    `threadkeep.store.filter.parse`, values by `threadkeep.store.values.own`.
    """
    check = _CHECKS.get(type(op))
    if check is None:
        raise InvalidOpError(
            f"An operation is a GetOp, PutOp, SearchOp or ListNamespacesOp, not {type(op).__name__}"
        )
    check(op)
