"""When items expire. Pure: the time is an argument.

An item that was put with a `ttl` expires that many minutes after its last write, or after its last read that
refreshes: a get or a search with `refresh_ttl`. Only what is returned is refreshed. A put without `ttl` lets
the item live for ever, whatever it had before. From the moment of expiry on the item is not there for any
operation: not for a get, a search, a list of namespaces, nor for a put, which makes a new one with a new
`created_at`. Sweeping deletes what has expired and is never seen otherwise.
"""

from __future__ import annotations

from datetime import datetime, timedelta


def expires(now: datetime, ttl: float | None) -> datetime | None:
    """When an item that is written, or refreshed, at *now* expires; None: never. *ttl* is minutes."""
    return None if ttl is None else now + timedelta(minutes=ttl)


def expired(expires_at: datetime | None, now: datetime) -> bool:
    """Whether the item is gone at *now*."""
    return expires_at is not None and expires_at <= now
