"""The types of stores: items, operations, `BaseStore`, embeddings."""

from threadkeep.errors import InvalidFilterError, InvalidNamespaceError, InvalidOpError
from threadkeep.store.base.base import BaseStore
from threadkeep.store.base.embed import AEmbeddingsFunc, Embeddings, EmbeddingsFunc, ensure_embeddings
from threadkeep.store.base.ops import (
    NOT_GIVEN,
    NOT_PROVIDED,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Namespace,
    NamespaceMatchType,
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
    check_mode,
    validate_op_namespace,
)
from threadkeep.store.base.paths import get_text_at_path, tokenize_path

__all__ = [
    "NOT_GIVEN", "NOT_PROVIDED", "AEmbeddingsFunc", "BaseStore", "Embeddings", "EmbeddingsFunc", "GetOp",
    "IndexConfig", "InvalidFilterError", "InvalidNamespaceError", "InvalidOpError", "Item",
    "ListNamespacesOp", "MatchCondition", "Namespace", "NamespaceMatchType", "NamespacePath", "NotProvided",
    "Op", "Order", "PutOp", "Result", "SearchItem", "SearchMode", "SearchOp", "TTLConfig",
    "check_mode", "ensure_embeddings", "get_text_at_path", "tokenize_path", "validate_op_namespace",
]  # fmt: skip
