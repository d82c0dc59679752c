"""The order of what a search returns, the same on every store. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from threadkeep.store.base.ops import Namespace, Order, SearchItem

Place: TypeAlias = tuple[float, datetime, Namespace, str]


def place(item: SearchItem) -> Place:
    """What results are sorted by, ascending: the best score, then the oldest `updated_at`, then namespace
    and key, label by label and by code point. Unique among the results of a search.
    """
    score = 0.0 if item.score is None else -item.score
    return score, item.updated_at, item.namespace, item.key


def is_behind(item: SearchItem, after: SearchItem, order: Order = "asc") -> bool:
    """Whether *item* comes on a page behind *after*; `order="desc"` for a list that is turned round."""
    return place(item) > place(after) if order == "asc" else place(item) < place(after)
